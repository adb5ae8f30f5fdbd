//! What was counted of a link, as a loss model with its confidence limits.
//!
//! The far end counts source packets and runs of losses among them. Two Bernoulli parameters make the
//! model: a burst begins behind so many of the packets that arrived, and ends behind so many of those
//! that did not. Each gets Clopper and Pearson's limits ([`super::confidence`]).

use super::confidence::{lower_limit, upper_limit};
use super::link::{Counts, Link, Loss};

/// How far the mean burst may be above what independent losses have, and the losses still count as
/// independent: what it costs to be wrong is less than what a guard costs.
const NEARLY: f64 = 1.1;

/// A Gilbert–Elliott model in two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// The share of packets lost, in 0..1.
    pub rate: f64,
    /// The mean length of a run of losses, at least 1.
    pub mean_burst: f64,
}

/// A measured link: what fits best, and between what it lies with the confidence that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkEstimate {
    /// From what.
    pub counts: Counts,
    /// The least that it may be.
    pub low: Bursts,
    /// What fits best.
    pub fit: Bursts,
    /// The most that it may be.
    pub high: Bursts,
}

impl Bursts {
    /// From P(a burst begins) and P(it ends).
    fn new(enter: f64, leave: f64) -> Bursts {
        let rate = enter / (enter + leave);
        Bursts { rate, mean_burst: 1.0 / leave }
    }

    /// As seen by all packets on the wire, when this was seen by source packets alone, with
    /// `overhead` repairs for each between them.
    fn on_wire(self, overhead: f64) -> Bursts {
        let stay = 1.0 - 1.0 / self.mean_burst;
        // P(bad after n | bad) = L + (1 - L) lambda^n, with n = 1 + overhead on average.
        let lambda = (stay - self.rate) / (1.0 - self.rate);
        if lambda.is_nan() || lambda <= 0.0 {
            return self;
        }
        let lambda = lambda.powf(1.0 / (1.0 + overhead));
        let stay = self.rate + (1.0 - self.rate) * lambda;
        Bursts { rate: self.rate, mean_burst: 1.0 / (1.0 - stay).max(1e-9) }
    }

    /// As a loss model: independent if bursts are hardly longer than chance makes them.
    pub fn loss(self) -> Loss {
        let Bursts { rate, mean_burst } = self;
        match mean_burst <= NEARLY / (1.0 - rate) {
            true => Loss::Iid { rate },
            false => Loss::Ge { rate, mean_burst },
        }
    }
}

impl LinkEstimate {
    /// From counts; each limit is passed with probability `alpha` at most, half of it for either
    /// parameter. Without a single packet anything is possible.
    pub fn new(counts: Counts, alpha: f64) -> LinkEstimate {
        let lost = counts.lost.min(counts.sent);
        let bursts = counts.bursts.min(lost);
        let (arrived, half) = (counts.sent - lost, alpha / 2.0);
        let share = |hits: u64, trials: u64, none: f64| match trials {
            0 => none,
            _ => (hits as f64 / trials as f64).max(1e-12),
        };
        // Without a burst nothing says how long one is.
        let [shortest, likely, longest] = match bursts {
            0 => [1.0; 3],
            _ => [
                upper_limit(bursts, lost, half),
                share(bursts, lost, 1.0),
                lower_limit(bursts, lost, half),
            ],
        };
        LinkEstimate {
            counts,
            low: Bursts::new(lower_limit(bursts, arrived, half).max(1e-12), shortest),
            fit: Bursts::new(share(bursts, arrived, 1e-12), likely),
            high: Bursts::new(upper_limit(bursts, arrived, half), longest),
        }
    }

    /// As seen by all packets on the wire: see docs/SAFETY.md.
    pub fn on_wire(self, overhead: f64) -> LinkEstimate {
        LinkEstimate {
            low: self.low.on_wire(overhead),
            fit: self.fit.on_wire(overhead),
            high: self.high.on_wire(overhead),
            ..self
        }
    }

