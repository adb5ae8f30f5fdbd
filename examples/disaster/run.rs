//! One disaster: records flow, the WAN loses for half a second, west dies; then what clients were told is compared
//! with what the mirror has.

use std::collections::VecDeque;

use maelstrom::gateway::Blueprint;
use maelstrom::gateway::flows::{Worth, bounds};
use maelstrom::lab::loss::LossModel;
use maelstrom::safety::Loss;
use netsync::{Flow, FlowKey, Target, Wait};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::site::{Pools, Sites};
use super::tcp::{ENDS, PORTS, Receiver, Sender};

const MS: u64 = 1_000_000;
/// How often rooms are polled and readers look: a worker that rests does so every 50 us.
const TICK: u64 = 50_000;
/// How long records flow before the WAN begins to lose, and how long it loses.
const CALM: u64 = 150 * MS;
const LOSSY: u64 = 500 * MS;

/// When a client is told that its record is safe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// The primary's own file has it.
    Local,
    /// The gateway has sent it: all of its bytes are below the watermark `sent`.
    Semi,
    /// Network-sync with this target.
    Within(f64),
    /// The mirror has answered, behind its fsync.
    Remote,
}

/// All of them, in the order of the table.
pub const POLICIES: [Policy; 6] = [
    Policy::Local,
    Policy::Semi,
    Policy::Within(1e-2),
    Policy::Within(1e-3),
    Policy::Within(1e-6),
    Policy::Remote,
];

/// What is the same in all runs of a cell.
pub struct Scene {
    pub blueprint: Blueprint,
    pub worth: Worth,
    pub loss: LossModel,
    /// One way.
    pub delay: u64,
    /// Of the other traffic, and of records, each a second.
    pub packets: f64,
    pub records: f64,
    /// Bytes of a record.
    pub size: u64,
    /// Whether the WAN carries no repairs: as without gateways.
    pub plain: bool,
}

impl Scene {
    /// With the floor of the link that an operator would name.
    pub fn new(code: &str, loss: &str, floor: Loss) -> Scene {
        let mut blueprint =
            Blueprint::new(maelstrom::gateway::Side::West, code.parse().expect("a code"));
        blueprint.wan_mtu = 1900;
        // So that the code is what it says, and not the short one, at this rate.
        blueprint.timing.latency = 100 * MS;
        let cap = blueprint.timing.flush_cap;
        Scene {
            worth: bounds(&blueprint.code, blueprint.sparse.as_ref(), cap, Some(floor)),
            loss: loss.parse().expect("a loss model"),
            blueprint,
            delay: 50 * MS,
            packets: 10_000.0,
            records: 100.0,
            size: 4096,
            plain: false,
        }
    }
}

/// One policy's part of a run.
#[derive(Default)]
pub struct Told {
    /// Offsets behind records that nobody was told of yet, when they were written, and their waits.
    pending: VecDeque<(u64, u64, Wait)>,
    /// Up to which offset clients were told.
    told: u64,
    /// How long each took, in nanoseconds.
    pub took: Vec<u64>,
    /// Records that clients were told of, and how many of them the mirror does not have.
    pub acknowledged: u64,
    pub missing: u64,
}

/// What has become of a run.
pub struct Outcome {
    pub told: [Told; POLICIES.len()],
    /// Packets that the WAN took, how many were rebuilt in the east, and how many the primary's TCP sent again.
    pub lost: u64,
    pub rebuilt: u64,
    pub resent: u64,
}

struct Chance(Xoshiro256PlusPlus);

impl Chance {
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The time until something happens that does so `rate` times a second.
    fn wait(&mut self, rate: f64) -> u64 {
        (-(1.0 - self.uniform()).ln() * 1e9 / rate) as u64
    }
}

/// Frames of other hosts: nobody tracks them.
fn other(chance: &mut Chance) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x08, 0x00, 0x45, 0];
    frame.resize(60 + (chance.0.next_u64() % 1400) as usize, 7);
    // UDP.
    frame[23] = 17;
    frame
}

