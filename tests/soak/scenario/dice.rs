//! What a seed draws: codes, traffic, weather, sizes.

use maelstrom::fec::Code;
use maelstrom::gateway::Blueprint;

use super::{MS, Pattern};
use crate::common::Random;
use crate::way::Weather;

/// How long frames are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    kind: u64,
    pub most: u64,
    limit: u64,
    /// Of 1000 frames, those that no gateway protects.
    odd: u64,
}

pub enum Odd {
    None,
    Runt,
    LinkLocal,
    TooLong,
}

impl Sizes {
    pub fn draw(&self, random: &mut Random) -> (Odd, u64) {
        if self.odd > 0 && random.below(1000) < self.odd {
            return match random.below(4) {
                0 => (Odd::Runt, 1 + random.below(13)),
                1 => (Odd::LinkLocal, 60),
                _ => (Odd::TooLong, self.most + 1 + random.below(self.limit - self.most)),
            };
        }
        let len = match self.kind {
            0 => 60,
            1 => 14 + random.below(115),
            2 => self.most,
            3 => 14 + random.below(self.most - 13),
            _ => match random.below(12) {
                0..7 => 60,
                7..11 => 576,
                _ => self.most,
            },
        };
        (Odd::None, len.min(self.most))
    }

    pub fn mean(&self) -> u64 {
        match self.kind {
            0 => 60,
            1 => 72,
            2 => self.most,
            3 => self.most / 2 + 7,
            _ => (60 * 7 + 576 * 4 + self.most) / 12,
        }
    }
}

/// A code whose spans a short run fills.
pub fn code(random: &mut Random) -> Code {
    let group = [1, 2, 3, 4, 6, 8, 8, 10, 12, 16, 20][random.below(11) as usize];
    let layers = 1 + random.below(4);
    let largest = if random.below(8) == 0 { 100 } else { 2 + random.below(30) };
    let guard = ["", "", "+g0.5", "+g1", "+g1", "+g2", "+g3.5"][random.below(7) as usize];
    let mixed = random.below(4) == 0;
    let each: Vec<String> = (0..layers)
        .map(|_| {
            let interleave = 1 + random.below(largest);
            let group = if mixed { 1 + random.below(16) } else { group };
            format!("{group}x{interleave}")
        })
        .collect();
    format!("{}{guard}", each.join("/")).parse().expect("a code")
}

pub fn pattern(random: &mut Random) -> Pattern {
    let gap = [300, 1_000, 3_000, 10_000, 40_000, 200_000][random.below(6) as usize];
    match random.below(4) {
        0 | 1 => Pattern::Steady { gap },
        2 => Pattern::Random { gap },
        _ => Pattern::Trains {
            most: 1 + random.below(300),
            gap: [0, 200, 1_200][random.below(3) as usize],
            pause: (1 + random.below(40)) * MS / 4,
        },
    }
}

/// One way's weather.
pub fn weather(random: &mut Random) -> Weather {
    let loss = match random.below(6) {
        0 => format!("iid:{}", [0.0001, 0.001, 0.01, 0.05, 0.3][random.below(5) as usize]),
        1 | 2 => format!(
            "ge:{},{}",
            [0.001, 0.01, 0.03, 0.1][random.below(4) as usize],
            [2, 8, 30][random.below(3) as usize]
        ),
        _ => "none".to_owned(),
    }
    .parse()
    .expect("a loss model");
    let mut weather = Weather { loss, ..Weather::default() };
    if random.below(5) == 0 {
        let length = 1 + random.below(200);
        weather.bursts = Some((length + 50 + random.below(3000), length));
    }
    if random.below(3) == 0 {
        weather.late = [1, 20, 300, 3000][random.below(4) as usize];
        weather.distance = [2, 20, 200, 1000][random.below(4) as usize];
    }
    if random.below(3) == 0 {
        weather.twice = [1, 50, 2000][random.below(3) as usize];
    }
    if random.below(3) == 0 {
        weather.damaged = [1, 50, 1000][random.below(3) as usize];
    }
    if random.below(3) == 0 {
        weather.forged = [10, 200, 2000][random.below(3) as usize];
    }
    weather
}

pub fn log_uniform(random: &mut Random, from: f64, to: f64) -> u64 {
    let x = random.below(1 << 20) as f64 / f64::from(1 << 20);
    (from.ln() + x * (to / from).ln()).exp() as u64
}

pub fn sizes(blueprint: &Blueprint, random: &mut Random, odd: u64) -> Sizes {
    let most = blueprint.max_protected() as u64;
    let limit = u64::from(blueprint.wan_mtu) + 40;
    Sizes { kind: random.below(5), most, limit, odd }
}
