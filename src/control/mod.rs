//! What watches the rooms, and where operators ask.
//!
//! * **Does:** defines how a room counts, so that anyone may read without disturbing it; listens to requests
//!   and says what they mean.
//! * **Fed by:** the rooms, each writing counters of its own; `maelstrom ctl`.
//! * **Feeds:** whoever prints them.
//! * **Runs on:** a room counts on its worker; anyone else reads, on any other thread.
//! * **Must not:** make a room wait, ever.

pub mod counters;
pub mod request;
pub mod server;
