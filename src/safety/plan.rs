//! What one code costs and gives on a link: everything the planner prints of it.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::burst::always_recovered;
use super::link::{Link, Loss};
use super::model::dense;
use super::peel::{Outcome, simulate};
use super::residual::estimate;
use super::schedule::Schedule;
use crate::fec::Code;

/// Lost source packets in the simulation behind the figures: a 99th percentile of so many is within
/// a few percent.
const LOST: u64 = 30_000;
/// The same on worse links, for what is rare.
const WORSE_LOST: u64 = 50_000;
/// Phases of which the times to each level are taken.
const PHASES: usize = 4000;

/// What a code is to do.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// How the link loses packets: independently or in bursts.
    pub loss: Loss,
    /// Source packets a second.
    pub packets_per_second: f64,
    /// The largest share of source packets that may never be recovered.
    pub residual: f64,
    /// How soon 99 % of recoveries are to be done, in nanoseconds.
    pub latency_ns: u64,
    /// How many packets an update has in flight.
    pub update: u64,
}

/// A code's figures. Times count from when a packet is sent, or would have arrived.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The code.
    #[serde(serialize_with = "as_text")]
    pub code: Code,
    /// Repair packets per source packet.
    pub overhead: f64,
    /// The share of source packets that is never recovered, estimated.
    pub residual: f64,
    /// Whether that was simulated often enough to be within a quarter or so; else it is reckoned, or
    /// told from worse links, and tells orders of magnitude.
    pub residual_measured: bool,
    /// Source packets from a group's first member to the departure of its repair, at most.
    pub span_packets: u64,
    /// Every single burst of so many wire packets is recovered.
    pub burst_always_recovered: u64,
    /// 99 % of recoveries take no longer.
    pub recovery_delay_ns: u64,
    /// The mean.
    pub recovery_delay_expected_ns: u64,
    /// For each level: by when 99 % of packets have reached it.
    pub time_to_level_ns: Vec<u64>,
    /// For each level: by when half of the packets have reached it.
    pub time_to_level_median_ns: Vec<u64>,
    /// For each level: the bound on P(an update at that level is not whole, should the site die).
    pub update_loss_at_level: Vec<f64>,
}

fn as_text<S: serde::Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(code)
}

impl Goal {
    /// How long so many source packets take, in nanoseconds.
    pub fn time(&self, packets: f64) -> u64 {
        (packets * 1e9 / self.packets_per_second) as u64
    }

    /// How many source packets the latency budget holds.
    pub fn budget(&self) -> f64 {
        self.latency_ns as f64 * self.packets_per_second / 1e9
    }
}

impl Plan {
    /// Whether it does what is asked.
    pub fn meets(&self, goal: &Goal) -> bool {
        self.residual <= goal.residual && self.recovery_delay_ns <= goal.latency_ns
    }
}

/// What decides between codes, without all that a plan says; some ten milliseconds' work.
#[derive(Clone, Copy, Debug)]
pub struct Short {
    /// As [`Plan::residual`].
    pub residual: f64,
    /// As [`Plan::recovery_delay_ns`].
    pub recovery_delay_ns: u64,
}

impl Short {
    /// Whether it does what is asked.
    pub fn meets(&self, goal: &Goal) -> bool {
        self.residual <= goal.residual && self.recovery_delay_ns <= goal.latency_ns
    }
}

/// The decisive figures of `code` on the link of `goal`.
pub fn assess(code: &Code, goal: &Goal) -> Short {
    let outcome = simulate(code, &goal.loss, LOST, 1);
    let residual = estimate(code, &goal.loss, &outcome, WORSE_LOST).share;
    Short { residual, recovery_delay_ns: goal.time(late_delay(&outcome)) }
}

/// The figures of `code` on the link of `goal`; a tenth of a second's work or so.
pub fn explain(code: &Code, goal: &Goal) -> Plan {
    let outcome = simulate(code, &goal.loss, LOST, 1);
    let residual = estimate(code, &goal.loss, &outcome, WORSE_LOST);
    let bounds = dense(code, &Link::new(goal.loss));
    let levels = &bounds[..code.layers().len()];
    let [median, late] = times_to_level(code);
    let in_time = |packets: Vec<i64>| packets.into_iter().map(|p| goal.time(p as f64)).collect();
    Plan {
        code: code.clone(),
        overhead: code.overhead(),
        residual: residual.share,
        residual_measured: residual.measured,
        span_packets: code.span(),
        burst_always_recovered: always_recovered(code),
        recovery_delay_ns: goal.time(late_delay(&outcome)),
        recovery_delay_expected_ns: goal.time(outcome.mean_delay()),
        time_to_level_ns: in_time(late),
        time_to_level_median_ns: in_time(median),
        update_loss_at_level: levels
            .iter()
            .map(|bound| (goal.update as f64 * bound).min(1.0))
            .collect(),
    }
}

/// In how many source packets 99 % of recoveries are done.
pub(super) fn late_delay(outcome: &Outcome) -> f64 {
    f64::from(outcome.delay(0.99))
}

/// For each level, in how many source packets half and 99 % of packets reach it.
fn times_to_level(code: &Code) -> [Vec<i64>; 2] {
    let schedule = Schedule::new(code);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut levels = vec![Vec::with_capacity(PHASES); schedule.clocks.len()];
    for _ in 0..PHASES {
        let due = |clock: &super::schedule::Clock| {
            let time = (random.next_u64() % clock.period() as u64) as i64;
            (clock.r - 1 - clock.place(time)) * clock.i + clock.guard
        };
        let mut dues: Vec<i64> = schedule.clocks.iter().map(due).collect();
        dues.sort_unstable();
        levels.iter_mut().zip(dues).for_each(|(level, due)| level.push(due));
    }
    levels.iter_mut().for_each(|level| level.sort_unstable());
    [PHASES / 2, PHASES * 99 / 100].map(|rank| levels.iter().map(|level| level[rank]).collect())
}
