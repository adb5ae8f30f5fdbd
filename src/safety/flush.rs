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
/// Every length up to this, then lengths in steps of a sixth.
const EVERY: i64 = 24;
/// Packets of each that are looked at, at least, if it has so many.
const FEWEST: usize = 40;

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
    pub(super) layer: usize,
    pub(super) at: i64,
    pub(super) members: Vec<usize>,
}

/// Shows `see` layouts of packets in trains of up to a span and a quarter that begin anywhere and end
/// with a pause, about `budget` of them.
pub(super) fn trains(code: &Code, budget: usize, mut see: impl FnMut(&mut [Spot])) {
    let schedule = Schedule::new(code);
    let longest = (code.span() as i64 * 5 / 4 + EVERY).min(LONGEST);
    let mut lengths = Vec::new();
    let mut length = 1;
    while length <= longest {
        lengths.push(length);
        length += if length < EVERY { 1 } else { length / 6 };
    }
    let each = (budget / lengths.len()).max(FEWEST);
    let mut spots = Vec::new();
    for (n, &length) in (0u64..).zip(&lengths) {
        // Long trains meet all phases anyway; short ones begin somewhere else each.
        let train = Train::new(&schedule, n * 7919, length);
        for packet in train.interesting(each) {
            train.layout(packet, &mut spots);
            see(&mut spots);
        }
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
        self.groups.push(Group { layer, at: self.wire, members });
        self.wire += 1;
    }

    /// About `count` packets: the ends, the members of the largest groups, and some in between.
    fn interesting(&self, count: usize) -> Vec<usize> {
        let last = self.sources.len() - 1;
        let mut packets = vec![last, 0, last / 2, last.saturating_sub(1)];
        for layer in 0..self.group_of.len() {
            let of_layer = self.groups.iter().filter(|group| group.layer == layer);
            let Some(largest) = of_layer.max_by_key(|group| group.members.len()) else { continue };
            packets.extend([largest.members[0], largest.members[largest.members.len() - 1]]);
        }
        let between = count.saturating_sub(packets.len());
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
