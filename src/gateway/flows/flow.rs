//! What is remembered of a tracked flow: how far each level has come, and how much is in flight.

use arrayvec::ArrayVec;
use netsync::Slot;

use super::coverage::NOWHERE;
use crate::fec::code::MAX_LAYERS;

/// Level 0, which counts bytes that have left as source packets, and those of repairs.
pub(super) const LEVELS: usize = MAX_LAYERS + 1;
/// The most that TCP may have in flight (RFC 7323, section 2.3): what lies further off than this
/// belongs to another stretch of the stream, most of which went another way.
const MAX_WINDOW: i32 = 1 << 30;
/// How often acknowledgements are looked at: another core writes them. A millisecond, in steps of 1024 ns.
const PAUSE: u32 = 1_000_000 >> 10;

/// How far a level has come.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// Every byte below this offset has it.
    pub(super) to: u64,
    /// The first packet of the flow that has not, in the order of sending.
    pub(super) front: u32,
}

/// At some time, so many packets had been sent, up to this offset.
struct Mark {
    end: u64,
    packets: u32,
}

/// A level may wait for bytes that nobody will send again.
pub(super) const STUCK: u16 = 1 << 12;
/// It waits to be published.
pub(super) const DIRTY: u16 = 1 << 13;
/// Its SYN was not seen.
pub(super) const UNANCHORED: u16 = 1 << 14;
/// Its FIN or an RST was seen.
pub(super) const ENDED: u16 = 1 << 15;
/// Below, a bit for each level that has come further since it was last published: of repairs, without
/// level 0.
const MOVED: u16 = (1 << LEVELS) - 2;

/// A tracked flow. A packet changes the first line and that behind it, and rarely more: a thousand flows
/// share a core's cache with the sums of the code.
#[repr(C, align(64))]
pub(super) struct Flow {
    /// Its entry in the table that readers see.
    pub(super) slot: Option<Slot>,
    /// The end of what was sent, apart from holes.
    pub(super) end: u64,
    /// Up to where readers know of the classes that `announced` has a bit for.
    pub(super) announced_to: u64,
    /// Never that of another flow that is still in the coverage's memory. 0 is nobody's.
    pub(super) id: u32,
    /// The sequence number of offset 0.
    pub(super) base_seq: u32,
    /// Its last packet, if any level waits for one.
    pub(super) tail: u32,
    /// Packets sent, and those of them that are known to be acknowledged.
    packets: u32,
    acked: u32,
    /// With which packet the next mark is made.
    next_mark: u32,
    /// When its acknowledgements were looked at, see [`Flow::is_due`].
    looked: u32,
    /// Levels that moved, and the flags above.
    pub(super) flags: u16,
    /// Of which classes the repairs were, a bit each.
    pub(super) classes: u8,
    pub(super) announced: u8,
    pub(super) levels: [Level; LEVELS],
    marks: ArrayVec<Mark, 4>,
}

// The first line ends where the levels begin.
const _: () = assert!(std::mem::offset_of!(Flow, levels) == 64);

impl Flow {
    pub(super) fn new(slot: Option<Slot>, id: u32, base_seq: u32, flags: u16) -> Flow {
        Flow {
            slot,
            end: 0,
            announced_to: 0,
            id,
            base_seq,
            tail: NOWHERE,
            packets: 0,
            acked: 0,
            next_mark: 1,
            looked: 0,
            flags,
            classes: 0,
            announced: 0,
            levels: [Level { to: 0, front: NOWHERE }; LEVELS],
            marks: ArrayVec::new(),
        }
    }

    #[inline]
    pub(super) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Notes that a level has come further.
    #[inline]
    pub(super) fn moved(&mut self, level: usize) {
        self.flags |= 1 << level;
    }

    /// Whether there is anything to publish.
    #[inline]
    pub(super) fn has_changed(&self) -> bool {
        self.is(MOVED | 1)
    }

    /// Whether more of it was sent, since this was last asked.
    #[inline]
    pub(super) fn take_sent(&mut self) -> bool {
        let sent = self.is(1);
        self.flags &= !1;
        sent
    }

    /// Whether any level of repairs has come further, since this was last asked.
    #[inline]
    pub(super) fn take_moved(&mut self) -> bool {
        let moved = self.is(MOVED);
        self.flags &= !MOVED;
        moved
    }

    /// Bytes with many repairs have few, too: no level of repairs, up to the `last`, is behind a higher
    /// one.
    #[inline]
    pub(super) fn settle(&mut self, last: usize) {
        let mut above = 0;
        for level in self.levels[1..=last].iter_mut().rev() {
            level.to = level.to.max(above);
            above = level.to;
        }
    }

