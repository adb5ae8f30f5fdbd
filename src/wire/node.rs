//! What a gateway answers and asks for its own address: echo (RFC 792, RFC 4443) and neighbour
//! discovery (RFC 4861) of ICMPv6; and too-big messages, which it takes only.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;
use super::checksum::{Sum, pseudo_header};

/// ICMP's number among the protocols.
pub const ICMP: u8 = 1;
/// ICMPv6's number among the protocols.
pub const ICMPV6: u8 = 58;

/// All nodes on the link.
pub const ALL_NODES: [u8; 16] = [0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// The multicast address at which a node is asked for (RFC 4291, section 2.7.1).
pub fn solicited_node(address: [u8; 16]) -> [u8; 16] {
    let mut group = [0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0, 0, 0];
    group[13..].copy_from_slice(&address[13..]);
    group
}

/// The Ethernet address of a multicast address (RFC 2464, section 7).
pub fn multicast_mac(group: [u8; 16]) -> [u8; 6] {
    [0x33, 0x33, group[12], group[13], group[14], group[15]]
}

/// Whose checksum a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// ICMP's: of the message alone.
    V4,
    /// ICMPv6's, between these.
    V6 {
        /// From whom.
        source: [u8; 16],
        /// To whom.
        destination: [u8; 16],
    },
}

