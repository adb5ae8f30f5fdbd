//! What the control thread says: that the gateway lives, in which state, and by which code.

use std::sync::Arc;

use crate::State;
use crate::code::CodeLines;
use crate::layout::{BEAT, CLASSES, Header, MAX_LEVELS, STATE};
use crate::memory::Memory;

/// The lines of the control thread. When it is dropped, readers are told that the gateway stops.
#[derive(Debug)]
pub struct Control {
    memory: Arc<Memory>,
    epoch: u64,
}

impl Control {
    pub(crate) fn new(memory: Arc<Memory>, header: &Header) -> Control {
        Control { memory, epoch: header.epoch }
    }

    /// The segment's epoch: another for each segment.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Says that the gateway lives at `now` ([`crate::now_ns`]). Due every 10 ms, or ten times within
    /// the configured timeout.
    pub fn heartbeat(&mut self, now_ns: u64) {
        self.memory.lines()[BEAT].0[0].publish(now_ns);
    }

    /// Changes the state; returns what it was. To be called before what it says takes effect. The
    /// workers' rings are to be told too: [`crate::Notice::State`].
    pub fn set_state(&mut self, state: State, now_ns: u64) -> State {
        let [flags, transitions, since, ..] = &self.memory.lines()[STATE].0;
        let old = State(flags.own());
        if state != old {
            since.put(now_ns);
            transitions.publish(transitions.own() + 1);
            flags.publish(state.0);
        }
        old
    }

    /// Puts a code in force, with what its levels are worth: probabilities by class and level, 1
    /// where there is no such level. Returns its generation. To be called before the first repair of
    /// that code leaves: all waits on levels end. The workers' rings are to be told too.
    ///
    /// As long as bytes are in flight that were covered by an older code, the bounds must be true of
    /// those too.
    pub fn publish_code(
        &mut self,
        text: &str,
        levels: usize,
        bounds: &[[f64; MAX_LEVELS]; CLASSES],
    ) -> u64 {
        CodeLines(&self.memory).publish(text, levels, bounds)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let [flags, transitions, ..] = &self.memory.lines()[STATE].0;
        transitions.publish(transitions.own() + 1);
        flags.publish(flags.own() | State::STOPPING.0);
    }
}
