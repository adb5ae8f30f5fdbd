//! Which TCP flows storage processes are told of, and how far each one's bytes have come.
//!
//! ```text
//!   protect ── frames, before they are sent ─▶ Tracker ◀── what has left ── Departures ◀── packets sent
//!                                                 │
//!                                                 ▼ once a burst and flow, or less
//!                                         netsync::WorkerWriter
//!   recover ── frames, before they are delivered ──▶ Acks ──▶ netsync::AckWriter
//! ```
//!
//! * **Does:** follows tracked flows' sequence numbers, counts for each source packet how many repairs
//!   have left, and publishes flows' watermarks and repairs' notices.
//! * **Fed by:** `protect`, with what it sends; `recover`, with what it delivers.
//! * **Feeds:** the netsync segment, and so storage processes.
//! * **Runs on:** the worker of the room that feeds it.
//! * **Must not:** be ahead of the truth, ever: what it is unsure of or has no room for does not
//!   count. It allocates nothing after its start, divides nothing and panics at nothing.

mod acks;
mod bounds;
mod coverage;
mod departures;
mod filter;
mod flow;
mod publisher;
mod told;
mod tracker;

#[cfg(test)]
mod model;

pub use acks::Acks;
pub use bounds::{UNKNOWN_LINK, Worth, bounds, changing, mixed};
pub use departures::Exit;
pub use filter::{End, Filter, Prefix, Rule};
pub use publisher::{Publisher, PublisherConfig};
pub use told::Told;
pub use tracker::{Tracker, TrackerConfig};
