//! Which frames have come, which numbers repairs have spoken of, and who is whose.
//!
//! Frames come without numbers, and are kept as **arrivals**, in their order. Repairs say which name
//! each **number** has. A number that is first heard of *claims* the oldest arrival of its name that
//! nobody has claimed; if there is none, it is *missing*, and the next arrival of its name is its own.
//! So of frames that repeat byte for byte, as many count as arrived as did arrive, and it makes no
//! difference which: they are equal.
//!
//! A rebuilt frame becomes an arrival that is claimed. If its original comes after all, it is *late* and
//! goes no further. A repeat may be taken for that original: then its own number finds it missing, and it
//! is rebuilt in its turn. That happens once: of a name that is known to repeat, no late originals are
//! expected, since in a stream of equal frames each would be taken for one before it.
//!
//! An arrival is forgotten when as many have come behind it as the ledger has room for. A number that
//! may have been one of those must not be taken for missing: see [`Ledger::floor`].

use std::collections::VecDeque;

use super::super::pending::Lists;
use super::super::window::NO_LINK;
use super::names::{NIL, Names, Queue};

/// Whose number an arrival is: nobody's yet.
const NOBODY: u64 = u64::MAX;
/// A number that no repair has spoken of.
const UNHEARD: u64 = u64::MAX;
/// A number whose frame is missing.
const MISSING: u64 = u64::MAX - 1;

/// How far apart marks are, in parts of the size.
const MARKS: usize = 64;
/// Frames may be displaced by an eighth of the size.
const DISPLACED: u64 = 8;

/// How far a circuit is trusted to leave names alone: a frame that arrives earns, one that is missing
/// costs one.
const EARNS: u32 = 4;
const CREDIT: u32 = 64;
const MOST_CREDIT: u32 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Nothing,
    Unclaimed,
    Late,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u64,
    /// Its name's entry.
    entry: u32,
    next: u32,
    queue: In,
}

const VACANT: Slot = Slot { number: NOBODY, entry: NIL, next: NIL, queue: In::Nothing };

#[derive(Clone, Copy, Debug)]
struct Number {
    name: u64,
    /// Its arrival, or one of the above.
    holder: u64,
    entry: u32,
    previous: u32,
    next: u32,
    /// The first link of the repairs that wait for it.
    waiting: u32,
}

const NEW: Number =
    Number { name: 0, holder: UNHEARD, entry: NIL, previous: NIL, next: NIL, waiting: NO_LINK };

/// What a frame from the circuit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The original of one that was rebuilt.
    Late,
    /// A frame to deliver, and to keep at this place. It may be one that was missing: its number, and
    /// the list of the repairs that waited for it.
    New(u64, Option<(u64, u32)>),
}

/// What is known of a number that a repair speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mention {
    Here,
    Missing,
    /// It may have arrived so long ago that nobody knows.
    Forgotten,
    /// Another repair gave it another name.
    Contradiction,
}

/// See the module's head.
pub(super) struct Ledger {
    slots: Box<[Slot]>,
    numbers: Box<[Number]>,
    names: Names,
    mask: u64,
    /// The next arrival's place.
    arrived: u64,
    /// The next number: how many the sender had sent when it last told.
    head: u64,
    /// The lowest number that is still known.
    tail: u64,
    /// Places, and the number from which on frames came behind it. Ascending in both.
    marks: VecDeque<(u64, u64)>,
    credit: u32,
}

impl Ledger {
    /// Of so many arrivals and as many numbers: a power of two.
    pub(super) fn new(size: usize) -> Ledger {
        Ledger {
            slots: vec![VACANT; size].into(),
            numbers: vec![NEW; size].into(),
            names: Names::new(2 * size),
            mask: size as u64 - 1,
            arrived: 0,
            head: 0,
            tail: 0,
            marks: VecDeque::with_capacity(2 * MARKS),
            credit: CREDIT,
        }
    }

