//! LAN → WAN: every frame is sent at once, its repairs follow.
//!
//! * **Does:** classify, send, encode, send the repairs that are due, publish what has left.
//! * **Fed by:** a LAN receive queue.
//! * **Feeds:** a WAN transmit queue; storage processes, if [`super::flows`] is in use.
//! * **Runs on:** one worker; it owns its channel.
//! * **Must not:** let a source packet wait for coding, or touch one after it was sent. Where the WAN has
//!   a rate, one may wait for that, as the policy of [`super::shaper`] says.
//!
//! How frames cross, and how repairs speak of them, is a `Crossing`: [`Stamping`] puts headers in front
//! of frames, and [`super::transparent::Naming`] leaves them as they are.

mod crossing;
mod exit;
mod keyed;
mod resend;
mod stamping;

use std::sync::Arc;

use super::desk;
use super::fit::Teller;
use super::flows::Publisher;
use super::io::{Receive, Transmit, fetched};
use super::nack::resender::Resender;
use super::post::{self, CodeNews, Mode, Obeyed, ProtectOrder};
use super::settings::LinkLocal;
use super::switch;
use super::worker::Room;
use crate::control::counters::ProtectCounters;
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{self, BURST, Burst, Mbuf};
use crate::fec::{Codes, Encoder};
use crate::wire::icmp::TooBig;
use crate::wire::outer::{Ether, OUTER_LEN};
use crate::wire::seal::Sealing;

pub(super) use crossing::{Crossing, Piece};
pub use stamping::{ProtectConfig, Stamping};

use exit::Exit;

/// The room where frames get headers. See the module's head.
pub type Protect<L, W> = ProtectBy<Stamping, L, W>;

/// The room, whatever becomes of frames. See the module's head.
pub struct ProtectBy<C, L, W> {
    lan: L,
    crossing: C,
    encoder: Encoder,
    exit: Exit<W>,
    received: Burst,
    /// From control, if there is one.
    orders: Option<post::Receiver<ProtectOrder>>,
    /// Who answers packets that are too big, if anyone does.
    teller: Option<Box<Teller>>,
    /// What becomes of frames.
    mode: Mode,
    /// Tells control so.
    obeyed: Obeyed,
    /// Tells control of changes of the code.
    news: Option<post::Sender<CodeNews>>,
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
    Cross,
    Bypass,
    TooBig(TooBig),
    Drop,
}

impl<C: Crossing, L: Receive, W: Transmit> ProtectBy<C, L, W> {
    /// All memory is allocated here; `pool` gives the repair packets.
    pub fn new(config: C::Config, lan: L, wan: W, pool: Mempool) -> ProtectBy<C, L, W> {
        let crossing = C::new(config, pool);
        let encoder = crossing.encoder();
        ProtectBy {
            lan,
            encoder: Encoder::new(encoder),
            exit: Exit::new(wan, crossing.limit(), encoder, crossing.headers()),
            crossing,
            received: Burst::new(),
            orders: None,
            teller: None,
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
        self.exit.publisher = Some(Box::new(publisher));
    }

    /// Who tells storage processes.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.exit.publisher.as_deref()
    }

