//! A LAN that brings more than the WAN takes, in virtual time: who goes first, what is dropped, and that
//! the WAN's rate is kept.
//!
//! Needs neither root nor hugepages.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;
#[path = "overload/course.rs"]
mod course;
#[path = "overload/policies.rs"]
mod policies;
#[path = "overload/traffic.rs"]
mod traffic;
