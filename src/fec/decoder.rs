//! From repair packets back to lost source packets, by peeling.
//!
//! A repair that misses one member rebuilds it; each packet that is rebuilt or comes late may unlock
//! further repairs, in every layer. What is rebuilt is verified by its check before anyone sees it.
//!
//! A caller treats a burst in three steps: [`Decoder::admit`] for each source packet, which says
//! whether to deliver it; [`Decoder::keep`] for each that was delivered; [`Decoder::repair`] for each
//! repair packet. The order lets it forward source packets before anything is decoded.

use arrayvec::ArrayVec;

use super::check::CheckKey;
use super::group::{MAX_MEMBERS, Members, Run};
use super::pending::{Pending, Ticket};
use super::short::SHORT;
use super::window::{NO_LINK, Place, Window};
use super::xor::Engine;

/// How near to the beginning of an epoch a stream must be met so that what went before counts as
/// lost rather than as none of our business, in packets.
const NEAR_START: u64 = 1024;

/// What a decoder is made of.
#[derive(Clone, Debug)]
pub struct DecoderConfig {
    /// How many source packets are kept; rounded up to a power of two. Repairs whose group spans
    /// more can't be used. [`DecoderConfig::window_for`] gives a good value.
    pub window: usize,
    /// The longest frame, in bytes: a repair that claims a longer one is refused.
    pub max_frame: usize,
    /// What rebuilt frames are verified with; `None` delivers them unverified, for measurements.
    pub check: Option<CheckKey>,
    /// What XORs.
    pub engine: Engine,
}

impl DecoderConfig {
    /// A window for a code of this span: three spans or more, so that chains of repairs find what
    /// they need, and what reordering displaces still counts.
    pub fn window_for(span: u64) -> usize {
        (3 * span as usize).max(NEAR_START as usize).next_power_of_two()
    }

    /// The most packets that a decoder holds on to at once: its window, repairs that wait, and
    /// packets that left the window and were not yet taken.
    pub fn packets_held(&self) -> usize {
        let window = Window::<()>::rounded(self.window);
        window + pending_entries(window) + DEPARTED
    }

    /// How many bytes [`Decoder::new`] allocates, without the packets themselves.
    pub fn memory_bytes<P>(&self) -> usize {
        let window = Window::<P>::rounded(self.window);
        Window::<P>::memory_bytes(window)
            + Pending::<RepairIn<P>>::memory_bytes(pending_entries(window), pending_links(window))
    }
}

/// Codes send at most a few repairs for every ten packets, and only those that miss several packets
/// wait: half a window of them is more than the heaviest loss that can be repaired leaves.
fn pending_entries(window: usize) -> usize {
    window / 2
}

fn pending_links(window: usize) -> usize {
    window * 2
}

/// How many packets are summed up in one pass, while as many are fetched: enough to hide memory, few
/// enough for the CPU to keep count of.
const PASS: usize = 8;

/// How many packets that left the window are collected: a burst's, and some that it made late.
const DEPARTED: usize = 64;

/// What becomes of a source packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Not seen before: deliver it, then [`Decoder::keep`] it.
    New,
    /// Delivered before, as it came or rebuilt.
    Duplicate,
    /// Behind the window: nobody knows whether it was delivered.
    TooOld,
    /// More than half a window ahead of everything before. [`Decoder::jump_to`] it, if it is true.
    Jump,
}

/// What becomes of a repair packet. None is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairFate {
    /// All members were here already.
    Redundant,
    /// It rebuilt a packet, perhaps more in its wake.
    Used,
    /// It misses several packets and waits for them.
    Waiting,
    /// A member lies behind the window.
    TooOld,
    /// As [`Admission::Jump`].
    Jump,
    /// What it rebuilt was not a frame that its check confirms.
    Refused,
    /// The caller had no memory for the rebuilt packet.
    NoMemory,
}

/// A packet that was rebuilt and verified.
#[derive(Clone, Copy, Debug)]
pub struct Rebuilt<'a> {
    /// Its number.
    pub seq: u64,
    /// Its frame.
    pub frame: &'a [u8],
    /// The layer of the repair that did it.
    pub layer: u8,
}

/// A repair packet as it came in; `P` holds on to its bytes.
#[derive(Debug)]
pub struct RepairIn<P> {
    /// The source packets that it stands for.
    pub members: Members,
    /// XOR of the members' lengths.
    pub lengths: u16,
    /// XOR of the members' checks.
    pub checks: u64,
    /// XOR of the members' bytes.
    pub payload: P,
    /// The number of its layer, which nothing depends on.
    pub layer: u8,
}

