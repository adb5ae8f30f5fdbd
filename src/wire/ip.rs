//! Where the parts of an IP packet lie in a LAN frame: RFC 791 and RFC 8200, past up to two VLAN tags.
//!
//! For what must read or change a packet in its place: [`super::mss`] and [`super::icmp`]. Checksums are
//! not verified, and nothing is said of what no whole header is there for.

use super::outer::Ether;

/// TCP's number among the protocols.
pub const TCP: u8 = 6;
/// An IPv4 header without options.
pub const V4_HEADER: usize = 20;
/// An IPv6 header without extensions.
pub const V6_HEADER: usize = 40;
/// Tags that are looked past, at most.
const MAX_TAGS: usize = 2;
/// IPv6 extension headers that are looked past, at most.
const MAX_EXTENSIONS: usize = 4;

/// The version of a packet, and what only one of them has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4 {
        /// Whether nobody on the way may fragment it.
        dont_fragment: bool,
    },
    /// IPv6, which nobody on the way fragments.
    V6,
}

/// An IP packet in a frame. Offsets count from the frame's first byte and lie within what was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// IPv4 or IPv6.
    pub version: Version,
    /// Where it begins: how long Ethernet header and tags are.
    pub start: usize,
    /// How long it says that it is, headers included. That may be more than is there.
    pub len: usize,
    /// What it carries.
    pub protocol: u8,
    /// Where that begins.
    pub payload: usize,
    /// Whether it is a fragment.
    pub fragment: bool,
    /// Whether it is a fragment and not the first.
    pub later_fragment: bool,
}

impl Packet {
    /// The packet of a frame, if it carries one.
    pub fn parse(frame: &[u8]) -> Option<Packet> {
        let (ether, _) = Ether::parse(frame)?;
        let mut ethertype = ether.ethertype.get();
        let mut start = size_of::<Ether>();
        for _ in 0..MAX_TAGS {
            if !matches!(ethertype, 0x8100 | 0x88A8) {
                break;
            }
            ethertype = short(frame, start + 2)?;
            start += 4;
        }
        match ethertype {
            0x0800 => v4(frame, start),
            0x86DD => v6(frame, start),
            _ => None,
        }
    }
}

/// The two bytes at `at`, as a number.
#[inline]
pub(super) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// RFC 791, section 3.1.
fn v4(frame: &[u8], start: usize) -> Option<Packet> {
    let header = frame.get(start..)?.first_chunk::<V4_HEADER>()?;
    let header_len = usize::from(header[0] & 0xF) * 4;
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let payload = start + header_len;
    if header[0] >> 4 != 4 || header_len < V4_HEADER || len < header_len || payload > frame.len() {
        return None;
    }
    let flags = u16::from_be_bytes([header[6], header[7]]);
    Some(Packet {
        version: Version::V4 { dont_fragment: flags & 0x4000 != 0 },
        start,
        len,
        protocol: header[9],
        payload,
        fragment: flags & 0x3FFF != 0,
        later_fragment: flags & 0x1FFF != 0,
    })
}

/// RFC 8200, sections 3 and 4. A jumbogram has no length here, and is none of ours.
fn v6(frame: &[u8], start: usize) -> Option<Packet> {
    let header = frame.get(start..)?.first_chunk::<V6_HEADER>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let mut packet = Packet {
        version: Version::V6,
        start,
        len: V6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]])),
        protocol: header[6],
        payload: start + V6_HEADER,
        fragment: false,
        later_fragment: false,
    };
    for _ in 0..MAX_EXTENSIONS {
        // Hop-by-hop options, routing, fragment, destination options.
        if !matches!(packet.protocol, 0 | 43 | 44 | 60) {
            break;
        }
        let extension = frame.get(packet.payload..)?.first_chunk::<8>()?;
        let mut len = 8 + 8 * usize::from(extension[1]);
        if packet.protocol == 44 {
            let offset = u16::from_be_bytes([extension[2], extension[3]]);
            // An offset of 0 and no more to follow is a whole packet (RFC 6946).
            packet.fragment |= offset & 0xFFF9 != 0;
            packet.later_fragment |= offset & 0xFFF8 != 0;
            len = 8;
        }
        packet.protocol = extension[0];
        packet.payload += len;
        if packet.payload > frame.len() {
            return None;
        }
        // What lies in a later fragment is no header.
        if packet.later_fragment {
            break;
        }
    }
    Some(packet)
}

/// The Internet checksum's sum of 16-bit words (RFC 1071), not yet complemented, of `bytes` and `before`.
pub(super) fn sum(bytes: &[u8], before: u32) -> u32 {
    let (words, odd) = bytes.as_chunks::<2>();
    let words = words.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let odd = odd.first().map_or(0, |&byte| u32::from(byte) << 8);
    // 2^16 words of 2^16 fit: no packet is longer.
    fold(words.sum::<u32>() + odd) + before
}

