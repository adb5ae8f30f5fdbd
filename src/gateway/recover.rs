//! WAN → LAN: source packets are delivered at once, lost ones are rebuilt and delivered too.
//!
//! * **Does:** parse, verify, refuse duplicates, deliver, keep, peel, deliver what was rebuilt.
//! * **Fed by:** a WAN receive queue.
//! * **Feeds:** a LAN transmit queue.
//! * **Runs on:** one worker; it owns the window of the peer's channel.
//! * **Must not:** believe a byte before it is verified, deliver a frame twice, or let a source
//!   packet wait for decoding.

mod delivery;
mod keyed;
mod repeated;

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::desk::{self, Desk};
use super::fit;
use super::flows::Acks;
use super::inbound::{Inbound, Verdict};
use super::io::{Receive, Transmit, fetched};
use super::post::{self, Heard, RecoverOrder, What};
use super::settings::Oversize;
use super::worker::Room;
use crate::control::counters::{Counter, RecoverCounters};
use crate::dpdk::mbuf::{BURST, Burst, Mbuf};
use crate::dpdk::{Kept, Mempool, kept};
use crate::fec::decoder::{Admission, RepairFate, RepairIn};
use crate::fec::{CheckKey, Decoder, DecoderConfig, Rebuilt, SHORT, copy_short};
use crate::wire::Bad;
use crate::wire::Report;
use crate::wire::control;
use crate::wire::encap::{Arrival, Pattern};
use crate::wire::icmp::Answer;
use crate::wire::nack;
use crate::wire::outer::Ether;
use crate::wire::repair::{self, RepairHeader, repair_key};
use crate::wire::seal::{KEYED_SHIM_LEN, Mode};
use crate::wire::shim::{Integrity, Kind, SHIM_LEN, Shim, source_key};
use delivery::{Delivery, Origin};
use keyed::{Confirmation, Keyring};

/// What `recover` is made of.
#[derive(Clone, Debug)]
pub struct RecoverConfig {
    /// The channel that the peer sends on.
    pub channel: u8,
    /// What must confirm its packets, unless there are keys.
    pub integrity: Integrity,
    /// What keys do, if there are any. Without [`Recover::set_keys`] nothing is believed then.
    pub keys: Option<Mode>,
    /// What its packets' outer headers look like.
    pub pattern: Pattern,
    /// Whether what comes unprotected is delivered.
    pub oversize: Oversize,
    /// The length of the frames that SYNs may ask for; none is any.
    pub clamp: Option<usize>,
    /// How long frames are held behind a hole, in nanoseconds, and how many at most; none is not.
    pub resequence: Option<(u64, usize)>,
    /// The window. Its `check` is overwritten.
    pub decoder: DecoderConfig,
}

/// Somebody who wants to know what is delivered, such as the laboratory. `()` does not.
pub trait Observer: Send {
    /// Source packet `seq` is about to go out on the LAN; if the port is full, it is lost there.
    fn delivered(&mut self, now: u64, seq: u64, rebuilt: bool);
}

impl Observer for () {
    #[inline]
    fn delivered(&mut self, _now: u64, _seq: u64, _rebuilt: bool) {}
}

/// The room. See the module's head.
pub struct Recover<W, L, O> {
    wan: W,
    out: Delivery<L, O>,
    decoder: Decoder<Kept, Confirmation>,
    inbound: Inbound,
    config: RecoverConfig,
    source_key: Option<CheckKey>,
    repair_key: Option<CheckKey>,
    keyring: Keyring,
    received: Burst,
    /// The source packets of this burst.
    sources: ArrayVec<Source, BURST>,
    /// Where the frames of those of up to [`SHORT`] bytes are copied.
    copies: Box<[[u8; SHORT]; BURST]>,
    /// The repair packets of this burst.
    repairs: ArrayVec<RepairIn<Kept>, BURST>,
    /// To and from control, if there is one.
    desk: Desk,
}

