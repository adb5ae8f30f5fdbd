//! Where each station was last heard: the bridge's learning table.
//!
//! ```text
//!  set, a cache line:  | way 0           | way 1 | way 2 | way 3 |
//!  way, 16 bytes:      | place  4 bits   | last heard, in ns     |
//!                      | VLAN  12 bits   |                       |
//!                      | MAC   48 bits   |                       |
//! ```
//!
//! Memory is fixed. An address has one set to be in, by a hash with a secret seed, so that nobody can
//! crowd out a station on purpose; when a set is full, whoever was silent longest leaves it. What is
//! forgotten, or older than the age, is not found, and its frames are flooded until it is heard again.

use twox_hash::XxHash3_64;

/// Ways of a set.
const WAYS: usize = 4;
/// Where the place is in a way's first word.
const PLACE_AT: u32 = 60;

/// A station's address in a VLAN (0: none). VLANs learn apart from each other (IEEE 802.1Q, independent
/// learning), since a station may be at one place in one and elsewhere in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(u64);

impl Address {
    /// Of a MAC address.
    #[inline]
    pub fn new(mac: [u8; 6], vlan: u16) -> Address {
        let [a, b, c, d, e, f] = mac;
        Address(u64::from(vlan & 0xFFF) << 48 | u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Whether it is one station's: no group's, and not all zeros.
    #[inline]
    pub fn is_station(self) -> bool {
        self.0 & 1 << 40 == 0 && self.0 & 0xFFFF_FFFF_FFFF != 0
    }
}

/// Where a station is: the number of a port, up to 15.
pub type Place = u8;

/// What was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// Nothing: the station is where it was.
    Known,
    /// The station.
    New,
    /// The station, for which another one that is not too old had to leave.
    Evicted,
    /// Its place.
    Moved,
}

#[derive(Clone, Copy, Default)]
struct Way {
    /// 0 if it is free: no address is.
    word: u64,
    heard: u64,
}

impl Way {
    fn is(self, address: Address) -> bool {
        self.word & ((1 << PLACE_AT) - 1) == address.0
    }

    fn place(self) -> Place {
        (self.word >> PLACE_AT) as Place
    }
}

#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Set([Way; WAYS]);

/// The table. It has one owner.
pub struct Table {
    sets: Box<[Set]>,
    age: u64,
    seed: u64,
}

impl Table {
    /// For `addresses`, a power of two of at least 4, that are forgotten `age` nanoseconds after they were
    /// last heard. Nobody else knows `seed`.
    pub fn new(addresses: usize, age: u64, seed: u64) -> Table {
        let sets = (addresses / WAYS).max(1).next_power_of_two();
        Table { sets: vec![Set::default(); sets].into(), age, seed }
    }

    /// A frame of a station, which is one, has come from `place` at `now`.
    #[inline]
    pub fn learn(&mut self, now: u64, address: Address, place: Place) -> Learnt {
        let age = self.age;
        let ways = self.set(address);
        let word = u64::from(place) << PLACE_AT | address.0;
        if let Some(way) = ways.iter_mut().find(|way| way.is(address)) {
            let known = way.word == word || now.saturating_sub(way.heard) > age;
            *way = Way { word, heard: now };
            return if known { Learnt::Known } else { Learnt::Moved };
        }
        // A free one was never heard.
        let Some(way) = ways.iter_mut().min_by_key(|way| (way.word != 0, way.heard)) else {
            return Learnt::Known;
        };
        let young = way.word != 0 && now.saturating_sub(way.heard) <= age;
        *way = Way { word, heard: now };
        if young { Learnt::Evicted } else { Learnt::New }
    }

    /// Where a station is, if that is known at `now`.
    #[inline]
    pub fn find(&mut self, now: u64, address: Address) -> Option<Place> {
        let age = self.age;
        let way = self.set(address).iter().find(|way| way.is(address))?;
        (way.word != 0 && now.saturating_sub(way.heard) <= age).then(|| way.place())
    }

