//! LAN → WAN: every frame is stamped and sent at once, its repairs follow.
//!
//! * **Does:** classify, stamp, send, encode, send the repairs that are due, publish what has left.
//! * **Fed by:** a LAN receive queue.
//! * **Feeds:** a WAN transmit queue; storage processes, if [`super::flows`] is in use.
//! * **Runs on:** one worker; it owns its channel.
//! * **Must not:** let a source packet wait for coding, or touch one after it was sent. Where the WAN has
//!   a rate, one may wait for that, as the policy of [`super::shaper`] says.

mod keyed;
mod resend;

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::backlog::Waiting;
use super::desk;
use super::fit::{self, Teller};
use super::flows::Publisher;
use super::io::{Outbox, Receive, Transmit, fetched};
use super::nack::resender::Resender;
use super::post::{self, CodeNews, Mode, Obeyed, ProtectOrder};
use super::settings::{LinkLocal, Oversize};
use super::shaper::{Limit, Shaper};
use super::switch;
use super::worker::Room;
use crate::control::counters::ProtectCounters;
use crate::dpdk::mbuf::{self, BURST, Burst, Mbuf};
use crate::dpdk::{Kept, Mempool, kept};
use crate::fec::seq::LIMIT;
use crate::fec::{CheckKey, Codes, Encoder, EncoderConfig, Repair, SHORT, copy_short};
use crate::wire::encap::{Outer, dscp_of};
use crate::wire::icmp::TooBig;
use crate::wire::outer::{Ether, OUTER_LEN};
use crate::wire::repair::{self, repair_key};
use crate::wire::seal::{self, KEYED_SHIM_LEN, Sealing};
use crate::wire::shim::{Integrity, Kind, SHIM_LEN, Shim, source_key};

/// What `protect` is made of.
#[derive(Clone, Debug)]
pub struct ProtectConfig {
    /// The channel that it sends on.
    pub channel: u8,
    /// This life of the channel: not one of its earlier ones.
    pub epoch: u32,
    /// What confirms its packets, unless there are keys.
    pub integrity: Integrity,
    /// What keys do, if there are any. Without [`Protect::set_keys`] nothing is sent then.
    pub keys: Option<seal::Mode>,
    /// The outer header.
    pub outer: Outer,
    /// Whether it is known to whom it goes; if not, control will say.
    pub has_hop: bool,
    /// The WAN's MTU.
    pub wan_mtu: u16,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// Frames too large to protect.
    pub oversize: Oversize,
    /// What the WAN takes of this channel; `None` is what its port takes.
    pub limit: Option<Limit>,
    /// The length of the frames that SYNs may ask for; none is any.
    pub clamp: Option<usize>,
    /// The code. Its `max_frame` is what this room protects: its source packets and repairs fit the
    /// WAN's MTU.
    pub encoder: EncoderConfig,
}

/// The room. See the module's head.
pub struct Protect<L, W> {
    lan: L,
    wan: Outbox<W>,
    /// Where repair packets are made.
    pool: Mempool,
    encoder: Encoder,
    config: ProtectConfig,
    source_key: Option<CheckKey>,
    repair_key: Option<CheckKey>,
    sealing: Option<Sealing>,
    /// Where old ones go, for control to drop.
    spent: Option<post::Sender<Sealing>>,
    /// How many repairs were sealed: never set back, so that no key sees a number twice.
    repair_number: u64,
    received: Burst,
    /// The frames of this burst that were stamped.
    stamped: ArrayVec<Stamped, BURST>,
    /// Their checks.
    checks: ArrayVec<u64, BURST>,
    /// Where those of up to [`SHORT`] bytes are copied: cheaper than the two reference counts that
    /// keeping one costs, one of them atomic since the driver is the other owner.
    copies: Box<[[u8; SHORT]; BURST]>,
    /// Empty packets for repairs.
    spare: Burst,
    counters: Arc<ProtectCounters>,
    /// Who tells storage processes, if anyone does.
    publisher: Option<Box<Publisher>>,
    /// What a source packet has in front of its frame, in bytes.
    headers: usize,
    /// The traffic class of the last source packet, which repairs have too.
    dscp: u8,
    /// From control, if there is one.
    orders: Option<post::Receiver<ProtectOrder>>,
    /// Who keeps to the WAN's rate, if it has one.
    shaper: Option<Box<Shaper>>,
    /// Who answers packets that are too big, if anyone does.
    teller: Option<Box<Teller>>,
    /// Who sends packets again, if anyone does.
    resender: Option<Box<Resender>>,
    /// What becomes of frames.
    mode: Mode,
    /// Tells control so.
    obeyed: Obeyed,
    /// Tells control of changes of the code.
    news: Option<post::Sender<CodeNews>>,
}

