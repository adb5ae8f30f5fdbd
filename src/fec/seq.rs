//! Sequence numbers: 64 bits on the wire, counted from 0 in every epoch.
//!
//! A channel that sends 100 million packets a second uses up [`LIMIT`] in 1,400 years, so numbers
//! never repeat within an epoch and plain arithmetic replaces serial-number arithmetic everywhere.
//! What the limit buys is that no sum of a sequence number and a group's extent can overflow.

/// Every sequence number is below this; a larger one from the wire is refused by the parser.
pub const LIMIT: u64 = 1 << 62;
