//! A worker: a pinned thread that polls the rooms it was given, in turn, until it is told to stop.
//!
//! * **Does:** read the clock once a turn, poll each room, rest when there was nothing to do.
//! * **Fed by:** control, through a channel that it looks at between turns.
//! * **Feeds:** its rooms, with the time.
//! * **Runs on:** its own thread, which whoever starts it has pinned and registered with DPDK.
//! * **Must not:** share anything that another worker writes, until it stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, TryRecvError};

/// Something that a worker polls.
pub trait Room: Send {
    /// Does what there is to do at `now` (nanoseconds, never less than before), at most a burst.
    /// Returns how many packets it received, or sent on that it had kept: 0 when there was nothing to do.
    fn poll(&mut self, now: u64) -> usize;

    /// The gateway stops: sends what is still owed, and says whether that is all.
    fn finish(&mut self, now: u64) -> bool;
}

/// What a worker does when its rooms had nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// Polls again at once: for a core of its own.
    Spin,
    /// After a while of nothing, sleeps for moments: for a core that others need too.
    #[default]
    Rest,
}

/// How many turns without work pass before a worker rests.
const PATIENCE: u32 = 64;
/// How long it rests: short beside the usual idle times of a code, long beside a turn.
const NAP: Duration = Duration::from_micros(50);
/// How many turns a stopping worker tries to hand over what its ports have not yet taken.
const FINAL_TURNS: u32 = 1000;

/// What control tells a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Flush and end.
    Stop,
}

/// The rooms of one core.
pub struct Worker<'a> {
    /// Polled in this order.
    pub rooms: Vec<&'a mut dyn Room>,
    /// From control. A control that is gone is an order to stop.
    pub orders: Receiver<Order>,
    /// What to do about idleness.
    pub idle: Idle,
    /// When time began.
    pub start: Instant,
    /// How many workers still owe something. The only word that workers share, and only when they
    /// stop: what one still hands over, another must still send.
    pub owing: Arc<AtomicUsize>,
}

impl Worker<'_> {
    /// Polls until told to stop. The caller has pinned and registered this thread.
    pub fn run(mut self) {
        let mut quiet = 0;
        while !self.must_stop() {
            let now = self.now();
            let work: usize = self.rooms.iter_mut().map(|room| room.poll(now)).sum();
            quiet = if work == 0 { quiet + 1 } else { 0 };
            if quiet > PATIENCE {
                match self.idle {
                    Idle::Spin => std::hint::spin_loop(),
                    Idle::Rest => thread::sleep(NAP),
                }
            }
        }
        let done = self.finish_until(|_| true);
        // Release and acquire: whoever sees this sees what was handed over before.
        self.owing.fetch_sub(1, Ordering::AcqRel);
        // Once nobody else owes anything, one more turn without work is the end.
        if !(done && self.finish_until(|others_done| others_done)) {
            log::warn!("packets are left that a port did not take; they are lost");
        }
    }

    /// Lets the rooms send what they owe, until that is all and `enough` agrees, which is told
    /// whether, before that, nobody owed anything. Says whether that is all.
    fn finish_until(&mut self, enough: impl Fn(bool) -> bool) -> bool {
        let mut done = false;
        for _ in 0..FINAL_TURNS {
            let others_done = self.owing.load(Ordering::Acquire) == 0;
            let now = self.now();
            done = true;
            for room in &mut self.rooms {
                done &= room.finish(now);
            }
            if done && enough(others_done) {
                break;
            }
            thread::sleep(NAP);
        }
        done
    }

    fn must_stop(&self) -> bool {
        !matches!(self.orders.try_recv(), Err(TryRecvError::Empty))
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}
