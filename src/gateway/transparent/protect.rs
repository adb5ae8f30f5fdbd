//! LAN → WAN: every frame is sent as it came, its repairs follow and call it by its name.
//!
//! * **Does:** classify, name, send, encode, send the repairs that are due, publish what has left.
//! * **Fed by:** a LAN receive queue.
//! * **Feeds:** a WAN transmit queue; storage processes, if [`crate::gateway::flows`] is in use.
//! * **Runs on:** one worker; it owns its channel.
//! * **Must not:** change a frame, but for padding that any wire would add.

use std::sync::Arc;

use arrayvec::ArrayVec;
use zerocopy::IntoBytes;

use super::SHORTEST;
use crate::control::counters::ProtectCounters;
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{BURST, Burst, Mbuf};
use crate::fec::encoder::BATCH;
use crate::fec::named::image::write_image;
use crate::fec::named::{Name, NameKey};
use crate::fec::{CheckKey, Encoder, EncoderConfig, Repair};
use crate::gateway::flows::Publisher;
use crate::gateway::io::{Outbox, Receive, Transmit, fetched};
use crate::gateway::settings::{LinkLocal, Outer};
use crate::gateway::worker::Room;
use crate::wire::named::{Cut, Part, emit_message, longest_message, message_len, part_key};
use crate::wire::outer::{Ether, OUTER_LEN};

/// What the room is made of.
#[derive(Clone, Debug)]
pub struct ProtectConfig {
    /// The channel that its repairs are sent on.
    pub channel: u8,
    /// This life of the channel: not one of its earlier ones.
    pub epoch: u32,
    /// The outer header of repairs, and the longest of their parts as its MTU.
    pub outer: Outer,
    /// The WAN's MTU.
    pub wan_mtu: u16,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// The code. Its `max_frame` is the longest image.
    pub encoder: EncoderConfig,
}

impl ProtectConfig {
    /// How many names may be asked for: from a group's first member to its repair's departure.
    fn names(&self) -> usize {
        let spans = [Some(&self.encoder.code), self.encoder.sparse.as_ref()];
        let span = spans.into_iter().flatten().map(|code| code.span()).max().unwrap_or(0);
        (span + 2 * BATCH).next_power_of_two() as usize
    }

    /// What it allocates beside the encoder, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let image = self.encoder.max_frame;
        self.names() * size_of::<u64>() + BURST * image + longest_message(image)
    }
}

/// A repair of which parts are yet to be sent.
#[derive(Clone, Copy)]
struct Sending {
    next: u64,
    part: Part,
}

/// What a burst adds to the counters.
#[derive(Default)]
struct Tally {
    bytes: u64,
    sources: u64,
    source_bytes: u64,
    bypassed: u64,
}

/// The room. See the module's head.
pub struct Protect<L, W> {
    lan: L,
    wan: Outbox<W>,
    /// Where repair packets are made.
    pool: Mempool,
    encoder: Encoder,
    config: ProtectConfig,
    name_key: NameKey,
    part_key: CheckKey,
    received: Burst,
    /// The names of recent frames, by their numbers.
    names: Box<[u64]>,
    /// The images of this burst's frames: the frames themselves belong to the port.
    images: Box<[u8]>,
    lengths: ArrayVec<usize, BURST>,
    checks: ArrayVec<u64, BURST>,
    /// The repair that is being sent.
    message: Box<[u8]>,
    sending: Option<Sending>,
    serial: u32,
    /// Empty packets for repairs.
    spare: Burst,
    counters: Arc<ProtectCounters>,
    /// Who tells storage processes, if anyone does.
    publisher: Option<Box<Publisher>>,
}

impl<L: Receive, W: Transmit> Protect<L, W> {
    /// All memory is allocated here; `pool` gives the repair packets.
    pub fn new(config: ProtectConfig, lan: L, wan: W, pool: Mempool) -> Protect<L, W> {
        let image = config.encoder.max_frame;
        Protect {
            lan,
            wan: Outbox::new(wan),
            pool,
            encoder: Encoder::new(&config.encoder),
            name_key: NameKey::new(config.channel, config.epoch),
            part_key: part_key(config.channel, config.epoch),
            received: Burst::new(),
            names: vec![0; config.names()].into(),
            images: vec![0; BURST * image].into(),
            lengths: ArrayVec::new(),
            checks: ArrayVec::new(),
            message: vec![0; longest_message(image)].into(),
            sending: None,
            serial: 0,
            spare: Burst::new(),
            counters: Arc::default(),
            publisher: None,
            config,
        }
    }

