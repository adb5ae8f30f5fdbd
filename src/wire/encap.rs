//! The outer header: what surrounds packets between the two gateways, put on and taken off.
//!
//! ```text
//!  ether   | destination source [VLAN tag] EtherType | shim ...
//!  udp     | destination source [VLAN tag] EtherType | IPv4 or IPv6 | UDP | shim ...
//!  transparent | destination source EtherType | shim ...     source frames: as they came
//! ```
//!
//! A sender has a header ready made for each channel, an [`Outer`], in which each packet changes the
//! lengths, the traffic class and the IPv4 checksum. A receiver compares with a [`Pattern`] what may not
//! differ: EtherType and VLAN, addresses, ports, no fragment, no options. All else it leaves aside: the shim has
//! a length, and a check or tag, of its own, which cover what the outer ones do.
//!
//! The UDP source port tells channels apart, so that whatever spreads flows over several paths keeps
//! each channel on one of them, and may choose another for each; so does the IPv6 flow label, for
//! routers that look no further (RFC 6438).

mod carrier;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

use super::arp;
use super::checksum::{Sum, pseudo_header};
use super::ipv4::{self, IPV4_LEN, Ipv4};
use super::ipv6::{self, IPV6_LEN, Ipv6};
use super::node::{ICMP, ICMPV6};
use super::outer::{Ether, OUTER_LEN};
use super::parcel::Parcel;
use super::udp::{UDP, UDP_LEN, Udp};

pub use carrier::{Carrier, Dscp, Encapsulation, Tunnel};

/// How many routers a packet may pass, as hosts have it.
pub const TTL: u8 = 64;
/// Bytes of a VLAN tag.
pub const TAG_LEN: usize = 4;
/// The EtherType of a VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// The longest outer header.
pub const MAX_OUTER: usize = OUTER_LEN + TAG_LEN + IPV6_LEN + UDP_LEN;
/// Channel 0's source port: from the range that nobody registers (RFC 6335), as RFC 7348 recommends
/// for tunnels. The lower byte is the channel.
pub const SOURCE_PORTS: u16 = 0xC000;

/// An Ethernet header with a tag if there is a `vlan`.
pub fn link(vlan: Option<u16>, source: [u8; 6], destination: [u8; 6], ethertype: u16) -> Vec<u8> {
    let mut ether = Ether { destination, source, ethertype: U16::new(ethertype) };
    let Some(vlan) = vlan else { return ether.as_bytes().to_vec() };
    ether.ethertype = U16::new(VLAN);
    let mut bytes = ether.as_bytes().to_vec();
    bytes.extend([vlan.to_be_bytes(), ethertype.to_be_bytes()].concat());
    bytes
}

/// What a packet changes in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changing {
    Nothing,
    /// The IPv4 header at this offset, of which all else has this sum.
    V4(usize, Sum),
    /// The IPv6 header at this offset.
    V6(usize),
}

/// One channel's header, ready made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    bytes: [u8; MAX_OUTER],
    len: usize,
    changing: Changing,
    dscp: Dscp,
    /// With a checksum over header and packet.
    checksum: bool,
}

impl Outer {
    /// The header of what `channel` sends from `source` to `destination`.
    pub fn new(
        encapsulation: &Encapsulation,
        channel: u8,
        source: [u8; 6],
        destination: [u8; 6],
    ) -> Outer {
        let mut header = link(encapsulation.vlan, source, destination, encapsulation.ethertype());
        let at = header.len();
        let (mut changing, mut dscp, mut checksum) = (Changing::Nothing, Dscp::Set(0), false);
        if let Some(tunnel) = encapsulation.tunnel() {
            let port = SOURCE_PORTS | u16::from(channel);
            (dscp, checksum) = (tunnel.dscp, tunnel.checksum);
            match (tunnel.ours, tunnel.peer) {
                (IpAddr::V4(ours), IpAddr::V4(peer)) => {
                    let ip = Ipv4::without_length(ours.octets(), peer.octets(), UDP);
                    changing = Changing::V4(at, ip.sum());
                    header.extend(ip.as_bytes());
                }
                (ours, peer) => {
                    let [ours, peer] = [ours, peer].map(octets_v6);
                    changing = Changing::V6(at);
                    header.extend(Ipv6::new(ours, peer, UDP, 0, u32::from(port)).as_bytes());
                }
            }
            let udp = Udp {
                source: U16::new(port),
                destination: U16::new(tunnel.port),
                length: U16::ZERO,
                checksum: U16::ZERO,
            };
            header.extend(udp.as_bytes());
        }
        let mut bytes = [0; MAX_OUTER];
        bytes[..header.len()].copy_from_slice(&header);
        Outer { bytes, len: header.len(), changing, dscp, checksum }
    }

    /// Bytes of the header.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Sends to another station from now on.
    pub fn set_destination(&mut self, mac: [u8; 6]) {
        self.bytes[..6].copy_from_slice(&mac);
    }

