//! Which code a measured link needs, and when to change to it.
//!
//! Reports of the far end come in ([`Adapter::observe`]). What they count since the link last changed
//! is its estimate: where a likelihood ratio says that packets before and after some report are not
//! of one link, what was before is forgotten: at once if it has become worse, after a quiet while if
//! better. When the link is worse than what the code was chosen for, or was better for long enough,
//! there is a [`Question`] to the planner, whose answer takes a part of a second and may be found on
//! another thread. [`Adapter::answered`] makes it a change, or not.

use std::collections::VecDeque;
use std::fmt;

use crate::fec::Code;
use crate::safety::LinkEstimate;
use crate::safety::choice::{Choice, Limits, choose};
use crate::safety::estimate::Bursts;
use crate::safety::link::{Counts, Loss};
use crate::safety::plan::Goal;
use crate::wire::Report;

/// For how long reports are remembered.
const MEMORY: u64 = 30_000_000_000;
/// At most so many of them.
const SAMPLES: usize = 320;
/// Limits with which the planner reckons are passed with this probability: a change of the code is
/// no promise, and what is too low is soon found out.
const PLANNED: f64 = 0.2;
/// The same for a link to count as worse than what the code was chosen for.
const WORSE: f64 = 0.01;
/// The logarithm of the likelihood ratio from which two stretches are not of one link.
const UNLIKE: f64 = 12.0;
/// Links are told apart in such steps, so that little news is no news.
const STEP: f64 = 1.08;
/// How long the packet rate is measured.
const RATE_WINDOW: u64 = 900_000_000;
/// Packets without which nothing is said.
const FEW: u64 = 2000;
/// How much worse the link is taken to be for each step by which the residual was missed.
const PRESSURE: f64 = 1.5;
/// After so many quiet times with nothing missing it is taken to be one step better.
const EASED: u64 = 10;
/// At most so many steps.
const MOST_PRESSURE: i32 = 4;

/// What the operator wants.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The largest share of packets that may never be recovered.
    pub residual: f64,
    /// The latency budget, in nanoseconds.
    pub latency_ns: u64,
    /// Repairs per source packet, at most.
    pub overhead_limit: f64,
    /// The code of a good link: nothing cheaper is ever used.
    pub floor: Code,
    /// No code has a longer span, or takes more memory.
    pub largest: Code,
    /// A code is made cheaper only after so long a time without a change, in nanoseconds.
    pub quiet_ns: u64,
    /// And only if that saves so much of its overhead, in 0..1.
    pub gain: f64,
}

/// What a report counted in all, and when it came.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: u64,
    counts: Counts,
    /// Judged after repair, up to which number, and missing for good.
    next: u64,
    judged: u64,
    missing: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct Adapter {
    policy: Policy,
    epoch: Option<(u8, u32)>,
    /// Since the link last changed.
    history: VecDeque<Sample>,
    /// Where the measurement of the packet rate began, and what the last one came to.
    paced: Option<Sample>,
    packets_per_second: Option<f64>,
    /// How many channels share the packets.
    channels: usize,
    /// No longer span fits the far end's window.
    window: u64,
    code: Code,
    /// Whether the code does what is asked, as far as is known.
    meets: bool,
    /// What the code was chosen for.
    bears: Option<(Bursts, f64)>,
    /// The link is worse than that.
    rising: bool,
    changed_at: u64,
    /// From this packet on the present code protects.
    from_seq: u64,
    /// What was judged when that was reached, and how many reports since had packets missing.
    since: Option<Sample>,
    misses: u32,
    pressure: i32,
    /// What was asked last: not to be asked again.
    asked: Option<(Bursts, f64)>,
}

/// What the planner is to find.
#[derive(Clone, Debug)]
pub struct Question {
    goal: Goal,
    limits: Limits,
    floor: Code,
    link: Bursts,
    why: Why,
}

/// What it found.
#[derive(Clone, Debug)]
pub struct Answer {
    question: Question,
    choice: Choice,
}

