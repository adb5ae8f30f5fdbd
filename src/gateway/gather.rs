//! Several workers → one queue: sends what workers hand over through a port that has fewer transmit
//! queues than workers.
//!
//! * **Does:** take from each worker's queue in turn, a burst at a time, and send.
//! * **Fed by:** a queue from each `protect` or `recover`, with one sender and one receiver.
//! * **Feeds:** the port's transmit queue.
//! * **Runs on:** one worker, alone or beside other rooms.
//! * **Must not:** drop, or change the order of what one worker sends. While the port is full it takes
//!   nothing, so that the workers' queues fill and they hold back too.

use std::sync::Arc;

use super::io::{Queues, Receive, Transmit};
use super::worker::Room;
use crate::control::counters::Counter;
use crate::dpdk::mbuf::Burst;

/// The room. See the module's head.
pub struct Gather<R, T> {
    sources: Queues<R>,
    /// Bursts in a turn: one for each source.
    turns: usize,
    port: T,
    burst: Burst,
    /// How many packets of each source the port has taken. Each worker looks at its own.
    handed: Vec<Arc<Counter>>,
}

impl<R: Receive, T: Transmit> Gather<R, T> {
    /// From `sources`, of which there is one at least, to `port`.
    pub fn new(sources: Vec<R>, port: T) -> Gather<R, T> {
        let handed = sources.iter().map(|_| Arc::default()).collect();
        Gather {
            turns: sources.len(),
            sources: Queues::new(sources),
            port,
            burst: Burst::new(),
            handed,
        }
    }

    /// How many packets of each source the port has taken, to be read from anywhere.
    pub fn handed(&self) -> &[Arc<Counter>] {
        &self.handed
    }

    /// Sends what the port has not yet taken. False if some of it is left.
    fn send(&mut self, now: u64) -> bool {
        let before = self.burst.len();
        if before > 0 {
            self.port.transmit(now, &mut self.burst);
            // All of a burst is of one source.
            if let Some(handed) = self.handed.get(self.sources.last()) {
                handed.add((before - self.burst.len()) as u64);
            }
        }
        self.burst.is_empty()
    }
}

impl<R: Receive, T: Transmit> Room for Gather<R, T> {
    fn poll(&mut self, now: u64) -> usize {
        let mut count = 0;
        for _ in 0..self.turns {
            if !self.send(now) {
                break;
            }
            self.sources.receive(now, &mut self.burst);
            if self.burst.is_empty() {
                break;
            }
            count += self.burst.len();
        }
        self.send(now);
        count
    }

    fn finish(&mut self, now: u64) -> bool {
        self.poll(now) == 0 && self.burst.is_empty()
    }
}
