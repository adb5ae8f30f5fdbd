//! What the two gateways tell each other, and what follows from it: control packets, from meaning to
//! bytes and back; what the link does, and which code is right for it.
//!
//! * **Does:** decides what control packets say and when they leave, and what follows from those that
//!   come; measures what the link loses and what comes back ([`measure`]), says so ([`report`]), and
//!   finds the code for it ([`adapt`]).
//! * **Fed by:** the rooms, with what they [`Heard`]; a clock, which whoever steps it reads.
//! * **Feeds:** the rooms, with packets to send and codes; operators, with what is known of the peer.
//! * **Runs on:** control's thread, or the laboratory's; [`measure`] on a room's worker, where it costs
//!   next to nothing per packet.
//! * **Must not:** do any input or output, read a clock, or throw dice: all of that is passed in.

pub mod accounts;
pub mod adapt;
pub mod event;
pub mod handshake;
pub mod heard;
pub mod hello;
pub mod holes;
pub mod keys;
pub mod measure;
pub mod mismatch;
pub mod mode;
pub mod neighbour;
pub mod peer;
pub mod probe;
pub mod replay;
pub mod report;
pub mod round_trip;
pub mod store;
pub mod strangers;
pub mod supervisor;
#[cfg(test)]
mod tests;
pub mod whatif;

pub use accounts::{Account, Accounts, Summary};
pub use event::Event;
pub use heard::{Heard, What};
pub use hello::HelloConfig;
pub use keys::Keys;
pub use mode::{Mode, PeerDown, Wishes};
pub use neighbour::{Neighbour, NeighbourConfig, News};
pub use peer::{Peer, Standing};
pub use probe::Path;
pub use round_trip::RoundTrip;
pub use strangers::Traffic;
pub use supervisor::{Supervisor, SupervisorConfig};