/// A frame that has been sent, or soon will be, and is yet to be encoded.
enum Stamped {
    /// Its bytes, in the copy of the same number, are so many.
    Copied(u8),
    Kept(Kept),
}

/// What a burst adds to the counters.
#[derive(Default)]
struct Tally {
    bytes: u64,
    sources: u64,
    source_bytes: u64,
    bypassed: u64,
}

/// What becomes of a frame.
enum Class {
    Protect,
    Bypass,
    TooBig(TooBig),
    Drop,
}

impl<L: Receive, W: Transmit> Protect<L, W> {
    /// All memory is allocated here; `pool` gives the repair packets.
    pub fn new(config: ProtectConfig, lan: L, wan: W, pool: Mempool) -> Protect<L, W> {
        let checked = config.integrity == Integrity::Check;
        let shim_len = if config.keys.is_some() { KEYED_SHIM_LEN } else { SHIM_LEN };
        let headers = config.outer.len() + shim_len;
        Protect {
            lan,
            wan: Outbox::new(wan),
            pool,
            encoder: Encoder::new(&config.encoder),
            source_key: checked.then(|| source_key(config.channel, config.epoch)),
            repair_key: checked.then(|| repair_key(config.channel, config.epoch)),
            shaper: config
                .limit
                .map(|limit| Box::new(Shaper::new(&limit, &config.encoder, headers))),
            sealing: None,
            spent: None,
            repair_number: 0,
            config,
            received: Burst::new(),
            stamped: ArrayVec::new(),
            checks: ArrayVec::new(),
            copies: Box::new([[0; SHORT]; BURST]),
            spare: Burst::new(),
            counters: Arc::default(),
            publisher: None,
            headers,
            dscp: 0,
            orders: None,
            teller: None,
            resender: None,
            mode: Mode::Protect,
            obeyed: Obeyed::default(),
            news: None,
        }
    }

    /// Has packets that are too big answered, from now on.
    pub fn answer(&mut self, teller: Teller) {
        self.teller = Some(Box::new(teller));
    }

    /// Has storage processes told of what leaves, from now on: to be called before the first turn.
    pub fn tell(&mut self, publisher: Publisher) {
        self.publisher = Some(Box::new(publisher));
    }

