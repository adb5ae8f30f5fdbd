//! A loss report: what the far end of a channel has seen of it, in one small packet.
//!
//! All counts are totals since the epoch began, so a report that is lost loses nothing: whoever gets
//! the next one takes the difference. Counts of 32 bits wrap, and differences are taken modulo 2^32.
//! Offsets count from the beginning of the report's body.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +---------------+---------------+-------------------------------+
//!  |    version    |    channel    |           reserved            |  0
//!  +---------------+---------------+-------------------------------+
//!  |                             epoch                             |  4
//!  +---------------------------------------------------------------+
//!  |         time at the reporting end, in ns (64 bits)            |  8
//!  +---------------------------------------------------------------+
//!  |  before repair: next, judged, lost, bursts, skipped (5 x 64)  | 16
//!  +---------------------------------------------------------------+
//!  |        after repair: next, judged, missing (3 x 64)           | 56
//!  +---------------------------------------------------------------+
//!  |                    duplicates (64 bits)                       | 80
//!  +---------------------------------------------------------------+
//!  |            recovered by each of 8 layers (8 x 32)             | 88
//!  +---------------------------------------------------------------+
//!  |   runs of losses, by the power of two of length (16 x 32)     | 120
//!  +---------------------------------------------------------------+
//!  |             gaps between them, likewise (16 x 32)             | 184
//!  +---------------------------------------------------------------+
//!  |       displaced packets, by how many overtook (16 x 32)       | 248
//!  +---------------------------------------------------------------+
//!  |       recoveries, by how long they took (32 x 32)             | 312
//!  +---------------------------------------------------------------+ 440
//! ```

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;
use crate::fec::code::MAX_LAYERS;
use crate::fec::seq;

/// The version of the report that this code speaks.
pub const VERSION: u8 = 1;
/// Bytes of a report's body.
pub const REPORT_LEN: usize = size_of::<Raw>();
/// Buckets of a histogram by powers of two; the last one has all that is longer, too.
pub const POWERS: usize = 16;
/// Buckets of the histogram of recovery times: see [`delay_bucket`].
pub const DELAYS: usize = 32;

/// A report in plain values.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Whose channel it is about: the sender's of the packets.
    pub channel: u8,
    /// Which life of it.
    pub epoch: u32,
    /// When it was made, in nanoseconds of the reporting end's clock.
    pub at_ns: u64,
    /// The link as it is.
    pub before: Before,
    /// What is left once repairs have done what they can.
    pub after: After,
    /// Packets that came again, or after they were rebuilt.
    pub duplicates: u64,
    /// Packets rebuilt, by the layer of the repair that did it.
    pub recovered: [u32; MAX_LAYERS],
    /// How many packets had overtaken one that came out of order, by powers of two.
    pub displaced: [u32; POWERS],
    /// How long after its neighbours a packet was rebuilt, in the buckets of [`delay_bucket`].
    pub delays: [u32; DELAYS],
}

/// What the link did to source packets. They are judged in order, some hundred packets behind the
/// newest, so that what is merely late still counts as arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Before {
    /// The number of the next packet to be judged.
    pub next: u64,
    /// How many were judged.
    pub judged: u64,
    /// How many of those did not come.
    pub lost: u64,
    /// In how many runs of neighbours.
    pub bursts: u64,
    /// Packets that were not judged as the numbers jumped over them: an outage.
    pub skipped: u64,
    /// Runs of losses that have ended, by the power of two of their length.
    pub runs: [u32; POWERS],
    /// Runs of arrivals that have ended, likewise.
    pub gaps: [u32; POWERS],
}

/// What is left after repair: judged half a window behind the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct After {
    /// The number of the next packet to be judged.
    pub next: u64,
    /// How many were judged.
    pub judged: u64,
    /// How many of those neither came nor were rebuilt.
    pub missing: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    version: u8,
    channel: u8,
    reserved: U16,
    epoch: U32,
    at: U64,
    before: [U64; 5],
    after: [U64; 3],
    duplicates: U64,
    recovered: [U32; MAX_LAYERS],
    runs: [U32; POWERS],
    gaps: [U32; POWERS],
    displaced: [U32; POWERS],
    delays: [U32; DELAYS],
}

impl Report {
    /// Reads a report's body. What lies behind it is none of ours.
    ///
    /// # Errors
    /// If it is too short, of another version, has reserved bits set, or contradicts itself: more
    /// packets lost than judged, more runs than losses, or numbers beyond the limit.
    pub fn parse(body: &[u8]) -> Result<Report, Bad> {
        let (raw, _) = Raw::ref_from_prefix(body).map_err(|_| Bad::Truncated)?;
        if raw.version != VERSION {
            return Err(Bad::Version);
        }
        if raw.reserved != 0 {
            return Err(Bad::Kind);
        }
        let [next, judged, lost, bursts, skipped] = raw.before.map(U64::get);
        let before = Before {
            next,
            judged,
            lost,
            bursts,
            skipped,
            runs: raw.runs.map(U32::get),
            gaps: raw.gaps.map(U32::get),
        };
        let [next, judged, missing] = raw.after.map(U64::get);
        let after = After { next, judged, missing };
        if before.next > seq::LIMIT || before.skipped > before.next || after.next > before.next {
            return Err(Bad::Sequence);
        }
        let sound = before.judged <= before.next - before.skipped
            && before.lost <= before.judged
            && before.bursts <= before.lost
            && after.judged <= after.next
            && after.missing <= after.judged;
        if !sound {
            return Err(Bad::Members);
        }
        Ok(Report {
            channel: raw.channel,
            epoch: raw.epoch.get(),
            at_ns: raw.at.get(),
            before,
            after,
            duplicates: raw.duplicates.get(),
            recovered: raw.recovered.map(U32::get),
            displaced: raw.displaced.map(U32::get),
            delays: raw.delays.map(U32::get),
        })
    }

