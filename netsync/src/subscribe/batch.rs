//! Many waits at once, for a server with many connections and few threads.

use std::time::Duration;

use super::pause::Pause;
use super::{Flow, Outcome, Wait, WaitError, WaitMode};
use crate::now_ns;

/// A wait, its flow, and its answer once there is one.
#[derive(Debug)]
pub struct Pending<'f> {
    /// The connection.
    pub flow: &'f mut Flow,
    /// What is waited for.
    pub wait: Wait,
    /// The answer. Taken out, the wait is polled again.
    pub result: Option<Result<Outcome, WaitError>>,
}

impl<'f> Pending<'f> {
    /// Without an answer yet.
    pub fn new(flow: &'f mut Flow, wait: Wait) -> Pending<'f> {
        Pending { flow, wait, result: None }
    }
}

/// One look at each that has no answer yet. Says how many have one.
pub fn poll_many(pending: &mut [Pending<'_>]) -> usize {
    look(pending, now_ns())
}

/// Waits until one of them has an answer, or the time is up. Says how many have one.
pub fn wait_any(pending: &mut [Pending<'_>], timeout: Duration, mode: WaitMode) -> usize {
    let mut pause = Pause::new(mode, timeout);
    loop {
        let now = now_ns();
        let answered = look(pending, now);
        if answered > 0 || pending.is_empty() || !pause.pass(now) {
            return answered;
        }
    }
}

fn look(pending: &mut [Pending<'_>], now: u64) -> usize {
    let mut answered = 0;
    for Pending { flow, wait, result } in pending {
        if result.is_none() {
            *result = flow.poll_at(wait, now);
        }
        answered += usize::from(result.is_some());
    }
    answered
}
