//! netsync for C: what `netsync/include/netsync.h` declares.
//!
//! * **Does:** translates, and nothing else: handles to boxes, results to codes, panics to an error.
//! * **Fed by:** storage processes in C, or what can call it.
//! * **Feeds:** the subscriber of the crate `netsync`.
//! * **Runs on:** its callers' threads. A subscriber is shared; a flow or a reader of notices is one
//!   thread's at a time.
//! * **Must not:** let a panic cross, or trust an enumerator from C.

#![deny(unsafe_op_in_unsafe_fn, missing_docs, clippy::undocumented_unsafe_blocks)]

mod error;
mod flow;
mod notices;
mod subscriber;
mod wait;

pub use error::ns_error;
pub use flow::*;
pub use notices::*;
pub use subscriber::*;
pub use wait::*;
