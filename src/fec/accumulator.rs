//! The running XOR of the groups that are open or wait to be sent, in one block of memory.
//!
//! What is summed is (length, check, bytes), the bytes padded with zeros to the longest frame.

use super::xor::Engine;

/// Where one sum lives, and the parts of it that are not bytes. Dropping one without
/// [`Accumulators::release`] would lose its place; only this crate's encoder handles them.
#[derive(Debug)]
pub(super) struct Sum {
    slot: u32,
    /// The length of the longest frame so far: how many bytes of the slot count.
    longest: u16,
    /// XOR of the frames' lengths.
    pub(super) lengths: u16,
    /// XOR of the frames' checks.
    pub(super) checks: u64,
}

pub(super) struct Accumulators {
    bytes: Box<[u8]>,
    size: usize,
    free: Vec<u32>,
    engine: Engine,
}

/// Slots begin on cache lines.
const LINE: usize = 64;

impl Accumulators {
    /// Room for `count` sums of frames of up to `max_frame` bytes.
    pub(super) fn new(count: usize, max_frame: usize, engine: Engine) -> Accumulators {
        let size = max_frame.next_multiple_of(LINE);
        Accumulators {
            bytes: vec![0; count * size].into(),
            size,
            free: (0..count as u32).rev().collect(),
            engine,
        }
    }

    /// How many bytes [`Accumulators::new`] allocates.
    pub(super) fn memory_bytes(count: usize, max_frame: usize) -> usize {
        count * (max_frame.next_multiple_of(LINE) + size_of::<u32>())
    }

    /// A new sum with one frame, unless all slots are taken.
    pub(super) fn start(&mut self, check: u64, frame: &[u8]) -> Option<Sum> {
        let slot = self.free.pop()?;
        let longest = frame.len() as u16;
        let sum = Sum { slot, longest, lengths: longest, checks: check };
        self.slot_mut(slot)[..frame.len()].copy_from_slice(frame);
        Some(sum)
    }

    /// Adds a frame.
    pub(super) fn add(&mut self, sum: &mut Sum, check: u64, frame: &[u8]) {
        sum.lengths ^= frame.len() as u16;
        sum.checks ^= check;
        let engine = self.engine;
        xor_padded(engine, self.slot_mut(sum.slot), &mut sum.longest, frame);
    }

    /// Adds `other` to `sum` and frees its slot.
    pub(super) fn merge(&mut self, sum: &mut Sum, other: Sum) {
        sum.lengths ^= other.lengths;
        sum.checks ^= other.checks;
        let (a, b) = (sum.slot as usize * self.size, other.slot as usize * self.size);
        let (low, high) = self.bytes.split_at_mut(a.max(b));
        let (into, from) = if a < b { (&mut low[a..], &*high) } else { (&mut high[..], &low[b..]) };
        let (into, from) = (&mut into[..self.size], &from[..usize::from(other.longest)]);
        xor_padded(self.engine, into, &mut sum.longest, from);
        self.release(other);
    }

    pub(super) fn bytes(&self, sum: &Sum) -> &[u8] {
        &self.bytes[sum.slot as usize * self.size..][..usize::from(sum.longest)]
    }

    pub(super) fn release(&mut self, sum: Sum) {
        self.free.push(sum.slot);
    }

    fn slot_mut(&mut self, slot: u32) -> &mut [u8] {
        &mut self.bytes[slot as usize * self.size..][..self.size]
    }
}

/// XORs `from` into the first `longest` bytes of `slot`, as if those behind were zeros.
fn xor_padded(engine: Engine, slot: &mut [u8], longest: &mut u16, from: &[u8]) {
    let overlap = from.len().min(usize::from(*longest));
    engine.xor(&mut slot[..overlap], &from[..overlap]);
    if from.len() > overlap {
        slot[overlap..from.len()].copy_from_slice(&from[overlap..]);
        *longest = from.len() as u16;
    }
}
