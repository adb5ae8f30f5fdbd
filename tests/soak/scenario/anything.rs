//! A pair to which everything happens at once, and then nothing.

use std::net::IpAddr;

use maelstrom::fec::Code;
use maelstrom::fec::seq::LIMIT;
use maelstrom::gateway::settings::LinkSettings;
use maelstrom::gateway::{Blueprint, Limit, Overload, Oversize, Side};
use maelstrom::link::PeerDown;
use maelstrom::link::adapt::Policy;
use maelstrom::wire::encap::{Carrier, Dscp, Encapsulation, Tunnel};
use maelstrom::wire::seal::Mode;
use maelstrom::wire::shim::Integrity;

use super::dice::{code, log_uniform, pattern, sizes, weather};
use super::{ENDING, HEALING, Kill, MS, Pattern, Scenario, Stretch, blueprint};
use crate::auto::Plan;
use crate::common::Random;

/// Anything may go wrong.
pub fn anything(seed: u64, random: &mut Random) -> Scenario {
    let codes = [code(random), code(random)];
    let others = [code(random), code(random)];
    let mut west = blueprint(&codes[0], random);
    let all = || codes.iter().chain(&others);
    west.largest = all().max_by_key(|code| code.span()).cloned();
    let window = [2, 3, 4][random.below(3) as usize] * all().map(Code::span).max().unwrap_or(0);
    west.window = Some((window as usize).clamp(1024, 8192));
    west.oversize = [Oversize::Bypass, Oversize::Drop][random.below(2) as usize];
    // What is damaged is delivered then, so nothing is.
    let plain = random.below(10) == 0;
    if plain {
        west.integrity = Integrity::Off;
    }
    if !plain && random.below(3) == 0 {
        west.keys = Some([Mode::Tag, Mode::Seal][random.below(2) as usize]);
        west.oversize = Oversize::Drop;
    }
    if random.below(5) == 0 {
        route(random, &mut west);
    }
    let odd = [0, 0, 5, 50][random.below(4) as usize];
    let sizes = sizes(&west, random, odd);
    let mut east = Blueprint { side: Side::East, code: codes[1].clone(), ..west.clone() };
    east.sparse = west.sparse.as_ref().map(|_| codes[1].short());
    if let Carrier::Udp(tunnel) = &mut east.encapsulation.carrier {
        std::mem::swap(&mut tunnel.ours, &mut tunnel.peer);
    }
    east.timing.flush_cap = codes[1].layers().len() as f64;
    let mut blueprints = [west, east];
    let mut well_gap = 0;
    if random.below(4) == 0 {
        let overload = [Overload::Reserve, Overload::SourceFirst][random.below(2) as usize];
        let rate = [50, 200, 1000][random.below(3) as usize] * 1_000_000;
        let queue = [16 << 10, 64 << 10, 256 << 10][random.below(3) as usize];
        for blueprint in &mut blueprints {
            blueprint.limit = Some(Limit { rate, overload, queue });
            // Three times what a frame and all of its repairs take, which are as long as their longest.
            let layers = blueprint.code.layers().len() as u64;
            let bytes = sizes.mean() + 100 + layers * (sizes.most + 100);
            well_gap = well_gap.max(3 * bytes * 8_000_000_000 / rate);
        }
    }

    let keyed = blueprints[0].keys.is_some();
    let routed = blueprints[0].encapsulation.tunnel().is_some();
    let watched = random.below(8) == 0 && !keyed && !routed;
    let peer_down = match random.below(6) {
        0 => PeerDown::Drop,
        1 if !watched => PeerDown::Bypass,
        _ => PeerDown::Protect,
    };
    let wishes = random.below(3) > 0;
    let may_bypass = !keyed && (peer_down == PeerDown::Bypass || wishes && !watched);
    let plans = plans(random, &blueprints, watched);
    let auto = plans.iter().flatten().any(|plan| plan.policy.is_some());
    let mut stretches = Vec::new();
    let mut strange = [false; 2];
    let mut frames = 0;
    while frames < 20_000 || stretches.len() < 4 {
        let mut stretch = stretch(random, plain, auto);
        for (end, code) in codes.iter().enumerate() {
            let change = stretch.kills[end].is_none() && random.below(3) == 0;
            let other = if random.below(2) == 0 { code } else { &others[random.below(2) as usize] };
            stretch.codes[end] = change.then(|| other.clone());
        }
        if watched {
            // What is acknowledged counts before a slow port has taken it.
            stretch.slow[0][0] = false;
        }
        for wish in stretch.wishes.iter_mut().filter(|_| wishes) {
            wish.drain = random.below(8) == 0;
            wish.bypass = (may_bypass || keyed) && random.below(6) == 0;
        }
        if keyed {
            estrange(random, &mut strange, &mut stretch);
        }
        stretch.slow_down(if auto { 8000 } else { 5000 });
        frames += stretch.frames();
        stretches.push(stretch);
    }
    // A gateway whose numbers are used up protects nothing until it begins anew.
    let epochs = [0, 1].map(|_| match random.below(4) {
        0 => u32::MAX - random.below(3) as u32,
        1 => 1 << 31,
        _ => random.next() as u32,
    });
    let mut first = [0, 1].map(|_| match random.below(12) {
        0 => (1 << 32) - random.below(9000),
        1 => LIMIT - 1 - random.below(9000),
        2 => random.next() % LIMIT,
        _ => 0,
    });
    if watched {
        // Who tells storage processes counts from 0.
        first[0] = 0;
    }
    let last = stretches.len() - 1;
    for (end, &first) in first.iter().enumerate() {
        let stretch = &mut stretches[last];
        if first > LIMIT / 2 || strange[end] {
            let kill = Kill { down: 20 * MS, step: 1, peace: false, stranger: false };
            stretch.kills[end].get_or_insert(kill).stranger = false;
            stretch.length = stretch.length.max(30 * MS + ENDING);
            stretch.slow_down(5000);
        }
    }
    // It heals, and is well.
    let gap = well_gap.max([20_000, 200_000, MS][random.below(3) as usize]);
    let traffic = [Pattern::Steady { gap }, Pattern::Random { gap }];
    let fine = |length, traffic| Stretch {
        length,
        traffic,
        weather: Default::default(),
        kills: [None; 2],
        slow: [[false; 2]; 2],
        left: [None; 2],
        codes: [None, None],
        wishes: Default::default(),
    };
    let slowly = [Pattern::Random { gap: gap.max(MS) }, Pattern::Steady { gap: gap.max(2 * MS) }];
    // A clock that was set back: an epoch is believed that is not later once the other has been silent
    // for a second, and then a hello is to come.
    let kills = stretches.iter().flat_map(|stretch| &stretch.kills).flatten();
    let set_back = kills.into_iter().any(|kill| kill.step > 1 << 31);
    let longer = if set_back { 300 * MS } else { 40 * MS };
    stretches.push(fine(HEALING + longer, slowly));
    let well = stretches.len();
    stretches.push(fine(1500 * gap, traffic));
    Scenario {
        seed,
        blueprints,
        epochs,
        first,
        delay: [0, 20_000, 500_000, 5 * MS, 20 * MS][random.below(5) as usize],
        nap: [0, 0, 1_000, 20_000, 50_000][random.below(5) as usize],
        stretches,
        well,
        promised: false,
        sizes,
        watched,
        link: LinkSettings { hello: 100 * MS, peer_down },
        plans,
        may_bypass,
    }
}