    #[inline]
    fn set(&mut self, address: Address) -> &mut [Way] {
        let hash = XxHash3_64::oneshot_with_seed(self.seed, &address.0.to_ne_bytes());
        let last = self.sets.len() as u64 - 1;
        match self.sets.get_mut((hash & last) as usize) {
            Some(set) => &mut set.0,
            None => &mut [],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const AGE: u64 = 1000;

    fn station(n: u32) -> Address {
        let [a, b, c, d] = n.to_be_bytes();
        Address::new([2, 0, a, b, c, d], 0)
    }

    #[test]
    fn groups_and_nobody_are_no_stations() {
        assert!(station(1).is_station() && Address::new([2; 6], 4095).is_station());
        assert!(!Address::new([0xFF; 6], 0).is_station());
        assert!(!Address::new([1, 0, 0x5E, 0, 0, 1], 5).is_station());
        assert!(!Address::new([0; 6], 5).is_station());
    }

    #[test]
    fn a_station_is_where_it_was_last_heard_until_it_is_old() {
        let mut table = Table::new(64, AGE, 7);
        assert_eq!(table.find(0, station(1)), None);
        assert_eq!(table.learn(0, station(1), 3), Learnt::New);
        assert_eq!(table.find(AGE, station(1)), Some(3));
        assert_eq!(table.find(AGE + 1, station(1)), None);
        assert_eq!(table.learn(AGE, station(1), 3), Learnt::Known);
        assert_eq!(table.find(AGE + 1, station(1)), Some(3));
        assert_eq!(table.learn(AGE + 2, station(1), 15), Learnt::Moved);
        assert_eq!(table.find(AGE + 2, station(1)), Some(15));
        let tagged = Address::new([2, 0, 0, 0, 0, 1], 9);
        assert_eq!(table.find(AGE + 2, tagged), None, "another VLAN");
        // Come back elsewhere after it was forgotten: not a move.
        assert_eq!(table.learn(3 * AGE, station(1), 2), Learnt::Known);
        assert_eq!(table.find(3 * AGE, station(1)), Some(2));
        // An all-zero address finds no free way.
        assert_eq!(table.find(0, Address::new([0; 6], 0)), None);
    }

    #[test]
    fn the_longest_silent_leaves_a_full_set() {
        // One set.
        let mut table = Table::new(4, AGE, 7);
        for n in 0..4 {
            assert_eq!(table.learn(u64::from(n), station(n), 1), Learnt::New);
        }
        table.learn(10, station(0), 1);
        assert_eq!(table.learn(11, station(9), 1), Learnt::Evicted);
        assert_eq!(table.find(11, station(1)), None);
        assert!([0, 2, 3, 9].into_iter().all(|n| table.find(11, station(n)) == Some(1)));
        assert_eq!(table.learn(5000, station(8), 1), Learnt::New, "all of them are too old");
    }

    #[test]
    fn a_quarter_of_the_room_is_enough_for_nearly_all_whatever_the_seed() {
        for seed in 0..8 {
            let mut table = Table::new(4096, AGE, seed);
            (0..1024).for_each(|n| _ = table.learn(0, station(n), 1));
            let found = (0..1024).filter(|n| table.find(0, station(*n)).is_some()).count();
            assert!(found > 1000, "seed {seed}: {found}");
        }
    }

    proptest! {
        /// What the table says is what it last heard; and it says so unless it was evicted or is old.
        #[test]
        fn it_never_lies(
            seed: u64,
            heard in prop::collection::vec((0..40u32, 0..9u8, 0..200u64), 1..300),
        ) {
            let mut table = Table::new(16, AGE, seed);
            let (mut model, mut now) = (HashMap::new(), 0);
            for (n, place, pause) in heard {
                now += pause;
                table.learn(now, station(n), place);
                model.insert(n, (place, now));
                prop_assert_eq!(table.find(now, station(n)), Some(place));
                for (&n, &(place, at)) in &model {
                    if let Some(found) = table.find(now, station(n)) {
                        prop_assert_eq!(found, place);
                        prop_assert!(now - at <= AGE);
                    }
                }
            }
        }
    }
}
