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

    /// Begins with the next `count` packets, of which nothing is known yet; returns the number of the
    /// first. Those whose places they take are forgotten: hands out which of them somebody still
    /// waits for.
    #[inline]
    pub(super) fn begin(&mut self, count: u64, mut lost: impl FnMut(&mut Coverage, Event)) -> u64 {
        let first = self.next;
        let mut awaited = 0;
        for seq in first..first + count {
            let at = self.place(seq);
            awaited |= self.words[at] & AWAITED;
        }
        if awaited != 0 {
            self.lose(first, count, &mut lost);
        }
        for seq in first..first + count {
            let at = self.place(seq);
            self.words[at] = 0;
        }
        self.next += count;
        self.tracked = self.tracked.saturating_sub(count);
        first
    }

    #[cold]
    fn lose(&mut self, first: u64, count: u64, lost: &mut impl FnMut(&mut Coverage, Event)) {
        for seq in first..first + count {
            let at = self.place(seq);
            if self.words[at] & AWAITED != 0 {
                let Packet { flow, id, .. } = self.packets[at];
                lost(self, Event { at, flow: flow as usize, id });
            }
        }
    }

    /// Packet `seq`, one of those begun last, carries bytes `start` to `end` of a flow, with which its
    /// table has number `number`. If it has `left` already, [`Coverage::leave`] need not be told.
    #[inline]
    pub(super) fn carry(
        &mut self,
        seq: u64,
        flow: &mut Flow,
        number: usize,
        (start, end): (u64, u64),
        left: bool,
    ) {
        let at = self.place(seq);
        let levels = &mut flow.levels[..=self.levels];
        // No other packet covers these bytes any better.
        if end <= flow.end && levels.iter().fold(true, |all, level| all & (end <= level.to)) {
            return;
        }
        if levels.iter().fold(false, |any, level| any | (level.front != NOWHERE)) {
            self.packets[flow.tail as usize].next = at as u32;
        }
        flow.tail = at as u32;
        // One that waits behind others is awaited when its turn comes; one that brings bytes again, or
        // late, may help before.
        let mut word = if start < flow.end { TRACKED | AWAITED } else { TRACKED };
        let sent = &mut levels[0];
        let passes = left && sent.front == NOWHERE && start <= sent.to;
        let rest = if passes {
            sent.to = sent.to.max(end);
            &mut levels[1..]
        } else {
            levels
        };
        for level in rest {
            let first = level.front == NOWHERE;
            level.front = if first { at as u32 } else { level.front };
            word |= if first { AWAITED } else { 0 };
        }
        word |= if left { LEFT } else { 0 };
        self.packets[at] = Packet { start, end, flow: number as u32, id: flow.id, next: NOWHERE };
        self.words[at] = word;
        self.tracked = self.mask + 1;
        flow.count(end);
        if left {
            flow.moved(0);
            if !passes {
                self.happened(flow, at, 0);
            }
        }
    }

    /// All packets below `to` have left, and whoever carries something has been told.
    #[inline]
    pub(super) fn have_left(&mut self, to: u64) {
        self.left = self.left.max(to);
    }

    /// Levels of repairs in use.
    #[inline]
    pub(super) fn levels(&self) -> usize {
        self.levels
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

    /// A repair of a class has left; hands out what happened to packets that somebody waits for.
    #[inline]
    pub(super) fn cover(
        &mut self,
        members: &Members,
        class: u8,
        mut happened: impl FnMut(&mut Coverage, Event),
    ) {
        let class = 1 << (CLASS_SHIFT + u32::from(class & 3));
        let stride = u64::from(members.stride());
        let oldest = self.next.saturating_sub(self.mask + 1);
        let mut places = ArrayVec::<u32, EVENTS>::new();
        for run in members.runs() {
            let mut seq = run.base;
            for _ in 0..run.count {
                // Of a packet that is forgotten, or was never sent, nobody wants to know.
                if (oldest..self.next).contains(&seq) {
                    let at = self.place(seq);
                    let word = self.words[at];
                    self.words[at] = (word + u16::from(word & COUNT < COUNT)) | class;
                    if word & AWAITED != 0 {
                        places.push(at as u32);
                    }
                    if places.is_full() {
                        self.hand_out(&mut places, &mut happened);
                    }
                }
                seq += stride;
            }
        }
        self.hand_out(&mut places, &mut happened);
    }

    #[inline]
    fn hand_out(
        &mut self,
        places: &mut ArrayVec<u32, EVENTS>,
        happened: &mut impl FnMut(&mut Coverage, Event),
    ) {
        for at in places.drain(..) {
            let Packet { flow, id, .. } = self.packets[at as usize];
            happened(self, Event { at: at as usize, flow: flow as usize, id });
        }
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
        if flow.id == event.id && level <= self.levels && !self.pass(flow, event.at, level) {
            self.happened(flow, event.at, level);
        }
    }

    /// The usual case: packet `at` is the flow's, has just got the level, is its front, and lies behind
    /// no hole.
    #[inline]
    fn pass(&mut self, flow: &mut Flow, at: usize, level: usize) -> bool {
        let Packet { start, end, next, .. } = self.packets[at];
        let word = self.words[at];
        let Level { to, front } = &mut flow.levels[level];
        if (*front != at as u32) | (start > *to) {
            return false;
        }
        *to = end.max(*to);
        *front = next;
        flow.moved(level);
        flow.classes |= (word >> CLASS_SHIFT) as u8 & 0xF;
        // The last level passes last.
        self.words[at] = word & !if level == self.levels { AWAITED } else { 0 };
        if next == NOWHERE {
            return true;
        }
        let word = self.words[next as usize] | AWAITED;
        self.words[next as usize] = word;
        if usize::from(word & COUNT) >= level {
            self.advance(flow, level);
        }
        true
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