/// Packets cross routers, and what is protected stays as long.
fn route(random: &mut Random, west: &mut Blueprint) {
    let addresses: [IpAddr; 3] = match random.below(2) {
        0 => [[192, 0, 2, 1], [198, 51, 100, 1], [192, 0, 2, 254]].map(IpAddr::from),
        _ => [1, 2, 3].map(|n| IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, n])),
    };
    let [ours, peer, hop] = addresses;
    let dscp = [Dscp::Copy, Dscp::Set(10)][random.below(2) as usize];
    let checksum = random.below(2) == 0;
    let vlan = (random.below(3) == 0).then_some(100);
    let tunnel = Tunnel { ours, peer, port: 8147, dscp, checksum };
    west.encapsulation = Encapsulation { vlan, carrier: Carrier::Udp(tunnel) };
    west.next_hop = (random.below(2) == 0).then_some(hop);
    // Nothing is unprotected there, and whatever else comes is a stranger's.
    west.oversize = Oversize::Drop;
    west.wan_mtu += west.encapsulation.overhead() as u16 + 60;
}

/// An operator, or the planner, or neither.
fn plans(random: &mut Random, blueprints: &[Blueprint; 2], watched: bool) -> [Option<Plan>; 2] {
    let kind = random.below(24);
    let plan = |blueprint: &Blueprint, random: &mut Random| Plan {
        policy: (kind == 0).then(|| Policy {
            residual: [1e-3, 1e-4, 1e-5][random.below(3) as usize],
            latency_ns: blueprint.timing.latency.max(20 * MS),
            overhead_limit: [0.3, 0.6, 2.0][random.below(3) as usize],
            floor: blueprint.code.clone(),
            largest: blueprint.largest.clone().unwrap_or(blueprint.code.clone()),
            quiet_ns: [300, 1000, 3000][random.below(3) as usize] * MS,
            gain: 0.1,
        }),
        planning: (1 + random.below(300)) * MS,
        building: (1 + random.below(50)) * MS,
    };
    let plans = blueprints.each_ref().map(|blueprint| plan(blueprint, random));
    if kind < 4 && !watched { plans.map(Some) } else { [None, None] }
}

