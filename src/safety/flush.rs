//! What a pause makes of a train of packets: the layouts of groups that a flush has closed.
//!
//! The encoder's rules (`fec::layer`), once more: behind the last packet leave the repairs that the
//! guard holds back, then, layer by layer, those of what is open. A layer merges bins until its
//! groups have about r/2 members: every so many packets of a train that is shorter than the
//! interleave, else whole bins. Nothing else is sent meanwhile, so that all of them are neighbours
//! on the wire: copies of a lone packet too.

use super::chain::{Spot, TARGET};
use super::schedule::{Clock, Phase, Schedule};
use crate::fec::Code;
use crate::fec::group::{MAX_MEMBERS, MAX_RUNS};

/// Trains are no longer than this.
const LONGEST: i64 = 1 << 15;
/// Every length up to this, from several starts, then lengths in such steps of themselves.
const EVERY: i64 = 64;
const STARTS: u64 = 4;
const STEP: i64 = 10;
/// How many packets of a train are looked at.
const PACKETS: usize = 15;

/// A train on the wire.
pub(super) struct Train {
    /// Where each source packet is.
    pub(super) sources: Vec<i64>,
    /// The groups whose repairs have left: their layer, the repair's position, their members.
    pub(super) groups: Vec<Group>,
    /// For each layer and source packet the group.
    group_of: Vec<Vec<usize>>,
    wire: i64,
}

pub(super) struct Group {
    #[cfg(test)]
    pub(super) layer: usize,
    pub(super) at: i64,
    pub(super) members: Vec<usize>,
}

/// Shows `see` layouts of packets in trains of up to a span and a quarter that begin anywhere and end
/// with a pause, and one of a packet that is in the largest group of every layer at once.
pub(super) fn trains(code: &Code, mut see: impl FnMut(&mut [Spot])) {
    let schedule = Schedule::new(code);
    let longest = (code.span() as i64 * 5 / 4 + EVERY).min(LONGEST);
    let mut spots = Vec::new();
    let mut length = 1;
    while length <= longest {
        // Long trains meet all phases anyway; short ones begin here and there.
        for start in 0..if length <= EVERY { STARTS } else { 1 } {
            let train = Train::new(&schedule, start * 7919 + length as u64 * 31, length);
            for packet in train.interesting() {
                train.layout(packet, &mut spots);
                see(&mut spots);
            }
        }
        length += if length < EVERY { 1 } else { length / STEP };
    }
    in_the_largest(&schedule, &mut spots);
    see(&mut spots);
}

/// A packet whose groups are as large as merging makes them, none of their members in two; behind it
/// the repairs.
///
/// That is 2(r − 1). When a share x of a span has passed since the last flush, the bins that are open
/// have x·r members at most, and x·r·(1 − x/2) in the mean, since some were closed meanwhile. So a
/// repair is sent for 2x − x² of them: what it merges, 1/(2x − x²) bins rounded up, comes to the most
/// where x is nearly 1, two bins of nearly r.
fn in_the_largest(schedule: &Schedule, spots: &mut Vec<Spot>) {
    spots.clear();
    spots.push(Spot { at: 0, mask: TARGET });
    for (layer, clock) in schedule.clocks.iter().enumerate() {
        let others = 1..2 * (clock.r - 1);
        spots.extend(others.map(|n| Spot { at: -n * clock.i, mask: 1 << layer }));
        spots.push(Spot { at: layer as i64 + 1, mask: 1 << layer });
    }
}

impl Train {
    /// The train of `length` packets from sequence number `start` on.
    pub(super) fn new(schedule: &Schedule, start: u64, length: i64) -> Train {
        let phase = Phase::of_seq(schedule, start);
        let mut train = Train {
            sources: Vec::new(),
            groups: Vec::new(),
            group_of: vec![vec![0; length as usize]; schedule.clocks.len()],
            wire: 0,
        };
        let mut layers: Vec<_> = schedule.clocks.iter().map(OpenLayer::new).collect();
        for packet in 0..length {
            train.sources.push(train.wire);
            train.wire += 1;
            for (layer, time) in layers.iter_mut().zip(phase.times) {
                layer.enter(packet, time + packet);
            }
            for (number, layer) in layers.iter_mut().enumerate() {
                while layer.held.front().is_some_and(|held| held.0 <= packet) {
                    train.release(number, layer);
                }
            }
        }
        // The first layer's time is up; all guards end; then the other layers', one by one.
        for number in 0..layers.len() {
            for (held, layer) in layers.iter_mut().enumerate() {
                while !layer.held.is_empty() {
                    train.release(held, layer);
                }
                if held == number {
                    let groups = layer.flush(number);
                    groups.into_iter().for_each(|members| train.send(number, members));
                }
            }
        }
        train
    }

    fn release(&mut self, number: usize, layer: &mut OpenLayer) {
        if let Some((_, members)) = layer.held.pop_front() {
            self.send(number, members);
        }
    }

    fn send(&mut self, layer: usize, members: Vec<usize>) {
        for &member in &members {
            self.group_of[layer][member] = self.groups.len();
        }
        self.groups.push(Group {
            #[cfg(test)]
            layer,
            at: self.wire,
            members,
        });
        self.wire += 1;
    }

