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

/// A tracked flow. What changes with each packet comes first.
#[repr(C, align(64))]
pub(super) struct Flow {
    /// Its entry in the table that readers see.
    pub(super) slot: Option<Slot>,
    /// The end of what was sent, apart from holes.
    pub(super) end: u64,
    /// Never that of another flow that is still in the coverage's memory. 0 is nobody's.
    pub(super) id: u32,
    /// The sequence number of offset 0.
    pub(super) base_seq: u32,
    /// Its last packet, if any level waits for one.
    pub(super) tail: u32,
    /// Packets sent, and those of them that are known to be acknowledged.
    packets: u32,
    acked: u32,
    /// Which levels have come further since they were last published, a bit each.
    pub(super) moved: u16,
    /// Of which classes the repairs were, a bit each.
    pub(super) classes: u8,
    /// Classes of which readers know, up to `announced_to`.
    pub(super) announced: u8,
    pub(super) levels: [Level; LEVELS],
    pub(super) announced_to: u64,
    pub(super) published_ns: u64,
    /// Times that it was published.
    pub(super) bursts: u8,
    /// It waits to be published.
    pub(super) dirty: bool,
    /// A level may wait for bytes that nobody will send again.
    pub(super) stuck: bool,
    /// Its SYN was not seen.
    pub(super) unanchored: bool,
    /// Its FIN or an RST was seen.
    pub(super) ended: bool,
    marks: ArrayVec<Mark, 4>,
}

impl Flow {
    pub(super) fn new(slot: Option<Slot>, id: u32, base_seq: u32, unanchored: bool) -> Flow {
        Flow {
            slot,
            end: 0,
            id,
            base_seq,
            tail: NOWHERE,
            packets: 0,
            acked: 0,
            moved: 0,
            classes: 0,
            announced: 0,
            levels: [Level { to: 0, front: NOWHERE }; LEVELS],
            announced_to: 0,
            published_ns: 0,
            bursts: 0,
            dirty: false,
            stuck: false,
            unanchored,
            ended: false,
            marks: ArrayVec::new(),
        }
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
        let last = self.marks.last().map_or(self.acked, |mark| mark.packets);
        if self.packets.wrapping_sub(last) > self.in_flight() >> 2 && !self.marks.is_full() {
            self.marks.push(Mark { end: self.end, packets: self.packets });
        }
    }

    /// Bytes below this offset are acknowledged.
    pub(super) fn acknowledge(&mut self, acked: u64) {
        let passed = self.marks.iter().take_while(|mark| mark.end <= acked).count();
        if let Some(last) = self.marks.drain(..passed).next_back() {
            self.acked = last.packets;
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
        let mut flow = Flow::new(None, 1, u32::MAX - 9, false);
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
        let flow = Flow::new(None, 1, 1000, true);
        assert_eq!((flow.place(900, 50), flow.place(990, 50)), (Some((0, 0)), Some((0, 40))));
    }

    /// Never less than there are, and not many more while they come and go steadily.
    #[test]
    fn what_is_in_flight_is_bounded_closely() {
        for window in [1, 2, 7, 100, 5000] {
            let mut flow = Flow::new(None, 1, 0, false);
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
