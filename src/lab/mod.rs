//! The laboratory: an emulated WAN, captures in and out, virtual time.

mod dice;
pub mod link;
pub mod loss;
pub mod units;
