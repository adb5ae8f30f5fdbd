//! When frames arrive on the LAN, and a port that delivers them then.

use std::collections::VecDeque;

use super::capture::{Capture, FrameInfo};
use super::told::Arrivals;
use crate::dpdk::mbuf::{Burst, Mbuf};
use crate::gateway::Receive;

/// Bytes that a frame takes on an Ethernet beside its own: preamble, FCS, gap.
const ETHERNET_OVERHEAD: u64 = 24;

/// How fast the LAN brings its frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Back to back at so many bits a second: a frame has arrived when its last bit has.
    Rate(u64),
    /// Evenly, so many packets a second.
    PacketsPerSecond(f64),
    /// As the capture's timestamps say.
    Recorded,
}

/// When each frame of a capture has arrived, in nanoseconds from the start; never decreasing.
pub fn schedule(capture: &Capture, pace: Pace) -> Vec<u64> {
    let frames = &capture.frames;
    match pace {
        Pace::Rate(rate) => {
            let bits = frames.iter().scan(0u128, |bits, frame| {
                *bits += u128::from(u64::from(frame.len) + ETHERNET_OVERHEAD) * 8;
                Some(*bits)
            });
            bits.map(|bits| (bits * 1_000_000_000 / u128::from(rate.max(1))) as u64).collect()
        }
        Pace::PacketsPerSecond(pps) => {
            (0..frames.len()).map(|n| (n as f64 * 1e9 / pps) as u64).collect()
        }
        Pace::Recorded => {
            let start = frames.first().map_or(0, |frame| frame.time_ns);
            frames.iter().map(|&FrameInfo { time_ns, .. }| time_ns - start).collect()
        }
    }
}

/// A receive queue whose frames come at their times.
pub struct Paced<R> {
    inner: R,
    /// When the next frame arrives, and those behind it.
    times: VecDeque<u64>,
    /// Frames read ahead of their time.
    ahead: VecDeque<Mbuf>,
    buffer: Burst,
    /// Who wants to see the frames.
    pub(super) watched: Option<Arrivals>,
}

impl<R: Receive> Paced<R> {
    /// The frames of `inner`, of which the n-th arrives at the n-th of `times`.
    pub fn new(inner: R, times: Vec<u64>) -> Paced<R> {
        Paced {
            inner,
            times: times.into(),
            ahead: VecDeque::new(),
            buffer: Burst::new(),
            watched: None,
        }
    }

    /// When the next frame arrives.
    pub fn next_arrival(&self) -> Option<u64> {
        self.times.front().copied()
    }

    /// How many frames are yet to come.
    pub fn remaining(&self) -> usize {
        self.times.len()
    }
}

impl<R: Receive> Receive for Paced<R> {
    fn receive(&mut self, now: u64, burst: &mut Burst) {
        while !burst.is_full() && self.times.front().is_some_and(|&time| time <= now) {
            if self.ahead.is_empty() {
                self.inner.receive(now, &mut self.buffer);
                self.ahead.extend(self.buffer.drain(..));
            }
            // None when the port had nothing, for lack of mbufs say: it is asked again.
            let Some(mbuf) = self.ahead.pop_front() else { return };
            self.times.pop_front();
            if let Some(watched) = &mut self.watched {
                watched.note(now, mbuf.data());
            }
            burst.push(mbuf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture() -> Capture {
        let frame = |time_ns, len| FrameInfo { time_ns, len };
        let frames = vec![frame(5000, 101), frame(5000, 1226), frame(9000, 60)];
        Capture { frames, cut: 0, backwards: 0, max_len: 1226, bytes: 1387 }
    }

    #[test]
    fn frames_arrive_when_their_last_bit_has() {
        // 125 and 1250 bytes on the wire, at 1 Gb/s.
        let times = schedule(&capture(), Pace::Rate(1_000_000_000));
        assert_eq!(times, [1000, 11_000, 11_672]);
    }

    #[test]
    fn frames_arrive_evenly_or_as_recorded() {
        assert_eq!(schedule(&capture(), Pace::PacketsPerSecond(1e6)), [0, 1000, 2000]);
        assert_eq!(schedule(&capture(), Pace::Recorded), [0, 0, 4000]);
    }
}
