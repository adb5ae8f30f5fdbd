//! WAN → LAN: frames are delivered as they came, lost ones are rebuilt from repairs that name them.
//!
//! * **Does:** deliver, name, keep; put repairs together, verify, peel, deliver what was rebuilt.
//! * **Fed by:** a WAN receive queue.
//! * **Feeds:** a LAN transmit queue.
//! * **Runs on:** one worker; it owns the window.
//! * **Must not:** believe a repair before it is verified, or let a frame wait for decoding. It can't
//!   tell a frame that the WAN has doubled from one that repeats: it delivers both.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::control::counters::{Counter, RecoverCounters};
use crate::dpdk::mbuf::{BURST, Burst, Mbuf};
use crate::dpdk::{Kept, Mempool, kept};
use crate::fec::decoder::{Rebuilt, RepairFate};
use crate::fec::named::{NameKey, NamedConfig, NamedDecoder, NamedRepair};
use crate::fec::{CheckKey, SHORT, copy_short};
use crate::gateway::desk::{self, Desk, reason};
use crate::gateway::fit;
use crate::gateway::flows::Acks;
use crate::gateway::inbound::{Inbound, Verdict};
use crate::gateway::io::{Outbox, Receive, Transmit, fetched};
use crate::gateway::nack::asking::Asking;
use crate::gateway::post::{self, Heard, RecoverOrder};
use crate::gateway::settings::LinkLocal;
use crate::gateway::worker::Room;
use crate::wire::Report;
use crate::wire::assembly::Assembly;
use crate::wire::encap::{Arrival, Pattern};
use crate::wire::icmp::Answer;
use crate::wire::named::{Message, PART_LEN, Part, longest_message, part_key};
use crate::wire::outer::Ether;
use crate::wire::seal::Opening;
use crate::wire::shim::{Integrity, Kind, Shim};

/// What the room is made of.
#[derive(Clone, Debug)]
pub struct RecoverConfig {
    /// The channel that the peer's repairs come on.
    pub channel: u8,
    /// What the outer headers of its repairs look like.
    pub pattern: Pattern,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// The length of the frames that SYNs may ask for; none is any.
    pub clamp: Option<usize>,
    /// The window.
    pub decoder: NamedConfig,
}

impl RecoverConfig {
    /// What [`Recover::new`] allocates, without the packets themselves.
    pub fn memory_bytes(&self) -> usize {
        let longest = longest_message(self.decoder.max_image());
        self.decoder.memory_bytes::<Kept>() + Assembly::memory_bytes(longest)
    }
}

/// The room. See the module's head.
pub struct Recover<W, L> {
    wan: W,
    out: Delivery<L>,
    decoder: NamedDecoder<Kept>,
    assembly: Assembly,
    inbound: Inbound,
    config: RecoverConfig,
    key: CheckKey,
    received: Burst,
    /// The frames of this burst, by the places to keep them at.
    frames: ArrayVec<(u64, Frame), BURST>,
    /// Where those of up to [`SHORT`] bytes are copied.
    copies: Box<[[u8; SHORT]; BURST]>,
    /// The parts of repairs of this burst.
    parts: ArrayVec<PartIn, BURST>,
    /// To and from control, if there is one.
    desk: Desk,
}

enum Frame {
    /// Its bytes, in the copy of the same number, are so many.
    Copied(u8),
    Kept(Kept),
}

/// A verified part of a repair before which `next` source packets were sent.
struct PartIn {
    next: u64,
    part: Part,
    bytes: Kept,
}

/// The way out, apart from the decoder, which calls it.
struct Delivery<L> {
    lan: Outbox<L>,
    /// Where rebuilt frames are made.
    pool: Mempool,
    counters: Arc<RecoverCounters>,
    delivered: u64,
    delivered_bytes: u64,
    /// Who reads acknowledgements, if anyone does.
    acks: Option<Box<Acks>>,
    /// The length of the frames that SYNs may ask for.
    clamp: Option<usize>,
    /// Answers to hosts on the LAN, from those that protect.
    answers: Vec<post::Receiver<Answer>>,
}

impl<L: Transmit> Delivery<L> {
    /// Sends a frame on. False if the port is full.
    #[inline]
    fn deliver(&mut self, now: u64, mut frame: Mbuf) -> bool {
        if let Some(max) = self.clamp {
            frame = fit::clamp(frame, max, &self.pool, &self.counters.mss_clamped);
        }
        let len = frame.len() as u64;
        if let Some(acks) = &mut self.acks {
            acks.look(frame.data());
        }
        let sent = self.lan.push(now, frame);
        if sent {
            self.delivered += 1;
            self.delivered_bytes += len;
        } else {
            self.counters.lan_full.add(1);
        }
        sent
    }

    #[inline(never)]
    fn deliver_rebuilt(&mut self, now: u64, rebuilt: Rebuilt<'_>) -> Option<Kept> {
        let Some(mbuf) = self.pool.copy_of(rebuilt.frame) else {
            self.counters.no_mbuf.add(1);
            return None;
        };
        let kept = mbuf.keep();
        if self.deliver(now, mbuf) {
            self.counters.recovered.add(1);
        }
        Some(kept)
    }
}

