//! Which source packets to ask for again, when, how often, and when to give them up.
//!
//! Numbers go through four stages, each a boundary that only moves up:
//!
//! ```text
//!  settled ... again ... asked = known ... head
//!          |         |                 '-- a repair may still come: the decoder knows what is here
//!          |         '-- what is missing was asked for once
//!          '-- what is missing was asked for twice; then it is given up
//! ```
//!
//! A number is *known* here once its last repair can no longer come: `lag` later numbers are known of, or
//! `wait` has passed since it was. Then its fate is copied from the decoder into a ring of bits, which is
//! longer than the decoder's window, as a packet may take a round trip or two to come again: only its bit
//! is needed for that, not its neighbours' bytes. So each packet costs its share of a word or two, and an
//! answer is let in once, however far the window has moved on.
//!
//! Times are passed in, and kept for batches of numbers rather than for each.

use std::collections::VecDeque;

use super::measure::Fates;
use crate::wire::nack::Missing;

/// Numbers become known, and are asked for, in batches: so often at most, in nanoseconds, or when there
/// are so many. A nack costs a packet, and a round trip is longer than this.
const GATHER: u64 = 500_000;
const MANY: u64 = 1024;
/// How many batches are told apart.
const BATCHES: usize = 256;
/// What a mark's time may be off by, as a part of the wait.
const GRAIN: u64 = 64;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How many numbers later the last repair has come.
    pub lag: u64,
    /// How long after the last repair has come, in nanoseconds, however few packets there are.
    pub wait: u64,
    /// How long an answer may take, in nanoseconds: a round trip, and some.
    pub answer: u64,
    /// Of how many numbers it is known whether they are missing; rounded up to a power of two.
    pub memory: u64,
}

/// "All numbers below `end` were so at this time", for a few ends.
struct Timeline(VecDeque<(u64, u64)>);

impl Timeline {
    fn new() -> Timeline {
        Timeline(VecDeque::with_capacity(BATCHES))
    }

    /// In order of both. Where there is no room, what is last waits with the new one.
    fn push(&mut self, end: u64, at: u64) {
        if self.0.len() == BATCHES {
            self.0.pop_back();
        }
        self.0.push_back((end, at));
    }

    fn pop_due(&mut self, now: u64, delay: u64) -> Option<u64> {
        let due = |&(_, at): &(u64, u64)| at.saturating_add(delay) <= now;
        self.0.front().is_some_and(due).then(|| self.0.pop_front().map(|(end, _)| end))?
    }

    fn deadline(&self, delay: u64) -> Option<u64> {
        self.0.front().map(|&(_, at)| at.saturating_add(delay))
    }
}

/// See the module's head.
pub struct Holes {
    patience: Patience,
    started: bool,
    known: u64,
    again: u64,
    settled: u64,
    /// Below this, nothing is known.
    floor: u64,
    /// One bit a number: it is missing. Those of `known - memory..known`.
    missing: Box<[u64]>,
    /// When numbers were first known of, asked for, and asked for again.
    marks: Timeline,
    first: Timeline,
    second: Timeline,
    /// The highest number that a mark tells, or will tell once the last one is old enough.
    marked: (u64, u64),
    head: u64,
    /// Up to where numbers are ripe, and when they last became known.
    ripe: u64,
    scanned: u64,
    given_up: u64,
}

impl Holes {
    /// Of a channel whose decoder has a window of so many packets. All memory is allocated here.
    pub fn new(patience: Patience, window: u64) -> Holes {
        let memory = patience.memory.max(2 * window).next_power_of_two();
        // What leaves the window unlooked at is lost to us.
        let lag = patience.lag.min(window * 3 / 8);
        Holes {
            patience: Patience { lag, memory, ..patience },
            started: false,
            known: 0,
            again: 0,
            settled: 0,
            floor: 0,
            missing: vec![0; (memory / 64) as usize].into(),
            marks: Timeline::new(),
            first: Timeline::new(),
            second: Timeline::new(),
            marked: (0, 0),
            head: 0,
            ripe: 0,
            scanned: 0,
            given_up: 0,
        }
    }

    /// What [`Holes::new`] takes, in bytes.
    pub fn memory_bytes(memory: u64, window: u64) -> u64 {
        memory.max(2 * window).next_power_of_two() / 8
            + 3 * (BATCHES * size_of::<(u64, u64)>()) as u64
    }

