//! The wire as a Markov chain, and the joint probability of a layout of packets on it.
//!
//! Both loss models are a chain of two states, good and bad, that steps once a wire packet; what is
//! sent in the bad state is lost. n steps apart, the chain remembers its state with weight λⁿ:
//!
//! ```text
//! P(bad after n | bad)  = L + (1 − L)·λⁿ        λ = s − e
//! P(bad after n | good) = L·(1 − λⁿ)            e = L / ((1 − L)·B),  1 − s = 1/B
//! ```
//!
//! Independent losses are the chain with λ = 0.
//!
//! [`Joint`] walks over the packets that matter in the order of the wire. Its state is that of the
//! channel and the set of repairs that are useless already, since they or another member of their
//! group were lost. All terms are positive, so that the smallest result has nearly all the digits
//! of a double.

use super::link::Loss;

/// Gaps up to this many packets are looked up.
const NEAR: usize = 1 << 14;

pub(super) struct Chain {
    rate: f64,
    lambda: f64,
    /// For each gap: P(bad | good before), P(bad | bad before).
    near: Vec<(f64, f64)>,
}

impl Chain {
    pub(super) fn new(loss: &Loss) -> Chain {
        let rate = loss.rate();
        let lambda = match *loss {
            Loss::Ge { rate, mean_burst } => {
                1.0 - 1.0 / mean_burst - rate / ((1.0 - rate) * mean_burst)
            }
            _ => 0.0,
        };
        let mut chain = Chain { rate, lambda, near: Vec::new() };
        chain.near = (0..NEAR).map(|gap| chain.compute(gap as u64)).collect();
        chain
    }

    fn compute(&self, gap: u64) -> (f64, f64) {
        if gap == 0 {
            return (0.0, 1.0);
        }
        let power = |exponent: u64| match self.lambda {
            // Bursts shorter than chance makes them: it alternates in sign.
            lambda if lambda <= 0.0 => lambda.powi(exponent.min(1 << 20) as i32),
            lambda => (exponent as f64 * lambda.ln()).exp(),
        };
        let kept = power(gap);
        let forgotten = match self.lambda {
            lambda if lambda <= 0.0 => 1.0 - kept,
            lambda => -(gap as f64 * lambda.ln()).exp_m1(),
        };
        let bad = (self.rate + (1.0 - self.rate) * kept).max(0.0);
        (self.rate * forgotten, bad)
    }

    fn step(&self, gap: u64) -> (f64, f64) {
        self.near.get(gap as usize).copied().unwrap_or_else(|| self.compute(gap))
    }
}

/// A wire packet that matters: where it is, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) at: i64,
    /// One bit for each repair that it is a member of, or is; [`TARGET`] is the packet itself.
    pub(super) mask: u16,
}

/// The mask of the packet whose loss is in question.
pub(super) const TARGET: u16 = 1 << 15;

/// Computes layouts one after the other, reusing its memory.
pub(super) struct Joint {
    chain: Chain,
    good: Vec<f64>,
    bad: Vec<f64>,
}

impl Joint {
    pub(super) fn new(loss: &Loss) -> Joint {
        Joint { chain: Chain::new(loss), good: Vec::new(), bad: Vec::new() }
    }