/// Of two gateways with keys, one may come back with another, for a while.
fn estrange(random: &mut Random, strange: &mut [bool; 2], stretch: &mut Stretch) {
    for (strange, kill) in strange.iter_mut().zip(&mut stretch.kills) {
        let again = Kill {
            down: log_uniform(random, 1e5, 1e8),
            step: random.below(2) as u32,
            peace: random.below(2) == 0,
            stranger: false,
        };
        if *strange {
            *kill.get_or_insert(again) = again;
            stretch.length = stretch.length.max(again.down + ENDING + MS);
        } else if random.below(20) == 0 {
            *kill = Some(Kill { stranger: true, ..again });
            stretch.length = stretch.length.max(800 * MS);
        }
        *strange = kill.map_or(*strange, |kill| kill.stranger);
    }
}

/// A stretch in which things may go wrong.
fn stretch(random: &mut Random, plain: bool, auto: bool) -> Stretch {
    let traffic = [pattern(random), pattern(random)];
    let wanted = 400 + random.below(4000);
    let mut length = wanted * traffic[0].mean().min(traffic[1].mean());
    let mut weather = [weather(random), weather(random)];
    let mut kills = [None; 2];
    let mut slow = [[false; 2]; 2];
    let mut left = [None; 2];
    match random.below(10) {
        // Silence, one way or both.
        0 | 1 => {
            length = log_uniform(random, 10e6, 10e9);
            let which = random.below(3);
            weather[0].cut = which != 1;
            weather[1].cut = which != 0;
        }
        2 | 3 => {
            let end = random.below(2) as usize;
            let both = random.below(4) == 0;
            for (n, kill) in kills.iter_mut().enumerate() {
                // A clock may have been set back.
                let back = 0u32.wrapping_sub(1 + random.below(1 << 20) as u32);
                let step = [1, 1, 5, 1 << 20, back][random.below(5) as usize];
                let down = log_uniform(random, 1e5, 2e9);
                let peace = random.below(2) == 0;
                let kill_it = Kill { down, step, peace, stranger: false };
                *kill = (n == end || both).then_some(kill_it);
            }
            // An orderly end may have to wait for a port.
            if random.below(3) == 0 {
                slow[end][random.below(2) as usize] = true;
            }
        }
        4 => {
            let (end, port) = (random.below(2) as usize, random.below(2) as usize);
            slow[end][port] = true;
        }
        5 => left[random.below(2) as usize] = Some(random.below(100) as u32),
        _ => {}
    }
    // Who died is back before the next stretch begins.
    let down = kills.iter().flatten().map(|kill| kill.down).max();
    length = length.max(down.map_or(0, |down| down + ENDING + MS));
    if auto {
        // The planner wants to be told a few times.
        length = length.max(log_uniform(random, 3e8, 4e9));
    }
    if plain {
        for weather in &mut weather {
            (weather.damaged, weather.forged) = (0, 0);
        }
    }
    let wishes = Default::default();
    let codes = [None, None];
    Stretch { length, traffic, weather, kills, slow, left, codes, wishes }
}
