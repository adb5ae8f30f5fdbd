//! `protect` with keys: what it does between a frame and the outbox.

use arrayvec::ArrayVec;
use zerocopy::IntoBytes;

use super::{Protect, ProtectConfig, Stamped};
use crate::dpdk::mbuf::{BURST, Burst, Mbuf};
use crate::fec::{Repair, SHORT, copy_short, seq};
use crate::gateway::io::{Receive, Transmit};
use crate::wire::outer::OUTER_LEN;
use crate::wire::repair;
use crate::wire::seal::{KEYED_SHIM_LEN, Sealing, source_shim};
use crate::wire::shim::SHIM_LEN;

/// What a keyed source packet has in front of its frame.
const HEADERS: usize = OUTER_LEN + KEYED_SHIM_LEN;

impl<L: Receive, W: Transmit> Protect<L, W> {
    /// Seals with these from the next packet on; they are of this room's channel and epoch, and of
    /// the configured mode. Until the first ones come, a room with keys sends nothing.
    pub fn set_keys(&mut self, sealing: Sealing) {
        debug_assert!(self.config.keys.is_some());
        self.sealing = Some(sealing);
    }

    /// As `stamp`, with a tag. Encryption goes from the frame's buffer into another one, as the
    /// encoder still needs the frame; short frames are copied for it anyway.
    pub(super) fn stamp_keyed(&mut self, mut mbuf: Mbuf) -> Option<Mbuf> {
        let Some(Sealing { source: sealer, .. }) = &self.sealing else {
            self.counters.no_keys.add(1);
            return None;
        };
        let nth = self.stamped.len();
        let seq = self.encoder.next_seq() + nth as u64;
        let frame = mbuf.data();
        let length = frame.len();
        let mut headers = [0; HEADERS];
        headers[..OUTER_LEN].copy_from_slice(self.config.outer.ether.as_bytes());
        headers[OUTER_LEN..][..SHIM_LEN].copy_from_slice(
            &source_shim(self.config.channel, self.config.epoch, seq, length as u16).emit(),
        );
        // A number that is used up would come again, and no number may.
        if seq >= seq::LIMIT {
            self.counters.seal_failed.add(1);
            return None;
        }
        let (packet, check, stamped);
        if length > SHORT && sealer.hides() {
            let sealed = spare(&mut self.spare, &self.pool).and_then(|mut sealed| {
                let bytes = sealed.append(HEADERS + length)?;
                bytes[..HEADERS].copy_from_slice(&headers);
                let check = sealer.seal_from(seq, &mut bytes[OUTER_LEN..], frame)?;
                Some((sealed, check))
            });
            let Some(sealed) = sealed else {
                self.counters.seal_failed.add(1);
                return None;
            };
            (packet, check) = sealed;
            stamped = Stamped::Kept(mbuf.into_kept());
        } else {
            let copied = length <= SHORT;
            if copied {
                copy_short(frame, &mut self.copies[nth]);
            }
            let Some(front) = mbuf.prepend(HEADERS) else {
                self.counters.no_headroom.add(1);
                return None;
            };
            front.copy_from_slice(&headers);
            let sealed = mbuf
                .data_mut()
                .and_then(|bytes| sealer.seal(seq, &mut bytes[OUTER_LEN..], KEYED_SHIM_LEN));
            let Some(tag) = sealed else {
                self.counters.seal_failed.add(1);
                return None;
            };
            check = tag;
            stamped = match copied {
                true => Stamped::Copied(length as u8),
                false => {
                    let mut frame = mbuf.keep();
                    frame.skip(HEADERS);
                    Stamped::Kept(frame)
                }
            };
            packet = mbuf;
        }
        self.checks.push(check);
        self.stamped.push(stamped);
        Some(packet)
    }
}

/// An empty packet.
#[inline]
fn spare(spare: &mut Burst, pool: &crate::dpdk::Mempool) -> Option<Mbuf> {
    if spare.is_empty() {
        pool.alloc_bulk(spare, BURST);
    }
    ArrayVec::pop(spare)
}

/// Makes a repair packet of this number; also says how long it is.
#[inline]
pub(super) fn emit(
    config: &ProtectConfig,
    sealing: &Sealing,
    number: u64,
    mut mbuf: Mbuf,
    repair: &Repair<'_>,
) -> Option<(Mbuf, u64)> {
    let len = OUTER_LEN + repair::keyed_packet_len(repair);
    let packet = mbuf.append(len)?;
    packet[..OUTER_LEN].copy_from_slice(config.outer.ether.as_bytes());
    let packet = &mut packet[OUTER_LEN..];
    let (channel, epoch) = (config.channel, config.epoch);
    let sealed = repair::emit_keyed(repair, channel, epoch, number, &sealing.repair, packet);
    sealed.then_some((mbuf, len as u64))
}
