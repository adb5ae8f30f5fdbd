//! How many repairs have left for each recent source packet, and what that makes of flows' levels.
//!
//! A ring of words, one for each sequence number, and beside it a table of what tracked packets carry.
//! A flow's packets are chained in the order of sending, and each level waits at its *front*, the
//! first packet that it has not passed. Only when a packet that somebody waits for gets another repair
//! is anything looked up: the flow's level goes as far as its packets allow.
//!
//! All that makes a level advance is checked on the packets themselves: that they are the flow's, that
//! they begin no later than where the level stands, and that they have the repairs. Chains only say
//! where to look. So whatever happens to them, a level may lag, but is never ahead.

use arrayvec::ArrayVec;

use super::flow::{Flow, LEVELS, Level, STUCK};
use crate::fec::Members;

/// No packet.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Repairs that have left, up to 15.
const COUNT: u16 = 0xF;
/// Above that, a bit for each class of them.
const CLASS_SHIFT: u32 = 4;
/// It carries bytes of a tracked flow.
const TRACKED: u16 = 1 << 8;
/// A level waits for it, or it may help one out of order.
const AWAITED: u16 = 1 << 9;
/// It has left.
const LEFT: u16 = 1 << 10;

/// How many packets' flows are looked up at once: a usual group's.
const EVENTS: usize = 32;

/// How far behind a hole is looked for what fills it: reordering in a LAN is no longer.
const LOOK_AHEAD: usize = 32;

/// What a tracked packet carries.
#[derive(Clone, Copy)]
struct Packet {
    start: u64,
    end: u64,
    flow: u32,
    id: u32,
    /// The flow's next one.
    next: u32,
}

/// A packet of a flow, that something has happened to.
#[derive(Clone, Copy)]
pub(super) struct Event {
    /// Which place it has.
    at: usize,
    /// Whose it is, if that flow is still the same.
    pub(super) flow: usize,
    id: u32,
}

/// See the module's head.
pub(super) struct Coverage {
    words: Box<[u16]>,
    packets: Box<[Packet]>,
    mask: u64,
    /// The next packet's number.
    next: u64,
    /// All packets below have left.
    left: u64,
    /// How many packets to go until none in the ring is tracked.
    tracked: u64,
    /// Levels of repairs in use.
    levels: usize,
}

impl Coverage {
    /// Remembers at least `packets` packets.
    pub(super) fn new(packets: usize, levels: usize) -> Coverage {
        let places = packets.next_power_of_two();
        let none = Packet { start: 0, end: 0, flow: 0, id: 0, next: NOWHERE };
        Coverage {
            words: vec![0; places].into(),
            packets: vec![none; places].into(),
            mask: places as u64 - 1,
            next: 0,
            left: 0,
            tracked: 0,
            levels: levels.min(LEVELS - 1),
        }
    }

    #[inline]
    fn place(&self, seq: u64) -> usize {
        (seq & self.mask) as usize
    }

    /// Begins with the next packet, of which nothing is known yet. The one whose place it takes is
    /// forgotten: returns that, if somebody still waits for it.
    #[inline]
    pub(super) fn begin(&mut self) -> Option<Event> {
        let at = self.place(self.next);
        self.next += 1;
        self.tracked = self.tracked.saturating_sub(1);
        let word = std::mem::take(&mut self.words[at]);
        if word & AWAITED == 0 {
            return None;
        }
        let Packet { flow, id, .. } = self.packets[at];
        Some(Event { at, flow: flow as usize, id })
    }

