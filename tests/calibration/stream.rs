//! What a gateway sends: one long stream, and which repairs cover each packet.

use maelstrom::fec::{Code, Timing};
use maelstrom::safety::Class;

use crate::channel::{Packet, Random, Sender};

const US: u64 = 1000;
const MS: u64 = 1000 * US;

/// How packets arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Traffic {
    /// A packet each 1.2 µs, in bursts of 1 to 32: 1500 bytes at 10 Gb/s.
    Dense,
    /// Trains with pauses: fast ones of hundreds of packets and slow ones of a few, in turns of a
    /// fifth of a second, so that both codes are in use and change, and many groups are cut short.
    Sparse,
}

/// A repair that covers a packet: where it is on the wire, and its class.
#[derive(Clone, Copy)]
pub struct Cover {
    pub at: usize,
    pub class: Class,
}

pub struct Stream {
    pub wire: Vec<Packet>,
    /// For each source packet its position.
    pub sources: Vec<usize>,
    /// For each source packet its repairs, in the order of their leaving.
    pub covers: Vec<Vec<Cover>>,
    /// Packets that updates may consist of: their groups, and what protects those, are whole.
    pub range: std::ops::Range<usize>,
}

impl Stream {
    /// With the sparse code that a gateway would have.
    pub fn new(code: &Code, traffic: Traffic, packets: usize, seed: u64) -> Stream {
        let mut sender = Sender::with(code, Some(code.short()), Timing::new(code));
        let mut random = Random::new(seed);
        let span = code.span() as usize;
        let margin = 2 * span + 100;
        let mut wire = Vec::new();
        let mut now = 5 * MS;
        for arrivals in arrivals(traffic, packets + 2 * margin, &mut random) {
            // What falls due before the burst.
            while let Some(at) = sender.encoder.next_deadline().filter(|&at| at <= now + arrivals.0)
            {
                sender.encoder.poll(at.max(now));
                sender.take(&mut wire);
            }
            now += arrivals.0;
            for _ in 0..arrivals.1 {
                sender.push(now, &mut wire);
            }
            sender.encoder.poll(now);
            sender.take(&mut wire);
        }
        Stream::of(wire, margin)
    }

    fn of(wire: Vec<Packet>, margin: usize) -> Stream {
        let mut sources = Vec::new();
        let mut covers = Vec::<Vec<Cover>>::new();
        for (at, packet) in wire.iter().enumerate() {
            match packet {
                Packet::Source { .. } => {
                    sources.push(at);
                    covers.push(Vec::new());
                }
                Packet::Repair(repair) => {
                    let class = Class::of(repair.code_id == 1, repair.flushed);
                    for seq in repair.content.members.iter() {
                        covers[seq as usize].push(Cover { at, class });
                    }
                }
            }
        }
        let range = margin..sources.len() - margin;
        Stream { wire, sources, covers, range }
    }

    /// After which wire packet every packet of the update is at `level`, if ever.
    pub fn reaches(&self, update: &std::ops::Range<usize>, level: usize) -> Option<usize> {
        self.covers[update.clone()]
            .iter()
            .map(|covers| covers.get(level - 1).map(|cover| cover.at))
            .try_fold(0, |latest, at| Some(latest.max(at?)))
    }
}

/// Bursts: how long after the last one, and how many packets.
fn arrivals(traffic: Traffic, packets: usize, random: &mut Random) -> Vec<(u64, u64)> {
    let mut left = packets as i64;
    let mut arrivals = Vec::new();
    let mut now = 0;
    while left > 0 {
        let (gap, burst) = match traffic {
            Traffic::Dense => {
                let burst = 1 + random.below(32);
                (burst * 1200, burst)
            }
            Traffic::Sparse => {
                let fast = (now / (200 * MS)).is_multiple_of(2);
                let (mean, train, pause) =
                    if fast { (8 * US, 400.0, 4 * MS) } else { (150 * US, 8.0, 3 * MS) };
                let mean = if random.hit(1.0 / train) { pause } else { mean };
                ((-(1.0 - random.uniform()).ln() * mean as f64) as u64, 1)
            }
        };
        now += gap;
        left -= burst as i64;
        arrivals.push((gap, burst));
    }
    arrivals
}
