//! `recover` where missing packets are sent again, and where frames are held behind a hole.

use super::delivery::{Delivery, Origin};
use super::{Confirmation, Observer, Recover};
use crate::control::counters::RecoverCounters;
use crate::dpdk::Kept;
use crate::dpdk::mbuf::Mbuf;
use crate::fec::Decoder;
use crate::gateway::io::{Receive, Transmit};
use crate::gateway::nack::answer_within;
use crate::gateway::nack::asking::Asking;
use crate::wire::shim::Shim;

impl<W: Receive, L: Transmit, O: Observer> Recover<W, L, O> {
    /// Has missing packets asked for, from now on: to be called before the first turn.
    pub fn ask_with(&mut self, asking: Asking) {
        self.out.asking = Some(Box::new(asking));
    }

    /// How many packets its window holds.
    pub fn window(&self) -> u64 {
        self.decoder.window()
    }

    /// When [`crate::gateway::Room::poll`] next has something to do if no packet comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let ask = self.out.asking.as_ref().and_then(|asking| asking.holes().next_deadline());
        let held = self.out.order.as_ref().and_then(|order| order.next_deadline());
        [ask, held].into_iter().flatten().min()
    }

    /// Delivers a verified packet that was asked for, though the window has moved on.
    #[cold]
    pub(super) fn deliver_late(&mut self, now: u64, shim: &Shim, mut mbuf: Mbuf) {
        self.strip(shim, &mut mbuf);
        self.out.came(shim.seq);
        self.out.deliver(now, mbuf, Origin::Source, shim.seq);
    }
}

impl<L: Transmit, O: Observer> Delivery<L, O> {
    /// A nack has come.
    #[cold]
    pub(super) fn hear_nack(&mut self, at: u64, shim: &Shim, body: &[u8]) {
        let heard = self.asking.as_mut().is_some_and(|asking| asking.hear(at, shim, body));
        self.counters.nack_heard.add(u64::from(heard));
        self.counters.nack_refused.add(u64::from(!heard));
    }

    /// To the peer and back takes so long.
    #[cold]
    pub(super) fn set_round_trip(&mut self, time: u64) {
        if let Some(asking) = &mut self.asking {
            asking.holes_mut().set_answer(answer_within(time));
        }
    }

    /// Another epoch begins.
    #[cold]
    pub(super) fn restart(&mut self, now: u64, channel: u8, epoch: u32) {
        self.release_all(now);
        self.measure.restart(channel, epoch);
        if let Some(asking) = &mut self.asking {
            asking.restart(channel, epoch);
        }
    }

    /// The decoder is about to jump.
    #[cold]
    pub(super) fn jump(&mut self, now: u64, to: u64, decoder: &Decoder<Kept, Confirmation>) {
        if let Some(asking) = &mut self.asking {
            asking.jump(now, to, decoder);
        }
    }

    /// Whether packet `seq`, which has left the window, did not come yet.
    #[inline]
    pub(super) fn misses(&self, seq: u64) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.holes().is_missing(seq))
    }

    /// Source packet `seq` has come.
    #[inline]
    pub(super) fn came(&mut self, seq: u64) {
        if let Some(asking) = &mut self.asking
            && asking.holes_mut().filled(seq)
        {
            self.counters.answered.add(1);
        }
    }

    /// How many nacks were posted: another room has something to do.
    #[inline]
    pub(super) fn take_posted(&mut self) -> usize {
        self.asking.as_mut().map_or(0, |asking| asking.take_posted())
    }

    /// Delivers a frame, or has it wait for those before it.
    pub(super) fn deliver_in_order(&mut self, now: u64, frame: Mbuf, origin: Origin, seq: u64) {
        if matches!(origin, Origin::Bypassed) {
            return self.put(now, frame, origin, seq);
        }
        // Taken out, so that it can call us.
        let Some(mut order) = self.order.take() else { return };
        let gone = order.offer(now, seq, (frame, origin), &mut |seq, (frame, origin)| {
            self.put(now, frame, origin, seq);
        });
        if let Some((frame, origin)) = gone {
            self.put(now, frame, origin, seq);
        }
        self.order = Some(order);
        self.release(now);
    }

    /// Sends on what was held long enough, as far as the port takes it.
    #[inline]
    pub(super) fn release(&mut self, now: u64) {
        if self.order.as_ref().is_some_and(|order| order.held() > 0) {
            self.release_held(now);
        }
    }

    #[inline(never)]
    fn release_held(&mut self, now: u64) {
        let Some(mut order) = self.order.take() else { return };
        while self.lan.has_room(now)
            && let Some((seq, (frame, origin))) = order.pop(now)
        {
            self.put(now, frame, origin, seq);
        }
        self.lan.send(now);
        let RecoverCounters { held, hole_skipped, .. } = &*self.counters;
        held.set(order.held() as u64);
        hole_skipped.set(order.expired());
        self.order = Some(order);
    }

    /// Sends on what is held, as far as the port takes it; says whether nothing is left.
    pub(super) fn release_last(&mut self, now: u64) -> bool {
        if let Some(order) = &mut self.order {
            order.hasten();
        }
        self.release(now);
        self.order.as_ref().is_none_or(|order| order.held() == 0)
    }

    /// Sends on all that is held.
    pub(super) fn release_all(&mut self, now: u64) {
        if let Some(mut order) = self.order.take() {
            order.release(now, |seq, (frame, origin)| self.put(now, frame, origin, seq));
            self.counters.held.set(0);
            self.order = Some(order);
        }
    }
}
