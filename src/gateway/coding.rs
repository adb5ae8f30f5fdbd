//! Which code is in force, how another takes its place, and what readers are promised meanwhile.
//!
//! ```text
//!   Steady ── wanted ──▶ Building ── built, readers told ──▶ Posting ── all rooms gave the old back ──▶ Steady
//!                         (aside)                          (a mailbox each)
//! ```
//!
//! * **Does:** have the planner find a code when the link has changed, have codes built, tell readers
//!   before rooms, rooms one change at a time; reckon with which link readers are promised anything.
//! * **Fed by:** the supervisor's summaries; operators; rooms, through the [`Steward`].
//! * **Feeds:** the rooms with codes, readers with bounds.
//! * **Runs on:** control's thread. What takes longer than a moment, [`Question::answer`] and
//!   [`Build::run`], is handed out to be done aside, one of each at a time.
//! * **Must not:** wait, or let a packet be without repairs: a room has one code or another, always.

mod build;
mod order;
mod promise;

use super::blueprint::Blueprint;
use super::post::CodeNews;
use super::steward::Steward;
use crate::fec::{Code, Codes, EncoderConfig};
use crate::link::adapt::{Adapter, Answer, Policy, Question};
use crate::safety::link::Loss;
use build::Price;
use promise::Promise;

pub use build::{Build, Built};
pub use promise::{Promised, Readers};

/// How far a change has come.
enum Stage {
    Steady,
    Building,
    /// Rooms that have yet to be told, how many have not begun or not ended, and with which packets they
    /// began, in all.
    Posting {
        left: Vec<(usize, Box<Codes>)>,
        begun: usize,
        out: usize,
        from: u64,
    },
}

/// See the module's head.
pub struct Coding {
    blueprint: Blueprint,
    adapter: Adapter,
    /// Whether the code follows the link.
    auto: bool,
    /// What is in force, or about to be.
    present: EncoderConfig,
    wanted: Option<EncoderConfig>,
    stage: Stage,
    /// A question is out, and whether its answer still counts.
    asking: bool,
    stale: bool,
    building: bool,
    promise: Option<Promise>,
    exit: u64,
    /// Why the code was last changed.
    reason: Option<String>,
    changes: u64,
}

impl Coding {
    /// Of a gateway that was built from `blueprint`. With a `policy` the code follows the link. If there
    /// are readers, they have been told of the code with the floor as the link.
    pub fn new(blueprint: Blueprint, policy: Option<Policy>, promised: Option<Promised>) -> Coding {
        let present = blueprint.encoder();
        let auto = policy.is_some();
        let policy = policy.unwrap_or_else(|| fixed(&blueprint));
        let promise = promised.map(|promised| Promise::new(present.clone(), promised.floor));
        Coding {
            adapter: Adapter::new(policy, present.code.clone()),
            auto,
            present,
            wanted: None,
            stage: Stage::Steady,
            asking: false,
            stale: false,
            building: false,
            promise,
            exit: promised.map_or(0, |promised| promised.exit),
            reason: None,
            changes: 0,
            blueprint,
        }
    }

    /// The code in force, or about to be.
    pub fn code(&self) -> &Code {
        &self.wanted.as_ref().unwrap_or(&self.present).code
    }

    /// The code for sparse traffic beside it.
    pub fn sparse(&self) -> Option<&Code> {
        self.wanted.as_ref().unwrap_or(&self.present).sparse.as_ref()
    }

    /// Whether the code follows the link.
    pub fn is_auto(&self) -> bool {
        self.auto
    }

    /// Whether one code takes another's place.
    pub fn is_changing(&self) -> bool {
        self.wanted.is_some() || !matches!(self.stage, Stage::Steady)
    }

    /// How often the code was changed, and why it was last.
    pub fn changes(&self) -> (u64, Option<&str>) {
        (self.changes, self.reason.as_deref())
    }

    /// With which link readers are promised anything.
    pub fn promised(&self) -> Option<Loss> {
        self.promise.as_ref()?.link
    }

    /// Takes a turn at `now`, once the steward has taken his.
    pub fn step(&mut self, now: u64, steward: &mut Steward, readers: &mut dyn Readers) {
        if let Some(facts) = steward.supervisor().peer().facts() {
            self.adapter.fit(window(facts.window));
        }
        if let Some(summary) = steward.supervisor_mut().take_summary(now) {
            self.adapter.share(summary.channels);
            self.adapter.observe(now, &summary.report);
        }
        while let Some(news) = steward.take_code_news() {
            self.hear(now, news);
        }
        self.post(steward);
        self.follow(now, readers);
    }

    /// What the planner is to be asked, aside; one at a time.
    pub fn take_question(&mut self, now: u64) -> Option<Question> {
        if !self.auto || self.asking || self.is_changing() {
            return None;
        }
        let question = self.adapter.question(now)?;
        (self.asking, self.stale) = (true, false);
        Some(question)
    }

