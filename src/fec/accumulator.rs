//! The running XOR of the bytes of the groups that are open or wait to be sent, in one block of
//! memory.

use std::num::NonZeroU32;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::encoder::BATCH;
use super::xor::Engine;

/// Where one sum lives. Dropping one without [`Accumulators::release`] would lose its place; only
/// this crate's encoder handles them.
#[derive(Debug)]
pub(super) struct Slot(NonZeroU32);

impl Slot {
    /// What goes here is of no use to anybody.
    pub(super) const NOWHERE: u32 = 0;

    /// Its number, for [`Accumulators::add`].
    #[inline]
    pub(super) fn place(&self) -> u32 {
        self.0.get()
    }

    fn index(&self) -> usize {
        self.0.get() as usize
    }
}

/// The XOR of a group's members.
#[derive(Debug)]
pub(super) struct Sum {
    /// XOR of the members' checks.
    pub(super) checks: u64,
    /// XOR of the members' lengths.
    pub(super) lengths: u32,
    /// The length of the longest member: how many bytes of the slot count.
    pub(super) longest: u32,
    pub(super) slot: Slot,
}

pub(super) struct Accumulators {
    lines: Box<[Line]>,
    /// Bytes from one slot to the next: whole lines.
    size: usize,
    /// Slots that nobody has; their bytes are all zero.
    free: Vec<NonZeroU32>,
    engine: Engine,
}

/// Slots begin on cache lines: a vector that lies across two costs as much as two.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

const LINE: usize = 64;

/// Where the frames of a batch go in one layer.
pub(super) type Places = [u32; BATCH as usize];

impl Accumulators {
    /// Room for `count` sums of frames of up to `max_frame` bytes.
    pub(super) fn new(count: usize, max_frame: usize, engine: Engine) -> Accumulators {
        let size = max_frame.next_multiple_of(LINE);
        Accumulators {
            lines: vec![Line([0; LINE]); (count + 1) * size / LINE].into(),
            size,
            free: (1..=count as u32).rev().filter_map(NonZeroU32::new).collect(),
            engine,
        }
    }

    /// How many bytes [`Accumulators::new`] allocates.
    pub(super) fn memory_bytes(count: usize, max_frame: usize) -> usize {
        (count + 1) * (max_frame.next_multiple_of(LINE) + size_of::<u32>())
    }

    /// A slot for a new sum, unless all are taken.
    #[inline]
    pub(super) fn start(&mut self) -> Option<Slot> {
        self.free.pop().map(Slot)
    }

    /// XORs each frame into its place of every layer.
    #[inline]
    pub(super) fn add(&mut self, frames: &[&[u8]], layers: &[Places]) {
        let sums = self.lines.as_mut_bytes();
        // Codes have up to four layers as a rule: each frame is read once for all of them.
        for layers in layers.chunks(4) {
            match layers {
                [a] => self.engine.enter(sums, self.size, [a], frames),
                [a, b] => self.engine.enter(sums, self.size, [a, b], frames),
                [a, b, c] => self.engine.enter(sums, self.size, [a, b, c], frames),
                [a, b, c, d] => self.engine.enter(sums, self.size, [a, b, c, d], frames),
                _ => {}
            }
        }
    }

    /// Adds `other` to `sum` and frees its slot.
    pub(super) fn merge(&mut self, sum: &mut Sum, other: Sum) {
        sum.lengths ^= other.lengths;
        sum.checks ^= other.checks;
        sum.longest = sum.longest.max(other.longest);
        let len = other.longest as usize;
        let at = |slot: &Slot| slot.index() * self.size..slot.index() * self.size + len;
        let bytes = self.lines.as_mut_bytes();
        if let Ok([into, from]) = bytes.get_disjoint_mut([at(&sum.slot), at(&other.slot)]) {
            self.engine.xor(into, from);
        }
        self.release(other);
    }

    pub(super) fn bytes(&self, sum: &Sum) -> &[u8] {
        &self.lines.as_bytes()[sum.slot.index() * self.size..][..sum.longest as usize]
    }

    pub(super) fn release(&mut self, sum: Sum) {
        let at = sum.slot.index() * self.size;
        self.lines.as_mut_bytes()[at..][..sum.longest as usize].fill(0);
        self.free.push(sum.slot.0);
    }
}