/// See the module's head. The seed decides all of it.
pub fn run(pools: &Pools, scene: &Scene, seed: u64) -> Outcome {
    let mut sites = Sites::new(pools, scene, seed);
    let mut chance = Chance(Xoshiro256PlusPlus::seed_from_u64(seed));
    let key = FlowKey::v4(ENDS.0, PORTS.0, ENDS.1, PORTS.1);
    let mut reader = sites.subscriber.flow_by(key);
    let (mut sender, mut receiver) = (Sender::new(2 * scene.delay), Receiver::default());
    let mut told: [Told; POLICIES.len()] = Default::default();
    let mut ends = Vec::new();

    let begin = 2 * scene.delay + 20 * MS;
    let lossy_from = begin + 2 * scene.delay + CALM;
    let death = lossy_from + LOSSY + (chance.uniform() * 20.0 * MS as f64) as u64;
    let mut next_record = begin + chance.wait(scene.records);
    let mut next_other = chance.wait(scene.packets);
    let (mut out, mut answers) = (vec![sender.syn()], Vec::new());
    let (mut now, mut turn) = (0, 0u64);
    while now < death {
        now += TICK;
        turn += 1;
        if turn.is_multiple_of(200) {
            sites.heartbeat();
        }
        let lossy = (lossy_from..lossy_from + LOSSY + 20 * MS).contains(&now);
        while next_other <= now {
            out.push(other(&mut chance));
            next_other += chance.wait(scene.packets);
        }
        while next_record <= now {
            sender.written += scene.size;
            ends.push(sender.written);
            for (told, policy) in told.iter_mut().zip(POLICIES) {
                let target = match policy {
                    Policy::Within(p) => Target::Probability(p),
                    _ => Target::Acked,
                };
                told.pending.push_back((sender.written, now, Wait::new(sender.written, target)));
            }
            next_record += chance.wait(scene.records);
        }
        sender.poll(now, &mut out);
        sites.west_sends(now, &out, lossy);
        out.clear();
        for frame in sites.east_gets(now) {
            receiver.hear(now, &frame, &mut answers);
        }
        receiver.poll(now, &mut answers);
        sites.east_sends(now, &answers, lossy);
        answers.clear();
        let mut durable = 0;
        for frame in sites.west_gets(now) {
            durable = durable.max(sender.hear(now, &frame, &mut out).unwrap_or(0));
        }
        // What clients are told, at last: what they hear before the site dies.
        let written = sender.written;
        for (told, policy) in told.iter_mut().zip(POLICIES) {
            tell(told, now, |offset, wait| match policy {
                Policy::Local => offset <= written,
                Policy::Semi => reader.sent().is_ok_and(|sent| sent >= offset),
                Policy::Within(_) => is_safe(&mut reader, wait),
                Policy::Remote => offset <= durable,
            });
        }
    }
    sites.west_dies();
    // What is on the WAN arrives.
    while now < death + scene.delay + MS {
        now += TICK;
        for frame in sites.east_gets(now) {
            receiver.hear(now, &frame, &mut answers);
        }
        answers.clear();
    }
    for told in &mut told {
        let there = |offset: u64| ends.partition_point(|&end| end <= offset) as u64;
        told.acknowledged = there(told.told);
        told.missing = told.acknowledged.saturating_sub(there(receiver.have));
    }
    let (lost, rebuilt) = sites.lost_and_rebuilt();
    Outcome { told, lost, rebuilt, resent: sender.resent }
}

/// Records are told in their order: one that is not safe yet holds up those behind it.
fn tell(told: &mut Told, now: u64, mut is_safe: impl FnMut(u64, &mut Wait) -> bool) {
    while let Some((offset, written, wait)) = told.pending.front_mut()
        && is_safe(*offset, wait)
    {
        told.told = *offset;
        told.took.push(now - *written);
        told.pending.pop_front();
    }
}

fn is_safe(reader: &mut Flow, wait: &mut Wait) -> bool {
    match reader.poll(wait) {
        None => false,
        Some(Ok(_)) => true,
        Some(Err(error)) => panic!("nothing should end a wait here: {error}"),
    }
}
