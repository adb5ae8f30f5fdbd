//! `maelstrom lab` on captures of our own: what is promised of every run, from its files.
//!
//! Needs neither root nor hugepages.
#![cfg(feature = "dpdk")]

#[path = "lab/bench.rs"]
mod bench;
#[path = "common/mod.rs"]
mod common;
#[path = "lab/guarantees.rs"]
mod guarantees;
#[path = "lab/limits.rs"]
mod limits;
#[path = "lab/overload.rs"]
mod overload;
#[path = "lab/pace.rs"]
mod pace;
#[path = "lab/replay.rs"]
mod replay;
#[path = "lab/told.rs"]
mod told;
#[path = "lab/wire.rs"]
mod wire;
