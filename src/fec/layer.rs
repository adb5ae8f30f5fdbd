//! One layer at work: its bins, and the repairs that its guard holds back.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use super::accumulator::{Accumulators, Slot, Sum};
use super::code::Layer;
use super::encoder::BATCH;
use super::group::{MAX_MEMBERS, MAX_RUNS, Members, Run};

/// A repair whose time has come.
///
/// The group as a whole, in the way that it was held back: a copy in other pieces, so soon after,
/// would wait for the stores.
pub(super) struct Ready {
    pub(super) group: Group,
    /// Whether there are further runs, in the order of the bins: those at the front of the queue's.
    merged: bool,
    stride: u16,
    pub(super) layer: u8,
    /// Closed before its time: it carries no burst guarantee.
    pub(super) flushed: bool,
}

/// Repairs whose time has come, in the order in which they leave.
pub(super) struct ReadyQueue {
    repairs: VecDeque<Ready>,
    /// The further runs of those that are merged.
    further: VecDeque<ArrayVec<Run, MAX_RUNS>>,
}

impl ReadyQueue {
    /// Allocates for `repairs`, up to `flushed` of them from a flush.
    pub(super) fn new(repairs: usize, flushed: usize) -> ReadyQueue {
        ReadyQueue {
            repairs: VecDeque::with_capacity(repairs),
            further: VecDeque::with_capacity(flushed),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.repairs.is_empty()
    }

    /// How many there are, with one that is being sent.
    pub(super) fn len(&self) -> usize {
        self.repairs.len()
    }

    /// The next one, which stays; what it stands for is written to `members`.
    #[inline]
    pub(super) fn front(&self, members: &mut Members) -> Option<&Ready> {
        let ready = self.repairs.front()?;
        let first = Run { base: ready.group.opening.base, count: ready.group.count };
        match self.further.front().filter(|_| ready.merged) {
            None => members.become_bins(ready.stride, first, &[]),
            Some(runs) => {
                let mut runs = runs.clone();
                runs.sort_unstable_by_key(|run| run.base);
                members.become_bins(ready.stride, runs[0], &runs[1..]);
            }
        }
        debug_assert!(members.is_valid(), "{members:?}");
        Some(ready)
    }

    /// Takes the next one away.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Sum> {
        let ready = self.repairs.pop_front()?;
        if ready.merged {
            self.further.pop_front();
        }
        if self.repairs.is_empty() {
            // Begins at the front of its memory again, which is in cache.
            self.repairs.clear();
        }
        Some(ready.group.sum)
    }

    fn push(&mut self, ready: Ready) {
        self.repairs.push_back(ready);
    }
}

/// One bin: where its next boundary lies, and the open group, if any. What a packet changes, in
/// half a cache line.
struct Bin {
    /// XOR of the members' checks.
    checks: u64,
    /// The packet of this bin that closes the group.
    closes: u64,
    /// XOR of the members' lengths. They fit 16 bits, but have 32: compilers load such neighbours
    /// together, and a load that is wider than the store before it stalls for a dozen cycles.
    lengths: u32,
    /// The length of the longest member.
    longest: u32,
    /// Where the members' bytes are summed up, if a group is open.
    slot: Option<Slot>,
}

/// What is noted when a group is opened.
#[derive(Clone, Copy, Default)]
pub(super) struct Opening {
    base: u64,
    at: u64,
}

pub(super) struct Group {
    opening: Opening,
    count: u16,
    pub(super) sum: Sum,
}

/// A filled group, held back until `due` has been sent.
struct Held {
    due: u64,
    group: Group,
}

impl Bin {
    /// The sum of the open group, which is open no longer.
    #[inline]
    fn take(&mut self) -> Option<Sum> {
        let Bin { checks, lengths, longest, .. } = *self;
        Some(Sum { checks, lengths, longest, slot: self.slot.take()? })
    }
}

pub(super) struct LayerState {
    layer: Layer,
    index: u8,
    guard: u64,
    bins: Box<[Bin]>,
    /// Of each bin's open group.
    openings: Box<[Opening]>,
    /// How long a group may stay open, in nanoseconds; the encoder's business.
    pub(super) age: u64,
    /// The number of the next packet.
    next: u64,
    /// Its bin.
    cursor: usize,
    edges: Edges,
}

