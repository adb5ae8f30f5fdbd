//! The packets of named repairs: a message each, in as many parts as the WAN's MTU makes of it.
//!
//! * **Does:** remember names, write messages, cut them.
//! * **Fed by:** `protect`, with the names of frames and with repairs.
//! * **Feeds:** the same, with packets.
//! * **Runs on:** its worker.
//! * **Must not:** begin a repair that it has no packets for.

use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{BURST, Burst};
use crate::fec::{CheckKey, Repair};
use crate::gateway::backlog::Outline;
use crate::gateway::protect::Piece;
use crate::wire::encap::Outer;
use crate::wire::named::{
    Cut, MAX_PARTS, Part, emit_message, longest_message, message_len, part_key,
};

use super::ProtectConfig;

const _: () = assert!(MAX_PARTS <= BURST);

/// A repair of which parts are yet to be sent.
struct Sending {
    next: u64,
    part: Part,
    outline: Outline,
}

/// See the module's head.
pub(super) struct Cutter {
    /// Where packets are made.
    pool: Mempool,
    /// Empty ones.
    spare: Burst,
    /// The names of recent frames, by their numbers.
    names: Box<[u64]>,
    /// The repair at hand.
    message: Box<[u8]>,
    sending: Option<Sending>,
    serial: u32,
    key: CheckKey,
    channel: u8,
    epoch: u32,
    outer: Outer,
    /// How long a packet may be, from the shim on.
    room: usize,
}

impl Cutter {
    pub(super) fn new(config: &ProtectConfig, pool: Mempool) -> Cutter {
        Cutter {
            pool,
            spare: Burst::new(),
            names: vec![0; config.names()].into(),
            message: vec![0; longest_message(config.encoder.max_frame)].into(),
            sending: None,
            serial: 0,
            key: part_key(config.channel, config.epoch),
            channel: config.channel,
            epoch: config.epoch,
            outer: config.outer,
            room: config.part_room.into(),
        }
    }

    /// Where it has its packets from.
    pub(super) fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// Source packet `seq` has this name.
    #[inline]
    pub(super) fn remember(&mut self, seq: u64, name: u64) {
        let at = seq as usize & (self.names.len() - 1);
        self.names[at] = name;
    }

    /// Whether parts of a repair are yet to be sent.
    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Begins a repair before which `next` source packets were sent. Says in how many parts; `None` if it
    /// can't be sent.
    pub(super) fn begin(&mut self, next: u64, repair: &Repair<'_>) -> Option<u8> {
        let lacking = self.spare.remaining_capacity();
        if lacking > 0 {
            self.pool.alloc_bulk(&mut self.spare, lacking);
        }
        let len = message_len(repair);
        let cut = Cut::new(len, self.room)?;
        let known = next - repair.members.first() <= self.names.len() as u64;
        if !known || usize::from(cut.parts) > self.spare.len() {
            return None;
        }
        let mask = self.names.len() - 1;
        let name = |number: u64| self.names[number as usize & mask];
        emit_message(repair, name, self.message.get_mut(..len)?);
        let part = Part { serial: self.serial, part: 0, cut };
        self.serial = self.serial.wrapping_add(1);
        self.sending = Some(Sending { next, part, outline: Outline::of(repair) });
        Some(cut.parts)
    }

    /// The packet of the next part.
    pub(super) fn cut(&mut self) -> Option<Piece> {
        let Sending { next, part, outline } = self.sending.take()?;
        let mut mbuf = self.spare.pop()?;
        let before = self.outer.len();
        let packet = mbuf.append(before + part.packet_len())?;
        self.outer.write(packet, part.packet_len(), 0);
        let message = &self.message[..usize::from(part.cut.total)];
        part.emit(self.channel, self.epoch, next, self.key, message, &mut packet[before..]);
        let following = Part { part: part.part + 1, ..part };
        if following.part < part.cut.parts {
            self.sending = Some(Sending { next, part: following, outline });
            return Some(Piece { mbuf, outline: None });
        }
        Some(Piece { mbuf, outline: Some(outline) })
    }
}