    /// Has a packet that was written earlier go to where packets go now.
    pub fn redirect(&self, packet: &mut [u8]) {
        if let Some(to) = packet.get_mut(..6) {
            to.copy_from_slice(&self.bytes[..6]);
        }
    }

    /// Whether the traffic class is wanted of each frame.
    #[inline]
    pub fn copies_dscp(&self) -> bool {
        matches!(self.dscp, Dscp::Copy)
    }

    /// Writes the header into `header`, which has its length, for a packet of `length` bytes behind
    /// it. `dscp`, 0 to 63, counts if it is to be copied.
    #[inline]
    pub fn write(&self, header: &mut [u8], length: usize, dscp: u8) {
        // Of a length that is known, this is two moves.
        if self.len == OUTER_LEN
            && let Some(header) = header.first_chunk_mut::<OUTER_LEN>()
        {
            header.copy_from_slice(&self.bytes[..OUTER_LEN]);
            return;
        }
        self.write_long(header, length, dscp);
    }

    fn write_long(&self, header: &mut [u8], length: usize, dscp: u8) {
        let Some(header) = header.get_mut(..self.len) else { return };
        header.copy_from_slice(&self.bytes[..self.len]);
        let dscp = match self.dscp {
            Dscp::Copy => dscp,
            Dscp::Set(dscp) => dscp,
        };
        // An MTU has 16 bits, and what is behind the header fits in one.
        let length = length as u16 + UDP_LEN as u16;
        let mut put =
            |at: usize, word: u16| header[at..at + 2].copy_from_slice(&word.to_be_bytes());
        match self.changing {
            Changing::Nothing => {}
            Changing::V4(at, sum) => {
                let total = length + IPV4_LEN as u16;
                let class = u16::from(dscp << 2);
                put(at + 2, total);
                put(at + 10, sum.word(total).word(class).checksum());
                put(at + IPV4_LEN + 4, length);
                header[at + 1] = dscp << 2;
            }
            Changing::V6(at) => {
                put(at + 4, length);
                put(at + IPV6_LEN + 4, length);
                // Behind four bits of version.
                header[at] |= dscp >> 2;
                header[at + 1] |= dscp << 6;
            }
        }
    }

    /// Whether packets have a UDP checksum.
    #[inline]
    pub fn seals(&self) -> bool {
        self.checksum
    }

    /// Computes the UDP checksum of a packet that is complete, if that is wanted.
    #[inline]
    pub fn seal(&self, packet: Option<&mut [u8]>) {
        if self.checksum
            && let Some(packet) = packet
        {
            self.compute(packet);
        }
    }

    /// A parcel with this header in front; `None` if it is too long.
    pub fn wrap(&self, parcel: &Parcel, dscp: u8) -> Option<Parcel> {
        let mut packet = vec![0; self.len + parcel.len()];
        self.write(&mut packet, parcel.len(), dscp);
        parcel.write(&mut packet[self.len..]);
        self.seal(Some(&mut packet));
        let bytes = Parcel::of(&[&packet[..self.len + parcel.bytes().len()]])?;
        Some(bytes.padded_to(packet.len()))
    }

    /// The EtherType that the header begins with, a tag's if it is tagged.
    pub fn ethertype(&self) -> u16 {
        u16::from_be_bytes([self.bytes[FROM], self.bytes[FROM + 1]])
    }