    /// Who tells storage processes.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.publisher.as_deref()
    }

    /// Obeys these orders, from now on, and says how far: to be called before the first turn.
    pub fn obey(
        &mut self,
        orders: post::Receiver<ProtectOrder>,
        obeyed: Obeyed,
        news: post::Sender<CodeNews>,
    ) {
        (self.orders, self.obeyed, self.news) = (Some(orders), obeyed, Some(news));
    }

    /// Numbers its packets from `seq` on instead of 0: to be called before the first turn, and not where
    /// storage processes are told, which are told of packets counted from 0.
    pub fn begin_at(&mut self, seq: u64) {
        debug_assert!(self.publisher.is_none());
        self.encoder.begin_at(seq);
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<ProtectCounters> {
        Arc::clone(&self.counters)
    }

    /// Changes the code, between two turns; see [`Encoder::switch`]. Packets from the number that is
    /// returned on have the new one.
    ///
    /// # Errors
    /// Gives `codes` back as long as the code before the last change was not taken back.
    pub fn switch_code(&mut self, codes: Box<Codes>) -> Result<u64, Box<Codes>> {
        switch::switch(&mut self.encoder, self.shaper.as_deref_mut(), codes)
    }

    /// The code before the last change, once its last repair was sent or shed, for control to drop.
    pub fn take_retired_code(&mut self) -> Option<Box<Codes>> {
        switch::take_retired(&mut self.encoder, self.shaper.as_deref_mut())
    }

    /// When [`Room::poll`] next has something to do if no frame comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let leaving = self.publisher.as_ref().and_then(|publisher| publisher.next_deadline());
        let shaper = self.shaper.as_ref();
        let due = self.encoder.is_due() || self.resends();
        let rate = shaper.and_then(|shaper| shaper.next_deadline(due));
        [self.encoder.next_deadline(), leaving, rate].into_iter().flatten().min()
    }

    /// Where frames come from.
    pub fn lan(&self) -> &L {
        &self.lan
    }

    /// The same, to be changed.
    pub fn lan_mut(&mut self) -> &mut L {
        &mut self.lan
    }

    fn classify(&self, mbuf: &Mbuf) -> Class {
        let counters = &self.counters;
        let Some((ether, _)) = Ether::parse(mbuf.data()) else {
            counters.runt.add(1);
            return Class::Drop;
        };
        let link_local = ether.is_link_local();
        if link_local && self.config.link_local == LinkLocal::Drop {
            counters.link_local_dropped.add(1);
            return Class::Drop;
        }
        if self.mode == Mode::Drop {
            counters.peer_down.add(1);
            return Class::Drop;
        }
        let protects = self.mode != Mode::Bypass;
        if protects && mbuf.is_contiguous() && mbuf.len() <= self.config.encoder.max_frame {
            counters.link_local_passed.add(u64::from(link_local));
            return Class::Protect;
        }
        if protects
            && self.teller.is_some()
            && !link_local
            && let Some(too_big) = TooBig::parse(mbuf.data(), self.config.encoder.max_frame)
        {
            counters.too_big.add(1);
            return Class::TooBig(too_big);
        }
        // A frame with our own EtherType would be taken for one of our packets at the far end, and
        // one for bridges by the first bridge on the way.
        // Where packets need more than an Ethernet header, a frame as it is would not arrive.
        let bypass = (self.config.oversize == Oversize::Bypass || !protects)
            && self.config.outer.len() == OUTER_LEN
            && !link_local
            && mbuf.is_contiguous()
            && mbuf.len() <= max_bypassed(self.config.wan_mtu, ether)
            && ether.ethertype.get() != self.config.outer.ethertype();
        if bypass {
            return Class::Bypass;
        }
        counters.too_large.add(1);
        Class::Drop
    }

    /// Puts the headers in front of a frame, and remembers the frame for the encoder.
    fn stamp(&mut self, mut mbuf: Mbuf) -> Option<Mbuf> {
        let nth = self.stamped.len();
        let seq = self.encoder.next_seq() + nth as u64;
        if seq >= LIMIT {
            self.counters.numbers_used_up.add(1);
            return None;
        }
        let frame = mbuf.data();
        let length = frame.len();
        let check = self.source_key.map_or(0, |key| key.check(seq, frame));
        let copied = length <= SHORT;
        if copied {
            copy_short(frame, &mut self.copies[nth]);
        }
        let shim = Shim {
            kind: Kind::Source,
            integrity: self.config.integrity,
            channel: self.config.channel,
            length: length as u16,
            epoch: self.config.epoch,
            seq,
            check,
        };
        let outer = &self.config.outer;
        if outer.copies_dscp() {
            self.dscp = dscp_of(frame);
        }
        let Some((header, behind)) = mbuf
            .prepend(self.headers)
            .and_then(|headers| headers.split_at_mut_checked(outer.len()))
        else {
            self.counters.no_headroom.add(1);
            return None;
        };
        outer.write(header, SHIM_LEN + length, self.dscp);
        behind.copy_from_slice(&shim.emit());
        if outer.seals() {
            outer.seal(mbuf.data_mut());
        }
        self.checks.push(check);
        self.stamped.push(match copied {
            true => Stamped::Copied(length as u8),
            false => {
                let mut frame = mbuf.keep();
                frame.skip(self.headers);
                Stamped::Kept(frame)
            }
        });
        Some(mbuf)
    }

    /// There is nobody to send to.
    #[cold]
    fn drop_received(&mut self) {
        let count = self.received.len() as u64;
        self.counters.lan_in.add(count);
        self.counters.lan_in_bytes.add(self.received.iter().map(|mbuf| mbuf.len() as u64).sum());
        self.counters.no_next_hop.add(count);
        mbuf::free(&mut self.received);
    }

    #[inline]
    fn take_in(&mut self, now: u64, mbuf: Mbuf, tally: &mut Tally) {
        let len = mbuf.len() as u64;
        tally.bytes += len;
        let packet = match self.classify(&mbuf) {
            Class::Drop => return,
            Class::TooBig(too_big) => {
                let told = self.teller.as_mut().is_some_and(|t| t.tell(now, too_big, mbuf.data()));
                return self.counters.too_big_told.add(u64::from(told));
            }
            Class::Bypass => {
                tally.bypassed += 1;
                mbuf
            }
            Class::Protect => {
                let mbuf = match self.config.clamp {
                    Some(max) => fit::clamp(mbuf, max, &self.pool, &self.counters.mss_clamped),
                    None => mbuf,
                };
                let packet = match self.config.keys {
                    None => self.stamp(mbuf),
                    Some(_) => self.stamp_keyed(mbuf),
                };
                let Some(packet) = packet else { return };
                if let Some(resender) = &mut self.resender {
                    let seq = self.encoder.next_seq() + self.stamped.len() as u64 - 1;
                    resender.keep(seq, packet.data());
                }
                tally.sources += 1;
                tally.source_bytes += len;
                packet
            }
        };
        if let Some(shaper) = &mut self.shaper {
            shaper.spend(packet.len());
        }
        // There is room: the outbox was empty, and a burst is no longer than it.
        self.wan.push(now, packet);
    }

    /// Looks at the frames of this burst, which are about to be sent.
    #[inline]
    fn look(&mut self, now: u64) {
        if let Some(publisher) = &mut self.publisher {
            publisher.look(now, &frames(&self.stamped, &self.copies));
        }
    }

    /// Gives the encoder the frames of this burst, which have been sent.
    fn encode(&mut self, now: u64) {
        let count = self.stamped.len();
        if let Some(publisher) = &mut self.publisher
            && count > 0
        {
            let next = self.encoder.next_seq() + count as u64;
            publisher.sources(now, count, next, self.wan.pushed(), self.wan.taken());
            if let Some(idle) = publisher.take_hurry() {
                self.encoder.hurry(idle);
            }
        }
        let frames = frames(&self.stamped, &self.copies);
        self.encoder.push_batch(now, &frames, &self.checks);
        drop(frames);
        self.checks.clear();
        kept::release(self.stamped.drain(..).filter_map(|stamped| match stamped {
            Stamped::Copied(_) => None,
            Stamped::Kept(frame) => Some(frame),
        }));
        self.encoder.set_waiting(self.shaper.as_ref().is_some_and(|shaper| shaper.reserves()));
        self.encoder.poll(now);
    }

    /// Does what control wants.
    #[inline]
    fn take_orders(&mut self, now: u64) {
        for _ in 0..post::ORDERS {
            let Some(order) = self.orders.as_ref().and_then(post::Receiver::receive) else {
                return;
            };
            match order {
                ProtectOrder::Send(parcel) => {
                    let shaper = self.shaper.as_deref_mut();
                    let Protect { pool, wan, counters, .. } = self;
                    desk::send_to_wan(now, &parcel, pool, wan, shaper, counters);
                }
                ProtectOrder::Mode(mode) => self.enter(now, mode),
                ProtectOrder::Keys(sealing) => self.change_keys(sealing),
                ProtectOrder::NextHop(mac) => {
                    self.config.outer.set_destination(mac);
                    self.config.has_hop = true;
                }
                ProtectOrder::Code(codes) => {
                    let Protect { encoder, shaper, news, .. } = self;
                    switch::obey(encoder, shaper.as_deref_mut(), news.as_ref(), codes);
                }
            }
        }
    }

    #[cold]
    fn enter(&mut self, now: u64, mode: Mode) {
        // Control has told readers; they hear it here before a frame is treated otherwise.
        self.publish(now, false);
        // What was sent is covered now: who knows when the next frame comes that is protected.
        self.encoder.flush();
        self.mode = mode;
        self.obeyed.set(mode, false);
    }

    /// Takes nothing in; says when all that was taken in has left.
    #[cold]
    fn drain(&mut self, now: u64) {
        if self.obeyed.is_drained() {
            self.publish(now, false);
        } else {
            let left = self.finish(now);
            self.obeyed.set(Mode::Drain, left);
        }
    }

    /// Sends the repairs that are due, as far as the port and the WAN's rate take them; the others stay
    /// where they are, or in the backlog.
    fn send_repairs(&mut self, now: u64) {
        let mut shaper = self.shaper.as_deref_mut();
        if let Some(shaper) = &mut shaper {
            shaper.advance(now);
        }
        let backlog = shaper.as_mut().is_some_and(|shaper| shaper.backlog().is_some());
        while (backlog || self.wan.has_room(now))
            && shaper.as_ref().is_none_or(|shaper| shaper.lets_repair())
            && let Some(repair) = self.encoder.take_repair()
        {
            if self.spare.is_empty() {
                self.pool.alloc_bulk(&mut self.spare, BURST);
            }
            let mbuf = self.spare.pop();
            let Some((packet, len)) = mbuf.and_then(|mbuf| match &self.sealing {
                None => emit(&self.config, self.repair_key, self.dscp, mbuf, &repair),
                Some(sealing) => {
                    self.repair_number += 1;
                    let number = self.repair_number;
                    keyed::emit(&self.config, sealing, number, self.dscp, mbuf, &repair)
                }
            }) else {
                self.counters.repair_no_mbuf.add(1);
                continue;
            };
            if let Some(shaper) = &mut shaper {
                if let Some(backlog) = shaper.backlog() {
                    backlog.push(Waiting::new(packet, &repair));
                    continue;
                }
                shaper.spend(packet.len());
            }
            note(&self.counters, &mut self.publisher, self.wan.pushed() + 1, &repair, len);
            // It is the next one: there is room.
            self.wan.push(now, packet);
        }
        if backlog && let Some(shaper) = shaper {
            while self.wan.has_room(now)
                && let Some(waiting) = shaper.take_repair(self.encoder.next_seq())
            {
                let (mbuf, outline) = waiting.into_parts();
                let (len, nth) = (mbuf.len(), self.wan.pushed() + 1);
                shaper.spend(len);
                if let Some(outline) = outline {
                    let repair = outline.repair();
                    note(&self.counters, &mut self.publisher, nth, &repair, len as u64);
                }
                self.wan.push(now, mbuf);
            }
        }
        self.wan.send(now);
    }

    /// Stamps, sends and encodes what was received, or what may go of that and of what waits. Returns
    /// how many that are.
    fn forward(&mut self, now: u64) -> usize {
        let Protect { shaper, received, encoder, counters, .. } = self;
        counters.lan_in.add(received.len() as u64);
        let shaper = shaper.as_mut();
        let arrived = shaper.map(|shaper| shaper.admit(received, encoder.is_due(), counters));
        let count = received.len();
        let mut tally = Tally::default();
        for mbuf in fetched(std::mem::take(&mut self.received), self.headers, |_| true) {
            self.take_in(now, mbuf, &mut tally);
        }
        self.look(now);
        self.wan.send(now);
        self.counters.lan_in_bytes.add(arrived.unwrap_or(tally.bytes));
        self.counters.source_sent.add(tally.sources);
        self.counters.source_sent_bytes.add(tally.source_bytes);
        self.counters.bypassed.add(tally.bypassed);
        self.encode(now);
        self.send_repairs(now);
        count
    }

    /// Tells what has left; `waiting` says that there is more to receive.
    #[inline]
    fn publish(&mut self, now: u64, waiting: bool) {
        let Protect { publisher, wan, encoder, counters, .. } = self;
        let shed = self.shaper.as_ref().map_or(0, |shaper| shaper.count_shed(counters));
        counters.repair_shed.set(encoder.shed() + shed);
        if let Some(publisher) = publisher {
            let taken = wan.taken();
            publisher.turn(now, taken, waiting, |behind| wan.port_mut().is_done(behind));
            let [evicted, untold] = publisher.losses();
            counters.flows_evicted.set(evicted);
            counters.repair_untold.set(untold);
        }
    }
}

