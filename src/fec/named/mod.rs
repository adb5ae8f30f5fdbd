//! Repairs that name their members, for circuits where nothing may be added to a packet: source frames
//! cross as they are, without a number.
//!
//! The sender numbers frames for itself and uses the [`super::Encoder`] as it is, on the frames'
//! [`image`]s; a repair says which numbers it stands for and by which names the receiver knows them.

pub mod image;

mod decoder;
mod ledger;
mod names;

pub use decoder::{NamedConfig, NamedDecoder, NamedRepair};
pub use image::{Name, NameKey};