/// What changes when a group is opened or closed.
struct Edges {
    held: VecDeque<Held>,
    /// What the first of those waits for; nothing is that far.
    next_due: u64,
    /// How many groups are open.
    open: usize,
    /// No group that is open or held back was opened before this.
    oldest: u64,
}

impl Edges {
    /// Opens a group in a bin; returns for how many packets there was no slot.
    #[inline(never)]
    fn open(&mut self, bin: &mut Bin, now: u64, sums: &mut Accumulators) -> u64 {
        bin.slot = sums.start();
        if bin.slot.is_none() {
            return 1;
        }
        (bin.checks, bin.lengths, bin.longest) = (0, 0, 0);
        if self.open == 0 && self.held.is_empty() {
            self.oldest = now;
        }
        self.open += 1;
        0
    }

    /// Packet `bin.closes` has filled the group of a bin, if one is open: it is held back until
    /// packet `due`.
    #[inline(never)]
    fn close(&mut self, bin: &mut Bin, opening: Opening, layer: Layer, due: u64) {
        let interleave = u64::from(layer.interleave);
        let filled = u64::from(layer.group - 1) * interleave;
        let passed = bin.closes - opening.base;
        bin.closes += filled + interleave;
        let Some(sum) = bin.take() else { return };
        self.open -= 1;
        let count = match passed == filled {
            true => layer.group,
            false => (passed / interleave + 1) as u16,
        };
        self.held.push_back(Held { due, group: Group { opening, count, sum } });
        self.next_due = self.next_due.min(due);
    }
}

/// Source packets on their way into the groups.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    /// The number of the first.
    pub(super) first: u64,
    pub(super) now: u64,
    pub(super) frames: &'a [&'a [u8]],
    /// One for each frame.
    pub(super) checks: &'a [u64],
}

impl LayerState {
    pub(super) fn new(layer: Layer, index: u8, guard: u64) -> LayerState {
        let bin = |_| Bin { checks: 0, closes: 0, lengths: 0, longest: 0, slot: None };
        let bins = (0..layer.interleave).map(bin).collect();
        // Those of a batch go when all of it has been entered.
        let held = LayerState::held_limit(layer, guard) + BATCH as usize;
        let held = VecDeque::with_capacity(held);
        LayerState {
            layer,
            index,
            guard,
            bins,
            openings: vec![Opening::default(); usize::from(layer.interleave)].into(),
            age: u64::MAX,
            next: 0,
            cursor: 0,
            edges: Edges { held, next_due: u64::MAX, open: 0, oldest: 0 },
        }
    }

    /// How many filled groups the guard can hold back at once: one for every r packets of it, and
    /// the i/r that may lie at either end, since groups of neighbouring bins end together.
    pub(super) fn held_limit(layer: Layer, guard: u64) -> usize {
        let (r, i) = (u64::from(layer.group), u64::from(layer.interleave));
        guard.min(guard.div_ceil(r) + i.div_ceil(r) + 1) as usize + 1
    }

    /// The next packet will be `seq`: finds its bin, and every bin's next boundary. Only for a
    /// layer with nothing open.
    pub(super) fn begin(&mut self, seq: u64) {
        let (r, i) = (u64::from(self.layer.group), u64::from(self.layer.interleave));
        self.next = seq;
        self.cursor = (seq % i) as usize;
        for (b, bin) in (0..).zip(&mut self.bins) {
            // How many packets of this bin went before: those below `seq` that are b modulo i.
            let before = seq.saturating_sub(b).div_ceil(i);
            let stagger = (b * r / i) % r;
            let left = r - (before + stagger) % r;
            bin.closes = b + (before + left - 1) * i;
        }
    }

