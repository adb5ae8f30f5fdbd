//! How a room receives and sends: a port's queues, or something that wraps them.

use crate::dpdk::mbuf::{self, Burst, Mbuf};
use crate::dpdk::{RxQueue, TxQueue};

/// Where frames come from.
pub trait Receive: Send {
    /// Puts what has arrived by `now` (nanoseconds) into the empty `burst`.
    fn receive(&mut self, now: u64, burst: &mut Burst);
}

/// Where frames go.
pub trait Transmit: Send {
    /// Sends from the front of `burst` and removes what was taken; the rest stays in order.
    fn transmit(&mut self, now: u64, burst: &mut Burst);

    /// Whether the packet that was taken so many packets before the last is gone, for good: its
    /// descriptor is done. None where nobody can tell.
    #[inline]
    fn is_done(&mut self, _behind: u64) -> Option<bool> {
        None
    }
}

impl Receive for RxQueue {
    #[inline]
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        self.burst(burst);
    }
}

impl Transmit for TxQueue {
    #[inline]
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        self.burst(burst);
    }

    #[inline]
    fn is_done(&mut self, behind: u64) -> Option<bool> {
        self.is_sent(behind)
    }
}

/// Several queues as one, received from in turn. Each keeps its own order.
pub struct Queues<R> {
    queues: Vec<R>,
    next: usize,
    last: usize,
}

impl<R: Receive> Queues<R> {
    /// Of one queue or more.
    pub fn new(queues: Vec<R>) -> Queues<R> {
        Queues { queues, next: 0, last: 0 }
    }

    /// Which queue was received from last.
    pub fn last(&self) -> usize {
        self.last
    }
}

impl<R: Receive> Receive for Queues<R> {
    #[inline]
    fn receive(&mut self, now: u64, burst: &mut Burst) {
        // Drivers want an empty burst, so what one queue brings is all that this call does.
        for _ in 0..self.queues.len() {
            if let Some(queue) = self.queues.get_mut(self.next) {
                queue.receive(now, burst);
            }
            self.last = self.next;
            self.next = if self.next + 1 < self.queues.len() { self.next + 1 } else { 0 };
            if !burst.is_empty() {
                return;
            }
        }
    }
}

/// How many packets ahead a frame's first lines are fetched: short ones take less time than memory.
const AHEAD: usize = 5;
/// The same for the rest of a long frame, which takes longer to treat.
const REST_AHEAD: usize = 3;

/// The packets of a burst, each fetched into this core's cache while those before it are treated:
/// its front some packets ahead, with room for `headers` bytes before it, its rest, if it will be
/// `read`, while the one before it is treated.
#[inline]
pub(super) fn fetched(
    burst: Burst,
    headers: usize,
    read: impl Fn(&Mbuf) -> bool,
) -> impl Iterator<Item = Mbuf> {
    burst.iter().for_each(Mbuf::prefetch);
    burst.iter().take(AHEAD).for_each(|mbuf| mbuf.prefetch_front(headers));
    let mut burst = burst.into_iter();
    std::iter::from_fn(move || {
        if let Some(ahead) = burst.as_slice().get(AHEAD) {
            ahead.prefetch_front(headers);
        }
        if let Some(next) = burst.as_slice().get(REST_AHEAD).filter(|next| read(next)) {
            next.prefetch_rest();
        }
        burst.next()
    })
}

/// A burst on its way out. What the port does not take stays here for the next attempt, and a room
/// that can't empty its outbox does not receive: the queue that builds up is the port's own.
pub struct Outbox<T> {
    port: T,
    burst: Burst,
    /// How many frames were ever appended.
    pushed: u64,
}

impl<T: Transmit> Outbox<T> {
    /// An empty one before `port`.
    pub fn new(port: T) -> Outbox<T> {
        Outbox { port, burst: Burst::new(), pushed: 0 }
    }

    /// What it sends through.
    pub fn port_mut(&mut self) -> &mut T {
        &mut self.port
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.burst.is_empty()
    }

    /// How many frames wait.
    pub fn len(&self) -> usize {
        self.burst.len()
    }

    /// What waits.
    pub fn waiting(&self) -> &[Mbuf] {
        &self.burst
    }

    /// How many frames were ever appended.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many of those the port has taken, as long as none was dropped.
    pub fn taken(&self) -> u64 {
        self.pushed - self.burst.len() as u64
    }

    /// Drops what waits; says how many frames that were.
    pub fn discard(&mut self) -> usize {
        let count = self.burst.len();
        mbuf::free(&mut self.burst);
        count
    }

    /// Tries to send what waits.
    #[inline]
    pub fn send(&mut self, now: u64) {
        if !self.burst.is_empty() {
            self.port.transmit(now, &mut self.burst);
        }
    }

    /// Whether there is room for another frame, sending first when there is none.
    #[inline]
    pub fn has_room(&mut self, now: u64) -> bool {
        if self.burst.is_full() {
            self.port.transmit(now, &mut self.burst);
        }
        !self.burst.is_full()
    }

    /// Appends a frame, sending first when there is no room. False, and the frame dropped, when
    /// the port does not take any.
    #[inline]
    pub fn push(&mut self, now: u64, mbuf: Mbuf) -> bool {
        let pushed = self.has_room(now) && self.burst.try_push(mbuf).is_ok();
        self.pushed += u64::from(pushed);
        pushed
    }
}
