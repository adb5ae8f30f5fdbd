//! What a gateway owes the WAN: every frame that it took is sent once, or dropped and counted.

use std::collections::VecDeque;

use maelstrom::fec::seq::LIMIT;
use maelstrom::gateway::Blueprint;
use maelstrom::gateway::bucket::{DEPTH_NS, wire_bytes};
use maelstrom::wire::encap::{Arrival, Pattern};
use maelstrom::wire::repair::{RepairHeader, repair_key};
use maelstrom::wire::seal::SessionKey;
use maelstrom::wire::shim::{Integrity, Kind, SHIM_LEN, Shim};

use super::{Cover, Fate, Ledger, Peek};
use crate::frames::{self, Class, LanFrame};
use crate::ports::Tag;

/// A life of a gateway that protects.
pub struct Sender {
    pub life: u16,
    pub epoch: u32,
    channel: u8,
    integrity: Integrity,
    first: u64,
    pub(super) next: u64,
    /// What its packets have in front of their shim.
    pattern: Pattern,
    /// How many layers each code has that it ever had.
    codes: Vec<u32>,
    /// Who can read what is sealed.
    peek: Option<Peek>,
    /// Whether it has a next hop, which it has to find first.
    routed: bool,
    /// Whether frames may be dropped by the mode that it is in.
    pub(super) drops: bool,
    /// Whether frames may cross unprotected in this life, and whether they do now.
    pub(super) bypasses: bool,
    pub bare: bool,
    /// It says that it has drained.
    drained: bool,
    /// What the gateway took and has not yet sent, in order.
    pub pending: VecDeque<LanFrame>,
    /// Of each source packet, the repairs that have left.
    cover: Vec<Cover>,
    /// And its frame.
    numbers: Vec<u32>,
    /// How many frames of each class it took.
    pub taken: [u64; 5],
    pub repairs: u64,
    pub(super) sources: u64,
    pub(super) bypassed: u64,
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
    pub fn new(
        blueprint: &Blueprint,
        pattern: Pattern,
        life: u16,
        epoch: u32,
        first: u64,
        [drops, bypasses]: [bool; 2],
    ) -> Sender {
        let rate = blueprint.limit.map(|limit| limit.rate as f64 / 8e9);
        Sender {
            life,
            epoch,
            channel: blueprint.side.channel(0),
            integrity: blueprint.integrity,
            first,
            next: first,
            routed: pattern.is_routed(),
            pattern,
            codes: vec![blueprint.code.layers().len() as u32],
            peek: blueprint.keys.map(|mode| Peek::new(blueprint, mode, epoch)),
            drops,
            bypasses,
            bare: false,
            drained: false,
            pending: VecDeque::new(),
            cover: Vec::new(),
            numbers: Vec::new(),
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

    /// Another code will be in force.
    pub fn switch(&mut self, layers: usize) {
        self.codes.push(layers as u32);
    }

    /// It may seal with these keys from now on.
    /// Says whether they are not its first.
    pub fn agreed(&mut self, session: u16, key: &SessionKey) -> bool {
        self.peek.as_mut().is_some_and(|peek| peek.add(session, key))
    }

    /// The frame of source packet `seq`.
    pub fn frame(&self, seq: u64) -> Option<u32> {
        self.numbers.get(usize::try_from(seq.checked_sub(self.first)?).ok()?).copied()
    }

    /// The number of its first packet, and the next one.
    pub fn numbered(&self) -> (u64, u64) {
        (self.first, self.next)
    }

    /// A packet that does not have a repair of each layer of its code.
    fn lacks_repairs(&self) -> Option<u64> {
        let mut all = (self.first..self.next).zip(&self.cover);
        all.find_map(|(seq, cover)| (!cover.is_full(&self.codes)).then_some(seq))
    }

    /// It says that all it took has left, and the repairs of that.
    pub fn has_drained(&mut self, ledger: &mut Ledger, count: impl Fn(&str) -> u64, drained: bool) {
        if drained && !self.drained {
            assert_eq!(count("overload_waiting"), 0, "drained, and something waits");
            assert_eq!(count("source_sent"), self.sources, "drained before all has left");
            assert_eq!(count("repair_sent"), self.repairs, "drained before all repairs have left");
            self.is_covered(&count);
            self.pending.drain(..).for_each(|frame| ledger.at(frame.n).fate = Fate::Dropped);
        }
        self.drained = drained;
    }

    /// Whatever it has sent has all of its repairs, unless that was counted.
    pub(super) fn is_covered(&self, count: impl Fn(&str) -> u64) {
        if count("repair_shed") == 0 && count("repair_no_mbuf") == 0 {
            let short = self.lacks_repairs();
            assert!(short.is_none(), "packet {short:?} of {} lacks repairs", self.next);
        }
    }

    /// The room has taken a frame.
    pub fn take(&mut self, ledger: &mut Ledger, frame: LanFrame) {
        self.taken[frame.class as usize] += 1;
        match frame.class {
            Class::TooLarge if self.bypasses => {
                ledger.at(frame.n).fate = Fate::Taken;
                self.pending.push_back(frame);
            }
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
        let packet = match self.pattern.strip(bytes) {
            Arrival::Packet(packet) => packet,
            Arrival::Short => panic!("{} bytes have left", bytes.len()),
            Arrival::Other if self.routed => return Tag::Router,
            Arrival::Other => return self.send_bare(now, ledger, salt, d, bytes),
        };
        let (shim, _) = Shim::parse(packet).expect("a good shim");
        if shim.kind != Kind::Control {
            self.keeps_to_the_rate(now, bytes.len());
            assert!(!self.drained, "{shim:?} has left after all had");
        }
        assert_eq!((shim.channel, shim.epoch), (self.channel, self.epoch), "whose packet is this");
        let (session, opened) = match &mut self.peek {
            Some(peek) => peek.open(&shim, packet),
            None => (0, None),
        };
        match shim.kind {
            Kind::Control => Tag::Control { life, session },
            Kind::Named => panic!("a circuit with shims"),
            Kind::Source => {
                let inner = match &self.peek {
                    Some(peek) => peek.frame(&shim),
                    None => shim.frame(&packet[SHIM_LEN..]).expect("a frame"),
                };
                let n = frames::number(inner).expect("a frame's number");
                let frame = self.leaves(ledger, |frame| frame.n == n, "a source packet");
                assert!(frame.class == Class::Protect, "{frame:?} went protected");
                assert_eq!(shim.seq, self.next, "source packets are numbered without gaps");
                assert!(shim.seq < LIMIT, "a number beyond the limit");
                ledger.at(n).seq = shim.seq;
                self.next += 1;
                self.sources += 1;
                self.cover.push(Cover::default());
                self.numbers.push(n);
                Tag::Source { n, seq: shim.seq, life, session }
            }
            Kind::Repair => {
                let header = opened.unwrap_or_else(|| self.read_repair(&shim, packet));
                let Sender { first, next, cover, codes, .. } = self;
                let code = header.code_id >> 1;
                assert!(usize::from(code) < codes.len(), "a repair of code {code}");
                header.members.for_each(|seq| {
                    assert!(
                        (*first..*next).contains(&seq),
                        "a repair of {seq}, before it was sent"
                    );
                    cover[(seq - *first) as usize].add(code, header.layer);
                });
                self.repairs += 1;
                Tag::Repair { last: header.members.last(), life, session }
            }
        }
    }

    /// What a repair in the open says.
    fn read_repair(&self, shim: &Shim, packet: &[u8]) -> RepairHeader {
        let key = repair_key(shim.channel, shim.epoch);
        let key = (self.integrity == Integrity::Check).then_some(key);
        RepairHeader::parse(shim, &packet[SHIM_LEN..], key).expect("a good repair").0
    }

    /// A frame leaves as it came.
    fn send_bare(
        &mut self,
        now: u64,
        ledger: &mut Ledger,
        salt: u64,
        d: usize,
        bytes: &[u8],
    ) -> Tag {
        let n = frames::number(bytes).expect("a frame's number");
        let frame = self.leaves(ledger, |frame| frame.n == n, "a bypassed frame");
        let may = frame.class == Class::Bypass || self.bare || self.hampered;
        assert!(may && self.peek.is_none(), "{frame:?} went unprotected");
        assert!(frames::is(salt, d, &frame, bytes), "{frame:?} was changed when bypassed");
        assert!(!self.drained, "{frame:?} has left after all had");
        ledger.at(n).bare = true;
        self.bypassed += 1;
        self.keeps_to_the_rate(now, bytes.len());
        Tag::Bypass { n }
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
            let may = self.shaped || self.drops || frame.class == Class::TooLarge;
            assert!(may || beyond || self.may_not_send(), "{what} has overtaken {frame:?}");
            ledger.at(frame.n).fate = Fate::Dropped;
        }
    }

    /// There is no next hop yet, or no keys, or were no mbufs to seal into.
    fn may_not_send(&self) -> bool {
        let keyed = self.peek.is_some();
        (self.routed || keyed) && self.sources == 0 || keyed && self.hampered
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
        if self.drops || self.may_not_send() {
            self.pending.drain(..).for_each(|frame| ledger.at(frame.n).fate = Fate::Dropped);
        }
        while self.pending.front().is_some_and(|f| f.class == Class::TooLarge)
            && let Some(frame) = self.pending.pop_front()
        {
            ledger.at(frame.n).fate = Fate::Dropped;
        }
        if self.next == LIMIT {
            for frame in self.pending.drain(..) {
                assert!(frame.class != Class::Bypass, "{frame:?} needs no number");
                ledger.at(frame.n).fate = Fate::Dropped;
            }
        }
        assert!(self.pending.is_empty(), "{:?} waits for coding", self.pending.front());
    }
}
