//! Which control packets of an epoch have been here.

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
