//! A connection of this process, and how far its bytes have come.

use std::ffi::{CStr, c_char, c_int};
use std::fmt::Display;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use shared::{Flow, FlowKey, WaitError, WaitMode};

use crate::error::{guard, set};
use crate::{NS_BAD_ARGUMENT, NS_OK, ns_mode, ns_status, ns_subscriber, status};

/// A connection. Used by one thread at a time.
#[allow(non_camel_case_types)]
pub struct ns_flow(pub(crate) Flow);

/// The flow of the connected TCP socket `fd`. NULL on failure. It keeps a duplicate of `fd`: TCP closes
/// when both are closed, so close the flow with the socket.
///
/// # Safety
///
/// `subscriber` is from ns_connect(); `fd` is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_flow_open(subscriber: *const ns_subscriber, fd: c_int) -> *mut ns_flow {
    // SAFETY: the caller passes what `ns_connect` made, or NULL.
    let subscriber = unsafe { subscriber.as_ref() };
    guard(std::ptr::null_mut(), || -> Result<_, Box<dyn Display>> {
        let ns_subscriber(subscriber) = subscriber.ok_or_else(|| boxed("subscriber is NULL"))?;
        if fd < 0 {
            return Err(boxed("fd is negative"));
        }
        // SAFETY: it is open, and stays so during this call.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        let flow =
            subscriber.flow_of(socket).map_err(|error| Box::new(error) as Box<dyn Display>)?;
        Ok(Box::into_raw(Box::new(ns_flow(flow))))
    })
}

/// A flow by its ends, as "10.0.0.1:4000" or "[fd00::1]:4000", local first. NULL when they aren't such.
/// Without its socket it can't be anchored, nor found again after a restart of the gateway.
///
/// # Safety
///
/// `subscriber` is from ns_connect(); `local` and `remote` are strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_flow_by_ends(
    subscriber: *const ns_subscriber,
    local: *const c_char,
    remote: *const c_char,
) -> *mut ns_flow {
    let end = |text: *const c_char| -> Result<SocketAddr, Box<dyn Display>> {
        if text.is_null() {
            return Err(boxed("an end is NULL"));
        }
        // SAFETY: the caller passes a string, and it is not NULL.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        text.parse().map_err(|_| Box::new(format!("not an address and port: {text}")) as _)
    };
    // SAFETY: the caller passes what `ns_connect` made, or NULL.
    let subscriber = unsafe { subscriber.as_ref() };
    guard(std::ptr::null_mut(), || {
        let ns_subscriber(subscriber) = subscriber.ok_or_else(|| boxed("subscriber is NULL"))?;
        let key = FlowKey::new(end(local)?, end(remote)?);
        Ok::<_, Box<dyn Display>>(Box::into_raw(Box::new(ns_flow(subscriber.flow_by(key)))))
    })
}

/// Gives a flow back. NULL is ignored.
///
/// # Safety
///
/// `flow` is from ns_flow_open() or ns_flow_by_ends(), and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_flow_close(flow: *mut ns_flow) {
    if !flow.is_null() {
        // SAFETY: it is a box of this library, and the caller gives it up.
        drop(unsafe { Box::from_raw(flow) });
    }
}

/// How the flow's waits pass the time; NS_SPIN at first.
///
/// # Safety
///
/// `flow` is a flow that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_flow_set_mode(flow: *mut ns_flow, mode: ns_mode) {
    // SAFETY: the caller passes a flow that no other thread uses, or NULL.
    if let Some(ns_flow(flow)) = unsafe { flow.as_mut() } {
        flow.set_mode(crate::mode(mode).unwrap_or(WaitMode::Block));
    }
}

/// Writes to `offset`: every byte below it is covered by at least `level` repairs that have left.
///
/// # Safety
///
/// `flow` is a flow that no other thread uses; `offset` points to an integer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_watermark(
    flow: *mut ns_flow,
    level: u32,
    offset: *mut u64,
) -> ns_status {
    // SAFETY: as our caller promises.
    unsafe { tell(flow, offset, |flow| flow.watermark(level as usize)) }
}

/// Writes to `offset`: every byte below it has left the gateway, once.
///
/// # Safety
///
/// `flow` is a flow that no other thread uses; `offset` points to an integer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_sent(flow: *mut ns_flow, offset: *mut u64) -> ns_status {
    // SAFETY: as our caller promises.
    unsafe { tell(flow, offset, Flow::sent) }
}

/// Writes to `offset`: every byte below it was acknowledged by the far TCP, as the gateway has seen.
///
/// # Safety
///
/// `flow` is a flow that no other thread uses; `offset` points to an integer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_acked(flow: *mut ns_flow, offset: *mut u64) -> ns_status {
    // SAFETY: as our caller promises.
    unsafe { tell(flow, offset, Flow::acked) }
}

/// # Safety
///
/// `flow` is a flow that no other thread uses, or NULL; `offset` points to an integer, or is NULL.
unsafe fn tell(
    flow: *mut ns_flow,
    offset: *mut u64,
    ask: impl FnOnce(&mut Flow) -> Result<u64, WaitError>,
) -> ns_status {
    // SAFETY: as our caller promises.
    let (flow, offset) = unsafe { (flow.as_mut(), offset.as_mut()) };
    let (Some(ns_flow(flow)), Some(offset)) = (flow, offset) else {
        set(&"an argument is NULL");
        return NS_BAD_ARGUMENT;
    };
    guard(crate::NS_INTERNAL, || {
        Ok::<_, &str>(match ask(flow) {
            Ok(value) => {
                *offset = value;
                NS_OK
            }
            Err(error) => {
                set(&error);
                status(&error)
            }
        })
    })
}

fn boxed(text: &'static str) -> Box<dyn Display> {
    Box::new(text)
}