    /// The planner's answer; none if it can't answer.
    pub fn answered(&mut self, now: u64, answer: Option<Answer>) {
        self.asking = false;
        let answer = answer.filter(|_| self.auto && !self.stale);
        let Some(change) = answer.and_then(|answer| self.adapter.answered(now, answer)) else {
            return;
        };
        self.want(self.blueprint.encoder_for(&change.code), change.to_string());
    }

    fn want(&mut self, config: EncoderConfig, line: String) {
        log::info!("{line}");
        self.reason = Some(line);
        self.changes += 1;
        self.wanted = Some(config);
    }

    /// What is to be built, aside; one at a time.
    pub fn take_build(&mut self, steward: &Steward) -> Option<Build> {
        if self.building {
            return None;
        }
        let wanted = self.wanted.take_if(|_| matches!(self.stage, Stage::Steady));
        if let Some(promise) = self.promise.as_mut().filter(|_| wanted.is_some()) {
            // A worse link is the reason, as a rule.
            promise.reckon(&self.adapter);
        }
        let mut price = self
            .promise
            .as_ref()
            .map(|promise| Price { codes: promise.codes.clone(), link: promise.link });
        let code = match wanted {
            Some(config) => {
                if let Some(Price { codes, .. }) = &mut price {
                    codes.push((config.clone(), None));
                }
                self.stage = Stage::Building;
                self.present = config.clone();
                Some((config, steward.protecting()))
            }
            None if self.promise.as_ref().is_some_and(|promise| promise.is_stale) => None,
            None => return None,
        };
        self.building = true;
        Some(Build { code, price })
    }

    /// It is built: readers are told first.
    pub fn built(&mut self, built: Built, readers: &mut dyn Readers) {
        self.building = false;
        let Built { build: Build { code, price }, codes } = built;
        if let Some((promise, price)) = self.promise.as_mut().zip(price) {
            // The link may have changed meanwhile: then this is not the last word.
            promise.is_stale = price.link != promise.link;
            readers.publish(&self.present.code, &price.worth());
            promise.codes = price.codes;
            if promise.is_stale {
                promise.codes.iter_mut().for_each(|(_, worth)| *worth = None);
            }
            if code.is_some() {
                (promise.out_at, promise.marked) = (None, false);
            }
        }
        if code.is_some() {
            let rooms = codes.len();
            let left = codes.into_iter().enumerate().collect();
            self.stage = Stage::Posting { left, begun: rooms, out: rooms, from: 0 };
        }
    }

    /// Nothing came of what was to be built.
    pub fn failed(&mut self) {
        self.building = false;
        if matches!(self.stage, Stage::Building) {
            self.stage = Stage::Steady;
        }
    }

    fn post(&mut self, steward: &mut Steward) {
        if let Stage::Posting { left, .. } = &mut self.stage {
            // Who has no room for it hears it next time.
            let tried = std::mem::take(left).into_iter();
            *left = tried
                .filter_map(|(room, codes)| {
                    steward.post_code(room, codes).err().map(|codes| (room, codes))
                })
                .collect();
        }
    }

    fn hear(&mut self, now: u64, news: CodeNews) {
        let Stage::Posting { begun, out, from, .. } = &mut self.stage else { return };
        match news {
            CodeNews::From(seq) => {
                (*begun, *from) = (begun.saturating_sub(1), *from + seq);
                if *begun == 0 {
                    self.adapter.switched(*from);
                }
            }
            CodeNews::Refused(_) => {
                log::error!("a room has refused a code; please report this");
                (*begun, *out) = (begun.saturating_sub(1), out.saturating_sub(1));
            }
            CodeNews::Retired(_) => *out = out.saturating_sub(1),
        }
        if *out == 0 {
            self.stage = Stage::Steady;
            if let Some(promise) = &mut self.promise {
                promise.out_at = Some(now);
            }
        }
    }

    /// How long a packet takes from a room to the edge of the site, at most, in nanoseconds.
    pub fn set_exit(&mut self, exit: u64) {
        self.exit = exit;
    }

    /// What is known of the link, as the far end has measured it.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }
}

/// What a gateway wants whose code is what the configuration says: nothing of the planner, but to know
/// what is measured.
fn fixed(blueprint: &Blueprint) -> Policy {
    Policy {
        residual: 1e-6,
        latency_ns: blueprint.timing.latency,
        overhead_limit: f64::INFINITY,
        floor: blueprint.code.clone(),
        largest: blueprint.code.clone(),
        quiet_ns: 3_000_000_000,
        gain: 0.0,
    }
}

/// The window that a hello speaks of.
fn window(log2: u8) -> u64 {
    match log2 {
        0 => u64::MAX,
        log2 => 1u64.checked_shl(log2.into()).unwrap_or(u64::MAX),
    }
}
