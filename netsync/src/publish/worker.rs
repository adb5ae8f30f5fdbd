//! What a worker that protects says: its notices, and how far its flows' bytes have come.
//!
//! The table that readers see lies in shared memory; which entry is whose, and when it was last used, the
//! writer keeps for itself too, close together, because it asks for each packet.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::entry::{self, Entry};
use crate::layout::{Geometry, Header, MAX_LEVELS};
use crate::memory::Memory;
use crate::ring::RingWriter;
use crate::{Class, FlowEvent, FlowKey, Notice};

/// An entry of this worker's table, as long as it is the same flow's. Kept beyond that it does no
/// harm: what is said of it is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    index: u32,
    generation: NonZeroU64,
}

/// What [`WorkerWriter::open`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The flow's entry.
    pub slot: Slot,
    /// The flow that had to leave for it, when there was no room.
    pub evicted: Option<FlowKey>,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its FIN was seen. Its watermarks go on.
    Fin,
    /// An RST was seen: nothing more of it will arrive.
    Rst,
}

/// A worker's ring and table of flows.
pub struct WorkerWriter {
    memory: Arc<Memory>,
    geometry: Geometry,
    worker: usize,
    hash_seed: u64,
    ring: RingWriter,
    /// A part of each key's hash; 0 where no flow is.
    tags: Box<[u32]>,
    /// The low bits of each entry's generation: asked for with every watermark, so close together.
    generations: Box<[u32]>,
    seats: Box<[Seat]>,
    evicted: u64,
}

/// What the writer knows of an entry: a line, one for each packet.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Seat {
    key: FlowKey,
    generation: u64,
    used_ns: u64,
    ended: bool,
}

impl WorkerWriter {
    pub(crate) fn new(memory: Arc<Memory>, header: &Header, worker: usize) -> WorkerWriter {
        let Header { geometry, hash_seed, .. } = *header;
        let key = FlowKey::v4([0; 4], 0, [0; 4], 0);
        let seat = Seat { key, generation: 0, used_ns: 0, ended: true };
        WorkerWriter {
            ring: RingWriter::new(Arc::clone(&memory), &geometry, worker),
            memory,
            geometry,
            worker,
            hash_seed,
            tags: vec![0; geometry.flows].into(),
            generations: vec![0; geometry.flows].into(),
            seats: vec![seat; geometry.flows].into(),
            evicted: 0,
        }
    }

    /// Tells all readers, at the cost of a line.
    #[inline]
    pub fn notice(&mut self, notice: &Notice) {
        self.ring.publish(notice.to_words());
    }

    /// The entry of a flow that is open, or was last seen closing.
    #[inline]
    pub fn find(&self, key: &FlowKey) -> Option<Slot> {
        let hash = key.hash(self.hash_seed);
        let index = self.geometry.probes(hash).find(|&index| self.holds(index, tag(hash), key))?;
        let generation = NonZeroU64::new(self.seats[index].generation)?;
        Some(Slot { index: index as u32, generation })
    }

    /// Begins to track a flow whose offset 0 has the TCP sequence number `base_seq`: that behind its
    /// SYN's, or, of an `unanchored` one, any. A key that is there already begins anew. To be called
    /// before the flow's first packet leaves. Where there is no room, the flow that was idle longest
    /// leaves, a closed one first. Readers are told by notices.
    pub fn open(&mut self, key: &FlowKey, base_seq: u32, unanchored: bool, now_ns: u64) -> Opened {
        let hash = key.hash(self.hash_seed);
        let (index, same) = self.seat(hash, key);
        let old = self.seats[index];
        let generation = self.entry(index).open(key, base_seq, unanchored, now_ns);
        self.seats[index] = Seat { key: *key, generation, used_ns: now_ns, ended: false };
        self.tags[index] = tag(hash);
        self.generations[index] = generation as u32;
        let evicts = !same && !old.ended;
        if evicts {
            self.evicted += 1;
            self.tell(index, old.generation, FlowEvent::Evicted);
        }
        let event = if unanchored { FlowEvent::Unanchored } else { FlowEvent::Opened };
        self.tell(index, generation, event);
        Opened {
            // Generations begin at 2.
            slot: Slot {
                index: index as u32,
                generation: NonZeroU64::new(generation).unwrap_or(NonZeroU64::MIN),
            },
            evicted: evicts.then_some(old.key),
        }
    }

