//! Proves that the redundancy model keeps its promise: sites die at random, and no more updates are
//! lost than was said, with the real encoder and decoder in virtual time.
//!
//! A sender's stream does not depend on what is lost of it. So one long stream is made, and each
//! death is a sample of its own: an update somewhere in it, an instant at which everything ends, and
//! losses drawn for this death alone. `BLESS=1 cargo test --test calibration` rewrites the table.

#[path = "../code/channel.rs"]
#[allow(dead_code, reason = "this binary uses its part")]
mod channel;
mod deaths;
mod losses;
mod oracle;
mod stream;
mod table;
