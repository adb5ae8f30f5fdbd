//! `recover` with keys: which ones open a packet, and when an epoch begins.

use super::{Observer, Recover};
use crate::dpdk::mbuf::Mbuf;
use crate::fec::CheckKey;
use crate::fec::decoder::Confirm;
use crate::gateway::io::{Receive, Transmit};
use crate::gateway::post;
use crate::link::What;
use crate::link::replay::{Replay, WideReplay};
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
    /// What control calls them.
    number: u32,
    /// Which control packets have been here: a flood of those must not fill control's mailbox.
    heard: Replay,
    /// The same of nacks, whose numbers are apart.
    asked: Replay,
    /// Which repairs have been here: while they wait, copies must not take the places of others.
    repaired: WideReplay,
    source: Opener,
    repair: Opener,
    control: Opener,
}

impl Keys {
    /// Whether control packet `seq` was not here before.
    fn is_fresh(&mut self, seq: u64) -> bool {
        if seq < nack::NUMBERS { self.heard.admit(seq) } else { self.asked.admit(seq) }
    }
}

/// The keys of the present epoch, and of one that may begin.
#[derive(Default)]
pub(super) struct Keyring {
    present: Option<Keys>,
    next: Option<(Keys, Resealer)>,
    /// Where old ones go, for control to drop.
    spent: Option<post::Sender<Opening>>,
}

impl Keyring {
    #[inline]
    fn of(&mut self, epoch: u32) -> Option<&mut Keys> {
        let next = self.next.as_mut().map(|(keys, _)| keys);
        [self.present.as_mut(), next].into_iter().flatten().find(|keys| keys.epoch == epoch)
    }

    /// Gives keys back: they hold memory, which no room frees.
    fn give_back(&self, keys: Keys, again: Resealer) {
        let Keys { source, repair, control, .. } = keys;
        if let Some(spent) = &self.spent {
            // There is room: control lends no more than that.
            spent.send(Opening { source, repair, control, again });
        }
    }
}

impl<W: Receive, L: Transmit, O: Observer> Recover<W, L, O> {
    /// Believes what opens with these, of this epoch of the peer. The present epoch goes on until a
    /// packet of the new one has opened. Keys for the present epoch begin it anew at once, with an empty
    /// window: nothing under its old keys opens or is rebuilt any more, so nothing can come twice.
    pub fn set_keys(&mut self, peer_epoch: u32, opening: Opening) {
        self.add_keys(peer_epoch, 0, opening);
    }

    /// Gives keys back through this when nothing can open with them any more.
    pub fn give_back_keys(&mut self, spent: post::Sender<Opening>) {
        self.keyring.spent = Some(spent);
    }

    /// The channel of the peer, and the longest frame that comes through it.
    pub fn keyed_channel(&self) -> (u8, usize) {
        (self.config.channel, self.config.decoder.max_frame)
    }

    /// Control has agreed upon these, or is about to.
    #[cold]
    pub(super) fn change_keys(&mut self, now: u64, epoch: u32, number: u32, opening: Opening) {
        // What was opened with the old ones belongs to the old window.
        self.settle(now);
        self.add_keys(epoch, number, opening);
    }

    fn add_keys(&mut self, epoch: u32, number: u32, opening: Opening) {
        debug_assert!(self.config.keys.is_some());
        let Opening { source, repair, control, again } = opening;
        let keys = Keys {
            epoch,
            number,
            heard: Replay::default(),
            asked: Replay::default(),
            repaired: WideReplay::default(),
            source,
            repair,
            control,
        };
        match self.keyring.present.take_if(|present| present.epoch == epoch) {
            Some(old) => {
                self.repairs.clear();
                self.begin(old, keys, again);
            }
            None => {
                if let Some((old, old_again)) = self.keyring.next.replace((keys, again)) {
                    self.keyring.give_back(old, old_again);
                }
            }
        }
    }

    /// The window begins anew, under these keys.
    fn begin(&mut self, old: impl Into<Option<Keys>>, keys: Keys, again: Resealer) {
        let epoch = keys.epoch;
        self.keyring.present = Some(keys);
        let confirmation = self.decoder.restart(Confirmation::Tag(again));
        if let (Some(old), Confirmation::Tag(again)) = (old.into(), confirmation) {
            self.keyring.give_back(old, again);
        }
        // Without a packet, nobody says what time it is; the last one's is near enough.
        self.out.restart(self.out.now, self.config.channel, epoch);
    }

    /// Hands up what nobody has opened. Anybody can send that, so half the mailbox is kept for what the
    /// peer says.
    pub(super) fn hand_up_strange(&self, at: u64, what: What, parts: &[&[u8]], len: usize) {
        let counters = &self.out.counters;
        let heard = self.desk.has_half() && self.desk.post(at, what, parts, len);
        let [taken, dropped] = match what {
            What::Frame => [&counters.control_heard, &counters.control_unheard],
            _ => [&counters.handshakes_heard, &counters.handshakes_unheard],
        };
        if heard { taken.add(1) } else { dropped.add(1) }
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
            Kind::Named => self.out.counters.bad_kind.add(1),
            Kind::Source => match open_source(keys, shim, packet) {
                Err(bad) => self.reason(bad).add(1),
                Ok(()) => self.take_source(now, shim, mbuf),
            },
            Kind::Repair => {
                let number = RepairHeader::claimed_number(packet);
                match RepairHeader::open(shim, packet, &keys.repair) {
                    Err(bad) => self.reason(bad).add(1),
                    Ok(_) if !number.is_some_and(|number| keys.repaired.admit(number)) => {
                        self.out.counters.replayed.add(1);
                    }
                    Ok((header, before)) => self.take_repair(now, shim, header, before, mbuf),
                }
            }
            Kind::Control => match control::open(shim, packet, &keys.control) {
                Err(bad) => self.reason(bad).add(1),
                Ok(_) if !keys.is_fresh(shim.seq) => self.out.counters.replayed.add(1),
                Ok(_) => {
                    let number = keys.number;
                    let body = mbuf.data().get(outer_len + KEYED_SHIM_LEN..).unwrap_or_default();
                    let body = &body[..usize::from(shim.length).min(body.len())];
                    let what = What::Opened { shim: *shim, keys: number };
                    match nack::is_nack(body) {
                        true => self.out.hear_nack(now, shim, body),
                        false => self.hand_up(now, what, &[body], mbuf.len()),
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
            self.inbound.begin(now, shim.epoch);
            let old = self.keyring.present.take();
            self.begin(old, keys, again);
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
