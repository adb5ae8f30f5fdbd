//! What became of each frame of one direction, and what may become of it.

use std::collections::VecDeque;

use maelstrom::fec::seq::LIMIT;
use maelstrom::gateway::bucket::{DEPTH_NS, wire_bytes};
use maelstrom::gateway::{Blueprint, Overload};
use maelstrom::wire::outer::Ether;
use maelstrom::wire::repair::{RepairHeader, repair_key};
use maelstrom::wire::shim::{Integrity, Kind, Shim};

use crate::frames::{self, Class, LanFrame, Tcp};
use crate::ports::Tag;

/// Where a frame was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits at the LAN port.
    Waits,
    /// There was no gateway, or its LAN port was full.
    Missed,
    /// The gateway has taken it.
    Taken,
    /// The gateway dropped it.
    Dropped,
    /// The gateway died with it.
    Died,
    /// It went into the WAN.
    Sent,
}

/// A frame of the LAN.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub frame: LanFrame,
    /// When the LAN brought it, for whoever reads why a run failed.
    #[allow(dead_code, reason = "printed")]
    pub entered: u64,
    pub fate: Fate,
    pub seq: u64,
    /// The life of the gateway that delivered it last, counted from 1.
    pub delivered_by: u16,
    pub rebuilt: bool,
}

/// Every frame of a direction, by its number.
#[derive(Default)]
pub struct Ledger {
    pub records: Vec<Record>,
    /// From which frame on all are to be delivered.
    pub well: Option<usize>,
}

impl Ledger {
    pub fn enter(&mut self, now: u64, len: u16, class: Class, tcp: Option<Tcp>) -> LanFrame {
        let frame = LanFrame { n: self.records.len() as u32, len, class, tcp };
        self.records.push(Record {
            frame,
            entered: now,
            fate: Fate::Waits,
            seq: u64::MAX,
            delivered_by: 0,
            rebuilt: false,
        });
        frame
    }

    /// From now on nothing goes wrong any more.
    pub fn all_is_well(&mut self) {
        self.well = Some(self.records.len());
    }

    pub fn at(&mut self, n: u32) -> &mut Record {
        &mut self.records[n as usize]
    }
}

/// A life of a gateway that protects.
pub struct Sender {
    pub life: u16,
    pub epoch: u32,
    channel: u8,
    integrity: Integrity,
    first: u64,
    next: u64,
    /// From which packet on each code is in force, and how many layers it has.
    codes: Vec<(u64, u32)>,
    /// What is sealed can't be read here: frames are known by their order.
    sealed: bool,
    /// Whether frames may be dropped since the peer is down.
    drops: bool,
    /// What the gateway took and has not yet sent, in order.
    pub pending: VecDeque<LanFrame>,
    /// Of each source packet, the layers that a repair has left of.
    /// Of every other code in a byte of their own.
    cover: Vec<u16>,
    /// How many frames of each class it took.
    pub taken: [u64; 5],
    pub repairs: u64,
    sources: u64,
    bypassed: u64,
    /// Bytes of link that have gone, and their least excess over the rate.
    per_ns: Option<f64>,
    gone: f64,
    least: f64,
    longest: f64,
    shaped: bool,
    /// A port was slow in this life, or mbufs were few.
    pub hampered: bool,
}

impl Sender {
    pub fn new(blueprint: &Blueprint, life: u16, epoch: u32, first: u64, drops: bool) -> Sender {
        let rate = blueprint.limit.map(|limit| limit.rate as f64 / 8e9);
        Sender {
            life,
            epoch,
            channel: blueprint.side.channel(0),
            integrity: blueprint.integrity,
            first,
            next: first,
            codes: vec![(first, blueprint.code.layers().len() as u32)],
            sealed: blueprint.keys.is_some(),
            drops,
            pending: VecDeque::new(),
            cover: Vec::new(),
            taken: [0; 5],
            repairs: 0,
            sources: 0,
            bypassed: 0,
            per_ns: rate,
            gone: 0.0,
            least: f64::MAX,
            longest: 0.0,
            shaped: rate.is_some(),
            hampered: false,
        }
    }

