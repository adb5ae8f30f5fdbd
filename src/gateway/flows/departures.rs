//! When what was sent has left: gone from the machine, not just into a queue of it.
//!
//! A packet passes up to three doors. Where another worker sends for this one, that worker must have
//! handed it to the port. Then its transmit descriptor must be done, where the driver can tell, or the
//! ring's worst drain time must have passed. Then `netsync.exit_delay`, for what lies between the port
//! and the edge of the site.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::control::counters::Counter;
use crate::fec::{Members, Repair};

/// The way from a worker to the edge of the site.
#[derive(Clone, Debug, Default)]
pub struct Exit {
    /// Where another worker sends for this one: how many of its packets the port has taken.
    pub handed: Option<Arc<Counter>>,
    /// How long the port's ring takes to drain at worst, in nanoseconds, as control last knew; 0 for a
    /// port without a ring of its own.
    pub drain: Arc<Counter>,
    /// `netsync.exit_delay`, in nanoseconds.
    pub delay: u64,
}

impl Exit {
    /// How many packets the port has, if the worker's queue has taken so many.
    #[inline]
    fn handed(&self, taken: u64) -> u64 {
        self.handed.as_ref().map_or(taken, |handed| handed.get())
    }

    /// Whether what the port has taken has left.
    #[inline]
    fn is_open(&self) -> bool {
        self.drain.get() == 0 && self.delay == 0
    }
}

/// What a repair was, until it has left.
pub(super) struct Sent {
    pub(super) members: Members,
    pub(super) layer: u8,
    pub(super) code_id: u8,
    pub(super) flushed: bool,
    pub(super) made: u64,
}

/// What is on its way.
pub(super) enum Leaving {
    /// Source packets below this number.
    Sources(u64),
    Repair(Sent),
}

struct Entry {
    /// How many packets the worker has sent up to this one, with it.
    packets: u64,
    /// When it passed the last of its doors.
    at: u64,
    what: Leaving,
}

/// What has been sent and has not yet left, in order.
pub(super) struct Departures {
    exit: Exit,
    entries: VecDeque<Entry>,
    room: usize,
    /// How many from the front the port has taken, and how many of those its ring is done with.
    taken: usize,
    done: usize,
    /// How many packets the port had taken when the last turn ended.
    before: u64,
    dropped: u64,
}

impl Departures {
    /// With room for so many repairs.
    pub(super) fn new(exit: Exit, room: usize) -> Departures {
        // Source packets between them come together.
        let entries = VecDeque::with_capacity(2 * room + 1);
        Departures { exit, entries, room: 2 * room, taken: 0, done: 0, before: 0, dropped: 0 }
    }

    /// Source packets below `to` are sent, with `packets` sent in all.
    #[inline]
    pub(super) fn sources(&mut self, packets: u64, to: u64) {
        let (len, taken) = (self.entries.len(), self.taken);
        match self.entries.back_mut() {
            // They may as well leave together, while the port has taken neither.
            Some(Entry { packets: last, what: Leaving::Sources(earlier), .. }) if taken < len => {
                (*last, *earlier) = (packets, to);
            }
            // The next ones say the same for these.
            _ if len >= self.room => {}
            _ => self.entries.push_back(Entry { packets, at: 0, what: Leaving::Sources(to) }),
        }
    }

    /// Whether packets sent from now on, up to number `packets`, have left if the queue has taken so
    /// many: no door is left for them, and nothing before them waits at one.
    #[inline]
    pub(super) fn are_none(&self, packets: u64, taken: u64) -> bool {
        self.entries.is_empty() && self.exit.is_open() && packets <= self.exit.handed(taken)
    }

    /// A repair is sent, as packet number `packets` from 1. Without room it never counts.
    #[inline]
    pub(super) fn repair(&mut self, packets: u64, repair: &Repair<'_>, made: u64) {
        if self.entries.len() >= self.room {
            self.dropped += 1;
            return;
        }
        let Repair { layer, code_id, flushed, .. } = *repair;
        let sent = Sent { members: repair.members.clone(), layer, code_id, flushed, made };
        self.entries.push_back(Entry { packets, at: 0, what: Leaving::Repair(sent) });
    }

    /// How many repairs will never count, for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Lets go what has left by `now`, in order. The queue has taken `taken` packets so far; `is_done`
    /// says of the one so many packets before the last whether its descriptor is done, if the driver
    /// can tell.
    #[inline]
    pub(super) fn turn(
        &mut self,
        now: u64,
        taken: u64,
        mut is_done: impl FnMut(u64) -> Option<bool>,
        mut left: impl FnMut(&Leaving),
    ) {
        let handed = self.exit.handed(taken);
        let before = std::mem::replace(&mut self.before, handed);
        if self.entries.is_empty() {
            return;
        }
        if self.exit.is_open() {
            let gone = self.entries.iter().take_while(|entry| entry.packets <= handed).count();
            self.entries.iter().take(gone).for_each(|entry| left(&entry.what));
            self.entries.drain(..gone);
            (self.taken, self.done) = (0, 0);
            return;
        }
        let drain = self.exit.drain.get();
        // A turn has one time, that of its beginning, and takes some. What was taken during this one is
        // taken for sure when the next begins.
        let handed = before;
        while let Some(entry) = self.entries.get_mut(self.taken)
            && entry.packets <= handed
        {
            entry.at = now;
            self.taken += 1;
        }
        while self.done < self.taken
            && let Some(entry) = self.entries.get_mut(self.done)
            && (now >= entry.at.saturating_add(drain)
                || is_done(taken.saturating_sub(entry.packets)) == Some(true))
        {
            entry.at = now;
            self.done += 1;
        }
        while self.done > 0
            && self
                .entries
                .front()
                .is_some_and(|entry| now >= entry.at.saturating_add(self.exit.delay))
            && let Some(entry) = self.entries.pop_front()
        {
            (self.done, self.taken) = (self.done - 1, self.taken - 1);
            left(&entry.what);
        }
        if self.entries.is_empty() {
            // Begins at the front of its memory again, which is in cache.
            self.entries.clear();
        }
    }

