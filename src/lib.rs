//! Maelstrom: a pair of network gateways that repair a lossy WAN link.

#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod lab;