/// Says whether a rebuilt frame is what was sent.
pub trait Confirm {
    /// Whether packet `seq` is `frame`, `check` being what the repair says that it carried.
    fn confirm(&mut self, seq: u64, frame: &[u8], check: u64) -> bool;
}

impl Confirm for Option<CheckKey> {
    #[inline]
    fn confirm(&mut self, seq: u64, frame: &[u8], check: u64) -> bool {
        self.is_none_or(|key| key.check(seq, frame) == check)
    }
}

/// Rebuilds the lost source packets of one channel. `P` holds a packet's bytes, `C` confirms what is
/// rebuilt.
pub struct Decoder<P, C = Option<CheckKey>> {
    window: Window<P>,
    pending: Pending<RepairIn<P>>,
    /// Repairs that miss one packet; emptied before a call returns.
    ripe: Vec<Ticket>,
    /// The missing members of the repair at hand.
    missing: Vec<u64>,
    /// Packets that left the window, for the caller to let go of together.
    departed: Box<ArrayVec<P, DEPARTED>>,
    /// Where a frame is rebuilt.
    scratch: Box<[u8]>,
    started: bool,
    confirm: C,
    engine: Engine,
    refused: u64,
    displaced: Displaced,
}

/// How many source packets came behind others that were sent later: for each power of two how many
/// times that many, up to twice as many, had overtaken one.
pub type Displaced = [u32; 16];

impl<P: AsRef<[u8]>> Decoder<P> {
    /// All memory is allocated here.
    pub fn new(config: &DecoderConfig) -> Decoder<P> {
        Decoder::with(config, config.check)
    }
}

impl<P: AsRef<[u8]>, C: Confirm> Decoder<P, C> {
    /// As [`Decoder::new`], but rebuilt frames are verified by `confirm`, whatever the configuration's
    /// check.
    pub fn with(config: &DecoderConfig, confirm: C) -> Decoder<P, C> {
        let window = Window::<P>::new(config.window);
        let size = window.size() as usize;
        let entries = pending_entries(size);
        Decoder {
            window,
            pending: Pending::new(entries, pending_links(size)),
            ripe: Vec::with_capacity(entries),
            missing: Vec::with_capacity(MAX_MEMBERS),
            departed: Box::default(),
            scratch: vec![0; config.max_frame].into(),
            started: false,
            confirm,
            engine: config.engine,
            refused: 0,
            displaced: Displaced::default(),
        }
    }

    /// How far source packets came out of order, since the beginning; modulo 2^32.
    pub fn displaced(&self) -> &Displaced {
        &self.displaced
    }

    /// One bit for each of the 64 packets from number `64 * word` on: which were delivered, and which
    /// of those were rebuilt. They are within the window, at least 128 from its end.
    pub fn fates(&self, word: u64) -> (u64, u64) {
        self.window.fates(word)
    }

    /// What [`Decoder::fates`] says of packets is of these, and not of those a window ago, if this is called at least
    /// once in 64 packets.
    pub fn clear_ahead(&mut self) {
        self.window.clear_ahead();
    }

    /// The lowest number of which anything is known.
    pub fn tail(&self) -> u64 {
        self.window.tail()
    }

    /// How many packets the window holds.
    pub fn window(&self) -> u64 {
        self.window.size()
    }

    /// How many repairs that waited made way for newer ones, or found no room to wait.
    pub fn evicted(&self) -> u64 {
        self.pending.evicted()
    }

    /// The packets that have left the window since they were last taken, or the first of them.
    pub fn departed(&self) -> &[P] {
        &self.departed
    }

