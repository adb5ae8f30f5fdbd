//! What a code never recovers while traffic flows: an estimate that tells codes apart.
//!
//! Three parts, and the larger of reckoning and simulation counts:
//!
//! * A packet is lost for good if all of its own repairs are too. Jointly over the wire, in the mean
//!   over phases: pᶜ⁺¹ for independent losses; under bursts mostly packets whose repairs leave close
//!   together.
//! * Density evolution (Luby et al., Efficient Erasure Correcting Codes, 2001) for independent losses.
//!   A repair's word for a member of layer l is missing with y = 1 − (1 − p)(1 − x)^(r − 1), where x
//!   is the probability that another member is unknown to all its other repairs, and
//!   x = p · ∏ y over the other layers. From x = p on this falls to a fixed point: to nearly nothing,
//!   or, beyond what the code can bear, to a large part of p.
//! * The smallest stopping sets beside. Two packets d apart that are in the same group wherever an
//!   interleave divides d: 1 − d/(r·i) of those at that distance are; in all other layers both of
//!   their repairs are lost. And, for two layers, rectangles: four packets of which each two that
//!   share a bin share a group, some (2/3)²·(r₁ − 1)(r₂ − 1) of them at each packet.
//!
//! Simulation finds what else there is: bursts that come so close together that a stretch of the
//! wire loses more than the code can bear, and hundreds of packets stay stuck at once. Too rare to be
//! seen on the link itself, that is looked for on worse ones, and weighted
//! ([`super::peel::simulate_worse`]).

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::chain::{Joint, Spot, TARGET};
use super::link::Loss;
use super::peel::{Outcome, simulate_worse};
use super::schedule::{Phase, Schedule};
use crate::fec::Code;
use crate::fec::code::MAX_LAYERS;

/// Phases over which the mean is taken.
const PHASES: usize = 500;
/// How much worse the links are on which rare misfortunes are looked for: near what the code can bear they
/// are found on links that are hardly worse, as on others most is stuck; else on those that are much worse.
const WORSE: [f64; 4] = [1.1, 1.2, 2.0, 2.75];
/// What they tell is low by up to a half; this makes it rather high.
const LOW_BY: f64 = 2.0;
/// So many misfortunes are no accident.
const FEW: u64 = 3;
/// A residual that is known within so much, in proportion, counts as measured.
const MEASURED: f64 = 0.25;

/// A residual, and how it is known.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// The share of source packets that is never recovered.
    pub share: f64,
    /// Simulated often enough to be within a quarter or so; else it tells orders of magnitude.
    pub measured: bool,
}

/// The residual of `code`, given a simulation of it, by others that lose `lost` source packets.
pub fn estimate(code: &Code, loss: &Loss, outcome: &Outcome, lost: u64) -> Residual {
    if outcome.relative_error() < MEASURED {
        return Residual { share: outcome.residual(), measured: true };
    }
    let reckoned = all_repairs_lost(code, loss) + independent(code, loss) + pairs(code, loss);
    let mut share = reckoned.max(outcome.residual());
    for times in WORSE.into_iter().filter(|times| times * loss.rate() < 0.5) {
        let worse = simulate_worse(code, loss, times, lost, 2);
        if worse.stuck >= FEW {
            share = share.max(LOW_BY * worse.residual());
        }
    }
    Residual { share: share.min(loss.rate()), measured: false }
}

/// P(a packet and all of its repairs are lost), in the mean over phases.
pub fn all_repairs_lost(code: &Code, loss: &Loss) -> f64 {
    let layers = code.layers().len();
    if let Loss::Iid { rate } = loss {
        return rate.powi(layers as i32 + 1);
    }
    let schedule = Schedule::new(code);
    let mut joint = Joint::new(loss);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut sum = 0.0;
    for _ in 0..PHASES {
        let mut phase = Phase { times: [0; MAX_LAYERS], burst: 1, in_burst: 0 };
        for (time, clock) in phase.times.iter_mut().zip(&schedule.clocks) {
            *time = (random.next_u64() % clock.period() as u64) as i64;
        }
        let mut spots = vec![Spot { at: phase.source(&schedule, 0), mask: TARGET }];
        spots.extend((0..layers).map(|layer| {
            let due = phase.due(&schedule, layer);
            Spot { at: phase.repair(&schedule, layer, due), mask: 1 << layer }
        }));
        sum += joint.lost_and_useless(&mut spots, layers)[(1 << layers) - 1];
    }
    sum / PHASES as f64
}