    /// Has storage processes told of what leaves, from now on: to be called before the first turn.
    pub fn tell(&mut self, publisher: Publisher) {
        self.publisher = Some(Box::new(publisher));
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<ProtectCounters> {
        Arc::clone(&self.counters)
    }

    /// When [`Room::poll`] next has something to do if no frame comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let leaving = self.publisher.as_ref().and_then(|publisher| publisher.next_deadline());
        [self.encoder.next_deadline(), leaving].into_iter().flatten().min()
    }

    /// Whether a frame may cross.
    fn is_let_in(&self, mbuf: &Mbuf) -> bool {
        let counters = &self.counters;
        let Some((ether, _)) = Ether::parse(mbuf.data()) else {
            counters.runt.add(1);
            return false;
        };
        let link_local = ether.is_link_local();
        if link_local && self.config.link_local == LinkLocal::Drop {
            counters.link_local_dropped.add(1);
            return false;
        }
        // The far end would take it for one of our packets.
        if ether.ethertype == self.config.outer.ether.ethertype {
            counters.own_ethertype.add(1);
            return false;
        }
        let wan = Outer { mtu: self.config.wan_mtu, ..self.config.outer };
        if !mbuf.is_contiguous() || mbuf.len() > wan.max_bypassed(ether) {
            counters.too_large.add(1);
            return false;
        }
        counters.link_local_passed.add(u64::from(link_local));
        true
    }

    /// Names a frame and takes its image. False if it goes unprotected.
    #[inline]
    fn name(&mut self, now: u64, frame: &[u8]) -> bool {
        let nth = self.lengths.len();
        let longest = self.config.encoder.max_frame;
        let Some(len) = write_image(frame, &mut self.images[nth * longest..][..longest]) else {
            return false;
        };
        let seq = self.encoder.next_seq() + nth as u64;
        let Name { name, check } = self.name_key.name(frame);
        let at = seq as usize & (self.names.len() - 1);
        self.names[at] = name;
        if let Some(publisher) = &mut self.publisher {
            let tracked = publisher.look(frame);
            publisher.stamped(now, seq, tracked);
        }
        self.lengths.push(len);
        self.checks.push(check);
        true
    }

    #[inline]
    fn take_in(&mut self, now: u64, mut mbuf: Mbuf, tally: &mut Tally) {
        let len = mbuf.len() as u64;
        tally.bytes += len;
        if !self.is_let_in(&mbuf) {
            return;
        }
        // What the wire would do, and then the far end would know the frame by another name.
        if mbuf.len() < SHORTEST
            && let Some(padding) = mbuf.append(SHORTEST - mbuf.len())
        {
            padding.fill(0);
        }
        let padded = mbuf.len() >= SHORTEST;
        if padded && self.name(now, mbuf.data()) {
            tally.sources += 1;
            tally.source_bytes += len;
        } else {
            tally.bypassed += 1;
        }
        // There is room: the outbox was empty, and a burst is no longer than it.
        self.wan.push(now, mbuf);
    }

    /// Gives the encoder the images of this burst's frames, which have been sent.
    fn encode(&mut self, now: u64) {
        if let Some(publisher) = &mut self.publisher
            && !self.lengths.is_empty()
        {
            let next = self.encoder.next_seq() + self.lengths.len() as u64;
            publisher.sources(self.wan.pushed(), next);
            if let Some(idle) = publisher.take_hurry() {
                self.encoder.hurry(idle);
            }
        }
        let longest = self.config.encoder.max_frame.max(1);
        let images = self.images.chunks_exact(longest).zip(&self.lengths);
        let images: ArrayVec<&[u8], BURST> = images.map(|(image, &len)| &image[..len]).collect();
        self.encoder.push_batch(now, &images, &self.checks);
        self.lengths.clear();
        self.checks.clear();
        self.encoder.poll(now);
    }

