//! LAN → WAN: every frame is sent as it came, its repairs follow and call it by its name.
//!
//! * **Does:** classify, name, send, encode, send the repairs that are due, publish what has left.
//! * **Fed by:** a LAN receive queue.
//! * **Feeds:** a WAN transmit queue; storage processes, if [`crate::gateway::flows`] is in use.
//! * **Runs on:** one worker; it owns its channel.
//! * **Must not:** change a frame, but for padding that any wire would add, and the MSS of a SYN where the
//!   WAN is narrower than the LAN.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::SHORTEST;
use super::cutter::{Cutter, Piece};
use crate::control::counters::ProtectCounters;
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{BURST, Burst, Mbuf};
use crate::fec::encoder::BATCH;
use crate::fec::named::image::write_image;
use crate::fec::named::{Name, NameKey};
use crate::fec::{Codes, Encoder, EncoderConfig, Repair};
use crate::gateway::desk;
use crate::gateway::fit::{self, Teller};
use crate::gateway::flows::Publisher;
use crate::gateway::io::{Outbox, Receive, Transmit, fetched};
use crate::gateway::nack::resender::Resender;
use crate::gateway::post::{self, CodeNews, Mode, Obeyed, ProtectOrder};
use crate::gateway::protect::{max_bypassed, note};
use crate::gateway::settings::LinkLocal;
use crate::gateway::shaper::{Limit, Shaper};
use crate::gateway::switch;
use crate::gateway::worker::Room;
use crate::wire::encap::Outer;
use crate::wire::icmp::TooBig;
use crate::wire::named::longest_message;
use crate::wire::outer::Ether;
use crate::wire::seal::Sealing;

/// What the room is made of.
#[derive(Clone, Debug)]
pub struct ProtectConfig {
    /// The channel that its repairs are sent on.
    pub channel: u8,
    /// This life of the channel: not one of its earlier ones.
    pub epoch: u32,
    /// The outer header of repairs.
    pub outer: Outer,
    /// How long their parts may be, from the shim on.
    pub part_room: u16,
    /// The WAN's MTU.
    pub wan_mtu: u16,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// What the WAN takes of this channel; `None` is what its port takes.
    pub limit: Option<Limit>,
    /// The length of the frames that SYNs may ask for; none is any.
    pub clamp: Option<usize>,
    /// The largest span of the codes that may be in use, in packets.
    pub span: u64,
    /// The code. Its `max_frame` is the longest image.
    pub encoder: EncoderConfig,
}

impl ProtectConfig {
    /// How many names may be asked for: from a group's first member to its repair's departure.
    pub(super) fn names(&self) -> usize {
        (self.span + 2 * BATCH).next_power_of_two() as usize
    }

    /// What it allocates beside the encoder and what waits for the WAN's rate, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let image = self.encoder.max_frame;
        self.names() * size_of::<u64>() + BURST * image + longest_message(image)
    }
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
    TooBig(TooBig),
    Drop,
}

/// The room. See the module's head.
pub struct Protect<L, W> {
    lan: L,
    wan: Outbox<W>,
    encoder: Encoder,
    config: ProtectConfig,
    name_key: NameKey,
    cutter: Cutter,
    received: Burst,
    /// Which of the frames in the outbox are protected.
    named: ArrayVec<u8, BURST>,
    /// The images of these: the frames themselves will belong to the port.
    images: Box<[u8]>,
    lengths: ArrayVec<usize, BURST>,
    checks: ArrayVec<u64, BURST>,
    counters: Arc<ProtectCounters>,
    /// Who tells storage processes, if anyone does.
    publisher: Option<Box<Publisher>>,
    /// From control, if there is one.
    orders: Option<post::Receiver<ProtectOrder>>,
    /// Who keeps to the WAN's rate, if it has one.
    shaper: Option<Box<Shaper>>,
    /// Who answers packets that are too big, if anyone does.
    teller: Option<Box<Teller>>,
    /// What becomes of frames.
    mode: Mode,
    /// Tells control so.
    obeyed: Obeyed,
    /// What becomes of a change of the code.
    news: Option<post::Sender<CodeNews>>,
}