    /// Enters packets into their bins, except for their bytes, whose places it writes to `places`;
    /// `may_open` says whether they may be the first of a group. Moves on the repairs that their
    /// passing makes due. Returns for how many there was no slot, which a caller that takes its
    /// repairs in time never sees.
    #[inline]
    pub(super) fn enter(
        &mut self,
        batch: Batch<'_>,
        may_open: bool,
        sums: &mut Accumulators,
        places: &mut [u32],
        ready: &mut ReadyQueue,
    ) -> u64 {
        let LayerState { bins, openings, edges, .. } = self;
        let mut no_memory = 0;
        let mut seq = batch.first;
        let mut rest = batch.frames.iter().zip(batch.checks).zip(places);
        while rest.len() > 0 {
            let row = &mut bins[self.cursor..];
            let openings = &mut openings[self.cursor..];
            let count = row.len().min(rest.len());
            for ((bin, opening), ((frame, check), place)) in
                row.iter_mut().zip(openings).zip(&mut rest)
            {
                if bin.slot.is_none() && may_open {
                    *opening = Opening { base: seq, at: batch.now };
                    no_memory += edges.open(bin, batch.now, sums);
                }
                let length = frame.len() as u32;
                bin.checks ^= check;
                bin.lengths ^= length;
                if length > bin.longest {
                    bin.longest = length;
                }
                *place = bin.slot.as_ref().map_or(Slot::NOWHERE, Slot::place);
                if bin.closes == seq {
                    edges.close(bin, *opening, self.layer, seq + self.guard);
                }
                seq += 1;
            }
            self.cursor = if count == bins.len() - self.cursor { 0 } else { self.cursor + count };
        }
        self.next = seq;
        if self.edges.next_due < seq {
            self.release_held(Some(seq - 1), ready);
        }
        no_memory
    }

    /// Takes the open group out of a bin before it is filled.
    fn cut(&mut self, index: usize) -> Option<Group> {
        let sum = self.bins[index].take()?;
        self.edges.open -= 1;
        Some(Group { opening: self.openings[index], count: self.members_in(index), sum })
    }

    /// How many packets the open group of a bin has.
    fn members_in(&self, index: usize) -> u16 {
        let interleave = self.bins.len();
        let to_next = (index + interleave - self.cursor) % interleave;
        let next = self.next + to_next as u64;
        ((next - self.openings[index].base) / interleave as u64) as u16
    }

    /// How many bins there are.
    pub(super) fn bins(&self) -> usize {
        self.bins.len()
    }

    /// See [`super::Code::layer_span`].
    pub(super) fn span(&self) -> u64 {
        u64::from(self.layer.group - 1) * u64::from(self.layer.interleave) + self.guard
    }

    /// Whether there is neither an open group nor a repair held back.
    pub(super) fn is_idle(&self) -> bool {
        self.edges.open == 0 && self.edges.held.is_empty()
    }

    pub(super) fn is_open(&self) -> bool {
        self.edges.open > 0
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.edges.held.is_empty()
    }

    /// No group that is open or held back is older than this.
    pub(super) fn oldest(&self) -> u64 {
        self.edges.oldest
    }

    /// Moves on the repairs whose guard has passed, `sent` being the last packet sent; or all of
    /// them, which cuts the guard short.
    pub(super) fn release_held(&mut self, sent: Option<u64>, ready: &mut ReadyQueue) {
        while self.edges.held.front().is_some_and(|held| sent.is_none_or(|sent| held.due <= sent)) {
            let Some(Held { group, .. }) = self.edges.held.pop_front() else { return };
            ready.push(self.ready(group, sent.is_none()));
        }
        self.note_next_due();
    }

    fn note_next_due(&mut self) {
        self.edges.next_due = self.edges.held.front().map_or(u64::MAX, |held| held.due);
    }

    fn ready(&self, group: Group, flushed: bool) -> Ready {
        let stride = self.layer.interleave;
        Ready { group, merged: false, stride, layer: self.index, flushed }
    }

    /// Closes the groups that were opened at or before `limit`, at most `budget` of them, and cuts
    /// the guard short for those that are held back; returns how many it closed.
    pub(super) fn close_aged(
        &mut self,
        limit: u64,
        budget: usize,
        ready: &mut ReadyQueue,
    ) -> usize {
        let mut oldest = u64::MAX;
        for _ in 0..self.edges.held.len() {
            let Some(held) = self.edges.held.pop_front() else { break };
            if held.group.opening.at <= limit {
                ready.push(self.ready(held.group, true));
            } else {
                oldest = oldest.min(held.group.opening.at);
                self.edges.held.push_back(held);
            }
        }
        self.note_next_due();
        let mut closed = 0;
        for bin in 0..self.bins.len() {
            if self.bins[bin].slot.is_none() {
                continue;
            }
            let opened = self.openings[bin].at;
            if opened <= limit && closed < budget {
                if let Some(group) = self.cut(bin) {
                    ready.push(self.ready(group, true));
                    closed += 1;
                }
            } else {
                oldest = oldest.min(opened);
            }
        }
        self.edges.oldest = oldest;
        closed
    }