    /// Another code is in force, from this packet on.
    pub fn switch(&mut self, seq: u64, layers: usize) {
        self.codes.push((seq, layers as u32));
    }

    /// A packet that does not have a repair of each layer of its code.
    fn lacks_repairs(&self) -> Option<u64> {
        (self.first..self.next).zip(&self.cover).find_map(|(seq, cover)| {
            let nth = self.codes.partition_point(|(from, _)| *from <= seq) - 1;
            let layers = cover >> (nth % 2 * 8) & 0xFF;
            (layers.count_ones() < self.codes[nth].1).then_some(seq)
        })
    }

    /// The room has taken a frame.
    pub fn take(&mut self, ledger: &mut Ledger, frame: LanFrame) {
        self.taken[frame.class as usize] += 1;
        match frame.class {
            Class::Protect | Class::Bypass => {
                ledger.at(frame.n).fate = Fate::Taken;
                self.pending.push_back(frame);
            }
            _ => ledger.at(frame.n).fate = Fate::Dropped,
        }
    }

    /// The room has sent a packet: it is the next one, or one that may come now. Says what it is.
    pub fn send(
        &mut self,
        now: u64,
        ledger: &mut Ledger,
        salt: u64,
        d: usize,
        bytes: &[u8],
    ) -> Tag {
        let life = self.life;
        let (ether, packet) = Ether::parse(bytes).expect("an outer header");
        if ether.ethertype.get() != maelstrom::wire::outer::ETHERTYPE {
            let n = frames::number(bytes).expect("a frame's number");
            let frame = self.leaves(ledger, |frame| frame.n == n, "a bypassed frame");
            assert!(frame.class == Class::Bypass, "{frame:?} went unprotected");
            assert!(frames::is(salt, d, &frame, bytes), "{frame:?} was changed when bypassed");
            self.bypassed += 1;
            self.keeps_to_the_rate(now, bytes.len());
            return Tag::Bypass { n };
        }
        let (shim, rest) = Shim::parse(packet).expect("a good shim");
        if shim.kind != Kind::Control {
            self.keeps_to_the_rate(now, bytes.len());
        }
        assert_eq!((shim.channel, shim.epoch), (self.channel, self.epoch), "whose packet is this");
        match shim.kind {
            Kind::Control => Tag::Control { life },
            Kind::Named => panic!("a circuit with shims"),
            Kind::Source => {
                let n = if self.sealed {
                    self.pending.front().expect("a source packet of nobody has left").n
                } else {
                    let inner = shim.frame(rest).expect("a frame");
                    frames::number(inner).expect("a frame's number")
                };
                let frame = self.leaves(ledger, |frame| frame.n == n, "a source packet");
                assert!(frame.class == Class::Protect, "{frame:?} went protected");
                assert_eq!(shim.seq, self.next, "source packets are numbered without gaps");
                assert!(shim.seq < LIMIT, "a number beyond the limit");
                ledger.at(n).seq = shim.seq;
                self.next += 1;
                self.sources += 1;
                self.cover.push(0);
                Tag::Source { n, seq: shim.seq, life }
            }
            Kind::Repair if self.sealed => {
                self.repairs += 1;
                // Or less.
                Tag::Repair { last: self.next - 1, life }
            }
            Kind::Repair => {
                let key = repair_key(shim.channel, shim.epoch);
                let key = (self.integrity == Integrity::Check).then_some(key);
                let (header, _) = RepairHeader::parse(&shim, rest, key).expect("a good repair");
                let Sender { first, next, cover, .. } = self;
                header.members.for_each(|seq| {
                    assert!(
                        (*first..*next).contains(&seq),
                        "a repair of {seq}, before it was sent"
                    );
                    let bit = u32::from(header.code_id >> 1 & 1) * 8 + u32::from(header.layer);
                    cover[(seq - *first) as usize] |= 1 << bit;
                });
                self.repairs += 1;
                Tag::Repair { last: header.members.last(), life }
            }
        }
    }