/// A source packet that is delivered, and yet to be kept in the window.
struct Source {
    seq: u64,
    check: u64,
    frame: Frame,
}

enum Frame {
    /// Its bytes, in the copy of the same number, are so many.
    Copied(u8),
    Kept(Kept),
}

impl<W: Receive, L: Transmit, O: Observer> Recover<W, L, O> {
    /// All memory but the packets' is allocated here; `pool` gives the frames that are rebuilt.
    pub fn new(config: RecoverConfig, wan: W, lan: L, pool: Mempool, observer: O) -> Self {
        let decoder = Decoder::with(&config.decoder, Confirmation::Check(None));
        Recover {
            wan,
            out: Delivery::new(&config, lan, pool, observer, decoder.window()),
            decoder,
            inbound: Inbound::default(),
            config,
            source_key: None,
            repair_key: None,
            keyring: Keyring::default(),
            received: Burst::new(),
            sources: ArrayVec::new(),
            copies: Box::new([[0; SHORT]; BURST]),
            repairs: ArrayVec::new(),
            desk: Desk::default(),
        }
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<RecoverCounters> {
        Arc::clone(&self.out.counters)
    }

    /// Obeys these orders and hands up what is for control, as room number `number`: to be called before
    /// the first turn.
    pub fn obey(
        &mut self,
        number: u8,
        orders: post::Receiver<RecoverOrder>,
        heard: post::Sender<Heard>,
        reports: post::Sender<Report>,
    ) {
        self.desk = Desk::new(number, orders, heard, reports);
    }

    /// What the link has done to this channel in the present epoch: what the far end is told.
    pub fn report(&self, now: u64) -> Report {
        let mut report = self.out.measure.totals().clone();
        report.at_ns = now;
        report.displaced = *self.decoder.displaced();
        report.duplicates = self.out.counters.duplicates_suppressed.get();
        report
    }

    /// Has acknowledgements read in what is delivered, from now on.
    pub fn read_acks(&mut self, acks: Acks) {
        self.out.acks = Some(Box::new(acks));
    }

    /// Has it send what is put into these mailboxes, from now on: to be called before the first turn.
    pub fn answer_from(&mut self, mailboxes: Vec<post::Receiver<Answer>>) {
        self.out.answers = mailboxes;
    }

    /// Who is told of deliveries.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.out.observer
    }

    /// Where frames go.
    pub fn lan_mut(&mut self) -> &mut L {
        self.out.lan.port_mut()
    }

    #[inline]
    fn take_in(&mut self, now: u64, mbuf: Mbuf) {
        let counters = &self.out.counters;
        self.out.tally.wan_in += 1;
        self.out.tally.wan_in_bytes += mbuf.len() as u64;
        if !mbuf.is_contiguous() {
            counters.not_contiguous.add(1);
            return;
        }
        let packet = match self.config.pattern.strip(mbuf.data()) {
            Arrival::Packet(packet) => packet,
            Arrival::Short => return counters.truncated.add(1),
            Arrival::Other => return self.take_other(now, mbuf),
        };
        let (shim, rest) = match Shim::parse(packet) {
            Ok(parsed) => parsed,
            Err(bad) => return self.reason(bad).add(1),
        };
        if shim.channel != self.config.channel {
            return counters.unknown_channel.add(1);
        }
        if self.config.keys.is_some() {
            return self.take_keyed(now, &shim, mbuf);
        }
        if shim.kind == Kind::Control {
            return self.hear(now, &shim, rest, mbuf.len());
        }
        if shim.integrity != self.config.integrity {
            return counters.bad_integrity.add(1);
        }
        match shim.kind {
            Kind::Named => counters.bad_kind.add(1),
            Kind::Source => match self.verify(&shim, rest) {
                Err(bad) => self.reason(bad).add(1),
                Ok(()) => self.take_source(now, &shim, mbuf),
            },
            Kind::Repair if self.is_needless(&shim, rest) => {
                counters.repair_received.add(1);
                counters.repair_redundant.add(1);
            }
            Kind::Repair => match RepairHeader::parse(&shim, rest, self.repair_key(&shim)) {
                Err(bad) => self.reason(bad).add(1),
                Ok((header, _)) => {
                    let before = repair::header_len(&header.members);
                    self.take_repair(now, &shim, header, before, mbuf);
                }
            },
            Kind::Control => {}
        }
    }

