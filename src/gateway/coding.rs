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

use super::blueprint::Blueprint;
use super::flows::{UNKNOWN_LINK, Worth, bounds, mixed};
use super::post::CodeNews;
use super::steward::Steward;
use crate::fec::{Code, Codes, EncoderConfig};
use crate::link::adapt::{Adapter, Answer, Policy, Question};
use crate::safety::confidence::ALPHA;
use crate::safety::estimate::Bursts;
use crate::safety::link::Loss;

/// What readers are promised follows the link no more often than this, in nanoseconds.
const REPUBLISH: u64 = 1_000_000_000;
/// The link is taken to be so much worse than its limit, so that a little more is no news.
const MARGIN: f64 = 1.25;
/// A link so many times as good is news: waits end at each change.
const BETTER: f64 = 2.0;
/// Packets that had left their room before the old code was out have left the gateway so much later,
/// beside the port's own time, in nanoseconds: flows are published, and control looks, some time behind.
const LEAVING: u64 = 1_000_000_000;
/// With more codes in flight than this, nothing is promised until some are out.
const MOST_CODES: usize = 6;
/// Bursts or shares that nobody has measured.
const NO_FLOOR: Loss = Loss::Iid { rate: 1e-12 };

/// Who waits for levels.
pub trait Readers {
    /// Puts a code in force for them, with what its levels are worth. All their waits end.
    fn publish(&mut self, code: &Code, worth: &Worth);

    /// Notes what flows have in flight.
    fn mark(&mut self);

    /// Whether all that was noted is acknowledged, or its flow is another's.
    fn is_settled(&mut self) -> bool;
}

/// Nobody.
impl Readers for () {
    fn publish(&mut self, _code: &Code, _worth: &Worth) {}

    fn mark(&mut self) {}

    fn is_settled(&mut self) -> bool {
        true
    }
}

/// What is to be found for readers: what levels are worth on a link, with packets of these codes in flight.
#[derive(Clone, Debug)]
struct Price {
    codes: Vec<(EncoderConfig, Option<Worth>)>,
    link: Option<Loss>,
}

/// What is to be done aside: a code made ready, or a price found, or both.
#[derive(Clone, Debug)]
pub struct Build {
    /// The code, and for how many rooms.
    code: Option<(EncoderConfig, usize)>,
    price: Option<Price>,
}

/// What came of it.
pub struct Built {
    build: Build,
    #[allow(clippy::vec_box, reason = "rooms are handed the box, and must not allocate one")]
    codes: Vec<Box<Codes>>,
}

impl Build {
    /// Takes up to some hundred milliseconds; on any thread.
    pub fn run(mut self) -> Built {
        if let Some(Price { codes, link }) = &mut self.price
            && codes.len() <= MOST_CODES
        {
            for (code, worth) in codes {
                let price =
                    || bounds(&code.code, code.sparse.as_ref(), code.timing.flush_cap, *link);
                worth.get_or_insert_with(price);
            }
        }
        let new = |(config, rooms): &(EncoderConfig, usize)| -> Vec<Box<Codes>> {
            (0..*rooms).map(|_| Box::new(Codes::new(config))).collect()
        };
        let codes = self.code.as_ref().map(new).unwrap_or_default();
        Built { build: self, codes }
    }
}

impl Price {
    /// What readers are told.
    fn worth(&self) -> Worth {
        let known: Option<Vec<Worth>> = self.codes.iter().map(|(_, worth)| *worth).collect();
        known.map_or(UNKNOWN_LINK, |known| mixed(&known))
    }
}

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

/// What readers are promised.
struct Promise {
    /// Codes whose repairs may be in flight, that in force last; worth that, where it is known.
    codes: Vec<(EncoderConfig, Option<Worth>)>,
    floor: Option<Loss>,
    link: Option<Loss>,
    /// When the link was last looked at.
    looked_at: u64,
    /// When all older codes were out of the rooms, and whether what was in flight then is noted.
    out_at: Option<u64>,
    marked: bool,
    /// What was published is not what is known.
    is_stale: bool,
}