    /// What to reckon with: the larger of the operator's `floor` and the upper limit, in the rate and
    /// in the mean burst. A floor of a single burst says nothing of rates, and stays.
    pub fn at_least(&self, floor: Loss) -> Link {
        if self.counts.sent == 0 || matches!(floor, Loss::Burst { .. }) {
            return Link::new(floor);
        }
        let rate = floor.rate().max(self.high.rate);
        let mean_burst = floor.mean_burst().max(self.high.mean_burst);
        Link::new(match floor {
            // Bursts that are no longer than chance makes them.
            Loss::Iid { .. } if mean_burst <= 1.0 / (1.0 - rate) => Loss::Iid { rate },
            _ => Loss::Ge { rate, mean_burst },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::confidence::ALPHA;
    use super::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    /// Counts of every n-th packet of a chain, which is what sources among repairs are.
    fn counted(rate: f64, mean_burst: f64, every: u64, packets: u64, seed: u64) -> Counts {
        let (enter, stay) = (rate / ((1.0 - rate) * mean_burst), 1.0 - 1.0 / mean_burst);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (mut bad, mut before) = (false, false);
        let mut counts = Counts { sent: packets, ..Counts::default() };
        for n in 0..packets * every {
            let uniform = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            bad = uniform < if bad { stay } else { enter };
            if n % every == 0 {
                counts.lost += u64::from(bad);
                counts.bursts += u64::from(bad && !before);
                before = bad;
            }
        }
        counts
    }

    #[test]
    fn the_limits_are_those_of_the_counts_and_enclose_what_fits() {
        let counts = counted(0.01, 10.0, 1, 500_000, 1);
        let estimate = LinkEstimate::new(counts, ALPHA);
        for (low, fit, high, truth) in [
            (estimate.low.rate, estimate.fit.rate, estimate.high.rate, 0.01),
            (estimate.low.mean_burst, estimate.fit.mean_burst, estimate.high.mean_burst, 10.0),
        ] {
            assert!(low < fit && fit < high && low < truth && truth < high);
            assert!((fit / truth - 1.0).abs() < 0.1, "{fit} instead of {truth}");
        }
        let share = counts.lost as f64 / counts.sent as f64;
        assert!((estimate.fit.rate / share - 1.0).abs() < 1e-9);
    }

    /// What every second packet sees of a burst is half as long; what is told of the wire is right.
    #[test]
    fn the_wire_is_inferred_from_what_sources_see() {
        for (rate, mean_burst) in [(0.01, 10.0), (0.05, 40.0), (0.02, 3.0)] {
            let seen = LinkEstimate::new(counted(rate, mean_burst, 2, 2_000_000, 2), ALPHA);
            let wire = seen.on_wire(1.0).fit;
            assert!(seen.fit.mean_burst < 0.8 * mean_burst);
            assert!((wire.mean_burst / mean_burst - 1.0).abs() < 0.05, "{wire:?}");
            assert!((wire.rate / rate - 1.0).abs() < 0.05, "{wire:?}");
        }
        let iid = LinkEstimate::new(counted(0.05, 1.0 / 0.95, 2, 2_000_000, 3), ALPHA).on_wire(1.0);
        assert!(matches!(iid.high.loss(), Loss::Iid { rate } if (0.05..0.053).contains(&rate)));
    }

    #[test]
    fn the_floor_stands_until_more_is_measured() {
        let floor = Loss::Ge { rate: 0.001, mean_burst: 10.0 };
        let none = Counts::default();
        let calm = Counts { sent: 100_000_000, lost: 10, bursts: 9 };
        let bad = Counts { sent: 10_000_000, lost: 200_000, bursts: 10_000 };
        for counts in [none, calm] {
            assert_eq!(LinkEstimate::new(counts, ALPHA).at_least(floor).loss, floor);
        }
        let high = LinkEstimate::new(bad, ALPHA).high;
        let Bursts { rate, mean_burst } = high;
        let link = LinkEstimate::new(bad, ALPHA).at_least(floor);
        assert_eq!(link.loss, Loss::Ge { rate, mean_burst });
        let burst = Loss::Burst { length: 40 };
        assert_eq!(LinkEstimate::new(bad, ALPHA).at_least(burst).loss, burst);
    }
}