impl<L: Receive, W: Transmit> Protect<L, W> {
    /// All memory is allocated here; `pool` gives the repair packets.
    pub fn new(config: ProtectConfig, lan: L, wan: W, pool: Mempool) -> Protect<L, W> {
        let shaper = |limit: Limit| Box::new(Shaper::new(&limit, &config.encoder, 0));
        Protect {
            lan,
            wan: Outbox::new(wan),
            encoder: Encoder::new(&config.encoder),
            name_key: NameKey::new(config.channel, config.epoch),
            cutter: Cutter::new(&config, pool),
            received: Burst::new(),
            named: ArrayVec::new(),
            images: vec![0; BURST * config.encoder.max_frame].into(),
            lengths: ArrayVec::new(),
            checks: ArrayVec::new(),
            counters: Arc::default(),
            publisher: None,
            orders: None,
            shaper: config.limit.map(shaper),
            teller: None,
            mode: Mode::Protect,
            obeyed: Obeyed::default(),
            news: None,
            config,
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

    /// Obeys these orders, from now on, and says how far, and what becomes of a change of
    /// the code: to be called before the first turn.
    pub fn obey(
        &mut self,
        orders: post::Receiver<ProtectOrder>,
        obeyed: Obeyed,
        news: post::Sender<CodeNews>,
    ) {
        (self.orders, self.obeyed, self.news) = (Some(orders), obeyed, Some(news));
    }

    /// Nothing is sent again: the configuration refuses that, since frames bear no numbers.
    pub fn resend_with(&mut self, _resender: Resender) {}

    /// There are no keys to give back.
    pub fn give_back_keys(&mut self, _spent: post::Sender<Sealing>) {}

    /// The channel that its repairs are sent on.
    pub fn channel(&self) -> u8 {
        self.config.channel
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<ProtectCounters> {
        Arc::clone(&self.counters)
    }

    /// Changes the code, between two turns; see [`Encoder::switch`]. Packets from the number that is
    /// returned on have the new one, whose span is no larger than [`ProtectConfig::span`].
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

    /// Whether a repair could be sent, were there room.
    fn owes_repair(&self) -> bool {
        self.encoder.is_due() || self.cutter.is_sending()
    }

    /// When [`Room::poll`] next has something to do if no frame comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let leaving = self.publisher.as_ref().and_then(|publisher| publisher.next_deadline());
        let shaper = self.shaper.as_ref();
        let rate = shaper.and_then(|shaper| shaper.next_deadline(self.owes_repair()));
        [self.encoder.next_deadline(), leaving, rate].into_iter().flatten().min()
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
        // The far end would take it for one of our packets.
        if ether.ethertype.get() == self.config.outer.ethertype() {
            counters.own_ethertype.add(1);
            return Class::Drop;
        }
        let longest = max_bypassed(self.config.wan_mtu, ether);
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
        counters.too_large.add(1);
        Class::Drop
    }

    /// Names a frame and takes its image. False if it goes unprotected.
    #[inline]
    fn name(&mut self, frame: &[u8]) -> bool {
        if self.mode == Mode::Bypass {
            return false;
        }
        let nth = self.lengths.len();
        let longest = self.config.encoder.max_frame;
        let Some(len) = write_image(frame, &mut self.images[nth * longest..][..longest]) else {
            return false;
        };
        let Name { name, check } = self.name_key.name(frame);
        self.cutter.remember(self.encoder.next_seq() + nth as u64, name);
        self.named.push(self.wan.len() as u8);
        self.lengths.push(len);
        self.checks.push(check);
        true
    }

    #[inline]
    fn take_in(&mut self, now: u64, mut mbuf: Mbuf, tally: &mut Tally) {
        let len = mbuf.len() as u64;
        tally.bytes += len;
        match self.classify(&mbuf) {
            Class::Drop => return,
            Class::TooBig(too_big) => {
                let told = self.teller.as_mut().is_some_and(|t| t.tell(now, too_big, mbuf.data()));
                return self.counters.too_big_told.add(u64::from(told));
            }
            Class::Cross => {}
        }
        if let Some(max) = self.config.clamp {
            mbuf = fit::clamp(mbuf, max, self.cutter.pool(), &self.counters.mss_clamped);
        }
        // What the wire would do, and then the far end would know the frame by another name.
        if mbuf.len() < SHORTEST
            && let Some(padding) = mbuf.append(SHORTEST - mbuf.len())
        {
            padding.fill(0);
        }
        let padded = mbuf.len() >= SHORTEST;
        if padded && self.name(mbuf.data()) {
            tally.sources += 1;
            tally.source_bytes += len;
        } else {
            tally.bypassed += 1;
        }
        if let Some(shaper) = &mut self.shaper {
            shaper.spend(mbuf.len());
        }
        // There is room: the outbox was empty, and a burst is no longer than it.
        self.wan.push(now, mbuf);
    }

    /// Looks at the frames of this burst, which are about to be sent.
    #[inline]
    fn look(&mut self, now: u64) {
        if let Some(publisher) = &mut self.publisher {
            let waiting = self.wan.waiting();
            let frames = self.named.iter().filter_map(|&at| waiting.get(usize::from(at)));
            let frames: ArrayVec<&[u8], BURST> = frames.map(Mbuf::data).collect();
            publisher.look(now, &frames);
        }
    }

    /// Gives the encoder the images of this burst's frames, which have been sent.
    fn encode(&mut self, now: u64) {
        let count = self.lengths.len();
        if let Some(publisher) = &mut self.publisher
            && count > 0
        {
            let next = self.encoder.next_seq() + count as u64;
            publisher.sources(now, count, next, self.wan.pushed(), self.wan.taken());
            if let Some(idle) = publisher.take_hurry() {
                self.encoder.hurry(idle);
            }
        }
        let longest = self.config.encoder.max_frame.max(1);
        let images = self.images.chunks_exact(longest).zip(&self.lengths);
        let images: ArrayVec<&[u8], BURST> = images.map(|(image, &len)| &image[..len]).collect();
        self.encoder.push_batch(now, &images, &self.checks);
        self.named.clear();
        self.lengths.clear();
        self.checks.clear();
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
                    let Protect { cutter, wan, counters, .. } = self;
                    desk::send_to_wan(now, &parcel, cutter.pool(), wan, shaper, counters);
                }
                ProtectOrder::Mode(mode) => self.enter(now, mode),
                ProtectOrder::Code(codes) => {
                    let Protect { encoder, shaper, news, .. } = self;
                    switch::obey(encoder, shaper.as_deref_mut(), news.as_ref(), codes);
                }
                // Frames that cross as they are can't be sealed: the configuration refuses keys.
                ProtectOrder::Keys(_) => {}
                // Frames go where the LAN's hosts send them: there is no hop of ours.
                ProtectOrder::NextHop(_) => {}
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

    /// Takes the next repair that can be sent. False if there is none.
    fn begin_repair(&mut self) -> bool {
        let Protect { encoder, cutter, counters, .. } = self;
        let next = encoder.next_seq();
        while let Some(repair) = encoder.take_repair() {
            match cutter.begin(next, &repair) {
                Some(parts) => {
                    counters.repair_split.add(u64::from(parts > 1));
                    return true;
                }
                None => counters.repair_no_mbuf.add(1),
            }
        }
        false
    }

    /// Sends the repairs that are due, as far as the port and the WAN's rate take them; the others stay
    /// where they are, or in the backlog.
    fn send_repairs(&mut self, now: u64) {
        if let Some(shaper) = &mut self.shaper {
            shaper.advance(now);
        }
        if self.shaper.as_mut().is_some_and(|shaper| shaper.backlog().is_some()) {
            self.put_by();
            self.send_backlog(now);
        } else {
            while self.wan.has_room(now)
                && self.shaper.as_ref().is_none_or(|shaper| shaper.lets_repair())
                && (self.cutter.is_sending() || self.begin_repair())
            {
                match self.cutter.cut() {
                    Some(Piece { mbuf, outline }) => {
                        let repair = outline.as_ref().map(|outline| outline.repair());
                        self.send_part(now, mbuf, repair.as_ref());
                    }
                    // It was allocated for packets of this size.
                    None => self.counters.repair_no_mbuf.add(1),
                }
            }
        }
        self.wan.send(now);
    }

    /// Puts all repairs that are due into the backlog.
    fn put_by(&mut self) {
        while self.begin_repair() {
            let mut parts = Burst::new();
            let outline = loop {
                match self.cutter.cut() {
                    Some(Piece { mbuf, outline }) => {
                        parts.push(mbuf);
                        if outline.is_some() {
                            break outline;
                        }
                    }
                    None => break None,
                }
            };
            let backlog = self.shaper.as_mut().and_then(|shaper| shaper.backlog());
            match outline.zip(backlog) {
                Some((outline, backlog)) => backlog.push_parts(&mut parts, &outline),
                None => self.counters.repair_no_mbuf.add(1),
            }
        }
    }

    /// Sends what the backlog lets go.
    fn send_backlog(&mut self, now: u64) {
        let next = self.encoder.next_seq();
        while self.wan.has_room(now)
            && let Some(waiting) = self.shaper.as_mut().and_then(|shaper| shaper.take_repair(next))
        {
            let (mbuf, outline) = waiting.into_parts();
            let repair = outline.as_ref().map(|outline| outline.repair());
            self.send_part(now, mbuf, repair.as_ref());
        }
    }

    /// Sends a part, for which there is room; `repair` has gone with it.
    fn send_part(&mut self, now: u64, mbuf: Mbuf, repair: Option<&Repair<'_>>) {
        let len = mbuf.len();
        if let Some(shaper) = &mut self.shaper {
            shaper.spend(len);
        }
        match repair {
            Some(repair) => {
                let nth = self.wan.pushed() + 1;
                note(&self.counters, &mut self.publisher, nth, repair, len as u64);
            }
            None => self.counters.repair_sent_bytes.add(len as u64),
        }
        self.wan.push(now, mbuf);
    }

    /// Names, sends and encodes what was received, or what may go of that and of what waits. Returns how
    /// many that are.
    fn forward(&mut self, now: u64) -> usize {
        let owed = self.owes_repair();
        let Protect { shaper, received, counters, .. } = self;
        counters.lan_in.add(received.len() as u64);
        let shaper = shaper.as_mut();
        let arrived = shaper.map(|shaper| shaper.admit(received, owed, counters));
        let count = received.len();
        let mut tally = Tally::default();
        for mbuf in fetched(std::mem::take(&mut self.received), 0, |_| true) {
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

impl<L: Receive, W: Transmit> Room for Protect<L, W> {
    fn poll(&mut self, now: u64) -> usize {
        // What the port did not take last time goes first, and nothing is received meanwhile.
        self.wan.send(now);
        self.take_orders(now);
        self.send_repairs(now);
        if self.encoder.is_changing() {
            let Protect { encoder, shaper, news, .. } = self;
            switch::retire(encoder, shaper.as_deref_mut(), news.as_ref());
        }
        // A port that refused a repair may have taken the whole outbox since. (With a rate, sources wait
        // for repairs in the shaper's queue.)
        let owing = self.shaper.is_none() && self.owes_repair();
        if owing || !self.wan.is_empty() {
            self.publish(now, false);
            return 0;
        }
        if self.mode == Mode::Drain {
            self.drain(now);
            return 0;
        }
        self.lan.receive(now, &mut self.received);
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
        self.wan.is_empty() && rest && !self.owes_repair()
    }
}