impl Over {
    fn sum(self, length: usize) -> Sum {
        match self {
            Over::V4 => Sum::default(),
            Over::V6 { source, destination } => {
                pseudo_header(&source, &destination, ICMPV6, length as u16)
            }
        }
    }
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A ping: what follows type, code and checksum comes back.
    EchoRequest(&'a [u8]),
    /// Its answer.
    EchoReply(&'a [u8]),
    /// A router could not pass a packet on, since it was too long.
    TooBig {
        /// What would have fitted.
        mtu: u32,
        /// How that packet began.
        packet: &'a [u8],
    },
    /// Asks who has an address.
    Solicitation {
        /// The address.
        target: [u8; 16],
        /// The asker's Ethernet address.
        mac: Option<[u8; 6]>,
    },
    /// Tells who has an address.
    Advertisement {
        /// The address.
        target: [u8; 16],
        /// Its Ethernet address.
        mac: Option<[u8; 6]>,
        /// In answer to a solicitation.
        solicited: bool,
    },
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    kind: u8,
    code: u8,
    checksum: U16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Neighbour {
    flags: u8,
    reserved: [u8; 3],
    target: [u8; 16],
}

/// Solicited, and to override what is known.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Options of neighbour discovery: the link-layer address of the source, and of the target.
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;

impl<'a> Message<'a> {
    /// Reads and verifies the payload of an IP packet. Other messages than those above are
    /// [`Bad::Kind`].
    pub fn parse(payload: &'a [u8], over: Over) -> Result<Message<'a>, Bad> {
        let (raw, rest) = Raw::ref_from_prefix(payload).map_err(|_| Bad::Truncated)?;
        if !over.sum(payload.len()).bytes(payload).is_whole() {
            return Err(Bad::Check);
        }
        match (over, raw.kind, raw.code) {
            (Over::V4, 8, 0) | (Over::V6 { .. }, 128, 0) => Ok(Message::EchoRequest(rest)),
            (Over::V4, 0, 0) | (Over::V6 { .. }, 129, 0) => Ok(Message::EchoReply(rest)),
            (Over::V4, 3, 4) => {
                let (word, packet) = rest.split_first_chunk::<4>().ok_or(Bad::Truncated)?;
                let mtu = u32::from(u16::from_be_bytes([word[2], word[3]]));
                Ok(Message::TooBig { mtu, packet })
            }
            (Over::V6 { .. }, 2, 0) => {
                let (mtu, packet) = rest.split_first_chunk::<4>().ok_or(Bad::Truncated)?;
                Ok(Message::TooBig { mtu: u32::from_be_bytes(*mtu), packet })
            }
            (Over::V6 { .. }, 135, 0) => {
                let (neighbour, options) = neighbour(rest)?;
                let mac = mac_option(options, SOURCE_MAC)?;
                Ok(Message::Solicitation { target: neighbour.target, mac })
            }
            (Over::V6 { .. }, 136, 0) => {
                let (Neighbour { flags, target, .. }, options) = neighbour(rest)?;
                let mac = mac_option(options, TARGET_MAC)?;
                let solicited = flags & SOLICITED != 0;
                Ok(Message::Advertisement { target: *target, mac, solicited })
            }
            _ => Err(Bad::Kind),
        }
    }

    /// Appends it to `out`.
    pub fn emit(&self, over: Over, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = match (self, over) {
            (Message::EchoRequest(_), Over::V4) => [8, 0],
            (Message::EchoRequest(_), Over::V6 { .. }) => [128, 0],
            (Message::EchoReply(_), Over::V4) => [0, 0],
            (Message::EchoReply(_), Over::V6 { .. }) => [129, 0],
            (Message::TooBig { .. }, Over::V4) => [3, 4],
            (Message::TooBig { .. }, Over::V6 { .. }) => [2, 0],
            (Message::Solicitation { .. }, _) => [135, 0],
            (Message::Advertisement { .. }, _) => [136, 0],
        };
        out.extend(kind);
        out.extend([0, 0]);
        match *self {
            Message::EchoRequest(rest) | Message::EchoReply(rest) => out.extend(rest),
            Message::TooBig { mtu, packet } => {
                out.extend(mtu.to_be_bytes());
                out.extend(packet);
            }
            Message::Solicitation { target, mac } => {
                out.extend([0; 4]);
                out.extend(target);
                out.extend(mac.into_iter().flat_map(|mac| option(SOURCE_MAC, mac)));
            }
            Message::Advertisement { target, mac, solicited } => {
                let flags = OVERRIDE | if solicited { SOLICITED } else { 0 };
                out.extend([flags, 0, 0, 0]);
                out.extend(target);
                out.extend(mac.into_iter().flat_map(|mac| option(TARGET_MAC, mac)));
            }
        }
        let message = &mut out[start..];
        let checksum = over.sum(message.len()).bytes(message).checksum();
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn neighbour(rest: &[u8]) -> Result<(&Neighbour, &[u8]), Bad> {
    Neighbour::ref_from_prefix(rest).map_err(|_| Bad::Truncated)
}

/// An option of 8 bytes (RFC 4861, section 4.6.1).
fn option(kind: u8, mac: [u8; 6]) -> [u8; 8] {
    [kind, 1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]]
}

/// The Ethernet address in the options, if it is there. Their lengths count 8 bytes each, and none
/// may be 0 (RFC 4861, section 4.6).
fn mac_option(mut options: &[u8], wanted: u8) -> Result<Option<[u8; 6]>, Bad> {
    while let &[kind, length, ..] = options {
        let Some((option, rest)) = options.split_at_checked(usize::from(length) * 8) else {
            return Err(Bad::Length);
        };
        if option.is_empty() {
            return Err(Bad::Length);
        }
        if let (true, &[_, _, a, b, c, d, e, f]) = (kind == wanted, option) {
            return Ok(Some([a, b, c, d, e, f]));
        }
        options = rest;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OVER: Over = Over::V6 { source: [0xFD; 16], destination: [0xFE; 16] };

    fn emitted(message: Message<'_>, over: Over) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.emit(over, &mut bytes);
        bytes
    }

    #[test]
    fn the_bytes_are_those_of_the_rfcs() {
        // 0800 + 1201 + 0001 + 0101 = 1b03.
        let bytes = [8, 0, 0xE4, 0xFC, 0x12, 1, 0, 1, 1, 1];
        let request = Message::EchoRequest(&bytes[4..]);
        assert_eq!(emitted(request, Over::V4), bytes);
        assert_eq!(Message::parse(&bytes, Over::V4), Ok(request));
        let solicitation =
            emitted(Message::Solicitation { target: [7; 16], mac: Some([2; 6]) }, OVER);
        assert_eq!((solicitation.len(), solicitation[0]), (32, 135));
        assert_eq!(solicitation[24..], [1, 1, 2, 2, 2, 2, 2, 2]);
        let group = solicited_node([0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(group, [0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 1, 2, 3]);
        assert_eq!(multicast_mac(group), [0x33, 0x33, 0xFF, 1, 2, 3]);
    }

    #[test]
    fn parses_what_it_emits() {
        for message in [
            Message::EchoReply(&[1, 2, 3, 4, 5]),
            Message::TooBig { mtu: 1400, packet: &[9; 28] },
            Message::Solicitation { target: [7; 16], mac: None },
            Message::Advertisement { target: [7; 16], mac: Some([2; 6]), solicited: true },
            Message::Advertisement { target: [7; 16], mac: None, solicited: false },
        ] {
            let bytes = emitted(message, OVER);
            assert_eq!(Message::parse(&bytes, OVER), Ok(message));
            let other = Over::V6 { source: [0xFC; 16], destination: [0xFE; 16] };
            assert_eq!(Message::parse(&bytes, other), Err(Bad::Check));
        }
        assert_eq!(Message::parse(&[8, 0], Over::V4), Err(Bad::Truncated));
        assert_eq!(Message::parse(&[13, 0, 0xF2, 0xFF], Over::V4), Err(Bad::Kind));
    }

    #[test]
    fn options_without_length_are_refused() {
        assert_eq!(mac_option(&[5, 1, 0, 0, 0, 0, 0, 0, 1, 0], 1), Err(Bad::Length));
        assert_eq!(mac_option(&[1, 2, 0, 0, 0, 0, 0, 0], 1), Err(Bad::Length));
        let two = [5, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6];
        assert_eq!(mac_option(&two, 1), Ok(Some([1, 2, 3, 4, 5, 6])));
        assert_eq!(mac_option(&two, 2), Ok(None));
    }

    proptest! {
        /// With a right checksum, or hardly any would get past it.
        #[test]
        fn no_bytes_panic_and_what_parses_is_emitted_alike(
            kind in prop::sample::select(vec![0u8, 2, 3, 8, 128, 129, 135, 136]),
            code in prop::sample::select(vec![0u8, 4]),
            rest in prop::collection::vec(any::<u8>(), 0..60), v6: bool,
        ) {
            let over = if v6 { OVER } else { Over::V4 };
            let mut bytes = [&[kind, code, 0, 0], &rest[..]].concat();
            let checksum = over.sum(bytes.len()).bytes(&bytes).checksum();
            bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
            if let Ok(message) = Message::parse(&bytes, over) {
                let again = emitted(message, over);
                prop_assert_eq!(Message::parse(&again, over), Ok(message));
            }
        }
    }
}