impl<W: Receive, L: Transmit> Recover<W, L> {
    /// All memory but the packets' is allocated here; `pool` gives the frames that are rebuilt.
    pub fn new(config: RecoverConfig, wan: W, lan: L, pool: Mempool) -> Self {
        Recover {
            wan,
            out: Delivery {
                lan: Outbox::new(lan),
                pool,
                counters: Arc::default(),
                delivered: 0,
                delivered_bytes: 0,
                acks: None,
                clamp: config.clamp,
                answers: Vec::new(),
            },
            decoder: NamedDecoder::new(&config.decoder, NameKey::new(config.channel, 0)),
            assembly: Assembly::new(longest_message(config.decoder.max_image())),
            inbound: Inbound::default(),
            key: part_key(config.channel, 0),
            config,
            received: Burst::new(),
            frames: ArrayVec::new(),
            copies: Box::new([[0; SHORT]; BURST]),
            parts: ArrayVec::new(),
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

    /// Packets in its window.
    pub fn window(&self) -> u64 {
        self.config.decoder.window as u64
    }

    /// Nothing is asked for: the configuration refuses that, since frames bear no numbers.
    pub fn ask_with(&mut self, _asking: Asking) {}

    /// There are no keys to give back.
    pub fn give_back_keys(&mut self, _spent: post::Sender<Opening>) {}

    /// The channel of the peer's repairs, and the longest frame.
    pub fn keyed_channel(&self) -> (u8, usize) {
        (self.config.channel, self.config.decoder.max_frame)
    }

    /// Has it send what is put into these mailboxes, from now on: to be called before the first turn.
    pub fn answer_from(&mut self, mailboxes: Vec<post::Receiver<Answer>>) {
        self.out.answers = mailboxes;
    }

    /// Has acknowledgements read in what is delivered, from now on.
    pub fn read_acks(&mut self, acks: Acks) {
        self.out.acks = Some(Box::new(acks));
    }

    #[inline]
    fn take_in(&mut self, now: u64, mbuf: Mbuf) {
        let counters = &self.out.counters;
        if !mbuf.is_contiguous() {
            return counters.not_contiguous.add(1);
        }
        match self.config.pattern.strip(mbuf.data()) {
            Arrival::Short => return counters.truncated.add(1),
            Arrival::Packet(_) => {
                if let Err(reason) = self.take_packet(now, mbuf) {
                    reason(&self.out.counters).add(1);
                }
                return;
            }
            Arrival::Other => {}
        }
        let link_local = Ether::parse(mbuf.data()).is_none_or(|(ether, _)| ether.is_link_local());
        if link_local && self.config.link_local == LinkLocal::Drop {
            return counters.foreign.add(1);
        }
        self.take_frame(now, mbuf);
    }

    #[inline]
    fn take_frame(&mut self, now: u64, mbuf: Mbuf) {
        if mbuf.len() > self.config.decoder.max_frame {
            // No repair stands for it.
            let sent = self.out.deliver(now, mbuf);
            return self.out.counters.bypassed.add(u64::from(sent));
        }
        let Some(place) = self.decoder.admit(mbuf.data()) else {
            return self.out.counters.duplicates_suppressed.add(1);
        };
        let frame = match mbuf.data() {
            short if short.len() <= SHORT => {
                Frame::Copied(copy_short(short, &mut self.copies[self.frames.len()]))
            }
            _ => Frame::Kept(mbuf.keep()),
        };
        self.frames.push((place, frame));
        self.out.deliver(now, mbuf);
    }

    /// Takes one of our packets: a part of a repair, or what is for control.
    fn take_packet(
        &mut self,
        now: u64,
        mbuf: Mbuf,
    ) -> Result<(), fn(&RecoverCounters) -> &Counter> {
        let before = self.config.pattern.len();
        let packet = mbuf.data().get(before..).unwrap_or_default();
        let (shim, rest) = Shim::parse(packet).map_err(reason)?;
        if shim.channel != self.config.channel {
            return Err(|counters| &counters.unknown_channel);
        }
        match shim.kind {
            Kind::Named => {}
            Kind::Control => {
                self.desk.hear(now, &shim, rest, mbuf.len(), &self.out.counters);
                return Ok(());
            }
            Kind::Source | Kind::Repair => return Err(|counters| &counters.bad_kind),
        }
        if shim.integrity != Integrity::Check {
            return Err(|counters| &counters.bad_integrity);
        }
        let key = match self.inbound.epoch() == Some(shim.epoch) {
            true => self.key,
            false => part_key(shim.channel, shim.epoch),
        };
        let (part, bytes) = Part::parse(&shim, rest, key).map_err(reason)?;
        let len = bytes.len();
        match self.inbound.judge(now, shim.epoch, shim.seq, true) {
            Verdict::Present => {}
            Verdict::Begins => {
                self.settle(now);
                self.key = key;
                self.assembly.clear();
                self.decoder.restart(NameKey::new(shim.channel, shim.epoch));
            }
            Verdict::Unconfirmed => return Err(|counters| &counters.unconfirmed),
            Verdict::Stale => return Err(|counters| &counters.stale_epoch),
        }
        let mut bytes = mbuf.into_kept();
        bytes.skip(before + PART_LEN);
        bytes.truncate(len);
        self.parts.push(PartIn { next: shim.seq, part, bytes });
        Ok(())
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
                // Frames bear no numbers, so nobody knows what was lost.
                RecoverOrder::Report | RecoverOrder::RoundTrip(_) => {}
                // Frames that cross as they are can't be sealed: the configuration refuses keys.
                RecoverOrder::Keys { .. } => {}
            }
        }
    }

