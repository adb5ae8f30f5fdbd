//! The frames that a benchmark plays.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How long frames are, without FCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All alike.
    Fixed(u16),
    /// Seven of 64 bytes, four of 576, one of 1500: the "simple IMIX" of the trade.
    Imix,
}

/// The sizes that are measured unless others are asked for.
pub const SIZES: [Size; 6] = [
    Size::Fixed(64),
    Size::Fixed(128),
    Size::Fixed(512),
    Size::Fixed(1024),
    Size::Fixed(1500),
    Size::Imix,
];

impl Size {
    /// The length of frame number `n`.
    pub fn of(self, n: usize) -> u16 {
        const IMIX: [u16; 12] = [64, 576, 64, 64, 576, 64, 1500, 64, 576, 64, 576, 64];
        match self {
            Size::Fixed(size) => size,
            Size::Imix => IMIX[n % IMIX.len()],
        }
    }

    /// The longest.
    pub fn longest(self) -> u16 {
        match self {
            Size::Fixed(size) => size,
            Size::Imix => 1500,
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        match text.parse() {
            Ok(size @ 60..=9000) => Ok(Size::Fixed(size)),
            _ if text.eq_ignore_ascii_case("imix") => Ok(Size::Imix),
            _ => Err(format!("size {text:?}: expected 60 to 9000 bytes, or imix")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Fixed(size) => size.fmt(f),
            Size::Imix => "imix".fmt(f),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Size::Fixed(size) => serializer.serialize_u16(*size),
            Size::Imix => serializer.serialize_str("imix"),
        }
    }
}

/// Fills `frame`, number `n`: an IPv4 packet to its first 14 bytes, then bytes that no two frames
/// share.
pub fn fill(frame: &mut [u8], n: usize) {
    let mut state = n as u64 ^ 0x9E37_79B9_7F4A_7C15;
    for chunk in frame.chunks_mut(8) {
        // xorshift64, Marsaglia 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    let header = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame[..header.len()].copy_from_slice(&header);
}
