//! Maelstrom: a pair of network gateways that repair a lossy WAN link.

pub mod lab;
