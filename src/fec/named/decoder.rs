//! From repairs that name their members back to lost frames, by peeling.
//!
//! As [`crate::fec::Decoder`], but source packets bear no numbers: [`super::ledger`] finds out which
//! they have. A caller treats a burst in four steps: [`NamedDecoder::admit`] for each frame, which says
//! whether to deliver it; [`NamedDecoder::keep`] for each that was delivered; [`NamedDecoder::settle`];
//! [`NamedDecoder::repair`] for each repair.

use arrayvec::ArrayVec;

use super::super::decoder::{Rebuilt, RepairFate};
use super::super::group::{MAX_MEMBERS, Members};
use super::super::pending::{Pending, Ticket};
use super::super::short::{SHORT, copy_short};
use super::super::window::NO_LINK;
use super::super::xor::{Engine, fetch};
use super::image::{EXTRA, MIN_FRAME, NameKey, add_image, read_image, restore};
use super::ledger::{Arrival, Ledger, Mention};

/// How near to the beginning of an epoch a stream must be met so that what went before counts as lost.
const NEAR_START: u64 = 1024;
/// How many packets that left the window are collected.
const DEPARTED: usize = 64;
/// How many members are fetched at a time while as many are summed up.
const PASS: usize = 8;

/// What a decoder is made of.
#[derive(Clone, Debug)]
pub struct NamedConfig {
    /// How many frames are kept; rounded up to a power of two.
    /// [`super::super::DecoderConfig::window_for`] gives a good value.
    pub window: usize,
    /// The longest frame, in bytes.
    pub max_frame: usize,
    /// Whether routers on the way change what is set apart in an image. If so, a rebuilt frame that its
    /// name confirms but not its check gets the addresses, TTL and class of one of its own flow.
    pub routed: bool,
    /// What XORs.
    pub engine: Engine,
}

impl NamedConfig {
    fn size(&self) -> usize {
        self.window.next_power_of_two().max(64)
    }

    /// Repairs that wait: they are copied, so fewer than [`super::super::Decoder`] has, and still more
    /// than a code sends in a quarter of the window.
    fn entries(&self) -> usize {
        self.size() / 4
    }

    fn links(&self) -> usize {
        self.size() * 2
    }

    /// The longest image, in bytes.
    pub fn max_image(&self) -> usize {
        self.max_frame + EXTRA
    }

    /// The most packets that a decoder holds on to at once.
    pub fn packets_held(&self) -> usize {
        self.size() + DEPARTED
    }

    /// How many bytes [`NamedDecoder::new`] allocates, without the packets themselves.
    pub fn memory_bytes<P>(&self) -> usize {
        let size = self.size();
        size * (size_of::<Held<P>>() + size_of::<u64>() + SHORT)
            + Ledger::memory_bytes(size)
            + Pending::<Waiting>::memory_bytes(self.entries(), self.links())
            + self.entries() * self.max_image()
    }
}

/// A repair as it came.
#[derive(Debug)]
pub struct NamedRepair<'a> {
    /// How many source packets were sent before it; its members are among them.
    pub next: u64,
    /// The numbers that it stands for.
    pub members: &'a Members,
    /// Their names, big-endian, in the order of [`Members::iter`].
    pub names: &'a [[u8; 8]],
    /// XOR of the lengths of the members' images.
    pub lengths: u16,
    /// XOR of the members' checks.
    pub checks: u64,
    /// XOR of the members' images.
    pub xor: &'a [u8],
    /// Its layer in the sender's code.
    pub layer: u8,
}

/// A repair that waits. Its XOR is in the place of the same number.
struct Waiting {
    members: Members,
    lengths: u16,
    checks: u64,
    longest: u32,
    layer: u8,
}

/// Where a frame is.
enum Held<P> {
    Nowhere,
    Copied(u8),
    Packet(P),
}

/// Why a frame was not rebuilt.
enum Failed {
    /// A member has left the window.
    TooOld,
    /// It was not what its name and check confirm.
    Refused,
    NoMemory,
}

/// Rebuilds what the frames of one channel have lost. `P` holds a frame's bytes.
pub struct NamedDecoder<P> {
    ledger: Ledger,
    frames: Frames<P>,
    pending: Pending<Waiting>,
    /// The XORs of the repairs that wait.
    sums: Box<[u8]>,
    max_image: usize,
    ripe: Vec<Ticket>,
    missing: Vec<u64>,
    /// Where an image is summed up, and where its frame is put together.
    image: Box<[u8]>,
    frame: Box<[u8]>,
    started: bool,
    key: NameKey,
    routed: bool,
    engine: Engine,
    refused: u64,
    estranged: u64,
}

