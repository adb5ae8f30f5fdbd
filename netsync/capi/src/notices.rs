//! Reading notices.

use shared::{Event, FlowEvent, Notice, Notices, WaitError};

use crate::error::{guard, set};
use crate::ns_subscriber;

/// What a look into a ring brought: NS_NOTHING or one of those behind it.
#[allow(non_camel_case_types)]
pub type ns_event = u32;
/// Nothing new.
pub const NS_NOTHING: ns_event = 0;
/// A repair packet has left: all fields but `a` count.
pub const NS_REPAIR: ns_event = 1;
/// The state has changed from `a` to `b`, at `left_ns`.
pub const NS_STATE: ns_event = 2;
/// A code of generation `a` is in force.
pub const NS_CODE: ns_event = 3;
/// A connection's SYN was seen: entry `a`, generation `b`. So are those behind it.
pub const NS_FLOW_OPENED: ns_event = 4;
/// Its FIN was seen.
pub const NS_FLOW_CLOSED: ns_event = 5;
/// An RST was seen.
pub const NS_FLOW_RESET: ns_event = 6;
/// It had to leave for another.
pub const NS_FLOW_EVICTED: ns_event = 7;
/// It was picked up in mid-stream.
pub const NS_FLOW_UNANCHORED: ns_event = 8;
/// Exactly `a` notices were overwritten before they were read.
pub const NS_MISSED: ns_event = 9;
/// Another gateway has taken the place of the one before; `a` is its epoch.
pub const NS_RESTARTED: ns_event = 10;

/// A notice. What its kind does not use is 0.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct ns_notice {
    /// What it is.
    pub event: ns_event,
    /// Of a repair: how many further runs were merged into it.
    pub runs: u32,
    /// As the event says.
    pub a: u64,
    /// As the event says. Of a repair: the sequence number of its first member.
    pub b: u64,
    /// Of a repair: the distance of its members.
    pub stride: u32,
    /// Of a repair: how many members its first run has.
    pub count: u32,
    /// Of a repair: when its last member was sent.
    pub made_ns: u64,
    /// Of a repair: when it had left.
    pub left_ns: u64,
    /// Of a repair: its code within the channel.
    pub code_id: u8,
    /// Of a repair: its layer, from 0.
    pub layer: u8,
    /// Of a repair: it left before its time.
    pub flushed: bool,
}

/// A reader of one worker's notices. Used by one thread at a time.
#[allow(non_camel_case_types)]
pub struct ns_notices(Notices);

/// A reader of a worker's notices, from now on; workers count from 0. NULL when there is no such
/// worker, or no gateway.
///
/// # Safety
///
/// `subscriber` is from ns_connect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_notices_open(
    subscriber: *const ns_subscriber,
    worker: u32,
) -> *mut ns_notices {
    // SAFETY: the caller passes what `ns_connect` made, or NULL.
    let Some(ns_subscriber(subscriber)) = (unsafe { subscriber.as_ref() }) else {
        set(&"subscriber is NULL");
        return std::ptr::null_mut();
    };
    guard(std::ptr::null_mut(), || {
        let notices =
            subscriber.notices(worker as usize).map_err(|error: WaitError| error.to_string())?;
        let notices = notices.ok_or_else(|| format!("there is no worker {worker}"))?;
        Ok::<_, String>(Box::into_raw(Box::new(ns_notices(notices))))
    })
}

/// Writes the next notice to `notice`, whose event it returns: NS_NOTHING when there is none. Never
/// waits.
///
/// # Safety
///
/// `notices` is from ns_notices_open(), and used by no other thread; `notice` points to one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_notices_poll(
    notices: *mut ns_notices,
    notice: *mut ns_notice,
) -> ns_event {
    // SAFETY: as our caller promises.
    let (notices, notice) = unsafe { (notices.as_mut(), notice.as_mut()) };
    let (Some(ns_notices(notices)), Some(notice)) = (notices, notice) else {
        set(&"an argument is NULL");
        return NS_NOTHING;
    };
    guard(NS_NOTHING, || {
        *notice = notices.poll().map_or(ns_notice::default(), translate);
        Ok::<_, &str>(notice.event)
    })
}

/// Gives a reader back. NULL is ignored.
///
/// # Safety
///
/// `notices` is from ns_notices_open(), and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ns_notices_close(notices: *mut ns_notices) {
    if !notices.is_null() {
        // SAFETY: it is a box of this library, and the caller gives it up.
        drop(unsafe { Box::from_raw(notices) });
    }
}

fn translate(event: Event) -> ns_notice {
    let plain = |event, a, b| ns_notice { event, a, b, ..ns_notice::default() };
    match event {
        Event::Missed(missed) => plain(NS_MISSED, missed, 0),
        Event::Restarted { epoch } => plain(NS_RESTARTED, epoch, 0),
        Event::Notice(Notice::Code { generation }) => plain(NS_CODE, generation, 0),
        Event::Notice(Notice::State { old, new, at_ns }) => {
            ns_notice { left_ns: at_ns, ..plain(NS_STATE, old.0, new.0) }
        }
        Event::Notice(Notice::Flow { slot, generation, event }) => {
            let event = match event {
                FlowEvent::Opened => NS_FLOW_OPENED,
                FlowEvent::Closed => NS_FLOW_CLOSED,
                FlowEvent::Reset => NS_FLOW_RESET,
                FlowEvent::Evicted => NS_FLOW_EVICTED,
                FlowEvent::Unanchored => NS_FLOW_UNANCHORED,
            };
            plain(event, slot.into(), generation)
        }
        Event::Notice(Notice::Repair {
            code_id,
            layer,
            flushed,
            base,
            stride,
            count,
            runs,
            made_ns,
            left_ns,
        }) => ns_notice {
            event: NS_REPAIR,
            runs,
            a: 0,
            b: base,
            stride,
            count,
            made_ns,
            left_ns,
            code_id,
            layer,
            flushed,
        },
    }
}