/// What independent losses of the same rate leave: density evolution, and rectangles.
pub fn independent(code: &Code, loss: &Loss) -> f64 {
    let p = loss.rate();
    let layers = code.layers();
    let mut x = vec![p; layers.len()];
    let word = |l: usize, x: f64| 1.0 - (1.0 - p) * (1.0 - x).powi(i32::from(layers[l].group) - 1);
    for _ in 0..500 {
        let words: Vec<f64> = x.iter().enumerate().map(|(l, &x)| word(l, x)).collect();
        let others = |l| words.iter().enumerate().filter(move |&(m, _)| m != l).map(|(_, w)| w);
        x = (0..layers.len()).map(|l| p * others(l).product::<f64>()).collect();
    }
    let evolved = p * x.iter().enumerate().map(|(l, &x)| word(l, x)).product::<f64>();
    let rectangles = match layers {
        [a, b] => f64::from(a.group - 1) * f64::from(b.group - 1) * 4.0 / 9.0 * p.powi(4),
        _ => 0.0,
    };
    evolved + rectangles
}

/// Pairs of packets that share groups.
fn pairs(code: &Code, loss: &Loss) -> f64 {
    let p = loss.rate();
    let layers = code.layers();
    if layers.len() == 1 {
        // Density evolution is exact there.
        return 0.0;
    }
    let longest = layers.iter().map(|l| u64::from(l.group - 1) * u64::from(l.interleave)).max();
    let shortest = layers.iter().map(|l| l.interleave).min().unwrap_or(1);
    let of_distance = |d: u64| -> f64 {
        let mut share = 1.0;
        let mut apart = layers.len() as i32;
        for layer in layers {
            let (r, i) = (u64::from(layer.group), u64::from(layer.interleave));
            if d.is_multiple_of(i) && d < r * i {
                share *= 1.0 - d as f64 / (r * i) as f64;
                apart -= 1;
            }
        }
        if apart == layers.len() as i32 { 0.0 } else { share * p.powi(2 + 2 * apart) }
    };
    // On either side. What lies beyond a million packets is left out.
    let distances = (1..=longest.unwrap_or(0).min(1 << 20)).filter(|d| *d >= shortest.into());
    2.0 * distances.map(of_distance).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::super::peel::simulate;
    use super::*;

    fn reckoned(code: &str, loss: Loss) -> f64 {
        let code: Code = code.parse().unwrap();
        all_repairs_lost(&code, &loss) + independent(&code, &loss)
    }

    /// The reference figures where something was left: of 10^7 packets, and of independent losses.
    #[test]
    fn agrees_with_the_reference_figures() {
        for (code, rate, figure, factor) in [
            ("40:97,101+g1", 0.01, 9.8e-6, 1.5),
            ("40:97,101+g1", 0.03, 4.5e-3, 1.5),
            ("8:97,101,103+g1", 0.03, 1.3e-6, 2.0),
            ("20:97,101,103+g1", 0.03, 1.0e-6, 2.0),
            ("32:97,101,103+g1", 0.03, 1.2e-6, 2.0),
            ("8:1,19,41+g1", 0.03, 9.0e-7, 2.0),
        ] {
            let ratio = reckoned(code, Loss::Iid { rate }) / figure;
            assert!((1.0 / factor..factor).contains(&ratio), "{code} at {rate}: {ratio}");
        }
    }

    /// Codes that a stretch of unusually many losses defeats, and what 10^7 losses or more on the link itself
    /// left.
    #[test]
    fn near_what_a_code_can_bear_long_cascades_are_found() {
        for (code, rate, truth) in [
            ("56:11,13,17,19,23", 0.05, 2.0e-6),
            ("56:11,13,17,19,23", 0.0537, 4.7e-5),
            ("40:19,23,29,31", 0.0626, 1.2e-5),
            ("40:31,37,41,43", 0.058, 6.0e-7),
        ] {
            let (code, loss) = (code.parse().unwrap(), Loss::Iid { rate });
            let outcome = simulate(&code, &loss, 30_000, 1);
            let ratio = estimate(&code, &loss, &outcome, 50_000).share / truth;
            assert!((0.5..6.0).contains(&ratio), "{code} at {rate}: {ratio}");
        }
    }

    /// What simulation finds of codes whose floor it reaches is near what is reckoned.
    #[test]
    fn under_bursts_packets_are_lost_with_all_of_their_repairs() {
        let loss = Loss::Ge { rate: 0.02, mean_burst: 10.0 };
        let code: Code = "8:97,101,103+g1".parse().unwrap();
        let outcome = simulate(&code, &loss, 1_000_000, 5);
        let ratio = outcome.residual() / all_repairs_lost(&code, &loss);
        assert!(outcome.stuck > 20 && (0.4..2.5).contains(&ratio), "{ratio} of {}", outcome.stuck);
    }

    #[test]
    fn what_a_code_can_not_bear_stays() {
        let share = reckoned("64:97,101,103,107+g1", Loss::Iid { rate: 0.06 });
        assert!(share > 0.03, "{share}");
        let share = reckoned("64:97,101,103,107+g1", Loss::Iid { rate: 0.03 });
        assert!(share < 1e-7, "{share}");
    }
}
