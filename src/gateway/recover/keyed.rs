//! `recover` with keys: which ones open a packet, and when an epoch begins.

use super::{Observer, Recover};
use crate::dpdk::mbuf::Mbuf;
use crate::fec::CheckKey;
use crate::fec::decoder::Confirm;
use crate::gateway::io::{Receive, Transmit};
use crate::link::What;
use crate::wire::nack;
use crate::wire::outer::MIN_FRAME;
use crate::wire::repair::RepairHeader;
use crate::wire::seal::{KEYED_SHIM_LEN, Opener, Opening, Resealer};
use crate::wire::shim::{Integrity, Kind, SHIM_LEN, Shim};
use crate::wire::{Bad, control};

/// What confirms rebuilt frames.
pub(super) enum Confirmation {
    /// A check, if anything.
    Check(Option<CheckKey>),
    /// The first half of a tag.
    Tag(Resealer),
}

impl Confirm for Confirmation {
    #[inline]
    fn confirm(&mut self, seq: u64, frame: &[u8], check: u64) -> bool {
        match self {
            Confirmation::Check(key) => key.confirm(seq, frame, check),
            Confirmation::Tag(again) => again.confirm(seq, frame, check),
        }
    }
}

/// The keys of one epoch of the peer.
struct Keys {
    epoch: u32,
    source: Opener,
    repair: Opener,
    control: Opener,
}

/// The keys of the present epoch, and of one that may begin.
#[derive(Default)]
pub(super) struct Keyring {
    present: Option<Keys>,
    next: Option<(Keys, Resealer)>,
}

impl Keyring {
    #[inline]
    fn of(&self, epoch: u32) -> Option<&Keys> {
        let next = self.next.as_ref().map(|(keys, _)| keys);
        [self.present.as_ref(), next].into_iter().flatten().find(|keys| keys.epoch == epoch)
    }
}

impl<W: Receive, L: Transmit, O: Observer> Recover<W, L, O> {
    /// Believes what opens with these, of this epoch of the peer. The present epoch goes on until a
    /// packet of the new one has opened. Keys for the present epoch begin it anew at once, with an empty
    /// window: nothing under its old keys opens or is rebuilt any more, so nothing can come twice.
    pub fn set_keys(&mut self, peer_epoch: u32, opening: Opening) {
        debug_assert!(self.config.keys.is_some());
        let Opening { source, repair, control, again } = opening;
        let keys = Keys { epoch: peer_epoch, source, repair, control };
        match &mut self.keyring.present {
            Some(present) if present.epoch == peer_epoch => {
                *present = keys;
                self.repairs.clear();
                self.decoder.restart(Confirmation::Tag(again));
                // Without a packet, nobody says what time it is; the last one's is near enough.
                self.out.restart(self.out.now, self.config.channel, peer_epoch);
            }
            _ => self.keyring.next = Some((keys, again)),
        }
    }

    /// Opens a packet and takes what is in it.
    pub(super) fn take_keyed(&mut self, now: u64, shim: &Shim, mut mbuf: Mbuf) {
        let outer_len = self.config.pattern.len();
        // A handshake has no keys of a session yet, and proves by itself who sends it.
        if shim.kind == Kind::Control && shim.integrity == Integrity::Check {
            let rest = mbuf.data().get(outer_len + SHIM_LEN..).unwrap_or_default();
            return match control::is_handshake(rest) {
                true => self.hear(now, shim, rest, mbuf.len()),
                false => self.out.counters.bad_integrity.add(1),
            };
        }
        if shim.integrity != Integrity::Tag {
            return self.out.counters.bad_integrity.add(1);
        }
        if !mbuf.is_writable() {
            // The sender is in this process and still reads it.
            let Some(copy) = self.out.pool.copy_of(mbuf.data()) else {
                return self.out.counters.no_mbuf.add(1);
            };
            mbuf = copy;
        }
        let Some(keys) = self.keyring.of(shim.epoch) else {
            return self.out.counters.no_keys.add(1);
        };
        let Some(packet) = mbuf.data_mut().and_then(|bytes| bytes.get_mut(outer_len..)) else {
            return self.out.counters.truncated.add(1);
        };
        match shim.kind {
            Kind::Source => match open_source(keys, shim, packet) {
                Err(bad) => self.reason(bad).add(1),
                Ok(()) => self.take_source(now, shim, mbuf),
            },
            Kind::Repair => match RepairHeader::open(shim, packet, &keys.repair) {
                Err(bad) => self.reason(bad).add(1),
                Ok((header, before)) => self.take_repair(now, shim, header, before, mbuf),
            },
            Kind::Control => match control::open(shim, packet, &keys.control) {
                Err(bad) => self.reason(bad).add(1),
                Ok(_) => {
                    let body = mbuf.data().get(outer_len + KEYED_SHIM_LEN..).unwrap_or_default();
                    let body = &body[..usize::from(shim.length).min(body.len())];
                    match nack::is_nack(body) {
                        true => self.out.hear_nack(now, shim, body),
                        false => self.hand_up(now, What::Control(*shim), &[body], mbuf.len()),
                    }
                }
            },
        }
    }

    /// Begins the epoch of a packet that was opened, unless it is the present one: nobody but the
    /// peer has its keys.
    #[inline]
    pub(super) fn is_present_keyed(&mut self, now: u64, shim: &Shim) -> bool {
        if self.inbound.epoch() != Some(shim.epoch)
            && let Some((keys, again)) = self.keyring.next.take()
        {
            self.settle(now);
            self.keyring.present = Some(keys);
            self.inbound.begin(now, shim.epoch);
            self.decoder.restart(Confirmation::Tag(again));
            self.out.restart(now, shim.channel, shim.epoch);
        }
        true
    }
}

#[inline]
fn open_source(keys: &Keys, shim: &Shim, packet: &mut [u8]) -> Result<(), Bad> {
    if packet.len() < KEYED_SHIM_LEN {
        return Err(Bad::Truncated);
    }
    let length = usize::from(shim.length);
    match packet.get_mut(..KEYED_SHIM_LEN + length) {
        Some(packet) if length >= MIN_FRAME => keys.source.open(shim.seq, packet, KEYED_SHIM_LEN),
        _ => Err(Bad::Length),
    }
}
