//! How safe a packet is in flight, and which code makes it so.
//!
//! * **Does:** bounds the probability that what has been sent is not whole at the far side should
//!   this site die now ([`Bounds`]); finds the cheapest code for a link and a latency budget.
//! * **Fed by:** the operator's figures of the link, and counts of what was lost.
//! * **Feeds:** `maelstrom plan`, and the tables that storage processes read.
//! * **Runs on:** the main thread, off the data path.
//! * **Must not:** know DPDK, read a clock, or depend on chance: seeds are fixed.
//!
//! docs/SAFETY.md has the model in plain words.

pub mod burst;
mod chain;
pub mod choice;
pub mod confidence;
#[cfg(test)]
mod encoder_tests;
pub mod estimate;
mod flush;
pub mod link;
pub mod model;
pub mod peel;
pub mod plan;
pub mod planner;
pub mod residual;
mod schedule;
mod search;
mod tilt;

pub use choice::{Choice, Limits};
pub use estimate::LinkEstimate;
pub use link::{Counts, Link, Loss};
pub use model::{Bounds, Class};
