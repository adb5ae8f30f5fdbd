//! The broadcast ring of a worker: one writer, any number of readers, none of which it knows.
//!
//! The writer never waits. A reader that is a whole ring behind is *lapped*: what it was about to read
//! is gone. That is a count it is told, not an error; it goes on three quarters of a ring behind the
//! writer, so that it isn't lapped again at once. See [`crate::layout`] for the seqs.

use std::sync::Arc;

use crate::layout::Geometry;
use crate::memory::Memory;
use crate::sync::{Line, Word};

/// A worker's ring within the segment.
#[derive(Clone)]
struct Place {
    memory: Arc<Memory>,
    cursor: usize,
    mask: u64,
}

impl Place {
    fn new(memory: Arc<Memory>, geometry: &Geometry, worker: usize) -> Place {
        Place { memory, cursor: geometry.cursor(worker), mask: geometry.ring as u64 - 1 }
    }

    /// How many notices were published.
    #[inline]
    fn cursor(&self) -> &Word {
        &self.memory.lines()[self.cursor].0[0]
    }

    #[inline]
    fn line(&self, number: u64) -> &Line {
        &self.memory.lines()[self.cursor + 1 + (number & self.mask) as usize]
    }
}

/// No ring gets there: what a cursor says beyond it is made up, and nothing to count on from.
const LARGEST: u64 = u64::MAX / 4;

/// How many slots ahead the writer has lines fetched.
const AHEAD: u64 = 8;

/// What a notice's slot says while it holds it.
#[inline]
fn seq(number: u64) -> u64 {
    number.wrapping_mul(2).wrapping_add(2)
}

pub(crate) struct RingWriter {
    place: Place,
    next: u64,
}

impl RingWriter {
    pub(crate) fn new(memory: Arc<Memory>, geometry: &Geometry, worker: usize) -> RingWriter {
        RingWriter { place: Place::new(memory, geometry, worker), next: 0 }
    }

    /// `N` is up to 7.
    #[inline]
    pub(crate) fn publish<const N: usize>(&mut self, words: [u64; N]) {
        let Line([lock, slots @ ..]) = self.place.line(self.next);
        lock.open(seq(self.next) - 1);
        slots.iter().zip(words).for_each(|(slot, word)| slot.put(word));
        lock.publish(seq(self.next));
        self.next += 1;
        self.place.cursor().publish(self.next);
        // A load that nobody waits for: a slot was last touched a whole ring ago, and a store to a line that
        // is far away holds up all stores behind it.
        std::hint::black_box(self.place.line(self.next + AHEAD).0[0].get());
    }
}

/// What a look into the ring brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read<const N: usize> {
    /// Nothing new.
    Empty,
    /// The next notice.
    Words([u64; N]),
    /// So many were overwritten before they were read.
    Missed(u64),
}

pub(crate) struct RingReader {
    place: Place,
    next: u64,
}

impl RingReader {
    /// Begins with what is published next.
    pub(crate) fn new(memory: Arc<Memory>, geometry: &Geometry, worker: usize) -> RingReader {
        let place = Place::new(memory, geometry, worker);
        let next = place.cursor().observe().min(LARGEST);
        RingReader { place, next }
    }

    /// Begins with the first that was ever published.
    pub(crate) fn from_first(
        memory: Arc<Memory>,
        geometry: &Geometry,
        worker: usize,
    ) -> RingReader {
        RingReader { place: Place::new(memory, geometry, worker), next: 0 }
    }

    #[inline]
    pub(crate) fn read<const N: usize>(&mut self) -> Read<N> {
        let Line([lock, slots @ ..]) = self.place.line(self.next);
        let expected = seq(self.next);
        let found = lock.observe();
        if found == expected {
            let mut words = [0; N];
            words.iter_mut().zip(slots).for_each(|(word, slot)| *word = slot.get());
            if lock.is_still(expected) {
                self.next += 1;
                return Read::Words(words);
            }
        } else if found < expected {
            return Read::Empty;
        }
        self.lapped()
    }

    #[cold]
    fn lapped<const N: usize>(&mut self) -> Read<N> {
        let ring = self.place.mask + 1;
        let resume = self.place.cursor().observe().saturating_sub(ring - ring / 4);
        // The cursor may be older than the slot that told of the lap; that one is lost in any case.
        let resume = resume.min(LARGEST).max(self.next + 1);
        let missed = resume - self.next;
        self.next = resume;
        Read::Missed(missed)
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GEOMETRY: Geometry = Geometry { workers: 2, ack_writers: 1, ring: 8, flows: 1 };

    fn memory() -> Arc<Memory> {
        Arc::new(Memory::create(GEOMETRY.lines()).unwrap().0)
    }

    #[test]
    fn a_reader_begins_with_what_comes_next() {
        let memory = memory();
        let mut writer = RingWriter::new(Arc::clone(&memory), &GEOMETRY, 1);
        writer.publish([1]);
        let mut reader = RingReader::new(memory, &GEOMETRY, 1);
        assert_eq!(reader.read::<1>(), Read::Empty);
        writer.publish([2]);
        assert_eq!(reader.read(), Read::Words([2]));
        assert_eq!(reader.read::<1>(), Read::Empty);
    }

    #[test]
    fn a_reader_may_begin_with_the_first() {
        for (written, expected) in [(1, Read::Words([0])), (9, Read::Missed(3))] {
            let memory = memory();
            let mut writer = RingWriter::new(Arc::clone(&memory), &GEOMETRY, 1);
            let mut reader = RingReader::from_first(memory, &GEOMETRY, 1);
            assert_eq!(reader.read::<1>(), Read::Empty);
            (0..written).for_each(|i| writer.publish([i]));
            assert_eq!(reader.read(), expected);
        }
    }

    #[test]
    fn a_lapped_reader_goes_on_three_quarters_behind() {
        let memory = memory();
        let mut writer = RingWriter::new(Arc::clone(&memory), &GEOMETRY, 0);
        let mut reader = RingReader::new(memory, &GEOMETRY, 0);
        (0..100).for_each(|i| writer.publish([i]));
        assert_eq!(reader.read::<1>(), Read::Missed(94));
        for i in 94..100 {
            assert_eq!(reader.read(), Read::Words([i]));
        }
        assert_eq!(reader.read::<1>(), Read::Empty);
    }

    proptest! {
        /// Whatever the pace: each notice is either read, in order, or counted as missed.
        #[test]
        fn readers_of_any_pace_know_what_they_missed(
            steps in proptest::collection::vec((0..30u64, 0..30usize, 0..3usize), 1..50)
        ) {
            let memory = memory();
            let mut writer = RingWriter::new(Arc::clone(&memory), &GEOMETRY, 0);
            let mut slow = RingReader::new(Arc::clone(&memory), &GEOMETRY, 0);
            let mut fast = RingReader::new(memory, &GEOMETRY, 0);
            let (mut written, mut expected) = (0, [0, 0]);
            for (publish, reads_fast, reads_slow) in steps {
                for _ in 0..publish {
                    writer.publish([written, !written]);
                    written += 1;
                }
                let readers = [(&mut slow, reads_slow), (&mut fast, reads_fast)];
                for ((reader, reads), expected) in readers.into_iter().zip(&mut expected) {
                    for _ in 0..reads {
                        match reader.read() {
                            Read::Empty => prop_assert_eq!(*expected, written),
                            Read::Words([a, b]) => {
                                prop_assert_eq!((a, b), (*expected, !*expected));
                                *expected += 1;
                            }
                            Read::Missed(missed) => *expected += missed,
                        }
                        prop_assert!(*expected <= written);
                    }
                }
            }
        }
    }
}
