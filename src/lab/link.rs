//! One direction of the emulated WAN.
//!
//! * **What this room does:** takes frames in, and gives them back later, late, twice, damaged,
//!   out of order or not at all, as configured.
//! * **Who feeds it:** `maelstrom lab`, event by event in virtual time, and `maelstrom wan`, in
//!   bursts from a DPDK port in real time.
//! * **Whom it feeds:** the same two: whoever calls [`Link::enter`] calls [`Link::leave`].
//! * **Which thread runs it:** the caller's; a link shares nothing.
//! * **What it must not do:** read a clock, do I/O, draw randomness that its seed does not fix,
//!   grow beyond [`LinkConfig::buffer`], or panic on any frame.
//!
//! A frame's way, each step counted in [`LinkCounters`]:
//!
//! ```text
//! wire index → MTU → queue and rate → loss → corruption → duplication → reordering → delay → out
//! ```

mod chance;
mod config;
mod pool;
mod reorder;
mod report;
mod shaper;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::dice::Purpose;
use super::loss::LossProcess;
use chance::{Draws, Flips, Impairment};
use pool::{Pool, Slot};
use reorder::Reorder;
use shaper::Shaper;

pub use config::{LinkConfig, LinkConfigError};
pub use report::{DropReason, Fate, Frame, LinkCounters};

/// Destination, source, EtherType: what the MTU does not count and corruption spares.
const ETHERNET_HEADER: usize = 14;

/// One direction of the emulated WAN. See the module's head for what happens in it.
pub struct Link {
    mtu: usize,
    delay_ns: u64,
    shaper: Shaper,
    loss: LossProcess,
    corrupt: Impairment,
    duplicate: Impairment,
    reorder: Reorder,
    pool: Pool,
    /// What is on its way, in order of exit: the steps before only ever append.
    flights: VecDeque<Flight>,
    in_flight: usize,
    counters: LinkCounters,
}

/// A frame between entry and exit.
#[derive(Clone, Copy, Debug)]
struct Flight {
    index: u64,
    exit_ns: u64,
    slot: Slot,
    /// How often it is still to leave: 2 for a duplicated frame at first.
    copies: u8,
}

impl Link {
    /// An idle link at time 0.
    ///
    /// # Panics
    /// If `config` does not pass [`LinkConfig::check`], which a caller with an operator behind
    /// it asks first.
    pub fn new(config: LinkConfig) -> Link {
        if let Err(error) = config.check() {
            panic!("{error}");
        }
        let (held, distance) = config.reorder.unwrap_or((0.0, 1));
        Link {
            mtu: usize::from(config.mtu),
            delay_ns: config.delay_ns,
            shaper: Shaper::new(config.rate_bps, config.queue),
            loss: LossProcess::new(&config.loss, config.seed, config.direction),
            corrupt: Impairment::new(&config, Purpose::Corrupt, config.corrupt),
            duplicate: Impairment::new(&config, Purpose::Duplicate, config.duplicate),
            reorder: Reorder::new(Impairment::new(&config, Purpose::Reorder, held), distance),
            pool: Pool::new(config.buffer),
            flights: VecDeque::new(),
            in_flight: 0,
            counters: LinkCounters::default(),
        }
    }

    /// Takes memory for `frames` frames in flight of `bytes` together now (as far as
    /// [`LinkConfig::buffer`] goes), so that a caller in real time does not wait for it later.
    pub fn reserve(&mut self, frames: usize, bytes: usize) {
        self.flights.reserve(frames.saturating_sub(self.flights.len()));
        self.pool.reserve(bytes);
    }

    /// A frame enters at `now`, in nanoseconds, which should not be before what this or
    /// [`leave`](Link::leave) was given last. Should it be, exit times still do not decrease from
    /// one frame that enters to the next.
    pub fn enter(&mut self, now: u64, frame: &[u8]) -> Fate {
        if frame.len() > self.mtu + ETHERNET_HEADER + vlan_tag(frame) {
            return self.refuse(frame.len());
        }
        let (index, draws) = self.count(frame.len());
        let dropped = |reason, exit_ns| Fate { index, exit_ns, dropped: Some(reason), held: false };
        let Some(departure) = self.shaper.admit(now, frame.len()) else {
            self.counters.tail_dropped += 1;
            return dropped(DropReason::QueueFull, None);
        };
        let exit_ns = departure.saturating_add(self.delay_ns);
        if draws.lost {
            self.counters.lost += 1;
            return dropped(DropReason::Lost, Some(exit_ns));
        }
        let Some(slot) = self.pool.put(frame) else {
            self.counters.buffer_full += 1;
            return dropped(DropReason::BufferFull, Some(exit_ns));
        };
        if let Some(flips) = draws.flips.filter(|_| frame.len() > ETHERNET_HEADER) {
            flips.apply(&mut self.pool.bytes_mut(slot)[ETHERNET_HEADER..]);
            self.counters.corrupted += 1;
        }
        let copies = 1 + u8::from(draws.duplicated);
        self.counters.duplicated += u64::from(draws.duplicated);
        self.in_flight += usize::from(copies);
        self.launch(Flight { index, exit_ns, slot, copies }, draws.held);
        Fate { index, exit_ns: Some(exit_ns), dropped: None, held: draws.held }
    }

