//! The post between control and the rooms: bounded mailboxes, their letters by value.
//!
//! * **Does:** hands over orders to rooms, and to control what rooms heard.
//! * **Fed by:** control, or a room: one at each end.
//! * **Feeds:** the other one.
//! * **Runs on:** either thread.
//! * **Must not:** allocate, free, lock or wait at a room's end. A mailbox that is full takes nothing
//!   more, and whoever could not send counts that.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::control::counters::Counter;
use crate::dpdk::{Mbuf, Mempool};
use crate::wire::seal::{Opening, Sealing};

use crate::fec::Codes;
pub use crate::link::{Heard, Mode, What};
pub use crate::wire::parcel::Parcel;

/// Letters that a mailbox holds: control looks every 10 ms, a room each turn.
pub const DEPTH: usize = 64;
/// Orders that a room takes in a turn: they are rare, and packets wait meanwhile.
pub const ORDERS: usize = 4;

/// What control tells a room that protects.
#[allow(clippy::large_enum_variant, reason = "a box would be freed in a room")]
pub enum ProtectOrder {
    /// Send this frame through the WAN port. It is whole, outer header included.
    Send(Parcel),
    /// Treat frames from the LAN so.
    Mode(Mode),
    /// Send everything to the station with this Ethernet address.
    NextHop([u8; 6]),
    /// Protect with this code. Not before the last one's [`CodeNews`] came to its end.
    Code(Box<Codes>),
    /// Seal with these from now on, and give the old ones back.
    Keys(Sealing),
}

/// What a room that protects says of a [`ProtectOrder::Code`]. Memory that was allocated by control comes
/// back to it.
#[derive(Debug)]
pub enum CodeNews {
    /// Packets from this number on have the new code.
    From(u64),
    /// The code can't be taken.
    Refused(Box<Codes>),
    /// The old code is out: its last repair was sent, or shed.
    Retired(Box<Codes>),
}

/// What control tells a room that recovers.
#[allow(clippy::large_enum_variant, reason = "a box would be freed in a room")]
pub enum RecoverOrder {
    /// Send this frame through the LAN port.
    Send(Parcel),
    /// The peer has said that it is in this epoch.
    Epoch(u32),
    /// Hand up what was counted of the link.
    Report,
    /// Believe what opens with these too, and give back those that nothing can open with any more.
    Keys {
        /// The peer's epoch.
        epoch: u32,
        /// What they are called.
        number: u32,
        /// The keys.
        opening: Opening,
    },
    /// To the peer and back takes so many nanoseconds.
    RoundTrip(u64),
}

/// A packet of a parcel's bytes and padding, or `None` when the pool is empty or it does not fit.
pub(super) fn packet(pool: &Mempool, parcel: &Parcel) -> Option<Mbuf> {
    let mut mbuf = pool.alloc()?;
    parcel.write(mbuf.append(parcel.len())?);
    Some(mbuf)
}

/// How a room that protects stands to its last [`ProtectOrder::Mode`]: one word, which the room writes and
/// control reads.
#[derive(Clone, Debug, Default)]
pub struct Obeyed(Arc<Counter>);

impl Obeyed {
    const DRAINED: u64 = 1 << 8;

    /// The room treats frames so from now on. Of [`Mode::Drain`]: whether all has left.
    pub fn set(&self, mode: Mode, drained: bool) {
        self.0.set(mode as u64 | if drained { Obeyed::DRAINED } else { 0 });
    }

    /// Whether the room treats frames so.
    pub fn is(&self, mode: Mode) -> bool {
        self.0.get() & !Obeyed::DRAINED == mode as u64
    }

    /// Whether the room takes nothing in and all has left.
    pub fn is_drained(&self) -> bool {
        self.0.get() == Mode::Drain as u64 | Obeyed::DRAINED
    }
}

/// The end of a mailbox that letters go into.
pub struct Sender<T>(Arc<ArrayQueue<T>>);

impl<T> Clone for Sender<T> {
    /// Another end into the same mailbox.
    fn clone(&self) -> Sender<T> {
        Sender(Arc::clone(&self.0))
    }
}

/// The end of a mailbox that letters come out of.
pub struct Receiver<T>(Arc<ArrayQueue<T>>);

/// A mailbox for up to `depth` letters, at least one.
pub fn mailbox<T>(depth: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Arc::new(ArrayQueue::new(depth.max(1)));
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

impl<T> Sender<T> {
    /// Hands over a letter. False, and the letter gone, when the mailbox is full.
    pub fn send(&self, letter: T) -> bool {
        self.0.push(letter).is_ok()
    }

    /// Whether the next letter would be taken: so it stays, with one sender.
    pub fn has_room(&self) -> bool {
        !self.0.is_full()
    }

    /// Whether less than half of it is left.
    pub fn is_half_full(&self) -> bool {
        2 * self.0.len() >= self.0.capacity()
    }
}

impl<T> Receiver<T> {
    /// The next letter. Where there is none, this is two loads.
    #[inline]
    pub fn receive(&self) -> Option<T> {
        // Looking first saves the fence that taking out of an empty queue costs.
        if self.0.is_empty() { None } else { self.0.pop() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_in_order_and_a_full_mailbox_takes_none() {
        let (sender, receiver) = mailbox(2);
        assert_eq!(receiver.receive(), None);
        assert!(!sender.is_half_full());
        assert_eq!([1, 2, 3].map(|n| sender.send(n)), [true, true, false]);
        assert!(sender.is_half_full());
        assert_eq!([receiver.receive(), receiver.receive()], [Some(1), Some(2)]);
        assert!(sender.send(4));
        assert_eq!([receiver.receive(), receiver.receive()], [Some(4), None]);
    }
}
