//! What the two gateways tell each other: control packets, from meaning to bytes and back.
//!
//! * **Does:** decides what control packets say and when they leave, and what follows from those that
//!   come.
//! * **Fed by:** the rooms, with what they [`Heard`]; a clock, which whoever steps it reads.
//! * **Feeds:** the rooms, with packets to send; operators, with what is known of the peer.
//! * **Runs on:** control's thread, or the laboratory's.
//! * **Must not:** do any input or output, read a clock, or throw dice: all of that is passed in.

pub mod heard;
pub mod neighbour;
pub mod replay;
pub mod supervisor;

pub use heard::{Heard, What};
pub use neighbour::{Neighbour, NeighbourConfig, News};
pub use supervisor::{Supervisor, SupervisorConfig};
