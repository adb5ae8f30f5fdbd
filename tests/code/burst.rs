//! Which single bursts are always recovered: a peeling decoder that looks at one burst in an
//! otherwise perfect stream, over the real encoder's packets.

use maelstrom::fec::Code;

use crate::channel::{Packet, Sender};

/// A repair, as the burst search needs it.
struct Group {
    /// Its index on the wire.
    at: usize,
    members: Vec<u32>,
}

/// A stretch of the wire and who repairs what. Sources are numbered as the encoder does.
pub struct Stream {
    pub wire: Vec<Packet>,
    layers: usize,
    groups: Vec<Group>,
    /// For each source packet and layer the group, by its index; `NONE` near the end.
    groups_of: Vec<u32>,
    /// Wire indices of the sources at which the steady period begins and ends.
    pub period: std::ops::Range<usize>,
}

const NONE: u32 = u32::MAX;

impl Stream {
    /// A period of `code` in its steady state, and enough before and behind it.
    pub fn new(code: &Code) -> Stream {
        let before = 2 * code.span() + 64;
        let period = joint_period(code);
        let mut sender = Sender::new(code);
        let mut wire = Vec::new();
        sender.send(before, &mut wire);
        let first = wire.len();
        sender.send(period, &mut wire);
        let end = wire.len();
        sender.send(before, &mut wire);
        let layers = code.layers().len();
        let mut groups = Vec::new();
        let mut groups_of = vec![NONE; (2 * before + period) as usize * layers];
        for (at, packet) in wire.iter().enumerate() {
            let Packet::Repair(repair) = packet else { continue };
            let members: Vec<u32> = repair.content.members.iter().map(|s| s as u32).collect();
            for &seq in &members {
                groups_of[seq as usize * layers + usize::from(repair.layer)] = groups.len() as u32;
            }
            groups.push(Group { at, members });
        }
        Stream { wire, layers, groups, groups_of, period: first..end }
    }

    fn groups_of(&self, seq: u32) -> &[u32] {
        &self.groups_of[seq as usize * self.layers..][..self.layers]
    }
}

/// r·lcm(I) source packets; for unequal r, the least common multiple of the layers' r·i.
fn joint_period(code: &Code) -> u64 {
    let lcm = |a: u64, b: u64| a / gcd(a, b) * b;
    code.layers().iter().map(|l| u64::from(l.group) * u64::from(l.interleave)).fold(1, lcm)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Peels single bursts, reusing its memory.
pub struct Peeler<'a> {
    stream: &'a Stream,
    lost: Vec<bool>,
    /// How many members of each group are lost.
    missing: Vec<u32>,
    ripe: Vec<u32>,
}

impl<'a> Peeler<'a> {
    pub fn new(stream: &'a Stream) -> Peeler<'a> {
        let lost = vec![false; stream.groups_of.len() / stream.layers];
        Peeler { stream, lost, missing: vec![0; stream.groups.len()], ripe: Vec::new() }
    }

    /// Whether everything comes back when the `length` packets from `start` on are lost.
    pub fn recovers(&mut self, start: usize, length: usize) -> bool {
        let stream = self.stream;
        let burst = start..start + length;
        let sources = || {
            stream.wire[burst.clone()].iter().filter_map(|packet| match packet {
                Packet::Source { seq, .. } => Some(*seq as u32),
                Packet::Repair(_) => None,
            })
        };
        for seq in sources() {
            self.lost[seq as usize] = true;
            for &group in stream.groups_of(seq) {
                assert_ne!(group, NONE, "the stream is too short");
                self.missing[group as usize] += 1;
            }
        }
        let mut left = sources().count();
        let arrives = |group: u32| !burst.contains(&stream.groups[group as usize].at);
        for seq in sources() {
            let mine = stream.groups_of(seq).iter().copied();
            self.ripe.extend(mine.filter(|&g| arrives(g) && self.missing[g as usize] == 1));
        }
        while let Some(group) = self.ripe.pop() {
            let members = &stream.groups[group as usize].members;
            let Some(&seq) = members.iter().find(|&&seq| self.lost[seq as usize]) else { continue };
            self.lost[seq as usize] = false;
            left -= 1;
            for &group in stream.groups_of(seq) {
                self.missing[group as usize] -= 1;
                if arrives(group) && self.missing[group as usize] == 1 {
                    self.ripe.push(group);
                }
            }
        }
        for seq in sources() {
            self.lost[seq as usize] = false;
            stream.groups_of(seq).iter().for_each(|&group| self.missing[group as usize] = 0);
        }
        left == 0
    }
}

/// The largest L such that every burst of L packets that starts in the period is recovered, and a
/// start from which one of L + 1 is not.
pub fn guaranteed(stream: &Stream) -> (usize, usize) {
    let mut peeler = Peeler::new(stream);
    // A longer burst from the same start loses more, so each start has one limit.
    let (mut best, mut worst_start) = (usize::MAX, 0);
    for start in stream.period.clone() {
        if best != usize::MAX && peeler.recovers(start, best) {
            continue;
        }
        best = (1..best).find(|&length| !peeler.recovers(start, length)).unwrap_or(best) - 1;
        worst_start = start;
    }
    (best, worst_start)
}