    /// Whatever the room took before this one it has dropped, since a queue was full.
    fn leaves(
        &mut self,
        ledger: &mut Ledger,
        is: impl Fn(&LanFrame) -> bool,
        what: &str,
    ) -> LanFrame {
        loop {
            let Some(frame) = self.pending.pop_front() else { panic!("{what} of nobody has left") };
            if is(&frame) {
                ledger.at(frame.n).fate = Fate::Sent;
                return frame;
            }
            let beyond = self.next == LIMIT && frame.class == Class::Protect;
            assert!(self.shaped || self.drops || beyond, "{what} has overtaken {frame:?}");
            ledger.at(frame.n).fate = Fate::Dropped;
        }
    }

    /// With S(t) bytes gone at t, S(b) − S(a) ≤ rate (b − a) + allowance for all a < b just if
    /// S(b) − rate b never exceeds its least value before by more.
    fn keeps_to_the_rate(&mut self, now: u64, len: usize) {
        let Some(per_ns) = self.per_ns.filter(|_| !self.hampered) else { return };
        let bytes = wire_bytes(len) as f64;
        let due = now as f64 * per_ns;
        self.longest = self.longest.max(bytes);
        self.least = self.least.min(self.gone - due);
        self.gone += bytes;
        let over = self.gone - due - self.least;
        let allowance = DEPTH_NS as f64 * per_ns + self.longest + 1.0;
        assert!(
            over <= allowance,
            "{over:.0} bytes more than the rate, {allowance:.0} are allowed"
        );
    }

    /// A turn is over in which nothing held the room back: nothing waits that need not.
    pub fn turn_is_over(&mut self, ledger: &mut Ledger) {
        if self.shaped || self.hampered {
            return;
        }
        if self.drops {
            self.pending.drain(..).for_each(|frame| ledger.at(frame.n).fate = Fate::Dropped);
        }
        if self.next == LIMIT {
            for frame in self.pending.drain(..) {
                assert!(frame.class == Class::Protect, "{frame:?} needs no number");
                ledger.at(frame.n).fate = Fate::Dropped;
            }
        }
        assert!(self.pending.is_empty(), "{:?} waits for coding", self.pending.front());
    }

    /// The life is over; compares what it counted with what was seen. `all` says that it ended in
    /// peace: whatever was owed has left.
    pub fn close(
        &mut self,
        ledger: &mut Ledger,
        count: impl Fn(&str) -> u64,
        limit: Option<Overload>,
        all: bool,
    ) {
        let [protect, bypass, runt, link_local, too_large] = self.taken;
        let n = &count;
        assert_eq!(n("lan_in"), self.taken.iter().sum::<u64>(), "lan_in");
        // What waits for the rate has not been looked at, and may be of any kind.
        let unseen = n("overload_waiting") + n("overload_dropped") + n("peer_down");
        for (name, seen) in
            [("runt", runt), ("link_local_dropped", link_local), ("too_large", too_large)]
        {
            let counted = n(name);
            assert!(counted <= seen && seen <= counted + unseen, "{name}: {counted} of {seen}");
        }
        let outside = n("source_sent")
            + n("bypassed")
            + n("runt")
            + n("link_local_dropped")
            + n("too_large")
            + n("no_headroom")
            + n("numbers_used_up")
            + n("seal_failed")
            + n("no_keys")
            + n("peer_down");
        let unseen = unseen - n("peer_down");
        assert_eq!(n("lan_in"), outside + unseen, "each frame has one fate");
        assert_eq!(n("no_headroom"), 0, "there was headroom");
        assert!(n("bypassed") <= bypass && n("source_sent") <= protect);
        if all {
            assert_eq!((n("source_sent"), n("bypassed")), (self.sources, self.bypassed), "sent");
            assert_eq!(n("repair_sent"), self.repairs, "repairs sent");
            assert_eq!(n("overload_waiting"), 0, "something still waits");
        }
        if limit != Some(Overload::SourceFirst) {
            assert_eq!(n("repair_shed"), 0, "nothing is to be shed");
        }
        let complete = all && !self.sealed;
        if complete && n("repair_shed") == 0 && n("repair_no_mbuf") == 0 {
            let short = self.lacks_repairs();
            assert!(short.is_none(), "packet {short:?} of {} lacks repairs", self.next);
        }
        for frame in self.pending.drain(..) {
            let fate = if all { Fate::Dropped } else { Fate::Died };
            ledger.at(frame.n).fate = fate;
        }
    }
}

