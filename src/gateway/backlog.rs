//! Repairs that wait for what sources leave of the WAN's rate, under `source-first`.
//!
//! * **Does:** keep repair packets by layer, give out those of the shortest layer first, shed those of the
//!   longest when there are too many, and whatever has become too old to help.
//! * **Fed by:** `protect`, with every repair that is due.
//! * **Feeds:** the same, when the link has room.
//! * **Runs on:** its worker.
//! * **Must not:** allocate after its start, or shed without counting.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use super::shaper::{LEAST_FOOTPRINT, footprint};
use crate::dpdk::mbuf::{self, Burst, Mbuf};
use crate::fec::code::MAX_LAYERS;
use crate::fec::group::Members;
use crate::fec::{Code, Codes, EncoderConfig, Repair, SPARSE_ID};

/// What storage processes are told of a repair when it goes.
#[derive(Clone)]
pub(super) struct Outline {
    members: Members,
    layer: u8,
    code_id: u8,
    flushed: bool,
}

impl Outline {
    pub(super) fn of(repair: &Repair<'_>) -> Outline {
        let Repair { members, layer, code_id, flushed, .. } = *repair;
        Outline { members: members.clone(), layer, code_id, flushed }
    }

    /// The repair, but for its bytes, which its packets have.
    pub(super) fn repair(&self) -> Repair<'_> {
        let Outline { ref members, layer, code_id, flushed } = *self;
        Repair { members, layer, code_id, flushed, lengths: 0, checks: 0, bytes: &[] }
    }
}

/// A repair packet, or a part of one.
pub(super) struct Waiting {
    pub(super) mbuf: Mbuf,
    outline: Outline,
    /// How many parts of the same repair are behind it: without them it is nothing.
    more: u8,
}

impl Waiting {
    /// The packet, and the repair if with it all of that has gone.
    pub(super) fn into_parts(self) -> (Mbuf, Option<Outline>) {
        (self.mbuf, (self.more == 0).then_some(self.outline))
    }
}

/// See the module's head.
pub(super) struct Backlog {
    /// A queue for each layer, the shortest first.
    queues: Vec<VecDeque<Waiting>>,
    /// Which queue is a layer's, for the code for dense traffic and that for sparse traffic.
    ranks: [[u8; MAX_LAYERS]; 2],
    /// In bytes.
    held: usize,
    size: usize,
    /// How many packets after its first member a repair no longer helps.
    age: u64,
    /// The changes of the code so far, modulo 128, and how many wait that are of an older one.
    generation: u8,
    outdated: usize,
    /// How many were shed, by layer.
    shed: [u64; MAX_LAYERS],
}

fn ranks(code: &Code) -> [u8; MAX_LAYERS] {
    in_order(code.layers().iter().map(|&layer| code.layer_span(layer)))
}

/// The place of each layer of a code when they are in order of their spans.
fn in_order(spans: impl Iterator<Item = u64>) -> [u8; MAX_LAYERS] {
    let mut order: ArrayVec<(u64, usize), MAX_LAYERS> = spans.zip(0..MAX_LAYERS).collect();
    order.sort_unstable();
    let mut ranks = std::array::from_fn(|layer| layer as u8);
    (0..).zip(order).for_each(|(rank, (_, layer))| ranks[layer] = rank);
    ranks
}

impl Backlog {
    /// For up to `size` bytes. All memory is allocated here.
    pub(super) fn new(size: usize, encoder: &EncoderConfig) -> Backlog {
        let code = &encoder.code;
        let sparse = encoder.sparse.as_ref().unwrap_or(code);
        let layers = code.layers().len().max(sparse.layers().len());
        let queue = |_| VecDeque::with_capacity(size / LEAST_FOOTPRINT);
        Backlog {
            queues: (0..layers).map(queue).collect(),
            ranks: [ranks(code), ranks(sparse)],
            held: 0,
            size,
            // Less than the window of a receiver whose code is the same, which is three spans.
            age: 2 * code.span().max(sparse.span()),
            generation: 0,
            outdated: 0,
            shed: [0; MAX_LAYERS],
        }
    }

