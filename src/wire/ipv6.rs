//! The IPv6 header (RFC 8200), without extension headers.

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;

/// The EtherType.
pub const ETHERTYPE: u16 = 0x86DD;
/// Bytes of the header.
pub const IPV6_LEN: usize = size_of::<Ipv6>();

/// The header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ipv6 {
    version_class_label: U32,
    /// Of what follows.
    pub length: U16,
    /// What follows.
    pub next_header: u8,
    /// How many routers it may pass.
    pub hop_limit: u8,
    /// From whom.
    pub source: [u8; 16],
    /// To whom.
    pub destination: [u8; 16],
}

impl Ipv6 {
    /// A header for `length` bytes behind it, of a flow of this label (RFC 6437; 20 bits).
    pub fn new(
        source: [u8; 16],
        destination: [u8; 16],
        next_header: u8,
        length: u16,
        label: u32,
    ) -> Ipv6 {
        Ipv6 {
            version_class_label: U32::new(6 << 28 | label & 0xF_FFFF),
            length: U16::new(length),
            next_header,
            hop_limit: super::encap::TTL,
            source,
            destination,
        }
    }

    /// The header of a whole packet, and what it carries.
    pub fn parse(packet: &[u8]) -> Result<(&Ipv6, &[u8]), Bad> {
        let (header, rest) = Ipv6::ref_from_prefix(packet).map_err(|_| Bad::Truncated)?;
        if header.version_class_label.get() >> 28 != 6 {
            return Err(Bad::Version);
        }
        let payload = rest.get(..usize::from(header.length.get()));
        payload.map(|payload| (header, payload)).ok_or(Bad::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let header = Ipv6::new([1; 16], [2; 16], 58, 5, 0xC0001);
        let packet = [header.as_bytes(), &[9; 7]].concat();
        assert_eq!(packet[..8], [0x60, 0x0C, 0, 1, 0, 5, 58, 64]);
        assert_eq!(Ipv6::parse(&packet), Ok((&header, &[9; 5][..])));
        assert_eq!(Ipv6::parse(&packet[..39]), Err(Bad::Truncated));
        assert_eq!(Ipv6::parse(&packet[..44]), Err(Bad::Length));
        assert_eq!(Ipv6::parse(&[0x40; 40]), Err(Bad::Version));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Ipv6::parse(&bytes);
        }
    }
}
