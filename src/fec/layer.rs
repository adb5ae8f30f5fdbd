//! One layer at work: its bins, and the repairs that its guard holds back.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use super::accumulator::{Accumulators, Sum};
use super::code::Layer;
use super::group::{MAX_MEMBERS, MAX_RUNS, Members, Run};

/// A repair whose time has come.
pub(super) struct Ready {
    /// In the order of the bins.
    runs: ArrayVec<Run, MAX_RUNS>,
    stride: u16,
    pub(super) sum: Sum,
    pub(super) layer: u8,
    /// Closed before its time: it carries no burst guarantee.
    pub(super) flushed: bool,
}

impl Ready {
    /// What the repair stands for.
    pub(super) fn members(&mut self) -> Members {
        if self.runs.len() > 1 {
            self.runs.sort_unstable_by_key(|run| run.base);
        }
        Members::of_bins(self.stride, &self.runs)
    }
}

/// One bin: the group that is open in it, if any, and where its next boundary lies.
struct Bin {
    group: Option<Group>,
    /// Packets of this bin up to and including the one that closes the group.
    left: u16,
}

struct Group {
    base: u64,
    count: u16,
    opened: u64,
    sum: Sum,
}

/// A filled group, held back until `due` has been sent.
struct Held {
    due: u64,
    group: Group,
}

pub(super) struct LayerState {
    layer: Layer,
    index: u8,
    guard: u64,
    bins: Box<[Bin]>,
    /// The bin of the next packet.
    cursor: usize,
    held: VecDeque<Held>,
    /// What the first of those waits for; nothing is that far.
    next_due: u64,
    open: usize,
    open_packets: usize,
    /// No group that is open or held back was opened before this.
    oldest: u64,
}

/// A source packet on its way into the groups.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) seq: u64,
    pub(super) now: u64,
    pub(super) check: u64,
    pub(super) frame: &'a [u8],
}

/// What is left to do for a packet that was entered into a bin.
pub(super) enum Entered {
    /// Its bytes are to be added to this slot.
    Add(u32),
    /// Nothing.
    Done,
    /// There was no slot for it, which a caller that takes its repairs in time never sees.
    NoMemory,
}