/// A life of a gateway that recovers.
pub struct Receiver {
    pub life: u16,
    window: u64,
    /// Which life of the sender it delivers frames of.
    belief: Option<u16>,
    /// Its head is at least this, and at most that.
    head: u64,
    head_most: u64,
    /// Whether packets below this are still welcome, nobody knows.
    floor: u64,
    /// What it says it delivers, and what is yet to come out.
    pub owed: VecDeque<(u64, bool)>,
    handed: u64,
    sources: u64,
    rebuilt: u64,
    bypassed: u64,
    controls: u64,
    repairs: u64,
    /// What was damaged or forged.
    harmed: u64,
    rekeyed: bool,
    pub hampered: bool,
}

impl Receiver {
    pub fn new(blueprint: &Blueprint, life: u16) -> Receiver {
        Receiver {
            life,
            window: blueprint.recover(0).decoder.window.next_power_of_two() as u64,
            belief: None,
            head: 0,
            head_most: 0,
            floor: 0,
            owed: VecDeque::new(),
            handed: 0,
            sources: 0,
            rebuilt: 0,
            bypassed: 0,
            controls: 0,
            repairs: 0,
            harmed: 0,
            rekeyed: false,
            hampered: false,
        }
    }

    /// The room was handed these and says that it delivers those. `present` is the sender's life.
    pub fn turn(
        &mut self,
        ledger: &mut Ledger,
        handed: &[(Tag, bool)],
        observed: &[(u64, bool)],
        present: u16,
    ) {
        self.handed += handed.len() as u64;
        let mut said =
            observed.iter().filter(|(_, rebuilt)| !rebuilt).map(|(seq, _)| *seq).peekable();
        for &(tag, intact) in handed {
            match tag {
                Tag::Source { n, seq, life } if intact => {
                    if said.next_if_eq(&seq).is_some() {
                        self.sources += 1;
                        self.delivered(seq, life);
                    } else if life == present && self.must_deliver(seq, life) {
                        let mut said = self.owed.iter().chain(observed);
                        let before = ledger.at(n).delivered_by == self.life
                            || said.any(|&(other, _)| other == seq);
                        assert!(before, "packet {seq} of life {life} was not delivered at once");
                    }
                    self.heard(seq, life);
                }
                Tag::Repair { last, life } if intact => {
                    self.repairs += 1;
                    self.heard(last, life);
                }
                Tag::Control { .. } if intact => self.controls += 1,
                Tag::Bypass { .. } => {}
                _ => self.harmed += 1,
            }
        }
        if let Some(seq) = said.next() {
            panic!("packet {seq} was delivered out of order, or without having come");
        }
        self.rebuilt += observed.iter().filter(|(_, rebuilt)| *rebuilt).count() as u64;
        self.owed.extend(observed);
    }

    /// It has other keys from now on: what was sent under the old ones, it does not believe.
    pub fn rekeyed(&mut self) {
        (self.belief, self.rekeyed) = (None, true);
    }

    /// Whether no state that the room may be in has a reason to refuse this packet.
    fn must_deliver(&self, seq: u64, life: u16) -> bool {
        let known = self.belief == Some(life) && !self.hampered;
        let within = seq >= self.floor && seq + self.window > self.head_most;
        known && within && seq < self.head + self.window / 2
    }

