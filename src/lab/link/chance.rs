//! Chance at work: what is drawn for each wire index, and the flipping of bits.

use super::LinkConfig;
use crate::lab::dice::{Chance, Dice, Purpose};

/// The most bits that are flipped in a corrupted frame.
const MAX_FLIPS: usize = 4;

/// An impairment that strikes with a fixed probability, from a stream of its own.
pub(super) struct Impairment {
    pub(super) dice: Dice,
    chance: Chance,
}

impl Impairment {
    pub(super) fn new(config: &LinkConfig, purpose: Purpose, probability: f64) -> Impairment {
        let dice = Dice::new(config.seed, config.direction, purpose);
        Impairment { dice, chance: Chance::new(probability) }
    }

    #[inline]
    pub(super) fn strikes(&mut self) -> bool {
        !self.chance.is_never() && self.dice.hit(self.chance)
    }
}

/// What chance has in store for one wire index. All of it is drawn for every frame that enters,
/// whatever then becomes of it, so that a stream's n-th outcome belongs to wire index n, and no
/// queue, MTU or other impairment can shift it.
pub(super) struct Draws {
    pub(super) lost: bool,
    pub(super) flips: Option<Flips>,
    pub(super) duplicated: bool,
    pub(super) held: bool,
}

/// Where to flip bits, as fractions of the frame in units of 2^-32, before its length is known.
pub(super) struct Flips {
    count: usize,
    places: [u64; MAX_FLIPS],
}

impl Flips {
    pub(super) fn draw(dice: &mut Dice) -> Flips {
        let count = 1 + dice.below(MAX_FLIPS as u64) as usize;
        Flips { count, places: std::array::from_fn(|_| dice.below(1 << 32)) }
    }

    /// Flips `count` different bits of `bytes`, which is not empty.
    pub(super) fn apply(&self, bytes: &mut [u8]) {
        let bits = bytes.len() as u64 * 8;
        let mut flipped = [u64::MAX; MAX_FLIPS];
        for k in 0..self.count {
            let mut bit = (self.places[k] * bits) >> 32;
            // The same bit twice would leave the frame whole: take the next one that is free.
            while flipped.contains(&bit) {
                bit = (bit + 1) % bits;
            }
            flipped[k] = bit;
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}
