//! Waiting for bytes to be safe enough.
//!
//! Order matters. The entry is looked at first, and only then whether what was seen there may be relied
//! on: state, code, heartbeat. A watermark of a new code, or of a gateway that has just stopped, is thus
//! never taken for more than it is.

use std::time::Duration;

use super::WaitError;
use super::flow::{Flow, View};
use super::pause::Pause;
use crate::layout::CLASSES;
use crate::{Code, State, now_ns};

/// How safe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Covered by so many repair packets that have left, from 1 on.
    Level(usize),
    /// Acknowledged by the far TCP.
    Acked,
    /// As many repairs have left as make it at most this probable that the bytes are not whole at
    /// the mirror, should this site die now.
    Probability(f64),
}

/// By what a target was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// So many repairs for each byte have left.
    Level(usize),
    /// The gateway has seen the far TCP's acknowledgement. It satisfies any target.
    Acked,
    /// This host's kernel has seen it.
    KernelAcked,
}

/// What a wait has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// By what.
    pub reached: Reached,
    /// The gateway sheds repairs: later bytes may take longer, or never get their levels.
    pub degraded: bool,
}

/// One thing waited for, to be polled with [`Flow::poll`]. A flow may have several.
#[derive(Clone, Debug)]
pub struct Wait {
    offset: u64,
    target: Target,
    /// The flow's binding and the code's generation when it began.
    began: Option<(u64, u64)>,
}

impl Wait {
    /// For all bytes below `offset`.
    pub fn new(offset: u64, target: Target) -> Wait {
        Wait { offset, target, began: None }
    }

    /// Up to where bytes are waited for.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// For a caller that can't keep the wait itself: what to go on from, see [`Wait::go_on`].
    pub fn began(&self) -> Option<(u64, u64)> {
        self.began
    }

    /// The same wait again, from what [`Wait::began`] had said.
    pub fn go_on(self, began: Option<(u64, u64)>) -> Wait {
        Wait { began, ..self }
    }

    /// How safe they are to be.
    pub fn target(&self) -> Target {
        self.target
    }
}

impl Flow {
    /// Waits until all bytes below `offset` are as safe as `target` says. Whatever happens, it
    /// returns: in time, with what was reached or why it can't be.
    pub fn wait(
        &mut self,
        offset: u64,
        target: Target,
        timeout: Duration,
    ) -> Result<Outcome, WaitError> {
        let mut wait = Wait::new(offset, target);
        let mut pause = Pause::new(self.mode(), timeout);
        loop {
            let now = now_ns();
            if let Some(result) = self.poll_at(&mut wait, now) {
                return result;
            }
            if !pause.pass(now) {
                return Err(WaitError::Timeout);
            }
        }
    }

    /// One look; none while there is nothing to tell. After an answer the wait may be polled again, and
    /// begins anew.
    pub fn poll(&mut self, wait: &mut Wait) -> Option<Result<Outcome, WaitError>> {
        self.poll_at(wait, now_ns())
    }

    pub(super) fn poll_at(
        &mut self,
        wait: &mut Wait,
        now: u64,
    ) -> Option<Result<Outcome, WaitError>> {
        let answer = self.judge(wait, now);
        let (blind, failed) = match &answer {
            Verdict::Reached(outcome) => {
                wait.began = None;
                return Some(Ok(*outcome));
            }
            Verdict::NotYet { blind } => (*blind, None),
            Verdict::Never(error) => (true, Some(error.clone())),
        };
        // The kernel's word is as good as the gateway's, and outlives it.
        if self.kernel_acked(now, blind, failed.is_some()) >= wait.offset {
            wait.began = None;
            return Some(Ok(Outcome { reached: Reached::KernelAcked, degraded: false }));
        }
        let error = failed?;
        wait.began = None;
        let ended = matches!(error, WaitError::Reset | WaitError::Reused);
        // Acknowledgements need no gateway.
        if wait.target == Target::Acked && self.has_socket() && !ended {
            None
        } else {
            Some(Err(error))
        }
    }

    fn judge(&mut self, wait: &mut Wait, now: u64) -> Verdict {
        match self.look(wait, now) {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Never(error),
        }
    }

    fn look(&mut self, wait: &mut Wait, now: u64) -> Result<Verdict, WaitError> {
        if let Target::Probability(p) = wait.target
            && !(0.0..=1.0).contains(&p)
        {
            return Err(WaitError::NotAProbability(p));
        }
        let view = self.view(now)?;
        let binding = self.binding();
        let generation = self.attachment()?.code_generation().ok_or(WaitError::CodeSwitched)?;
        let (began, code) = *wait.began.get_or_insert((binding, generation));
        if began != binding {
            return Err(WaitError::Renewed);
        }
        let Some(offset) = view.theirs(wait.offset) else {
            let state = self.attachment()?.state();
            return match self.has_socket() {
                _ if !state.protects() => Err(WaitError::Unprotected(state)),
                true => Ok(Verdict::NotYet { blind: true }),
                false => Err(WaitError::Unanchored),
            };
        };
        if i128::from(view.acked()) >= offset && view.sample.acked.is_some() {
            return Ok(Verdict::Reached(Outcome { reached: Reached::Acked, degraded: false }));
        }
        if view.sample.reset {
            return Err(WaitError::Reset);
        }
        let state = self.attachment()?.state();
        if !state.protects() {
            return Err(WaitError::Unprotected(state));
        }
        if code != generation {
            return Err(WaitError::CodeSwitched);
        }
        let in_force = self.code()?;
        if in_force.generation != code {
            return Err(WaitError::CodeSwitched);
        }
        let Some(level) = reached(in_force, &view, offset, wait.target)? else {
            return Ok(Verdict::NotYet { blind: false });
        };
        // What was seen is true; whether anyone still stands for it is asked behind it.
        if !self.attachment()?.lives(now_ns()) {
            return Err(WaitError::Dead);
        }
        let degraded = state.has(State::DEGRADED);
        Ok(Verdict::Reached(Outcome { reached: Reached::Level(level), degraded }))
    }
}

