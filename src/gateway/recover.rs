//! WAN → LAN: source packets are delivered at once, lost ones are rebuilt and delivered too.
//!
//! * **Does:** parse, verify, refuse duplicates, deliver, keep, peel, deliver what was rebuilt.
//! * **Fed by:** a WAN receive queue.
//! * **Feeds:** a LAN transmit queue.
//! * **Runs on:** one worker; it owns the window of the peer's channel.
//! * **Must not:** believe a byte before it is verified, deliver a frame twice, or let a source
//!   packet wait for decoding.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::flows::Acks;
use super::inbound::{Inbound, Verdict};
use super::io::{Outbox, Receive, Transmit, fetched};
use super::settings::Oversize;
use super::worker::Room;
use crate::control::counters::{Counter, RecoverCounters};
use crate::dpdk::mbuf::{BURST, Burst, Mbuf};
use crate::dpdk::{Kept, Mempool, kept};
use crate::fec::decoder::{Admission, RepairFate, RepairIn};
use crate::fec::{CheckKey, Decoder, DecoderConfig, Rebuilt, SHORT, copy_short};
use crate::wire::Bad;
use crate::wire::outer::{Ether, OUTER_LEN};
use crate::wire::repair::{self, RepairHeader, repair_key};
use crate::wire::shim::{Integrity, Kind, SHIM_LEN, Shim, source_key};

/// What `recover` is made of.
#[derive(Clone, Debug)]
pub struct RecoverConfig {
    /// The channel that the peer sends on.
    pub channel: u8,
    /// What must confirm its packets.
    pub integrity: Integrity,
    /// The EtherType of its packets.
    pub ethertype: u16,
    /// Whether what comes unprotected is delivered.
    pub oversize: Oversize,
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
    decoder: Decoder<Kept>,
    inbound: Inbound,
    config: RecoverConfig,
    source_key: Option<CheckKey>,
    repair_key: Option<CheckKey>,
    received: Burst,
    /// The source packets of this burst.
    sources: ArrayVec<Source, BURST>,
    /// Where the frames of those of up to [`SHORT`] bytes are copied.
    copies: Box<[[u8; SHORT]; BURST]>,
    /// The repair packets of this burst.
    repairs: ArrayVec<RepairIn<Kept>, BURST>,
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

/// The way out, apart from the decoder, which calls it.
struct Delivery<L, O> {
    lan: Outbox<L>,
    /// Where rebuilt frames are made.
    pool: Mempool,
    observer: O,
    counters: Arc<RecoverCounters>,
    tally: Tally,
    /// Who reads acknowledgements, if anyone does.
    acks: Option<Box<Acks>>,
}

/// What a burst adds to the counters.
#[derive(Default)]
struct Tally {
    wan_in: u64,
    wan_in_bytes: u64,
    delivered: u64,
    delivered_bytes: u64,
}

/// How a frame got here.
#[derive(Clone, Copy)]
enum Origin {
    Source,
    Rebuilt,
    Bypassed,
}

impl<L: Transmit, O: Observer> Delivery<L, O> {
    /// Sends a frame on, which is source packet `seq` unless it was bypassed.
    #[inline]
    fn deliver(&mut self, now: u64, frame: Mbuf, origin: Origin, seq: u64) {
        let counters = &self.counters;
        let len = frame.len() as u64;
        if let Some(acks) = &mut self.acks {
            acks.look(frame.data());
        }
        if !self.lan.push(now, frame) {
            counters.lan_full.add(1);
            return;
        }
        self.tally.delivered += 1;
        self.tally.delivered_bytes += len;
        match origin {
            Origin::Source => self.observer.delivered(now, seq, false),
            Origin::Rebuilt => {
                counters.recovered.add(1);
                self.observer.delivered(now, seq, true);
            }
            Origin::Bypassed => counters.bypassed.add(1),
        }
    }

    /// Adds what was tallied to the counters.
    fn publish(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        self.counters.wan_in.add(tally.wan_in);
        self.counters.wan_in_bytes.add(tally.wan_in_bytes);
        self.counters.delivered.add(tally.delivered);
        self.counters.delivered_bytes.add(tally.delivered_bytes);
    }

