//! Seeded randomness for the emulated WAN.
//!
//! * **What this room does:** gives every impairment of every direction a random stream of its
//!   own, and turns a probability into a hit or a miss.
//! * **Who feeds it:** the seed of the link's configuration, and nothing else.
//! * **Whom it feeds:** `lab::loss` and `lab::link`.
//! * **Which thread runs it:** whichever owns the link.
//! * **What it must not do:** draw from the operating system, or change its output between
//!   versions: a seed written in a document must give the same packets years later.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// What a stream is for. The number goes into the seed, so it must never change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Loss = 1,
    Corrupt = 2,
    Duplicate = 3,
    Reorder = 4,
}

/// One random stream, fixed by (seed, direction, purpose).
#[derive(Clone, Debug)]
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(super) fn new(seed: u64, direction: u8, purpose: Purpose) -> Dice {
        // Each input is mixed in before the next is added, so that no two triples share a key:
        // (seed 1, direction 0) and (seed 0, direction 1) are unrelated.
        let key = mix(mix(seed) ^ (u64::from(direction) << 8 | purpose as u64));
        Dice(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// One draw: true with the given chance.
    #[inline]
    pub(super) fn hit(&mut self, chance: Chance) -> bool {
        self.0.next_u64() >> 11 < chance.0
    }

    /// One draw: a number in 0..n, or 0 if n is 0. Lemire's multiplication; for the n used here
    /// (below 2^20) the bias is under 2^-44.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }
}

/// A probability, in units of 2^-53.
///
/// A draw's top 53 bits u stand for the number u·2^-53 in 0..1, and the hit is `u·2^-53 < p`.
/// Scaling a double by 2^53 is exact, so `u < ceil(p·2^53)` decides the same in integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chance(u64);

impl Chance {
    /// Anything below 0, and NaN, never hits; anything from 1 always does.
    pub(super) fn new(probability: f64) -> Chance {
        Chance((probability * (1u64 << 53) as f64).ceil() as u64)
    }

    pub(super) fn is_never(self) -> bool {
        self.0 == 0
    }
}

/// SplitMix64's step and finaliser (Steele, Lea, Flood 2014): a bijection that spreads every bit.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_chance_are_exact() {
        let mut dice = Dice::new(1, 0, Purpose::Loss);
        for _ in 0..10_000 {
            assert!(!dice.hit(Chance::new(0.0)));
            assert!(!dice.hit(Chance::new(-1.0)));
            assert!(!dice.hit(Chance::new(f64::NAN)));
            assert!(dice.hit(Chance::new(1.0)));
            assert!(dice.below(7) < 7);
            assert_eq!(dice.below(1), 0);
        }
    }

    #[test]
    fn every_seed_direction_and_purpose_has_its_own_stream() {
        let purposes = [Purpose::Loss, Purpose::Corrupt, Purpose::Duplicate, Purpose::Reorder];
        let mut firsts = std::collections::HashSet::new();
        for seed in 0..50 {
            for direction in 0..4 {
                for purpose in purposes {
                    firsts.insert(Dice::new(seed, direction, purpose).below(u64::MAX));
                }
            }
        }
        assert_eq!(firsts.len(), 50 * 4 * 4);
    }

    /// If this fails, a dependency changed its output and every seeded result changed with it.
    #[test]
    fn the_stream_is_pinned() {
        let mut dice = Dice::new(42, 0, Purpose::Loss);
        let got: Vec<u64> = (0..3).map(|_| dice.0.next_u64()).collect();
        assert_eq!(got, PINNED);
    }

    const PINNED: [u64; 3] =
        [4_224_765_661_615_773_778, 9_214_235_839_669_857_625, 3_215_102_071_622_571_564];
}
