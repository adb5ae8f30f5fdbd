//! When a report is due, and what the difference of two says.

use crate::fec::code::MAX_LAYERS;
use crate::safety::Counts;
use crate::wire::report::{DELAYS, POWERS, Report, delay_of};

/// Reports are sent this often.
const USUAL: u64 = 1_000_000_000;
/// And no more often than this, whatever happens.
const SOONEST: u64 = 100_000_000;

/// Decides when the far end is told.
#[derive(Debug, Default)]
pub struct Reporter {
    /// What was told last, and when.
    told: Option<(u64, Report)>,
    /// Bursts per packet as they were.
    usual: f64,
}

impl Reporter {
    /// Whether a report of `totals` is due at `now`: once a second, and at once (but not before 100
    /// ms) when packets are missing for good, or losses begin far more often than before. Then it
    /// counts as told.
    pub fn due(&mut self, now: u64, totals: &Report) -> bool {
        let Some((at, told)) = &self.told else {
            return self.tell(now, totals);
        };
        let elapsed = now.saturating_sub(*at);
        if elapsed >= USUAL || told.epoch != totals.epoch {
            return self.tell(now, totals);
        }
        let packets = totals.before.judged.saturating_sub(told.before.judged) as f64;
        let bursts = totals.before.bursts.saturating_sub(told.before.bursts) as f64;
        let expected = self.usual * packets;
        let news = totals.after.missing > told.after.missing
            || totals.before.skipped > told.before.skipped
            || bursts > 2.0 * expected + 4.0 * expected.sqrt() + 2.0;
        elapsed >= SOONEST && news && self.tell(now, totals)
    }

    fn tell(&mut self, now: u64, totals: &Report) -> bool {
        if let Some(interval) = self.told.as_ref().and_then(|(_, told)| Interval::new(told, totals))
            && interval.counts.sent > 0
        {
            let share = interval.counts.bursts as f64 / interval.counts.sent as f64;
            self.usual = (self.usual + share) / 2.0;
        }
        self.told = Some((now, totals.clone()));
        true
    }
}

/// What happened between two reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first packet that was judged, before repair and after.
    pub first: [u64; 2],
    /// How long it was, by the reporting end's clock, in nanoseconds.
    pub time_ns: u64,
    /// What the link did.
    pub counts: Counts,
    /// How many packets were judged after repair.
    pub judged: u64,
    /// How many of those are missing for good.
    pub missing: u64,
    /// Packets jumped over.
    pub skipped: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Rebuilt by each layer.
    pub recovered: [u32; MAX_LAYERS],
    /// Runs of losses, by powers of two.
    pub runs: [u32; POWERS],
    /// Gaps between them.
    pub gaps: [u32; POWERS],
    /// Packets out of order, by powers of two of how many overtook.
    pub displaced: [u32; POWERS],
    /// Recoveries by their time.
    pub delays: [u32; DELAYS],
}

fn sum<const N: usize>(to: &mut [u32; N], other: &[u32; N]) {
    to.iter_mut().zip(other).for_each(|(to, other)| *to = to.saturating_add(*other));
}

fn differ<const N: usize>(old: &[u32; N], new: &[u32; N]) -> [u32; N] {
    std::array::from_fn(|n| new[n].wrapping_sub(old[n]))
}

impl Interval {
    /// From the older report to the newer; `None` if they are of different epochs or channels, or in
    /// the wrong order.
    pub fn new(old: &Report, new: &Report) -> Option<Interval> {
        if (old.channel, old.epoch) != (new.channel, new.epoch) {
            return None;
        }
        let counts = Counts {
            sent: new.before.judged.checked_sub(old.before.judged)?,
            lost: new.before.lost.checked_sub(old.before.lost)?,
            bursts: new.before.bursts.checked_sub(old.before.bursts)?,
        };
        Some(Interval {
            first: [old.before.next, old.after.next],
            time_ns: new.at_ns.checked_sub(old.at_ns)?,
            counts,
            judged: new.after.judged.checked_sub(old.after.judged)?,
            missing: new.after.missing.checked_sub(old.after.missing)?,
            skipped: new.before.skipped.checked_sub(old.before.skipped)?,
            duplicates: new.duplicates.checked_sub(old.duplicates)?,
            recovered: differ(&old.recovered, &new.recovered),
            runs: differ(&old.before.runs, &new.before.runs),
            gaps: differ(&old.before.gaps, &new.before.gaps),
            displaced: differ(&old.displaced, &new.displaced),
            delays: differ(&old.delays, &new.delays),
        })
    }

