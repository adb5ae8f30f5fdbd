//! Puts the messages of named repairs together again from their parts ([`super::named`]).
//!
//! A repair of which a part is lost is lost. Its place is taken by a newer one in its turn, so what is
//! kept is bounded, and nothing waits for a clock.

use super::named::{Cut, Part};

/// How many repairs may be put together at a time: parts are sent one behind the other, and this is how
/// many others reordering may get between them.
const PLACES: usize = 64;

#[derive(Clone, Copy)]
struct Place {
    serial: u32,
    next: u64,
    cut: Cut,
    /// A bit for each part that is here; none when the place is free.
    have: u32,
}

impl Place {
    /// Nothing is awaited: what comes is a copy.
    fn is_whole(&self) -> bool {
        self.have.count_ones() >= u32::from(self.cut.parts)
    }
}

/// See the module's head.
pub struct Assembly {
    places: [Place; PLACES],
    bytes: Box<[u8]>,
    longest: usize,
    turn: usize,
    lost: u64,
}

impl Assembly {
    /// For messages of up to `longest` bytes. All memory is allocated here.
    pub fn new(longest: usize) -> Assembly {
        let empty = Place { serial: 0, next: 0, cut: Cut { total: 0, parts: 1 }, have: 0 };
        Assembly {
            places: [empty; PLACES],
            bytes: vec![0; PLACES * longest].into(),
            longest,
            turn: 0,
            lost: 0,
        }
    }

    /// How many bytes [`Assembly::new`] allocates.
    pub fn memory_bytes(longest: usize) -> usize {
        PLACES * longest
    }

    /// How many repairs lost a part.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| place.have = 0);
    }

    /// Takes a part of the repair before which `next` source packets were sent. The message, if this was
    /// the last part that it lacked. Longer ones than are expected are lost.
    pub fn take(&mut self, part: Part, next: u64, bytes: &[u8]) -> Option<&[u8]> {
        let Part { serial, part, cut } = part;
        let range = cut.range(part);
        if usize::from(cut.total) > self.longest || range.len() != bytes.len() || part >= 32 {
            self.lost += 1;
            return None;
        }
        let same = |place: &Place| {
            place.have != 0 && (place.serial, place.next, place.cut) == (serial, next, cut)
        };
        let at = self.places.iter().position(same).unwrap_or_else(|| {
            let at = self.turn;
            self.turn = (at + 1) % PLACES;
            let before = &self.places[at];
            self.lost += u64::from(before.have != 0 && !before.is_whole());
            self.places[at] = Place { serial, next, cut, have: 0 };
            at
        });
        let place = &mut self.places[at];
        if place.is_whole() {
            return None;
        }
        let message = &mut self.bytes[at * self.longest..][..usize::from(cut.total)];
        message[range].copy_from_slice(bytes);
        place.have |= 1 << part;
        place.is_whole().then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { total: 10, parts: 3 };

    fn take(assembly: &mut Assembly, serial: u32, part: u8) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = CUT.range(part).map(|n| n as u8 + serial as u8).collect();
        let part = Part { serial, part, cut: CUT };
        assembly.take(part, u64::from(serial), &bytes).map(<[u8]>::to_vec)
    }

    fn whole(serial: u32) -> Option<Vec<u8>> {
        Some((0..10).map(|n| n + serial as u8).collect())
    }

    #[test]
    fn parts_come_in_any_order_and_twice() {
        let mut assembly = Assembly::new(10);
        for (serial, part) in [(1, 2), (1, 0), (2, 0), (1, 2), (2, 1)] {
            assert_eq!(take(&mut assembly, serial, part), None);
        }
        assert_eq!(take(&mut assembly, 2, 2), whole(2));
        assert_eq!(take(&mut assembly, 1, 1), whole(1));
        assert_eq!(assembly.lost(), 0);
        // Copies of what is whole are not the beginning of anything.
        for serial in 3..200 {
            for part in [0, 1] {
                assert_eq!(take(&mut assembly, serial, part), None);
            }
            assert_eq!(take(&mut assembly, serial, 2), whole(serial));
            assert_eq!(take(&mut assembly, serial, 2), None);
        }
        assert_eq!(assembly.lost(), 0);
    }

    #[test]
    fn what_lacks_a_part_makes_way() {
        let mut assembly = Assembly::new(10);
        for serial in 0..PLACES as u32 {
            assert_eq!(take(&mut assembly, serial, 0), None);
        }
        assert_eq!(take(&mut assembly, 1000, 0), None);
        assert_eq!(assembly.lost(), 1);
        assert_eq!((take(&mut assembly, 1, 1), take(&mut assembly, 1, 2)), (None, whole(1)));
        assert_eq!((take(&mut assembly, 0, 1), take(&mut assembly, 0, 2)), (None, None));
        assembly.clear();
        assert_eq!((take(&mut assembly, 5, 1), take(&mut assembly, 5, 2)), (None, None));
    }

    #[test]
    fn messages_that_are_too_long_are_lost() {
        let mut assembly = Assembly::new(9);
        assert_eq!(take(&mut assembly, 1, 0), None);
        assert_eq!(assembly.lost(), 1);
    }
}
