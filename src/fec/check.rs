//! The check that every frame carries: a non-linear, seeded 64-bit hash.
//!
//! A CRC will not do. It is affine, so the XOR of an odd number of equally long frames with their
//! CRCs is again a frame with a right CRC: a frame rebuilt from the wrong members would pass. The
//! check is therefore a multiplicative hash, and channel, epoch and sequence number enter it, so
//! that a right frame under a wrong number is refused too.
//!
//! It guards against corruption and error, not against forgery: anyone can compute it.
//!
//! XXH3 because it has a published specification and vectors well: with AVX2, chosen at run time, it
//! takes two thirds of what rapidhash V3 takes for a frame of 1500 bytes, and as much for 64.
//!
//! ```text
//! seed  = kind × 2^40 + channel × 2^32 + epoch
//! key   = fold(seed xor GOLDEN, rotate_left(seed, 32) xor OTHER)
//! h     = XXH3, 64 bits, of the bytes, default secret, seed 0
//! s     = key + sequence number × GOLDEN   (mod 2^64)
//! check = fold(h xor s, rotate_left(s, 32) xor OTHER)
//! fold(a, b) = low 64 bits of a×b, xor its high 64 bits
//! GOLDEN = 0x9E37_79B9_7F4A_7C15, OTHER = 0xD1B5_4A32_D192_ED03
//! ```

use twox_hash::XxHash3_64;

/// 2^64 divided by the golden ratio: neighbouring numbers land far apart.
pub(super) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// An odd constant without structure (a multiplier from Steele and Vigna, 2022), so that the two
/// factors of the fold differ.
pub(super) const OTHER: u64 = 0xD1B5_4A32_D192_ED03;

/// What the check of one channel and epoch is seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckKey(u64);

impl CheckKey {
    /// The key of a channel in an epoch. `kind` separates what must never be taken for each other,
    /// such as source packets and repair packets.
    pub fn new(kind: u8, channel: u8, epoch: u32) -> CheckKey {
        let seed = u64::from(kind) << 40 | u64::from(channel) << 32 | u64::from(epoch);
        CheckKey(fold(seed ^ GOLDEN, seed.rotate_left(32) ^ OTHER))
    }

    /// What it is seeded with, for hashes of another make.
    pub(super) fn seed(self) -> u64 {
        self.0
    }

    /// The check of `bytes` under sequence number `seq`.
    #[inline]
    pub fn check(self, seq: u64, bytes: &[u8]) -> u64 {
        let hash = XxHash3_64::oneshot(bytes);
        let seed = self.0.wrapping_add(seq.wrapping_mul(GOLDEN));
        fold(hash ^ seed, seed.rotate_left(32) ^ OTHER)
    }
}

#[inline]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The trap that a CRC falls into: three equally long frames, XORed with their checks.
    #[test]
    fn the_xor_of_checked_frames_is_not_a_checked_frame() {
        let key = CheckKey::new(0, 3, 7);
        for n in 0..1000u64 {
            let frames: [[u8; 64]; 3] =
                std::array::from_fn(|f| std::array::from_fn(|b| (n as usize * (f + 1) + b) as u8));
            let mut sum = [0u8; 64];
            let mut checks = 0;
            for (seq, frame) in frames.iter().enumerate() {
                sum.iter_mut().zip(frame).for_each(|(a, b)| *a ^= b);
                checks ^= key.check(seq as u64, frame);
            }
            for seq in 0..4 {
                assert_ne!(key.check(seq, &sum), checks);
            }
        }
    }

    #[test]
    fn everything_enters_the_check() {
        let frame = [7u8; 60];
        let check = CheckKey::new(0, 3, 7).check(5, &frame);
        assert_ne!(check, CheckKey::new(1, 3, 7).check(5, &frame));
        assert_ne!(check, CheckKey::new(0, 4, 7).check(5, &frame));
        assert_ne!(check, CheckKey::new(0, 3, 8).check(5, &frame));
        assert_ne!(check, CheckKey::new(0, 3, 7).check(6, &frame));
        assert_ne!(check, CheckKey::new(0, 3, 7).check(5, &frame[..59]));
    }

    /// The check is part of the wire format: it must not change with a crate's version.
    #[test]
    fn the_check_is_what_docs_wire_md_says() {
        let frame: Vec<u8> = (0..=255).collect();
        let checks =
            [0usize, 14, 60, 256].map(|len| CheckKey::new(0, 1, 2).check(3, &frame[..len]));
        assert_eq!(checks, KNOWN);
    }

    const KNOWN: [u64; 4] = [
        3_206_577_288_663_073_380,
        1_566_434_435_349_904_726,
        12_903_174_429_216_423_606,
        4_919_885_687_990_028_450,
    ];
}
