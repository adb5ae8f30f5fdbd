//! What a seed means: two gateways, a WAN, traffic, and a list of stretches of time in which things go
//! wrong, then one in which they heal, then one in which all is well.

mod anything;
mod dice;

use maelstrom::fec::Code;
use maelstrom::gateway::settings::LinkSettings;
use maelstrom::gateway::{Blueprint, Side};
use maelstrom::link::{PeerDown, Wishes};
use maelstrom::wire::repair::REPAIR_LEN;

use crate::auto::Plan;
use crate::common::Random;
use crate::way::Weather;
use anything::anything;
use dice::{code, sizes};

pub use dice::{Odd, Sizes};

const MS: u64 = 1_000_000;
/// How long a pair may take to be well again once all faults have ended.
pub const HEALING: u64 = 1_000 * MS;
/// How long an orderly end takes at most: as long as a worker tries.
const ENDING: u64 = 60 * MS;

/// When frames come.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    Steady {
        gap: u64,
    },
    /// At random, so far apart on average.
    Random {
        gap: u64,
    },
    /// Trains of up to so many frames, and pauses.
    Trains {
        most: u64,
        gap: u64,
        pause: u64,
    },
}

impl Pattern {
    /// About how far apart frames are.
    pub fn mean(&self) -> u64 {
        match *self {
            Pattern::Steady { gap } | Pattern::Random { gap } => gap.max(1),
            Pattern::Trains { most, gap, pause } => (gap + 2 * pause / (most + 1)).max(1),
        }
    }
}

/// A gateway dies.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// How long it is gone.
    pub down: u64,
    /// By how much its next epoch differs.
    pub step: u32,
    /// In an orderly way: it sends what it owes, as long as it may.
    pub peace: bool,
    /// It comes back with another key.
    pub stranger: bool,
}

/// A stretch of time.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub length: u64,
    pub traffic: [Pattern; 2],
    pub weather: [Weather; 2],
    /// At its beginning, of each gateway.
    pub kills: [Option<Kill>; 2],
    /// Which ports of each gateway take a few packets at a time.
    pub slow: [[bool; 2]; 2],
    /// How many mbufs are left to each gateway.
    pub left: [Option<u32>; 2],
    /// Which code takes over at its beginning.
    pub codes: [Option<Code>; 2],
    /// What operators ask for.
    pub wishes: [Wishes; 2],
}

impl Stretch {
    /// It may be so long that fast traffic would be too much of it.
    fn slow_down(&mut self, most: u64) {
        for pattern in &mut self.traffic {
            if self.length / pattern.mean() > most {
                *pattern = Pattern::Random { gap: self.length / most };
            }
        }
    }

    /// About how many frames it brings.
    fn frames(&self) -> u64 {
        self.traffic.iter().map(|pattern| self.length / pattern.mean()).sum()
    }
}

/// All that a seed decides, but for chance on the way.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub blueprints: [Blueprint; 2],
    pub epochs: [u32; 2],
    /// The number of each gateway's first packet.
    pub first: [u64; 2],
    pub delay: u64,
    /// The least time from one turn to the next: a worker that rests.
    pub nap: u64,
    pub stretches: Vec<Stretch>,
    /// From which stretch on all is to be delivered.
    pub well: usize,
    /// There are bursts that the code promises to repair, and nothing else.
    pub promised: bool,
    /// The mean size of a frame, about.
    pub sizes: Sizes,
    /// Whether there are storage processes in the west.
    pub watched: bool,
    pub link: LinkSettings,
    /// Who chooses each gateway's codes, if not this list.
    pub plans: [Option<Plan>; 2],
    /// Whether frames may ever cross unprotected as gateways are told so.
    pub may_bypass: bool,
}

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        let mut random = Random(seed.wrapping_mul(0xA076_1D64_78BD_642F));
        if random.below(8) == 0 { promised(seed, &mut random) } else { anything(seed, &mut random) }
    }

    /// The longest of both codes' spans.
    pub fn span(&self) -> u64 {
        self.blueprints.iter().map(Blueprint::span).max().unwrap_or(1).max(1)
    }
}

fn blueprint(code: &Code, random: &mut Random) -> Blueprint {
    let lan_frame = [1522, 1514, 600, 128][random.below(4) as usize];
    let wan_mtu = match random.below(3) {
        0 => (lan_frame + REPAIR_LEN + 66) as u16,
        1 => (lan_frame + REPAIR_LEN) as u16,
        _ => (lan_frame - 30 + REPAIR_LEN).max(160) as u16,
    };
    let mut blueprint =
        Blueprint { lan_frame, wan_mtu, ..Blueprint::new(Side::West, code.clone()) };
    if random.below(4) == 0 {
        blueprint.sparse = None;
    }
    blueprint.timing.latency = [500_000, 5 * MS, 50 * MS][random.below(3) as usize];
    blueprint
}

/// Bursts of the length that the code promises to repair, far apart, in steady traffic.
fn promised(seed: u64, random: &mut Random) -> Scenario {
    let code = code(random);
    let mut west = Blueprint { sparse: None, ..blueprint(&code, random) };
    west.timing.latency = 10_000 * MS;
    let length = maelstrom::safety::burst::always_recovered(&code);
    let per_source = 1.0 + code.overhead();
    let every = ((3 * code.span() + 100) as f64 * per_source) as u64 + 2 * length;
    let traffic = [Pattern::Steady { gap: 2_000 }, Pattern::Steady { gap: 3_000 }];
    let weather = Weather { bursts: Some((every, length)), ..Weather::default() };
    let fine = Weather::default();
    let stretch = |frames: u64, weather: &Weather| Stretch {
        length: frames * 2_500,
        traffic,
        weather: [weather.clone(), weather.clone()],
        kills: [None; 2],
        slow: [[false; 2]; 2],
        left: [None; 2],
        codes: [None, None],
        wishes: Default::default(),
    };
    let calm = 2 * code.span() + 200;
    let stretches =
        vec![stretch(calm, &fine), stretch(10_000, &weather), stretch(2 * calm + 500, &fine)];
    let sizes = sizes(&west, random, 0);
    let east = Blueprint { side: Side::East, ..west.clone() };
    Scenario {
        seed,
        blueprints: [west, east],
        epochs: [1, 1],
        first: [0; 2],
        delay: 100_000,
        nap: 0,
        stretches,
        well: 0,
        promised: true,
        sizes,
        watched: false,
        link: LinkSettings { hello: 100 * MS, peer_down: PeerDown::Protect },
        plans: [None, None],
        may_bypass: false,
    }
}
