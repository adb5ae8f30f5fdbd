//! The tracked flows of a worker that protects.

use arrayvec::ArrayVec;
use netsync::{Class, Closed, FlowKey, Notice, Slot, WorkerWriter};

use super::coverage::Coverage;
use super::filter::Filter;
use super::flow::{DIRTY, ENDED, Flow, UNANCHORED};
use crate::dpdk::mbuf::BURST;
use crate::fec::Members;
use crate::wire::tcp::{Flag, NotPlain, Segment};

/// What classes announce that are but [`Class::Dense`].
const USUAL: u8 = 1 << Class::Dense as u8;

/// How large a tracker is.
#[derive(Clone, Copy, Debug)]
pub struct TrackerConfig {
    /// Entries of the worker's table in the segment.
    pub flows: usize,
    /// Levels that readers may ask for.
    pub levels: usize,
    /// Source packets whose repairs may yet leave: the code's span, and what is on its way out.
    pub packets: usize,
}

impl TrackerConfig {
    /// What it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        // Word and packet.
        self.flows * size_of::<Flow>() + self.packets.next_power_of_two() * (2 + 32)
    }
}

/// A frame of a tracked flow, on its way out.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    /// Bytes of its stream, none where both are the same.
    start: u64,
    end: u64,
    number: u32,
    id: u32,
    /// Which frame of its burst it is.
    nth: u32,
    ends: Option<Closed>,
}

/// See the module's head, and that of [`super`].
pub struct Tracker {
    filter: Filter,
    writer: WorkerWriter,
    coverage: Coverage,
    /// By number of their entry.
    flows: Box<[Flow]>,
    /// Those of which something is to be published.
    dirty: Vec<u32>,
    /// Frames that were looked at and are yet to be sent.
    burst: ArrayVec<Tracked, BURST>,
    last_id: u32,
}

impl Tracker {
    /// All memory is allocated here.
    pub fn new(config: &TrackerConfig, filter: Filter, writer: WorkerWriter) -> Tracker {
        Tracker {
            filter,
            writer,
            coverage: Coverage::new(config.packets, config.levels),
            flows: (0..config.flows).map(|_| Flow::new(None, 0, 0, 0)).collect(),
            dirty: Vec::with_capacity(config.flows),
            burst: ArrayVec::new(),
            last_id: 0,
        }
    }