    /// The code changes: its repairs are shed by their own order and age. Layers beyond those that there
    /// are queues for share the last.
    pub(super) fn change(&mut self, codes: &Codes) {
        self.ranks = [false, true].map(|sparse| in_order(codes.layer_spans(sparse)));
        self.age = self.age.max(2 * codes.span());
        self.generation = (self.generation + 1) % 128;
        self.outdated = self.queues.iter().map(VecDeque::len).sum();
    }

    /// Whether none waits of the code before the last change, when `next` is the number of the next
    /// source packet. What is too old by then is shed, though no other has asked for its place.
    pub(super) fn is_up_to_date(&mut self, next: u64) -> bool {
        for rank in 0..self.queues.len() {
            while self.outdated > 0
                && let Some(oldest) = self.queues[rank].front()
                && oldest.outline.members.first().saturating_add(self.age) < next
                && let Some(oldest) = self.pop(rank)
            {
                self.shed(rank, oldest);
            }
        }
        self.outdated == 0
    }

    fn is_outdated(&self, waiting: &Waiting) -> bool {
        waiting.outline.code_id >> 1 != self.generation
    }

    /// What one for up to `size` bytes takes, beside the packets.
    pub(super) fn memory_bytes(size: usize, layers: usize) -> usize {
        size / LEAST_FOOTPRINT * size_of::<Waiting>() * layers
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes a repair in, all of its parts or none. Where there is no room, the oldest of the longest layer
    /// goes, be it this one.
    pub(super) fn push(&mut self, parts: &mut Burst, outline: &Outline) {
        let rank = self.rank(outline);
        if !self.make_room(rank, parts.iter().map(|mbuf| footprint(mbuf.len())).sum()) {
            self.count(outline);
            return mbuf::free(parts);
        }
        let more = (0..parts.len() as u8).rev();
        for (mbuf, more) in parts.drain(..).zip(more) {
            self.append(rank, Waiting { mbuf, outline: outline.clone(), more });
        }
    }

    fn rank(&self, outline: &Outline) -> usize {
        let code = usize::from(outline.code_id & SPARSE_ID);
        let rank = self.ranks[code].get(usize::from(outline.layer)).map_or(0, |&rank| rank.into());
        usize::min(rank, self.queues.len() - 1)
    }

    /// Makes room for `need` bytes of a layer with this rank; false if there is none.
    fn make_room(&mut self, rank: usize, need: usize) -> bool {
        while self.held + need > self.size {
            let longest = self.queues.iter().rposition(|queue| !queue.is_empty());
            let Some(longest) = longest.filter(|&longest| longest >= rank) else { return false };
            let oldest = self.pop(longest);
            oldest.into_iter().for_each(|oldest| self.shed(longest, oldest));
        }
        true
    }

    fn append(&mut self, rank: usize, waiting: Waiting) {
        self.held += footprint(waiting.mbuf.len());
        self.outdated += usize::from(self.is_outdated(&waiting));
        self.queues[rank].push_back(waiting);
    }

    /// The next that is to leave, when `next` is the number of the next source packet. What is too old
    /// by then is shed.
    pub(super) fn take(&mut self, next: u64) -> Option<Waiting> {
        loop {
            let shortest = self.queues.iter().position(|queue| !queue.is_empty())?;
            let waiting = self.pop(shortest)?;
            if waiting.outline.members.first().saturating_add(self.age) >= next {
                return Some(waiting);
            }
            self.shed(shortest, waiting);
        }
    }

    fn pop(&mut self, rank: usize) -> Option<Waiting> {
        let waiting = self.queues[rank].pop_front()?;
        self.held -= footprint(waiting.mbuf.len());
        self.outdated -= usize::from(self.is_outdated(&waiting));
        Some(waiting)
    }

    /// Sheds a repair whose first part that is still here was taken out of the queue with this rank.
    fn shed(&mut self, rank: usize, waiting: Waiting) {
        for _ in 0..waiting.more {
            self.pop(rank);
        }
        self.count(&waiting.outline);
    }

    fn count(&mut self, outline: &Outline) {
        if let Some(count) = self.shed.get_mut(usize::from(outline.layer)) {
            *count += 1;
        }
    }

    /// How many repairs of each layer were shed.
    pub(super) fn shed_by_layer(&self) -> &[u64; MAX_LAYERS] {
        &self.shed
    }
}
