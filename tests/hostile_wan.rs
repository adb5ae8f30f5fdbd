//! The rooms against whatever a WAN may bring, and against ports that take nothing for a while.
//!
//! The rooms are the real ones, with DPDK's mbufs; their ports are lists. Needs neither root nor
//! hugepages.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;
#[path = "hostile_wan/control.rs"]
mod control;
#[path = "hostile_wan/fit.rs"]
mod fit;
#[path = "hostile_wan/forged.rs"]
mod forged;
#[path = "hostile_wan/full.rs"]
mod full;
#[path = "hostile_wan/harness.rs"]
mod harness;
#[path = "hostile_wan/jumps.rs"]
mod jumps;
#[path = "hostile_wan/keyed.rs"]
mod keyed;
#[path = "hostile_wan/mutations.rs"]
mod mutations;
#[path = "hostile_wan/nacks.rs"]
mod nacks;
#[path = "hostile_wan/protect.rs"]
mod protect;
#[path = "hostile_wan/reasons.rs"]
mod reasons;
#[path = "hostile_wan/reports.rs"]
mod reports;
#[path = "hostile_wan/routed.rs"]
mod routed;
#[path = "hostile_wan/session.rs"]
mod session;
