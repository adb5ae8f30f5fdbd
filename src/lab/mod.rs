//! The laboratory: an emulated WAN, captures in and out, virtual time.

mod dice;
pub mod loss;
pub mod units;
