//! Which flow a LAN frame belongs to, as a number: equal for all frames of a flow.
//!
//! It is what RSS computes in a NIC, for ports that can't. A flow is what shares IP addresses,
//! protocol and ports; of what is not IP, MAC addresses and EtherType. VLAN tags are looked past, and
//! MAC addresses don't count for IP: a flow may change its priority or its router. Fragments have no
//! ports, all but the first, so they count by addresses and protocol alone; a flow that fragments
//! some of its datagrams only is thus two flows, as it is to a NIC.
//!
//! The number stays within one gateway: another version may compute another.

use twox_hash::XxHash3_64;
use zerocopy::{Immutable, IntoBytes};

use super::outer::Ether;

/// Tags that are looked past, at most.
const MAX_TAGS: usize = 2;
/// IPv6 extension headers that are looked past, at most.
const MAX_EXTENSIONS: usize = 4;

/// What identifies a flow, zeros where there is nothing. Whole words: put together byte by byte, it
/// would have to wait for each byte on its way through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
struct Key {
    /// Destination and source.
    addresses: [u64; 4],
    /// Ports, protocol, EtherType.
    rest: u64,
}

impl Key {
    /// Of what is not IP.
    fn stations(ether: &Ether, ethertype: u16) -> Key {
        let [a, b, c, d, e, f] = ether.destination;
        let [g, h, i, j, k, l] = ether.source;
        let (first, second) = ([a, b, c, d, e, f, g, h], [i, j, k, l, 0, 0, 0, 0]);
        let addresses = [u64::from_be_bytes(first), u64::from_be_bytes(second), 0, 0];
        Key { addresses, rest: u64::from(ethertype) }
    }

    fn ip(addresses: [u64; 4], ethertype: u16, protocol: u8, payload: Option<&[u8]>) -> Key {
        // TCP, UDP, DCCP, SCTP, UDP-Lite: ports come first.
        let ports = match protocol {
            6 | 17 | 33 | 132 | 136 => payload.and_then(|payload| payload.first_chunk::<4>()),
            _ => None,
        };
        let ports = ports.map_or(0, |ports| u32::from_be_bytes(*ports));
        let rest = u64::from(ports) << 32 | u64::from(protocol) << 16 | u64::from(ethertype);
        Key { addresses, rest }
    }
}

/// The number of a frame's flow; 0 for a frame without a header.
#[inline]
pub fn hash(frame: &[u8]) -> u64 {
    key(frame).map_or(0, |key| XxHash3_64::oneshot(key.as_bytes()))
}

/// Which of `n` shares a flow falls to: even, and without a division.
#[inline]
pub fn share(hash: u64, n: usize) -> usize {
    ((u128::from(hash) * n as u128) >> 64) as usize
}

fn key(frame: &[u8]) -> Option<Key> {
    let (ether, mut rest) = Ether::parse(frame)?;
    let mut ethertype = ether.ethertype.get();
    for _ in 0..MAX_TAGS {
        let (0x8100 | 0x88A8, Some((tag, behind))) = (ethertype, rest.split_first_chunk::<4>())
        else {
            break;
        };
        ethertype = u16::from_be_bytes([tag[2], tag[3]]);
        rest = behind;
    }
    let ip = match ethertype {
        0x0800 => ipv4(rest),
        0x86DD => ipv6(rest),
        _ => None,
    };
    Some(ip.unwrap_or_else(|| Key::stations(ether, ethertype)))
}

/// RFC 791, section 3.1.
fn ipv4(packet: &[u8]) -> Option<Key> {
    let header = packet.first_chunk::<20>()?;
    let len = usize::from(header[0] & 0xF) * 4;
    if header[0] >> 4 != 4 || len < header.len() {
        return None;
    }
    // More fragments, or an offset.
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0;
    let payload = packet.get(len..).filter(|_| !fragment);
    let addresses = header.last_chunk::<8>().map_or(0, |both| u64::from_be_bytes(*both));
    Some(Key::ip([addresses, 0, 0, 0], 0x0800, header[9], payload))
}