/// What readers are told of, and how soon what was sent has left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promised {
    /// The operator's floor of the link.
    pub floor: Option<Loss>,
    /// What lies between a room and the edge of the site, in nanoseconds.
    pub exit: u64,
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
        let promise = promised.map(|Promised { floor, .. }| Promise {
            codes: vec![(present.clone(), None)],
            floor,
            link: floor,
            looked_at: 0,
            out_at: None,
            marked: false,
            is_stale: false,
        });
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

    /// An operator wants another code.
    ///
    /// # Errors
    /// In a line, why it can't be had.
    pub fn order(&mut self, now: u64, code: &Code, steward: &Steward) -> Result<String, String> {
        if self.auto {
            return Err(format!(
                "code {code}: refused, since code.auto chooses the code; take [code.auto] out of the \
                 configuration and reload first"
            ));
        }
        if code == self.code() {
            return Ok(format!("code {code} is in force already"));
        }
        let config = self.blueprint.encoder_for(code);
        self.check(&config, steward)?;
        let line = format!("code {} -> {code}: an operator wants it", self.code());
        self.adapter.overruled(now, code.clone());
        self.want(config, line);
        Ok(format!(
            "code {code} protects from now on; groups of the old one are filled to their end"
        ))
    }

    /// The configuration has changed: another `[code]`, and perhaps another `policy` or none.
    ///
    /// # Errors
    /// In a line, why it can't be had; nothing is changed then.
    pub fn configure(
        &mut self,
        now: u64,
        blueprint: &Blueprint,
        policy: Option<Policy>,
        steward: &Steward,
    ) -> Result<(), String> {
        let auto = policy.is_some();
        // What follows the link goes on from where it is.
        let config = match auto && self.auto {
            true => blueprint.encoder_for(self.code()),
            false => blueprint.encoder(),
        };
        self.check(&config, steward)?;
        let before = self.wanted.as_ref().unwrap_or(&self.present).clone();
        self.blueprint = Blueprint {
            code: blueprint.code.clone(),
            sparse: blueprint.sparse.clone(),
            timing: blueprint.timing.clone(),
            ..self.blueprint.clone()
        };
        self.adapter.set_policy(policy.unwrap_or_else(|| fixed(blueprint)));
        (self.auto, self.stale) = (auto, true);
        let same = (&before.code, &before.sparse, &before.timing)
            == (&config.code, &config.sparse, &config.timing);
        if !same {
            let line =
                format!("code {} -> {}: the configuration has changed", before.code, config.code);
            if before.code != config.code {
                self.adapter.overruled(now, config.code.clone());
            }
            self.want(config, line);
        }
        Ok(())
    }

    /// Whether there is room for a code, here and at the far end.
    fn check(&self, config: &EncoderConfig, steward: &Steward) -> Result<(), String> {
        let code = &config.code;
        let room = self.blueprint.room();
        let span = config.sparse.iter().map(Code::span).fold(code.span(), u64::max);
        let layers = code.layers().len();
        let too_much = |what: String, there: String| {
            Err(format!(
                "code {code}: {what}, and this gateway has room for {there}; expected one no larger than \
                 {}, or set code.auto.largest or code.layers and restart",
                room.code
            ))
        };
        if span > room.span {
            return too_much(format!("a span of {span} packets"), room.span.to_string());
        }
        if layers > room.levels {
            return too_much(format!("{layers} layers"), room.levels.to_string());
        }
        let bytes = config.memory_bytes();
        if bytes > room.bytes {
            return too_much(format!("{} KiB", bytes >> 10), format!("{} KiB", room.bytes >> 10));
        }
        let there = steward.supervisor().peer().facts().map_or(u64::MAX, |f| window(f.window));
        if span > there {
            return Err(format!(
                "code {code}: a span of {span} packets, and the peer's window holds {there}; expected a \
                 shorter one, or set the peer's code.window"
            ));
        }
        Ok(())
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

    /// Follows the link, and what is in flight, in what readers are promised.
    fn follow(&mut self, now: u64, readers: &mut dyn Readers) {
        let exit = LEAVING + self.exit;
        let Some(promise) = &mut self.promise else { return };
        if self.building {
            return;
        }
        let steady = matches!(self.stage, Stage::Steady);
        if steady && promise.codes.len() > 1 && promise.out_at.is_some_and(|at| now >= at + exit) {
            if !promise.marked {
                readers.mark();
                promise.marked = true;
            }
            if readers.is_settled() {
                promise.codes.drain(..promise.codes.len() - 1);
                promise.is_stale = true;
            }
        }
        if now >= promise.looked_at + REPUBLISH {
            promise.looked_at = now;
            promise.reckon(&self.adapter);
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

impl Promise {
    /// Looks which link to reckon with.
    fn reckon(&mut self, adapter: &Adapter) {
        let link = self.look(adapter);
        if link != self.link {
            (self.link, self.is_stale) = (link, true);
            self.codes.iter_mut().for_each(|(_, worth)| *worth = None);
        }
    }

    /// The link to reckon with: the larger of the floor and what was measured, and as before where that
    /// is hardly another one.
    fn look(&self, adapter: &Adapter) -> Option<Loss> {
        let Some(measured) = adapter.measured(ALPHA) else { return self.floor };
        let floor = self.floor.unwrap_or(NO_FLOOR);
        let least = measured.at_least(floor).loss;
        let mut wider = measured;
        wider.high = Bursts {
            rate: (measured.high.rate * MARGIN).min(0.9),
            mean_burst: if measured.high.mean_burst > 1.0 {
                measured.high.mean_burst * MARGIN
            } else {
                1.0
            },
        };
        let wider = wider.at_least(floor).loss;
        let Some(before) = self.link else { return Some(wider) };
        let worse = least.rate() > before.rate() || least.mean_burst() > before.mean_burst();
        let better = wider.rate() * BETTER < before.rate()
            || wider.mean_burst() * BETTER < before.mean_burst();
        Some(if worse || better { wider } else { before })
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
