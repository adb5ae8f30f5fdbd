//! The emulated WAN as a room between two ports: what comes in at one goes out at the other, late,
//! or not at all.
//!
//! * **Does:** receive, hand to the [`Link`] of that direction, send what leaves it.
//! * **Fed by:** the two gateways' WAN ports.
//! * **Feeds:** the same, each the other's.
//! * **Runs on:** the worker of `maelstrom wan`, in real time, or the laboratory, in virtual time.
//! * **Must not:** read a clock, or keep the mbufs that it received: frames in flight are copies.

use super::link::{Fate, Link, LinkConfig, LinkCounters};
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{BURST, Burst};
use crate::gateway::{Outbox, Receive, Room, Transmit};

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the western gateway.
    Eastward,
    /// From the eastern gateway.
    Westward,
}

/// Somebody who wants to know what enters the WAN. `()` does not.
pub trait Witness: Send {
    /// `frame` enters, and this becomes of it.
    fn entered(&mut self, now: u64, direction: Direction, frame: &[u8], fate: &Fate);
}

impl Witness for () {
    fn entered(&mut self, _now: u64, _direction: Direction, _frame: &[u8], _fate: &Fate) {}
}

/// One direction.
struct Lane<R, T> {
    direction: Direction,
    from: R,
    to: Outbox<T>,
    link: Link,
    received: Burst,
}

/// The room. See the module's head.
pub struct Wan<R, T, X> {
    lanes: [Lane<R, T>; 2],
    pool: Mempool,
    witness: X,
}

impl<R: Receive, T: Transmit> Lane<R, T> {
    fn poll(&mut self, now: u64, pool: &Mempool, witness: &mut impl Witness) -> usize {
        self.from.receive(now, &mut self.received);
        let mut work = self.received.len();
        for mbuf in self.received.drain(..) {
            let frame = mbuf.data();
            // Buffers hold whatever the MTU allows, so a frame in several is over it.
            let fate = match mbuf.is_contiguous() {
                true => self.link.enter(now, frame),
                false => self.link.refuse(mbuf.len()),
            };
            witness.entered(now, self.direction, frame, &fate);
        }
        // At most a burst a turn; what the port or the pool has no room for stays in flight.
        for _ in 0..BURST {
            if self.link.next_exit().is_none_or(|exit| exit > now) || !self.to.has_room(now) {
                break;
            }
            let Some(mut mbuf) = pool.alloc() else { break };
            let Some(frame) = self.link.leave(now) else { break };
            work += 1;
            // Frames that entered in one buffer fit in one.
            if let Some(bytes) = mbuf.append(frame.bytes.len()) {
                bytes.copy_from_slice(frame.bytes);
                self.to.push(now, mbuf);
            }
        }
        self.to.send(now);
        work
    }
}

impl<R: Receive, T: Transmit, X: Witness> Wan<R, T, X> {
    /// A WAN between the ports `west` and `east`, with `eastward` and `westward` as its two
    /// directions.
    ///
    /// # Panics
    /// As [`Link::new`], on a configuration that its `check` refuses.
    pub fn new(
        west: (R, T),
        east: (R, T),
        eastward: LinkConfig,
        westward: LinkConfig,
        pool: Mempool,
        witness: X,
    ) -> Wan<R, T, X> {
        let lane = |direction, from, to, config| Lane {
            direction,
            from,
            to: Outbox::new(to),
            link: Link::new(config),
            received: Burst::new(),
        };
        let lanes = [
            lane(Direction::Eastward, west.0, east.1, eastward),
            lane(Direction::Westward, east.0, west.1, westward),
        ];
        Wan { lanes, pool, witness }
    }

    /// Takes memory for `frames` frames of `bytes` bytes in all in flight in each direction, which
    /// otherwise is taken as the WAN first fills, and stalls it.
    pub fn reserve(&mut self, frames: usize, bytes: usize) {
        self.lanes.iter_mut().for_each(|lane| lane.link.reserve(frames, bytes));
    }

    /// When the next frame leaves.
    pub fn next_deadline(&self) -> Option<u64> {
        self.lanes.iter().filter_map(|lane| lane.link.next_exit()).min()
    }

    /// Who is told of what enters.
    pub fn witness_mut(&mut self) -> &mut X {
        &mut self.witness
    }

    /// What one direction counted.
    pub fn counters(&self, direction: Direction) -> LinkCounters {
        *self.lanes[direction as usize].link.counters()
    }
}

impl<R: Receive, T: Transmit, X: Witness> Room for Wan<R, T, X> {
    fn poll(&mut self, now: u64) -> usize {
        let Wan { lanes, pool, witness } = self;
        lanes.iter_mut().map(|lane| lane.poll(now, pool, witness)).sum()
    }

    /// What is in flight when a WAN is switched off is lost.
    fn finish(&mut self, _now: u64) -> bool {
        true
    }
}