    pub(super) fn memory_bytes(size: usize) -> usize {
        size * (size_of::<Slot>() + size_of::<Number>()) + Names::memory_bytes(2 * size)
    }

    fn size(&self) -> u64 {
        self.mask + 1
    }

    fn place(&self, n: u64) -> usize {
        (n & self.mask) as usize
    }

    /// The number behind the highest that is known of.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Whether `number` is too old for anything to be known.
    pub(super) fn is_behind(&self, number: u64) -> bool {
        number < self.tail
    }

    /// Whether so few frames arrive under the names that repairs give them that the circuit must be
    /// changing them.
    pub(super) fn is_estranged(&self) -> bool {
        self.credit == 0
    }

    /// The places of arrivals that are remembered.
    pub(super) fn remembered(&self) -> std::ops::Range<u64> {
        self.arrived.saturating_sub(self.size())..self.arrived
    }

    /// The place of a number's arrival, if it is remembered.
    #[inline]
    pub(super) fn holder(&self, number: u64) -> Option<u64> {
        let holder = self.numbers[self.place(number)].holder;
        self.remembered().contains(&holder).then_some(holder)
    }

    /// The name that repairs give a number.
    pub(super) fn name(&self, number: u64) -> u64 {
        self.numbers[self.place(number)].name
    }

    pub(super) fn is_missing(&self, number: u64) -> bool {
        self.numbers[self.place(number)].holder == MISSING
    }

    /// A frame has come.
    #[inline]
    pub(super) fn arrive(&mut self, name: u64) -> Arrival {
        let found = self.names.find(name);
        if let Some(at) = found {
            let first = self.names.get(at).wanted.first;
            if first != NIL {
                return self.arrive_missing(first);
            }
            if self.take_first(at, In::Late).is_some() {
                self.names.get_mut(at).claimed += 1;
                return Arrival::Late;
            }
        }
        let place = self.open(NOBODY);
        if let Some(at) = self.names.find_or_add(name) {
            self.append(place, at, In::Unclaimed);
        }
        Arrival::New(place, None)
    }

    /// The frame of the number at `at` has come, which was missing.
    fn arrive_missing(&mut self, at: u32) -> Arrival {
        let number = self.number_at(at);
        // First, as it may let go of entries: of this one as long as it is wanted it does not.
        let place = self.open(number);
        let entry = self.unlink(at);
        self.claim(place, entry);
        let of = &mut self.numbers[at as usize];
        of.holder = place;
        let waiting = std::mem::replace(&mut of.waiting, NO_LINK);
        self.earn();
        Arrival::New(place, Some((number, waiting)))
    }

    /// A missing frame was rebuilt. Returns its place and the list of the repairs that wait for it.
    pub(super) fn rebuilt(&mut self, number: u64) -> (u64, u32) {
        let at = self.place(number) as u32;
        // First, as above.
        let place = self.open(number);
        let entry = self.unlink(at);
        let others = self.names.get(entry);
        match others.claimed == 0 && others.late.is_empty() {
            true => self.append(place, entry, In::Late),
            false => self.claim(place, entry),
        }
        let of = &mut self.numbers[at as usize];
        of.holder = place;
        (place, std::mem::replace(&mut of.waiting, NO_LINK))
    }

    /// Whether `head` is so far ahead that nothing that is known would stay known.
    pub(super) fn is_jump(&self, head: u64) -> bool {
        head.saturating_sub(self.head) >= self.size() / 2
    }

    /// The sender has sent the numbers below `head`. Lists of repairs that wait for numbers that are
    /// too old now go to `abandon`.
    pub(super) fn advance(&mut self, head: u64, mut abandon: impl FnMut(u32)) {
        if head <= self.head {
            return;
        }
        for number in self.head.max(head.saturating_sub(self.size()))..head {
            let at = self.place(number);
            if self.numbers[at].holder == MISSING {
                let entry = self.unlink(at as u32);
                self.names.tidy(entry);
            }
            let waiting = self.numbers[at].waiting;
            if waiting != NO_LINK {
                abandon(waiting);
            }
            self.numbers[at] = NEW;
        }
        self.head = head;
        self.tail = self.tail.max(head.saturating_sub(self.size()));
        let spacing = (self.slots.len() / MARKS) as u64;
        if self.marks.back().is_none_or(|&(place, _)| place + spacing <= self.arrived) {
            self.mark(self.arrived, head);
        }
    }

