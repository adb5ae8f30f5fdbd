//! What `protect` tells of what it does: the tracker, and what is yet to leave.

use std::sync::Arc;

use netsync::{Class, Notice, WorkerWriter};

use super::departures::{Departures, Exit, Leaving, Sent};
use super::filter::Filter;
use super::told::{Said, Told};
use super::tracker::{Tracker, TrackerConfig};
use crate::dpdk::mbuf::BURST;
use crate::fec::{Repair, SPARSE_ID};

/// Repairs that may be on their way out at once; further ones never count. More than the rings of
/// a port and of a worker that sends for others hold, or 100,000 repairs a second for 160 ms.
const LEAVING: usize = 16 * 1024;
/// Source packets that may be on their way out at once, behind which their repairs leave: a transmit
/// ring and some bursts. Where another worker sends, as many wait for that.
const IN_PASSING: u64 = 1024 + 4 * BURST as u64;

/// While bursts are full, flows are published this many packets later at most: as many as give a
/// thousand flows two of their four events each.
const LAG: u64 = 512;

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
    /// How many packets it may lag while there is more to do, and how many may have been sent since it
    /// last published.
    lag: u64,
    unpublished: u64,
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
            // Of what a level takes, a quarter.
            lag: LAG.min(config.span / 4),
            unpublished: 0,
            hurried: false,
            told: config.told,
            said: Said::default(),
        }
    }

    /// These frames, a burst at most, are about to be sent as the next source packets. Flows that begin
    /// with them are published.
    #[inline(never)]
    pub fn look(&mut self, now: u64, frames: &[&[u8]]) {
        if self.tracker.is_idle() {
            return;
        }
        for (nth, frame) in (0..).zip(frames) {
            self.tracker.look(now + self.clock, nth, frame);
        }
        self.hurried |= self.tracker.has_seen();
    }

    /// The frames looked at last were sent, `count` of them with numbers below `next`. With them the
    /// worker has sent `packets` in all, of which its queue has taken `taken`.
    #[inline(never)]
    pub fn sources(&mut self, now: u64, count: usize, next: u64, packets: u64, taken: u64) {
        for seq in next - count as u64..next {
            let place = seq as usize & (self.sent_at.len() - 1);
            self.sent_at[place] = now;
        }
        let left = self.departures.are_none(packets, taken);
        self.tracker.sent(count, left);
        if !left {
            self.departures.sources(packets, next);
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
    /// If the next turn comes at once, since frames are `waiting`, flows may wait for it.
    #[inline]
    pub fn turn(
        &mut self,
        now: u64,
        taken: u64,
        waiting: bool,
        is_done: impl FnMut(u64) -> Option<bool>,
    ) {
        let Publisher { tracker, departures, clock, told, said, .. } = self;
        let clock = *clock;
        for notice in said.news(told, now + clock).into_iter().flatten() {
            tracker.notice(&notice);
        }
        departures.turn(now, taken, is_done, |leaving| match leaving {
            Leaving::Sources(to) => tracker.left(*to),
            Leaving::Repair(sent) => cover(tracker, sent, clock, now),
        });
        // As many as may have been sent: a burst of other frames is a burst later, too.
        self.unpublished += BURST as u64;
        if !waiting || self.unpublished + BURST as u64 > self.lag {
            self.unpublished = 0;
            tracker.publish(now + clock);
        }
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
    let class = match (code_id & SPARSE_ID, *flushed) {
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