    /// Writes it.
    pub fn emit(&self) -> [u8; REPORT_LEN] {
        let Before { next, judged, lost, bursts, skipped, runs, gaps } = self.before;
        let before = [next, judged, lost, bursts, skipped].map(U64::new);
        let After { next, judged, missing } = self.after;
        let raw = Raw {
            version: VERSION,
            channel: self.channel,
            reserved: U16::new(0),
            epoch: U32::new(self.epoch),
            at: U64::new(self.at_ns),
            before,
            after: [next, judged, missing].map(U64::new),
            duplicates: U64::new(self.duplicates),
            recovered: self.recovered.map(U32::new),
            runs: runs.map(U32::new),
            gaps: gaps.map(U32::new),
            displaced: self.displaced.map(U32::new),
            delays: self.delays.map(U32::new),
        };
        zerocopy::transmute!(raw)
    }
}

/// The bucket of a length, at least 1: that of its power of two.
#[inline]
pub fn power_bucket(length: u64) -> usize {
    (length.max(1).ilog2() as usize).min(POWERS - 1)
}

/// The bucket of a time: half octaves from 16 µs on, 32 of them up to a second. Times below are in
/// the first, those beyond in the last.
#[inline]
pub fn delay_bucket(ns: u64) -> usize {
    let sixteenths = (ns / 16_000).max(1);
    let octave = sixteenths.ilog2();
    // The upper half of an octave begins at 1.5 times the lower one.
    let upper = octave > 0 && sixteenths >> (octave - 1) & 1 == 1;
    (2 * octave as usize + usize::from(upper)).min(DELAYS - 1)
}

/// The longest time of a bucket, in nanoseconds; of the last one, where it begins.
pub fn delay_of(bucket: usize) -> u64 {
    let bucket = bucket.min(DELAYS - 1);
    let octave = 16_000u64 << (bucket / 2);
    match bucket {
        last if last == DELAYS - 1 => octave * 3 / 2,
        lower if lower % 2 == 0 => octave * 3 / 2,
        _ => octave * 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_report() -> impl Strategy<Value = Report> {
        let numbers = prop::array::uniform8(any::<u32>());
        let tables = (
            prop::array::uniform8(any::<u32>()),
            prop::array::uniform16(any::<u32>()),
            prop::array::uniform16(any::<u32>()),
            prop::array::uniform16(any::<u32>()),
            prop::array::uniform32(any::<u32>()),
        );
        (any::<(u8, u32, u64, u64)>(), numbers, tables).prop_map(|(head, numbers, tables)| {
            let mut n = numbers.map(u64::from);
            n.sort_unstable();
            let (recovered, runs, gaps, displaced, delays) = tables;
            Report {
                channel: head.0,
                epoch: head.1,
                at_ns: head.2,
                before: Before {
                    next: n[7] + n[0],
                    judged: n[6],
                    lost: n[3],
                    bursts: n[2],
                    skipped: n[0],
                    runs,
                    gaps,
                },
                after: After { next: n[5], judged: n[4], missing: n[1] },
                duplicates: head.3,
                recovered,
                displaced,
                delays,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(report in any_report(), behind in 0usize..10) {
            let mut bytes = report.emit().to_vec();
            bytes.resize(bytes.len() + behind, 7);
            prop_assert_eq!(Report::parse(&bytes), Ok(report));
        }

        /// No input panics, and what is accepted is written as it was read.
        #[test]
        fn nothing_is_believed(
            report in any_report(),
            changes in prop::collection::vec((0..REPORT_LEN, any::<u8>()), 0..8),
            cut in 0..=REPORT_LEN,
        ) {
            let mut bytes = report.emit();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            if let Ok(read) = Report::parse(&bytes) {
                prop_assert_eq!(&read.emit()[..], &bytes[..]);
                prop_assert!(read.before.lost <= read.before.judged && read.after.next <= seq::LIMIT);
            }
            if cut < REPORT_LEN {
                prop_assert_eq!(Report::parse(&bytes[..cut]), Err(Bad::Truncated));
            }
        }
    }

    #[test]
    fn it_is_small_and_bad_ones_are_refused() {
        assert_eq!(REPORT_LEN, 440);
        let good = Report::default().emit();
        for (at, byte, bad) in [(0, 2, Bad::Version), (3, 1, Bad::Kind), (16, 0x80, Bad::Sequence)]
        {
            let mut bytes = good;
            bytes[at] = byte;
            assert_eq!(Report::parse(&bytes), Err(bad));
        }
        let mut lost = good;
        lost[16 + 23] = 1;
        assert_eq!(Report::parse(&lost), Err(Bad::Members));
    }

    #[test]
    fn buckets_are_half_octaves() {
        for (ns, bucket) in
            [(0, 0), (16_000, 0), (31_999, 0), (32_000, 2), (48_000, 3), (64_000, 4), (95_999, 4)]
        {
            assert_eq!(delay_bucket(ns), bucket, "{ns}");
        }
        assert_eq!(delay_bucket(u64::MAX), DELAYS - 1);
        let mut last = 0;
        for bucket in (2..DELAYS - 1).filter(|bucket| *bucket != 1) {
            let to = delay_of(bucket);
            assert_eq!((delay_bucket(to - 1), delay_bucket(to)), (bucket, bucket + 1), "{bucket}");
            assert!(to > last);
            last = to;
        }
        assert_eq!([1, 2, 3, 4, 65_536, 1 << 40].map(power_bucket), [0, 1, 1, 2, 15, 15]);
    }
}