    /// An answer is expected within so many nanoseconds from now on.
    pub fn set_answer(&mut self, answer: u64) {
        self.patience.answer = answer;
    }

    /// How many packets were given up.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Begins anew, with another epoch: what was missing of the last one can't come any more.
    pub fn restart(&mut self) {
        if self.started {
            self.settle(self.known);
        }
        self.started = false;
        self.first.0.clear();
        self.second.0.clear();
        self.marks.0.clear();
    }

    /// To be called after every burst, and at [`Holes::next_deadline`]. `ask` is told what to ask for, in
    /// order, and whether that is for the second time.
    #[inline]
    pub fn follow(&mut self, now: u64, fates: &impl Fates, ask: &mut impl FnMut(Missing, bool)) {
        let head = fates.head();
        if !self.started {
            if head == 0 {
                return;
            }
            self.start(now, fates.tail());
        }
        if head != self.head || self.marked.0 != head {
            self.mark(now, head);
        }
        while let Some(end) = self.marks.pop_due(now, self.patience.wait) {
            self.ripe = self.ripe.max(end);
        }
        self.ripe = self.ripe.max(head.saturating_sub(self.patience.lag));
        let most = MANY.min(fates.window() / 8);
        let gathered = self.ripe >= self.known + most || now >= self.scanned + GATHER;
        if self.ripe > self.known && gathered {
            self.learn(now, fates, ask);
        }
        if !self.first.0.is_empty() || !self.second.0.is_empty() {
            self.look_again(now, ask);
        }
    }

    /// The decoder is about to jump to `to`: what lies between was lost.
    pub fn jump(
        &mut self,
        now: u64,
        to: u64,
        fates: &impl Fates,
        ask: &mut impl FnMut(Missing, bool),
    ) {
        if !self.started {
            return;
        }
        let before = self.known;
        self.absorb(fates.head(), fates);
        if to.saturating_sub(before) > self.patience.memory / 2 {
            // More than could come back in time.
            self.settle(self.known);
            self.start(now, to);
            return;
        }
        self.fill(fates.head(), to);
        self.known = self.known.max(to);
        self.ripe = self.ripe.max(self.known);
        self.ask_from(now, before, ask);
    }

    /// A packet was delivered. Whether it had been asked for.
    #[inline]
    pub fn filled(&mut self, seq: u64) -> bool {
        if seq >= self.known || !self.is_missing(seq) {
            return false;
        }
        self.missing[self.word(seq)] &= !(1 << (seq % 64));
        true
    }

    /// Whether this packet, of which the decoder knows nothing any more, is missing: whoever delivers it
    /// then says that it is [`Holes::filled`].
    #[inline]
    pub fn is_missing(&self, seq: u64) -> bool {
        let held =
            seq < self.known && seq >= self.floor && seq + self.patience.memory >= self.known;
        held && self.missing[self.word(seq)] >> (seq % 64) & 1 == 1
    }

