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
//! Simulation finds what else there is, down to what it can see. Below that, it is repeated at twice
//! the loss rate, where rare misfortunes are less rare: what takes three independent ones is eight
//! times as frequent there.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::chain::{Joint, Spot, TARGET};
use super::link::Loss;
use super::peel::{Outcome, simulate};
use super::schedule::{Phase, Schedule};
use crate::fec::Code;
use crate::fec::code::MAX_LAYERS;

/// Phases over which the mean is taken.
const PHASES: usize = 1000;
/// With this many misfortunes, a simulated share is within a third or so.
const PLENTY: u64 = 30;

/// A residual, and how it is known.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// The share of source packets that is never recovered.
    pub share: f64,
    /// Simulated often enough to be trusted, not reckoned.
    pub measured: bool,
}

/// The residual of `code`, given a simulation of it.
pub fn estimate(code: &Code, loss: &Loss, outcome: &Outcome) -> Residual {
    if outcome.stuck >= PLENTY {
        return Residual { share: outcome.residual(), measured: true };
    }
    let reckoned = all_repairs_lost(code, loss) + independent(code, loss) + pairs(code, loss);
    let share = reckoned.max(outcome.residual()).max(from_twice_the_loss(code, loss, outcome.lost));
    Residual { share: share.min(loss.rate()), measured: false }
}

fn from_twice_the_loss(code: &Code, loss: &Loss, lost: u64) -> f64 {
    let twice = match *loss {
        Loss::Iid { rate } => Loss::Iid { rate: 2.0 * rate },
        Loss::Ge { rate, mean_burst } => Loss::Ge { rate: 2.0 * rate, mean_burst },
        Loss::Burst { .. } => return 0.0,
    };
    if twice.rate() > 0.5 {
        return 0.0;
    }
    let outcome = simulate(code, &twice, lost / 2, 2);
    match outcome.stuck {
        // Nothing was seen: nothing is known.
        0 => 0.0,
        _ => (outcome.residual() - all_repairs_lost(code, &twice)).max(0.0) / 8.0,
    }
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