/// The bytes of what was stamped.
#[inline]
fn frames<'a>(
    stamped: &'a [Stamped],
    copies: &'a [[u8; SHORT]; BURST],
) -> ArrayVec<&'a [u8], BURST> {
    let mut frames = ArrayVec::new();
    for (stamped, copy) in stamped.iter().zip(copies) {
        frames.push(match stamped {
            Stamped::Copied(len) => &copy[..usize::from(*len)],
            Stamped::Kept(frame) => frame.data(),
        });
    }
    frames
}

/// A repair leaves as packet number `nth` from 1.
#[inline]
pub(super) fn note(
    counters: &ProtectCounters,
    publisher: &mut Option<Box<Publisher>>,
    nth: u64,
    repair: &Repair<'_>,
    len: u64,
) {
    counters.repair_sent.add(1);
    counters.repair_sent_bytes.add(len);
    counters.repair_flushed.add(u64::from(repair.flushed));
    if let Some(publisher) = publisher {
        publisher.repair(nth, repair);
    }
}

#[inline]
fn emit(
    config: &ProtectConfig,
    key: Option<CheckKey>,
    dscp: u8,
    mut mbuf: Mbuf,
    repair: &Repair<'_>,
) -> Option<(Mbuf, u64)> {
    let outer = &config.outer;
    let behind = repair::packet_len(repair);
    let len = outer.len() + behind;
    let packet = mbuf.append(len)?;
    outer.write(packet, behind, dscp);
    repair::emit(repair, config.channel, config.epoch, key, packet.get_mut(outer.len()..)?);
    outer.seal(Some(packet));
    Some((mbuf, len as u64))
}

