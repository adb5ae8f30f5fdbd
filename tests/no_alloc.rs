//! The steady state allocates nothing and frees nothing: counted by the allocator itself, of which
//! a process has one, so this is a test binary of its own.
//!
//! What a worker's thread does counts; other threads, such as those of the test harness and of EAL,
//! do not.

#[path = "no_alloc/code.rs"]
mod code;
#[path = "no_alloc/counting.rs"]
mod counting;
#[path = "no_alloc/named.rs"]
mod named;
#[cfg(feature = "dpdk")]
#[path = "no_alloc/rooms.rs"]
mod rooms;
#[path = "no_alloc/seal.rs"]
mod seal;
