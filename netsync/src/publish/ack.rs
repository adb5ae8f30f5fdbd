//! What a room that recovers says: how far the far end has acknowledged.
//!
//! Acknowledgements of a worker's flows pass back through whatever room their own channel leads to. So
//! each of those rooms has a line of every flow to itself, and readers take the furthest.

use std::fmt;
use std::sync::Arc;

use crate::FlowKey;
use crate::entry::{Entry, entry, search};
use crate::layout::{Geometry, Header};
use crate::memory::Memory;

/// Where a flow's lines are, as long as it is the same flow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    worker: u32,
    slot: u32,
    generation: u64,
    base_seq: u32,
}

/// What has become of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// Bytes below this offset are acknowledged, and readers are told so.
    To(u64),
    /// Nothing new: it was said before, or lies before the flow's offset 0.
    Old,
    /// More than a TCP window ahead of what the flow has sent; ignored.
    Implausible,
    /// The flow's entry is another's by now.
    Gone,
}

/// The largest window that TCP can have, RFC 7323, section 2.3.
const MAX_WINDOW: i32 = 1 << 30;
/// Flows that are found again without a search, at most: a search costs ten times as much.
const REMEMBERED: usize = 1 << 13;

/// A room's lines of all flows, of all workers.
pub struct AckWriter {
    memory: Arc<Memory>,
    geometry: Geometry,
    hash_seed: u64,
    writer: usize,
    /// By hash. They may be out of date.
    remembered: Box<[Option<(FlowKey, Place)>]>,
}

impl AckWriter {
    pub(crate) fn new(memory: Arc<Memory>, header: &Header, writer: usize) -> AckWriter {
        let Header { geometry, hash_seed, .. } = *header;
        let flows = geometry.flows * geometry.workers;
        let remembered = vec![None; flows.next_power_of_two().min(REMEMBERED)].into();
        AckWriter { memory, geometry, hash_seed, writer, remembered }
    }

    /// Where a flow is tracked, if it is. `key` has the storage process's end as local: an
    /// acknowledgement's destination.
    #[inline]
    pub fn find(&mut self, key: &FlowKey) -> Option<Place> {
        let hash = key.hash(self.hash_seed);
        let index = (hash >> 32) as usize & (self.remembered.len() - 1);
        if let Some((known, place)) = &self.remembered[index]
            && known == key
            && self.entry(place).generation().observe() == place.generation
        {
            return Some(*place);
        }
        let (worker, slot, identity) = search(&self.memory, &self.geometry, hash, key)?;
        let place = Place {
            worker: worker as u32,
            slot: slot as u32,
            generation: identity.generation,
            base_seq: identity.base_seq,
        };
        self.remembered[index] = Some((*key, place));
        Some(place)
    }

    /// Says what the far end's acknowledgement number is. To be called **before** the packet that
    /// carries it is sent on to the LAN: readers that anchor a flow rely upon knowing it no later than
    /// their kernel.
    #[inline]
    pub fn acknowledge(&mut self, place: &Place, number: u32) -> Acknowledged {
        let entry = self.entry(place);
        let said = entry.acknowledged(self.writer, place.generation);
        // What 32 bits leave out, the offset next to it tells.
        let near = match said {
            Some(said) => said,
            None => match entry.sample(place.generation) {
                Some(sample) => sample.sent,
                None => return Acknowledged::Gone,
            },
        };
        let distance = number.wrapping_sub(place.base_seq).wrapping_sub(near as u32) as i32;
        let Some(offset) = near.checked_add_signed(distance.into()) else {
            return Acknowledged::Old;
        };
        if distance > MAX_WINDOW {
            return Acknowledged::Implausible;
        }
        if said.is_some_and(|said| offset <= said) {
            return Acknowledged::Old;
        }
        entry.acknowledge(self.writer, place.generation, offset);
        Acknowledged::To(offset)
    }

    #[inline]
    fn entry(&self, place: &Place) -> Entry<'_> {
        // Places come from `find` alone, within the geometry of this segment; those of another are
        // led back into it.
        let worker = place.worker as usize % self.geometry.workers;
        let slot = place.slot as usize & (self.geometry.flows - 1);
        entry(&self.memory, &self.geometry, worker, slot)
    }
}

impl Place {
    /// Which worker tracks the flow.
    pub fn worker(&self) -> usize {
        self.worker as usize
    }

    /// Number of its entry, as notices name it.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Of the flow, as notices name it.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Debug for AckWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckWriter").field("writer", &self.writer).finish_non_exhaustive()
    }
}