    /// When something leaves next, if time alone decides.
    pub(super) fn next(&self) -> Option<u64> {
        let front = self.entries.front()?;
        if self.taken == 0 {
            // The next turn, whenever that is, finds that it was taken.
            return (front.packets <= self.before).then_some(0);
        }
        let drain = if self.done > 0 { 0 } else { self.exit.drain.get() };
        Some(front.at.saturating_add(drain).saturating_add(self.exit.delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repair(departures: &mut Departures, packets: u64) {
        let members = Members::single(packets, 1, 1).unwrap();
        let repair = Repair {
            members: &members,
            layer: 0,
            code_id: 0,
            flushed: false,
            lengths: 0,
            checks: 0,
            bytes: &[],
        };
        departures.repair(packets, &repair, 0);
    }

    /// What leaves: numbers of packets, source packets negative.
    fn turn(departures: &mut Departures, now: u64, taken: u64, done: Option<u64>) -> Vec<i64> {
        let mut all = Vec::new();
        let is_done = |behind| done.map(|done| taken - behind <= done);
        // What was taken shows in the turn behind.
        for _ in 0..2 {
            departures.turn(now, taken, is_done, |leaving| match leaving {
                Leaving::Sources(to) => all.push(-(*to as i64)),
                Leaving::Repair(sent) => all.push(sent.members.first() as i64),
            });
        }
        all
    }

    fn exit(drain: u64, delay: u64) -> Exit {
        let exit = Exit { delay, ..Exit::default() };
        exit.drain.set(drain);
        exit
    }

    #[test]
    fn what_the_port_has_not_taken_has_not_left() {
        let mut departures = Departures::new(exit(0, 0), 4);
        departures.sources(3, 3);
        repair(&mut departures, 4);
        assert!(turn(&mut departures, 1, 2, None).is_empty());
        assert_eq!(turn(&mut departures, 2, 3, None), [-3]);
        assert_eq!(turn(&mut departures, 3, 4, None), [4]);
    }

    #[test]
    fn drain_and_delay_pass_one_behind_the_other() {
        let mut departures = Departures::new(exit(100, 20), 4);
        repair(&mut departures, 1);
        assert!(turn(&mut departures, 1000, 1, None).is_empty());
        assert_eq!(departures.next(), Some(1120));
        assert!(turn(&mut departures, 1099, 1, None).is_empty());
        assert!(turn(&mut departures, 1100, 1, None).is_empty());
        assert!(turn(&mut departures, 1119, 1, None).is_empty());
        assert_eq!(turn(&mut departures, 1120, 1, None), [1]);
        assert_eq!(departures.next(), None);
    }

    #[test]
    fn what_was_taken_in_a_turn_was_not_taken_before_it_ended() {
        let mut departures = Departures::new(exit(100, 0), 4);
        repair(&mut departures, 1);
        let mut left = 0;
        for now in [1000, 1006, 1105] {
            departures.turn(now, 1, |_| None, |_| left += 1);
            assert_eq!(left, 0, "at {now}");
        }
        departures.turn(1106, 1, |_| None, |_| left += 1);
        assert_eq!(left, 1);
    }

    #[test]
    fn a_driver_that_can_tell_is_asked() {
        let mut departures = Departures::new(exit(100, 20), 4);
        repair(&mut departures, 1);
        repair(&mut departures, 2);
        assert!(turn(&mut departures, 1000, 2, Some(0)).is_empty());
        assert!(turn(&mut departures, 1010, 2, Some(1)).is_empty());
        assert_eq!(turn(&mut departures, 1030, 2, Some(1)), [1]);
        assert!(turn(&mut departures, 1099, 2, Some(1)).is_empty());
        assert!(turn(&mut departures, 1100, 2, Some(1)).is_empty());
        assert_eq!(turn(&mut departures, 1120, 2, Some(1)), [2]);
    }

    #[test]
    fn another_worker_that_sends_for_this_one_counts() {
        let handed = Arc::new(Counter::default());
        let mut departures =
            Departures::new(Exit { handed: Some(handed.clone()), ..exit(50, 0) }, 4);
        departures.sources(2, 2);
        assert!(turn(&mut departures, 500, 2, None).is_empty());
        handed.add(2);
        assert!(turn(&mut departures, 600, 2, None).is_empty());
        assert_eq!(turn(&mut departures, 650, 2, None), [-2]);
    }

    #[test]
    fn what_there_is_no_room_for_never_counts() {
        let mut departures = Departures::new(exit(10, 0), 2);
        for n in 1..=6 {
            repair(&mut departures, n);
        }
        departures.sources(8, 8);
        assert_eq!(departures.dropped(), 2);
        turn(&mut departures, 0, 8, None);
        assert_eq!(turn(&mut departures, 10, 8, None), [1, 2, 3, 4]);
        departures.sources(9, 9);
        departures.sources(10, 10);
        turn(&mut departures, 20, 9, None);
        assert!(turn(&mut departures, 30, 10, None).is_empty());
        assert_eq!(turn(&mut departures, 40, 10, None), [-10]);
    }
}