    /// For each set of `repairs` repairs, by its bits: the probability that the target is lost and
    /// all of the set are useless. Sorts `spots`; one packet may be in several groups, and then
    /// has several spots or one with several bits.
    pub(super) fn lost_and_useless(&mut self, spots: &mut [Spot], repairs: usize) -> &[f64] {
        spots.sort_unstable_by_key(|spot| spot.at);
        let sets = 1 << repairs;
        for side in [&mut self.good, &mut self.bad] {
            side.clear();
            side.resize(sets, 0.0);
        }
        let (good, bad) = (&mut self.good[..], &mut self.bad[..]);
        good[0] = 1.0 - self.chain.rate;
        bad[0] = self.chain.rate;
        let mut before = spots.first().map_or(0, |spot| spot.at);
        for spot in &*spots {
            let gap = spot.at.abs_diff(before);
            before = spot.at;
            if gap > 0 {
                let (enter, stay) = self.chain.step(gap);
                let (remain, leave) = (1.0 - enter, 1.0 - stay);
                for (good, bad) in good.iter_mut().zip(bad.iter_mut()) {
                    (*good, *bad) = (*good * remain + *bad * leave, *good * enter + *bad * stay);
                }
            }
            if spot.mask & TARGET != 0 {
                good.fill(0.0);
                continue;
            }
            let mask = usize::from(spot.mask);
            for set in 0..sets {
                if set & mask != mask {
                    bad[set | mask] += std::mem::take(&mut bad[set]);
                }
            }
        }
        for (good, bad) in good.iter_mut().zip(bad.iter()) {
            *good += bad;
        }
        // From "these and no others" to "these at least".
        for bit in 0..repairs {
            for set in 0..sets {
                if set >> bit & 1 == 0 {
                    good[set] += good[set | 1 << bit];
                }
            }
        }
        &self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum over all patterns of the wire, lost or not, one by one.
    fn enumerate(spots: &[Spot], repairs: usize, first: f64, enter: f64, stay: f64) -> Vec<f64> {
        let start = spots.iter().map(|spot| spot.at).min().unwrap();
        let length = spots.iter().map(|spot| spot.at).max().unwrap() - start + 1;
        let mut sums = vec![0.0; 1 << repairs];
        for pattern in 0u32..1 << length {
            let lost = |at: i64| pattern >> (at - start) & 1 == 1;
            let mut probability = if lost(start) { first } else { 1.0 - first };
            for at in start + 1..start + length {
                let chance = if lost(at - 1) { stay } else { enter };
                probability *= if lost(at) { chance } else { 1.0 - chance };
            }
            let target = spots.iter().any(|spot| spot.mask == TARGET && lost(spot.at));
            let useless = spots.iter().filter(|s| s.mask != TARGET && lost(s.at));
            let useless = useless.fold(0, |set, spot| set | usize::from(spot.mask));
            for (set, sum) in sums.iter_mut().enumerate() {
                if target && useless & set == set {
                    *sum += probability;
                }
            }
        }
        sums
    }

    #[test]
    fn equals_the_sum_over_all_patterns() {
        let spot = |at, mask| Spot { at, mask };
        let layouts = [
            vec![spot(0, 1), spot(3, TARGET), spot(4, 2), spot(9, 1), spot(13, 2), spot(14, 1)],
            // A member of two groups, once as one spot and once as two; three repairs in a row.
            vec![
                spot(0, 3),
                spot(2, 4),
                spot(5, TARGET),
                spot(7, 1),
                spot(7, 2),
                spot(11, 1),
                spot(12, 2),
                spot(13, 4),
            ],
            vec![spot(-5, TARGET), spot(-4, 1), spot(-3, 2), spot(-2, 4)],
        ];
        for (loss, enter, stay) in [
            (Loss::Iid { rate: 0.1 }, 0.1, 0.1),
            (Loss::Iid { rate: 1e-4 }, 1e-4, 1e-4),
            (Loss::Ge { rate: 0.1, mean_burst: 4.0 }, 0.1 / (0.9 * 4.0), 0.75),
            (Loss::Ge { rate: 0.2, mean_burst: 1.0 }, 0.25, 0.0),
        ] {
            let mut joint = Joint::new(&loss);
            for layout in &layouts {
                let repairs = 3;
                let expected = enumerate(layout, repairs, loss.rate(), enter, stay);
                let got = joint.lost_and_useless(&mut layout.clone(), repairs);
                for (set, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    assert!(
                        (got - expected).abs() <= 1e-12 * expected,
                        "{loss:?} {set}: {got:e} {expected:e}"
                    );
                }
            }
        }
    }

    /// A copy of a packet, right behind it, and one far off.
    #[test]
    fn distance_is_what_protects() {
        let mut joint = Joint::new(&Loss::Ge { rate: 0.01, mean_burst: 20.0 });
        let mut both = |gap| {
            let spots = [Spot { at: 0, mask: TARGET }, Spot { at: gap, mask: 1 }];
            joint.lost_and_useless(&mut spots.clone(), 1)[1]
        };
        assert!((both(1) - 0.01 * 0.95).abs() < 1e-15);
        assert!((both(1_000_000) - 1e-4).abs() < 1e-15);
    }
}
