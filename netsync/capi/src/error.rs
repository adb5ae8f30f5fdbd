//! The last error of a thread, and the wall that panics don't cross.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

std::thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Why the last call of this thread that failed did so, in one line. Never NULL; valid until the
/// next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn ns_error() -> *const c_char {
    LAST.with_borrow(|text| text.as_ptr())
}

pub(crate) fn set(error: &dyn Display) {
    let mut text = error.to_string();
    text.retain(|c| c != '\0');
    LAST.set(CString::new(text).unwrap_or_default());
}

/// Runs what may fail; on an error or a panic, sets the thread's error and returns `otherwise`.
pub(crate) fn guard<T, E: Display>(otherwise: T, call: impl FnOnce() -> Result<T, E>) -> T {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            set(&error);
            otherwise
        }
        Err(_) => {
            set(&"netsync: internal error");
            otherwise
        }
    }
}