/// Why a code is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The link loses more than the code was chosen for.
    Worse,
    /// It has lost less for long enough.
    Better,
    /// More was left than the model says, so it is not trusted.
    Missed,
    /// There is more or less traffic, and the latency budget holds more or fewer packets.
    Rate,
}

/// A change of the code, with its reason, which reads as a line of a log.
#[derive(Clone, Debug)]
pub struct Change {
    /// The code so far.
    pub from: Code,
    /// The code from now on.
    pub code: Code,
    /// Why.
    pub why: Why,
    /// The link that it was chosen for.
    pub loss: Loss,
    /// What it is expected to leave.
    pub residual: f64,
    /// Whether that is little enough. If not, nothing within the limits is.
    pub meets: bool,
    /// What was wanted.
    pub wanted: f64,
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
    /// Begins with `code` in force.
    pub fn new(policy: Policy, code: Code) -> Adapter {
        Adapter {
            policy,
            epoch: None,
            history: VecDeque::with_capacity(SAMPLES + 1),
            paced: None,
            packets_per_second: None,
            channels: 1,
            window: u64::MAX,
            code,
            meets: true,
            bears: None,
            rising: false,
            changed_at: 0,
            from_seq: 0,
            since: None,
            misses: 0,
            pressure: 0,
            asked: None,
        }
    }

    /// The code in force.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// What is wanted.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is wanted, from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        (self.policy, self.asked) = (policy, None);
    }

    /// The packets that reports count are shared by so many channels: each has a code of its own, and
    /// the latency budget holds so much less of it.
    pub fn share(&mut self, channels: usize) {
        self.channels = channels.max(1);
    }

    /// The far end's window holds so many packets, and no longer span.
    pub fn fit(&mut self, window: u64) {
        self.window = window;
    }

    /// Somebody else has decided for `code`.
    pub fn overruled(&mut self, now: u64, code: Code) {
        self.code = code;
        (self.changed_at, self.from_seq) = (now, u64::MAX);
        (self.since, self.misses, self.meets) = (None, 0, true);
        (self.bears, self.asked, self.rising) = (None, None, false);
    }

    /// What was measured since the link last changed, half a minute at most, with limits that are passed
    /// with probability `alpha`; `None` if that is too little to say anything.
    pub fn measured(&self, alpha: f64) -> Option<LinkEstimate> {
        self.estimate(alpha)
    }

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
        let low = self.estimate(WORSE).map(|estimate| estimate.low);
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

    fn estimate(&self, alpha: f64) -> Option<LinkEstimate> {
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

    /// What is to be asked of the planner at `now`, if anything: to be asked once.
    pub fn question(&mut self, now: u64) -> Option<Question> {
        let high = self.estimate(PLANNED)?.high;
        let rate = rounded(self.packets_per_second?, 1.0 / STEP);
        let worse = PRESSURE.powi(self.pressure);
        let link = Bursts {
            rate: rounded((high.rate * worse).min(0.5), STEP),
            mean_burst: rounded(high.mean_burst, STEP),
        };
        let quiet = now.saturating_sub(self.changed_at) >= self.policy.quiet_ns;
        let why = match self.bears {
            None => Why::Worse,
            Some((bears, _))
                if link.rate > bears.rate && self.pressure > 0 && self.asked.is_none() =>
            {
                Why::Missed
            }
            Some(_) if self.rising => Why::Worse,
            Some((_, packets)) if rate < packets / 1.3 => Why::Rate,
            Some((_, packets)) if quiet && rate > packets * 1.3 => Why::Rate,
            Some((bears, _)) => {
                let no_worse = link.rate <= bears.rate && link.mean_burst <= bears.mean_burst;
                let better = no_worse
                    && (link.rate * STEP < bears.rate || link.mean_burst * STEP < bears.mean_burst);
                (quiet && better).then_some(Why::Better)?
            }
        };
        if self.asked == Some((link, rate)) {
            return None;
        }
        self.asked = Some((link, rate));
        self.rising = false;
        let Policy { residual, latency_ns, overhead_limit, ref floor, ref largest, .. } =
            self.policy;
        let goal =
            Goal { loss: link.loss(), packets_per_second: rate, residual, latency_ns, update: 1 };
        let mut limits = Limits::new(overhead_limit, largest).dense(&goal);
        limits.span = limits.span.min(self.window);
        Some(Question { goal, limits, floor: floor.clone(), link, why })
    }

    /// The planner has answered: a change of the code, if it is worth one.
    pub fn answered(&mut self, now: u64, answer: Answer) -> Option<Change> {
        let Answer { question: Question { goal, link, why, .. }, choice } = answer;
        let Choice { code, figures, meets } = choice;
        let saves = code.overhead() <= self.code.overhead() * (1.0 - self.policy.gain);
        let worth = match why {
            Why::Worse | Why::Missed | Why::Rate => true,
            Why::Better => saves && meets >= self.meets || meets && !self.meets,
        };
        if !worth {
            return None;
        }
        self.bears = Some((link, goal.packets_per_second));
        self.meets = meets;
        // What came meanwhile was held against the code so far.
        self.rising = false;
        if code == self.code {
            return None;
        }
        let from = std::mem::replace(&mut self.code, code.clone());
        (self.changed_at, self.from_seq) = (now, u64::MAX);
        (self.since, self.misses) = (None, 0);
        if why == Why::Worse {
            self.pressure = 0;
        }
        let (loss, residual, wanted) = (goal.loss, figures.residual, self.policy.residual);
        Some(Change { from, code, why, loss, residual, meets, wanted })
    }

    /// The change was made: packets from `seq` on have the new code.
    pub fn switched(&mut self, seq: u64) {
        self.from_seq = seq;
    }

    /// All at once, for whoever has the time: some tenths of a second.
    pub fn decide(&mut self, now: u64) -> Option<Change> {
        let answer = self.question(now)?.answer();
        self.answered(now, answer)
    }
}

