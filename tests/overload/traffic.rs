//! What the LAN brings: frames of many sizes, evenly or in bursts, at a share of the WAN's rate.

use crate::common::{Random, frame};
use maelstrom::gateway::bucket::wire_bytes;

/// Outer header and shim.
pub const HEADERS: usize = 14 + 24;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sizes {
    Fixed(usize),
    /// 7 of 60, 4 of 590 and 1 of 1514 bytes in 12.
    Imix,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// Back to back.
    Even,
    /// Bursts of 1 to so many frames at ten times the rate, then a pause.
    Bursts(u64),
}

impl Sizes {
    pub const ALL: [Sizes; 4] = [Sizes::Fixed(1514), Sizes::Fixed(200), Sizes::Imix, Sizes::Any];

    fn of(self, random: &mut Random) -> usize {
        match self {
            Sizes::Fixed(len) => len,
            Sizes::Imix => {
                [60, 590, 1514][[0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2][random.below(12) as usize]]
            }
            Sizes::Any => 60 + random.below(1455) as usize,
        }
    }
}

/// What a source packet takes of the link, in bytes.
pub fn on_the_wire(frame: &[u8]) -> u64 {
    wire_bytes(frame.len() + HEADERS)
}

/// `count` frames and when they arrive: as source packets they come to `share` of `rate`.
pub fn traffic(
    seed: u64,
    (sizes, arrivals): (Sizes, Arrivals),
    count: usize,
    rate: u64,
    share: f64,
) -> Vec<(u64, Vec<u8>)> {
    let mut random = Random(seed);
    let time = |bytes: u64| (bytes as f64 * 8e9 / (rate as f64 * share)) as u64;
    let mut bytes = 0;
    let mut frames: Vec<(u64, Vec<u8>)> = Vec::with_capacity(count);
    while frames.len() < count {
        let burst = match arrivals {
            Arrivals::Even => 1,
            Arrivals::Bursts(most) => 1 + random.below(most),
        };
        let start = bytes;
        for _ in 0..burst {
            let len = sizes.of(&mut random);
            let frame = frame(&mut random, len);
            let before = bytes;
            bytes += on_the_wire(&frame);
            // A frame has come when its last bit has.
            let at = match arrivals {
                Arrivals::Even => time(bytes),
                Arrivals::Bursts(_) => time(start) + time(before - start) / 10,
            };
            frames.push((at, frame));
        }
    }
    frames
}