    /// A frame that is none of the peer's packets.
    #[cold]
    fn take_other(&mut self, now: u64, mbuf: Mbuf) {
        let frame = mbuf.data();
        if self.config.pattern.is_for_gateway(frame) {
            return self.hand_up(now, What::Frame, &[frame], frame.len());
        }
        let link_local = Ether::parse(frame).is_none_or(|(ether, _)| ether.is_link_local());
        if self.config.oversize == Oversize::Bypass && !link_local {
            self.out.deliver(now, mbuf, Origin::Bypassed, 0);
        } else {
            self.out.counters.foreign.add(1);
        }
    }

    /// Hands a control packet up, if its check is right.
    #[cold]
    fn hear(&mut self, at: u64, shim: &Shim, rest: &[u8], len: usize) {
        match control::verify(shim, rest) {
            Ok(body) if nack::is_nack(body) => self.out.hear_nack(at, shim, body),
            Ok(body) => self.hand_up(at, What::Control(*shim), &[body], len),
            Err(bad) => self.reason(bad).add(1),
        }
    }

    /// Hands something up that came in a packet of this length.
    fn hand_up(&self, at: u64, what: What, parts: &[&[u8]], len: usize) {
        if self.config.keys.is_some() && !matches!(what, What::Opened { .. }) {
            return self.hand_up_strange(at, what, parts, len);
        }
        self.desk.hand_up(at, what, parts, len, &self.out.counters);
    }

    /// Does what control wants.
    #[inline]
    fn take_orders(&mut self, now: u64) {
        for _ in 0..post::ORDERS {
            let Some(order) = self.desk.order() else { return };
            match order {
                RecoverOrder::Send(parcel) => {
                    let Delivery { lan, pool, counters, .. } = &mut self.out;
                    desk::send_to_lan(now, &parcel, pool, lan, counters);
                }
                RecoverOrder::Epoch(epoch) => self.inbound.announce(epoch),
                RecoverOrder::Report => self.hand_report(now),
                RecoverOrder::Keys { epoch, number, opening } => {
                    self.change_keys(now, epoch, number, opening);
                }
                RecoverOrder::RoundTrip(time) => self.out.set_round_trip(time),
            }
        }
    }

    /// Hands up what the link has done, if there was anything yet. Who does not take it asks again.
    #[cold]
    fn hand_report(&self, now: u64) {
        if self.inbound.epoch().is_some() {
            self.desk.report(|| self.report(now));
        }
    }

    /// Verifies the length and the check of a source packet, of which `rest` is what follows the
    /// shim.
    #[inline]
    fn verify(&self, shim: &Shim, rest: &[u8]) -> Result<(), Bad> {
        let key = match self.inbound.epoch() == Some(shim.epoch) {
            true => self.source_key,
            false => self.checked(source_key(shim.channel, shim.epoch)),
        };
        let frame = shim.frame(rest)?;
        let right = key.is_none_or(|key| key.check(shim.seq, frame) == shim.check);
        if right { Ok(()) } else { Err(Bad::Check) }
    }

    /// Whether everything is here that a repair packet could rebuild. Then nothing depends on it,
    /// and it need not be verified: repairs cost something when packets are lost.
    #[inline]
    fn is_needless(&self, shim: &Shim, rest: &[u8]) -> bool {
        self.inbound.epoch() == Some(shim.epoch)
            && repair::claimed_run(shim, rest)
                .is_some_and(|(run, stride)| self.decoder.has_all(run, stride))
    }

