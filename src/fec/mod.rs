//! The code: layered interleaving over the packets of one channel, as pure arithmetic.
//!
//! * **Does:** numbers source packets, builds repair packets from them ([`Encoder`]) and rebuilds
//!   lost source packets from the repairs ([`Decoder`]).
//! * **Fed by:** `gateway::protect` (source frames) and `gateway::recover` (what the WAN brought).
//! * **Feeds:** the same two rooms, which put the results on the wire.
//! * **Runs on:** the worker that polls the room; nothing here is shared between threads.
//! * **Must not:** read a clock, do I/O, know DPDK or a wire format, panic on any input, or grow:
//!   all memory is allocated when an encoder or decoder is made.
//!
//! The terms (layer, bin, group, stagger, guard, span) are those of the README's glossary.

pub mod check;
pub mod code;
pub mod codes;
pub mod decoder;
pub mod encoder;
pub mod group;
pub mod named;
pub mod seq;
pub mod timing;
pub mod xor;

mod accumulator;
mod layer;
mod pending;
mod short;
mod window;

pub use check::CheckKey;
pub use code::{Code, CodeError, Layer};
pub use codes::{Codes, SPARSE_ID};
pub use decoder::{Decoder, DecoderConfig, Rebuilt};
pub use encoder::{Encoder, EncoderConfig, Repair};
pub use group::{Members, Run};
pub use short::{SHORT, copy_short};
pub use timing::Timing;
