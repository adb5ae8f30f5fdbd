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
use crate::dpdk::Mbuf;
use crate::fec::code::MAX_LAYERS;
use crate::fec::group::Members;
use crate::fec::{Code, Codes, EncoderConfig, Repair, SPARSE_ID};

/// A repair packet, and what storage processes are told of it when it goes.
pub(super) struct Waiting {
    pub(super) mbuf: Mbuf,
    members: Members,
    layer: u8,
    code_id: u8,
    flushed: bool,
}

impl Waiting {
    pub(super) fn new(mbuf: Mbuf, repair: &Repair<'_>) -> Waiting {
        let Repair { members, layer, code_id, flushed, .. } = *repair;
        Waiting { mbuf, members: members.clone(), layer, code_id, flushed }
    }

    /// What it was made of, but for its bytes, which the packet has.
    pub(super) fn repair(&self) -> Repair<'_> {
        let Waiting { ref members, layer, code_id, flushed, .. } = *self;
        Repair { members, layer, code_id, flushed, lengths: 0, checks: 0, bytes: &[] }
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
                && oldest.members.first().saturating_add(self.age) < next
                && let Some(oldest) = self.pop(rank)
            {
                self.shed(oldest);
            }
        }
        self.outdated == 0
    }

    fn is_outdated(&self, waiting: &Waiting) -> bool {
        waiting.code_id >> 1 != self.generation
    }

    /// What one for up to `size` bytes takes, beside the packets.
    pub(super) fn memory_bytes(size: usize, layers: usize) -> usize {
        size / LEAST_FOOTPRINT * size_of::<Waiting>() * layers
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes a repair in. Where there is no room, the oldest of the longest layer goes, be it this one.
    pub(super) fn push(&mut self, waiting: Waiting) {
        let code = usize::from(waiting.code_id & SPARSE_ID);
        let rank = self.ranks[code].get(usize::from(waiting.layer)).map_or(0, |&rank| rank.into());
        let rank = usize::min(rank, self.queues.len() - 1);
        let need = footprint(waiting.mbuf.len());
        while self.held + need > self.size {
            let longest = self.queues.iter().rposition(|queue| !queue.is_empty());
            match longest.filter(|&longest| longest >= rank) {
                Some(longest) => {
                    let oldest = self.pop(longest);
                    oldest.into_iter().for_each(|oldest| self.shed(oldest));
                }
                None => return self.shed(waiting),
            }
        }
        self.held += need;
        self.outdated += usize::from(self.is_outdated(&waiting));
        self.queues[rank].push_back(waiting);
    }

    /// The next that is to leave, when `next` is the number of the next source packet. What is too old
    /// by then is shed.
    pub(super) fn take(&mut self, next: u64) -> Option<Waiting> {
        loop {
            let shortest = self.queues.iter().position(|queue| !queue.is_empty())?;
            let waiting = self.pop(shortest)?;
            if waiting.members.first().saturating_add(self.age) >= next {
                return Some(waiting);
            }
            self.shed(waiting);
        }
    }

    fn pop(&mut self, rank: usize) -> Option<Waiting> {
        let waiting = self.queues[rank].pop_front()?;
        self.held -= footprint(waiting.mbuf.len());
        self.outdated -= usize::from(self.is_outdated(&waiting));
        Some(waiting)
    }

    fn shed(&mut self, waiting: Waiting) {
        if let Some(count) = self.shed.get_mut(usize::from(waiting.layer)) {
            *count += 1;
        }
    }

    /// How many repairs of each layer were shed.
    pub(super) fn shed_by_layer(&self) -> &[u64; MAX_LAYERS] {
        &self.shed
    }
}