    /// Sends what was received, then lets the decoder have it, as soon as the port has taken that.
    fn settle_when_sent(&mut self, now: u64) {
        self.out.lan.send(now);
        if self.out.lan.is_empty() {
            self.settle(now);
        }
    }

    /// Lets the decoder have what was received.
    fn settle(&mut self, now: u64) {
        let Recover { out, decoder, assembly, inbound, frames, copies, parts, .. } = self;
        out.lan.send(now);
        for ((place, frame), copy) in frames.drain(..).zip(copies.iter()) {
            match frame {
                Frame::Copied(len) => decoder.keep_copy(place, &copy[..usize::from(len)]),
                Frame::Kept(frame) => decoder.keep(place, frame),
            }
        }
        decoder.settle(|rebuilt| out.deliver_rebuilt(now, rebuilt));
        for PartIn { next, part, bytes } in parts.drain(..) {
            let message = match part.cut.parts {
                1 => Some(bytes.data()),
                _ => assembly.take(part, next, bytes.data()),
            };
            if let Some(message) = message {
                take_message(now, next, message, decoder, inbound, out);
            }
        }
        out.lan.send(now);
        kept::release(decoder.take_departed());
        out.counters.bad_rebuilt.set(decoder.refused());
        out.counters.repair_evicted.set(decoder.evicted());
        out.counters.estranged.set(decoder.estranged());
        out.counters.repair_incomplete.set(assembly.lost());
    }

    fn publish(&mut self, packets: u64, bytes: u64) {
        let Delivery { counters, delivered, delivered_bytes, .. } = &mut self.out;
        counters.wan_in.add(packets);
        counters.wan_in_bytes.add(bytes);
        counters.delivered.add(std::mem::take(delivered));
        counters.delivered_bytes.add(std::mem::take(delivered_bytes));
    }
}

/// A repair has come whole.
fn take_message<L: Transmit>(
    now: u64,
    next: u64,
    message: &[u8],
    decoder: &mut NamedDecoder<Kept>,
    inbound: &mut Inbound,
    out: &mut Delivery<L>,
) {
    let message = match Message::parse(message, next) {
        Ok(message) => message,
        Err(bad) => return reason(bad)(&out.counters).add(1),
    };
    out.counters.repair_received.add(1);
    let Message { ref members, lengths, checks, names, xor, layer, .. } = message;
    let repair = NamedRepair { next, members, names, lengths, checks, xor, layer };
    match decoder.repair(&repair, |rebuilt| out.deliver_rebuilt(now, rebuilt)) {
        RepairFate::Redundant => out.counters.repair_redundant.add(1),
        RepairFate::TooOld => out.counters.repair_too_old.add(1),
        RepairFate::Jump => {
            out.counters.unconfirmed.add(1);
            if let Some(to) = inbound.judge_jump(next, true) {
                decoder.jump_to(to);
            }
        }
        // The decoder counts what it refuses; lack of memory was counted above.
        RepairFate::Used | RepairFate::Waiting | RepairFate::Refused | RepairFate::NoMemory => {}
    }
}

impl<W: Receive, L: Transmit> Room for Recover<W, L> {
    fn poll(&mut self, now: u64) -> usize {
        // What the port did not take last time goes first, and nothing is received meanwhile.
        self.settle_when_sent(now);
        self.take_orders(now);
        if !self.out.lan.is_empty() {
            self.publish(0, 0);
            return 0;
        }
        self.wan.receive(now, &mut self.received);
        let count = self.received.len();
        let bytes = self.received.iter().map(|mbuf| mbuf.len() as u64).sum();
        for mbuf in fetched(std::mem::take(&mut self.received), 0, |_| true) {
            self.take_in(now, mbuf);
        }
        self.settle_when_sent(now);
        if self.out.lan.is_empty() {
            let Delivery { lan, pool, counters, answers, .. } = &mut self.out;
            fit::send_answers(now, answers, lan, pool, counters);
        }
        self.publish(count as u64, bytes);
        count
    }

    fn finish(&mut self, now: u64) -> bool {
        self.settle_when_sent(now);
        self.publish(0, 0);
        self.out.lan.is_empty()
    }
}
