//! How much the WAN still takes: a token bucket, counted in the time that bytes take on the link.
//!
//! * **Does:** says whether a packet may leave, and when the next one may.
//! * **Fed by:** the [`super::shaper`], with every packet that leaves, and the time.
//! * **Feeds:** the same.
//! * **Runs on:** the worker of the `protect` whose rate it limits.
//! * **Must not:** read a clock, divide per packet, or let more pass than it says.
//!
//! What has been sent is a debt, which time pays off. A packet may leave while the debt is no more
//! than [`DEPTH_NS`] of link time, and adds its own. So whatever leaves in any stretch of time takes the
//! link no longer than that stretch, `DEPTH_NS` and one packet.

/// How far a sender may run ahead, in nanoseconds of link time: more than a worker that rests between
/// two turns sleeps, timer slack included (50 µs wanted, up to 120 measured).
pub const DEPTH_NS: u64 = 200_000;
/// What Ethernet adds to each frame: preamble 8, FCS 4, gap 12.
const ETHERNET: u64 = 24;
/// The shortest frame without FCS: what is shorter is padded.
const SHORTEST: u64 = 60;
/// Nanoseconds have so many bits of fraction: at 10 Tb/s a byte's time is right to one in 50,000.
const FRACTION: u32 = 24;
/// A debt is paid after this time, in nanoseconds, whatever it was: nine minutes, and 2^63 fractions.
const LONGEST_PAUSE: u64 = 1 << (63 - FRACTION);

/// The bytes of link that a packet of `len` bytes, headers included and FCS not, takes.
#[inline]
pub fn wire_bytes(len: usize) -> u64 {
    (len as u64).max(SHORTEST) + ETHERNET
}

/// The bucket. See the module's head.
pub(super) struct Bucket {
    /// What a byte takes, rounded up.
    per_byte: u64,
    debt: u64,
    /// When the debt was looked at last.
    now: u64,
}

/// What the debt may be for a packet to leave.
#[derive(Clone, Copy)]
pub(super) enum Line {
    /// All of the depth.
    Full,
    /// Half of it: the other half stays for who comes first.
    Half,
}

impl Line {
    #[inline]
    fn debt(self) -> u64 {
        match self {
            Line::Full => DEPTH_NS << FRACTION,
            Line::Half => (DEPTH_NS / 2) << FRACTION,
        }
    }
}

impl Bucket {
    /// For `rate` bits a second, 10,000 at least.
    pub(super) fn new(rate: u64) -> Bucket {
        // The slowest: 2^44 a byte, 2^61 for the longest packet and ten times as many.
        let per_byte = (8_000_000_000u128 << FRACTION).div_ceil(rate.max(10_000).into()) as u64;
        Bucket { per_byte, debt: 0, now: 0 }
    }

    /// It is `now`.
    #[inline]
    pub(super) fn advance(&mut self, now: u64) {
        let passed = now.saturating_sub(self.now);
        self.now += passed;
        self.debt = self.debt.saturating_sub(passed.min(LONGEST_PAUSE) << FRACTION);
    }

    /// Whether a packet may leave, once `planned` bytes of link have gone that were not yet spent.
    #[inline]
    pub(super) fn is_open(&self, line: Line, planned: u64) -> bool {
        self.debt.saturating_add(planned * self.per_byte) <= line.debt()
    }

    /// A packet leaves that takes so many bytes of link.
    #[inline]
    pub(super) fn spend(&mut self, bytes: u64) {
        self.debt = self.debt.saturating_add(bytes * self.per_byte);
    }

    /// When a packet may leave, and not before what comes after now.
    pub(super) fn opens_at(&self, line: Line) -> u64 {
        let over = self.debt.saturating_sub(line.debt());
        let wait = over.div_ceil(1 << FRACTION);
        self.now.saturating_add(wait.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_frames_are_padded() {
        assert_eq!([0, 60, 61, 1514].map(wire_bytes), [84, 84, 85, 1538]);
    }

    #[test]
    fn a_rate_is_kept_to_the_packet() {
        for rate in [10_000, 1_000_000, 999_999_937, 10_000_000_000, 10_000_000_000_000] {
            let mut bucket = Bucket::new(rate);
            let mut sent = 0u64;
            for _ in 0..100_000 {
                bucket.advance(bucket.opens_at(Line::Full));
                assert!(bucket.is_open(Line::Full, 0));
                sent += 1538;
                bucket.spend(1538);
                if bucket.is_open(Line::Full, 0) {
                    continue;
                }
                // Not a nanosecond too early, nor too late.
                let opens = bucket.opens_at(Line::Full);
                let mut early = Bucket { ..bucket };
                early.advance(opens - 1);
                assert!(!early.is_open(Line::Full, 0));
            }
            let may = |time: u64| u128::from(rate) * u128::from(time) / 8_000_000_000;
            let most = may(bucket.now + DEPTH_NS) + 1538;
            assert!(u128::from(sent) <= most, "{rate}: {sent} of {most}");
            assert!(sent as f64 > 0.9999 * may(bucket.now) as f64, "{rate}: {sent}");
        }
    }

    #[test]
    fn no_pause_is_too_long() {
        let mut bucket = Bucket::new(10_000);
        for _ in 0..10 {
            bucket.spend(10_000);
        }
        bucket.advance(u64::MAX);
        assert!(bucket.is_open(Line::Half, 0));
        assert_eq!(bucket.opens_at(Line::Full), u64::MAX);
        // A clock that goes back changes nothing.
        bucket.advance(0);
        assert_eq!(bucket.now, u64::MAX);
    }

    proptest! {
        /// Whenever somebody asks, and whatever the sizes: no stretch of time has more than its own
        /// bytes, the depth and a packet.
        #[test]
        fn no_stretch_has_too_much(
            rate in 1_000_000u64..1_000_000_000_000,
            steps in prop::collection::vec((0u64..300_000, 84u64..9600), 1..200),
        ) {
            let mut bucket = Bucket::new(rate);
            let mut now = 0;
            let mut sent = Vec::new();
            for (pause, bytes) in steps {
                now += pause;
                bucket.advance(now);
                if bucket.is_open(Line::Full, 0) {
                    bucket.spend(bytes);
                    sent.push((now, bytes));
                }
            }
            for (n, &(from, _)) in sent.iter().enumerate() {
                let mut sum = 0u128;
                for &(to, bytes) in &sent[n..] {
                    sum += u128::from(bytes);
                    let time = u128::from(to - from + DEPTH_NS);
                    let most = time * u128::from(rate) / 8_000_000_000 + 9600;
                    prop_assert!(sum <= most, "{} bytes of {} from {} to {}", sum, most, from, to);
                }
            }
        }
    }
}