    /// Some [`PACKETS`]: the ends, those whose groups are large in all layers, and some in
    /// between.
    fn interesting(&self) -> Vec<usize> {
        let last = self.sources.len() - 1;
        let mut packets = vec![last, 0, last / 2, last.saturating_sub(1)];
        let size = |packet: usize| -> f64 {
            let groups = self.group_of.iter().map(|groups| groups[packet]);
            groups.map(|group| (self.groups[group].members.len() as f64).ln()).sum()
        };
        let mut sizes: Vec<(f64, usize)> =
            (0..=last).map(|packet| (size(packet), packet)).collect();
        let largest = (PACKETS / 3).min(sizes.len());
        sizes.select_nth_unstable_by(largest.max(1) - 1, |a, b| b.0.total_cmp(&a.0));
        packets.extend(sizes[..largest].iter().map(|&(_, packet)| packet));
        let between = PACKETS.saturating_sub(packets.len());
        packets.extend((1..=between).map(|n| n * last / (between + 1)));
        packets.sort_unstable();
        packets.dedup();
        packets
    }

    fn layout(&self, packet: usize, spots: &mut Vec<Spot>) {
        spots.clear();
        spots.push(Spot { at: self.sources[packet], mask: TARGET });
        for (layer, groups) in self.group_of.iter().enumerate() {
            let group = &self.groups[groups[packet]];
            let mask = 1 << layer;
            let others = group.members.iter().filter(|&&member| member != packet);
            spots.extend(others.map(|&member| Spot { at: self.sources[member], mask }));
            spots.push(Spot { at: group.at, mask });
        }
    }
}

/// A layer's bins and what its guard holds back.
struct OpenLayer {
    clock: Clock,
    bins: Vec<Vec<usize>>,
    held: std::collections::VecDeque<(i64, Vec<usize>)>,
}

impl OpenLayer {
    fn new(clock: &Clock) -> OpenLayer {
        let bins = vec![Vec::new(); clock.i as usize];
        OpenLayer { clock: clock.clone(), bins, held: Default::default() }
    }

    fn enter(&mut self, packet: i64, time: i64) {
        let bin = &mut self.bins[time.rem_euclid(self.clock.i) as usize];
        bin.push(packet as usize);
        if self.clock.place(time) == self.clock.r - 1 {
            self.held.push_back((packet + self.clock.guard, std::mem::take(bin)));
        }
    }

    /// What is open, merged; in the order of sending.
    fn flush(&mut self, number: usize) -> Vec<Vec<usize>> {
        let mut open: Vec<_> = self.bins.iter_mut().filter(|bin| !bin.is_empty()).collect();
        let packets: usize = open.iter().map(|bin| bin.len()).sum();
        let bases = || open.iter().map(|bin| bin[0]);
        let (Some(first), Some(last)) = (bases().min(), bases().max()) else { return Vec::new() };
        let lone = packets == open.len() && last - first + 1 == packets;
        if lone {
            // From the first packet of the train on.
            open.sort_unstable_by_key(|bin| bin[0]);
        }
        let r = self.clock.r as usize;
        let most_merged = if lone { MAX_MEMBERS } else { MAX_RUNS.min(MAX_MEMBERS / r) };
        let wanted = packets.div_ceil(r.div_ceil(2)) + number;
        let groups = wanted.clamp(open.len().div_ceil(most_merged), open.len());
        let mut merged = vec![Vec::new(); groups];
        for (rank, bin) in open.into_iter().enumerate() {
            merged[rank % groups].append(bin);
        }
        merged
    }
}
#[cfg(test)]
mod tests {
    use super::super::chain::Joint;
    use super::super::link::Loss;
    use super::super::model::by_level;
    use super::*;

    /// Packets in trains of far more lengths and from other starts risk hardly more than those that
    /// are looked at: by as much as the model adds for what it has not met.
    #[test]
    fn trains_that_are_not_looked_at_are_hardly_worse() {
        for (text, rate) in
            [("8:5,7,9,11+g1", 0.01), ("8:97,101,103+g1", 0.01), ("20:31,37,41+g1", 0.001)]
        {
            let code: Code = text.parse().unwrap();
            let layers = code.layers().len();
            let mut joint = Joint::new(&Loss::Iid { rate });
            let mut looked_at = [0.0f64; 8];
            trains(&code, |spots| {
                let levels = by_level(&mut joint, spots, layers);
                looked_at.iter_mut().zip(levels).for_each(|(most, level)| *most = most.max(level));
            });
            let schedule = Schedule::new(&code);
            let mut spots = Vec::new();
            for length in (1..150).chain((150..900).step_by(37)) {
                let train = Train::new(&schedule, 5 + 1009 * length as u64, length);
                for packet in 0..length as usize {
                    train.layout(packet, &mut spots);
                    let levels = by_level(&mut joint, &mut spots, layers);
                    for (level, (got, most)) in levels.iter().zip(&looked_at).enumerate() {
                        assert!(
                            *got <= 1.3 * most,
                            "{text}: {packet} of {length}, level {}",
                            level + 1
                        );
                    }
                }
            }
        }
    }
}