    /// What verifies a repair packet.
    fn repair_key(&self, shim: &Shim) -> Option<CheckKey> {
        match self.inbound.epoch() == Some(shim.epoch) {
            true => self.repair_key,
            false => self.checked(repair_key(shim.channel, shim.epoch)),
        }
    }

    /// A key, if packets have checks.
    fn checked(&self, key: CheckKey) -> Option<CheckKey> {
        (self.config.integrity == Integrity::Check).then_some(key)
    }

    /// Whether a verified packet belongs to the present epoch, which it may begin.
    #[inline]
    fn is_present(&mut self, now: u64, shim: &Shim) -> bool {
        if self.config.keys.is_some() {
            return self.is_present_keyed(now, shim);
        }
        let repair = shim.kind == Kind::Repair;
        match self.inbound.judge(now, shim.epoch, shim.seq, repair) {
            Verdict::Present => true,
            Verdict::Begins => {
                self.settle(now);
                self.source_key = self.checked(source_key(shim.channel, shim.epoch));
                self.repair_key = self.checked(repair_key(shim.channel, shim.epoch));
                self.decoder.restart(Confirmation::Check(self.source_key));
                self.out.restart(now, shim.channel, shim.epoch);
                true
            }
            Verdict::Unconfirmed => {
                self.out.counters.unconfirmed.add(1);
                false
            }
            Verdict::Stale => {
                self.out.counters.stale_epoch.add(1);
                false
            }
        }
    }

    #[inline]
    fn take_source(&mut self, now: u64, shim: &Shim, mut mbuf: Mbuf) {
        if !self.is_present(now, shim) {
            return;
        }
        let seq = shim.seq;
        let mut admission = self.decoder.admit(seq);
        if admission == Admission::Jump
            && let Some(to) = self.inbound.judge_jump(seq, false)
        {
            self.settle(now);
            self.out.jump(now, to, &self.decoder);
            self.decoder.jump_to(to);
            admission = self.decoder.admit(seq);
        }
        if admission == Admission::TooOld && self.out.misses(seq) {
            // Its neighbours have left the window, so that the decoder has no use for it.
            return self.deliver_late(now, shim, mbuf);
        }
        match admission {
            Admission::New => {
                self.out.came(seq);
                self.strip(shim, &mut mbuf);
                let frame = match mbuf.data() {
                    short if short.len() <= SHORT => {
                        Frame::Copied(copy_short(short, &mut self.copies[self.sources.len()]))
                    }
                    _ => Frame::Kept(mbuf.keep()),
                };
                self.sources.push(Source { seq, check: shim.check, frame });
                self.out.deliver(now, mbuf, Origin::Source, seq);
            }
            Admission::Duplicate => self.out.counters.duplicates_suppressed.add(1),
            Admission::TooOld => self.out.counters.too_old.add(1),
            Admission::Jump => self.out.counters.unconfirmed.add(1),
        }
    }

    /// Leaves of a verified source packet its frame.
    #[inline]
    fn strip(&self, shim: &Shim, mbuf: &mut Mbuf) {
        let shim_len = if self.config.keys.is_some() { KEYED_SHIM_LEN } else { SHIM_LEN };
        let cut = mbuf.trim_front(self.config.pattern.len() + shim_len);
        debug_assert!(cut && mbuf.len() >= usize::from(shim.length));
        mbuf.truncate(usize::from(shim.length));
    }

    /// Takes a verified repair packet, whose XOR lies behind so many bytes `before` it.
    fn take_repair(
        &mut self,
        now: u64,
        shim: &Shim,
        header: RepairHeader,
        before: usize,
        mbuf: Mbuf,
    ) {
        if !self.is_present(now, shim) {
            return;
        }
        self.out.counters.repair_received.add(1);
        let RepairHeader { members, lengths, checks, layer, .. } = header;
        let mut payload = mbuf.into_kept();
        payload.skip(self.config.pattern.len() + before);
        payload.truncate(usize::from(shim.length));
        self.repairs.push(RepairIn { members, lengths, checks, payload, layer });
    }