    /// Obeys these orders, from now on, and says how far, and what becomes of a change of the code: to be
    /// called before the first turn.
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
        debug_assert!(self.exit.publisher.is_none());
        self.encoder.begin_at(seq);
    }

    /// Has packets sent again, from now on, where frames bear numbers: to be called before the first turn.
    pub fn resend_with(&mut self, resender: Resender) {
        self.crossing.resend_with(resender);
    }

    /// Gives keys back through this when others have come: they hold memory, which no room frees.
    pub fn give_back_keys(&mut self, spent: post::Sender<Sealing>) {
        self.crossing.give_back_keys(spent);
    }

    /// The channel that it sends on.
    pub fn channel(&self) -> u8 {
        self.crossing.channel()
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<ProtectCounters> {
        Arc::clone(&self.exit.counters)
    }

    /// Changes the code, between two turns; see [`Encoder::switch`]. Packets from the number that is
    /// returned on have the new one. Where frames are named, its span is no larger than the configured one.
    ///
    /// # Errors
    /// Gives `codes` back as long as the code before the last change was not taken back.
    pub fn switch_code(&mut self, codes: Box<Codes>) -> Result<u64, Box<Codes>> {
        switch::switch(&mut self.encoder, self.exit.shaper.as_deref_mut(), codes)
    }

    /// The code before the last change, once its last repair was sent or shed, for control to drop.
    pub fn take_retired_code(&mut self) -> Option<Box<Codes>> {
        switch::take_retired(&mut self.encoder, self.exit.shaper.as_deref_mut())
    }

    /// When [`Room::poll`] next has something to do if no frame comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let due = self.owes_repair() || self.crossing.resends();
        let exit = self.exit.next_deadlines(due);
        exit.into_iter().chain([self.encoder.next_deadline()]).flatten().min()
    }

    /// Where frames come from.
    pub fn lan(&self) -> &L {
        &self.lan
    }

    /// The same, to be changed.
    pub fn lan_mut(&mut self) -> &mut L {
        &mut self.lan
    }

    /// Whether a repair could be sent, were there room.
    fn owes_repair(&self) -> bool {
        self.encoder.is_due() || self.crossing.is_sending()
    }

    #[inline]
    fn classify(&self, mbuf: &Mbuf) -> Class {
        let counters = &self.exit.counters;
        let Some((ether, _)) = Ether::parse(mbuf.data()) else {
            counters.runt.add(1);
            return Class::Drop;
        };
        let link_local = ether.is_link_local();
        if link_local && self.crossing.link_local() == LinkLocal::Drop {
            counters.link_local_dropped.add(1);
            return Class::Drop;
        }
        if self.mode == Mode::Drop {
            counters.peer_down.add(1);
            return Class::Drop;
        }
        if self.crossing.is_taken_for_ours(ether) {
            counters.own_ethertype.add(1);
            return Class::Drop;
        }
        if let Some(longest) = self.crossing.longest(ether, self.mode) {
            if mbuf.is_contiguous() && mbuf.len() <= longest {
                counters.link_local_passed.add(u64::from(link_local));
                return Class::Cross;
            }
            if self.teller.is_some()
                && !link_local
                && let Some(too_big) = TooBig::parse(mbuf.data(), longest)
            {
                counters.too_big.add(1);
                return Class::TooBig(too_big);
            }
        }
        // A frame for bridges would be taken by the first bridge on the way.
        if !link_local && mbuf.is_contiguous() && self.crossing.bypasses(ether, mbuf, self.mode) {
            return Class::Bypass;
        }
        counters.too_large.add(1);
        Class::Drop
    }

    /// There is nobody to send to.
    #[cold]
    fn drop_received(&mut self) {
        let count = self.received.len() as u64;
        let counters = &self.exit.counters;
        counters.lan_in.add(count);
        counters.lan_in_bytes.add(self.received.iter().map(|mbuf| mbuf.len() as u64).sum());
        counters.no_next_hop.add(count);
        mbuf::free(&mut self.received);
    }

    #[inline]
    fn take_in(&mut self, now: u64, mbuf: Mbuf, tally: &mut Tally) {
        let len = mbuf.len() as u64;
        tally.bytes += len;
        let (packet, protected) = match self.classify(&mbuf) {
            Class::Drop => return,
            Class::TooBig(too_big) => {
                let told = self.teller.as_mut().is_some_and(|t| t.tell(now, too_big, mbuf.data()));
                return self.exit.counters.too_big_told.add(u64::from(told));
            }
            Class::Bypass => (mbuf, false),
            Class::Cross => {
                let (next, place) = (self.encoder.next_seq(), self.exit.wan.len());
                match self.crossing.take(mbuf, next, place, self.mode, &self.exit.counters) {
                    Some(taken) => taken,
                    None => return,
                }
            }
        };
        if protected {
            tally.sources += 1;
            tally.source_bytes += len;
        } else {
            tally.bypassed += 1;
        }
        self.exit.push_source(now, packet);
    }

    /// Gives the encoder the frames of this burst, which have been sent.
    fn encode(&mut self, now: u64) {
        let ProtectBy { crossing, encoder, exit, .. } = self;
        let count = crossing.taken();
        if count > 0
            && let Some(idle) = exit.note_sources(now, count, encoder.next_seq() + count as u64)
        {
            encoder.hurry(idle);
        }
        crossing.encode(now, encoder);
        encoder.set_waiting(exit.shaper.as_ref().is_some_and(|shaper| shaper.reserves()));
        encoder.poll(now);
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
                    let Exit { wan, shaper, counters, .. } = &mut self.exit;
                    let (pool, shaper) = (self.crossing.pool(), shaper.as_deref_mut());
                    desk::send_to_wan(now, &parcel, pool, wan, shaper, counters);
                }
                ProtectOrder::Mode(mode) => self.enter(now, mode),
                ProtectOrder::Keys(sealing) => self.crossing.change_keys(sealing),
                ProtectOrder::NextHop(mac) => self.crossing.set_next_hop(mac),
                ProtectOrder::Code(codes) => {
                    let ProtectBy { encoder, exit, news, .. } = self;
                    switch::obey(encoder, exit.shaper.as_deref_mut(), news.as_ref(), codes);
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
        let ProtectBy { crossing, encoder, exit, .. } = self;
        if exit.keeps_backlog(now) {
            while exit.put_by(crossing, encoder) {}
            exit.send_backlog(now, encoder.next_seq());
        } else {
            while exit.has_room_for_repair(now)
                && let Some(piece) = crossing.next_piece(encoder, &exit.counters)
            {
                exit.send_piece(now, piece);
            }
        }
        exit.wan.send(now);
    }

    /// Sends and encodes what was received, or what may go of that and of what waits. Returns how many
    /// that are.
    fn forward(&mut self, now: u64) -> usize {
        let owed = self.owes_repair();
        let arrived = self.exit.admit(&mut self.received, owed);
        let count = self.received.len();
        let mut tally = Tally::default();
        for mbuf in fetched(std::mem::take(&mut self.received), self.crossing.headers(), |_| true) {
            self.take_in(now, mbuf, &mut tally);
        }
        self.exit.send_sources(now, &self.crossing);
        let counters = &self.exit.counters;
        counters.lan_in_bytes.add(arrived.unwrap_or(tally.bytes));
        counters.source_sent.add(tally.sources);
        counters.source_sent_bytes.add(tally.source_bytes);
        counters.bypassed.add(tally.bypassed);
        self.encode(now);
        self.send_repairs(now);
        count
    }

    /// Tells what has left; `waiting` says that there is more to receive.
    #[inline]
    fn publish(&mut self, now: u64, waiting: bool) {
        self.exit.publish(now, waiting, self.encoder.shed());
    }
}

