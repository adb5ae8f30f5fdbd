//! The tracked flows of a worker that protects.

use std::hint::black_box;

use netsync::{Class, Closed, FlowKey, Notice, Sought, WorkerWriter};

use super::coverage::Coverage;
use super::filter::Filter;
use super::flow::{DIRTY, ENDED, Flow, SENT, UNANCHORED};
use crate::fec::Members;
use crate::wire::tcp::{Flag, Segment};

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
pub struct Tracked {
    key: FlowKey,
    segment: Segment,
    sought: Sought,
}

impl Tracked {
    /// Whether its flow begins, which is to be published before the frame leaves.
    #[inline]
    pub fn is_syn(&self) -> bool {
        self.segment.has(Flag::Syn)
    }
}

/// See the module's head, and that of [`super`].
pub struct Tracker {
    filter: Filter,
    writer: WorkerWriter,
    coverage: Coverage,
    /// By number of their entry.
    flows: Box<[Flow]>,
    /// Those of which more was sent, and those of which a level moved, that are to be published.
    sent: Vec<u32>,
    moved: Vec<u32>,
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
            sent: Vec::with_capacity(config.flows),
            moved: Vec::with_capacity(config.flows),
            last_id: 0,
        }
    }

    /// What a frame has to do with tracked flows.
    #[inline]
    pub fn look(&self, frame: &[u8]) -> Option<Tracked> {
        if self.filter.is_empty() {
            return None;
        }
        let segment = Segment::parse(frame)?;
        let key = self.filter.outbound(&segment)?;
        Some(Tracked { sought: self.writer.seek(&key), key, segment })
    }

    /// Has fetched what [`Tracker::sent`] will need for this frame, a while before.
    #[inline]
    pub fn fetch(&self, frame: &Tracked) {
        if let Some(slot) = self.writer.find_sought(&frame.key, frame.sought) {
            let Some(flow) = self.flows.get(slot.index() as usize) else { return };
            // Loads that nobody waits for.
            black_box((flow.end, flow.levels[0].to));
            self.writer.fetch(slot);
        }
    }

    /// The next source packet carries this frame, or one of no tracked flow.
    #[inline]
    pub fn sent(&mut self, now: u64, frame: Option<&Tracked>) {
        if let Some(event) = self.coverage.begin()
            && let Some(flow) = self.flows.get_mut(event.flow)
        {
            self.coverage.forget(flow, event);
        }
        if let Some(frame) = frame {
            self.follow(now, frame);
        }
    }

    #[inline]
    fn follow(&mut self, now: u64, Tracked { key, segment, sought }: &Tracked) {
        let known = self.writer.find_sought(key, *sought).map(|slot| slot.index() as usize);
        let number = match known {
            _ if segment.has(Flag::Syn) => Some(self.begin(now, key, segment, known)),
            Some(number) => Some(number),
            None if segment.len > 0 => Some(self.open(now, key, segment.seq, true)),
            None => None,
        };
        let Some(mut number) = number else { return };
        if segment.len > 0 {
            let place = match self.flows[number].place(segment.data_seq(), segment.len) {
                Some(place) => place,
                None => {
                    // Most of it went another way, and now it is back.
                    number = self.open(now, key, segment.data_seq(), true);
                    (0, u64::from(segment.len))
                }
            };
            self.coverage.carry(&mut self.flows[number], number, place.0, place.1);
        }
        let flow = &mut self.flows[number];
        let end = match (segment.has(Flag::Rst), segment.has(Flag::Fin)) {
            (true, _) => Closed::Rst,
            (_, true) if !flow.is(ENDED) => Closed::Fin,
            _ => return,
        };
        flow.flags |= ENDED;
        if let Some(slot) = flow.slot {
            self.writer.close(slot, end);
        }
    }

    /// A SYN, perhaps one that was seen before.
    fn begin(&mut self, now: u64, key: &FlowKey, syn: &Segment, known: Option<usize>) -> usize {
        if let Some(number) = known {
            let flow = &self.flows[number];
            if flow.base_seq == syn.data_seq() && !flow.is(UNANCHORED | ENDED) {
                return number;
            }
        }
        self.open(now, key, syn.data_seq(), false)
    }

    fn open(&mut self, now: u64, key: &FlowKey, base_seq: u32, unanchored: bool) -> usize {
        let slot = self.writer.open(key, base_seq, unanchored, now).slot;
        let number = slot.index() as usize;
        // 0 is nobody's.
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let flags =
            self.flows[number].flags & (DIRTY | SENT) | if unanchored { UNANCHORED } else { 0 };
        self.flows[number] = Flow::new(Some(slot), self.last_id, base_seq, flags);
        number
    }

    /// Source packets below `to` have left.
    #[inline]
    pub fn left(&mut self, to: u64) {
        let Tracker { coverage, flows, sent, .. } = self;
        coverage.leave(to, |coverage, event| {
            if let Some(flow) = flows.get_mut(event.flow) {
                coverage.departed(flow, event);
                // Each is on it once, so there is room.
                if flow.is(1) && !flow.is(SENT) {
                    flow.flags |= SENT;
                    sent.push(event.flow as u32);
                }
            }
        });
    }

    /// A repair of these members has left.
    #[inline]
    pub fn covered(&mut self, members: &Members, class: Class) {
        let Tracker { coverage, flows, moved, .. } = self;
        if !coverage.is_of_use() {
            return;
        }
        coverage.cover(members, class as u8, |coverage, events| {
            // Loads that nobody waits for.
            for event in events {
                black_box(flows.get(event.flow).map(|flow| (flow.id, flow.levels[0].front)));
            }
            for &event in events {
                if let Some(flow) = flows.get_mut(event.flow) {
                    coverage.repaired(flow, event);
                    note(flow, event.flow, moved);
                }
            }
        });
    }

    /// Tells readers what has changed since it was last called: of each flow what is in flight, before
    /// how far its levels have come.
    #[inline]
    pub fn publish(&mut self, now: u64) {
        let Tracker { writer, coverage, flows, sent, moved, .. } = self;
        for number in sent.drain(..) {
            let flow = &mut flows[number as usize];
            flow.flags &= !SENT;
            tell_sent(now, flow, coverage, writer);
            note(flow, number as usize, moved);
        }
        for &number in moved.iter() {
            if let Some(slot) = flows[number as usize].slot {
                writer.fetch(slot);
            }
        }
        for number in moved.drain(..) {
            let flow = &mut flows[number as usize];
            flow.flags &= !DIRTY;
            tell_levels(flow, writer);
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

/// Puts a flow of which a level has moved on the list of those to publish.
#[inline]
fn note(flow: &mut Flow, number: usize, moved: &mut Vec<u32>) {
    // Each is on it once, so there is room.
    if flow.has_moved() && !flow.is(DIRTY) {
        flow.flags |= DIRTY;
        moved.push(number as u32);
    }
}

/// Publishes what was sent of a flow and is in flight.
#[inline]
fn tell_sent(now: u64, flow: &mut Flow, coverage: &mut Coverage, writer: &mut WorkerWriter) {
    let Some(slot) = flow.slot else { return };
    if flow.is_due(now) {
        // Nobody can acknowledge what was not sent.
        let acked = writer.acked(slot).unwrap_or(0).min(flow.end);
        coverage.acknowledged(flow, acked);
    }
    flow.flags &= !1;
    writer.sent(slot, flow.levels[0].to, u64::from(flow.in_flight()), now);
}

/// Publishes how far a flow's levels have come, and before that, what they are worth.
#[inline]
fn tell_levels(flow: &mut Flow, writer: &mut WorkerWriter) {
    let Some(slot) = flow.slot else { return };
    let classes = std::mem::take(&mut flow.classes);
    let mut moved = flow.take_moved();
    // The furthest that any of them has come.
    let mut to = 0;
    let mut rest = moved;
    while rest != 0 {
        let level = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        let above = flow.levels[level].to;
        to = to.max(above);
        // Bytes with many repairs have few, too.
        let mut below = level - 1;
        while below > 0 && flow.levels[below].to < above {
            flow.levels[below].to = above;
            moved |= 1 << below;
            below -= 1;
        }
    }
    if classes & !flow.announced != 0 || to > flow.announced_to {
        // Readers are told once for all that was sent by now.
        let sent = flow.end;
        for class in [Class::Dense, Class::Sparse, Class::DenseFlushed, Class::SparseFlushed] {
            if classes >> class as u8 & 1 == 1 {
                writer.class_to(slot, class, sent);
            }
        }
        (flow.announced, flow.announced_to) = (classes, sent);
    }
    while moved != 0 {
        let level = moved.trailing_zeros() as usize;
        moved &= moved - 1;
        writer.level(slot, level, flow.levels[level].to);
    }
}
