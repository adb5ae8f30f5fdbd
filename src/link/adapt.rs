//! Which code a measured link needs, and when to change to it.
//!
//! Reports of the far end come in ([`Adapter::observe`]). What they count since the link last changed
//! is its estimate: where a likelihood ratio says that packets before and after some report are not
//! of one link, what was before is forgotten: at once if it has become worse, after a quiet while if
//! better. When the link is worse than what the code was chosen for, or was better for long enough,
//! there is a [`Question`] to the planner, whose answer takes a part of a second and may be found on
//! another thread. [`Adapter::answered`] makes it a change, or not.

mod change;
mod observe;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::fec::Code;
use crate::safety::choice::{Choice, Limits, choose};
use crate::safety::estimate::Bursts;
use crate::safety::plan::Goal;
use observe::{SAMPLES, Sample};

pub use change::{Change, Why};

/// Limits with which the planner reckons are passed with this probability: a change of the code is
/// no promise, and what is too low is soon found out.
const PLANNED: f64 = 0.2;
/// The same for a link to count as worse than what the code was chosen for.
const WORSE: f64 = 0.01;
/// Links are told apart in such steps, so that little news is no news.
const STEP: f64 = 1.08;
/// How much worse the link is taken to be for each step by which the residual was missed.
const PRESSURE: f64 = 1.5;

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

    /// What is to be asked of the planner at `now`, if anything: to be asked once.
    pub fn question(&mut self, now: u64) -> Option<Question> {
        let high = self.measured(PLANNED)?.high;
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

/// The next power of `step`: up if that is above 1, else down.
fn rounded(value: f64, step: f64) -> f64 {
    let powers = value.ln() / step.ln();
    step.powf((powers - 1e-9).ceil())
}
