//! Which control packets of an epoch, and which keyed repairs, have been here.

/// How far behind the newest a packet may come.
const WIDTH: u64 = 64;

/// The newest number, and which of the 64 up to it were seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replay {
    next: u64,
    seen: u64,
}

impl Replay {
    /// Takes in number `seq`. False if it was here before, or is too old to tell.
    pub fn admit(&mut self, seq: u64) -> bool {
        if seq >= self.next {
            let ahead = seq - self.next + 1;
            self.seen = if ahead < WIDTH { self.seen << ahead | 1 } else { 1 };
            self.next = seq + 1;
            return true;
        }
        let behind = self.next - 1 - seq;
        let fresh = behind < WIDTH && self.seen >> behind & 1 == 0;
        if fresh {
            self.seen |= 1 << behind;
        }
        fresh
    }
}

/// Words of a [`WideReplay`].
const WORDS: usize = 64;

/// As [`Replay`], for repairs, which a WAN may reorder as it does sources: of some 4,000 up to the newest.
#[derive(Clone, Copy, Debug)]
pub struct WideReplay {
    /// The word of the newest number. Each word has the bits of 64 numbers; of a number's word, the
    /// remainder is its place.
    newest: u64,
    seen: [u64; WORDS],
}

impl Default for WideReplay {
    fn default() -> WideReplay {
        WideReplay { newest: 0, seen: [0; WORDS] }
    }
}

impl WideReplay {
    /// Takes in number `seq`. False if it was here before, or is too old to tell.
    #[inline]
    pub fn admit(&mut self, seq: u64) -> bool {
        let word = seq / 64;
        if word > self.newest {
            let ahead = (word - self.newest).min(WORDS as u64);
            for passed in word + 1 - ahead..=word {
                self.seen[passed as usize % WORDS] = 0;
            }
            self.newest = word;
        } else if self.newest - word >= WORDS as u64 {
            return false;
        }
        let (bits, bit) = (&mut self.seen[word as usize % WORDS], 1 << (seq % 64));
        let fresh = *bits & bit == 0;
        *bits |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn each_number_is_admitted_once() {
        let mut replay = Replay::default();
        let admitted = [5, 5, 3, 4, 3, 68, 5, 4, 69, 6, 6, 1 << 61, 69].map(|n| replay.admit(n));
        let expected =
            [true, false, true, true, false, true, false, false, true, true, false, true, false];
        assert_eq!(admitted, expected);
    }

    proptest! {
        #[test]
        fn the_wide_one_does_too(
            steps in prop::collection::vec((0u64..6000, prop::bool::weighted(0.02)), 0..600),
            start in 0u64..1 << 62,
        ) {
            let (mut replay, mut seen) = (WideReplay::default(), HashSet::new());
            let (mut base, mut newest) = (start, 0);
            for (step, jump) in steps {
                base += if jump { 9000 } else { 3 };
                let seq = base + step;
                newest = newest.max(seq / 64);
                let fresh = !seen.contains(&seq) && newest - seq / 64 < WORDS as u64;
                prop_assert_eq!(replay.admit(seq), fresh, "{}", seq);
                if fresh {
                    seen.insert(seq);
                }
            }
        }

        /// The oracle is a set of all that came.
        #[test]
        fn agrees_with_a_set(numbers in prop::collection::vec(0u64..300, 0..300)) {
            let (mut replay, mut seen) = (Replay::default(), HashSet::new());
            let mut newest = 0;
            for seq in numbers {
                let fresh = !seen.contains(&seq) && (seq > newest || newest - seq < WIDTH);
                newest = newest.max(seq);
                prop_assert_eq!(replay.admit(seq), fresh || seen.is_empty(), "{}", seq);
                seen.insert(seq);
            }
        }
    }
}