    /// Takes those packets: to let go of many at once may be cheaper than one by one.
    pub fn take_departed(&mut self) -> impl Iterator<Item = P> + '_ {
        self.departed.drain(..)
    }

    /// How many rebuilt frames their check refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The number behind the highest that is known of.
    pub fn head(&self) -> u64 {
        self.window.head()
    }

    /// What to do with the source packet `seq`.
    #[inline]
    pub fn admit(&mut self, seq: u64) -> Admission {
        if seq != self.window.head() || !self.started {
            return self.admit_any(seq);
        }
        let Decoder { window, pending, departed, .. } = self;
        window.step(|packet| drop(departed.try_push(packet)), |list| pending.abandon(list));
        Admission::New
    }

    /// What to do with a packet that may not be the next one.
    fn admit_any(&mut self, seq: u64) -> Admission {
        if !self.started {
            self.start_at(seq, seq + 1);
        }
        match self.window.place(seq) {
            Place::Behind => return Admission::TooOld,
            Place::Within if self.window.seen(seq) => return Admission::Duplicate,
            Place::Within => {
                let overtaken = (self.window.head() - seq).ilog2().min(15) as usize;
                self.displaced[overtaken] = self.displaced[overtaken].wrapping_add(1);
            }
            Place::Ahead if self.is_jump(seq) => return Admission::Jump,
            Place::Ahead => self.advance(seq + 1),
        }
        self.window.mark(seq);
        Admission::New
    }

    /// Keeps a packet that was admitted and delivered, `check` being what it carried. `deliver`
    /// gets what it unlocks, in the order of rebuilding, and returns a holder of the frame, or
    /// `None` if it can't: then the packet stays missing.
    #[inline]
    pub fn keep(
        &mut self,
        seq: u64,
        check: u64,
        packet: P,
        mut deliver: impl FnMut(Rebuilt<'_>) -> Option<P>,
    ) {
        // The window may have moved on since the packet was admitted.
        if self.window.place(seq) == Place::Within {
            let waiting = self.window.keep(seq, check, packet);
            if waiting != NO_LINK {
                self.arrived(seq, waiting);
                self.peel(&mut deliver);
            }
        }
    }

    /// As [`Decoder::keep`], but keeps a copy of the frame, which has at most [`SHORT`] bytes.
    #[inline]
    pub fn keep_copy(
        &mut self,
        seq: u64,
        check: u64,
        frame: &[u8],
        mut deliver: impl FnMut(Rebuilt<'_>) -> Option<P>,
    ) {
        debug_assert!(frame.len() <= SHORT);
        if self.window.place(seq) == Place::Within {
            let waiting = self.window.keep_copy(seq, check, frame);
            if waiting != NO_LINK {
                self.arrived(seq, waiting);
                self.peel(&mut deliver);
            }
        }
    }

    /// Whether the packets of a run, below [`super::seq::LIMIT`], are within the window and were
    /// delivered, so that a repair of them would be [`RepairFate::Redundant`].
    #[inline]
    pub fn has_all(&self, run: Run, stride: u16) -> bool {
        let (stride, count) = (u64::from(stride), u64::from(run.count));
        let within = |seq| self.window.place(seq) == Place::Within;
        count > 0
            && within(run.base)
            && within(run.base + stride * count.saturating_sub(1))
            && (0..count).all(|n| self.window.seen(run.base + stride * n))
    }

    /// Takes a repair packet; `deliver` as in [`Decoder::keep`].
    pub fn repair(
        &mut self,
        repair: RepairIn<P>,
        mut deliver: impl FnMut(Rebuilt<'_>) -> Option<P>,
    ) -> RepairFate {
        let (first, last) = (repair.members.first(), repair.members.last());
        if !self.started {
            self.start_at(first, last + 1);
        }
        if self.window.place(last) == Place::Ahead {
            if self.is_jump(last) {
                return RepairFate::Jump;
            }
            self.advance(last + 1);
        }
        if self.window.place(first) == Place::Behind {
            return RepairFate::TooOld;
        }
        let window = &self.window;
        self.missing.clear();
        let missing = &mut self.missing;
        repair.members.for_each(|seq| {
            if !window.seen(seq) {
                missing.push(seq);
            }
        });
        match self.missing[..] {
            [] => RepairFate::Redundant,
            [seq] => {
                let RepairIn { members, lengths, checks, payload, layer } = &repair;
                let sum = self.sum(seq, members, *lengths, *checks, payload.as_ref());
                let fate = self.accept(seq, *layer, sum, &mut deliver);
                self.peel(&mut deliver);
                fate
            }
            _ => {
                self.pending.insert(repair, &self.missing, &mut self.window);
                RepairFate::Waiting
            }
        }
    }

    /// Begins anew at `seq`, which a [`Admission::Jump`] named: what lies between counts as lost.
    /// Nothing that was delivered before will be delivered again.
    pub fn jump_to(&mut self, seq: u64) {
        let delivered_up_to = self.window.head();
        self.pending.clear();
        // The head may have passed a claim that was made a while ago.
        self.window.reset(delivered_up_to, seq.max(delivered_up_to));
    }

    /// Begins anew with another epoch.
    pub fn restart(&mut self, confirm: C) -> C {
        self.pending.clear();
        self.window.reset(0, 0);
        self.started = false;
        std::mem::replace(&mut self.confirm, confirm)
    }

    /// The first that is seen of a stream: near its beginning, what went before was lost; later, it
    /// was not ours, or a decoder before us delivered it.
    fn start_at(&mut self, first: u64, head: u64) {
        self.started = true;
        self.window.reset(if first < NEAR_START { 0 } else { first }, head);
    }

    fn is_jump(&self, seq: u64) -> bool {
        seq - self.window.head() >= self.window.size() / 2
    }

    fn advance(&mut self, head: u64) {
        let Decoder { window, pending, departed, .. } = self;
        // When there is no room to collect it, it goes at once.
        let depart = |packet| drop(departed.try_push(packet));
        window.advance(head, depart, |waiting| pending.abandon(waiting));
    }

    /// A packet has come that the repairs in a list wait for.
    fn arrived(&mut self, seq: u64, waiting: u32) {
        self.pending.arrived(seq, waiting, |ticket| self.ripe.push(ticket));
    }

    /// Uses the repairs that miss one packet until there are none.
    fn peel(&mut self, deliver: &mut impl FnMut(Rebuilt<'_>) -> Option<P>) {
        while let Some(ticket) = self.ripe.pop() {
            let Some((repair, seq)) = self.pending.take_ripe(ticket) else { continue };
            let RepairIn { members, lengths, checks, payload, layer } = &repair;
            // Or it is here already: admitted in this burst, and about to be kept.
            if self.window.place(members.first()) == Place::Behind || self.window.seen(seq) {
                continue;
            }
            let sum = self.sum(seq, members, *lengths, *checks, payload.as_ref());
            self.accept(seq, *layer, sum, deliver);
        }
    }

    /// Sums a repair and all its members but `seq` into the scratch buffer: the missing packet's
    /// length and check. `None` if it can't be a frame.
    fn sum(
        &mut self,
        seq: u64,
        members: &Members,
        lengths: u16,
        checks: u64,
        payload: &[u8],
    ) -> Option<(usize, u64)> {
        let (mut length, mut check) = (lengths, checks);
        let sum = self.scratch.get_mut(..payload.len())?;
        let mut pass = ArrayVec::<&[u8], PASS>::new();
        pass.push(payload);
        let mut begun = false;
        let engine = self.engine;
        let mut add_up = |pass: &mut ArrayVec<&[u8], PASS>| {
            match std::mem::replace(&mut begun, true) {
                false => engine.gather(sum, pass),
                true => engine.gather_onto(sum, pass),
            }
            pass.clear();
        };
        // Members lie far apart, and most have left the caches: those of the next pass are fetched
        // while those of this one are summed.
        let mut ahead = members.iter();
        ahead.by_ref().take(PASS).for_each(|member| self.window.fetch(member));
        for member in members.iter().filter(|&member| member != seq) {
            let (bytes, its_check) = self.window.get(member)?;
            length ^= bytes.len() as u16;
            check ^= its_check;
            pass.push(bytes);
            if pass.is_full() {
                ahead.by_ref().take(PASS).for_each(|member| self.window.fetch(member));
                add_up(&mut pass);
            }
        }
        add_up(&mut pass);
        let length = usize::from(length);
        (1..=payload.len()).contains(&length).then_some((length, check))
    }

    /// Verifies what was summed up for `seq`, and delivers and keeps it.
    fn accept(
        &mut self,
        seq: u64,
        layer: u8,
        sum: Option<(usize, u64)>,
        deliver: &mut impl FnMut(Rebuilt<'_>) -> Option<P>,
    ) -> RepairFate {
        let verified = sum
            .filter(|&(length, check)| self.confirm.confirm(seq, &self.scratch[..length], check));
        let Some((length, check)) = verified else {
            self.refused += 1;
            return RepairFate::Refused;
        };
        match deliver(Rebuilt { seq, frame: &self.scratch[..length], layer }) {
            Some(packet) => {
                self.window.mark_rebuilt(seq);
                let waiting = self.window.keep(seq, check, packet);
                self.arrived(seq, waiting);
                RepairFate::Used
            }
            None => RepairFate::NoMemory,
        }
    }
}
