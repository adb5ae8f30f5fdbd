//! `maelstrom bench`: what one core of this machine does, beside what it could do at best.
//!
//! * **Does:** runs the real rooms on DPDK ports whose packets hold real frames, and two yardsticks
//!   in the same run: plain forwarding over the same ports, and memcpy of the same packets.
//! * **Fed by:** the command line.
//! * **Feeds:** people, and programs as JSON.
//! * **Runs on:** a pinned thread for each worker.
//! * **Must not:** copy, fill or make packets inside the time that it measures.
//!
//! ```text
//!   pool ─▶ ring ─▶ [ room ] ─▶ null port, which frees
//!   filled,  cold         timed
//!   untimed
//! ```
//!
//! A *round* puts some thousands of packets into the ring, untimed, and then times how long the room takes
//! to empty it. A round's packets are more than the caches hold, so each comes from memory or the
//! shared cache, as it does behind a NIC.

mod feed;
pub mod frames;
pub mod handing;
pub mod hugepages;
pub mod keys;
pub mod notices;
pub mod rows;
pub mod stage;
