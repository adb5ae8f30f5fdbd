//! The tracked flows of a worker that protects.

use netsync::{Class, Closed, FlowKey, Notice, WorkerWriter};

use super::coverage::Coverage;
use super::filter::Filter;
use super::flow::Flow;
use crate::fec::Members;
use crate::wire::tcp::{Flag, Segment};

/// A flow that has paused for so long may be one that waits for an answer: its acknowledgements are
/// looked at when it goes on.
const PAUSE: u64 = 1_000_000;
/// Otherwise they are looked at every so many times that it is published.
const LOOKS: u8 = 8;

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
}

/// See the module's head, and that of [`super`].
pub struct Tracker {
    filter: Filter,
    writer: WorkerWriter,
    coverage: Coverage,
    /// By number of their entry.
    flows: Box<[Flow]>,
    /// Those that are to be published.
    dirty: Vec<u32>,
    last_id: u32,
}

impl Tracker {
    /// All memory is allocated here.
    pub fn new(config: &TrackerConfig, filter: Filter, writer: WorkerWriter) -> Tracker {
        Tracker {
            filter,
            writer,
            coverage: Coverage::new(config.packets, config.levels),
            flows: (0..config.flows).map(|_| Flow::new(None, 0, 0, false)).collect(),
            dirty: Vec::with_capacity(config.flows),
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
        Some(Tracked { key, segment })
    }

    /// The next source packet carries this frame. To be called before it leaves.
    #[inline]
    pub fn stamped(&mut self, now: u64, frame: Option<&Tracked>) {
        if let Some(event) = self.coverage.begin()
            && let Some(flow) = self.flows.get_mut(event.flow)
        {
            self.coverage.forget(flow, event);
        }
        if let Some(Tracked { key, segment }) = frame {
            self.follow(now, key, segment);
        }
    }

    fn follow(&mut self, now: u64, key: &FlowKey, segment: &Segment) {
        let known = self.writer.find(key).map(|slot| slot.index() as usize);
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
            (_, true) if !flow.ended => Closed::Fin,
            _ => return,
        };
        flow.ended = true;
        if let Some(slot) = flow.slot {
            self.writer.close(slot, end);
        }
    }

    /// A SYN, perhaps one that was seen before.
    fn begin(&mut self, now: u64, key: &FlowKey, syn: &Segment, known: Option<usize>) -> usize {
        if let Some(number) = known {
            let flow = &self.flows[number];
            if flow.base_seq == syn.data_seq() && !flow.unanchored && !flow.ended {
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
        let dirty = self.flows[number].dirty;
        self.flows[number] = Flow::new(Some(slot), self.last_id, base_seq, unanchored);
        self.flows[number].dirty = dirty;
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
            flow.dirty = false;
            tell(now, flow, coverage, writer);
        }
    }

    /// Tells all readers.
    #[inline]
    pub fn notice(&mut self, notice: &Notice) {
        self.writer.notice(notice);
    }

    /// Whether a packet of a tracked flow is remembered.
    pub fn is_busy(&self) -> bool {
        self.coverage.is_of_use()
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

/// Puts a flow that has changed on the list of those to publish.
#[inline]
fn note(flow: &mut Flow, number: usize, dirty: &mut Vec<u32>) {
    // Each is on it once, so there is room.
    if flow.moved != 0 && !flow.dirty {
        flow.dirty = true;
        dirty.push(number as u32);
    }
}

/// Publishes a flow: what a level is worth, and what is in flight, before the level itself.
#[inline]
fn tell(now: u64, flow: &mut Flow, coverage: &mut Coverage, writer: &mut WorkerWriter) {
    let Some(slot) = flow.slot else { return };
    if flow.moved & 1 != 0 {
        flow.bursts = flow.bursts.wrapping_add(1);
        let paused = now.saturating_sub(flow.published_ns) >= PAUSE;
        if paused || flow.stuck || flow.bursts.is_multiple_of(LOOKS) {
            flow.stuck = false;
            // Nobody can acknowledge what was not sent.
            let acked = writer.acked(slot).unwrap_or(0).min(flow.end);
            coverage.acknowledged(flow, acked);
        }
    }
    // Bytes with many repairs have few, too.
    for level in (1..flow.levels.len()).rev() {
        let above = flow.levels[level].to;
        if flow.moved >> level & 1 == 1 && flow.levels[level - 1].to < above {
            flow.levels[level - 1].to = above;
            flow.moved |= 1 << (level - 1);
        }
    }
    let moved = std::mem::take(&mut flow.moved);
    let classes = std::mem::take(&mut flow.classes);
    if classes != 0 {
        // The furthest level counts; readers are told once for all that was sent by now.
        let to = flow.levels[1].to;
        if classes & !flow.announced != 0 || to > flow.announced_to {
            let sent = flow.end;
            for class in [Class::Dense, Class::Sparse, Class::DenseFlushed, Class::SparseFlushed] {
                if classes >> class as u8 & 1 == 1 {
                    writer.class_to(slot, class, sent);
                }
            }
            (flow.announced, flow.announced_to) = (classes, sent);
        }
    }
    if moved & 1 != 0 {
        flow.published_ns = now;
        writer.sent(slot, flow.levels[0].to, u64::from(flow.in_flight()), now);
    }
    for level in 1..flow.levels.len() {
        if moved >> level & 1 == 1 {
            writer.level(slot, level, flow.levels[level].to);
        }
    }
}
