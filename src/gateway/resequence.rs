//! Holds what came behind a hole until the hole is filled, for a while at most.
//!
//! * **Does:** put packets back into the order of their numbers, where `lan.resequence` asks for it.
//! * **Fed by:** `recover`, with what it is about to deliver.
//! * **Feeds:** the same, with what may go.
//! * **Runs on:** its worker.
//! * **Must not:** hold a packet longer than it may, or more packets than it has room for; change the
//!   order of what came in order; lose any.
//!
//! The order is the channel's: a hole in one flow holds up the others on the channel too, for as long as
//! the hole stays, at most the configured time. To keep flows apart would need to know whose a lost packet
//! was, which nobody can tell. When there is no room, or a packet's time is up, the holes before it are
//! skipped; what fills them later goes out at once, late.

use std::collections::VecDeque;

/// See the module's head. `T` is what is held.
pub struct Resequencer<T> {
    /// The packet of each number from `next` on, if it is here.
    slots: Box<[Option<T>]>,
    /// The number that would be in order; none before the first packet.
    next: Option<u64>,
    held: usize,
    /// Numbers below this may go, whatever is missing before them.
    released: u64,
    /// What was held, in order of arrival. What has gone stays until it is at the front.
    arrivals: VecDeque<(u64, u64)>,
    /// How long a packet may be held, in nanoseconds.
    limit: u64,
    expired: u64,
}

impl<T> Resequencer<T> {
    /// For up to `packets`, rounded up to a power of two. All memory is allocated here.
    pub fn new(limit: u64, packets: usize) -> Resequencer<T> {
        let packets = packets.max(2).next_power_of_two();
        Resequencer {
            slots: std::iter::repeat_with(|| None).take(packets).collect(),
            next: None,
            held: 0,
            released: 0,
            arrivals: VecDeque::with_capacity(2 * packets),
            limit,
            expired: 0,
        }
    }

    /// What [`Resequencer::new`] takes beside the packets, in bytes.
    pub fn memory_bytes(packets: usize) -> usize {
        let packets = packets.max(2).next_power_of_two();
        packets * (size_of::<Option<T>>() + 2 * size_of::<(u64, u64)>())
    }

    /// How many packets it holds.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many holes were skipped as time was up, or room: one for each time.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// Packet `seq` has come, which did not come before. What is returned goes out at once;
    /// [`Resequencer::pop`] follows, and may have more. `make_way` gets what has to go first, in order, where
    /// there is no room.
    #[inline]
    pub fn offer(
        &mut self,
        now: u64,
        seq: u64,
        item: T,
        make_way: &mut impl FnMut(u64, T),
    ) -> Option<T> {
        let next = *self.next.get_or_insert(seq);
        if seq == next {
            self.next = Some(seq + 1);
            return Some(item);
        }
        if seq < next {
            return Some(item);
        }
        self.hold(now, seq, item, make_way)
    }

    #[inline(never)]
    fn hold(
        &mut self,
        now: u64,
        seq: u64,
        item: T,
        make_way: &mut impl FnMut(u64, T),
    ) -> Option<T> {
        let size = self.slots.len() as u64;
        let least = (seq + 1).saturating_sub(size);
        if self.next.is_some_and(|next| next < least) {
            self.expired += 1;
            self.released = self.released.max(least);
            // No more than has to: a port that is full may take the others later.
            while self.next.is_some_and(|next| next < least)
                && let Some((seq, item)) = self.pop(now)
            {
                make_way(seq, item);
            }
            if self.next.is_some_and(|next| next >= seq) {
                self.next = Some(seq + 1);
                return Some(item);
            }
        }
        self.prune();
        if self.arrivals.len() < self.arrivals.capacity() {
            self.arrivals.push_back((seq, now));
        }
        let at = (seq % size) as usize;
        self.slots[at] = Some(item);
        self.held += 1;
        None
    }

    /// The next packet that may go by `now`, in order.
    #[inline]
    pub fn pop(&mut self, now: u64) -> Option<(u64, T)> {
        if self.held == 0 && self.released == 0 { None } else { self.pop_held(now) }
    }

    fn pop_held(&mut self, now: u64) -> Option<(u64, T)> {
        loop {
            let next = self.next?;
            if self.held == 0 {
                self.next = Some(next.max(self.released));
                self.released = 0;
                self.arrivals.clear();
                return None;
            }
            let at = (next % self.slots.len() as u64) as usize;
            if let Some(item) = self.slots[at].take() {
                self.held -= 1;
                self.next = Some(next + 1);
                return Some((next, item));
            }
            if next < self.released {
                self.next = Some(next + 1);
                continue;
            }
            self.prune();
            match self.arrivals.front() {
                Some(&(seq, came)) if came.saturating_add(self.limit) <= now => {
                    self.expired += 1;
                    self.released = seq;
                }
                _ => return None,
            }
        }
    }

    /// Everything goes, in order, and the next packet is the first: another epoch begins, or the end.
    pub fn release(&mut self, now: u64, mut each: impl FnMut(u64, T)) {
        self.released = u64::MAX;
        // Whatever is held lies within so many numbers.
        while let Some((seq, item)) = self.pop(now) {
            each(seq, item);
        }
        (self.next, self.released) = (None, 0);
    }