    /// Sends what was received, then lets the decoder have it, as soon as the port has taken that:
    /// what the decoder rebuilds needs room, and is lost if there is none.
    fn settle_when_sent(&mut self, now: u64) {
        self.out.lan.send(now);
        if self.out.lan.is_empty() {
            self.settle(now);
        }
    }

    /// Lets the decoder have what was received.
    fn settle(&mut self, now: u64) {
        let Recover { out, decoder, inbound, sources, copies, repairs, .. } = self;
        // They left the window long after they were last touched.
        decoder.departed().iter().for_each(Kept::prefetch);
        out.lan.send(now);
        for (Source { seq, check, frame }, copy) in sources.drain(..).zip(copies.iter()) {
            let deliver = |rebuilt: Rebuilt<'_>| out.deliver_rebuilt(now, rebuilt);
            match frame {
                Frame::Copied(len) => {
                    decoder.keep_copy(seq, check, &copy[..usize::from(len)], deliver);
                }
                Frame::Kept(frame) => decoder.keep(seq, check, frame, deliver),
            }
        }
        for repair in repairs.drain(..) {
            let last = repair.members.last();
            match decoder.repair(repair, |rebuilt| out.deliver_rebuilt(now, rebuilt)) {
                RepairFate::Redundant => out.counters.repair_redundant.add(1),
                RepairFate::TooOld => out.counters.repair_too_old.add(1),
                RepairFate::Jump => {
                    out.counters.unconfirmed.add(1);
                    if let Some(to) = inbound.judge_jump(last, true) {
                        out.jump(now, to, decoder);
                        decoder.jump_to(to);
                    }
                }
                // The decoder counts what it refuses; lack of memory was counted above.
                RepairFate::Used | RepairFate::Waiting | RepairFate::Refused => {}
                RepairFate::NoMemory => {}
            }
        }
        out.lan.send(now);
        kept::release(decoder.take_departed());
        out.measure.follow(now, decoder);
        if let Some(asking) = &mut out.asking {
            asking.follow(now, decoder, &out.counters);
        }
        out.counters.bad_rebuilt.set(decoder.refused());
        out.counters.repair_evicted.set(decoder.evicted());
    }

    fn reason(&self, bad: Bad) -> &Counter {
        desk::reason(bad)(&self.out.counters)
    }
}

/// Whether a packet looks like a source packet, all of which will be read.
#[inline]
fn is_source(mbuf: &Mbuf, outer_len: usize) -> bool {
    mbuf.data().get(outer_len).is_some_and(|&first| first >> 2 & 3 == Kind::Source as u8)
}

impl<W: Receive, L: Transmit, O: Observer> Room for Recover<W, L, O> {
    fn poll(&mut self, now: u64) -> usize {
        self.out.now = now;
        // What the port did not take last time goes first, and nothing is received meanwhile.
        self.settle_when_sent(now);
        self.out.release(now);
        self.take_orders(now);
        if !self.out.lan.is_empty() {
            self.out.publish();
            return 0;
        }
        self.wan.receive(now, &mut self.received);
        let count = self.received.len();
        let (keyed, outer_len) = (self.config.keys.is_some(), self.config.pattern.len());
        let read = |mbuf: &Mbuf| keyed || is_source(mbuf, outer_len);
        for mbuf in fetched(std::mem::take(&mut self.received), 0, read) {
            self.take_in(now, mbuf);
        }
        self.settle_when_sent(now);
        if self.out.lan.is_empty() {
            let Delivery { lan, pool, counters, answers, .. } = &mut self.out;
            fit::send_answers(now, answers, lan, pool, counters);
        }
        self.out.publish();
        count + self.out.take_posted()
    }

    fn finish(&mut self, now: u64) -> bool {
        self.settle_when_sent(now);
        let rest = self.out.release_last(now);
        self.out.publish();
        self.out.lan.is_empty() && rest
    }
}