/// RFC 8200, sections 3 and 4.
fn ipv6(packet: &[u8]) -> Option<Key> {
    let (header, mut rest) = packet.split_first_chunk::<40>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let mut addresses = [0; 4];
    for (word, bytes) in addresses.iter_mut().zip(header[8..].as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    let key = |protocol, payload| Some(Key::ip(addresses, 0x86DD, protocol, payload));
    let mut protocol = header[6];
    for _ in 0..MAX_EXTENSIONS {
        let Some(&[next, len]) = rest.first_chunk::<2>() else { break };
        match protocol {
            // Hop-by-hop options, routing, destination options.
            0 | 43 | 60 => rest = rest.get(8 + 8 * usize::from(len)..).unwrap_or(&[]),
            44 => return key(next, None),
            _ => break,
        }
        protocol = next;
    }
    key(protocol, Some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(ethertype: u16, packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(packet);
        frame
    }

    fn tagged(tci: u16, frame: &[u8]) -> Vec<u8> {
        let tag = [[0x81, 0x00], tci.to_be_bytes()].concat();
        [&frame[..12], &tag, &frame[12..]].concat()
    }

    fn v4(flags: u16, ports: [u8; 4], payload: u8) -> Vec<u8> {
        let mut packet = [0; 28];
        packet[0] = 0x45;
        packet[6..8].copy_from_slice(&flags.to_be_bytes());
        packet[9] = 17;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[20..24].copy_from_slice(&ports);
        packet[27] = payload;
        frame(0x0800, &packet)
    }

    fn v6(extensions: &[u8], first: u8, ports: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = first;
        packet[8..40].copy_from_slice(&std::array::from_fn::<u8, 32, _>(|n| n as u8));
        packet.extend(extensions);
        packet.extend(ports);
        packet.extend([0; 16]);
        frame(0x86DD, &packet)
    }

    #[test]
    fn a_flow_is_known_by_addresses_protocol_and_ports() {
        let flow = hash(&v4(0, [1, 2, 3, 4], 0));
        assert_eq!(hash(&v4(0, [1, 2, 3, 4], 9)), flow);
        assert_ne!(hash(&v4(0, [1, 2, 3, 5], 0)), flow);
        let mut other = v4(0, [1, 2, 3, 4], 0);
        other[0..12].fill(7);
        assert_eq!(hash(&other), flow);
        other[14 + 12] ^= 1;
        assert_ne!(hash(&other), flow);
        other[14 + 12] ^= 1;
        other[14 + 9] = 6;
        assert_ne!(hash(&other), flow);
    }

    #[test]
    fn tags_are_looked_past() {
        let plain = v4(0, [1, 2, 3, 4], 0);
        assert_eq!(hash(&tagged(5, &plain)), hash(&plain));
        assert_eq!(hash(&tagged(0xE005, &tagged(6, &plain))), hash(&plain));
    }

    #[test]
    fn fragments_of_a_datagram_stay_together() {
        let first = hash(&v4(0x2000, [1, 2, 3, 4], 0));
        assert_eq!(hash(&v4(0x0010, [9, 9, 9, 9], 0)), first);
        // Don't fragment is no fragment.
        assert_eq!(hash(&v4(0x4000, [1, 2, 3, 4], 0)), hash(&v4(0, [1, 2, 3, 4], 0)));
        let fragment = |offset| v6(&[17, 0, 0, offset, 0, 0, 0, 1], 44, [offset; 4]);
        assert_eq!(hash(&fragment(1)), hash(&fragment(8)));
    }

    #[test]
    fn extension_headers_are_looked_past() {
        let plain = hash(&v6(&[], 17, [1, 2, 3, 4]));
        assert_ne!(hash(&v6(&[], 17, [1, 2, 3, 5])), plain);
        let mut options = [0; 24];
        options[..2].copy_from_slice(&[60, 0]);
        options[8..10].copy_from_slice(&[17, 1]);
        assert_eq!(hash(&v6(&options, 0, [1, 2, 3, 4])), plain);
    }

    #[test]
    fn what_is_not_ip_is_known_by_its_stations() {
        let arp = frame(0x0806, &[0; 46]);
        assert_eq!(hash(&arp), hash(&frame(0x0806, &[1; 46])));
        let mut other = arp.clone();
        other[5] ^= 1;
        assert_ne!(hash(&other), hash(&arp));
        assert_ne!(hash(&frame(0x0807, &[0; 46])), hash(&arp));
        // It says that it is IP, but is not.
        assert_eq!(hash(&frame(0x0800, &[0; 46])), hash(&frame(0x0800, &[1; 46])));
    }

    #[test]
    fn shares_are_even() {
        for n in 1..=16 {
            let mut shares = vec![0; n];
            for port in 0..10_000u16 {
                let [a, b] = port.to_be_bytes();
                shares[share(hash(&v4(0, [a, b, 0, 80], 0)), n)] += 1;
            }
            let fair = 10_000 / n;
            assert!(shares.iter().all(|&share| share > fair / 2 && share < fair * 2), "{shares:?}");
        }
        assert_eq!((share(0, 3), share(u64::MAX, 3)), (0, 2));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0..6usize) {
            let mut bytes = bytes;
            let kinds = [[0x08, 0x00], [0x86, 0xDD], [0x81, 0x00], [0x88, 0xA8], [0, 0]];
            if let (Some(kind), Some(at)) = (kinds.get(kind), bytes.get_mut(12..14)) {
                at.copy_from_slice(kind);
            }
            if let Some(first) = bytes.get_mut(14) {
                *first = if *first & 1 == 0 { 0x45 } else { 0x60 };
            }
            prop_assert!(share(hash(&bytes), 5) < 5);
        }
    }
}
