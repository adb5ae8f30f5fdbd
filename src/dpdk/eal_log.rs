//! EAL's own log, as records of the `log` crate with the target `eal`.
//!
//! * What this room does: cuts what EAL prints into lines and gives each its level.
//! * Who feeds it: EAL and the drivers, through a stream that the shim opened.
//! * Whom it feeds: the `log` crate, and error messages with what went wrong.
//! * Which thread runs it: any that makes EAL log, one at a time (the stream has a lock).
//! * What it must not do: unwind into C, or be called per packet (drivers log at set-up only).

use log::Level;
use std::{
    os::raw::c_char,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The target of every record, to be filtered by: `RUST_LOG=eal=debug`.
pub const TARGET: &str = "eal";

/// No line of EAL's is longer; what is, is cut into several.
const LONGEST_LINE: usize = 4096;

#[derive(Default)]
struct State {
    /// Text whose newline has not come yet.
    partial: Vec<u8>,
    /// Since it was last taken.
    first_error: Option<String>,
}

static STATE: Mutex<State> = Mutex::new(State { partial: Vec::new(), first_error: None });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends EAL's log here for the rest of the process. Whether it could be done.
pub(super) fn install() -> bool {
    // SAFETY: `sink` has the signature the shim declares, lives forever and never unwinds.
    unsafe { dpdk_sys::shim_log_to(Some(sink)) == 0 }
}

/// Set-up code that may print past EAL's log runs within `f`, and its prints go the log's way.
pub(super) fn captured<R>(f: impl FnOnce() -> R) -> R {
    static USERS: Mutex<u32> = Mutex::new(0);
    fn users() -> MutexGuard<'static, u32> {
        USERS.lock().unwrap_or_else(PoisonError::into_inner)
    }
    struct Release;
    impl Drop for Release {
        fn drop(&mut self) {
            let mut users = users();
            *users -= 1;
            if *users == 0 {
                // SAFETY: captured below, and the lock keeps other threads out.
                unsafe { dpdk_sys::shim_stdio_release() };
            }
        }
    }
    let mut count = users();
    if *count == 0 {
        // SAFETY: not captured, and the lock keeps other threads out.
        unsafe { dpdk_sys::shim_stdio_capture() };
    }
    *count += 1;
    drop(count);
    let _release = Release;
    f()
}

/// The first error that EAL or a driver logged since the previous call: the cause, where later
/// ones say "failed to attach" in ever more general words.
pub(super) fn take_first_error() -> Option<String> {
    state().first_error.take()
}

/// To be called before what may fail, so that its error does not quote an older one.
pub(super) fn forget_errors() {
    state().first_error = None;
}

unsafe extern "C" fn sink(text: *const c_char, length: usize, level: u32) {
    // SAFETY: the C library's stream passes its buffer: `length` readable bytes, for the call.
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    // A logger that panics must not unwind through EAL.
    let _ = catch_unwind(AssertUnwindSafe(|| take(text, level_of(level))));
}

/// From RTE_LOG_*. What EAL calls INFO is chatter at each start ("Detected NUMA nodes: 1").
fn level_of(level: u32) -> Level {
    match level {
        0..=4 => Level::Error,
        5 => Level::Warn,
        6 => Level::Info,
        7 => Level::Debug,
        _ => Level::Trace,
    }
}

fn take(text: &[u8], level: Level) {
    let lines = state().lines(text, level);
    for line in lines {
        // Outside the lock: the logger is the application's and may do anything.
        log::log!(target: TARGET, level, "{line}");
    }
}

impl State {
    /// The whole lines that `text` completes, without the empty ones.
    fn lines(&mut self, text: &[u8], level: Level) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if !piece.ends_with(b"\n") && self.partial.len() < LONGEST_LINE {
                continue;
            }
            let line =
                String::from_utf8_lossy(&std::mem::take(&mut self.partial)).trim().to_owned();
            if line.is_empty() {
                continue;
            }
            if level == Level::Error && self.first_error.is_none() {
                self.first_error = Some(line.clone());
            }
            lines.push(line);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lines_and_drops_empty_ones() {
        let mut state = State::default();
        assert!(state.lines(b"EAL: half", Level::Debug).is_empty());
        assert_eq!(
            state.lines(b" a line\n\n  \nnext\n", Level::Debug),
            ["EAL: half a line", "next"]
        );
        assert_eq!(state.first_error, None);
        state.lines(b"EAL: no\nEAL: therefore\n", Level::Error);
        assert_eq!(state.first_error.as_deref(), Some("EAL: no"));
    }

    #[test]
    fn maps_levels() {
        assert_eq!([4, 5, 6, 7, 8].map(level_of).map(|level| level as u8), [1, 2, 3, 4, 5]);
    }
}
