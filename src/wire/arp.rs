//! ARP for IPv4 over Ethernet: RFC 826, announcements and conflicts as in RFC 5227.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;

/// The EtherType.
pub const ETHERTYPE: u16 = 0x0806;

/// Ethernet and IPv4, and the lengths of their addresses.
const SPACES: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// What a message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Operation {
    /// Asks for the target's address.
    Request = 1,
    /// Tells the sender's.
    Reply = 2,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// What it does.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub sender_mac: [u8; 6],
    /// The sender's IP address; 0.0.0.0 asks whether somebody has the target's.
    pub sender: [u8; 4],
    /// The target's Ethernet address, which a request leaves open.
    pub target_mac: [u8; 6],
    /// The target's IP address; of an announcement the sender's.
    pub target: [u8; 4],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    spaces: [u8; 6],
    operation: U16,
    sender_mac: [u8; 6],
    sender: [u8; 4],
    target_mac: [u8; 6],
    target: [u8; 4],
}

/// Bytes of a message.
pub const ARP_LEN: usize = size_of::<Raw>();

impl Arp {
    /// Reads what follows the Ethernet header.
    pub fn parse(packet: &[u8]) -> Result<Arp, Bad> {
        let (raw, _) = Raw::ref_from_prefix(packet).map_err(|_| Bad::Truncated)?;
        if raw.spaces != SPACES {
            return Err(Bad::Version);
        }
        let operation = match raw.operation.get() {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Bad::Kind),
        };
        let Raw { sender_mac, sender, target_mac, target, .. } = *raw;
        Ok(Arp { operation, sender_mac, sender, target_mac, target })
    }

    /// As bytes.
    pub fn emit(&self) -> [u8; ARP_LEN] {
        let Arp { operation, sender_mac, sender, target_mac, target } = *self;
        let operation = U16::new(operation as u16);
        zerocopy::transmute!(Raw {
            spaces: SPACES,
            operation,
            sender_mac,
            sender,
            target_mac,
            target
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let arp = Arp {
            operation: Operation::Request,
            sender_mac: [2, 0, 0, 0, 0, 1],
            sender: [192, 0, 2, 1],
            target_mac: [0; 6],
            target: [192, 0, 2, 254],
        };
        let bytes = [
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2,
            254,
        ];
        assert_eq!(arp.emit(), bytes);
        assert_eq!(Arp::parse(&[&bytes[..], &[0; 18]].concat()), Ok(arp));
        assert_eq!(Arp::parse(&bytes[..27]), Err(Bad::Truncated));
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes;
            bytes[at] = byte;
            Arp::parse(&bytes)
        };
        assert_eq!((with(1, 6), with(7, 3)), (Err(Bad::Version), Err(Bad::Kind)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_parses_is_emitted_alike(
            operation in 0u8..4, bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let bytes = [&SPACES[..], &[0, operation], &bytes].concat();
            if let Ok(arp) = Arp::parse(&bytes) {
                prop_assert_eq!(&arp.emit()[..], &bytes[..ARP_LEN]);
            }
        }
    }
}
