//! Headers are put in front of frames, and repairs call these by their numbers.

use arrayvec::ArrayVec;

use super::crossing::{Crossing, Piece};
use super::exit::Exit;
use super::{keyed, longest_as_it_is};
use crate::control::counters::ProtectCounters;
use crate::dpdk::mbuf::{BURST, Burst, Mbuf};
use crate::dpdk::{Kept, Mempool, kept};
use crate::fec::seq::LIMIT;
use crate::fec::{CheckKey, Encoder, EncoderConfig, Repair, SHORT, copy_short};
use crate::gateway::backlog::Outline;
use crate::gateway::fit;
use crate::gateway::io::Transmit;
use crate::gateway::nack::resender::Resender;
use crate::gateway::post::{self, Mode};
use crate::gateway::settings::{LinkLocal, Oversize};
use crate::gateway::shaper::Limit;
use crate::wire::encap::{Outer, dscp_of};
use crate::wire::outer::{Ether, OUTER_LEN};
use crate::wire::repair::{self, repair_key};
use crate::wire::seal::{self, KEYED_SHIM_LEN, Sealing};
use crate::wire::shim::{Integrity, Kind, SHIM_LEN, Shim, source_key};

/// What a room that puts headers in front of frames is made of.
#[derive(Clone, Debug)]
pub struct ProtectConfig {
    /// The channel that it sends on.
    pub channel: u8,
    /// This life of the channel: not one of its earlier ones.
    pub epoch: u32,
    /// What confirms its packets, unless there are keys.
    pub integrity: Integrity,
    /// What keys do, if there are any. Without [`super::Protect::set_keys`] nothing is sent then.
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

/// See the module's head.
pub struct Stamping {
    pub(super) config: ProtectConfig,
    /// Where packets are made.
    pub(super) pool: Mempool,
    source_key: Option<CheckKey>,
    repair_key: Option<CheckKey>,
    pub(super) sealing: Option<Sealing>,
    /// Where old ones go, for control to drop.
    pub(super) spent: Option<post::Sender<Sealing>>,
    /// How many repairs were sealed: never set back, so that no key sees a number twice.
    repair_number: u64,
    /// The frames of this burst that were stamped.
    pub(super) stamped: ArrayVec<Stamped, BURST>,
    /// Their checks.
    pub(super) checks: ArrayVec<u64, BURST>,
    /// Where those of up to [`SHORT`] bytes are copied: cheaper than the two reference counts that
    /// keeping one costs, one of them atomic since the driver is the other owner.
    pub(super) copies: Box<[[u8; SHORT]; BURST]>,
    /// Empty packets for repairs, and for frames that are encrypted.
    pub(super) spare: Burst,
    /// What a source packet has in front of its frame, in bytes.
    pub(super) headers: usize,
    /// The traffic class of the last source packet, which repairs have too.
    pub(super) dscp: u8,
    /// Who sends packets again, if anyone does.
    pub(super) resender: Option<Box<Resender>>,
}

/// A frame that has been sent, or soon will be, and is yet to be encoded.
pub(super) enum Stamped {
    /// Its bytes, in the copy of the same number, are so many.
    Copied(u8),
    Kept(Kept),
}

impl Stamping {
    /// Puts the headers in front of frame number `seq`, and remembers the frame for the encoder.
    #[inline]
    fn stamp(&mut self, seq: u64, mut mbuf: Mbuf, counters: &ProtectCounters) -> Option<Mbuf> {
        if seq >= LIMIT {
            counters.numbers_used_up.add(1);
            return None;
        }
        let frame = mbuf.data();
        let length = frame.len();
        let check = self.source_key.map_or(0, |key| key.check(seq, frame));
        let copied = length <= SHORT;
        if copied {
            copy_short(frame, &mut self.copies[self.stamped.len()]);
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
            counters.no_headroom.add(1);
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
}

impl Crossing for Stamping {
    type Config = ProtectConfig;

    fn new(config: ProtectConfig, pool: Mempool) -> Stamping {
        let checked = config.integrity == Integrity::Check;
        let shim_len = if config.keys.is_some() { KEYED_SHIM_LEN } else { SHIM_LEN };
        Stamping {
            pool,
            source_key: checked.then(|| source_key(config.channel, config.epoch)),
            repair_key: checked.then(|| repair_key(config.channel, config.epoch)),
            sealing: None,
            spent: None,
            repair_number: 0,
            stamped: ArrayVec::new(),
            checks: ArrayVec::new(),
            copies: Box::new([[0; SHORT]; BURST]),
            spare: Burst::new(),
            headers: config.outer.len() + shim_len,
            dscp: 0,
            resender: None,
            config,
        }
    }

    fn pool(&self) -> &Mempool {
        &self.pool
    }

    fn encoder(&self) -> &EncoderConfig {
        &self.config.encoder
    }

    fn limit(&self) -> Option<Limit> {
        self.config.limit
    }

    fn channel(&self) -> u8 {
        self.config.channel
    }

    #[inline]
    fn headers(&self) -> usize {
        self.headers
    }

    #[inline]
    fn link_local(&self) -> LinkLocal {
        self.config.link_local
    }

    /// Behind our headers it is not.
    #[inline]
    fn is_taken_for_ours(&self, _ether: &Ether) -> bool {
        false
    }

    #[inline]
    fn longest(&self, _ether: &Ether, mode: Mode) -> Option<usize> {
        (mode != Mode::Bypass).then_some(self.config.encoder.max_frame)
    }

    /// A frame with our own EtherType would be taken for one of our packets at the far end. Where packets
    /// need more than an Ethernet header, a frame as it is would not arrive.
    fn bypasses(&self, ether: &Ether, mbuf: &Mbuf, mode: Mode) -> bool {
        let outer = &self.config.outer;
        (self.config.oversize == Oversize::Bypass || mode == Mode::Bypass)
            && outer.len() == OUTER_LEN
            && mbuf.len() <= longest_as_it_is(self.config.wan_mtu, ether)
            && ether.ethertype.get() != outer.ethertype()
    }

    #[inline(always)]
    fn take(
        &mut self,
        mut mbuf: Mbuf,
        next: u64,
        _place: usize,
        _mode: Mode,
        counters: &ProtectCounters,
    ) -> Option<(Mbuf, bool)> {
        if let Some(max) = self.config.clamp {
            mbuf = fit::clamp(mbuf, max, &self.pool, &counters.mss_clamped);
        }
        let seq = next + self.stamped.len() as u64;
        let packet = match self.config.keys {
            None => self.stamp(seq, mbuf, counters),
            Some(_) => self.stamp_keyed(seq, mbuf, counters),
        }?;
        if let Some(resender) = &mut self.resender {
            resender.keep(seq, packet.data());
        }
        Some((packet, true))
    }

    #[inline]
    fn taken(&self) -> usize {
        self.stamped.len()
    }

    #[inline]
    fn frames<'a>(&'a self, _waiting: &'a [Mbuf]) -> ArrayVec<&'a [u8], BURST> {
        frames(&self.stamped, &self.copies)
    }

    #[inline]
    fn encode(&mut self, now: u64, encoder: &mut Encoder) {
        let frames = frames(&self.stamped, &self.copies);
        encoder.push_batch(now, &frames, &self.checks);
        drop(frames);
        self.checks.clear();
        kept::release(self.stamped.drain(..).filter_map(|stamped| match stamped {
            Stamped::Copied(_) => None,
            Stamped::Kept(frame) => Some(frame),
        }));
    }

    #[inline]
    fn next_piece(&mut self, encoder: &mut Encoder, counters: &ProtectCounters) -> Option<Piece> {
        while let Some(repair) = encoder.take_repair() {
            let mbuf = spare(&mut self.spare, &self.pool);
            let packet = mbuf.and_then(|mbuf| match &self.sealing {
                None => emit(&self.config, self.repair_key, self.dscp, mbuf, &repair),
                Some(sealing) => {
                    self.repair_number += 1;
                    keyed::emit(&self.config, sealing, self.repair_number, self.dscp, mbuf, &repair)
                }
            });
            match packet {
                Some(mbuf) => return Some(Piece { mbuf, outline: Some(Outline::of(&repair)) }),
                None => counters.repair_no_mbuf.add(1),
            }
        }
        None
    }

    #[inline]
    fn has_next_hop(&self) -> bool {
        self.config.has_hop
    }

    fn set_next_hop(&mut self, mac: [u8; 6]) {
        self.config.outer.set_destination(mac);
        self.config.has_hop = true;
    }

    #[cold]
    fn change_keys(&mut self, keys: Sealing) {
        let old = self.set_keys(keys);
        if let Some((spent, old)) = self.spent.as_ref().zip(old) {
            // There is room: control lends no more than that.
            spent.send(old);
        }
    }

    fn give_back_keys(&mut self, spent: post::Sender<Sealing>) {
        self.spent = Some(spent);
    }

    fn resend_with(&mut self, resender: Resender) {
        self.resender = Some(Box::new(resender));
    }

    fn resends(&self) -> bool {
        self.resender.as_ref().is_some_and(|resender| resender.is_affordable())
    }

    #[inline]
    fn resend<W: Transmit>(&mut self, now: u64, exit: &mut Exit<W>) {
        if self.resender.is_some() {
            self.take_letters(now, exit);
            if self.resender.as_ref().is_some_and(|resender| resender.is_due()) {
                self.answer_peer(now, exit);
            }
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

/// An empty packet.
#[inline]
pub(super) fn spare(spare: &mut Burst, pool: &Mempool) -> Option<Mbuf> {
    if spare.is_empty() {
        pool.alloc_bulk(spare, BURST);
    }
    ArrayVec::pop(spare)
}

#[inline]
fn emit(
    config: &ProtectConfig,
    key: Option<CheckKey>,
    dscp: u8,
    mut mbuf: Mbuf,
    repair: &Repair<'_>,
) -> Option<Mbuf> {
    let outer = &config.outer;
    let behind = repair::packet_len(repair);
    let packet = mbuf.append(outer.len() + behind)?;
    outer.write(packet, behind, dscp);
    repair::emit(repair, config.channel, config.epoch, key, packet.get_mut(outer.len()..)?);
    outer.seal(Some(packet));
    Some(mbuf)
}