/// The longest frame with this header that crosses a WAN of this MTU as it is. An MTU does not count a
/// VLAN tag.
#[inline]
pub(super) fn longest_as_it_is(mtu: u16, ether: &Ether) -> usize {
    let tag = if ether.is_tagged() { 4 } else { 0 };
    usize::from(mtu) + OUTER_LEN + tag
}

impl<C: Crossing, L: Receive, W: Transmit> Room for ProtectBy<C, L, W> {
    fn poll(&mut self, now: u64) -> usize {
        // What the port did not take last time goes first, and nothing is received meanwhile: the
        // queue that builds up when the WAN is full is the LAN port's.
        self.exit.wan.send(now);
        self.take_orders(now);
        self.crossing.resend(now, &mut self.exit);
        self.send_repairs(now);
        if self.encoder.is_changing() {
            let ProtectBy { encoder, exit, news, .. } = self;
            switch::retire(encoder, exit.shaper.as_deref_mut(), news.as_ref());
        }
        // A port that refused a repair may have taken the whole outbox since. (With a rate, sources wait
        // for repairs in the shaper's queue.)
        let owing = self.exit.shaper.is_none() && self.owes_repair();
        if owing || !self.exit.wan.is_empty() {
            self.publish(now, false);
            return 0;
        }
        if self.mode == Mode::Drain {
            self.drain(now);
            return 0;
        }
        self.lan.receive(now, &mut self.received);
        if !self.crossing.has_next_hop() {
            self.drop_received();
        }
        let received = self.received.len();
        let sent = self.forward(now);
        self.publish(now, received == BURST);
        received.max(sent)
    }

    fn finish(&mut self, now: u64) -> bool {
        self.exit.wan.send(now);
        self.send_repairs(now);
        if self.exit.wan.is_empty() {
            // What waits for the rate, if anything does.
            self.forward(now);
        }
        // Not before the last source has left: its groups would stay open.
        if !self.exit.holds_sources() {
            self.encoder.flush();
            self.send_repairs(now);
        }
        self.publish(now, false);
        self.exit.is_empty() && !self.owes_repair()
    }
}