    /// When [`Holes::follow`] next has something to do if nothing comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let Patience { wait, answer, .. } = self.patience;
        if !self.started {
            return None;
        }
        let unmarked = (self.marked.0 < self.head).then_some(self.marked.1);
        let gathered = (self.ripe > self.known).then(|| self.scanned + GATHER);
        let times = [
            self.marks.deadline(wait),
            self.first.deadline(answer),
            self.second.deadline(answer),
            unmarked,
            gathered,
        ];
        times.into_iter().flatten().min()
    }

    fn start(&mut self, now: u64, at: u64) {
        self.restart_at(at);
        self.started = true;
        self.marked = (at, now);
        self.scanned = now;
    }

    fn restart_at(&mut self, at: u64) {
        (self.known, self.again, self.settled, self.floor) = (at, at, at, at);
        (self.ripe, self.head) = (at, at);
        self.first.0.clear();
        self.second.0.clear();
        self.marks.0.clear();
    }

    /// Remembers that numbers below `head` are known of, but not for each of them.
    fn mark(&mut self, now: u64, head: u64) {
        self.head = head;
        if now >= self.marked.1 {
            self.marks.push(head, now);
            self.marked = (head, now + (self.patience.wait / GRAIN).max(1));
        }
    }

    #[inline(never)]
    fn learn(&mut self, now: u64, fates: &impl Fates, ask: &mut impl FnMut(Missing, bool)) {
        let before = self.known;
        self.absorb(self.ripe, fates);
        self.ask_from(now, before, ask);
    }

    /// Asks for what is missing of `before..known`.
    fn ask_from(&mut self, now: u64, before: u64, ask: &mut impl FnMut(Missing, bool)) {
        self.scanned = now;
        if self.each_run(before, self.known, &mut |run| ask(run, false)) {
            self.first.push(self.known, now);
        }
    }

    #[inline(never)]
    fn look_again(&mut self, now: u64, ask: &mut impl FnMut(Missing, bool)) {
        let answer = self.patience.answer;
        while let Some(end) = self.first.pop_due(now, answer) {
            if self.each_run(self.again, end, &mut |run| ask(run, true)) {
                self.second.push(end, now);
            }
            self.again = self.again.max(end);
        }
        while let Some(end) = self.second.pop_due(now, answer) {
            self.settle(end);
        }
    }

    /// What is still missing below `end` is given up. If it comes all the same, it is welcome.
    fn settle(&mut self, end: u64) {
        let mut count = 0;
        self.each_run(self.settled, end, &mut |run| count += u64::from(run.count));
        self.given_up += count;
        self.settled = self.settled.max(end);
        self.again = self.again.max(self.settled);
    }

    /// Copies fates up to `to` from the decoder. What it does not know any more was none of ours.
    fn absorb(&mut self, to: u64, fates: &impl Fates) {
        let tail = fates.tail();
        self.make_room(to);
        while self.known < to {
            let (word, bit) = (self.known / 64, self.known % 64);
            let end = (64 * (word + 1)).min(to);
            let mask = mask(bit, end - 64 * word);
            let lost = if 64 * word + 63 < tail {
                0
            } else {
                !fates.fates(word).0 & u64::MAX << tail.saturating_sub(64 * word) & mask
            };
            let at = self.word(self.known);
            self.missing[at] = self.missing[at] & !mask | lost;
            self.known = end;
        }
    }

    /// Numbers from `from` to `to` are missing.
    fn fill(&mut self, from: u64, to: u64) {
        self.make_room(to);
        let mut next = from.max(self.known);
        while next < to {
            let end = (64 * (next / 64 + 1)).min(to);
            let at = self.word(next);
            self.missing[at] |= mask(next % 64, end - 64 * (next / 64));
            next = end;
        }
    }

    /// What the bits up to `to` take the place of is given up.
    fn make_room(&mut self, to: u64) {
        let oldest = (to + 64).saturating_sub(self.patience.memory);
        if self.settled < oldest {
            self.settle(oldest.min(self.known));
        }
        // Bits of numbers that are yet to be known are those of others now.
        let mut next = self.known;
        while next < to {
            let end = (64 * (next / 64 + 1)).min(to);
            let at = self.word(next);
            self.missing[at] &= !mask(next % 64, end - 64 * (next / 64));
            next = end;
        }
    }

    /// Calls `each` with the runs of missing packets in `from..to`; says whether there are any.
    fn each_run(&self, from: u64, to: u64, each: &mut impl FnMut(Missing)) -> bool {
        let mut run: Option<Missing> = None;
        let mut any = false;
        let mut next = from.max(self.floor).max(self.known.saturating_sub(self.patience.memory));
        while next < to {
            let word = next / 64;
            let end = (64 * (word + 1)).min(to);
            let mut bits = self.missing[self.word(next)] & mask(next % 64, end - 64 * word);
            while bits != 0 {
                let start = bits.trailing_zeros();
                let count = (bits >> start).trailing_ones();
                bits &= !mask(start.into(), u64::from(start + count));
                let (first, count) = (64 * word + u64::from(start), count as u16);
                any = true;
                match &mut run {
                    Some(run) if run.end() == first && run.count < u16::MAX - 64 => {
                        run.count += count
                    }
                    _ => run.replace(Missing { first, count }).into_iter().for_each(&mut *each),
                }
            }
            next = end;
        }
        run.into_iter().for_each(each);
        any
    }

    fn word(&self, seq: u64) -> usize {
        ((seq / 64) & (self.patience.memory / 64 - 1)) as usize
    }
}

/// Bits `from..to` of a word.
fn mask(from: u64, to: u64) -> u64 {
    let below = |bit: u64| if bit >= 64 { u64::MAX } else { (1 << bit) - 1 };
    below(to) & !below(from)
}

#[cfg(test)]
#[path = "holes_tests.rs"]
mod tests;
