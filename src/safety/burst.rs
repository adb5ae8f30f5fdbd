//! Single bursts: which are always recovered, and at which level one may be fatal.
//!
//! A burst of L packets can take two things of a group only if they are less than L apart on the
//! wire. What is nearest in a group of a layer are neighbouring members, an interleave apart, and
//! the last member and the repair, a guard apart; other layers' repairs lie between them, at least
//! as many as the quietest such stretch has. Call the smallest such distance D. Then the layer
//! alone recovers every burst of up to D packets, wherever it begins.
//!
//! Together layers may do more, by peeling. If the code repeats soon enough, every burst of a
//! period is peeled; else the best D is what is promised.

use super::schedule::{Clock, Phase, Schedule};
use crate::fec::Code;
use crate::fec::code::MAX_LAYERS;
use crate::fec::encoder::BATCH;

/// A layer's schedule is searched for its quietest stretch if it repeats after this many packets.
const QUIET_PERIOD: i64 = 1 << 20;
/// Periods of up to this many source packets, times layers, are peeled burst by burst.
const PEELED: i64 = 2_500_000;

/// The largest L such that every single burst of L wire packets is recovered, wherever it begins,
/// when all packets around it arrive and repairs follow their packets one by one. Exact if the
/// code repeats within a million packets or so; else at least this much is.
pub fn always_recovered(code: &Code) -> u64 {
    let schedule = Schedule::new(code);
    let period = joint_period(&schedule);
    match period.filter(|period| period * schedule.clocks.len() as i64 <= PEELED) {
        Some(period) => Stretch::new(&schedule, period).guaranteed() as u64,
        None => {
            let alone = schedule.clocks.iter().map(|clock| nearest(&schedule, clock, 1));
            alone.max().unwrap_or(0) as u64
        }
    }
}

/// For repairs at their time and for those cut short: 1 for each level that one burst of `length`
/// may defeat, else 0.
pub(super) fn defeated(code: &Code, length: u64) -> [[f64; MAX_LAYERS]; 2] {
    let schedule = Schedule::new(code);
    let clocks = schedule.clocks.iter();
    let mut distances: Vec<i64> = clocks.map(|c| nearest(&schedule, c, BATCH as i64)).collect();
    // The worst k repairs are those of the layers whose groups lie closest together.
    distances.sort_unstable();
    let mut dense = [0.0; MAX_LAYERS];
    for (level, bound) in dense.iter_mut().enumerate() {
        let distance = distances.get(level).or(distances.last()).copied().unwrap_or(0);
        *bound = if length > distance as u64 { 1.0 } else { 0.0 };
    }
    // A lone packet's copies are its neighbours, and so may a member of all of its groups be.
    [dense, [if length > 1 { 1.0 } else { 0.0 }; MAX_LAYERS]]
}

/// The smallest distance on the wire between two things of one group of `clock`'s layer, when
/// repairs follow bursts of `burst` packets.
fn nearest(schedule: &Schedule, clock: &Clock, burst: i64) -> i64 {
    let repairs_in = |sources: i64| -> i64 {
        schedule.clocks.iter().map(|other| fewest_due(other, sources.max(0))).sum()
    };
    let repair = clock.guard + 1 + repairs_in(clock.guard);
    match clock.r {
        1 => repair,
        // Repairs that are due near either end may leave outside.
        _ => repair.min(clock.i + repairs_in(clock.i - (burst - 1))),
    }
}

/// The fewest repairs of a layer that are due behind any `sources` packets in a row.
fn fewest_due(clock: &Clock, sources: i64) -> i64 {
    if clock.period() > QUIET_PERIOD {
        return 0;
    }
    (0..clock.period())
        .map(|time| clock.closed_by(time + sources) - clock.closed_by(time))
        .min()
        .unwrap_or(0)
}

/// After how many packets the code repeats, if that is no more than can be looked at.
fn joint_period(schedule: &Schedule) -> Option<i64> {
    let gcd = |mut a: i64, mut b: i64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    schedule.clocks.iter().try_fold(1, |joint, clock| {
        let joint = joint / gcd(joint, clock.period()) * clock.period();
        (joint <= PEELED).then_some(joint)
    })
}

/// What a wire packet is.
#[derive(Clone, Copy)]
enum Sent {
    Source(u32),
    Repair,
}

/// No group, or none whose repair is within the stretch.
const NONE: u32 = u32::MAX;

/// A period of the wire and enough behind it, and a decoder that peels one burst at a time.
struct Stretch {
    layers: usize,
    wire: Vec<Sent>,
    /// The positions of a period in which all repairs are there.
    period: std::ops::Range<usize>,
    /// For each source packet and layer its group.
    groups_of: Vec<u32>,
    /// For each group the position of its repair.
    repair_at: Vec<u32>,
    /// For each group how many of its members are missing, and the XOR of their numbers.
    missing: Vec<(u32, u32)>,
    ripe: Vec<u32>,
}

