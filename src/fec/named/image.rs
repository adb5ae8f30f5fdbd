//! What a circuit leaves alone of a frame, what its routers may change, and the frame's name.
//!
//! Routers change the MAC addresses; of IPv4 the TTL, the header checksum, and DSCP and ECN; of IPv6
//! the hop limit and the traffic class. A frame's **image** has all of these at its front, and zeros
//! where four of them were, so that images can be summed byte by byte whatever the frames are:
//!
//! ```text
//!  frame   | MAC addresses: 12 | EtherType, and all that follows: n - 12        |
//!  image   | MAC addresses: 12 | set apart: 4 | the same, zeros for those: n - 12 |
//!  set apart  IPv4: type of service, TTL, checksum   IPv6: traffic class (2 × 4 bits), hop limit, 0
//! ```
//!
//! Its **name** is a keyed hash over what follows the four bytes, and its **check** one over all of the
//! image. Two VLAN tags are looked past, and are part of the name; what is not IP has nothing set
//! apart.
//!
//! ```text
//! key   = as of a check (docs/WIRE.md), kind 4, which no packet has
//! rest  = the image from its 17th byte on, in two: as far as something is set apart, and behind
//! h     = XXH3, 64 bits, of the part behind, seed key;   g = the same of the part before
//! b     = the same of the image's first 16 bytes
//! name  = fold(h xor key, rotate_left(g, 32) xor OTHER)
//! check = fold(name xor GOLDEN, b xor OTHER)
//! ```

use twox_hash::XxHash3_64;

use super::super::check::{CheckKey, GOLDEN, OTHER, fold};
use super::super::xor::Engine;

/// How much longer an image is than its frame, in bytes.
pub const EXTRA: usize = 4;
/// What tells its keys from those of packets' checks, whose kinds have two bits.
const KIND: u8 = 4;
/// The MAC addresses.
const STATIONS: usize = 12;
/// Those and what is set apart.
const BLOCK: usize = STATIONS + EXTRA;
/// A frame has an Ethernet header at least.
pub(super) const MIN_FRAME: usize = STATIONS + 2;
/// The most that is hashed before the last byte that is set apart: two tags, an EtherType, and so much
/// of an IPv4 header.
const MAX_HEAD: usize = 8 + 2 + 12;

/// Where the bytes are that routers change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Their places in the frame.
    at: [u16; EXTRA],
    /// Which bits of them; none where there is no such byte.
    bits: [u8; EXTRA],
    /// Where what follows them begins.
    cut: usize,
    /// Where the IP header begins.
    ip: usize,
    version: u8,
}

impl Layout {
    /// Of a frame with an Ethernet header. Nothing that decides is itself set apart, so an image says
    /// the same as its frame.
    #[inline]
    fn of(frame: &[u8]) -> Layout {
        let ethertype =
            |at: usize| frame.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        let mut ip = MIN_FRAME;
        for _ in 0..2 {
            if matches!(ethertype(ip - 2), 0x8100 | 0x88A8) {
                ip += 4;
            }
        }
        let header = frame.get(ip..).unwrap_or_default();
        let (at, bits, cut, version) = match (ethertype(ip - 2), header) {
            (0x0800, [0x45..=0x4F, ..]) if header.len() >= 20 => {
                ([1, 8, 10, 11], [0xFF; EXTRA], ip + 12, 4)
            }
            (0x86DD, [0x60..=0x6F, ..]) if header.len() >= 40 => {
                ([0, 1, 7, 7], [0x0F, 0xF0, 0xFF, 0], ip + 8, 6)
            }
            _ => return Layout { at: [0; EXTRA], bits: [0; EXTRA], cut: STATIONS, ip, version: 0 },
        };
        Layout { at: at.map(|at| (ip + at) as u16), bits, cut, ip, version }
    }

    #[inline]
    fn each(&self) -> impl Iterator<Item = (usize, u8, usize)> + '_ {
        (0..EXTRA).filter(|&n| self.bits[n] != 0).map(|n| (self.at[n].into(), self.bits[n], n))
    }

    /// The image's first bytes.
    #[inline]
    fn block(&self, frame: &[u8]) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..STATIONS].copy_from_slice(&frame[..STATIONS]);
        for (at, bits, n) in self.each() {
            block[STATIONS + n] = frame[at] & bits;
        }
        block
    }

    /// Puts what was set apart, and the MAC addresses, back into a frame.
    fn put(&self, block: &[u8; BLOCK], frame: &mut [u8]) {
        frame[..STATIONS].copy_from_slice(&block[..STATIONS]);
        for (at, bits, n) in self.each() {
            frame[at] = frame[at] & !bits | block[STATIONS + n] & bits;
        }
    }
}

