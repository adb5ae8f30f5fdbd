//! What reports say: since when the link is as it is, and what it loses; how fast packets come; and
//! whether the code leaves as little as it should.

use super::{Adapter, PRESSURE, WORSE};
use crate::safety::LinkEstimate;
use crate::safety::link::Counts;
use crate::wire::Report;

/// For how long reports are remembered.
const MEMORY: u64 = 30_000_000_000;
/// At most so many of them.
pub(super) const SAMPLES: usize = 320;
/// The logarithm of the likelihood ratio from which two stretches are not of one link.
const UNLIKE: f64 = 12.0;
/// How long the packet rate is measured.
const RATE_WINDOW: u64 = 900_000_000;
/// Packets without which nothing is said.
const FEW: u64 = 2000;
/// After so many quiet times with nothing missing the link is taken to be one step better.
const EASED: u64 = 10;
/// At most so many steps, of [`PRESSURE`] each.
const MOST_PRESSURE: i32 = 4;

/// What a report counted in all, and when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: u64,
    counts: Counts,
    /// Judged after repair, up to which number, and missing for good.
    next: u64,
    judged: u64,
    missing: u64,
}

impl Sample {
    fn since(&self, older: &Sample) -> Counts {
        Counts {
            sent: self.counts.sent - older.counts.sent,
            lost: self.counts.lost - older.counts.lost,
            bursts: self.counts.bursts - older.counts.bursts,
        }
    }
}

impl Adapter {
    /// A report came at `now`, in nanoseconds of this end's clock.
    pub fn observe(&mut self, now: u64, report: &Report) {
        let of = (report.channel, report.epoch);
        let counts = Counts {
            sent: report.before.judged,
            lost: report.before.lost,
            bursts: report.before.bursts,
        };
        let after = report.after;
        let sample = Sample {
            at: now,
            counts,
            next: after.next,
            judged: after.judged,
            missing: after.missing,
        };
        let older = |last: &Sample| {
            last.counts.sent > counts.sent
                || last.counts.lost > counts.lost
                || last.counts.bursts > counts.bursts
                || last.judged > sample.judged
                || last.missing > sample.missing
        };
        if self.epoch != Some(of) {
            self.epoch = Some(of);
            self.history.clear();
            (self.since, self.from_seq, self.misses) = (None, 0, 0);
            self.paced = None;
        } else if self.history.back().is_some_and(older) {
            // Overtaken by a newer one.
            return;
        }
        self.note_missing(&sample);
        self.note_rate(&sample);
        self.history.push_back(sample);
        while self.history.len() > SAMPLES
            || self.history.get(1).is_some_and(|second| second.at + MEMORY < now)
        {
            self.history.pop_front();
        }
        self.forget_what_changed();
        let low = self.measured(WORSE).map(|estimate| estimate.low);
        let (rate, burst) = self.bears.map_or((0.0, 1.0), |(b, _)| (b.rate, b.mean_burst));
        let pressed = PRESSURE.powi(self.pressure);
        self.rising |= low.is_some_and(|low| {
            low.rate * pressed > rate || (self.bursts() >= 8 && low.mean_burst > burst)
        });
    }

    fn bursts(&self) -> u64 {
        self.counts().map_or(0, |counts| counts.bursts)
    }

    fn counts(&self) -> Option<Counts> {
        let (first, last) = (self.history.front()?, self.history.back()?);
        Some(last.since(first)).filter(|counts| counts.sent >= FEW)
    }

    /// What was measured since the link last changed, half a minute at most, with limits that are passed
    /// with probability `alpha`; `None` if that is too little to say anything.
    pub fn measured(&self, alpha: f64) -> Option<LinkEstimate> {
        Some(LinkEstimate::new(self.counts()?, alpha).on_wire(self.code.overhead()))
    }

    /// Follows the rate of source packets.
    fn note_rate(&mut self, last: &Sample) {
        let first = self.paced.get_or_insert(*last);
        let time = last.at.saturating_sub(first.at);
        if time >= RATE_WINDOW {
            let rate =
                last.counts.sent.saturating_sub(first.counts.sent) as f64 * 1e9 / time as f64;
            let rate = rate / self.channels as f64;
            self.packets_per_second = Some(rate).filter(|&rate| rate >= 1.0);
            self.paced = Some(*last);
        }
    }

    /// Forgets what was before the most likely change of the link, if it is one: at once what was
    /// better, after the quiet time what was worse.
    fn forget_what_changed(&mut self) {
        let Some((first, last)) = self.history.front().zip(self.history.back()) else { return };
        let all = last.since(first);
        let unlike = |split: &Sample| {
            let (a, b) = (split.since(first), last.since(split));
            let enter = |c: Counts| (c.bursts, c.sent - c.lost + c.bursts);
            let stay = |c: Counts| (c.bursts, c.lost);
            ratio(enter(a), enter(b), enter(all)) + ratio(stay(a), stay(b), stay(all))
        };
        let splits = self.history.iter().enumerate().skip(1);
        let splits = splits.take(self.history.len().saturating_sub(2));
        let best = splits.map(|(n, split)| (unlike(split), n)).max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, at)) = best.filter(|best| best.0 > UNLIKE) else { return };
        let split = self.history[at];
        let share = |c: Counts| c.lost as f64 / c.sent.max(1) as f64;
        let worse = share(last.since(&split)) > share(split.since(first));
        if worse || last.at - split.at >= self.policy.quiet_ns {
            self.history.drain(..at);
            // What went missing meanwhile says nothing of the code for the link as it is.
            (self.since, self.misses) = (None, 0);
        }
    }

    /// Whether the residual is missed under the present code, whatever the model says of it.
    fn note_missing(&mut self, sample: &Sample) {
        if sample.next < self.from_seq || self.rising {
            return;
        }
        let Some(since) = self.since else {
            (self.since, self.misses) = (Some(*sample), 0);
            return;
        };
        let before = self.history.back().map_or(0, |last| last.missing);
        self.misses += u32::from(sample.missing > before.max(since.missing));
        let (missing, judged) = (sample.missing - since.missing, sample.judged - since.judged);
        let missed = missing as f64 > 4.0 * self.policy.residual * judged as f64 + 2.0;
        if missed && self.misses >= 3 && self.meets && self.pressure < MOST_PRESSURE {
            self.pressure += 1;
            (self.since, self.asked) = (None, None);
        } else if sample.at.saturating_sub(since.at) > EASED * self.policy.quiet_ns {
            if missing == 0 && self.pressure > 0 {
                self.pressure -= 1;
                self.asked = None;
            }
            (self.since, self.misses) = (Some(*sample), 0);
        }
    }
}

/// The logarithm of the ratio of likelihoods: of two series of (hits, trials) with a probability of
/// their own each, and with one for both.
fn ratio(a: (u64, u64), b: (u64, u64), all: (u64, u64)) -> f64 {
    let likelihood = |(hits, trials): (u64, u64)| {
        let (hits, misses, all) = (hits as f64, trials.saturating_sub(hits) as f64, trials as f64);
        let term = |n: f64| if n > 0.0 { n * (n / all).ln() } else { 0.0 };
        term(hits) + term(misses)
    };
    likelihood(a) + likelihood(b) - likelihood(all)
}
