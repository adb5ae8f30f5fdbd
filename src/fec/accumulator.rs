//! The running XOR of the groups that are open or wait to be sent, in one block of memory.
//!
//! What is summed is (length, check, bytes), the bytes padded with zeros to the longest frame.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::xor::Engine;

/// Where one sum lives, and the parts of it that are not bytes. Dropping one without
/// [`Accumulators::release`] would lose its place; only this crate's encoder handles them.
///
/// Lengths fit 16 bits, but have 32: a 16-bit store here, followed by the 32-bit load of its
/// neighbour that compilers make of a 16-bit one, stalls for a dozen cycles in each layer.
#[derive(Debug)]
pub(super) struct Sum {
    /// XOR of the frames' checks.
    pub(super) checks: u64,
    slot: u32,
    /// The length of the longest frame so far: how many bytes of the slot count.
    longest: u32,
    /// XOR of the frames' lengths.
    pub(super) lengths: u32,
}

pub(super) struct Accumulators {
    lines: Box<[Line]>,
    /// Bytes from one slot to the next: whole lines.
    size: usize,
    /// How much of each slot was ever written: beyond it there are zeros.
    dirty: Box<[u32]>,
    free: Vec<u32>,
    engine: Engine,
}

/// Slots begin on cache lines: a vector that lies across two costs as much as two.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

const LINE: usize = 64;

impl Accumulators {
    /// Room for `count` sums of frames of up to `max_frame` bytes.
    pub(super) fn new(count: usize, max_frame: usize, engine: Engine) -> Accumulators {
        let size = max_frame.next_multiple_of(LINE);
        Accumulators {
            lines: vec![Line([0; LINE]); count * size / LINE].into(),
            size,
            dirty: vec![0; count].into(),
            free: (0..count as u32).rev().collect(),
            engine,
        }
    }

    /// How many bytes [`Accumulators::new`] allocates.
    pub(super) fn memory_bytes(count: usize, max_frame: usize) -> usize {
        count * (max_frame.next_multiple_of(LINE) + 2 * size_of::<u32>())
    }

    /// A new sum with one frame, unless all slots are taken.
    pub(super) fn start(&mut self, check: u64, frame: &[u8]) -> Option<Sum> {
        let slot = self.free.pop()?;
        let len = frame.len();
        let dirty = std::mem::replace(&mut self.dirty[slot as usize], len as u32);
        let at = slot as usize * self.size;
        let bytes = &mut self.lines.as_mut_bytes()[at..][..self.size];
        bytes[..len].copy_from_slice(frame);
        if dirty as usize > len {
            bytes[len..dirty as usize].fill(0);
        }
        Some(Sum { slot, longest: len as u32, lengths: len as u32, checks: check })
    }

    /// Notes that a frame belongs to a sum. Its bytes are then to be added with
    /// [`Accumulators::add`], to this sum and others at once; the returned slot says where.
    #[inline]
    pub(super) fn enter(&mut self, sum: &mut Sum, check: u64, len: usize) -> u32 {
        let len = len as u32;
        sum.lengths ^= len;
        sum.checks ^= check;
        if len > sum.longest {
            sum.longest = len;
            let dirty = &mut self.dirty[sum.slot as usize];
            *dirty = (*dirty).max(len);
        }
        sum.slot
    }

    /// XORs a frame into several slots, no two the same.
    #[inline]
    pub(super) fn add(&mut self, slots: &[u32], frame: &[u8]) {
        // Codes have up to four layers as a rule: the frame is read once for all of them.
        for slots in slots.chunks(4) {
            match *slots {
                [a] => self.scatter([a], frame),
                [a, b] => self.scatter([a, b], frame),
                [a, b, c] => self.scatter([a, b, c], frame),
                [a, b, c, d] => self.scatter([a, b, c, d], frame),
                _ => {}
            }
        }
    }

    #[inline]
    fn scatter<const N: usize>(&mut self, slots: [u32; N], frame: &[u8]) {
        let ranges = slots.map(|slot| {
            let start = slot as usize * self.size;
            start..start + frame.len()
        });
        let into = self.lines.as_mut_bytes().get_disjoint_mut(ranges);
        debug_assert!(into.is_ok(), "slots of one packet are distinct, and within");
        if let Ok(into) = into {
            self.engine.scatter(into, frame);
        }
    }

    /// Adds `other` to `sum` and frees its slot.
    pub(super) fn merge(&mut self, sum: &mut Sum, other: Sum) {
        sum.lengths ^= other.lengths;
        sum.checks ^= other.checks;
        sum.longest = sum.longest.max(other.longest);
        let dirty = &mut self.dirty[sum.slot as usize];
        *dirty = (*dirty).max(other.longest);
        let len = other.longest as usize;
        let at = |slot: u32| slot as usize * self.size..slot as usize * self.size + len;
        let bytes = self.lines.as_mut_bytes();
        if let Ok([into, from]) = bytes.get_disjoint_mut([at(sum.slot), at(other.slot)]) {
            self.engine.xor(into, from);
        }
        self.release(other);
    }

    pub(super) fn bytes(&self, sum: &Sum) -> &[u8] {
        &self.lines.as_bytes()[sum.slot as usize * self.size..][..sum.longest as usize]
    }

    pub(super) fn release(&mut self, sum: Sum) {
        self.free.push(sum.slot);
    }
}