impl Question {
    /// Has the planner find it; may be done on any thread.
    pub fn answer(self) -> Answer {
        let choice = choose(&self.goal, &self.floor, self.limits);
        Answer { question: self, choice }
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

/// The next power of `step`: up if that is above 1, else down.
fn rounded(value: f64, step: f64) -> f64 {
    let powers = value.ln() / step.ln();
    step.powf((powers - 1e-9).ceil())
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { from, code, why, loss, residual, meets, wanted } = self;
        let why = match why {
            Why::Worse => "the link loses more",
            Why::Better => "the link loses less",
            Why::Missed => "more was missing than expected",
            Why::Rate => "the packet rate has changed",
        };
        write!(f, "code {from} -> {code}: {why}: up to {:.2e}", loss.rate())?;
        match loss {
            Loss::Ge { mean_burst, .. } => write!(f, " in bursts of {mean_burst:.1}")?,
            _ => write!(f, ", one by one")?,
        }
        let overhead = 100.0 * code.overhead();
        match meets {
            true => write!(f, "; leaves {residual:.1e}, costs {overhead:.1} %"),
            false => write!(
                f,
                "; nothing within the limits leaves as little as {wanted:.1e}: the strongest leaves \
                 {residual:.1e}, costs {overhead:.1} %"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    const SECOND: u64 = 1_000_000_000;

    fn policy() -> Policy {
        Policy {
            residual: 1e-5,
            latency_ns: 50_000_000,
            overhead_limit: 0.3,
            floor: "64:11,13+g1".parse().unwrap(),
            largest: "24:307,311,313,317,331,337+g1".parse().unwrap(),
            quiet_ns: 3 * SECOND,
            gain: 0.1,
        }
    }

    /// A link whose bursts begin at random, of one length, reported four times a second.
    struct World {
        adapter: Adapter,
        random: Xoshiro256PlusPlus,
        report: Report,
        now: u64,
    }

    impl World {
        fn new(seed: u64) -> World {
            World {
                adapter: Adapter::new(policy(), policy().floor),
                random: Xoshiro256PlusPlus::seed_from_u64(seed),
                report: Report::default(),
                now: 0,
            }
        }

        /// Of 50,000 packets a second such a share begins a burst, and so many are missing in each
        /// report.
        fn run(&mut self, seconds: u64, begin: f64, length: u64, missing: u64) -> Vec<Change> {
            let mut changes = Vec::new();
            for _ in 0..4 * seconds {
                self.now += SECOND / 4;
                let bits = (begin * (1u64 << 32) as f64) as u64;
                let draws = (0..12_500).filter(|_| self.random.next_u64() >> 32 < bits);
                let bursts = draws.count() as u64;
                let before = &mut self.report.before;
                (before.next, before.judged) = (before.next + 12_500, before.judged + 12_500);
                (before.bursts, before.lost) =
                    (before.bursts + bursts, before.lost + bursts * length);
                let after = &mut self.report.after;
                (after.next, after.judged) = (after.next + 12_500, after.judged + 12_500);
                after.missing += missing;
                self.adapter.observe(self.now, &self.report);
                if let Some(change) = self.adapter.decide(self.now) {
                    self.adapter.switched(self.report.before.next);
                    changes.push(change);
                }
            }
            changes
        }
    }

    #[test]
    fn a_steady_link_keeps_its_code() {
        let mut world = World::new(1);
        assert!(world.run(60, 0.0, 1, 0).is_empty());
        let changes = world.run(20, 0.002, 5, 0);
        assert_eq!(changes[0].why, Why::Worse, "{}", changes[0]);
        assert!(changes.len() <= 3 && changes[0].meets);
        assert!(world.run(120, 0.002, 5, 0).is_empty());
        // Half as many losses in turns of two seconds are no reason.
        for _ in 0..10 {
            assert!(world.run(2, 0.001, 5, 0).iter().all(|change| change.why == Why::Worse));
            world.run(2, 0.002, 5, 0);
        }
        let back = world.run(20, 0.0, 1, 0);
        assert!(back.iter().all(|change| change.why == Why::Better) && !back.is_empty());
        assert_eq!(world.adapter.code(), &policy().floor);
    }

    #[test]
    fn what_is_missed_is_not_explained_away() {
        let mut world = World::new(2);
        world.run(10, 0.002, 5, 0);
        let before = world.adapter.code().overhead();
        let changes = world.run(10, 0.002, 5, 5);
        assert!(changes.iter().any(|change| change.why == Why::Missed), "{changes:?}");
        assert!(world.adapter.code().overhead() > before);
        let eased = world.run(200, 0.002, 5, 0);
        assert!(!eased.is_empty() && world.adapter.pressure == 0, "{eased:?}");
    }

    #[test]
    fn where_nothing_will_do_the_strongest_is_taken_and_the_log_says_so() {
        let mut world = World::new(3);
        world.run(5, 0.0, 1, 0);
        let changes = world.run(10, 0.003, 60, 0);
        let last = changes.last().unwrap();
        assert!(!last.meets && (0.1..0.3001).contains(&last.code.overhead()), "{last}");
        let line = last.to_string();
        assert!(line.contains("nothing within the limits") && line.lines().count() == 1, "{line}");
        assert!(line.contains("in bursts of "), "{line}");
    }

    #[test]
    fn late_reports_and_other_epochs_are_harmless() {
        let mut world = World::new(4);
        world.run(5, 0.002, 5, 0);
        let code = world.adapter.code().clone();
        let old = Report::default();
        world.adapter.observe(world.now, &old);
        assert!(world.adapter.decide(world.now).is_none());
        let other = Report { epoch: 7, ..Report::default() };
        world.adapter.observe(world.now, &other);
        assert!(world.adapter.decide(world.now).is_none());
        assert_eq!(world.adapter.code(), &code);
    }
}