    /// Whether its acknowledgements are to be looked at: now and then, and when it is stuck.
    #[inline]
    pub(super) fn is_due(&mut self, now: u64) -> bool {
        // Wraps around after an hour, which does no harm.
        let now = (now >> 10) as u32;
        let due = now.wrapping_sub(self.looked) >= PAUSE || self.is(STUCK);
        if due {
            self.looked = now;
            self.flags &= !STUCK;
        }
        due
    }

    /// Where in the stream `len` bytes from number `seq` on lie. Empty when they lie before offset 0;
    /// none when they are too far from the others to be of the same stretch.
    #[inline]
    pub(super) fn place(&self, seq: u32, len: u16) -> Option<(u64, u64)> {
        let distance = seq.wrapping_sub(self.base_seq).wrapping_sub(self.end as u32) as i32;
        if !(-MAX_WINDOW..=MAX_WINDOW).contains(&distance) {
            return None;
        }
        let start = self.end as i64 + i64::from(distance);
        let end = start + i64::from(len);
        Some((start.max(0) as u64, end.max(0) as u64))
    }

    /// Another packet, up to offset `end` at most.
    #[inline]
    pub(super) fn count(&mut self, end: u64) {
        self.end = self.end.max(end);
        self.packets = self.packets.wrapping_add(1);
        if self.packets.wrapping_sub(self.next_mark) as i32 >= 0 {
            self.mark();
        }
    }

    #[inline(never)]
    fn mark(&mut self) {
        if self.marks.try_push(Mark { end: self.end, packets: self.packets }).is_ok() {
            self.choose_mark();
        } else {
            // Until one is passed.
            self.next_mark = self.packets.wrapping_add(1 << 30);
        }
    }

    /// Marks are apart by a quarter of what is in flight.
    fn choose_mark(&mut self) {
        let last = self.marks.last().map_or(self.acked, |mark| mark.packets);
        self.next_mark = last.wrapping_add((self.in_flight() >> 2) + 1);
    }

    /// Bytes below this offset are acknowledged.
    pub(super) fn acknowledge(&mut self, acked: u64) {
        let passed = self.marks.iter().take_while(|mark| mark.end <= acked).count();
        let last = self.marks.drain(..passed).next_back();
        if let Some(Mark { packets, .. }) = last {
            self.acked = packets;
            self.choose_mark();
        }
    }

    /// How many packets are in flight, at most: some of those may be acknowledged.
    #[inline]
    pub(super) fn in_flight(&self) -> u32 {
        self.packets.wrapping_sub(self.acked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_go_on_beyond_32_bits() {
        let mut flow = Flow::new(None, 1, u32::MAX - 9, 0);
        let mut seq = u32::MAX - 9;
        for n in 0..20_000u64 {
            let place = flow.place(seq, 60_000);
            assert_eq!(place, Some((n * 60_000, n * 60_000 + 60_000)));
            flow.count(n * 60_000 + 60_000);
            seq = seq.wrapping_add(60_000);
        }
        assert_eq!(flow.end, 1_200_000_000);
        // A retransmission, a hole, what lies too far off, what was before offset 0.
        assert_eq!(flow.place(seq.wrapping_sub(100), 10), Some((flow.end - 100, flow.end - 90)));
        assert_eq!(
            flow.place(seq.wrapping_add(1 << 30), 1).map(|place| place.0),
            Some(flow.end + (1 << 30))
        );
        assert_eq!(flow.place(seq.wrapping_add((1 << 30) + 1), 1), None);
        let flow = Flow::new(None, 1, 1000, UNANCHORED);
        assert_eq!((flow.place(900, 50), flow.place(990, 50)), (Some((0, 0)), Some((0, 40))));
    }

    /// Never less than there are, and not many more while they come and go steadily.
    #[test]
    fn what_is_in_flight_is_bounded_closely() {
        for window in [1, 2, 7, 100, 5000] {
            let mut flow = Flow::new(None, 1, 0, 0);
            for n in 0..20_000u64 {
                flow.count((n + 1) * 100);
                let acked = (n + 1).saturating_sub(window);
                flow.acknowledge(acked * 100);
                let (truth, told) = (n + 1 - acked, u64::from(flow.in_flight()));
                assert!(told >= truth, "{told} of {truth}");
                if n > 4 * window {
                    assert!(told <= truth + truth / 2 + 1, "{told} of {truth}");
                }
            }
        }
    }
}
