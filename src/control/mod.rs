//! What watches the rooms: counters now, more to come.
//!
//! * **Does:** defines how a room counts, so that anyone may read without disturbing it.
//! * **Fed by:** the rooms, each writing counters of its own.
//! * **Feeds:** whoever prints them.
//! * **Runs on:** a room counts on its worker; anyone else reads, on any other thread.
//! * **Must not:** make a room wait, ever.

pub mod counters;
