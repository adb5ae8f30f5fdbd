//! What rooms of every encapsulation do for control alike.
//!
//! * **Does:** send control's parcels, hand up what it shall hear, name the counter of what is refused.
//! * **Fed by:** rooms.
//! * **Feeds:** their ports, and control.
//! * **Runs on:** the rooms' workers.
//! * **Must not:** wait: what a full port or a full mailbox does not take is counted and gone.

use super::io::{Outbox, Transmit};
use super::post::{self, Heard, Parcel, RecoverOrder, What};
use super::shaper::Shaper;
use crate::control::counters::{Counter, ProtectCounters, RecoverCounters};
use crate::dpdk::Mempool;
use crate::wire::control;
use crate::wire::shim::Shim;
use crate::wire::{Bad, Report};

/// Sends a parcel through the WAN port. It goes whatever the rate says, and others wait for that.
#[cold]
pub(super) fn send_to_wan<W: Transmit>(
    now: u64,
    parcel: &Parcel,
    pool: &Mempool,
    wan: &mut Outbox<W>,
    shaper: Option<&mut Shaper>,
    counters: &ProtectCounters,
) {
    let sent = post::packet(pool, parcel).is_some_and(|mbuf| {
        if let Some(shaper) = shaper {
            shaper.advance(now);
            shaper.spend(mbuf.len());
        }
        wan.push(now, mbuf)
    });
    counters.control_sent.add(u64::from(sent));
    counters.control_unsent.add(u64::from(!sent));
}

/// Sends a parcel through the LAN port.
#[cold]
pub(super) fn send_to_lan<L: Transmit>(
    now: u64,
    parcel: &Parcel,
    pool: &Mempool,
    lan: &mut Outbox<L>,
    counters: &RecoverCounters,
) {
    let sent = post::packet(pool, parcel).is_some_and(|mbuf| lan.push(now, mbuf));
    counters.control_sent.add(u64::from(sent));
    counters.control_unsent.add(u64::from(!sent));
}

/// A recovering room's ends of the post, if there is control.
#[derive(Default)]
pub(super) struct Desk(Option<Ends>);

struct Ends {
    number: u8,
    orders: post::Receiver<RecoverOrder>,
    heard: post::Sender<Heard>,
    reports: post::Sender<Report>,
}

impl Desk {
    /// Of room number `number`.
    pub(super) fn new(
        number: u8,
        orders: post::Receiver<RecoverOrder>,
        heard: post::Sender<Heard>,
        reports: post::Sender<Report>,
    ) -> Desk {
        Desk(Some(Ends { number, orders, heard, reports }))
    }

    /// Hands up what the link has done. Who does not take it asks again.
    pub(super) fn report(&self, report: impl FnOnce() -> Report) {
        if let Some(ends) = &self.0 {
            ends.reports.send(report());
        }
    }

    /// The next order.
    #[inline]
    pub(super) fn order(&self) -> Option<RecoverOrder> {
        self.0.as_ref().and_then(|ends| ends.orders.receive())
    }

    /// Hands a control packet up, if its check is right.
    #[cold]
    pub(super) fn hear(
        &self,
        at: u64,
        shim: &Shim,
        rest: &[u8],
        len: usize,
        counters: &RecoverCounters,
    ) {
        match control::verify(shim, rest) {
            Ok(body) => self.hand_up(at, What::Control(*shim), &[body], len, counters),
            Err(bad) => reason(bad)(counters).add(1),
        }
    }

    /// Hands something up that came in a packet of this length.
    pub(super) fn hand_up(
        &self,
        at: u64,
        what: What,
        parts: &[&[u8]],
        len: usize,
        counters: &RecoverCounters,
    ) {
        match self.post(at, what, parts, len) {
            true => counters.control_heard.add(1),
            false => counters.control_unheard.add(1),
        }
    }

    /// As [`Desk::hand_up`], but who calls counts. Says whether it was taken.
    pub(super) fn post(&self, at: u64, what: What, parts: &[&[u8]], len: usize) -> bool {
        self.0.as_ref().zip(Parcel::of(parts)).is_some_and(|(ends, bytes)| {
            ends.heard.send(Heard { at, room: ends.number, len: len as u16, what, bytes })
        })
    }

    /// Whether half of the mailbox to control is left, or more.
    pub(super) fn has_half(&self) -> bool {
        self.0.as_ref().is_some_and(|ends| !ends.heard.is_half_full())
    }
}

/// The counter of what is refused for this.
pub(super) fn reason(bad: Bad) -> fn(&RecoverCounters) -> &Counter {
    match bad {
        Bad::Truncated => |counters| &counters.truncated,
        Bad::Version => |counters| &counters.bad_version,
        Bad::Kind => |counters| &counters.bad_kind,
        Bad::Integrity => |counters| &counters.bad_integrity,
        Bad::Length => |counters| &counters.bad_length,
        Bad::Sequence => |counters| &counters.bad_sequence,
        Bad::Members => |counters| &counters.bad_members,
        Bad::Check => |counters| &counters.bad_check,
        Bad::Tag => |counters| &counters.bad_tag,
    }
}
