//! Connecting.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use shared::{State, Subscriber};

use crate::error::guard;

/// Every source packet gets its repairs.
pub const NS_STATE_PROTECTED: u64 = 0;
/// Repairs are shed; watermarks count only those that have left.
pub const NS_STATE_DEGRADED: u64 = 1;
/// Frames pass unprotected.
pub const NS_STATE_BYPASSED: u64 = 2;
/// The gateway at the other end does not answer.
pub const NS_STATE_PEER_DOWN: u64 = 4;
/// The gateway is about to end.
pub const NS_STATE_STOPPING: u64 = 8;
/// Not of a gateway: there is none that lives.
pub const NS_STATE_DEAD: u64 = 0x4000_0000;

const _: () = assert!(
    NS_STATE_DEGRADED == State::DEGRADED.0
        && NS_STATE_BYPASSED == State::BYPASSED.0
        && NS_STATE_PEER_DOWN == State::PEER_DOWN.0
        && NS_STATE_STOPPING == State::STOPPING.0
);

/// A connection to a gateway. May be used by several threads at once.
#[allow(non_camel_case_types)]
pub struct ns_subscriber(pub(crate) Subscriber);

/// Connects to the gateway that listens on the Unix socket `path`, which has two seconds to answer: do
/// so before anything waits for it. NULL on failure, see ns_error().
/// Once connected it outlives its gateway: the next call finds the gateway's successor by itself.
///
/// # Safety
///
/// `path` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_connect(path: *const c_char) -> *mut ns_subscriber {
    if path.is_null() {
        crate::error::set(&"path is NULL");
        return std::ptr::null_mut();
    }
    // SAFETY: the caller passes a string, and it is not NULL.
    let path = OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes());
    guard(std::ptr::null_mut(), || {
        Subscriber::connect(path).map(|it| Box::into_raw(Box::new(ns_subscriber(it))))
    })
}

/// Gives a subscriber back. Flows and readers made of it stay good. NULL is ignored.
///
/// # Safety
///
/// `subscriber` is from ns_connect(), and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_close(subscriber: *mut ns_subscriber) {
    if !subscriber.is_null() {
        // SAFETY: it is `ns_connect`'s box, and the caller gives it up.
        drop(unsafe { Box::from_raw(subscriber) });
    }
}

/// The gateway's state: NS_STATE_ flags, NS_STATE_DEAD when none lives.
///
/// # Safety
///
/// `subscriber` is from ns_connect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_state(subscriber: *const ns_subscriber) -> u64 {
    // SAFETY: the caller passes what `ns_connect` made, or NULL.
    let Some(ns_subscriber(subscriber)) = (unsafe { subscriber.as_ref() }) else {
        return NS_STATE_DEAD;
    };
    guard(NS_STATE_DEAD, || subscriber.state().map(|state| state.0))
}

/// How many levels the code in force has; 0 without a gateway or a code.
///
/// # Safety
///
/// `subscriber` is from ns_connect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_levels(subscriber: *const ns_subscriber) -> u32 {
    // SAFETY: the caller passes what `ns_connect` made, or NULL.
    let Some(ns_subscriber(subscriber)) = (unsafe { subscriber.as_ref() }) else { return 0 };
    guard(0, || subscriber.code().map(|code| code.levels as u32))
}