/// The bytes of the arrivals, by their places.
struct Frames<P> {
    held: Box<[Held<P>]>,
    checks: Box<[u64]>,
    copies: Box<[[u8; SHORT]]>,
    mask: u64,
    /// What has left, for the caller to let go of together.
    departed: Box<ArrayVec<P, DEPARTED>>,
}

impl<P: AsRef<[u8]>> Frames<P> {
    fn new(size: usize) -> Frames<P> {
        Frames {
            held: (0..size).map(|_| Held::Nowhere).collect(),
            checks: vec![0; size].into(),
            copies: vec![[0; SHORT]; size].into(),
            mask: size as u64 - 1,
            departed: Box::default(),
        }
    }

    fn put(&mut self, place: u64, held: Held<P>) {
        let at = (place & self.mask) as usize;
        if let Held::Packet(packet) = std::mem::replace(&mut self.held[at], held) {
            // When there is no room to collect it, it goes at once.
            drop(self.departed.try_push(packet));
        }
    }

    fn open(&mut self, place: u64, check: u64) {
        self.put(place, Held::Nowhere);
        self.checks[(place & self.mask) as usize] = check;
    }

    fn get(&self, place: u64) -> Option<(&[u8], u64)> {
        let at = (place & self.mask) as usize;
        match &self.held[at] {
            Held::Nowhere => None,
            Held::Copied(len) => Some((&self.copies[at][..usize::from(*len)], self.checks[at])),
            Held::Packet(packet) => Some((packet.as_ref(), self.checks[at])),
        }
    }
}

impl<P: AsRef<[u8]>> NamedDecoder<P> {
    /// All memory is allocated here. Until [`NamedDecoder::restart`] is told of the first epoch, frames
    /// are named by `key`.
    pub fn new(config: &NamedConfig, key: NameKey) -> NamedDecoder<P> {
        let size = config.size();
        NamedDecoder {
            ledger: Ledger::new(size),
            frames: Frames::new(size),
            pending: Pending::new(config.entries(), config.links()),
            sums: vec![0; config.entries() * config.max_image()].into(),
            max_image: config.max_image(),
            ripe: Vec::with_capacity(config.entries()),
            missing: Vec::with_capacity(MAX_MEMBERS),
            image: vec![0; config.max_image()].into(),
            frame: vec![0; config.max_frame].into(),
            started: false,
            key,
            routed: config.routed,
            engine: config.engine,
            refused: 0,
            estranged: 0,
        }
    }

    /// How many repairs that waited made way for newer ones, or found no room to wait.
    pub fn evicted(&self) -> u64 {
        self.pending.evicted()
    }

    /// How many rebuilt frames their name or check refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many frames were not rebuilt because hardly any arrive under the names that repairs give
    /// them: the circuit must be changing them.
    pub fn estranged(&self) -> u64 {
        self.estranged
    }