    #[inline(never)]
    fn deliver_rebuilt(&mut self, now: u64, rebuilt: Rebuilt<'_>) -> Option<Kept> {
        let Some(mbuf) = self.pool.copy_of(rebuilt.frame) else {
            self.counters.no_mbuf.add(1);
            return None;
        };
        let kept = mbuf.keep();
        self.deliver(now, mbuf, Origin::Rebuilt, rebuilt.seq);
        Some(kept)
    }
}

impl<W: Receive, L: Transmit, O: Observer> Recover<W, L, O> {
    /// All memory but the packets' is allocated here; `pool` gives the frames that are rebuilt.
    pub fn new(config: RecoverConfig, wan: W, lan: L, pool: Mempool, observer: O) -> Self {
        let counters = Arc::default();
        Recover {
            wan,
            out: Delivery {
                lan: Outbox::new(lan),
                pool,
                observer,
                counters,
                tally: Tally::default(),
                acks: None,
            },
            decoder: Decoder::new(&config.decoder),
            inbound: Inbound::default(),
            config,
            source_key: None,
            repair_key: None,
            received: Burst::new(),
            sources: ArrayVec::new(),
            copies: Box::new([[0; SHORT]; BURST]),
            repairs: ArrayVec::new(),
        }
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<RecoverCounters> {
        Arc::clone(&self.out.counters)
    }

    /// Has acknowledgements read in what is delivered, from now on.
    pub fn read_acks(&mut self, acks: Acks) {
        self.out.acks = Some(Box::new(acks));
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
        let Some((ether, packet)) = Ether::parse(mbuf.data()) else {
            counters.truncated.add(1);
            return;
        };
        if ether.ethertype.get() != self.config.ethertype {
            if self.config.oversize == Oversize::Bypass && !ether.is_link_local() {
                self.out.deliver(now, mbuf, Origin::Bypassed, 0);
            } else {
                counters.foreign.add(1);
            }
            return;
        }
        let (shim, rest) = match Shim::parse(packet) {
            Ok(parsed) => parsed,
            Err(bad) => return self.reason(bad).add(1),
        };
        if shim.channel != self.config.channel {
            return counters.unknown_channel.add(1);
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
                Ok((header, _)) => self.take_repair(now, &shim, header, mbuf),
            },
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
        let repair = shim.kind == Kind::Repair;
        match self.inbound.judge(now, shim.epoch, shim.seq, repair) {
            Verdict::Present => true,
            Verdict::Begins => {
                self.settle(now);
                self.source_key = self.checked(source_key(shim.channel, shim.epoch));
                self.repair_key = self.checked(repair_key(shim.channel, shim.epoch));
                self.decoder.restart(self.source_key);
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
            self.decoder.jump_to(to);
            admission = self.decoder.admit(seq);
        }
        let counters = &self.out.counters;
        match admission {
            Admission::New => {
                let cut = mbuf.trim_front(OUTER_LEN + SHIM_LEN);
                debug_assert!(cut && mbuf.len() >= usize::from(shim.length));
                mbuf.truncate(usize::from(shim.length));
                let frame = match mbuf.data() {
                    short if short.len() <= SHORT => {
                        Frame::Copied(copy_short(short, &mut self.copies[self.sources.len()]))
                    }
                    _ => Frame::Kept(mbuf.keep()),
                };
                self.sources.push(Source { seq, check: shim.check, frame });
                self.out.deliver(now, mbuf, Origin::Source, seq);
            }
            Admission::Duplicate => counters.duplicates_suppressed.add(1),
            Admission::TooOld => counters.too_old.add(1),
            Admission::Jump => counters.unconfirmed.add(1),
        }
    }

    fn take_repair(&mut self, now: u64, shim: &Shim, header: RepairHeader, mbuf: Mbuf) {
        if !self.is_present(now, shim) {
            return;
        }
        self.out.counters.repair_received.add(1);
        let RepairHeader { members, lengths, checks, .. } = header;
        let mut payload = mbuf.into_kept();
        payload.skip(OUTER_LEN + repair::header_len(&members));
        payload.truncate(usize::from(shim.length));
        self.repairs.push(RepairIn { members, lengths, checks, payload });
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
        out.counters.bad_rebuilt.set(decoder.refused());
        out.counters.repair_evicted.set(decoder.evicted());
    }

    fn reason(&self, bad: Bad) -> &Counter {
        let counters = &self.out.counters;
        match bad {
            Bad::Truncated => &counters.truncated,
            Bad::Version => &counters.bad_version,
            Bad::Kind => &counters.bad_kind,
            Bad::Integrity => &counters.bad_integrity,
            Bad::Length => &counters.bad_length,
            Bad::Sequence => &counters.bad_sequence,
            Bad::Members => &counters.bad_members,
            Bad::Check => &counters.bad_check,
        }
    }
}

/// Whether a packet looks like a source packet, all of which will be read.
#[inline]
fn is_source(mbuf: &Mbuf) -> bool {
    mbuf.data().get(OUTER_LEN).is_some_and(|&first| first >> 2 & 3 == Kind::Source as u8)
}

impl<W: Receive, L: Transmit, O: Observer> Room for Recover<W, L, O> {
    fn poll(&mut self, now: u64) -> usize {
        // What the port did not take last time goes first, and nothing is received meanwhile.
        self.settle_when_sent(now);
        if !self.out.lan.is_empty() {
            self.out.publish();
            return 0;
        }
        self.wan.receive(now, &mut self.received);
        let count = self.received.len();
        for mbuf in fetched(std::mem::take(&mut self.received), 0, is_source) {
            self.take_in(now, mbuf);
        }
        self.settle_when_sent(now);
        self.out.publish();
        count
    }

    fn finish(&mut self, now: u64) -> bool {
        self.settle_when_sent(now);
        self.out.publish();
        self.out.lan.is_empty()
    }
}
