//! The IPv4 header (RFC 791), without options: as a gateway sends it, and takes it.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;
use super::checksum::Sum;

/// The EtherType.
pub const ETHERTYPE: u16 = 0x0800;
/// Bytes of the header.
pub const IPV4_LEN: usize = size_of::<Ipv4>();
/// Do not fragment.
const DF: u16 = 0x4000;

/// The header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ipv4 {
    version_ihl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Of the packet, this header included.
    pub length: U16,
    id: U16,
    flags_offset: U16,
    /// Time to live.
    pub ttl: u8,
    /// What follows.
    pub protocol: u8,
    checksum: U16,
    /// From whom.
    pub source: [u8; 4],
    /// To whom.
    pub destination: [u8; 4],
}

impl Ipv4 {
    /// A header for `length` bytes behind it. Don't Fragment is set, so the identification says
    /// nothing (RFC 6864, section 4.1) and is 0.
    pub fn new(source: [u8; 4], destination: [u8; 4], protocol: u8, length: u16) -> Ipv4 {
        let mut header = Ipv4::without_length(source, destination, protocol);
        header.length = U16::new(length.saturating_add(IPV4_LEN as u16));
        header.checksum = header.sum().checksum().into();
        header
    }

    /// The same, without length and checksum.
    pub(super) fn without_length(source: [u8; 4], destination: [u8; 4], protocol: u8) -> Ipv4 {
        Ipv4 {
            version_ihl: 0x45,
            traffic_class: 0,
            length: U16::ZERO,
            id: U16::ZERO,
            flags_offset: U16::new(DF),
            ttl: super::encap::TTL,
            protocol,
            checksum: U16::ZERO,
            source,
            destination,
        }
    }

    /// The header of a whole packet that was verified, and what it carries. Fragments and options
    /// are not taken: nobody sends them to a gateway.
    pub fn parse(packet: &[u8]) -> Result<(&Ipv4, &[u8]), Bad> {
        let (header, _) = Ipv4::ref_from_prefix(packet).map_err(|_| Bad::Truncated)?;
        if header.version_ihl != 0x45 {
            return Err(Bad::Version);
        }
        if header.flags_offset.get() & !DF != 0 {
            return Err(Bad::Kind);
        }
        if !header.sum().is_whole() {
            return Err(Bad::Check);
        }
        let payload = packet.get(IPV4_LEN..usize::from(header.length.get()));
        payload.map(|payload| (header, payload)).ok_or(Bad::Length)
    }

    /// What its checksum is of.
    pub(super) fn sum(&self) -> Sum {
        Sum::default().bytes(self.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From 192.0.2.1 to 192.0.2.254, 64 bytes of ICMP; the words but the checksum sum up to 0x4A56.
    const SEEN: [u8; 20] =
        [0x45, 0, 0, 84, 0, 0, 0x40, 0, 64, 1, 0xB5, 0xA9, 192, 0, 2, 1, 192, 0, 2, 254];

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let header = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 254], 1, 64);
        assert_eq!(header.as_bytes(), SEEN);
    }

    #[test]
    fn every_bad_value_is_refused() {
        let mut packet = SEEN.to_vec();
        packet.resize(90, 7);
        let (header, payload) = Ipv4::parse(&packet).unwrap();
        assert_eq!((header.protocol, payload.len()), (1, 64), "padding is cut off");
        let with = |at: usize, byte: u8| {
            let mut packet = packet.clone();
            packet[at] = byte;
            Ipv4::parse(&packet).map(|_| ())
        };
        assert_eq!(Ipv4::parse(&packet[..19]), Err(Bad::Truncated));
        assert_eq!(Ipv4::parse(&packet[..83]), Err(Bad::Length));
        assert_eq!(with(0, 0x46), Err(Bad::Version));
        assert_eq!(with(6, 0x20), Err(Bad::Kind), "more fragments");
        assert_eq!(with(7, 1), Err(Bad::Kind), "an offset");
        assert_eq!(with(19, 253), Err(Bad::Check));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Ipv4::parse(&bytes);
        }

        #[test]
        fn parses_what_it_makes(
            source: [u8; 4], destination: [u8; 4], protocol: u8,
            payload in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let header = Ipv4::new(source, destination, protocol, payload.len() as u16);
            let packet = [header.as_bytes(), &payload].concat();
            prop_assert_eq!(Ipv4::parse(&packet), Ok((&header, &payload[..])));
        }
    }
}