/// A sum with its carries added in.
pub(super) fn fold(sum: u32) -> u32 {
    let once = (sum & 0xFFFF) + (sum >> 16);
    (once & 0xFFFF) + (once >> 16)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame with so many tags.
    pub fn frame(tags: usize, ethertype: u16, packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        (0..tags).for_each(|n| frame.extend([[0x88, 0xA8, 0, 9], [0x81, 0, 0, 7]][n % 2]));
        frame.extend(ethertype.to_be_bytes());
        frame.extend(packet);
        frame
    }

    /// An IPv4 packet with a right header checksum.
    pub fn v4(flags: u16, options: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; V4_HEADER + options];
        packet[0] = 0x45 + (options / 4) as u8;
        let len = (packet.len() + payload.len()) as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[6..8].copy_from_slice(&flags.to_be_bytes());
        packet[8] = 64;
        packet[9] = protocol;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let check = !(fold(sum(&packet, 0)) as u16);
        packet[10..12].copy_from_slice(&check.to_be_bytes());
        packet.extend(payload);
        packet
    }

    /// An IPv6 packet; `rest` begins with what `next` says.
    pub fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; V6_HEADER];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
        packet[6..8].copy_from_slice(&[next, 64]);
        packet[8..10].copy_from_slice(&[0xFD, 1]);
        packet[24..26].copy_from_slice(&[0xFD, 2]);
        packet.extend(rest);
        packet
    }

    /// Any bytes that a parser of IP goes into: right at the front, and anything behind.
    pub fn nearly_ip() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..120);
        (bytes, 0..3usize, any::<bool>(), 0..6usize, any::<u8>()).prop_map(
            |(bytes, tags, six, protocol, flags)| {
                let mut frame = frame(tags, if six { 0x86DD } else { 0x0800 }, &bytes);
                let start = 14 + 4 * tags;
                if let Some(first) = frame.get_mut(start) {
                    *first = if six { 0x60 } else { 0x45 + (*first & 1) };
                }
                let protocol = [TCP, 1, 58, 44, 60, 17][protocol];
                if let Some(at) = frame.get_mut(start + if six { 6 } else { 9 }) {
                    *at = protocol;
                }
                if let Some(at) = frame.get_mut(start + 6).filter(|_| !six) {
                    *at = flags & 0x60;
                }
                if let Some(at) = frame.get_mut(start + 7).filter(|_| !six && flags & 1 == 0) {
                    *at = 0;
                }
                frame
            },
        )
    }

    #[test]
    fn the_parts_are_where_they_are() {
        for tags in 0..3 {
            let start = 14 + 4 * tags;
            let four = frame(tags, 0x0800, &v4(0x4000, 8, 17, &[7; 9]));
            let packet = Packet::parse(&four).unwrap();
            assert_eq!(packet.version, Version::V4 { dont_fragment: true });
            assert_eq!((packet.start, packet.len, packet.payload), (start, 37, start + 28));
            assert!(packet.protocol == 17 && !packet.fragment && !packet.later_fragment);
            let six = frame(tags, 0x86DD, &v6(60, &[6, 0, 0, 0, 0, 0, 0, 0, 9, 9]));
            let packet = Packet::parse(&six).unwrap();
            assert_eq!((packet.start, packet.len, packet.payload), (start, 50, start + 48));
            assert_eq!((packet.version, packet.protocol), (Version::V6, TCP));
        }
        assert_eq!(Packet::parse(&frame(3, 0x0800, &v4(0, 0, 6, &[]))), None);
        assert_eq!(Packet::parse(&frame(0, 0x0806, &[0; 46])), None);
    }

    #[test]
    fn fragments_are_known() {
        for (flags, expected) in [
            (0x2000, (true, false)),
            (0x2001, (true, true)),
            (1, (true, true)),
            (0, (false, false)),
        ] {
            let packet = Packet::parse(&frame(0, 0x0800, &v4(flags, 0, 17, &[0; 8]))).unwrap();
            assert_eq!((packet.fragment, packet.later_fragment), expected);
            let offset = (flags & 0x1FFF) << 3 | u16::from(flags & 0x2000 != 0);
            let [a, b] = offset.to_be_bytes();
            let six = v6(44, &[6, 0, a, b, 0, 0, 0, 1, 0, 0]);
            let packet = Packet::parse(&frame(0, 0x86DD, &six)).unwrap();
            assert_eq!((packet.fragment, packet.later_fragment), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_offsets_lie_within(frame in nearly_ip(), cut in 0..150usize) {
            let frame = &frame[..cut.min(frame.len())];
            if let Some(packet) = Packet::parse(frame) {
                prop_assert!(packet.start < packet.payload && packet.payload <= frame.len());
                prop_assert!(packet.fragment || !packet.later_fragment);
            }
        }
    }
}
