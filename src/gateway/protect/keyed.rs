//! What keys change between a frame and the outbox.

use super::Protect;
use super::stamping::{ProtectConfig, Stamped, Stamping, spare};
use crate::control::counters::ProtectCounters;
use crate::dpdk::mbuf::Mbuf;
use crate::fec::{Repair, SHORT, copy_short, seq};
use crate::gateway::io::{Receive, Transmit};
use crate::wire::encap::{MAX_OUTER, dscp_of};
use crate::wire::repair;
use crate::wire::seal::{KEYED_SHIM_LEN, Sealing, source_shim};
use crate::wire::shim::SHIM_LEN;

/// What a keyed source packet has in front of its frame, at most.
const HEADERS: usize = MAX_OUTER + KEYED_SHIM_LEN;

impl<L: Receive, W: Transmit> Protect<L, W> {
    /// Seals with these from the next packet on; they are of this room's channel and epoch, and of
    /// the configured mode. Until the first ones come, a room with keys sends nothing. Returns those
    /// before.
    pub fn set_keys(&mut self, sealing: Sealing) -> Option<Sealing> {
        self.crossing.set_keys(sealing)
    }
}

impl Stamping {
    /// See [`Protect::set_keys`].
    pub(super) fn set_keys(&mut self, sealing: Sealing) -> Option<Sealing> {
        debug_assert!(self.config.keys.is_some());
        if let Some(resender) = &mut self.resender {
            resender.forget();
        }
        self.sealing.replace(sealing)
    }

    /// As `stamp`, with a tag. Encryption goes from the frame's buffer into another one, as the
    /// encoder still needs the frame; short frames are copied for it anyway.
    #[inline]
    pub(super) fn stamp_keyed(
        &mut self,
        seq: u64,
        mut mbuf: Mbuf,
        counters: &ProtectCounters,
    ) -> Option<Mbuf> {
        let Some(Sealing { source: sealer, .. }) = &self.sealing else {
            counters.no_keys.add(1);
            return None;
        };
        let nth = self.stamped.len();
        let frame = mbuf.data();
        let length = frame.len();
        let outer = &self.config.outer;
        if outer.copies_dscp() {
            self.dscp = dscp_of(frame);
        }
        let (before, in_front) = (outer.len(), self.headers);
        let mut headers = [0; HEADERS];
        outer.write(&mut headers, KEYED_SHIM_LEN + length, self.dscp);
        headers[before..][..SHIM_LEN].copy_from_slice(
            &source_shim(self.config.channel, self.config.epoch, seq, length as u16).emit(),
        );
        // A number that is used up would come again, and no number may.
        if seq >= seq::LIMIT {
            counters.seal_failed.add(1);
            return None;
        }
        let (packet, check, stamped);
        if length > SHORT && sealer.hides() {
            let sealed = spare(&mut self.spare, &self.pool).and_then(|mut sealed| {
                let bytes = sealed.append(in_front + length)?;
                bytes[..in_front].copy_from_slice(&headers[..in_front]);
                let check = sealer.seal_from(seq, &mut bytes[before..], frame)?;
                Some((sealed, check))
            });
            let Some(sealed) = sealed else {
                counters.seal_failed.add(1);
                return None;
            };
            (packet, check) = sealed;
            stamped = Stamped::Kept(mbuf.into_kept());
        } else {
            let copied = length <= SHORT;
            if copied {
                copy_short(frame, &mut self.copies[nth]);
            }
            let Some(front) = mbuf.prepend(in_front) else {
                counters.no_headroom.add(1);
                return None;
            };
            front.copy_from_slice(&headers[..in_front]);
            let sealed = mbuf
                .data_mut()
                .and_then(|bytes| sealer.seal(seq, &mut bytes[before..], KEYED_SHIM_LEN));
            let Some(tag) = sealed else {
                counters.seal_failed.add(1);
                return None;
            };
            check = tag;
            stamped = match copied {
                true => Stamped::Copied(length as u8),
                false => {
                    let mut frame = mbuf.keep();
                    frame.skip(in_front);
                    Stamped::Kept(frame)
                }
            };
            packet = mbuf;
        }
        let mut packet = packet;
        if self.config.outer.seals() {
            self.config.outer.seal(packet.data_mut());
        }
        self.checks.push(check);
        self.stamped.push(stamped);
        Some(packet)
    }
}

/// Makes a repair packet of this number.
#[inline]
pub(super) fn emit(
    config: &ProtectConfig,
    sealing: &Sealing,
    number: u64,
    dscp: u8,
    mut mbuf: Mbuf,
    repair: &Repair<'_>,
) -> Option<Mbuf> {
    let outer = &config.outer;
    let behind = repair::keyed_packet_len(repair);
    let packet = mbuf.append(outer.len() + behind)?;
    outer.write(packet, behind, dscp);
    let (channel, epoch) = (config.channel, config.epoch);
    let body = packet.get_mut(outer.len()..)?;
    let sealed = repair::emit_keyed(repair, channel, epoch, number, &sealing.repair, body);
    outer.seal(Some(packet));
    sealed.then_some(mbuf)
}