/// Writes a frame's image into the first bytes of `image`; returns how many. `None` for a frame without
/// an Ethernet header, or if there is no room.
#[inline]
pub fn write_image(frame: &[u8], image: &mut [u8]) -> Option<usize> {
    let len = frame.len() + EXTRA;
    let image = image.get_mut(..len).filter(|_| frame.len() >= MIN_FRAME)?;
    let layout = Layout::of(frame);
    image[..BLOCK].copy_from_slice(&layout.block(frame));
    image[BLOCK..].copy_from_slice(&frame[STATIONS..]);
    for (at, bits, _) in layout.each() {
        image[at + EXTRA] &= !bits;
    }
    Some(len)
}

/// Writes the frame of an image into the first bytes of `frame`; returns how many. `None` if it is too
/// short to be one, or there is no room.
pub fn read_image(image: &[u8], frame: &mut [u8]) -> Option<usize> {
    let (block, rest) = image.split_first_chunk::<BLOCK>()?;
    let len = image.len() - EXTRA;
    let frame = frame.get_mut(..len).filter(|_| len >= MIN_FRAME)?;
    frame[STATIONS..].copy_from_slice(rest);
    Layout::of(frame).put(block, frame);
    Some(len)
}

/// XORs a frame's image into `sum`, which is at least as long.
#[inline]
pub(super) fn add_image(engine: Engine, sum: &mut [u8], frame: &[u8]) {
    let layout = Layout::of(frame);
    let block = layout.block(frame);
    let (front, rest) = sum.split_at_mut(BLOCK);
    front.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
    engine.xor(rest, &frame[STATIONS..]);
    for (at, bits, _) in layout.each() {
        rest[at - STATIONS] ^= frame[at] & bits;
    }
}

/// Gives `frame` the addresses, TTL and class of `donor`, as routers would have given it, if the two are
/// IP packets of one pair of addresses and one protocol under the same tags. Says whether they are.
pub(super) fn restore(frame: &mut [u8], donor: &[u8]) -> bool {
    let (layout, other) = (Layout::of(frame), Layout::of(donor));
    let of_flow = match layout.version {
        4 => [9..10, 12..20],
        6 => [6..7, 8..40],
        _ => return false,
    };
    let same = |range: std::ops::Range<usize>| frame.get(range.clone()) == donor.get(range);
    let in_header = |range: &std::ops::Range<usize>| layout.ip + range.start..layout.ip + range.end;
    if layout != other
        || !same(STATIONS..layout.ip)
        || !of_flow.iter().all(|range| same(in_header(range)))
    {
        return false;
    }
    layout.put(&other.block(donor), frame);
    if layout.version == 4 {
        let (at, len) = (layout.ip, usize::from(frame[layout.ip] & 0xF) * 4);
        let Some(header) = frame.get_mut(at..at + len) else { return false };
        header[10..12].fill(0);
        let sum = header.as_chunks::<2>().0.iter().map(|&word| u32::from(u16::from_be_bytes(word)));
        let sum: u32 = sum.sum();
        let sum = (sum & 0xFFFF) + (sum >> 16);
        let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    true
}

/// What a frame is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The hash over what routers leave alone: what repairs call it.
    pub name: u64,
    /// The hash over all of it.
    pub check: u64,
}

/// What the names of one channel and epoch are seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameKey {
    key: u64,
    mask: u64,
}

impl NameKey {
    /// The key of a channel in an epoch.
    pub fn new(channel: u8, epoch: u32) -> NameKey {
        NameKey { key: CheckKey::new(KIND, channel, epoch).seed(), mask: u64::MAX }
    }

    /// The same with names of so few bits (checks keep theirs): to see what becomes of frames that have
    /// the same name.
    pub fn truncated(self, bits: u32) -> NameKey {
        NameKey { mask: u64::MAX.checked_shr(64 - bits.min(64)).unwrap_or(0), ..self }
    }

