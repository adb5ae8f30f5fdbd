//! Which TCP segment a LAN frame carries: RFC 9293, over IPv4 and IPv6.
//!
//! Up to two VLAN tags are looked past, and the usual IPv6 extension headers. A fragment is no segment
//! here, and checksums are not verified: whoever sent the frame did not mean us. What is told of the
//! payload is where it lies in the stream; the frame may be padded behind it.

use super::outer::Ether;

/// Tags that are looked past, at most.
const MAX_TAGS: usize = 2;
/// IPv6 extension headers that are looked past, at most.
const MAX_EXTENSIONS: usize = 4;
/// Ethernet, IPv4 and TCP, each without tags and options.
const PLAIN: usize = 14 + 20 + 20;
/// TCP's number among the protocols.
const TCP: u8 = 6;

/// Source and destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Of IPv4.
    V4([u8; 4], [u8; 4]),
    /// Of IPv6.
    V6([u8; 16], [u8; 16]),
}

/// A TCP header, and how many bytes follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// From whom to whom.
    pub addresses: Addresses,
    /// The source's port.
    pub source_port: u16,
    /// The destination's port.
    pub destination_port: u16,
    /// The number of the first byte, or of the SYN before it.
    pub seq: u32,
    /// The number that is expected next, if ACK is set.
    pub ack: u32,
    /// See [`Segment::has`].
    flags: u8,
    /// Bytes of the stream that it carries.
    pub len: u16,
}

/// A frame may have tags, options or extension headers: see [`Segment::look_past`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPlain;

/// A bit of the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flag {
    /// No more data from the sender.
    Fin = 1,
    /// A connection begins.
    Syn = 2,
    /// It is reset.
    Rst = 4,
    /// `ack` counts.
    Ack = 16,
}

impl Segment {
    /// The segment of a frame, if it carries a whole one.
    #[inline]
    pub fn parse(frame: &[u8]) -> Option<Segment> {
        Segment::parse_if(frame, |_, _| true)
    }

    /// The same, if its source and destination port are `wanted`: asked before the rest is read.
    #[inline]
    pub fn parse_if(frame: &[u8], wanted: impl Fn(u16, u16) -> bool) -> Option<Segment> {
        match Segment::plain(frame, &wanted) {
            Ok(segment) => segment,
            Err(NotPlain) => Segment::look_past(frame)
                .filter(|segment| wanted(segment.source_port, segment.destination_port)),
        }
    }

    /// What [`Segment::parse_if`] gives for most frames by far: untagged, of IPv4 without options. Apart
    /// from the rest so that a caller who takes both ways need not have a segment in memory.
    #[inline]
    pub fn plain(
        frame: &[u8],
        wanted: impl Fn(u16, u16) -> bool,
    ) -> Result<Option<Segment>, NotPlain> {
        match frame.first_chunk::<PLAIN>() {
            Some(head) if matches!(head[12..15], [0x08, 0x00, 0x45]) => {
                Ok(plain(head, frame.len(), wanted))
            }
            _ => Err(NotPlain),
        }
    }

    /// The segment behind tags, options and extension headers, if there are any.
    #[inline(never)]
    pub fn look_past(frame: &[u8]) -> Option<Segment> {
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
        match ethertype {
            0x0800 => ipv4(rest),
            0x86DD => ipv6(rest),
            _ => None,
        }
    }

    /// Whether a flag is set.
    #[inline]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags & flag as u8 != 0
    }

    /// The number of the first byte of data: a SYN takes up a number of its own.
    #[inline]
    pub fn data_seq(&self) -> u32 {
        self.seq.wrapping_add(u32::from(self.has(Flag::Syn)))
    }
}

/// A frame of `frame_len` bytes that begins like this, with all fields in their usual places.
#[inline]
fn plain(
    head: &[u8; PLAIN],
    frame_len: usize,
    wanted: impl Fn(u16, u16) -> bool,
) -> Option<Segment> {
    let short = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let bytes = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
    // More fragments, or an offset.
    if (head[23] != TCP) | (short(20) & 0x3FFF != 0) {
        return None;
    }
    let ports = u32::from_be_bytes(bytes(34));
    let (source_port, destination_port) = ((ports >> 16) as u16, ports as u16);
    if !wanted(source_port, destination_port) {
        return None;
    }
    let (total, offset) = (usize::from(short(16)), usize::from(head[46] >> 4) * 4);
    if (offset < 20) | (20 + offset > total) | (14 + total > frame_len) {
        return None;
    }
    Some(Segment {
        addresses: Addresses::V4(bytes(26), bytes(30)),
        source_port,
        destination_port,
        seq: u32::from_be_bytes(bytes(38)),
        ack: u32::from_be_bytes(bytes(42)),
        flags: head[47],
        len: (total - 20 - offset) as u16,
    })
}

/// RFC 791, section 3.1.
#[inline]
fn ipv4(packet: &[u8]) -> Option<Segment> {
    let header = packet.first_chunk::<20>()?;
    let len = usize::from(header[0] & 0xF) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    // More fragments, or an offset.
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0;
    if header[0] >> 4 != 4 || len < header.len() || header[9] != TCP || fragment {
        return None;
    }
    let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    segment(Addresses::V4(word(12), word(16)), packet.get(len..total)?)
}

/// RFC 8200, sections 3 and 4. A jumbogram has no length here, and is none of ours.
#[inline]
fn ipv6(packet: &[u8]) -> Option<Segment> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let mut rest = rest.get(..usize::from(u16::from_be_bytes([header[4], header[5]])))?;
    let mut protocol = header[6];
    for _ in 0..MAX_EXTENSIONS {
        // Hop-by-hop options, routing, destination options.
        if !matches!(protocol, 0 | 43 | 60) {
            break;
        }
        let &[next, len] = rest.first_chunk::<2>()?;
        rest = rest.get(8 + 8 * usize::from(len)..)?;
        protocol = next;
    }
    let (source, destination) = (header[8..].first_chunk()?, header[24..].first_chunk()?);
    if protocol != TCP {
        return None;
    }
    segment(Addresses::V6(*source, *destination), rest)
}