    fn mark(&mut self, place: u64, number: u64) {
        self.forget_marks();
        if self.marks.len() < self.marks.capacity() {
            self.marks.push_back((place, number));
        }
    }

    fn forget_marks(&mut self) {
        // Nothing was ever forgotten, or so much that those displaced might have been too.
        let trusted = match self.remembered().start {
            0 => 0,
            first => first + (self.size() / DISPLACED).max(32),
        };
        while self.marks.front().is_some_and(|&(place, _)| place < trusted) {
            self.marks.pop_front();
        }
    }

    /// Numbers below this may have arrived and been forgotten.
    ///
    /// A repair says how many were sent before it: what arrives behind it has a higher number, if
    /// reordering displaces nothing by more than an eighth of the size. Of the repairs that came among
    /// the arrivals that are remembered, the earliest thus says from which number on none is forgotten.
    pub(super) fn floor(&mut self) -> u64 {
        self.forget_marks();
        self.marks.front().map_or(u64::MAX, |&(_, number)| number)
    }

    /// A repair says that a number, which lies between tail and head, has this name. `floor` is
    /// [`Ledger::floor`].
    #[inline]
    pub(super) fn mention(&mut self, number: u64, name: u64, floor: u64) -> Mention {
        let at = self.place(number);
        let Number { holder, name: known, .. } = self.numbers[at];
        match holder {
            UNHEARD => {}
            _ if known != name => return Mention::Contradiction,
            MISSING => return Mention::Missing,
            _ => return Mention::Here,
        }
        let found = self.names.find(name);
        if let Some(entry) = found
            && let Some(slot) = self.take_first(entry, In::Unclaimed)
        {
            self.names.get_mut(entry).claimed += 1;
            self.slots[slot as usize].number = number;
            let holder = self.arrival_at(slot);
            self.numbers[at] = Number { name, holder, ..NEW };
            self.earn();
            return Mention::Here;
        }
        if number < floor {
            return Mention::Forgotten;
        }
        let Some(entry) = self.names.find_or_add(name) else { return Mention::Forgotten };
        let Queue { last, .. } = self.names.get(entry).wanted;
        self.numbers[at] = Number { name, holder: MISSING, entry, previous: last, ..NEW };
        let wanted = &mut self.names.get_mut(entry).wanted;
        wanted.last = at as u32;
        match last {
            NIL => wanted.first = at as u32,
            last => self.numbers[last as usize].next = at as u32,
        }
        self.credit = self.credit.saturating_sub(1);
        Mention::Missing
    }

    fn earn(&mut self) {
        self.credit = (self.credit + EARNS).min(MOST_CREDIT);
    }

    /// Forgets all numbers and goes on at `head`. Those from `first` on will be missed. What was
    /// rebuilt stays known by its name.
    pub(super) fn jump(&mut self, first: u64, head: u64) {
        for at in 0..self.numbers.len() {
            if self.numbers[at].holder == MISSING {
                let entry = self.unlink(at as u32);
                self.names.tidy(entry);
            }
            self.numbers[at] = NEW;
        }
        self.begin(first, head);
    }

    fn begin(&mut self, first: u64, head: u64) {
        (self.tail, self.head) = (first.max(head.saturating_sub(self.size())), head);
        self.marks.clear();
        // What was sent before this came before now, nobody knows when.
        match self.remembered().start {
            0 => self.mark(0, first),
            _ => self.mark(self.arrived, head),
        }
    }