    /// Where a flow is to sit, and whether it sat there before.
    fn seat(&self, hash: u64, key: &FlowKey) -> (usize, bool) {
        if let Some(index) = self.geometry.probes(hash).find(|&i| self.holds(i, tag(hash), key)) {
            return (index, true);
        }
        // Never used, ended and long idle, long idle.
        let worth = |&index: &usize| (!self.seats[index].ended, self.seats[index].used_ns);
        (self.geometry.probes(hash).min_by_key(worth).unwrap_or(0), false)
    }

    #[inline]
    fn holds(&self, index: usize, tag: u32, key: &FlowKey) -> bool {
        self.tags[index] == tag && self.seats[index].key == *key
    }

    /// Says that the flow's bytes below `offset` have left as source packets, and how many packets
    /// of it are in flight: sent, these included, and not acknowledged.
    #[inline]
    pub fn sent(&mut self, slot: Slot, offset: u64, in_flight: u64, now_ns: u64) {
        if let Some(seat) = self.seats.get_mut(slot.index as usize)
            && seat.generation == slot.generation.get()
        {
            seat.used_ns = now_ns;
            self.entry(slot.index as usize).send(offset, in_flight);
        }
    }

    /// Says [`WorkerWriter::level`] of all levels from 1 on.
    #[inline]
    pub fn levels(&mut self, slot: Slot, offsets: impl Iterator<Item = u64>) {
        if let Some(entry) = self.live(slot) {
            entry.raise_all(offsets);
        }
    }

    /// Says that bytes below `offset`, any of them, were covered by repairs of this class. To be
    /// called before the level is said that those repairs count for.
    #[inline]
    pub fn class_to(&mut self, slot: Slot, class: Class, offset: u64) {
        if let Some(entry) = self.live(slot) {
            entry.cover(class as usize, offset);
        }
    }

    /// Says that each of the flow's bytes below `offset` is covered by at least `level` repairs, 1 to
    /// 8, that have left. Never lowers what was said before.
    #[inline]
    pub fn level(&mut self, slot: Slot, level: usize, offset: u64) {
        if let Some(entry) = self.live(slot)
            && (1..=MAX_LEVELS).contains(&level)
        {
            entry.raise(level, offset);
        }
    }

    /// How far the far end has acknowledged, as the rooms that read acknowledgements say; none before
    /// they have said anything of this flow.
    #[inline]
    pub fn acked(&self, slot: Slot) -> Option<u64> {
        self.live(slot)?.acked(slot.generation.get())
    }

    /// Says that the flow has ended. Its entry stays until another flow needs it.
    pub fn close(&mut self, slot: Slot, how: Closed) {
        let Some(entry) = self.live(slot) else { return };
        entry.close(how == Closed::Rst);
        self.seats[slot.index as usize].ended = true;
        let event = if how == Closed::Rst { FlowEvent::Reset } else { FlowEvent::Closed };
        self.tell(slot.index as usize, slot.generation.get(), event);
    }

    /// How many flows had to leave before they ended.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    #[inline]
    fn live(&self, slot: Slot) -> Option<Entry<'_>> {
        let index = slot.index as usize;
        let generation = *self.generations.get(index)?;
        (generation == slot.generation.get() as u32).then(|| self.entry(index))
    }

    #[inline]
    fn entry(&self, index: usize) -> Entry<'_> {
        entry::entry(&self.memory, &self.geometry, self.worker, index)
    }

    fn tell(&mut self, index: usize, generation: u64, event: FlowEvent) {
        self.notice(&Notice::Flow { slot: index as u32, generation, event });
    }
}

/// Never 0, and of bits that don't choose the entry.
#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

impl Slot {
    /// Number of the entry, as notices and readers name it.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Of the flow, as notices and readers name it.
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }
}

impl fmt::Debug for WorkerWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerWriter").field("worker", &self.worker).finish_non_exhaustive()
    }
}
