//! The way out of `recover`: to the LAN port, past those who look at what is delivered or hold it back.

use std::sync::Arc;

use super::{Observer, RecoverConfig};
use crate::control::counters::RecoverCounters;
use crate::dpdk::mbuf::Mbuf;
use crate::dpdk::{Kept, Mempool};
use crate::fec::Rebuilt;
use crate::gateway::fit;
use crate::gateway::flows::Acks;
use crate::gateway::io::{Outbox, Transmit};
use crate::gateway::nack::asking::Asking;
use crate::gateway::post;
use crate::gateway::resequence::Resequencer;
use crate::link::measure::Measure;
use crate::wire::icmp::Answer;

/// The way out, apart from the decoder, which calls it.
pub(super) struct Delivery<L, O> {
    pub(super) lan: Outbox<L>,
    /// Where rebuilt frames are made.
    pub(super) pool: Mempool,
    pub(super) observer: O,
    pub(super) counters: Arc<RecoverCounters>,
    pub(super) tally: Tally,
    /// What the link does to this channel.
    pub(super) measure: Measure,
    /// Who reads acknowledgements, if anyone does.
    pub(super) acks: Option<Box<Acks>>,
    /// The length of the frames that SYNs may ask for.
    pub(super) clamp: Option<usize>,
    /// The time of this turn.
    pub(super) now: u64,
    /// Answers to hosts on the LAN, from those that protect, if this room sends them.
    pub(super) answers: Vec<post::Receiver<Answer>>,
    /// Who has missing packets sent again, if anyone does.
    pub(super) asking: Option<Box<Asking>>,
    /// Who holds frames behind a hole, if anyone does.
    pub(super) order: Option<Box<Resequencer<(Mbuf, Origin)>>>,
}

/// What a burst adds to the counters.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) wan_in: u64,
    pub(super) wan_in_bytes: u64,
    pub(super) delivered: u64,
    pub(super) delivered_bytes: u64,
}

/// How a frame got here.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Source,
    Rebuilt,
    Bypassed,
}

impl<L: Transmit, O: Observer> Delivery<L, O> {
    /// Through `lan`, of a channel with a `window` of so many packets; `pool` gives rebuilt frames.
    pub(super) fn new(
        config: &RecoverConfig,
        lan: L,
        pool: Mempool,
        observer: O,
        window: u64,
    ) -> Delivery<L, O> {
        Delivery {
            lan: Outbox::new(lan),
            pool,
            observer,
            counters: Arc::default(),
            tally: Tally::default(),
            measure: Measure::new(window),
            acks: None,
            clamp: config.clamp,
            now: 0,
            answers: Vec::new(),
            asking: None,
            order: config.resequence.map(|(limit, most)| Box::new(Resequencer::new(limit, most))),
        }
    }

    /// Sends a frame on, which is source packet `seq` unless it was bypassed.
    #[inline]
    pub(super) fn deliver(&mut self, now: u64, frame: Mbuf, origin: Origin, seq: u64) {
        match self.order {
            None => self.put(now, frame, origin, seq),
            Some(_) => self.deliver_in_order(now, frame, origin, seq),
        }
    }

    /// Puts a frame on the LAN.
    #[inline]
    pub(super) fn put(&mut self, now: u64, mut frame: Mbuf, origin: Origin, seq: u64) {
        let counters = &self.counters;
        if let Some(max) = self.clamp {
            frame = fit::clamp(frame, max, &self.pool, &counters.mss_clamped);
        }
        let len = frame.len() as u64;
        if let Some(acks) = &mut self.acks {
            acks.look(frame.data());
        }
        if !self.lan.push(now, frame) {
            counters.lan_full.add(1);
            return;
        }
        self.tally.delivered += 1;
        self.tally.delivered_bytes += len;
        match origin {
            Origin::Source => self.observer.delivered(now, seq, false),
            Origin::Rebuilt => {
                counters.recovered.add(1);
                self.observer.delivered(now, seq, true);
            }
            Origin::Bypassed => counters.bypassed.add(1),
        }
    }

    /// Adds what was tallied to the counters.
    pub(super) fn publish(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        self.counters.wan_in.add(tally.wan_in);
        self.counters.wan_in_bytes.add(tally.wan_in_bytes);
        self.counters.delivered.add(tally.delivered);
        self.counters.delivered_bytes.add(tally.delivered_bytes);
    }

    #[inline(never)]
    pub(super) fn deliver_rebuilt(&mut self, now: u64, rebuilt: Rebuilt<'_>) -> Option<Kept> {
        let Some(mbuf) = self.pool.copy_of(rebuilt.frame) else {
            self.counters.no_mbuf.add(1);
            return None;
        };
        let kept = mbuf.keep();
        self.measure.rebuilt(now, rebuilt.seq, rebuilt.layer);
        if let Some(asking) = &mut self.asking {
            asking.holes_mut().filled(rebuilt.seq);
        }
        self.deliver(now, mbuf, Origin::Rebuilt, rebuilt.seq);
        Some(kept)
    }
}
