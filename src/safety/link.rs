//! What a link may lose: loss models, and the one to reckon with after what was measured.
//!
//! A storage process must not be told that its bytes are safe on the strength of a short, lucky
//! measurement. So the estimate is the larger of the operator's floor and the upper 99.9 %
//! confidence limit of what was counted.

use super::confidence::ALPHA;
use super::estimate::{Bursts, LinkEstimate};

/// How a link loses wire packets. The parameters are those of `lab::loss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each packet is lost with probability `rate`, independently.
    Iid {
        /// In 0..1.
        rate: f64,
    },
    /// Gilbert–Elliott: two states, every packet of the bad one is lost and none of the good one.
    Ge {
        /// The share of packets lost in the long run, in 0..1.
        rate: f64,
        /// The mean length of a run of losses, in packets, at least 1.
        mean_burst: f64,
    },
    /// One burst, which may begin anywhere: the worst place counts.
    Burst {
        /// How many wire packets in a row are lost.
        length: u64,
    },
}

/// The link as the model sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// How it loses packets.
    pub loss: Loss,
}

/// What somebody counted at the far end of a link: wire packets, and runs of losses among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wire packets sent.
    pub sent: u64,
    /// Of those, packets that were lost.
    pub lost: u64,
    /// In how many runs; neighbours that are both lost are of one run.
    pub bursts: u64,
}

impl Loss {
    /// The share of packets lost in the long run; that of a single burst is none.
    pub fn rate(&self) -> f64 {
        match *self {
            Loss::Iid { rate } | Loss::Ge { rate, .. } => rate,
            Loss::Burst { .. } => 0.0,
        }
    }

    /// The mean length of a run of losses. Of independent losses, p/(1 − p) go on after one.
    pub fn mean_burst(&self) -> f64 {
        match *self {
            Loss::Iid { rate } => 1.0 / (1.0 - rate),
            Loss::Ge { mean_burst, .. } => mean_burst,
            Loss::Burst { length } => length as f64,
        }
    }
}

impl Counts {
    /// The upper confidence limit, 99.9 %, of rate and mean burst, as a Gilbert–Elliott model.
    ///
    /// Packets of one burst are no independent trials, so it is bursts that are counted. Entering
    /// the bad state is one Bernoulli trial for each packet of the good one, leaving it one for
    /// each packet of the bad one; e and 1 − s get a Clopper–Pearson limit each, at half of the
    /// 0.1 %, and then B = 1/(1 − s) and L = e·B/(1 + e·B).
    pub fn upper_limit(&self) -> Loss {
        let Bursts { rate, mean_burst } = LinkEstimate::new(*self, ALPHA).high;
        Loss::Ge { rate, mean_burst }
    }
}

impl Link {
    /// A link that loses like this.
    pub fn new(loss: Loss) -> Link {
        Link { loss }
    }

    /// What to reckon with: the larger of the operator's `floor` and the upper confidence limit of
    /// what was measured, in the rate and in the mean burst. A floor of a single burst says nothing
    /// of rates, and stays.
    pub fn estimate(floor: Loss, measured: Option<&Counts>) -> Link {
        match measured {
            Some(&counts) => LinkEstimate::new(counts, ALPHA).at_least(floor),
            None => Link::new(floor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_stands_until_more_is_measured() {
        let floor = Loss::Ge { rate: 0.001, mean_burst: 10.0 };
        assert_eq!(Link::estimate(floor, None).loss, floor);
        assert_eq!(Link::estimate(floor, Some(&Counts::default())).loss, floor);
        // Much was sent and hardly anything lost: the floor.
        let calm = Counts { sent: 100_000_000, lost: 10, bursts: 9 };
        assert_eq!(Link::estimate(floor, Some(&calm)).loss, floor);
        // Short and lucky: hardly anything is known.
        let short = Counts { sent: 1000, lost: 0, bursts: 0 };
        let Loss::Ge { rate, .. } = Link::estimate(floor, Some(&short)).loss else { panic!() };
        assert!((0.005..0.01).contains(&rate), "{rate}");
        // Long and bad: the measurement, with a margin.
        let bad = Counts { sent: 10_000_000, lost: 200_000, bursts: 10_000 };
        let Loss::Ge { rate, mean_burst } = Link::estimate(floor, Some(&bad)).loss else {
            panic!()
        };
        assert!((0.02..0.0225).contains(&rate), "{rate}");
        assert!((20.0..21.0).contains(&mean_burst), "{mean_burst}");
        let burst = Loss::Burst { length: 40 };
        assert_eq!(Link::estimate(burst, Some(&bad)).loss, burst);
    }

    /// The promise of a confidence limit: over many measurements of a known chain, fewer than 0.1 %
    /// have a limit below the truth in either parameter.
    #[test]
    fn limits_are_hardly_ever_below_the_truth() {
        use rand_xoshiro::Xoshiro256PlusPlus;
        use rand_xoshiro::rand_core::{Rng, SeedableRng};
        let (rate, mean_burst) = (0.01, 5.0);
        let (enter, stay) = (rate / ((1.0 - rate) * mean_burst), 1.0 - 1.0 / mean_burst);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut uniform = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut low = 0;
        for _ in 0..3000 {
            let mut counts = Counts { sent: 5000, ..Counts::default() };
            let mut bad = false;
            for _ in 0..counts.sent {
                let next = uniform() < if bad { stay } else { enter };
                counts.bursts += u64::from(next && !bad);
                counts.lost += u64::from(next);
                bad = next;
            }
            let upper = counts.upper_limit();
            low += u32::from(upper.rate() < rate || upper.mean_burst() < mean_burst);
        }
        // 3 are expected at most; more than 12 with probability 1e-5.
        assert!(low <= 12, "{low} of 3000");
    }
}