    fn compute(&self, packet: &mut [u8]) {
        let (addresses, udp) = match self.changing {
            Changing::Nothing => return,
            Changing::V4(at, _) => (at + 12..at + IPV4_LEN, at + IPV4_LEN),
            Changing::V6(at) => (at + 8..at + IPV6_LEN, at + IPV6_LEN),
        };
        let (Some(addresses), Some(datagram)) = (packet.get(addresses), packet.get(udp..)) else {
            return;
        };
        let (source, destination) = addresses.split_at(addresses.len() / 2);
        let sum = pseudo_header(source, destination, UDP, datagram.len() as u16);
        // 0 would be none (RFC 768).
        let checksum = match sum.bytes(datagram).checksum() {
            0 => 0xFFFF,
            checksum => checksum,
        };
        packet[udp + 6..udp + UDP_LEN].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The traffic class of a frame, 0 if it is not IP. Up to two VLAN tags are looked past.
#[inline]
pub fn dscp_of(frame: &[u8]) -> u8 {
    let mut at = OUTER_LEN - 2;
    for _ in 0..3 {
        match frame.get(at..at + 4) {
            Some(&[0x08, 0x00, _, class]) => return class >> 2,
            Some(&[0x86, 0xDD, first, second]) => return (first & 0xF) << 2 | second >> 6,
            Some(&[0x81, 0x00, ..] | &[0x88, 0xA8, ..]) => at += TAG_LEN,
            _ => return 0,
        }
    }
    0
}

fn octets_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// What a frame from the WAN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// One of our packets, from the shim on.
    Packet(&'a [u8]),
    /// Something else.
    Other,
    /// Shorter than an Ethernet header.
    Short,
}

/// What the header of the peer's packets looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    bytes: [u8; MAX_OUTER],
    mask: [u8; MAX_OUTER],
    len: usize,
    ethertype: [u8; 2],
    /// Our own address, if there is one, and where an IP header begins.
    ours: Option<IpAddr>,
    ip: usize,
}

/// Where a header begins to matter: behind the Ethernet addresses.
const FROM: usize = OUTER_LEN - 2;

impl Pattern {
    /// Of what the peer sends us.
    pub fn new(encapsulation: &Encapsulation) -> Pattern {
        let mut theirs = *encapsulation;
        if let Carrier::Udp(tunnel) = &mut theirs.carrier {
            std::mem::swap(&mut tunnel.ours, &mut tunnel.peer);
        }
        let Outer { bytes, len, changing, .. } = Outer::new(&theirs, 0, [0; 6], [0; 6]);
        let mut mask = [0; MAX_OUTER];
        mask[FROM..len].fill(0xFF);
        if theirs.vlan.is_some() {
            // Priority and drop eligibility may differ.
            mask[OUTER_LEN] = 0x0F;
        }
        let mut ignore = |from: usize, to: usize| mask[from..to].fill(0);
        let udp = match changing {
            Changing::Nothing => None,
            Changing::V4(at, _) => {
                // Traffic class, length, identification; time to live; checksum.
                ignore(at + 1, at + 6);
                ignore(at + 8, at + 9);
                ignore(at + 10, at + 12);
                // Don't Fragment, which somebody may clear.
                mask[at + 6] = 0xBF;
                Some(at + IPV4_LEN)
            }
            Changing::V6(at) => {
                // All of the first word but the version; length; hop limit.
                ignore(at + 1, at + 6);
                ignore(at + 7, at + 8);
                mask[at] = 0xF0;
                Some(at + IPV6_LEN)
            }
        };
        if let Some(udp) = udp {
            // The channel; length and checksum.
            mask[udp + 1] = 0;
            mask[udp + 4..udp + UDP_LEN].fill(0);
        }
        Pattern {
            bytes,
            mask,
            len,
            ethertype: [bytes[FROM], bytes[FROM + 1]],
            ours: encapsulation.tunnel().map(|tunnel| tunnel.ours),
            ip: OUTER_LEN + encapsulation.vlan.map_or(0, |_| TAG_LEN),
        }
    }

    /// Bytes of the header.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the gateway has an address of its own.
    pub fn is_routed(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether a frame that is not one of our packets is for the gateway itself: ARP, or ICMP to its
    /// address or, with IPv6, to everyone on the link. What it says is not looked at.
    #[cold]
    pub fn is_for_gateway(&self, frame: &[u8]) -> bool {
        let is = |from: usize, bytes: &[u8]| frame.get(from..from + bytes.len()) == Some(bytes);
        let ip = self.ip;
        match self.ours {
            Some(IpAddr::V4(ours)) => {
                let icmp = is(ip + 9, &[ICMP]) && is(ip + 16, &ours.octets());
                is(ip - 2, &arp::ETHERTYPE.to_be_bytes())
                    || is(ip - 2, &ipv4::ETHERTYPE.to_be_bytes()) && icmp
            }
            Some(IpAddr::V6(ours)) => {
                let to_us = is(ip + 24, &ours.octets()) || is(ip + 24, &[0xFF, 0x02]);
                is(ip - 2, &ipv6::ETHERTYPE.to_be_bytes()) && is(ip + 6, &[ICMPV6]) && to_us
            }
            None => false,
        }
    }

    /// Takes the header off.
    #[inline]
    pub fn strip<'a>(&self, frame: &'a [u8]) -> Arrival<'a> {
        let Some((ether, packet)) = Ether::parse(frame) else { return Arrival::Short };
        if ether.ethertype.as_bytes() != self.ethertype {
            return Arrival::Other;
        }
        if self.len == OUTER_LEN {
            return Arrival::Packet(packet);
        }
        self.strip_long(frame)
    }

    fn strip_long<'a>(&self, frame: &'a [u8]) -> Arrival<'a> {
        let Some((header, packet)) = frame.split_at_checked(self.len) else {
            return Arrival::Other;
        };
        // By whole words, the last of which overlaps the one before: a header is longer than one.
        let word = |bytes: &[u8], at: usize| {
            bytes
                .get(at..at + 8)
                .and_then(|word| word.try_into().ok())
                .map_or(0, u64::from_ne_bytes)
        };
        let last = self.len - 8;
        let mut different = 0;
        for at in (FROM..last).step_by(8).chain([last]) {
            different |= (word(header, at) ^ word(&self.bytes, at)) & word(&self.mask, at);
        }
        if different == 0 { Arrival::Packet(packet) } else { Arrival::Other }
    }
}