    /// Sends the repairs that are due, as far as the port takes them.
    fn send_repairs(&mut self, now: u64) {
        while self.wan.has_room(now) {
            if self.sending.is_none() {
                let lacking = self.spare.remaining_capacity();
                if lacking > 0 {
                    self.pool.alloc_bulk(&mut self.spare, lacking);
                }
                match self.begin_repair() {
                    None => break,
                    Some(begun) => self.sending = begun,
                }
            }
            self.send_part(now);
        }
        self.wan.send(now);
    }

    /// Takes the next repair. `None` if there is none, `Some(None)` if it can't be sent.
    fn begin_repair(&mut self) -> Option<Option<Sending>> {
        let Protect { encoder, names, message, counters, publisher, wan, .. } = self;
        let next = encoder.next_seq();
        let repair: Repair<'_> = encoder.take_repair()?;
        let len = message_len(&repair);
        let cut = Cut::new(len, usize::from(self.config.outer.mtu));
        let cut = cut.filter(|cut| usize::from(cut.parts) <= self.spare.len());
        let known = next - repair.members.first() <= names.len() as u64;
        let (Some(cut), Some(bytes), true) = (cut, message.get_mut(..len), known) else {
            counters.repair_no_mbuf.add(1);
            return Some(None);
        };
        let mask = names.len() - 1;
        emit_message(&repair, |number| names[number as usize & mask], bytes);
        counters.repair_sent.add(1);
        counters.repair_split.add(u64::from(cut.parts > 1));
        counters.repair_flushed.add(u64::from(repair.flushed));
        // Its parts are the next ones, and there are packets for all of them.
        if let Some(publisher) = publisher {
            publisher.repair(wan.pushed() + u64::from(cut.parts), &repair);
        }
        let part = Part { serial: self.serial, part: 0, cut };
        self.serial = self.serial.wrapping_add(1);
        Some(Some(Sending { next, part }))
    }

    /// Sends the next part of the repair at hand; there is room.
    fn send_part(&mut self, now: u64) {
        let Some(Sending { next, part }) = self.sending.take() else { return };
        let Some(mut mbuf) = self.spare.pop() else { return };
        let ProtectConfig { channel, epoch, outer, .. } = &self.config;
        let len = OUTER_LEN + part.packet_len();
        let Some(packet) = mbuf.append(len) else {
            // It was allocated for packets of this size.
            self.counters.repair_no_mbuf.add(1);
            return;
        };
        packet[..OUTER_LEN].copy_from_slice(outer.ether.as_bytes());
        let message = &self.message[..usize::from(part.cut.total)];
        part.emit(*channel, *epoch, next, self.part_key, message, &mut packet[OUTER_LEN..]);
        self.counters.repair_sent_bytes.add(len as u64);
        self.wan.push(now, mbuf);
        let following = Part { part: part.part + 1, ..part };
        if following.part < part.cut.parts {
            self.sending = Some(Sending { next, part: following });
        }
    }

    /// Tells what has left.
    #[inline]
    fn publish(&mut self, now: u64) {
        let Protect { publisher, wan, encoder, counters, .. } = self;
        counters.repair_shed.set(encoder.shed());
        if let Some(publisher) = publisher {
            let taken = wan.taken();
            publisher.turn(now, taken, |behind| wan.port_mut().is_done(behind));
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
        self.send_repairs(now);
        if !self.wan.is_empty() || self.sending.is_some() {
            self.publish(now);
            return 0;
        }
        self.lan.receive(now, &mut self.received);
        let count = self.received.len();
        let mut tally = Tally::default();
        for mbuf in fetched(std::mem::take(&mut self.received), 0, |_| true) {
            self.take_in(now, mbuf, &mut tally);
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.before_sources();
        }
        self.wan.send(now);
        self.counters.lan_in.add(count as u64);
        self.counters.lan_in_bytes.add(tally.bytes);
        self.counters.source_sent.add(tally.sources);
        self.counters.source_sent_bytes.add(tally.source_bytes);
        self.counters.bypassed.add(tally.bypassed);
        self.encode(now);
        self.send_repairs(now);
        self.publish(now);
        count
    }

    fn finish(&mut self, now: u64) -> bool {
        self.wan.send(now);
        self.encoder.flush();
        self.send_repairs(now);
        self.publish(now);
        self.wan.is_empty() && self.sending.is_none()
    }
}