    fn delivered(&mut self, seq: u64, life: u16) {
        if self.belief != Some(life) {
            (self.belief, self.head, self.head_most, self.floor) = (Some(life), seq, seq, seq);
        }
        if seq >= self.head + self.window / 2 {
            self.floor = seq;
        }
        self.head = self.head.max(seq + 1);
    }

    /// Something of the sender has come that the room may have believed, or not.
    fn heard(&mut self, last: u64, life: u16) {
        if self.belief == Some(life) {
            if last >= self.head + self.window / 2 {
                self.floor = self.floor.max(last + 1);
            }
            self.head_most = self.head_most.max(last + 1);
        }
    }

    /// A frame has come out on the LAN. Says which.
    pub fn came_out(&mut self, ledger: &mut Ledger, salt: u64, d: usize, bytes: &[u8]) -> LanFrame {
        let n = frames::number(bytes).filter(|&n| (n as usize) < ledger.records.len());
        let Some(n) = n else { panic!("{} bytes came out that nobody sent", bytes.len()) };
        let life = self.life;
        let record = ledger.at(n);
        assert!(frames::is(salt, d, &record.frame, bytes), "{record:?} came out changed");
        assert_eq!(record.fate, Fate::Sent, "{record:?} came out");
        assert!(record.delivered_by != life, "{record:?} came out twice");
        record.delivered_by = life;
        if record.frame.class == Class::Bypass {
            self.bypassed += 1;
            return record.frame;
        }
        let (seq, rebuilt) = self.owed.pop_front().expect("nobody said so");
        assert_eq!(seq, record.seq, "the frame of another number came out");
        record.rebuilt = rebuilt;
        record.frame
    }

    /// The life is over; compares what it counted with what was seen.
    pub fn close(&self, count: impl Fn(&str) -> u64, all: bool) {
        let n = &count;
        assert_eq!(n("wan_in"), self.handed, "wan_in");
        let delivered = n("delivered");
        assert_eq!(delivered, self.sources + self.rebuilt + n("bypassed"), "delivered");
        assert_eq!(n("recovered"), self.rebuilt, "recovered");
        if all {
            assert_eq!(n("bypassed"), self.bypassed, "bypassed");
            assert!(self.owed.is_empty(), "{} frames never came out", self.owed.len());
        }
        const REASONS: [&str; 26] = [
            "duplicates_suppressed",
            "truncated",
            "bad_version",
            "bad_kind",
            "bad_integrity",
            "bad_length",
            "bad_sequence",
            "bad_members",
            "bad_check",
            "bad_tag",
            "no_keys",
            "unknown_channel",
            "stale_epoch",
            "unconfirmed",
            "too_old",
            "foreign",
            "not_contiguous",
            "replayed",
            "handshakes_heard",
            "handshakes_unheard",
            "nack_heard",
            "nack_refused",
            "control_heard",
            "control_unheard",
            "repair_received",
            "bypassed",
        ];
        let sum = self.sources + REASONS.iter().map(|name| n(name)).sum::<u64>();
        // A repair that names a jump is received and unconfirmed; a frame that finds the LAN port full
        // may be a source or rebuilt.
        let most = n("unconfirmed").min(n("repair_received"));
        let (low, high) = (self.handed.saturating_sub(n("lan_full")), self.handed + most);
        assert!((low..=high).contains(&sum), "{sum} counted of {low} to {high}");
        assert!(n("lan_full") == 0 || self.hampered, "the LAN port was never full");
        assert!(n("no_mbuf") == 0 || self.hampered, "there were mbufs");
        // Of what went wrong on the way nothing was believed, and nothing else is in the way.
        // (A repair that is not needed is not looked at, damaged or not.)
        assert!(n("repair_received") <= self.repairs + self.harmed, "repairs that nobody sent");
        // (A group that was begun under other keys is none under these.)
        assert!(n("bad_rebuilt") == 0 || self.rekeyed, "a good repair rebuilt a bad frame");
        // (Padding may be damaged.)
        assert!(
            n("control_heard") <= self.controls + self.harmed,
            "control packets that nobody sent"
        );
    }
}
