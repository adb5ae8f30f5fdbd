//! What `protect` tells of what it does: the tracker, and what is yet to leave.

use std::sync::Arc;

use arrayvec::ArrayVec;
use netsync::{Class, Notice, WorkerWriter};

use super::departures::{Departures, Exit, Leaving, Sent};
use super::filter::Filter;
use super::told::{Said, Told};
use super::tracker::{Tracked, Tracker, TrackerConfig};
use crate::dpdk::mbuf::BURST;
use crate::fec::Repair;

/// Repairs that may be on their way out at once; further ones never count. More than the rings of
/// a port and of a worker that sends for others hold, or 100,000 repairs a second for 160 ms.
const LEAVING: usize = 16 * 1024;
/// Source packets that may be on their way out at once, behind which their repairs leave: a transmit
/// ring and some bursts. Where another worker sends, as many wait for that.
const IN_PASSING: u64 = 1024 + 4 * BURST as u64;

/// What a publisher is made of.
#[derive(Clone, Debug)]
pub struct PublisherConfig {
    /// Which flows are tracked.
    pub filter: Filter,
    /// Entries of the worker's table.
    pub flows: usize,
    /// Levels that readers may ask for.
    pub levels: usize,
    /// The largest span of a code in use, in packets.
    pub span: u64,
    /// The way to the edge of the site.
    pub exit: Exit,
    /// A tracked flow's repairs are made after this idle time, if the code's is longer.
    pub idle: Option<u64>,
    /// What is added to a room's time to get the segment's.
    pub clock: u64,
    /// From control.
    pub told: Arc<Told>,
}

impl PublisherConfig {
    fn tracker(&self) -> TrackerConfig {
        let rings = if self.exit.handed.is_some() { 2 } else { 1 };
        let packets = (self.span + rings * IN_PASSING) as usize;
        TrackerConfig { flows: self.flows, levels: self.levels, packets }
    }

    /// What it takes, in bytes, beside the segment.
    pub fn memory_bytes(&self) -> usize {
        let tracker = self.tracker();
        let times = tracker.packets.next_power_of_two() * size_of::<u64>();
        tracker.memory_bytes() + times + 2 * LEAVING * (size_of::<Sent>() + 24)
    }
}

/// See the module's head.
pub struct Publisher {
    tracker: Tracker,
    departures: Departures,
    /// When each recent source packet was sent.
    sent_at: Box<[u64]>,
    clock: u64,
    idle: Option<u64>,
    /// The frames of this burst: of tracked flows or not.
    burst: ArrayVec<Option<Tracked>, BURST>,
    /// When it was received.
    now: u64,
    /// A flow begins with it.
    begins: bool,
    /// A tracked flow's frame was stamped since it was last asked.
    hurried: bool,
    told: Arc<Told>,
    said: Said,
}

impl Publisher {
    /// All memory is allocated here.
    pub fn new(config: PublisherConfig, writer: WorkerWriter) -> Publisher {
        let tracker = config.tracker();
        Publisher {
            sent_at: vec![0; tracker.packets.next_power_of_two()].into(),
            tracker: Tracker::new(&tracker, config.filter, writer),
            departures: Departures::new(config.exit, LEAVING),
            clock: config.clock,
            idle: config.idle,
            burst: ArrayVec::new(),
            now: 0,
            begins: false,
            hurried: false,
            told: config.told,
            said: Said::default(),
        }
    }

    /// What a frame that is about to be stamped has to do with tracked flows.
    #[inline]
    pub fn look(&self, frame: &[u8]) -> Option<Tracked> {
        self.tracker.look(frame)
    }

    /// A frame was stamped with number `seq`, one more than the one before.
    #[inline]
    pub fn stamped(&mut self, now: u64, seq: u64, frame: Option<Tracked>) {
        let place = seq as usize & (self.sent_at.len() - 1);
        self.sent_at[place] = now;
        self.hurried |= frame.is_some();
        self.begins |= frame.as_ref().is_some_and(Tracked::is_syn);
        self.now = now;
        if self.burst.is_full() {
            self.follow();
        }
        self.burst.push(frame);
    }

    /// What was stamped is about to be sent: publishes flows that begin with it.
    #[inline]
    pub fn before_sources(&mut self) {
        if std::mem::take(&mut self.begins) {
            self.follow();
        }
    }

    /// Source packets below `next` were sent, with which the worker has sent `packets` in all.
    #[inline]
    pub fn sources(&mut self, packets: u64, next: u64) {
        self.follow();
        self.departures.sources(packets, next);
    }

    /// Has the tracker follow the frames of this burst, all in order, behind what they take from memory.
    #[inline]
    fn follow(&mut self) {
        let now = self.now + self.clock;
        self.burst.iter().flatten().for_each(|frame| self.tracker.fetch(frame));
        for frame in self.burst.drain(..) {
            self.tracker.sent(now, frame.as_ref());
        }
    }

    /// A repair is sent, as the worker's packet number `packets` from 1.
    #[inline]
    pub fn repair(&mut self, packets: u64, repair: &Repair<'_>) {
        let last = repair.members.last() as usize & (self.sent_at.len() - 1);
        self.departures.repair(packets, repair, self.sent_at[last]);
    }

    /// An idle time that repairs shall be made after, now that a tracked flow's frame was sent.
    #[inline]
    pub fn take_hurry(&mut self) -> Option<u64> {
        std::mem::take(&mut self.hurried).then_some(self.idle).flatten()
    }

    /// Publishes what has left by `now`. The queue has taken `taken` packets so far; `is_done` says of
    /// the one so many packets before the last whether its descriptor is done, if the driver can tell.
    #[inline]
    pub fn turn(&mut self, now: u64, taken: u64, is_done: impl FnMut(u64) -> Option<bool>) {
        let Publisher { tracker, departures, clock, told, said, .. } = self;
        let clock = *clock;
        for notice in said.news(told, now + clock).into_iter().flatten() {
            tracker.notice(&notice);
        }
        departures.turn(now, taken, is_done, |leaving| match leaving {
            Leaving::Sources(to) => tracker.left(to),
            Leaving::Repair(sent) => cover(tracker, &sent, clock, now),
        });
        tracker.publish(now + clock);
    }

    /// When [`Publisher::turn`] next has something to do if nothing is sent.
    pub fn next_deadline(&self) -> Option<u64> {
        self.departures.next()
    }

    /// How many flows had to leave for others, and how many repairs never counted for want of room.
    pub fn losses(&self) -> [u64; 2] {
        [self.tracker.evicted(), self.departures.dropped()]
    }
}

/// A repair has left.
#[inline]
fn cover(tracker: &mut Tracker, sent: &Sent, clock: u64, now: u64) {
    let Sent { members, layer, code_id, flushed, made } = sent;
    let class = match (*code_id, *flushed) {
        (0, false) => Class::Dense,
        (0, true) => Class::DenseFlushed,
        (_, false) => Class::Sparse,
        (_, true) => Class::SparseFlushed,
    };
    let mut runs = members.runs();
    let first = runs.next();
    tracker.notice(&Notice::Repair {
        code_id: *code_id,
        layer: *layer,
        flushed: *flushed,
        base: members.first(),
        stride: members.stride().into(),
        count: first.map_or(0, |run| run.count.into()),
        runs: runs.len() as u32,
        made_ns: made + clock,
        left_ns: now + clock,
    });
    tracker.covered(members, class);
}