#[inline]
fn segment(addresses: Addresses, packet: &[u8]) -> Option<Segment> {
    let header = packet.first_chunk::<20>()?;
    let len = usize::from(header[12] >> 4) * 4;
    if len < header.len() {
        return None;
    }
    let short = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    Some(Segment {
        addresses,
        source_port: short(0),
        destination_port: short(2),
        seq: word(4),
        ack: word(8),
        flags: header[13],
        // An IP packet is no longer than that.
        len: packet.len().checked_sub(len)? as u16,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(flags: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; 24];
        packet[..4].copy_from_slice(&[0x12, 0x34, 0x15, 0x38]);
        packet[4..12].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFE, 1, 2, 3, 4]);
        packet[12..14].copy_from_slice(&[0x60, flags]);
        packet.resize(24 + payload, 7);
        packet
    }

    fn frame(ethertype: u16, packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(packet);
        frame
    }

    fn v4(fragment: u16, options: usize, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20 + options];
        packet[0] = 0x45 + (options / 4) as u8;
        let total = (packet.len() + payload.len()) as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[9] = 6;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        frame(0x0800, &packet)
    }

    fn v6(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
        packet[6] = first;
        packet[8] = 0xFD;
        packet[24] = 0xFD;
        packet[39] = 2;
        packet.extend(rest);
        frame(0x86DD, &packet)
    }

    #[test]
    fn a_segment_is_read_and_padding_is_not() {
        let mut bytes = v4(0x4000, 0, &tcp(0x12, 9));
        bytes.resize(100, 0);
        let segment = Segment::parse(&bytes).unwrap();
        assert_eq!(segment.addresses, Addresses::V4([10, 0, 0, 1], [10, 0, 0, 2]));
        assert_eq!((segment.source_port, segment.destination_port), (0x1234, 0x1538));
        assert_eq!((segment.seq, segment.ack, segment.len), (u32::MAX - 1, 0x0102_0304, 9));
        assert!(segment.has(Flag::Syn) && segment.has(Flag::Ack));
        assert!(!segment.has(Flag::Fin) && !segment.has(Flag::Rst));
        assert_eq!(segment.data_seq(), u32::MAX);
        assert_eq!(Segment::parse(&v4(0, 8, &tcp(0x12, 9))), Some(segment));
    }

    #[test]
    fn tags_and_extension_headers_are_looked_past() {
        let plain = v4(0, 0, &tcp(0x10, 5));
        let tag = |frame: &[u8]| [&frame[..12], &[0x81, 0, 0, 5], &frame[12..]].concat();
        assert_eq!(Segment::parse(&tag(&tag(&plain))), Segment::parse(&plain));
        assert_eq!(Segment::parse(&tag(&tag(&tag(&plain)))), None);
        let plain = Segment::parse(&v6(6, &tcp(0x10, 5))).unwrap();
        let mut options = vec![0; 24];
        options[..2].copy_from_slice(&[60, 0]);
        options[8..10].copy_from_slice(&[6, 1]);
        options.extend(tcp(0x10, 5));
        assert_eq!(Segment::parse(&v6(0, &options)), Some(plain));
        assert_eq!(plain.len, 5);
    }

    #[test]
    fn what_is_no_whole_segment_is_none() {
        for fragment in [0x2000, 0x0010] {
            assert_eq!(Segment::parse(&v4(fragment, 0, &tcp(0x10, 5))), None);
        }
        assert_eq!(
            Segment::parse(&v6(44, &[&[6, 0, 0, 1, 0, 0, 0, 1][..], &tcp(16, 5)].concat())),
            None
        );
        assert_eq!(Segment::parse(&v6(17, &tcp(16, 5))), None);
        let whole = v4(0, 0, &tcp(0x10, 5));
        for end in 0..whole.len() {
            assert_eq!(Segment::parse(&whole[..end]), None, "cut at {end}");
        }
        let mut offset = tcp(0x10, 0);
        for words in [0x40, 0xF0] {
            offset[12] = words;
            assert_eq!(Segment::parse(&v4(0, 0, &offset)), None);
        }
    }

    #[test]
    fn ports_are_asked_for_before_the_rest() {
        for bytes in [v4(0, 0, &tcp(0x10, 5)), v4(0, 4, &tcp(0x10, 5)), v6(6, &tcp(0x10, 5))] {
            let all = Segment::parse(&bytes);
            assert!(all.is_some());
            assert_eq!(Segment::parse_if(&bytes, |from, to| (from, to) == (0x1234, 0x1538)), all);
            assert_eq!(Segment::parse_if(&bytes, |_, _| false), None);
        }
    }

    proptest! {
        /// Fields in their usual places are what is found there step by step.
        #[test]
        fn the_short_way_is_the_long_one(
            lengths in (0..120u16, any::<u8>()),
            at in prop::collection::vec((14..60usize, any::<u8>()), 0..3),
            payload in 0..40usize,
        ) {
            let mut bytes = v4(0, 0, &tcp(0x10, payload));
            if lengths.1 & 1 == 0 {
                bytes[16..18].copy_from_slice(&lengths.0.to_be_bytes());
            }
            for (at, byte) in at {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            prop_assert_eq!(Segment::parse(&bytes), Segment::look_past(&bytes));
        }

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
            if let Some(segment) = Segment::parse(&bytes) {
                prop_assert!(usize::from(segment.len) + 14 + 40 <= bytes.len());
            }
        }
    }
}