    /// The packet just begun carries bytes `start` to `end` of a flow, with which its table has number
    /// `number`.
    #[inline]
    pub(super) fn carry(&mut self, flow: &mut Flow, number: usize, start: u64, end: u64) {
        let at = self.place(self.next - 1);
        let levels = &mut flow.levels[..=self.levels];
        // No other packet covers these bytes any better.
        if levels.iter().fold(true, |all, level| all & (end <= level.to)) {
            return;
        }
        if levels.iter().fold(false, |any, level| any | (level.front != NOWHERE)) {
            self.packets[flow.tail as usize].next = at as u32;
        }
        flow.tail = at as u32;
        // One that waits behind others is awaited when its turn comes; one that brings bytes again, or
        // late, may help before.
        let mut word = if start < flow.end { TRACKED | AWAITED } else { TRACKED };
        for level in levels {
            let first = level.front == NOWHERE;
            level.front = if first { at as u32 } else { level.front };
            word |= if first { AWAITED } else { 0 };
        }
        self.packets[at] = Packet { start, end, flow: number as u32, id: flow.id, next: NOWHERE };
        self.words[at] = word;
        self.tracked = self.mask + 1;
        flow.count(end);
    }

    /// Whether any packet that it remembers is tracked.
    #[inline]
    pub(super) fn is_of_use(&self) -> bool {
        self.tracked > 0
    }

    /// All source packets below `to` have left; hands out what happened to tracked ones.
    #[inline]
    pub(super) fn leave(&mut self, to: u64, mut happened: impl FnMut(&mut Coverage, Event)) {
        let from = self.left.max(self.next.saturating_sub(self.mask + 1));
        self.left = self.left.max(to);
        if !self.is_of_use() {
            return;
        }
        for seq in from..to.min(self.next) {
            let at = self.place(seq);
            if self.words[at] & TRACKED != 0 {
                self.words[at] |= LEFT;
                let Packet { flow, id, .. } = self.packets[at];
                happened(self, Event { at, flow: flow as usize, id });
            }
        }
    }

    /// A repair of a class has left; hands out, some at a time, what happened to packets that somebody waits
    /// for.
    #[inline]
    pub(super) fn cover(
        &mut self,
        members: &Members,
        class: u8,
        mut happened: impl FnMut(&mut Coverage, &[Event]),
    ) {
        let mut places = ArrayVec::<u32, EVENTS>::new();
        members.for_each(|seq| {
            // Of a packet that is forgotten, or was never sent, nobody wants to know.
            if seq >= self.next || self.next - seq > self.mask + 1 {
                return;
            }
            let at = self.place(seq);
            let word = self.words[at];
            let more = u16::from(word & COUNT < COUNT);
            self.words[at] = (word + more) | 1 << (CLASS_SHIFT + u32::from(class & 3));
            if word & AWAITED != 0 {
                places.push(at as u32);
                if places.is_full() {
                    let events = self.events(&mut places);
                    happened(self, &events);
                }
            }
        });
        let events = self.events(&mut places);
        happened(self, &events);
    }

    /// Looks up whose these packets are: all at once, since each is looked up in memory.
    #[inline]
    fn events(&self, places: &mut ArrayVec<u32, EVENTS>) -> ArrayVec<Event, EVENTS> {
        let event = |at: u32| {
            let Packet { flow, id, .. } = self.packets[at as usize];
            Event { at: at as usize, flow: flow as usize, id }
        };
        places.drain(..).map(event).collect()
    }

    /// The place of a forgotten packet is about to be another's: whoever waits for it waits for the
    /// next one, which then lies behind a hole.
    #[cold]
    pub(super) fn forget(&mut self, flow: &mut Flow, event: Event) {
        if flow.id != event.id {
            return;
        }
        let next = self.packets[event.at].next;
        for n in 0..=self.levels {
            if flow.levels[n].front == event.at as u32 {
                flow.levels[n].front = next;
                flow.flags |= STUCK;
                self.await_front(&flow.levels[n]);
            }
        }
    }

    /// Lets the flow's levels go on after a packet got another repair.
    #[inline]
    pub(super) fn repaired(&mut self, flow: &mut Flow, event: Event) {
        let level = usize::from(self.words[event.at] & COUNT);
        if flow.id == event.id && level <= self.levels {
            self.happened(flow, event.at, level);
        }
    }

