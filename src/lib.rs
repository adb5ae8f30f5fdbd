//! Maelstrom: a pair of network gateways that repair a lossy WAN link.
//!
//! The rooms and the way imports point are in docs/ARCHITECTURE.md; README.md is where to begin.

#[cfg(feature = "dpdk")]
pub mod bench;
#[cfg(feature = "dpdk")]
pub mod cli;
#[cfg(feature = "dpdk")]
pub mod config;
#[cfg(feature = "dpdk")]
pub mod control;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod fec;
#[cfg(feature = "dpdk")]
pub mod gateway;
pub mod lab;
pub mod link;
pub mod safety;
pub mod units;
pub mod wire;
