//! Round-trip time and its variation, smoothed as RFC 6298, section 2, does.

/// A longer one is an error, not a measurement, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// What is known of the round trip, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// Smoothed.
    pub mean: u64,
    /// The mean deviation from that, smoothed.
    pub variation: u64,
    /// The shortest since the peer came up.
    pub least: u64,
    /// The last one.
    pub last: u64,
}

impl RoundTrip {
    /// Takes in a sample.
    pub fn add(known: &mut Option<RoundTrip>, sample: u64) {
        if sample > LONGEST {
            return;
        }
        let Some(before) = known else {
            *known = Some(RoundTrip {
                mean: sample,
                variation: sample / 2,
                least: sample,
                last: sample,
            });
            return;
        };
        *before = RoundTrip {
            variation: (3 * before.variation + before.mean.abs_diff(sample)) / 4,
            mean: (7 * before.mean + sample) / 8,
            least: before.least.min(sample),
            last: sample,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooths_as_the_rfc_does() {
        let mut known = None;
        for sample in [80, 120, u64::MAX] {
            RoundTrip::add(&mut known, sample);
        }
        let expected = RoundTrip { mean: 85, variation: 40, least: 80, last: 120 };
        assert_eq!(known, Some(expected));
        for _ in 0..200 {
            RoundTrip::add(&mut known, 1_000_000);
        }
        let RoundTrip { mean, variation, .. } = known.unwrap();
        assert!(mean > 999_900 && variation < 100, "{mean} {variation}");
    }
}
