//! What control has told readers, for the workers to say in their rings too.

use std::sync::atomic::{AtomicU64, Ordering};

use netsync::{Notice, State};

/// Shared by control, which writes it, and the workers, which look at it between bursts.
#[derive(Debug, Default)]
pub struct Told {
    state: AtomicU64,
    code: AtomicU64,
}

/// What a worker has said of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    state: State,
    code: u64,
}

impl Told {
    /// Control has put the gateway in this state.
    pub fn state(&self, state: State) {
        // Relaxed: the state itself is in the segment, which readers look at; this is news of it.
        self.state.store(state.0, Ordering::Relaxed);
    }

    /// Control has put the code of this generation in force.
    pub fn code(&self, generation: u64) {
        self.code.store(generation, Ordering::Relaxed);
    }
}

impl Said {
    /// What is news to a worker's ring.
    #[inline]
    pub(super) fn news(&mut self, told: &Told, at_ns: u64) -> [Option<Notice>; 2] {
        let new = State(told.state.load(Ordering::Relaxed));
        let generation = told.code.load(Ordering::Relaxed);
        let state = (new != self.state).then_some(Notice::State { old: self.state, new, at_ns });
        let code = (generation != self.code).then_some(Notice::Code { generation });
        *self = Said { state: new, code: generation };
        [state, code]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_said_once() {
        let (told, mut said) = (Told::default(), Said::default());
        assert_eq!(said.news(&told, 0), [None, None]);
        told.code(1);
        told.state(State::DEGRADED);
        let state = Notice::State { old: State::PROTECTED, new: State::DEGRADED, at_ns: 7 };
        assert_eq!(said.news(&told, 7), [Some(state), Some(Notice::Code { generation: 1 })]);
        assert_eq!(said.news(&told, 8), [None, None]);
    }
}
