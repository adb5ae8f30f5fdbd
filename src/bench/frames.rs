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

/// Ethernet, and the fixed parts of IPv4 and UDP: what tells flows apart comes later.
const HEADER: [u8; 24] =
    [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17];
/// Where source and destination address and the ports lie: 12 bytes.
const ADDRESSES: usize = 26;

/// Fills `frame`, number `n`: a UDP packet of a flow of its own, whose payload no two frames share.
/// Checksums and lengths are not those of real packets, which nobody looks at.
pub fn fill(frame: &mut [u8], n: usize) {
    let mut state = n as u64 ^ 0x9E37_79B9_7F4A_7C15;
    for chunk in frame.chunks_mut(8) {
        // xorshift64, Marsaglia 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    frame[..HEADER.len()].copy_from_slice(&HEADER);
    set_flow(frame, n as u32);
}

/// Makes a frame that was [`fill`]ed one of flow number `flow`: each has addresses and ports of its
/// own.
pub fn set_flow(frame: &mut [u8], flow: u32) {
    let [a, b, c, d] = flow.to_be_bytes();
    let tuple = [10, b, c, d, 10, 128, 0, a, 0xC0 | (c & 0x3F), d, 0, 80];
    frame[ADDRESSES..ADDRESSES + tuple.len()].copy_from_slice(&tuple);
}

/// Makes a frame that was [`fill`]ed a TCP segment of flow number `flow`, whose payload begins with
/// number `seq`; returns how long that is.
pub fn set_segment(frame: &mut [u8], flow: u32, seq: u32) -> u32 {
    set_flow(frame, flow);
    let total = frame.len() as u16 - 14;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[23] = 6;
    frame[38..42].copy_from_slice(&seq.to_be_bytes());
    // A header without options; ACK is set.
    frame[46..48].copy_from_slice(&[0x50, 0x10]);
    u32::from(total) - 40
}

/// The port that all flows lead to.
pub const STREAM_PORT: u16 = 80;

/// What [`set_flow`] makes of a number.
pub fn stream_key(flow: u32) -> netsync::FlowKey {
    let [a, b, c, d] = flow.to_be_bytes();
    let port = u16::from_be_bytes([0xC0 | (c & 0x3F), d]);
    netsync::FlowKey::v4([10, b, c, d], port, [10, 128, 0, a], STREAM_PORT)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::flow::{hash, share};

    #[test]
    fn flows_differ_and_frames_of_a_flow_do_not() {
        let mut frame = [0; 60];
        fill(&mut frame, 7);
        let mut flows = HashSet::new();
        let mut shares = [0; 4];
        for flow in 0..100_000 {
            set_flow(&mut frame, flow);
            flows.insert(hash(&frame));
            shares[share(hash(&frame), 4)] += 1;
        }
        assert_eq!(flows.len(), 100_000);
        assert!(shares.iter().all(|&share| share > 20_000), "{shares:?}");
        let mut stream = frame;
        let len = set_segment(&mut stream, 700, 9);
        let segment = crate::wire::tcp::Segment::parse(&stream).unwrap();
        assert_eq!((len, segment.len, segment.data_seq()), (6, 6, 9));
        let filter = crate::gateway::flows::Filter::new(&[Default::default()]);
        assert_eq!(filter.outbound(&segment), Some(stream_key(700)));
        let mut other = [0; 1500];
        fill(&mut other, 8);
        set_flow(&mut other, 99_999);
        assert_eq!(hash(&other), hash(&frame));
    }
}
