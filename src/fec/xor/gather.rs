//! XOR of several buffers into one, in one pass: each source byte is read once, each byte of the
//! result is written once.

use std::cmp::Reverse;

use super::{Engine, Set, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

impl Engine {
    /// Makes `into` the XOR of `from`, each padded with zeros, or cut, to its length. `from` may be
    /// left in another order.
    #[inline]
    pub fn gather(self, into: &mut [u8], from: &mut [&[u8]]) {
        self.sum(into, from, false);
    }

    /// XORs all of `from` into `into`, otherwise as [`Engine::gather`].
    #[inline]
    pub fn gather_onto(self, into: &mut [u8], from: &mut [&[u8]]) {
        self.sum(into, from, true);
    }

    #[inline]
    fn sum(self, into: &mut [u8], from: &mut [&[u8]], add: bool) {
        if from.iter().all(|from| from.len() >= into.len()) {
            self.sum_even(into, from, 0, add);
        } else {
            self.sum_ragged(into, from, add);
        }
    }

    /// Some end before `into`: stretch by stretch, each with the sources that reach its end.
    fn sum_ragged(self, into: &mut [u8], from: &mut [&[u8]], add: bool) {
        from.sort_unstable_by_key(|from| Reverse(from.len()));
        let mut left = &*from;
        let mut at = 0;
        while let Some((shortest, longer)) = left.split_last() {
            let end = shortest.len().min(into.len());
            if end > at {
                self.sum_even(&mut into[at..end], left, at, add);
                at = end;
            }
            left = longer;
        }
        if !add {
            into[at..].fill(0);
        }
    }

    /// Sums up what `from` have from `at` on, as many bytes as `into` has.
    ///
    /// # Panics
    /// If one of them has fewer.
    #[inline]
    fn sum_even(self, into: &mut [u8], from: &[&[u8]], at: usize, add: bool) {
        assert!(from.iter().all(|from| from.len() >= at + into.len()), "sources that reach");
        match self.0 {
            Set::Portable => portable::gather(into, from, at, add),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::gather(into, from, at, add),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::gather(into, from, at, add),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that differ from source to source.
    fn bytes(source: usize) -> Vec<u8> {
        let factor = 2_654_435_761u32.wrapping_add(2 * source as u32);
        (0..2300u32).map(|n| (n.wrapping_mul(factor) >> 13) as u8).collect()
    }

    /// A byte at a time, sources padded or cut.
    fn slow(into: &mut [u8], from: &[&[u8]], add: bool) {
        for (n, into) in into.iter_mut().enumerate() {
            let sum = from.iter().filter_map(|from| from.get(n)).fold(0, |a, b| a ^ b);
            *into = if add { *into ^ sum } else { sum };
        }
    }

    /// Whether every engine does as [`slow`], also with what lies around `into`.
    fn check(at: usize, len: usize, from: &[&[u8]], what: &str) {
        for add in [false, true] {
            let mut expected = bytes(100);
            slow(&mut expected[at..at + len], from, add);
            for engine in Engine::available() {
                let mut got = bytes(100);
                let (into, mut from) = (&mut got[at..at + len], from.to_vec());
                match add {
                    true => engine.gather_onto(into, &mut from),
                    false => engine.gather(into, &mut from),
                }
                assert!(got == expected, "{} at length {len}, {what}, add {add}", engine.name());
            }
        }
    }

    /// Whatever the length, alignment and number of sources.
    #[test]
    fn engines_agree() {
        let sources: Vec<Vec<u8>> = (0..64).map(bytes).collect();
        for len in 0..=2100 {
            let counts = [0, 1, 2, 3, 4, 5, 7, 8, 9].into_iter();
            for count in counts.chain((len % 97 == 0).then_some(64)) {
                let source = |n: usize| &sources[n][(len + 13 * n) % 67..][..len];
                let from: Vec<&[u8]> = (0..count).map(source).collect();
                check(len % 61, len, &from, &format!("{count} sources"));
            }
        }
    }

    #[test]
    fn sources_are_padded_and_cut() {
        let sources: Vec<Vec<u8>> = (0..9).map(bytes).collect();
        for round in 0..2000usize {
            let random = |n: usize| (round * 7919 + n * 104_729 + round * n * 31) % 2201;
            let from: Vec<&[u8]> = (0..round % 9).map(|n| &sources[n][..random(n)]).collect();
            check(round % 64, random(20), &from, &format!("round {round}"));
        }
    }
}
