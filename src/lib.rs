//! Maelstrom: a pair of network gateways that repair a lossy WAN link.

pub mod fec;
pub mod lab;
pub mod wire;
