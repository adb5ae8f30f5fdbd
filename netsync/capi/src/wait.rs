//! Waiting, for one thing or for many.

use std::time::Duration;

use shared::{Outcome, Reached, Target, Wait, WaitError, WaitMode};

use crate::error::{guard, set};
use crate::ns_flow;

/// What a call has come to: one of NS_OK and those behind it.
#[allow(non_camel_case_types)]
pub type ns_status = i32;
/// It is so.
pub const NS_OK: ns_status = 0;
/// Not yet: only of a wait in a batch.
pub const NS_PENDING: ns_status = 1;
/// The target was not reached in time.
pub const NS_TIMEOUT: ns_status = 2;
/// The gateway passes frames without protecting them, or is about to stop.
pub const NS_UNPROTECTED: ns_status = 3;
/// No gateway lives.
pub const NS_DEAD: ns_status = 4;
/// The gateway does not track this connection.
pub const NS_NOT_TRACKED: ns_status = 5;
/// The gateway has begun anew with this connection. Wait again.
pub const NS_RENEWED: ns_status = 6;
/// The gateway's table is full, and this connection was idle longest. Wait again.
pub const NS_EVICTED: ns_status = 7;
/// The ends of this connection are another one's by now.
pub const NS_REUSED: ns_status = 8;
/// The connection was reset.
pub const NS_RESET: ns_status = 9;
/// Picked up in mid-stream, and no socket to anchor it by.
pub const NS_UNANCHORED: ns_status = 10;
/// The code in force has no such level.
pub const NS_NO_SUCH_LEVEL: ns_status = 11;
/// Another code came into force. Wait again.
pub const NS_CODE_SWITCHED: ns_status = 12;
/// An argument is NULL, or out of its range.
pub const NS_BAD_ARGUMENT: ns_status = 13;
/// A bug of this library.
pub const NS_INTERNAL: ns_status = 14;

/// How a wait passes the time: NS_SPIN or NS_BLOCK.
#[allow(non_camel_case_types)]
pub type ns_mode = u32;
/// Polls without a pause: answers within a microsecond, and takes a core.
pub const NS_SPIN: ns_mode = 0;
/// Polls with pauses that grow to a millisecond.
pub const NS_BLOCK: ns_mode = 1;

/// What is waited for: NS_LEVEL, NS_ACKED or NS_PROBABILITY.
#[allow(non_camel_case_types)]
pub type ns_target_kind = u32;
/// Covered by `level` repairs that have left.
pub const NS_LEVEL: ns_target_kind = 0;
/// Acknowledged by the far TCP.
pub const NS_ACKED: ns_target_kind = 1;
/// Lost with at most this `probability`, should this site die now.
pub const NS_PROBABILITY: ns_target_kind = 2;

/// By what a target was reached: NS_BY_LEVEL, NS_BY_ACK or NS_BY_KERNEL.
#[allow(non_camel_case_types)]
pub type ns_reached = u32;
/// Repairs have left.
pub const NS_BY_LEVEL: ns_reached = 0;
/// The gateway has seen the acknowledgement.
pub const NS_BY_ACK: ns_reached = 1;
/// This host's kernel has seen it.
pub const NS_BY_KERNEL: ns_reached = 2;

/// How safe bytes are to be.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ns_target {
    /// Of what kind.
    pub kind: ns_target_kind,
    /// From 1 on, for NS_LEVEL.
    pub level: u32,
    /// From 0 to 1, for NS_PROBABILITY.
    pub probability: f64,
}

/// What a wait has come to, if NS_OK.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ns_outcome {
    /// By what.
    pub reached: ns_reached,
    /// By how many repairs, for NS_BY_LEVEL; else 0.
    pub level: u32,
    /// The gateway sheds repairs.
    pub degraded: bool,
}

/// One wait of a batch. The caller sets `flow`, `offset`, `target`, `status` to NS_PENDING, and `began` to
/// zeros; no flow may be in a batch twice.
#[allow(non_camel_case_types)]
#[repr(C)]
pub struct ns_pending {
    /// The connection.
    pub flow: *mut ns_flow,
    /// For all bytes below it.
    pub offset: u64,
    /// How safe.
    pub target: ns_target,
    /// NS_PENDING until there is an answer.
    pub status: ns_status,
    /// The answer, if `status` is NS_OK.
    pub outcome: ns_outcome,
    /// The library's own.
    pub began: [u64; 2],
}

/// Waits until all bytes below `offset` are as safe as `target` says, or `timeout_ns` have passed, or
/// it can't be. Whatever happens, it returns. `outcome` may be NULL. The reason for what is not NS_OK
/// is in ns_error() too.
///
/// # Safety
///
/// `flow` is a flow that no other thread uses; `outcome` points to one, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_wait(
    flow: *mut ns_flow,
    offset: u64,
    target: ns_target,
    timeout_ns: u64,
    outcome: *mut ns_outcome,
) -> ns_status {
    // SAFETY: as our caller promises.
    let (flow, outcome) = unsafe { (flow.as_mut(), outcome.as_mut()) };
    let (Some(ns_flow(flow)), Some(target)) = (flow, read_target(target)) else {
        set(&"flow is NULL, or there is no such kind of target");
        return NS_BAD_ARGUMENT;
    };
    guard(NS_INTERNAL, || {
        let result = flow.wait(offset, target, Duration::from_nanos(timeout_ns));
        Ok::<_, &str>(answer(result, outcome))
    })
}

