//! The link's rate, and the queue before it: when does a frame's last bit leave?

use std::collections::VecDeque;

/// Preamble and start of frame 8, FCS 4, inter-frame gap 12: what Ethernet adds to each frame.
pub(super) const WIRE_OVERHEAD: usize = 24;

pub(super) struct Shaper {
    rate_bps: Option<u64>,
    queue: usize,
    /// When the wire is free again, in whole nanoseconds and …
    free_ns: u64,
    /// … a remainder of this many rate-ths of a nanosecond, so that no rounding adds up.
    free_rest: u64,
    /// When each frame that waits or is being sent will have gone; ascending.
    departures: VecDeque<u64>,
}

impl Shaper {
    pub(super) fn new(rate_bps: Option<u64>, queue: usize) -> Shaper {
        Shaper { rate_bps, queue, free_ns: 0, free_rest: 0, departures: VecDeque::new() }
    }

    /// When a frame that comes at `now` will have gone out, never before an earlier one; None if
    /// the queue is full.
    #[inline]
    pub(super) fn admit(&mut self, now: u64, frame_len: usize) -> Option<u64> {
        let Some(rate) = self.rate_bps else {
            self.free_ns = self.free_ns.max(now);
            return Some(self.free_ns);
        };
        while self.departures.front().is_some_and(|&gone| gone <= now) {
            self.departures.pop_front();
        }
        // One is being sent, the others wait.
        if self.departures.len() > self.queue {
            return None;
        }
        if now > self.free_ns {
            (self.free_ns, self.free_rest) = (now, 0);
        }
        // At most 65,577 bytes (a u16 MTU) and 10^15 bit/s: below 2^51, no overflow.
        let work = ((frame_len + WIRE_OVERHEAD) as u64 * 8) * 1_000_000_000 + self.free_rest;
        self.free_ns = self.free_ns.saturating_add(work / rate);
        self.free_rest = work % rate;
        self.departures.push_back(self.free_ns);
        Some(self.free_ns)
    }
}