/// The longest frame with this header that crosses a WAN of this MTU as it is. An MTU does not count a
/// VLAN tag.
pub(super) fn max_bypassed(mtu: u16, ether: &Ether) -> usize {
    let tag = if ether.is_tagged() { 4 } else { 0 };
    usize::from(mtu) + OUTER_LEN + tag
}

impl<L: Receive, W: Transmit> Room for Protect<L, W> {
    fn poll(&mut self, now: u64) -> usize {
        // What the port did not take last time goes first, and nothing is received meanwhile: the
        // queue that builds up when the WAN is full is the LAN port's.
        self.wan.send(now);
        self.take_orders(now);
        self.resend(now);
        self.send_repairs(now);
        if self.encoder.is_changing() {
            let Protect { encoder, shaper, news, .. } = self;
            switch::retire(encoder, shaper.as_deref_mut(), news.as_ref());
        }
        // A port that refused a repair may have taken the whole outbox since. (With a rate, sources wait
        // for repairs in the shaper's queue.)
        let owing = self.shaper.is_none() && self.encoder.is_due();
        if owing || !self.wan.is_empty() {
            self.publish(now, false);
            return 0;
        }
        if self.mode == Mode::Drain {
            self.drain(now);
            return 0;
        }
        self.lan.receive(now, &mut self.received);
        if !self.config.has_hop {
            self.drop_received();
        }
        let received = self.received.len();
        let sent = self.forward(now);
        self.publish(now, received == BURST);
        received.max(sent)
    }

    fn finish(&mut self, now: u64) -> bool {
        self.wan.send(now);
        self.send_repairs(now);
        if self.wan.is_empty() {
            // What waits for the rate, if anything does.
            self.forward(now);
        }
        // Not before the last source has left: its groups would stay open.
        if self.shaper.as_ref().is_none_or(|shaper| !shaper.holds_sources()) {
            self.encoder.flush();
            self.send_repairs(now);
        }
        self.publish(now, false);
        let rest = self.shaper.as_ref().is_none_or(|shaper| shaper.is_empty());
        self.wan.is_empty() && rest && !self.encoder.is_due()
    }
}