    /// Another life of the sender begins at `head`; its numbers from `first` on will be missed. Arrivals
    /// that no number has claimed may be its own: `rename` says what they are called now, by their
    /// places.
    pub(super) fn restart(
        &mut self,
        first: u64,
        head: u64,
        mut rename: impl FnMut(u64) -> Option<u64>,
    ) {
        self.names.clear();
        self.numbers.fill(NEW);
        for place in self.remembered() {
            let at = self.place(place);
            let unclaimed = self.slots[at].queue == In::Unclaimed;
            self.slots[at] = VACANT;
            if unclaimed
                && let Some(name) = rename(place)
                && let Some(entry) = self.names.find_or_add(name)
            {
                self.append(place, entry, In::Unclaimed);
            }
        }
        self.credit = CREDIT;
        self.begin(first, head);
    }

    /// A place for an arrival of `number`; the one that had it is forgotten.
    fn open(&mut self, number: u64) -> u64 {
        let place = self.arrived;
        let at = self.place(place);
        let Slot { queue, entry, .. } = self.slots[at];
        if entry != NIL {
            match queue {
                In::Nothing => self.names.get_mut(entry).claimed -= 1,
                _ => {
                    // The oldest of all is the first of its queue.
                    let first = self.take_first(entry, queue);
                    debug_assert_eq!(first, Some(at as u32));
                }
            }
            self.names.tidy(entry);
        }
        self.slots[at] = Slot { number, ..VACANT };
        self.arrived += 1;
        place
    }

    fn claim(&mut self, place: u64, entry: u32) {
        let at = self.place(place);
        self.slots[at].entry = entry;
        self.names.get_mut(entry).claimed += 1;
    }

    fn append(&mut self, place: u64, entry: u32, queue: In) {
        let at = self.place(place);
        (self.slots[at].entry, self.slots[at].queue) = (entry, queue);
        let of = self.names.get_mut(entry);
        let ends = if queue == In::Late { &mut of.late } else { &mut of.unclaimed };
        let last = std::mem::replace(&mut ends.last, at as u32);
        match last {
            NIL => ends.first = at as u32,
            last => self.slots[last as usize].next = at as u32,
        }
    }

    fn take_first(&mut self, entry: u32, queue: In) -> Option<u32> {
        let of = self.names.get_mut(entry);
        let ends = if queue == In::Late { &mut of.late } else { &mut of.unclaimed };
        let first = ends.first;
        let slot = self.slots.get_mut(first as usize)?;
        ends.first = std::mem::replace(&mut slot.next, NIL);
        if ends.first == NIL {
            ends.last = NIL;
        }
        slot.queue = In::Nothing;
        Some(first)
    }

    /// Takes the missing number at `at` out of its queue; returns its name's entry.
    fn unlink(&mut self, at: u32) -> u32 {
        let Number { entry, previous, next, .. } = self.numbers[at as usize];
        let wanted = &mut self.names.get_mut(entry).wanted;
        match previous {
            NIL => wanted.first = next,
            previous => self.numbers[previous as usize].next = next,
        }
        match next {
            NIL => self.names.get_mut(entry).wanted.last = previous,
            next => self.numbers[next as usize].previous = previous,
        }
        let of = &mut self.numbers[at as usize];
        (of.previous, of.next) = (NIL, NIL);
        entry
    }

    /// The number whose place is `at`.
    fn number_at(&self, at: u32) -> u64 {
        let last = self.head - 1;
        last - (last.wrapping_sub(u64::from(at)) & self.mask)
    }

    /// The arrival whose place in memory is `at`.
    fn arrival_at(&self, at: u32) -> u64 {
        let last = self.arrived - 1;
        last - (last.wrapping_sub(u64::from(at)) & self.mask)
    }
}

impl Lists for Ledger {
    fn waiting(&mut self, number: u64) -> &mut u32 {
        let at = self.place(number);
        &mut self.numbers[at].waiting
    }
}
