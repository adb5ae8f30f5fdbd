//! LAN ports and MTUs, with hosts that are kernels: a host port beside a LAN port, hosts that learn what
//! fits the WAN, jumbo frames.
//!
//! Needs no hugepages, but namespaces that this user may make, and /dev/net/tun. Hosts are this program
//! again, told by the environment what to be.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;
#[path = "lan/host_port.rs"]
mod host_port;
#[path = "lan/hosts.rs"]
mod hosts;
#[path = "lan/jumbo.rs"]
mod jumbo;
#[path = "lan/net.rs"]
mod net;
