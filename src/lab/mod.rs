//! The laboratory: an emulated WAN, captures in and out, virtual time.

pub mod capture;
pub mod compare;
mod dice;
pub mod link;
pub mod loss;
pub mod units;
