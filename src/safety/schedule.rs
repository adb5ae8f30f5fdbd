//! When the encoder sends what while traffic is dense: the code's definition as arithmetic.
//!
//! Packet t of a layer's clock falls in bin b = t mod i as its k-th, k = t div i, and is number
//! (k + ⌊b·r/i⌋) mod r of its group. So in the k-th round through the bins, groups close in those
//! bins where ⌊b·r/i⌋ = r − 1 − k mod r: i/r neighbours. A repair is due when a guard's worth of
//! further packets has gone, and leaves with the end of the burst in which that happens.

use crate::fec::code::MAX_LAYERS;
use crate::fec::{Code, Layer};

/// One layer's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Group size and interleave.
    pub(super) r: i64,
    pub(super) i: i64,
    pub(super) guard: i64,
}

impl Clock {
    fn new(layer: Layer, guard: u64) -> Clock {
        Clock { r: layer.group.into(), i: layer.interleave.into(), guard: guard as i64 }
    }

    /// After this many packets everything repeats.
    pub(super) fn period(&self) -> i64 {
        self.r * self.i
    }

    /// The time at which the packet in bin `bin` is number `place` of its group.
    pub(super) fn time_of(&self, bin: i64, place: i64) -> i64 {
        (place - bin * self.r / self.i).rem_euclid(self.r) * self.i + bin
    }

    /// Which number of its group the packet at `time` is, from 0.
    pub(super) fn place(&self, time: i64) -> i64 {
        let (k, bin) = (time.div_euclid(self.i), time.rem_euclid(self.i));
        (k + bin * self.r / self.i).rem_euclid(self.r)
    }

    /// The first bin whose stagger is `stagger` or more.
    pub(super) fn bin_of(&self, stagger: i64) -> i64 {
        (stagger * self.i + self.r - 1) / self.r
    }

    /// How many groups were closed by the packets up to and including `time`, on a count that may
    /// begin anywhere.
    pub(super) fn closed_by(&self, time: i64) -> i64 {
        let (period, within) = (time.div_euclid(self.period()), time.rem_euclid(self.period()));
        let (k, bin) = (within / self.i, within % self.i);
        let (low, high) = (self.bin_of(self.r - 1 - k), self.bin_of(self.r - k));
        period * self.i + (self.i - high) + (bin + 1 - low).clamp(0, high - low)
    }

    /// Whether a repair is due when the packet at `time` has gone.
    pub(super) fn is_due(&self, time: i64) -> bool {
        self.place(time - self.guard) == self.r - 1
    }
}

/// A code's clocks, all of them.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) clocks: Vec<Clock>,
}

impl Schedule {
    pub(super) fn new(code: &Code) -> Schedule {
        Schedule { clocks: code.layers().iter().map(|&l| Clock::new(l, code.guard(l))).collect() }
    }
}

/// Where the wire is when packet 0 is sent. Layers' clocks may stand at any times: those of coprime
/// layers meet in every combination but for their group sizes' common factors.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    /// What each layer's clock shows.
    pub(super) times: [i64; MAX_LAYERS],
    /// How many packets a burst has, behind which its repairs follow.
    pub(super) burst: i64,
    /// Which of its burst packet 0 is.
    pub(super) in_burst: i64,
}

impl Phase {
    /// That of sequence number `seq` in a channel whose packets are sent one by one.
    pub(super) fn of_seq(schedule: &Schedule, seq: u64) -> Phase {
        let mut times = [0; MAX_LAYERS];
        for (time, clock) in times.iter_mut().zip(&schedule.clocks) {
            *time = (seq % clock.period() as u64) as i64;
        }
        Phase { times, burst: 1, in_burst: 0 }
    }

    /// The last packet of the burst that `packet` is in.
    fn burst_end(&self, packet: i64) -> i64 {
        packet - (packet + self.in_burst).rem_euclid(self.burst) + self.burst - 1
    }

    /// How many repairs of all layers were due by `packet`.
    fn due_by(&self, schedule: &Schedule, packet: i64) -> i64 {
        let clocks = schedule.clocks.iter().zip(self.times);
        clocks.map(|(clock, time)| clock.closed_by(time + packet - clock.guard)).sum()
    }

    /// The position of source packet `packet` on the wire; packet 0's may be any.
    pub(super) fn source(&self, schedule: &Schedule, packet: i64) -> i64 {
        packet + self.due_by(schedule, self.burst_end(packet) - self.burst)
    }

    /// The position of the repair of layer number `layer` that is due behind packet `due`.
    pub(super) fn repair(&self, schedule: &Schedule, layer: usize, due: i64) -> i64 {
        let clocks = schedule.clocks.iter().zip(self.times).take(layer);
        let first = clocks.filter(|(clock, time)| clock.is_due(time + due)).count() as i64;
        self.burst_end(due) + 1 + self.due_by(schedule, due - 1) + first
    }

    /// Packet 0's group in layer number `layer`: its first and last member.
    pub(super) fn group(&self, schedule: &Schedule, layer: usize) -> (i64, i64) {
        let clock = &schedule.clocks[layer];
        let place = clock.place(self.times[layer]);
        (-place * clock.i, (clock.r - 1 - place) * clock.i)
    }

    /// After which packet the repair of that group is due.
    pub(super) fn due(&self, schedule: &Schedule, layer: usize) -> i64 {
        self.group(schedule, layer).1 + schedule.clocks[layer].guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_packets_one_by_one() {
        for (r, i) in [(1, 1), (1, 7), (8, 1), (8, 5), (5, 8), (20, 97), (3, 100)] {
            let clock = Clock { r, i, guard: 0 };
            let mut closed = clock.closed_by(-1);
            for time in 0..3 * clock.period() {
                closed += i64::from(clock.place(time) == r - 1);
                assert_eq!(clock.closed_by(time), closed, "{r} {i} {time}");
                let place = clock.place(time);
                let again = clock.time_of(time % i, place);
                assert_eq!(again, time % clock.period());
            }
        }
    }
}