    /// The name and check of a frame that has an Ethernet header; a shorter one's are those of no bytes.
    #[inline]
    pub fn name(self, frame: &[u8]) -> Name {
        let frame = if frame.len() < MIN_FRAME { &[0; MIN_FRAME] } else { frame };
        let layout = Layout::of(frame);
        let hash = |bytes: &[u8]| XxHash3_64::oneshot_with_seed(self.key, bytes);
        let mut head = [0; MAX_HEAD];
        let head = &mut head[..layout.cut - STATIONS];
        head.copy_from_slice(&frame[STATIONS..layout.cut]);
        for (at, bits, _) in layout.each() {
            head[at - STATIONS] &= !bits;
        }
        let (behind, before) = (hash(&frame[layout.cut..]), hash(head));
        let name = fold(behind ^ self.key, before.rotate_left(32) ^ OTHER);
        let check = fold(name ^ GOLDEN, hash(&layout.block(frame)) ^ OTHER);
        Name { name: name & self.mask, check }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATION: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    fn frame(tags: &[u8], ethertype: u16, packet: &[u8]) -> Vec<u8> {
        [&STATION[..], tags, &ethertype.to_be_bytes(), packet].concat()
    }

    fn packet(version: u8) -> (u16, Vec<u8>) {
        let mut packet: Vec<u8> = (0..80).map(|n| n * 3).collect();
        packet[0] = if version == 4 { 0x45 } else { 0x60 };
        (if version == 4 { 0x0800 } else { 0x86DD }, packet)
    }

    /// Which bits of an IP packet its name does not depend on, but its check does.
    #[test]
    fn a_name_is_of_what_routers_leave_alone() {
        let key = NameKey::new(1, 2);
        for tags in [&[][..], &[0x81, 0, 0, 7], &[0x88, 0xA8, 0, 7, 0x81, 0, 0, 8]] {
            for (version, free) in [(4, &[1, 8, 10, 11][..]), (6, &[7])] {
                let (ethertype, packet) = packet(version);
                let whole = frame(tags, ethertype, &packet);
                let name = key.name(&whole);
                let ip = whole.len() - packet.len();
                for bit in 0..whole.len() * 8 {
                    let mut changed = whole.clone();
                    changed[bit / 8] ^= 0x80 >> (bit % 8);
                    let class = version == 6 && (4..12).contains(&(bit as i64 - ip as i64 * 8));
                    let at_ip = (bit / 8).wrapping_sub(ip);
                    let expected = bit / 8 < 12 || free.contains(&at_ip) || class;
                    let other = key.name(&changed);
                    assert_eq!(other.name == name.name, expected, "{version} {tags:?} bit {bit}");
                    assert_ne!(other.check, name.check);
                }
                assert_ne!(key.name(&whole[..whole.len() - 1]).name, name.name);
                assert_ne!(NameKey::new(1, 3).name(&whole).name, name.name);
            }
        }
    }

    /// Names and checks are part of the wire format.
    #[test]
    fn names_are_what_docs_wire_md_says() {
        let (ethertype, packet) = packet(4);
        let arp = frame(&[], 0x0806, &[7; 46]);
        let names =
            [frame(&[], ethertype, &packet), arp].map(|frame| NameKey::new(1, 2).name(&frame));
        assert_eq!(names.map(|n| [n.name, n.check]), KNOWN);
    }

    const KNOWN: [[u64; 2]; 2] = [
        [2_199_377_562_826_669_671, 7_361_023_867_952_277_150],
        [11_815_857_383_731_758_444, 17_742_561_070_942_570_143],
    ];

    #[test]
    fn what_a_router_changed_comes_from_a_neighbour() {
        let (ethertype, packet) = packet(4);
        let sent = frame(&[], ethertype, &packet);
        let mut donor = sent.clone();
        donor[0] = 9;
        donor[14 + 8] -= 1;
        donor[14 + 60] = 0;
        let mut rebuilt = sent.clone();
        assert!(restore(&mut rebuilt, &donor));
        assert_eq!(rebuilt[..12], donor[..12]);
        assert_eq!(rebuilt[22], donor[22]);
        assert_eq!(rebuilt[26..], sent[26..]);
        let header = rebuilt[14..34].as_chunks::<2>().0;
        let sum: u32 = header.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum();
        assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
        for (at, flow) in [(23, true), (26, true), (33, true), (40, false)] {
            let mut other = donor.clone();
            other[at] ^= 1;
            assert_eq!(restore(&mut sent.clone(), &other), !flow, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn an_image_is_its_frame(
            kind in 0usize..5,
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            others in prop::collection::vec(prop::collection::vec(any::<u8>(), 14..60), 0..3),
        ) {
            let mut bytes = [&STATION[..], &[0, 0], &bytes].concat();
            let kinds: [&[u8]; 5] =
                [&[8, 0, 0x45], &[0x86, 0xDD, 0x6F], &[0x81, 0, 1, 2, 8, 0, 0x4F], &[8, 6], &[8, 0]];
            let front = kinds[kind];
            let len = front.len().min(bytes.len() - 12);
            bytes[12..12 + len].copy_from_slice(&front[..len]);
            let mut image = vec![0xAA; bytes.len() + 10];
            let len = write_image(&bytes, &mut image).unwrap();
            prop_assert_eq!(len, bytes.len() + EXTRA);
            let mut back = vec![0x55; bytes.len()];
            prop_assert_eq!(read_image(&image[..len], &mut back), Some(bytes.len()));
            prop_assert_eq!(&back, &bytes);
            // Summing is what XORing images would do.
            let mut sum = image[..len].to_vec();
            add_image(Engine::detect(), &mut sum, &bytes);
            prop_assert!(sum.iter().all(|&byte| byte == 0));
            for other in &others {
                let _ = (restore(&mut bytes.clone(), other), NameKey::new(0, 0).name(other));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut other = [0; 64];
            let _ = NameKey::new(0, 0).name(&bytes);
            let _ = (write_image(&bytes, &mut other), read_image(&bytes, &mut other));
        }
    }
}
