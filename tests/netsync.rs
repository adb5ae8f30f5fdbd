//! Network-sync through real gateways: what readers are told, against what has happened.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;

#[path = "netsync/c_example.rs"]
mod c_example;
#[path = "netsync/path.rs"]
mod path;
#[path = "netsync/process.rs"]
mod process;
#[path = "netsync/sound.rs"]
mod sound;
#[path = "netsync/truth.rs"]
mod truth;
