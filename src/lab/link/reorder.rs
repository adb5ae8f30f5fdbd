//! Frames that are held back until others have gone by.
//!
//! All are held for the same distance and the same longest time, so the one that was held first
//! is also freed first: a queue is enough, and what it frees comes in order of exit.

use std::collections::VecDeque;

use super::{Flight, Impairment, LinkCounters};

/// How long a frame is held if too few come by.
pub(super) const LONGEST_HOLD_NS: u64 = 10_000_000;

pub(super) struct Reorder {
    impairment: Impairment,
    distance: u64,
    /// How many frames have gone by, of all that were not held.
    gone_by: u64,
    held: VecDeque<Held>,
}

struct Held {
    flight: Flight,
    /// What `gone_by` was when it was held.
    since: u64,
    /// When it leaves at the latest.
    limit_ns: u64,
}

impl Reorder {
    pub(super) fn new(impairment: Impairment, distance: u32) -> Reorder {
        let distance = u64::from(distance);
        Reorder { impairment, distance, gone_by: 0, held: VecDeque::new() }
    }

    #[inline]
    pub(super) fn strikes(&mut self) -> bool {
        self.impairment.strikes()
    }

    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// When the next one leaves if no more frames come by.
    #[inline]
    pub(super) fn next_limit(&self) -> Option<u64> {
        self.held.front().map(|held| held.limit_ns)
    }

    pub(super) fn hold(&mut self, flight: Flight) {
        let limit_ns = flight.exit_ns.saturating_add(LONGEST_HOLD_NS);
        self.held.push_back(Held { flight, since: self.gone_by, limit_ns });
    }

    /// A frame with this exit time has gone by: whoever has waited for it leaves right behind it.
    pub(super) fn passed(
        &mut self,
        exit_ns: u64,
        counters: &mut LinkCounters,
        mut push: impl FnMut(Flight),
    ) {
        self.gone_by += 1;
        while let Some(held) = self.held.front()
            && self.gone_by - held.since >= self.distance
        {
            counters.reordered += 1;
            push(Flight { exit_ns, ..held.flight });
            self.held.pop_front();
        }
    }

    /// Frees those whose limit is at or before `now`.
    pub(super) fn release_overdue(
        &mut self,
        now: u64,
        counters: &mut LinkCounters,
        mut push: impl FnMut(Flight),
    ) {
        while let Some(held) = self.held.front()
            && held.limit_ns <= now
        {
            counters.reordered += u64::from(self.gone_by > held.since);
            push(Flight { exit_ns: held.limit_ns, ..held.flight });
            self.held.pop_front();
        }
    }
}