    /// With another channel's, of the same time.
    pub fn add(&mut self, other: &Interval) {
        let Counts { sent, lost, bursts } = other.counts;
        let counts = &mut self.counts;
        *counts = Counts {
            sent: counts.sent + sent,
            lost: counts.lost + lost,
            bursts: counts.bursts + bursts,
        };
        self.time_ns = self.time_ns.max(other.time_ns);
        for n in 0..self.first.len() {
            self.first[n] = self.first[n].min(other.first[n]);
        }
        (self.judged, self.missing) = (self.judged + other.judged, self.missing + other.missing);
        self.skipped += other.skipped;
        self.duplicates += other.duplicates;
        sum(&mut self.recovered, &other.recovered);
        sum(&mut self.runs, &other.runs);
        sum(&mut self.gaps, &other.gaps);
        sum(&mut self.displaced, &other.displaced);
        sum(&mut self.delays, &other.delays);
    }

    /// The share of packets that the link lost.
    pub fn loss(&self) -> f64 {
        share(self.counts.lost, self.counts.sent)
    }

    /// The share that is missing for good.
    pub fn residual(&self) -> f64 {
        share(self.missing, self.judged)
    }

    /// Within which time this share of recoveries was done, in nanoseconds, rounded up to half an
    /// octave; `None` without a recovery.
    pub fn delay(&self, of_all: f64) -> Option<u64> {
        let all: u64 = self.delays.iter().map(|&count| u64::from(count)).sum();
        let wanted = (of_all * all as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        let bucket = self.delays.iter().position(|&count| {
            sum += u64::from(count);
            sum >= wanted
        });
        bucket.filter(|_| all > 0).map(delay_of)
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::report::delay_bucket;

    const MS: u64 = 1_000_000;

    fn totals(judged: u64, bursts: u64, missing: u64) -> Report {
        let mut report = Report { at_ns: judged, ..Report::default() };
        (report.before.next, report.before.judged) = (judged, judged);
        (report.before.lost, report.before.bursts) = (2 * bursts, bursts);
        (report.after.judged, report.after.missing) = (judged, missing);
        report
    }

    #[test]
    fn reports_come_once_a_second_and_at_once_on_change() {
        let mut reporter = Reporter::default();
        assert!(reporter.due(0, &totals(0, 0, 0)));
        let mut sent = 0;
        for tick in 1..=1000u64 {
            // 1 in 1000 packets begins a burst, as ever.
            sent += u64::from(reporter.due(tick * 10 * MS, &totals(tick * 1000, tick, 0)));
        }
        assert!((10..=11).contains(&sent), "{sent}");
        let mut tick = 1000;
        while !reporter.due(tick * 10 * MS, &totals(tick * 1000, tick, 0)) {
            tick += 1;
        }
        let (mut now, packets) = (tick * 10 * MS, tick * 1000);
        let many = |more| totals(packets + more, tick + 200, 0);
        assert!(!reporter.due(now + 50 * MS, &many(5000)), "not so soon");
        assert!(reporter.due(now + 100 * MS, &many(10_000)), "many more bursts");
        now += 200 * MS;
        assert!(!reporter.due(now, &many(20_000)));
        let mut missing = many(20_000);
        missing.after.missing = 1;
        assert!(reporter.due(now, &missing), "one is missing");
        let mut other = totals(0, 0, 0);
        other.epoch = 9;
        assert!(reporter.due(now, &other), "another epoch");
    }

    #[test]
    fn the_difference_of_two_reports_says_what_happened_between() {
        let (old, mut new) = (totals(1000, 10, 1), totals(5000, 30, 3));
        new.before.runs[2] = 7;
        let mut before = old.clone();
        before.before.runs[2] = u32::MAX;
        new.delays[delay_bucket(100_000)] = 98;
        new.delays[delay_bucket(5_000_000)] = 2;
        let interval = Interval::new(&before, &new).unwrap();
        assert_eq!(interval.counts, Counts { sent: 4000, lost: 40, bursts: 20 });
        assert_eq!((interval.first, interval.runs[2]), ([1000, 0], 8));
        assert_eq!((interval.loss(), interval.residual()), (0.01, 2.0 / 4000.0));
        let [median, late] = [0.5, 0.99].map(|of| interval.delay(of).unwrap());
        assert!((100_000..=150_000).contains(&median) && (5_000_000..8_000_000).contains(&late));
        assert_eq!(Interval::new(&new, &old), None);
        new.epoch = 1;
        assert_eq!(Interval::new(&old, &new), None);
    }
}