    /// From now on [`Resequencer::pop`] waits for nothing.
    pub fn hasten(&mut self) {
        self.released = u64::MAX;
    }

    /// When [`Resequencer::pop`] has something next if nothing comes.
    pub fn next_deadline(&self) -> Option<u64> {
        let next = self.next?;
        let waiting = self.arrivals.iter().find(|(seq, _)| *seq >= next && self.held > 0);
        waiting.map(|&(_, came)| came.saturating_add(self.limit))
    }

    /// Forgets the arrivals at the front of what has gone.
    fn prune(&mut self) {
        let next = self.next.unwrap_or(0);
        while self.arrivals.front().is_some_and(|&(seq, _)| seq < next) {
            self.arrivals.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = 100;

    #[test]
    fn what_is_in_order_goes_at_once() {
        let mut order = Resequencer::new(LIMIT, 8);
        for seq in 40..80 {
            assert_eq!(order.offer(seq, seq, seq, &mut |_, _| panic!()), Some(seq));
            assert_eq!(order.pop(seq), None);
        }
        assert_eq!(order.next_deadline(), None);
    }

    #[test]
    fn a_hole_that_is_filled_restores_the_order_and_one_that_is_not_is_skipped() {
        let mut order = Resequencer::new(LIMIT, 8);
        let mut out = Vec::new();
        let mut come = |now, seq| {
            let gone = order.offer(now, seq, (), &mut |_, ()| panic!());
            out.extend(gone.map(|()| (now, seq)));
            while let Some((seq, ())) = order.pop(now) {
                out.push((now, seq));
            }
        };
        for (now, seq) in [(0, 5), (1, 7), (2, 8), (3, 6), (4, 11), (5, 10)] {
            come(now, seq);
        }
        assert_eq!(out, [(0, 5), (3, 6), (3, 7), (3, 8)]);
        assert_eq!(order.next_deadline(), Some(4 + LIMIT));
        assert_eq!(order.pop(3 + LIMIT), None);
        assert_eq!(order.pop(4 + LIMIT), Some((10, ())));
        assert_eq!(order.pop(4 + LIMIT), Some((11, ())));
        assert_eq!((order.pop(1000), order.next_deadline()), (None, None));
        // Late: at once.
        assert_eq!(order.offer(1000, 9, (), &mut |_, ()| panic!()), Some(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Against what must be so: nothing is lost or comes twice, nothing waits longer than it may, what
        /// is held is bounded, and what goes out of order came behind a packet that had to be let go.
        #[test]
        fn keeps_order_time_and_room(
            packets in prop::collection::vec((0u64..30, 0u64..40, prop::bool::weighted(0.1)), 1..300),
            log in 2u32..6,
            start in 0u64..1000,
        ) {
            // Each number is delayed by some, or lost.
            let mut time = 0;
            let mut arrivals: Vec<(u64, u64)> = Vec::new();
            for (n, &(gap, delay, lost)) in packets.iter().enumerate() {
                time += gap;
                if !lost {
                    arrivals.push((time + delay * u64::from(delay > 30), start + n as u64));
                }
            }
            arrivals.sort();
            let size = 1usize << log;
            let mut order = Resequencer::new(LIMIT, size);
            let mut out: Vec<(u64, u64)> = Vec::new();
            let drain = |order: &mut Resequencer<u64>, now, out: &mut Vec<(u64, u64)>| {
                while let Some((seq, item)) = order.pop(now) {
                    assert_eq!(seq, item);
                    out.push((now, seq));
                }
            };
            for &(now, seq) in &arrivals {
                while let Some(due) = order.next_deadline().filter(|due| *due <= now) {
                    drain(&mut order, due, &mut out);
                }
                let gone = order.offer(now, seq, seq, &mut |seq, _| out.push((now, seq)));
                out.extend(gone.map(|seq| (now, seq)));
                drain(&mut order, now, &mut out);
                prop_assert!(order.held() < size);
            }
            while let Some(due) = order.next_deadline() {
                drain(&mut order, due, &mut out);
            }
            prop_assert_eq!(order.held(), 0);
            let sorted = |list: &[(u64, u64)]| {
                let mut numbers: Vec<u64> = list.iter().map(|&(_, seq)| seq).collect();
                numbers.sort();
                numbers
            };
            prop_assert_eq!(sorted(&out), sorted(&arrivals));
            let came = |seq| arrivals.iter().find(|arrival| arrival.1 == seq).map_or(0, |a| a.0);
            let mut highest = 0;
            for &(went, seq) in &out {
                prop_assert!(went >= came(seq) && went <= came(seq) + LIMIT);
                if seq < highest {
                    // A later one went before: it was skipped, so it goes as it comes.
                    prop_assert_eq!(went, came(seq));
                }
                highest = highest.max(seq);
            }
            if out.len() < size && arrivals.iter().all(|a| a.1 < start + size as u64) && arrivals
                .last().is_some_and(|last| last.0 < LIMIT) && arrivals[0].1 == sorted(&arrivals)[0]
            {
                prop_assert!(out.is_sorted_by_key(|&(_, seq)| seq));
            }
        }
    }
}
