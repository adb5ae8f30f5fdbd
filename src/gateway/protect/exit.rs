//! The way out of `protect`: the WAN port, the rate that packets keep to, and who is told of what leaves.

use std::sync::Arc;

use super::crossing::{Crossing, Piece};
use crate::control::counters::ProtectCounters;
use crate::dpdk::mbuf::{Burst, Mbuf};
use crate::fec::{Encoder, EncoderConfig};
use crate::gateway::backlog::Outline;
use crate::gateway::flows::Publisher;
use crate::gateway::io::{Outbox, Transmit};
use crate::gateway::shaper::{Limit, Shaper};

/// See the module's head.
pub struct Exit<W> {
    pub(super) wan: Outbox<W>,
    /// Who keeps to the WAN's rate, if it has one.
    pub(super) shaper: Option<Box<Shaper>>,
    /// Who tells storage processes, if anyone does.
    pub(super) publisher: Option<Box<Publisher>>,
    pub(super) counters: Arc<ProtectCounters>,
}

impl<W: Transmit> Exit<W> {
    /// Through `wan`. A frame that is sent has `headers` bytes in front of it.
    pub(super) fn new(
        wan: W,
        limit: Option<Limit>,
        encoder: &EncoderConfig,
        headers: usize,
    ) -> Exit<W> {
        let shaper = |limit: Limit| Box::new(Shaper::new(&limit, encoder, headers));
        Exit {
            wan: Outbox::new(wan),
            shaper: limit.map(shaper),
            publisher: None,
            counters: Arc::default(),
        }
    }

    /// When something may leave that waits, or readers must be told; `due` says whether a repair, or a
    /// packet that is sent again, waits elsewhere.
    pub(super) fn next_deadlines(&self, due: bool) -> [Option<u64>; 2] {
        let shaper = self.shaper.as_ref();
        [
            self.publisher.as_ref().and_then(|publisher| publisher.next_deadline()),
            shaper.and_then(|shaper| shaper.next_deadline(due)),
        ]
    }

    /// Whether sources wait for the rate.
    pub(super) fn holds_sources(&self) -> bool {
        self.shaper.as_ref().is_some_and(|shaper| shaper.holds_sources())
    }

    /// Whether nothing waits, for the port or the rate.
    pub(super) fn is_empty(&self) -> bool {
        self.wan.is_empty() && self.shaper.as_ref().is_none_or(|shaper| shaper.is_empty())
    }

    /// Leaves in `received` what may go now of that and of what waits, where there is a rate, and returns
    /// the bytes that were received then.
    #[inline]
    pub(super) fn admit(&mut self, received: &mut Burst, owed: bool) -> Option<u64> {
        self.counters.lan_in.add(received.len() as u64);
        let shaper = self.shaper.as_mut();
        shaper.map(|shaper| shaper.admit(received, owed, &self.counters))
    }

    /// Appends a source, or a frame that crosses as it is. There is room: the outbox was empty, and a
    /// burst is no longer than it.
    #[inline]
    pub(super) fn push_source(&mut self, now: u64, packet: Mbuf) {
        if let Some(shaper) = &mut self.shaper {
            shaper.spend(packet.len());
        }
        self.wan.push(now, packet);
    }

    /// Sends these, which `crossing` has taken.
    #[inline]
    pub(super) fn send_sources(&mut self, now: u64, crossing: &impl Crossing) {
        if let Some(publisher) = &mut self.publisher {
            publisher.look(now, &crossing.frames(self.wan.waiting()));
        }
        self.wan.send(now);
    }

    /// So many protected frames were sent, the next of which will have the number `next`. Says after how
    /// much idle time their repairs shall leave, if anybody is in a hurry.
    #[inline]
    pub(super) fn note_sources(&mut self, now: u64, count: usize, next: u64) -> Option<u64> {
        let publisher = self.publisher.as_mut()?;
        publisher.sources(now, count, next, self.wan.pushed(), self.wan.taken());
        publisher.take_hurry()
    }

    /// It is `now`. Whether repairs wait for what sources leave of the rate.
    #[inline]
    pub(super) fn keeps_backlog(&mut self, now: u64) -> bool {
        self.shaper.as_mut().is_some_and(|shaper| {
            shaper.advance(now);
            shaper.backlog().is_some()
        })
    }

    /// Whether port and rate take a repair.
    #[inline]
    pub(super) fn has_room_for_repair(&mut self, now: u64) -> bool {
        self.wan.has_room(now) && self.shaper.as_ref().is_none_or(|shaper| shaper.is_open())
    }

    /// Puts a repair into the backlog, all of its packets or none. False if none can be made now; the packets of
    /// one that failed midway are dropped.
    pub(super) fn put_by(&mut self, crossing: &mut impl Crossing, encoder: &mut Encoder) -> bool {
        let mut parts = Burst::new();
        while let Some(Piece { mbuf, outline }) = crossing.next_piece(encoder, &self.counters) {
            parts.push(mbuf);
            if let Some(outline) = outline {
                let backlog = self.shaper.as_mut().and_then(|shaper| shaper.backlog());
                backlog.into_iter().for_each(|backlog| backlog.push(&mut parts, &outline));
                return true;
            }
        }
        false
    }

    /// Sends what the backlog lets go, the next source packet being `next`.
    pub(super) fn send_backlog(&mut self, now: u64, next: u64) {
        while self.wan.has_room(now)
            && let Some(waiting) = self.shaper.as_mut().and_then(|shaper| shaper.take_repair(next))
        {
            let (mbuf, outline) = waiting.into_parts();
            self.send_piece(now, Piece { mbuf, outline });
        }
    }

    /// Sends a packet of a repair, for which there is room.
    #[inline]
    pub(super) fn send_piece(&mut self, now: u64, Piece { mbuf, outline }: Piece) {
        if let Some(shaper) = &mut self.shaper {
            shaper.spend(mbuf.len());
        }
        self.counters.repair_sent_bytes.add(mbuf.len() as u64);
        if let Some(outline) = outline {
            self.note(&outline);
        }
        self.wan.push(now, mbuf);
    }

    /// The last packet of a repair is the next to leave.
    #[inline]
    fn note(&mut self, outline: &Outline) {
        let repair = outline.repair();
        self.counters.repair_sent.add(1);
        self.counters.repair_flushed.add(u64::from(repair.flushed));
        if let Some(publisher) = &mut self.publisher {
            publisher.repair(self.wan.pushed() + 1, &repair);
        }
    }

    /// Tells what has left; `waiting` says that there is more to receive, and `shed` how many repairs the
    /// encoder has shed.
    #[inline]
    pub(super) fn publish(&mut self, now: u64, waiting: bool, shed: u64) {
        let Exit { wan, shaper, publisher, counters } = self;
        let more = shaper.as_ref().map_or(0, |shaper| shaper.count_shed(counters));
        counters.repair_shed.set(shed + more);
        if let Some(publisher) = publisher {
            let taken = wan.taken();
            publisher.turn(now, taken, waiting, |behind| wan.port_mut().is_done(behind));
            let [evicted, untold] = publisher.losses();
            counters.flows_evicted.set(evicted);
            counters.repair_untold.set(untold);
        }
    }
}