impl LayerState {
    pub(super) fn new(layer: Layer, index: u8, guard: u64) -> LayerState {
        let bins = (0..layer.interleave).map(|_| Bin { group: None, left: 1 }).collect();
        let held = VecDeque::with_capacity(LayerState::held_limit(layer, guard));
        LayerState {
            layer,
            index,
            guard,
            bins,
            cursor: 0,
            held,
            next_due: u64::MAX,
            open: 0,
            open_packets: 0,
            oldest: 0,
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
        self.cursor = (seq % i) as usize;
        for (b, bin) in (0..).zip(&mut self.bins) {
            // How many packets of this bin went before: those below `seq` that are b modulo i.
            let before = seq.saturating_sub(b).div_ceil(i);
            let stagger = (b * r / i) % r;
            bin.left = (r - (before + stagger) % r) as u16;
        }
    }

    /// Enters a packet into its bin; `may_open` says whether it may be the first of a group.
    #[inline]
    pub(super) fn enter(
        &mut self,
        source: Source<'_>,
        may_open: bool,
        sums: &mut Accumulators,
    ) -> Entered {
        let index = self.cursor;
        self.cursor = if index + 1 == self.bins.len() { 0 } else { index + 1 };
        let bin = &mut self.bins[index];
        bin.left -= 1;
        let fills = bin.left == 0;
        if fills {
            bin.left = self.layer.group;
        }
        let entered = match &mut bin.group {
            Some(group) => {
                group.count += 1;
                Entered::Add(sums.enter(&mut group.sum, source.check, source.frame.len()))
            }
            None if !may_open => return Entered::Done,
            none => {
                let Some(sum) = sums.start(source.check, source.frame) else {
                    return Entered::NoMemory;
                };
                *none = Some(Group { base: source.seq, count: 1, opened: source.now, sum });
                if self.open == 0 && self.held.is_empty() {
                    self.oldest = source.now;
                }
                self.open += 1;
                Entered::Done
            }
        };
        self.open_packets += 1;
        if fills && let Some(group) = bin.group.take() {
            self.closed(&group);
            let due = source.seq + self.guard;
            self.held.push_back(Held { due, group });
            self.next_due = self.next_due.min(due);
        }
        entered
    }

    fn closed(&mut self, group: &Group) {
        self.open -= 1;
        self.open_packets -= usize::from(group.count);
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
        self.open == 0 && self.held.is_empty()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// No group that is open or held back is older than this.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Moves on the repairs whose guard has passed, `sent` being the last packet sent; or all of
    /// them, which cuts the guard short.
    pub(super) fn release_held(&mut self, sent: Option<u64>, ready: &mut VecDeque<Ready>) {
        while self.held.front().is_some_and(|held| sent.is_none_or(|sent| held.due <= sent)) {
            let Some(Held { group, .. }) = self.held.pop_front() else { return };
            ready.push_back(self.ready(group, sent.is_none()));
        }
        self.note_next_due();
    }

    /// Whether [`LayerState::release_held`] has something to do after `sent`.
    #[inline]
    pub(super) fn is_due(&self, sent: u64) -> bool {
        self.next_due <= sent
    }

    fn note_next_due(&mut self) {
        self.next_due = self.held.front().map_or(u64::MAX, |held| held.due);
    }

    fn ready(&self, group: Group, flushed: bool) -> Ready {
        let Group { base, count, sum, .. } = group;
        let runs = [Run { base, count }].into_iter().collect();
        Ready { runs, stride: self.layer.interleave, sum, layer: self.index, flushed }
    }

    /// Closes the groups that were opened at or before `limit`, at most `budget` of them, and cuts
    /// the guard short for those that are held back; returns how many it closed.
    pub(super) fn close_aged(
        &mut self,
        limit: u64,
        budget: usize,
        ready: &mut VecDeque<Ready>,
    ) -> usize {
        let mut oldest = u64::MAX;
        for _ in 0..self.held.len() {
            let Some(held) = self.held.pop_front() else { break };
            if held.group.opened <= limit {
                ready.push_back(self.ready(held.group, true));
            } else {
                oldest = oldest.min(held.group.opened);
                self.held.push_back(held);
            }
        }
        self.note_next_due();
        let mut closed = 0;
        for bin in 0..self.bins.len() {
            let Some(opened) = self.bins[bin].group.as_ref().map(|group| group.opened) else {
                continue;
            };
            if opened <= limit && closed < budget {
                if let Some(group) = self.bins[bin].group.take() {
                    self.closed(&group);
                    ready.push_back(self.ready(group, true));
                    closed += 1;
                }
            } else {
                oldest = oldest.min(opened);
            }
        }
        self.oldest = oldest;
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
        ready: &mut VecDeque<Ready>,
    ) -> usize {
        if self.open == 0 {
            return 0;
        }
        let train = self.lone_train();
        let longest = self.open_groups().map(|group| sums.bytes(&group.sum).len()).max();
        let more_runs = room.saturating_sub(longest.unwrap_or(0)) / Run::WIRE_LEN;
        let most_merged = match train {
            Some(_) => MAX_MEMBERS,
            None => (1 + more_runs).min(MAX_RUNS).min(MAX_MEMBERS / usize::from(self.layer.group)),
        };
        let wanted = self.open_packets.div_ceil(usize::from(self.layer.group.div_ceil(2)));
        let groups = (wanted + usize::from(self.index))
            .min(budget)
            .clamp(self.open.div_ceil(most_merged), self.open);
        let first = ready.len();
        let start = train.unwrap_or(0);
        let mut rank = 0;
        for bin in (start..self.bins.len()).chain(0..start) {
            let Some(group) = self.bins[bin].group.take() else { continue };
            if rank < groups {
                let mut merged = self.ready(group, true);
                if train.is_some() {
                    merged.stride = groups as u16;
                }
                ready.push_back(merged);
            } else {
                let merged = &mut ready[first + rank % groups];
                match train {
                    // Every so many packets of the train: one run.
                    Some(_) => merged.runs[0].count += 1,
                    None => merged.runs.push(Run { base: group.base, count: group.count }),
                }
                sums.merge(&mut merged.sum, group.sum);
            }
            rank += 1;
        }
        self.open = 0;
        self.open_packets = 0;
        groups
    }

    /// Whether what is open is a train of packets, one in each bin, and then the bin of the first.
    fn lone_train(&self) -> Option<usize> {
        let bases = || self.open_groups().map(|group| group.base);
        let (first, last) = (bases().min()?, bases().max()?);
        let lone = self.open_packets == self.open && last - first + 1 == self.open as u64;
        lone.then(|| (first % u64::from(self.layer.interleave)) as usize)
    }

    fn open_groups(&self) -> impl Iterator<Item = &Group> {
        self.bins.iter().filter_map(|bin| bin.group.as_ref())
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
                let mut ready = VecDeque::new();
                let limit = LayerState::held_limit(layer, guard);
                assert!(state.held.capacity() >= limit);
                state.begin(0);
                for seq in 0..20_000 {
                    let source = Source { seq, now: 0, check: 0, frame: &[1] };
                    assert!(!matches!(state.enter(source, true, &mut sums), Entered::NoMemory));
                    assert!(state.held.len() <= limit, "{layer:?} {guard}");
                    state.release_held(Some(seq), &mut ready);
                    ready.drain(..).for_each(|ready: Ready| sums.release(ready.sum));
                }
            }
        }
    }
}