    /// Closes everything that is open, merged into about `budget` repairs or fewer; returns how
    /// many it took. `room` is how many bytes a repair has for its bytes and its further runs.
    ///
    /// A train shorter than the interleave has one packet in each bin: a repair for every bin would
    /// send everything once more for each layer. So bins are merged, until groups have about r/2
    /// members: twice the code's usual overhead. Neighbouring packets go into different groups, and
    /// no two layers use the same number of groups, so that they don't group alike.
    pub(super) fn flush(
        &mut self,
        budget: usize,
        room: usize,
        sums: &mut Accumulators,
        ready: &mut ReadyQueue,
    ) -> usize {
        if self.edges.open == 0 {
            return 0;
        }
        let open_packets = self.open_bins().map(|bin| usize::from(self.members_in(bin))).sum();
        let train = self.lone_train(open_packets);
        let longest = self.open_bins().map(|bin| self.bins[bin].longest).max();
        let more_runs = room.saturating_sub(longest.unwrap_or(0) as usize) / Run::WIRE_LEN;
        let most_merged = match train {
            Some(_) => MAX_MEMBERS,
            None => (1 + more_runs).min(MAX_RUNS).min(MAX_MEMBERS / usize::from(self.layer.group)),
        };
        let wanted = open_packets.div_ceil(usize::from(self.layer.group.div_ceil(2)));
        let groups = (wanted + usize::from(self.index))
            .min(budget)
            .clamp(self.edges.open.div_ceil(most_merged), self.edges.open);
        let first = ready.repairs.len();
        let further = ready.further.len();
        let several = train.is_none() && groups < self.edges.open;
        let start = train.unwrap_or(0);
        let mut rank = 0;
        for bin in (start..self.bins.len()).chain(0..start) {
            let Some(group) = self.cut(bin) else { continue };
            let run = Run { base: group.opening.base, count: group.count };
            if rank < groups {
                let mut merged = self.ready(group, true);
                if train.is_some() {
                    merged.stride = groups as u16;
                }
                if several {
                    merged.merged = true;
                    ready.further.push_back([run].into_iter().collect());
                }
                ready.push(merged);
            } else {
                let merged = &mut ready.repairs[first + rank % groups];
                match train {
                    // Every so many packets of the train: one run.
                    Some(_) => merged.group.count += 1,
                    None => ready.further[further + rank % groups].push(run),
                }
                sums.merge(&mut merged.group.sum, group.sum);
            }
            rank += 1;
        }
        groups
    }

    /// Whether what is open is a train of packets, one in each bin, and then the bin of the first.
    fn lone_train(&self, open_packets: usize) -> Option<usize> {
        let bases = || self.open_bins().map(|bin| self.openings[bin].base);
        let (first, last) = (bases().min()?, bases().max()?);
        let lone = open_packets == self.edges.open && last - first + 1 == self.edges.open as u64;
        lone.then(|| (first % u64::from(self.layer.interleave)) as usize)
    }

    fn open_bins(&self) -> impl Iterator<Item = usize> {
        (0..self.bins.len()).filter(|&bin| self.bins[bin].slot.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::xor::Engine;
    use super::*;

    /// All memory is allocated at the beginning.
    #[test]
    fn the_queue_of_held_repairs_never_grows() {
        for (group, interleave) in [(1, 1), (1, 9), (8, 1), (8, 100), (3, 50), (64, 107), (20, 7)] {
            let layer = Layer { group, interleave };
            for guard in [0, 1, 2, 7, 50, 99, 100, 130, 250, 1600] {
                let mut state = LayerState::new(layer, 0, guard);
                let mut sums = Accumulators::new(4000, 64, Engine::PORTABLE);
                let mut ready = ReadyQueue::new(0, 0);
                let limit = LayerState::held_limit(layer, guard);
                assert!(state.edges.held.capacity() >= limit);
                state.begin(0);
                for first in 0..20_000 {
                    let batch = Batch { first, now: 0, frames: &[&[1]], checks: &[0] };
                    let mut places = [0];
                    let shed = state.enter(batch, true, &mut sums, &mut places, &mut ready);
                    assert_eq!(shed, 0);
                    assert!(state.edges.held.len() <= limit, "{layer:?} {guard}");
                    while let Some(sum) = ready.pop() {
                        sums.release(sum);
                    }
                }
            }
        }
    }
}
