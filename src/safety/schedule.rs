//! When the encoder sends what while traffic is dense: the code's definition as arithmetic.
//!
//! Packet t of a layer's clock falls in bin b = t mod i as its k-th, k = t div i, and is number
//! (k + ⌊b·r/i⌋) mod r of its group. So in the k-th round through the bins, groups close in those
//! bins where ⌊b·r/i⌋ = r − 1 − k mod r: i/r neighbours. A repair is due when a guard's worth of
//! further packets has gone, and leaves with the end of the burst in which that happens.

use crate::fec::code::MAX_LAYERS;
use crate::fec::{Code, Layer};

/// One layer's clock.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Group size and interleave.
    pub(super) r: i64,
    pub(super) i: i64,
    pub(super) guard: i64,
    /// For each bin its stagger, and for each stagger the first bin that has it or more.
    staggers: Vec<i64>,
    bins: Vec<i64>,
}

impl Clock {
    pub(super) fn new(layer: Layer, guard: u64) -> Clock {
        let (r, i) = (i64::from(layer.group), i64::from(layer.interleave));
        Clock {
            r,
            i,
            guard: guard as i64,
            staggers: (0..i).map(|bin| bin * r / i).collect(),
            bins: (0..=r).map(|stagger| (stagger * i + r - 1) / r).collect(),
        }
    }

    /// After this many packets everything repeats.
    pub(super) fn period(&self) -> i64 {
        self.r * self.i
    }

    /// The time at which the packet in bin `bin` is number `place` of its group.
    pub(super) fn time_of(&self, bin: i64, place: i64) -> i64 {
        (place - self.staggers[bin as usize]).rem_euclid(self.r) * self.i + bin
    }

    /// Which number of its group the packet at `time` is, from 0.
    #[inline]
    pub(super) fn place(&self, time: i64) -> i64 {
        let within = time.rem_euclid(self.period()) as u32;
        let (k, bin) = (within / self.i as u32, within % self.i as u32);
        let place = i64::from(k) + self.staggers[bin as usize];
        if place >= self.r { place - self.r } else { place }
    }

    /// The first bin whose stagger is `stagger` or more.
    pub(super) fn bin_of(&self, stagger: i64) -> i64 {
        self.bins[stagger as usize]
    }

    /// How many groups were closed by the packets up to and including `time`, on a count that may
    /// begin anywhere.
    #[inline]
    pub(super) fn closed_by(&self, time: i64) -> i64 {
        let period = time.div_euclid(self.period());
        let within = (time - period * self.period()) as u32;
        let (k, bin) = (within / self.i as u32, i64::from(within % self.i as u32));
        let (low, high) =
            (self.bin_of(self.r - 1 - i64::from(k)), self.bin_of(self.r - i64::from(k)));
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
        for (r, i) in [(1u16, 1u16), (1, 7), (8, 1), (8, 5), (5, 8), (20, 97), (3, 100)] {
            let clock = Clock::new(Layer { group: r, interleave: i }, 0);
            let (r, i) = (clock.r, clock.i);
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