enum Verdict {
    Reached(Outcome),
    /// Blind: only the kernel can tell, for now.
    NotYet {
        blind: bool,
    },
    Never(WaitError),
}

/// The level by which the target is reached.
fn reached(
    code: &Code,
    view: &View,
    offset: i128,
    target: Target,
) -> Result<Option<usize>, WaitError> {
    let there = |level: usize| i128::from(view.sample.levels[level - 1]) >= offset;
    match target {
        Target::Acked => Ok(None),
        Target::Level(level) if (1..=code.levels).contains(&level) => {
            Ok(there(level).then_some(level))
        }
        Target::Level(asked) => Err(WaitError::NoSuchLevel { asked, levels: code.levels }),
        Target::Probability(p) => {
            Ok((1..=code.levels).find(|&level| there(level) && loss(code, view, level) <= p))
        }
    }
}

/// The probability, at most, that a packet in flight is never recovered: for each the worst of the classes
/// that bytes in flight may be of, and the sum over all of them.
fn loss(code: &Code, view: &View, level: usize) -> f64 {
    let acked = view.acked();
    let worst = |in_flight: fn(u64, u64) -> bool| {
        (0..CLASSES)
            .filter(|&class| in_flight(view.sample.class_to[class], acked))
            .map(|class| code.bounds[class][level - 1])
            .reduce(f64::max)
    };
    let each = worst(|to, acked| to > acked).or_else(|| worst(|_, _| true)).unwrap_or(1.0);
    each * view.sample.in_flight.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Sample;
    use proptest::prelude::*;

    fn view(levels: [u64; 8], in_flight: u64, class_to: [u64; CLASSES], acked: u64) -> View {
        let acked = Some(acked);
        let sample = Sample { acked, levels, sent: 1000, in_flight, class_to, ..Sample::default() };
        View { sample, shift: Some(0) }
    }

    fn code() -> Code {
        let mut bounds = [[1.0; 8]; CLASSES];
        for (class, bounds) in bounds.iter_mut().enumerate() {
            for (level, bound) in bounds.iter_mut().take(3).enumerate() {
                *bound = 10f64.powi(-2 * (level as i32 + 1)) * (class + 1) as f64;
            }
        }
        Code { generation: 1, text: String::new(), levels: 3, bounds }
    }

    #[test]
    fn a_probability_takes_the_lowest_level_that_will_do() {
        let all = [500, 500, 500, 0, 0, 0, 0, 0];
        let level = |p, view: &View| reached(&code(), view, 500, Target::Probability(p)).unwrap();
        let dense = view(all, 10, [500, 0, 0, 0], 100);
        assert_eq!(level(0.2, &dense), Some(1));
        assert_eq!(level(0.01, &dense), Some(2));
        assert_eq!(level(2e-5, &dense), Some(3));
        assert_eq!(level(1e-6, &dense), None);
        // What is acknowledged was of whatever class.
        assert_eq!(level(0.2, &view(all, 10, [500, 0, 0, 100], 100)), Some(1));
        assert_eq!(level(0.2, &view(all, 10, [500, 0, 0, 101], 100)), Some(2));
        // Nothing is known of the classes: the worst.
        assert_eq!(level(0.2, &view(all, 10, [0; 4], 100)), Some(2));
        // Never less than one packet.
        assert_eq!(level(1e-3, &view(all, 0, [500, 0, 0, 0], 100)), Some(2));
        // A level that is not there yet does not count.
        assert_eq!(level(1e-3, &view([500, 499, 0, 0, 0, 0, 0, 0], 1, [500, 0, 0, 0], 0)), None);
    }

    #[test]
    fn levels_that_the_code_does_not_have_are_refused() {
        for asked in [0, 4, 9, usize::MAX] {
            let result = reached(&code(), &view([900; 8], 1, [0; 4], 0), 1, Target::Level(asked));
            assert_eq!(result, Err(WaitError::NoSuchLevel { asked, levels: 3 }));
        }
    }

    proptest! {
        /// A target is reached by a level only if the level is there, and worth it.
        #[test]
        fn no_target_is_reached_too_early(
            levels: [u64; 8],
            numbers in any::<(u64, [u64; CLASSES], u64)>(),
            offset: u64,
            exponent in -12..0i32,
        ) {
            let (in_flight, class_to, acked) = numbers;
            let view = view(levels, in_flight, class_to, acked);
            let p = 10f64.powi(exponent);
            if let Some(level) = reached(&code(), &view, offset.into(), Target::Probability(p)).unwrap() {
                prop_assert!(levels[level - 1] >= offset);
                let best = code().bounds.iter().map(|class| class[level - 1]).fold(1.0, f64::min);
                prop_assert!(best * in_flight as f64 <= p);
            }
        }
    }
}
