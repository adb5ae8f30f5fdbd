//! Where frames in flight are kept: chunks that are filled from the front and, once everything
//! in one has left, used again.
//!
//! Frames leave in nearly the order in which they came, so chunks empty one after another, and
//! small frames take little room, which fixed slots of MTU size would not give. The memory is
//! written and read in order, which is what the hardware's prefetchers like.

/// Bytes of a chunk: holds any frame (65,553 bytes at most), and so few frames that one of them,
/// held back, does not keep much. An allocation this size comes zeroed from the system.
pub(super) const CHUNK: usize = 256 * 1024;
/// A cache line: frames start on one of their own. Also bounds the number of frames in a chunk.
const LINE: usize = 64;

/// Where a frame lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    chunk: u32,
    offset: u32,
    len: u32,
}

struct Chunk {
    bytes: Box<[u8]>,
    /// Filled up to here.
    used: usize,
    /// Frames that have not been released.
    live: usize,
}

pub(super) struct Pool {
    chunks: Vec<Chunk>,
    /// Empty chunks; the one that emptied last is warm, and used first.
    free: Vec<u32>,
    /// The chunk that is being filled.
    current: Option<u32>,
    most_chunks: usize,
}

impl Pool {
    pub(super) fn new(most_bytes: usize) -> Pool {
        let most_chunks = (most_bytes / CHUNK).min(u32::MAX as usize);
        Pool { chunks: Vec::new(), free: Vec::new(), current: None, most_chunks }
    }

    /// Takes memory for `bytes` now, as far as the limit goes, and touches it.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let wanted = bytes.div_ceil(CHUNK).min(self.most_chunks);
        while self.chunks.len() < wanted {
            let chunk = self.allocate();
            // One write a page makes it real.
            self.chunks[chunk as usize].bytes.chunks_mut(4096).for_each(|page| page[0] = 1);
            self.free.push(chunk);
        }
    }

    /// Keeps a copy of `frame`; None if the memory is full.
    #[inline]
    pub(super) fn put(&mut self, frame: &[u8]) -> Option<Slot> {
        let room = frame.len().next_multiple_of(LINE).max(LINE);
        let at = match self.current {
            Some(at) if self.chunks[at as usize].used + room <= CHUNK => at,
            _ => self.next_chunk()?,
        };
        let chunk = &mut self.chunks[at as usize];
        let offset = chunk.used;
        chunk.bytes[offset..offset + frame.len()].copy_from_slice(frame);
        chunk.used += room;
        chunk.live += 1;
        Some(Slot { chunk: at, offset: offset as u32, len: frame.len() as u32 })
    }

    #[inline]
    pub(super) fn bytes(&self, slot: Slot) -> &[u8] {
        &self.chunks[slot.chunk as usize].bytes[slot.range()]
    }

    pub(super) fn bytes_mut(&mut self, slot: Slot) -> &mut [u8] {
        &mut self.chunks[slot.chunk as usize].bytes[slot.range()]
    }

    /// Gives a frame's room back, once. Its bytes can be read until the next `put`.
    #[inline]
    pub(super) fn release(&mut self, slot: Slot) {
        let chunk = &mut self.chunks[slot.chunk as usize];
        chunk.live -= 1;
        if chunk.live == 0 {
            chunk.used = 0;
            if self.current != Some(slot.chunk) {
                self.free.push(slot.chunk);
            }
        }
    }

    #[cold]
    fn next_chunk(&mut self) -> Option<u32> {
        let next = match self.free.pop() {
            Some(chunk) => chunk,
            None if self.chunks.len() < self.most_chunks => self.allocate(),
            None => return None,
        };
        self.current = Some(next);
        Some(next)
    }

    fn allocate(&mut self) -> u32 {
        self.chunks.push(Chunk { bytes: vec![0; CHUNK].into(), used: 0, live: 0 });
        (self.chunks.len() - 1) as u32
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.chunks.len() * CHUNK
    }
}

impl Slot {
    #[inline]
    fn range(self) -> std::ops::Range<usize> {
        self.offset as usize..(self.offset + self.len) as usize
    }
}