impl Stretch {
    fn new(schedule: &Schedule, period: i64) -> Stretch {
        let phase = Phase::of_seq(schedule, 0);
        let layers = schedule.clocks.len();
        let longest = schedule.clocks.iter().map(|clock| clock.i + clock.guard).max().unwrap_or(0);
        let begin = longest;
        let packets = begin + period + 8 * longest + 64;
        let mut stretch = Stretch {
            layers,
            wire: Vec::new(),
            period: 0..0,
            groups_of: vec![NONE; packets as usize * layers],
            repair_at: Vec::new(),
            missing: Vec::new(),
            ripe: Vec::new(),
        };
        stretch.number_groups(schedule, &phase, packets);
        let mut repair_at = vec![NONE; stretch.missing.len()];
        for packet in 0..packets {
            if packet == begin {
                stretch.period.start = stretch.wire.len();
            }
            if packet == begin + period {
                stretch.period.end = stretch.wire.len();
            }
            stretch.wire.push(Sent::Source(packet as u32));
            for (layer, clock) in schedule.clocks.iter().enumerate() {
                let last = packet - clock.guard;
                if last >= 0 && clock.is_due(phase.times[layer] + packet) {
                    let group = stretch.groups_of[last as usize * layers + layer];
                    repair_at[group as usize] = stretch.wire.len() as u32;
                    stretch.wire.push(Sent::Repair);
                }
            }
        }
        stretch.repair_at = repair_at;
        stretch
    }

    fn number_groups(&mut self, schedule: &Schedule, phase: &Phase, packets: i64) {
        for (layer, clock) in schedule.clocks.iter().enumerate() {
            for packet in 0..packets {
                let before = packet - clock.i;
                let first = before < 0 || clock.place(phase.times[layer] + packet) == 0;
                let group = match first {
                    true => {
                        self.missing.push((0, 0));
                        self.missing.len() as u32 - 1
                    }
                    false => self.groups_of[before as usize * self.layers + layer],
                };
                self.groups_of[packet as usize * self.layers + layer] = group;
            }
        }
    }

    /// The largest length at which no start of the period fails.
    fn guaranteed(&mut self) -> usize {
        let mut best = self.wire.len() - self.period.end;
        // What a burst takes, a longer one around it takes too: one that is recovered settles all
        // starts within it. How much longer to try is what went well last time.
        let (mut start, mut more) = (self.period.start, 0);
        while start < self.period.end {
            let length = (best + more).min(self.wire.len() - start);
            if self.recovers(start, length) {
                start += length - best + 1;
                more = more * 2 + 1;
            } else if more > 0 {
                more /= 4;
            } else {
                let (mut good, mut bad) = (0, best);
                while bad - good > 1 {
                    let middle = (good + bad) / 2;
                    if self.recovers(start, middle) { good = middle } else { bad = middle }
                }
                best = good;
            }
        }
        best
    }

    /// Whether everything comes back when `length` packets from `start` on are lost.
    fn recovers(&mut self, start: usize, length: usize) -> bool {
        let Stretch { layers, wire, groups_of, repair_at, missing, ripe, .. } = self;
        let groups = |packet: u32| &groups_of[packet as usize * *layers..][..*layers];
        let burst = start..start + length;
        let lost = || {
            wire[burst.clone()].iter().filter_map(|sent| match *sent {
                Sent::Source(packet) => Some(packet),
                Sent::Repair => None,
            })
        };
        let mut left = 0;
        for packet in lost() {
            left += 1;
            for &group in groups(packet) {
                let missing = &mut missing[group as usize];
                *missing = (missing.0 + 1, missing.1 ^ packet);
            }
        }
        let arrives = |group: u32| !burst.contains(&(repair_at[group as usize] as usize));
        for packet in lost() {
            let mine = groups(packet).iter().copied();
            ripe.extend(mine.filter(|&g| missing[g as usize].0 == 1 && arrives(g)));
        }
        while let Some(group) = ripe.pop() {
            let (1, packet) = missing[group as usize] else { continue };
            left -= 1;
            for &group in groups(packet) {
                let missing = &mut missing[group as usize];
                *missing = (missing.0 - 1, missing.1 ^ packet);
                if missing.0 == 1 && arrives(group) {
                    ripe.push(group);
                }
            }
        }
        for packet in lost() {
            groups(packet).iter().for_each(|&group| missing[group as usize] = (0, 0));
        }
        left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(code: &str) -> u64 {
        always_recovered(&code.parse().unwrap())
    }

    /// What the tests of the code found by brute force with the real encoder.
    #[test]
    fn agrees_with_the_committed_table() {
        let table = include_str!("../../tests/code/burst_table.tsv");
        for line in table.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            let code = format!("{}+g{}", cells[0], cells[1]);
            assert_eq!(burst(&code).to_string(), cells[3], "{code}");
        }
    }

    #[test]
    fn a_guard_of_one_carries_its_interleave() {
        for (code, least) in
            [("64:97,101,103,107+g1", 107), ("8x1/64x101/64x103+g1", 103), ("1:50+g1", 50)]
        {
            assert!(burst(code) >= least, "{code}");
        }
    }

    /// A repair that follows its last member at once.
    #[test]
    fn without_a_guard_a_few_packets_are_fatal() {
        let got = ["8:1,20,40", "20:97,101", "1:50", "1:1"].map(burst);
        assert_eq!(got, [3, 2, 1, 1]);
    }

    #[test]
    fn levels_fall_to_bursts_of_their_reach() {
        let code: Code = "20:97,101,103+g1".parse().unwrap();
        let [dense, flushed] = defeated(&code, 97);
        assert_eq!((dense[0], flushed[0]), (0.0, 1.0));
        let [dense, _] = defeated(&code, 120);
        assert_eq!(dense, [1.0; MAX_LAYERS]);
        assert_eq!(defeated(&code, 1), [[0.0; MAX_LAYERS]; 2]);
    }
}
