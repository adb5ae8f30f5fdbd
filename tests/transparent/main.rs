//! Proves that circuits where nothing may be added are repaired right: frames as they are, and repairs
//! that name them.
//!
//! `channel` is a circuit without a network, `model` the slow definition; `rooms` and `wan` put the
//! gateway's rooms over DPDK's rings in virtual time, `gateways` whole gateways with their controls, which
//! `control` gives orders and `rate` less than they want; `run` runs two gateways as they are run.

mod channel;
mod circuit;
mod model;
mod properties;

#[cfg(feature = "dpdk")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "dpdk")]
mod control;
#[cfg(feature = "dpdk")]
mod gateways;
#[cfg(feature = "dpdk")]
mod rate;
#[cfg(feature = "dpdk")]
mod rooms;
#[cfg(feature = "dpdk")]
mod run;
#[cfg(feature = "dpdk")]
mod wan;