    /// The packets that have left the window since they were last taken: to let go of many at once may
    /// be cheaper than one by one.
    pub fn take_departed(&mut self) -> impl Iterator<Item = P> + '_ {
        self.frames.departed.drain(..)
    }

    /// A frame has come, of at least an Ethernet header's length. The place to keep it at, or `None` if
    /// it was rebuilt before and goes no further.
    #[inline]
    pub fn admit(&mut self, frame: &[u8]) -> Option<u64> {
        let name = self.key.name(frame);
        match self.ledger.arrive(name.name) {
            Arrival::Late => None,
            Arrival::New(place, unlocked) => {
                self.frames.open(place, name.check);
                if let Some((number, waiting)) = unlocked {
                    self.arrived(number, waiting);
                }
                Some(place)
            }
        }
    }

    /// Keeps a frame that was admitted to this place, not more than a window ago.
    #[inline]
    pub fn keep(&mut self, place: u64, packet: P) {
        self.frames.put(place, Held::Packet(packet));
    }

    /// As [`NamedDecoder::keep`], but keeps a copy of the frame, which has at most [`SHORT`] bytes.
    #[inline]
    pub fn keep_copy(&mut self, place: u64, frame: &[u8]) {
        debug_assert!(frame.len() <= SHORT);
        let at = (place & self.frames.mask) as usize;
        let copied = copy_short(frame, &mut self.frames.copies[at]);
        self.frames.put(place, Held::Copied(copied));
    }

    /// Lets what was kept do its part. `deliver` gets what is rebuilt, and returns a holder of the
    /// frame, or `None` if it can't: then it stays missing.
    #[inline]
    pub fn settle(&mut self, mut deliver: impl FnMut(Rebuilt<'_>) -> Option<P>) {
        if !self.ripe.is_empty() {
            self.peel(&mut deliver);
        }
    }

    /// Takes a repair; `deliver` as in [`NamedDecoder::settle`].
    pub fn repair(
        &mut self,
        repair: &NamedRepair<'_>,
        mut deliver: impl FnMut(Rebuilt<'_>) -> Option<P>,
    ) -> RepairFate {
        let NamedRepair { next, members, names, lengths, checks, xor, layer } = *repair;
        if !self.started {
            self.started = true;
            let first = if next < NEAR_START { 0 } else { next };
            self.ledger.jump(first, next);
        }
        if self.ledger.is_jump(next) {
            return RepairFate::Jump;
        }
        let pending = &mut self.pending;
        self.ledger.advance(next, |waiting| pending.abandon(waiting));
        if self.ledger.is_behind(members.first()) {
            return RepairFate::TooOld;
        }
        if xor.len() > self.max_image || names.len() != members.len() || members.last() >= next {
            self.refused += 1;
            return RepairFate::Refused;
        }
        if let Some(fate) = self.hear(members, names) {
            return fate;
        }
        let longest = xor.len() as u32;
        let waiting = |layer| Waiting { members: members.clone(), lengths, checks, longest, layer };
        match self.missing[..] {
            [] => RepairFate::Redundant,
            [number] => {
                self.image[..xor.len()].copy_from_slice(xor);
                let done = self.rebuild(number, &waiting(layer), &mut deliver);
                self.peel(&mut deliver);
                match done {
                    Ok(()) => RepairFate::Used,
                    Err(Failed::TooOld) => RepairFate::TooOld,
                    Err(Failed::Refused) => RepairFate::Refused,
                    Err(Failed::NoMemory) => RepairFate::NoMemory,
                }
            }
            _ => {
                let place = self.pending.insert(waiting(layer), &self.missing, &mut self.ledger);
                if let Some(place) = place {
                    self.sums[place * self.max_image..][..xor.len()].copy_from_slice(xor);
                }
                RepairFate::Waiting
            }
        }
    }

    /// Tells the ledger what a repair's members are called, and lists those that are missing.
    #[inline]
    fn hear(&mut self, members: &Members, names: &[[u8; 8]]) -> Option<RepairFate> {
        let floor = self.ledger.floor();
        let (mut forgotten, mut contradiction) = (false, false);
        self.missing.clear();
        let mut names = names.iter();
        members.for_each(|number| {
            let name = names.next().map_or(0, |name| u64::from_be_bytes(*name));
            match self.ledger.mention(number, name, floor) {
                Mention::Here => {}
                Mention::Missing => self.missing.push(number),
                Mention::Forgotten => forgotten = true,
                Mention::Contradiction => contradiction = true,
            }
        });
        self.refused += u64::from(contradiction);
        match (contradiction, forgotten) {
            (true, _) => Some(RepairFate::Refused),
            (_, true) => Some(RepairFate::TooOld),
            _ => None,
        }
    }

    /// Goes on at `next`, which a [`RepairFate::Jump`] named: what lies between counts as lost.
    pub fn jump_to(&mut self, next: u64) {
        let next = next.max(self.ledger.head());
        self.pending.clear();
        self.ripe.clear();
        self.ledger.jump(next, next);
    }

    /// Begins anew with another epoch, whose names have this key. Frames that came and of which no
    /// repair has spoken may be of that epoch: they get new names.
    pub fn restart(&mut self, key: NameKey) {
        self.pending.clear();
        self.ripe.clear();
        self.started = false;
        self.key = key;
        let frames = &mut self.frames;
        self.ledger.restart(0, 0, |place| {
            let name = key.name(frames.get(place)?.0);
            frames.checks[(place & frames.mask) as usize] = name.check;
            Some(name.name)
        });
    }

    fn arrived(&mut self, number: u64, waiting: u32) {
        if waiting != NO_LINK {
            self.pending.arrived(number, waiting, |ticket| self.ripe.push(ticket));
        }
    }

    /// Uses the repairs that miss one packet until there are none.
    fn peel(&mut self, deliver: &mut impl FnMut(Rebuilt<'_>) -> Option<P>) {
        while let Some(ticket) = self.ripe.pop() {
            let Some((waiting, number)) = self.pending.take_ripe(ticket) else { continue };
            if self.ledger.is_behind(waiting.members.first()) || !self.ledger.is_missing(number) {
                continue;
            }
            let len = waiting.longest as usize;
            let sum = &self.sums[ticket.place() * self.max_image..][..len];
            self.image[..len].copy_from_slice(sum);
            // Failures are counted; whoever sent the repair is not there to be told.
            let _ = self.rebuild(number, &waiting, deliver);
        }
    }

    /// Sums all members but `number` onto the repair's XOR, which lies in the image buffer, verifies
    /// what that makes, and delivers and keeps it.
    fn rebuild(
        &mut self,
        number: u64,
        repair: &Waiting,
        deliver: &mut impl FnMut(Rebuilt<'_>) -> Option<P>,
    ) -> Result<(), Failed> {
        let Waiting { ref members, lengths, checks, longest, layer } = *repair;
        if self.ledger.is_estranged() {
            self.estranged += 1;
            return Err(Failed::TooOld);
        }
        let (length, check) = self.sum(number, members, lengths, checks, longest as usize)?;
        let Some(length) = read_image(&self.image[..length], &mut self.frame) else {
            return self.refuse();
        };
        let mut name = self.key.name(&self.frame[..length]);
        if name.name != self.ledger.name(number) {
            return self.refuse();
        }
        if name.check != check {
            if !(self.routed && self.restore(number, members, length)) {
                return self.refuse();
            }
            name = self.key.name(&self.frame[..length]);
        }
        let frame = &self.frame[..length];
        let Some(packet) = deliver(Rebuilt { seq: number, frame, layer }) else {
            return Err(Failed::NoMemory);
        };
        let (place, waiting) = self.ledger.rebuilt(number);
        self.frames.open(place, name.check);
        self.frames.put(place, Held::Packet(packet));
        self.arrived(number, waiting);
        Ok(())
    }

    fn refuse(&mut self) -> Result<(), Failed> {
        self.refused += 1;
        Err(Failed::Refused)
    }

    /// The length of the missing image, which the image buffer then holds, and its check.
    fn sum(
        &mut self,
        number: u64,
        members: &Members,
        lengths: u16,
        checks: u64,
        longest: usize,
    ) -> Result<(usize, u64), Failed> {
        let NamedDecoder { ledger, frames, image, engine, .. } = self;
        let frame = |number| ledger.holder(number).and_then(|place| frames.get(place));
        let image = &mut image[..longest];
        let (mut length, mut check) = (lengths, checks);
        // Members lie far apart, and most have left the caches.
        let mut ahead = members.iter().filter(|&member| member != number).filter_map(frame);
        ahead.by_ref().take(PASS).for_each(|(frame, _)| fetch(frame));
        for member in members.iter().filter(|&member| member != number) {
            let (frame, its_check) = frame(member).ok_or(Failed::TooOld)?;
            if let Some((next, _)) = ahead.next() {
                fetch(next);
            }
            let len = frame.len() + EXTRA;
            if len > longest {
                self.refused += 1;
                return Err(Failed::Refused);
            }
            length ^= len as u16;
            check ^= its_check;
            add_image(*engine, image, frame);
        }
        let length = usize::from(length);
        if !(MIN_FRAME + EXTRA..=longest).contains(&length) {
            self.refused += 1;
            return Err(Failed::Refused);
        }
        Ok((length, check))
    }

    /// Gives the rebuilt frame what routers have changed in another of its flow.
    fn restore(&mut self, number: u64, members: &Members, length: usize) -> bool {
        let NamedDecoder { ledger, frames, frame, .. } = self;
        let rebuilt = &mut frame[..length];
        let others = members.iter().filter(|&member| member != number);
        let mut donors = others.filter_map(|member| frames.get(ledger.holder(member)?));
        donors.any(|(donor, _)| restore(rebuilt, donor))
    }
}