    /// Whether nothing is tracked, ever.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.filter.is_empty()
    }

    /// Looks at a frame that is about to be sent as the `nth` of a burst. A flow that begins with it is
    /// published now.
    #[inline]
    pub fn look(&mut self, now: u64, nth: u32, frame: &[u8]) {
        match Segment::plain(frame, |from, to| self.filter.may_fit(from, to)) {
            Ok(Some(segment)) => self.look_at(now, nth, &segment),
            Ok(None) => {}
            Err(NotPlain) => self.look_past(now, nth, frame),
        }
    }

    #[inline(never)]
    fn look_past(&mut self, now: u64, nth: u32, frame: &[u8]) {
        if let Some(segment) = Segment::look_past(frame) {
            self.look_at(now, nth, &segment);
        }
    }

    /// Puts what it finds where it stays: what is written in parts and copied as a whole stalls.
    #[inline(always)]
    fn look_at(&mut self, now: u64, nth: u32, segment: &Segment) {
        let Some(key) = self.filter.outbound(segment) else { return };
        let known = self.writer.find(&key).map(|slot| slot.index() as usize);
        let mut number = match known {
            _ if segment.has(Flag::Syn) => self.begin(now, &key, segment, known),
            Some(number) => number,
            None if segment.len > 0 => self.open(now, &key, segment.seq, true),
            None => return,
        };
        let place = match self.flows[number].place(segment.data_seq(), segment.len) {
            Some(place) => place,
            None if segment.len == 0 => (0, 0),
            None => {
                // Most of it went another way, and now it is back.
                number = self.open(now, &key, segment.data_seq(), true);
                (0, u64::from(segment.len))
            }
        };
        let ends = match (segment.has(Flag::Rst), segment.has(Flag::Fin)) {
            (true, _) => Some(Closed::Rst),
            (_, true) => Some(Closed::Fin),
            _ => None,
        };
        let id = self.flows[number].id;
        if !self.burst.is_full() {
            let (start, end) = place;
            self.burst.push(Tracked { start, end, number: number as u32, id, nth, ends });
        }
    }

    /// Whether any frame looked at was of a tracked flow, since this burst began.
    #[inline]
    pub fn has_seen(&self) -> bool {
        !self.burst.is_empty()
    }

    /// The frames looked at were sent, among the next `count` source packets, which may have `left`
    /// already.
    #[inline]
    pub fn sent(&mut self, count: usize, left: bool) {
        let Tracker { coverage, flows, .. } = self;
        let first = coverage.begin(count as u64, |coverage, event| {
            if let Some(flow) = flows.get_mut(event.flow) {
                coverage.forget(flow, event);
            }
        });
        for n in 0..self.burst.len() {
            let frame = self.burst[n];
            self.follow(first + u64::from(frame.nth), &frame, left);
        }
        self.burst.clear();
        if left {
            self.coverage.have_left(first + count as u64);
        }
    }

    #[inline]
    fn follow(&mut self, seq: u64, frame: &Tracked, left: bool) {
        let number = frame.number as usize;
        // Its entry may have become another's behind it in this burst.
        let Some(flow) = self.flows.get_mut(number).filter(|flow| flow.id == frame.id) else {
            return;
        };
        if frame.start < frame.end {
            self.coverage.carry(seq, flow, number, (frame.start, frame.end), left);
            note(flow, number, &mut self.dirty);
        }
        let Some(end) = frame.ends else { return };
        if end == Closed::Fin && flow.is(ENDED) {
            return;
        }
        flow.flags |= ENDED;
        if let Some(slot) = flow.slot {
            self.writer.close(slot, end);
        }
    }

    /// A SYN, perhaps one that was seen before.
    #[cold]
    fn begin(&mut self, now: u64, key: &FlowKey, syn: &Segment, known: Option<usize>) -> usize {
        if let Some(number) = known {
            let flow = &self.flows[number];
            if flow.base_seq == syn.data_seq() && !flow.is(UNANCHORED | ENDED) {
                return number;
            }
        }
        self.open(now, key, syn.data_seq(), false)
    }

    #[cold]
    fn open(&mut self, now: u64, key: &FlowKey, base_seq: u32, unanchored: bool) -> usize {
        let slot = self.writer.open(key, base_seq, unanchored, now).slot;
        let number = slot.index() as usize;
        // 0 is nobody's.
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let flags = self.flows[number].flags & DIRTY | if unanchored { UNANCHORED } else { 0 };
        self.flows[number] = Flow::new(Some(slot), self.last_id, base_seq, flags);
        number
    }

    /// Source packets below `to` have left.
    #[inline]
    pub fn left(&mut self, to: u64) {
        let Tracker { coverage, flows, dirty, .. } = self;
        coverage.leave(to, |coverage, event| {
            if let Some(flow) = flows.get_mut(event.flow) {
                coverage.departed(flow, event);
                note(flow, event.flow, dirty);
            }
        });
    }

    /// A repair of these members has left.
    #[inline]
    pub fn covered(&mut self, members: &Members, class: Class) {
        let Tracker { coverage, flows, dirty, .. } = self;
        if !coverage.is_of_use() {
            return;
        }
        coverage.cover(members, class as u8, |coverage, event| {
            if let Some(flow) = flows.get_mut(event.flow) {
                coverage.repaired(flow, event);
                note(flow, event.flow, dirty);
            }
        });
    }

    /// Tells readers what has changed since it was last called.
    #[inline]
    pub fn publish(&mut self, now: u64) {
        let Tracker { writer, coverage, flows, dirty, .. } = self;
        for number in dirty.drain(..) {
            let flow = &mut flows[number as usize];
            flow.flags &= !DIRTY;
            let Some(slot) = flow.slot else { continue };
            // What is in flight, before how far levels have come.
            if flow.take_sent() {
                tell_sent(now, slot, flow, coverage, writer);
            }
            if flow.take_moved() {
                tell_levels(slot, flow, coverage.levels(), writer);
            }
        }
    }

    /// Tells all readers.
    #[inline]
    pub fn notice(&mut self, notice: &Notice) {
        self.writer.notice(notice);
    }

    /// How many flows had to leave for others.
    pub fn evicted(&self) -> u64 {
        self.writer.evicted()
    }

    /// A flow's base sequence number and what was last published of each level, 0 being what was sent.
    #[cfg(test)]
    pub(super) fn watermarks(&self, key: &FlowKey) -> Option<(u32, [u64; super::flow::LEVELS])> {
        let flow = &self.flows[self.writer.find(key)?.index() as usize];
        Some((flow.base_seq, flow.levels.map(|level| level.to)))
    }
}

/// Puts a flow of which something has changed on the list of those to publish.
#[inline]
fn note(flow: &mut Flow, number: usize, dirty: &mut Vec<u32>) {
    // Each is on it once, so there is room.
    if flow.has_changed() && !flow.is(DIRTY) {
        flow.flags |= DIRTY;
        dirty.push(number as u32);
    }
}

/// Publishes what was sent of a flow and is in flight.
#[inline]
fn tell_sent(
    now: u64,
    slot: Slot,
    flow: &mut Flow,
    coverage: &mut Coverage,
    writer: &mut WorkerWriter,
) {
    if flow.is_due(now) {
        // Nobody can acknowledge what was not sent.
        let acked = writer.acked(slot).unwrap_or(0).min(flow.end);
        coverage.acknowledged(flow, acked);
        flow.take_sent();
    }
    writer.sent(slot, flow.levels[0].to, u64::from(flow.in_flight()), now);
    // The usual class is said with the packet, so that it needn't be with each of its repairs.
    if flow.announced == USUAL {
        writer.class_to(slot, Class::Dense, flow.end);
        flow.announced_to = flow.end;
    }
}

/// Publishes how far a flow's levels have come, and before that, what they are worth.
#[inline]
fn tell_levels(slot: Slot, flow: &mut Flow, last: usize, writer: &mut WorkerWriter) {
    let classes = std::mem::take(&mut flow.classes);
    flow.settle(last);
    if classes & !flow.announced != 0 || flow.levels[1].to > flow.announced_to {
        announce(slot, flow, classes, writer);
    }
    writer.levels(slot, flow.levels[1..=last].iter().map(|level| level.to));
}

/// Readers are told once for all that was sent by now.
#[cold]
fn announce(slot: Slot, flow: &mut Flow, classes: u8, writer: &mut WorkerWriter) {
    for class in [Class::Dense, Class::Sparse, Class::DenseFlushed, Class::SparseFlushed] {
        if classes >> class as u8 & 1 == 1 {
            writer.class_to(slot, class, flow.end);
        }
    }
    (flow.announced, flow.announced_to) = (classes, flow.end);
}
