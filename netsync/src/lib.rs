//! The shared-memory contract between a gateway and the storage processes beside it.
//!
//! A storage process writes to its mirror over ordinary TCP, through the gateway. The gateway tells
//! it here how many repair packets that cover its bytes have left, so that it need not wait for the
//! mirror's answer: *network-sync*. [`layout`] has the picture of the memory.
//!
//! * **Does:** defines the segment, lets a gateway publish into it and any number of readers wait on
//!   it, and hands it out over a Unix socket.
//! * **Fed by:** the gateway: [`Control`] from its control thread, a [`WorkerWriter`] from each
//!   worker that protects, an [`AckWriter`] from each that recovers.
//! * **Feeds:** storage processes, through [`Subscriber`] or the C header `include/netsync.h`.
//! * **Runs on:** its callers' threads. Only the [`Server`] has one of its own.
//! * **Must not:** let a reader delay or harm a writer, or say that bytes are safe when they may not
//!   be. It builds without libdpdk, and always will: storage processes know nothing of packet I/O.
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC`. Offsets count the bytes of a TCP stream from the
//! first behind its SYN.

#![cfg_attr(feature = "loom", allow(dead_code))]

pub mod layout;

mod code;
mod entry;
mod key;
mod notice;
mod publish;
mod ring;
mod state;
mod sync;

#[cfg(not(feature = "loom"))]
mod clock;
#[cfg(not(feature = "loom"))]
mod door;
#[cfg(not(feature = "loom"))]
mod groups;
#[cfg(not(feature = "loom"))]
mod handover;
#[cfg(not(feature = "loom"))]
mod kernel;
#[cfg(not(feature = "loom"))]
mod memory;
#[cfg(not(feature = "loom"))]
mod subscribe;

#[cfg(feature = "loom")]
#[path = "models/memory.rs"]
mod memory;
#[cfg(all(test, feature = "loom"))]
mod models;

pub use code::{Class, Code};
pub use key::FlowKey;
pub use notice::{FlowEvent, Notice};
pub use publish::{
    AckWriter, Acknowledged, Closed, Control, InFlight, Opened, Place, Slot, WorkerWriter,
};
pub use state::State;

#[cfg(not(feature = "loom"))]
pub use clock::now_ns;
#[cfg(not(feature = "loom"))]
pub use door::{Door, Group, ServerConfig, ServerError};
#[cfg(not(feature = "loom"))]
pub use handover::Server;
#[cfg(not(feature = "loom"))]
pub use publish::{CreateError, Segment, SegmentConfig};
#[cfg(not(feature = "loom"))]
pub use subscribe::{
    ConnectError, Event, Flow, FlowError, FlowStatus, Flows, Notices, Outcome, Pending, Reached,
    Status, Subscriber, Target, Wait, WaitError, WaitMode, poll_many, wait_any,
};

/// Compiles what docs/NETSYNC.md shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/NETSYNC.md")]
pub struct Shown;