/// One look at each wait of a batch that is NS_PENDING. Returns how many are not, or -1 if an argument is
/// bad.
///
/// # Safety
///
/// `pending` points to `count` waits; of their flows no two are the same, and no other thread uses any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_poll_many(pending: *mut ns_pending, count: usize) -> isize {
    // SAFETY: as our caller promises.
    unsafe { ns_wait_any(pending, count, 0, NS_SPIN) }
}

/// Waits until at least one wait of a batch is not NS_PENDING, or `timeout_ns` have passed. Returns how
/// many are not, or -1 if an argument is bad.
///
/// # Safety
///
/// `pending` points to `count` waits; of their flows no two are the same, and no other thread uses any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_wait_any(
    pending: *mut ns_pending,
    count: usize,
    timeout_ns: u64,
    mode: ns_mode,
) -> isize {
    if count == 0 {
        return 0;
    }
    let Some(mode) = (!pending.is_null()).then(|| crate::mode(mode)).flatten() else {
        set(&"pending is NULL, or there is no such mode");
        return -1;
    };
    // SAFETY: the caller passes `count` waits, and it is not NULL.
    let waits = unsafe { std::slice::from_raw_parts_mut(pending, count) };
    guard(-1, || {
        let mut batch = Vec::with_capacity(waits.len());
        let mut places = Vec::with_capacity(waits.len());
        let before = waits.iter().filter(|wait| wait.status != NS_PENDING).count();
        for (place, wait) in waits.iter().enumerate().filter(|(_, wait)| wait.status == NS_PENDING)
        {
            // SAFETY: it is NULL or a flow, used by no other thread and no other wait of the batch.
            let flow = unsafe { wait.flow.as_mut() };
            let (Some(ns_flow(flow)), Some(target)) = (flow, read_target(wait.target)) else {
                return Err("a flow is NULL, or there is no such kind of target");
            };
            let [binding, code] = wait.began;
            let went_on =
                Wait::new(wait.offset, target).go_on((binding > 0).then_some((binding, code)));
            batch.push(shared::Pending::new(flow, went_on));
            places.push(place);
        }
        // What has been answered already is not waited behind.
        let timeout = if before > 0 { 0 } else { timeout_ns };
        let answered = shared::wait_any(&mut batch, Duration::from_nanos(timeout), mode);
        for (place, pending) in places.into_iter().zip(batch) {
            let wait = &mut waits[place];
            wait.began = pending.wait.began().map_or([0; 2], |(binding, code)| [binding, code]);
            if let Some(result) = pending.result {
                wait.status = answer(result, Some(&mut wait.outcome));
            }
        }
        Ok(isize::try_from(before + answered).unwrap_or(isize::MAX))
    })
}

pub(crate) fn mode(mode: ns_mode) -> Option<WaitMode> {
    match mode {
        NS_SPIN => Some(WaitMode::Spin),
        NS_BLOCK => Some(WaitMode::Block),
        _ => None,
    }
}

fn read_target(target: ns_target) -> Option<Target> {
    match target.kind {
        NS_LEVEL => Some(Target::Level(target.level as usize)),
        NS_ACKED => Some(Target::Acked),
        NS_PROBABILITY => Some(Target::Probability(target.probability)),
        _ => None,
    }
}

fn answer(result: Result<Outcome, WaitError>, into: Option<&mut ns_outcome>) -> ns_status {
    match result {
        Ok(outcome) => {
            let (reached, level) = match outcome.reached {
                Reached::Level(level) => (NS_BY_LEVEL, level as u32),
                Reached::Acked => (NS_BY_ACK, 0),
                Reached::KernelAcked => (NS_BY_KERNEL, 0),
            };
            if let Some(into) = into {
                *into = ns_outcome { reached, level, degraded: outcome.degraded };
            }
            NS_OK
        }
        Err(error) => {
            set(&error);
            status(&error)
        }
    }
}

pub(crate) fn status(error: &WaitError) -> ns_status {
    match error {
        WaitError::Timeout => NS_TIMEOUT,
        WaitError::Unprotected(_) => NS_UNPROTECTED,
        WaitError::Dead => NS_DEAD,
        WaitError::NotTracked => NS_NOT_TRACKED,
        WaitError::Renewed => NS_RENEWED,
        WaitError::Evicted => NS_EVICTED,
        WaitError::Reused => NS_REUSED,
        WaitError::Reset => NS_RESET,
        WaitError::Unanchored => NS_UNANCHORED,
        WaitError::NoSuchLevel { .. } => NS_NO_SUCH_LEVEL,
        WaitError::CodeSwitched => NS_CODE_SWITCHED,
        WaitError::NotAProbability(_) => NS_BAD_ARGUMENT,
    }
}
