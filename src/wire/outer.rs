//! The outer header of the `ether` encapsulation: a plain Ethernet header with our EtherType.
//!
//! ```text
//!  0       6        12          14
//!  +-------+--------+-----------+------------------------------
//!  | dst   | src    | EtherType | shim, then frame or repair
//!  +-------+--------+-----------+------------------------------
//! ```

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The default EtherType: the first of the two that IEEE 802 sets aside for local experiments.
pub const ETHERTYPE: u16 = 0x88B5;
/// Bytes of an Ethernet header, inner or outer.
pub const OUTER_LEN: usize = size_of::<Ether>();
/// The shortest frame that has a header.
pub const MIN_FRAME: usize = OUTER_LEN;

/// An Ethernet header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ether {
    /// To whom.
    pub destination: [u8; 6],
    /// From whom.
    pub source: [u8; 6],
    /// What follows.
    pub ethertype: U16,
}

impl Ether {
    /// The header of a frame and what follows it; `None` for a frame without one.
    pub fn parse(frame: &[u8]) -> Option<(&Ether, &[u8])> {
        Ether::ref_from_prefix(frame).ok()
    }

    /// Whether a VLAN tag follows (IEEE 802.1Q, table 9-1): a customer's or a service provider's.
    pub fn is_tagged(&self) -> bool {
        matches!(self.ethertype.get(), 0x8100 | 0x88A8)
    }

    /// Whether the frame is for a bridge itself and must not be forwarded: 01-80-C2-00-00-00 to -0F
    /// (IEEE 802.1Q, table 8-1), such as spanning tree, pause, LACP and LLDP.
    pub fn is_link_local(&self) -> bool {
        matches!(self.destination, [0x01, 0x80, 0xC2, 0x00, 0x00, 0x00..=0x0F])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_emits() {
        let ether = Ether { destination: [1; 6], source: [2; 6], ethertype: U16::new(ETHERTYPE) };
        let mut frame = ether.as_bytes().to_vec();
        assert_eq!(frame.len(), OUTER_LEN);
        frame.push(9);
        assert_eq!(Ether::parse(&frame), Some((&ether, &[9][..])));
        assert_eq!(Ether::parse(&frame[..13]), None);
    }

    #[test]
    fn knows_what_a_bridge_must_not_forward() {
        let to = |destination| Ether { destination, source: [2; 6], ethertype: U16::new(0) };
        assert!(to([0x01, 0x80, 0xC2, 0, 0, 0x0E]).is_link_local());
        assert!(!to([0x01, 0x80, 0xC2, 0, 0, 0x10]).is_link_local());
        assert!(!to([0x01, 0x80, 0xC2, 0, 1, 0x0E]).is_link_local());
    }
}