    /// Lets the flow's level 0 go on after a packet has left. More is in flight, even if it doesn't.
    #[inline]
    pub(super) fn departed(&mut self, flow: &mut Flow, event: Event) {
        if flow.id == event.id {
            flow.moved(0);
            self.happened(flow, event.at, 0);
        }
    }

    /// All of the flow's bytes below `acked` are at the far end.
    pub(super) fn acknowledged(&mut self, flow: &mut Flow, acked: u64) {
        flow.acknowledge(acked);
        for n in 0..=self.levels {
            if flow.levels[n].to < acked {
                flow.levels[n].to = acked;
                flow.moved(n);
            }
            self.advance(flow, n);
        }
    }

    #[inline]
    fn happened(&mut self, flow: &mut Flow, at: usize, level: usize) {
        if flow.levels[level].front != at as u32 {
            // It is not its turn, but it may hold what the front lacks.
            let to = flow.levels[level].to;
            let Packet { start, end, .. } = self.packets[at];
            if start > to || end <= to || !self.pass_along(flow, at as u32, level) {
                return;
            }
        }
        self.advance(flow, level);
    }

    /// Takes the bytes of packet `at`, if it is the flow's, and they have the level and begin in time; or
    /// were taken before.
    #[inline]
    fn take(&mut self, flow: &mut Flow, at: u32, level: usize) -> bool {
        let word = self.words[at as usize];
        let Packet { start, end, id, .. } = self.packets[at as usize];
        let to = flow.levels[level].to;
        if word & TRACKED == 0 || id != flow.id {
            return false;
        }
        if end <= to {
            return true;
        }
        // Which level it is can't be foreseen, so nothing branches on it.
        let repaired = usize::from(word & COUNT) >= level;
        let enough = repaired & ((level > 0) | (word & LEFT != 0));
        if !enough | (start > to) {
            return false;
        }
        flow.levels[level].to = end;
        flow.moved(level);
        flow.classes |= (word >> CLASS_SHIFT) as u8 & 0xF;
        true
    }

    /// Takes packet `at` and those behind it, as far as they may be.
    fn pass_along(&mut self, flow: &mut Flow, mut at: u32, level: usize) -> bool {
        let mut any = false;
        for _ in 0..LOOK_AHEAD {
            if at == NOWHERE || !self.take(flow, at, level) {
                break;
            }
            any = true;
            at = self.packets[at as usize].next;
        }
        any
    }

    /// Moves a level's front on.
    #[inline]
    fn advance(&mut self, flow: &mut Flow, level: usize) {
        loop {
            let at = flow.levels[level].front;
            if at == NOWHERE {
                return;
            }
            let Packet { start, id, next, .. } = self.packets[at as usize];
            if id != flow.id || self.words[at as usize] & TRACKED == 0 {
                // Nobody can get here, but if he does, acknowledgements lead him out.
                flow.levels[level].front = NOWHERE;
                flow.flags |= STUCK;
                return;
            }
            if !self.take(flow, at, level) {
                let to = flow.levels[level].to;
                let hole = start > to;
                flow.flags |= if hole { STUCK } else { 0 };
                if !(hole && self.fill(flow, level)) {
                    return;
                }
                continue;
            }
            flow.levels[level].front = next;
            self.await_front(&flow.levels[level]);
            // The last level passes last.
            let gone = if level == self.levels { AWAITED } else { 0 };
            self.words[at as usize] &= !gone;
        }
    }

    #[inline]
    fn await_front(&mut self, level: &Level) {
        if level.front != NOWHERE {
            self.words[level.front as usize] |= AWAITED;
        }
    }

    /// Looks behind the front, which lies beyond a hole, for what fills it.
    #[cold]
    fn fill(&mut self, flow: &mut Flow, level: usize) -> bool {
        let mut at = flow.levels[level].front;
        for _ in 0..LOOK_AHEAD {
            at = self.packets[at as usize].next;
            if at == NOWHERE {
                break;
            }
            let before = flow.levels[level].to;
            if self.take(flow, at, level) && flow.levels[level].to > before {
                return true;
            }
        }
        false
    }
}
