//! SIGINT and SIGTERM: noted, and looked at by whoever waits, so that what is on the stack is dropped in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result};

static NOTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// How often whoever waits looks.
pub const LOOK: Duration = Duration::from_millis(10);

/// From now on the two signals are noted, and end nothing by themselves.
///
/// # Errors
/// Where the system refuses.
pub fn watch() -> Result<()> {
    let noted = NOTED.get_or_init(Arc::default);
    for signal in
        [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
    {
        signal_hook::flag::register(signal, noted.clone()).context("signals")?;
    }
    Ok(())
}

/// Fails once a signal has come.
///
/// # Errors
/// "interrupted".
pub fn check() -> Result<()> {
    match NOTED.get().is_some_and(|noted| noted.load(Ordering::Relaxed)) {
        true => Err(Error::new("interrupted")),
        false => Ok(()),
    }
}

/// Sleeps, unless a signal comes.
///
/// # Errors
/// As [`check`].
pub fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(LOOK));
    }
}

/// Waits until `done`, at most for `patience`; says whether it came to that.
///
/// # Errors
/// As [`check`], and what `done` says.
pub fn wait(patience: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > patience {
            return Ok(false);
        }
        sleep(LOOK)?;
    }
    Ok(true)
}