    /// A frame of `len` bytes that is over the MTU enters, as far as it gets: as
    /// [`Link::enter`] does for one, and for callers who have no such frame in one piece.
    pub fn refuse(&mut self, len: usize) -> Fate {
        let (index, _) = self.count(len);
        self.counters.oversize += 1;
        Fate { index, exit_ns: None, dropped: Some(DropReason::Oversize), held: false }
    }

    /// Whatever becomes of a frame, it has an index and uses up what chance holds for that.
    fn count(&mut self, len: usize) -> (u64, Draws) {
        let index = self.counters.entered;
        self.counters.entered += 1;
        self.counters.entered_bytes += len as u64;
        (index, self.draw())
    }

    /// When [`leave`](Link::leave) next has something; None if nothing is in flight. A later
    /// [`enter`](Link::enter) can bring this forward, if what is next is a held frame.
    #[inline]
    pub fn next_exit(&self) -> Option<u64> {
        // A held frame's time limit is never before what is already on its way.
        match self.flights.front() {
            Some(flight) => Some(flight.exit_ns),
            None => self.reorder.next_limit(),
        }
    }

    /// The next frame that has left by `now`, if any. Frames come in order of their exit times,
    /// and those with the same in the order in which the wire had them. Call it until it gives
    /// None, or until the caller's burst is full: what is not asked for waits.
    #[inline]
    pub fn leave(&mut self, now: u64) -> Option<Frame<'_>> {
        if self.next_exit()? > now {
            return None;
        }
        let Link { flights, reorder, counters, .. } = self;
        if flights.is_empty() {
            reorder.release_overdue(now, counters, |flight| flights.push_back(flight));
        }
        let flight = flights.front_mut()?;
        flight.copies -= 1;
        let Flight { index, exit_ns, slot, copies } = *flight;
        if copies == 0 {
            flights.pop_front();
            // The bytes stay as they are until the next `put`, which the returned borrow bars.
            self.pool.release(slot);
        }
        let bytes = self.pool.bytes(slot);
        self.in_flight -= 1;
        self.counters.delivered += 1;
        self.counters.delivered_bytes += bytes.len() as u64;
        Some(Frame { index, exit_ns, bytes })
    }

    /// How many frames, copies included, have yet to leave.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// What the link has done so far.
    pub fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    #[inline]
    fn draw(&mut self) -> Draws {
        Draws {
            lost: self.loss.lost(),
            flips: self.corrupt.strikes().then(|| Flips::draw(&mut self.corrupt.dice)),
            duplicated: self.duplicate.strikes(),
            held: self.reorder.strikes(),
        }
    }

    /// Puts a frame on its way: behind it whatever it sets free, before it whatever was overdue.
    #[inline]
    fn launch(&mut self, flight: Flight, held: bool) {
        let Link { flights, reorder, counters, .. } = self;
        if reorder.is_idle() && !held {
            flights.push_back(flight);
            return;
        }
        let mut push = |flight| flights.push_back(flight);
        // At the limit itself a frame may still be overtaken; it is the same instant.
        reorder.release_overdue(flight.exit_ns.saturating_sub(1), counters, &mut push);
        if held {
            reorder.hold(flight);
        } else {
            push(flight);
            reorder.passed(flight.exit_ns, counters, &mut push);
        }
    }
}

/// The four bytes a single VLAN tag (802.1Q or 802.1ad) adds to what fits.
fn vlan_tag(frame: &[u8]) -> usize {
    match frame.get(12..14) {
        Some([0x81, 0x00] | [0x88, 0xa8]) => 4,
        _ => 0,
    }
}
