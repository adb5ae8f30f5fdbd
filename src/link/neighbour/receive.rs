//! What comes from the wire: ARP, ICMP and ICMPv6. What asks for us is answered, what tells of the next
//! hop or claims our address is passed on, and all else is nothing.

use std::net::IpAddr;

use zerocopy::IntoBytes;

use super::{Neighbour, News, ON_LINK};
use crate::wire::arp::{self, Arp, Operation};
use crate::wire::encap::{TAG_LEN, TTL, VLAN};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::node::{ALL_NODES, ICMP, ICMPV6, Message, Over, multicast_mac, solicited_node};
use crate::wire::outer::Ether;
use crate::wire::parcel::Parcel;

/// Pings that are answered at once, and how long each takes to become possible again.
const PINGS: u64 = 100;
const PING: u64 = 10_000_000;

impl Neighbour {
    /// A room has heard a frame at `now`.
    pub fn handle(&mut self, now: u64, frame: &[u8], send: &mut impl FnMut(Parcel)) {
        let Some((ether, mut packet)) = Ether::parse(frame) else { return };
        let (to, from) = (ether.destination, ether.source);
        let is_group = to[0] & 1 == 1;
        if !(is_group || to == self.config.mac) || from == self.config.mac || !is_station(from) {
            return;
        }
        let mut ethertype = ether.ethertype.get();
        if let Some(vlan) = self.config.vlan {
            let Some((&[a, b, c, d], rest)) = packet.split_first_chunk::<TAG_LEN>() else { return };
            if ethertype != VLAN || u16::from_be_bytes([a & 0x0F, b]) != vlan {
                return;
            }
            (ethertype, packet) = (u16::from_be_bytes([c, d]), rest);
        }
        match (ethertype, self.config.ours) {
            (arp::ETHERTYPE, IpAddr::V4(ours)) => {
                self.arp(now, is_group, ours.octets(), packet, send)
            }
            (ipv4::ETHERTYPE, IpAddr::V4(ours)) => {
                self.icmp(now, from, ours.octets(), packet, send)
            }
            (ipv6::ETHERTYPE, IpAddr::V6(ours)) => {
                self.icmpv6(now, from, ours.octets(), packet, send);
            }
            _ => {}
        }
    }

    fn arp(
        &mut self,
        now: u64,
        is_group: bool,
        ours: [u8; 4],
        packet: &[u8],
        send: &mut impl FnMut(Parcel),
    ) {
        let Ok(arp) = Arp::parse(packet) else { return };
        if arp.sender_mac == self.config.mac || !is_station(arp.sender_mac) {
            return;
        }
        if arp.sender == ours {
            return self.claimed(now, arp.sender_mac, send);
        }
        if IpAddr::from(arp.sender) == self.config.hop {
            let solicited = arp.operation == Operation::Reply && arp.target == ours && !is_group;
            self.told(now, arp.sender_mac, solicited, send);
        }
        if arp.operation == Operation::Request && arp.target == ours {
            let reply = Arp {
                operation: Operation::Reply,
                sender_mac: self.config.mac,
                sender: ours,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            self.send(arp.sender_mac, arp::ETHERTYPE, &reply.emit(), send);
        }
    }

    fn icmp(
        &mut self,
        now: u64,
        from: [u8; 6],
        ours: [u8; 4],
        packet: &[u8],
        send: &mut impl FnMut(Parcel),
    ) {
        let Ok((header, payload)) = Ipv4::parse(packet) else { return };
        if header.destination != ours || header.protocol != ICMP {
            return;
        }
        match Message::parse(payload, Over::V4) {
            Ok(Message::EchoRequest(rest)) if self.may_answer_ping(now) => {
                let mut reply = Vec::new();
                Message::EchoReply(rest).emit(Over::V4, &mut reply);
                let ip = Ipv4::new(ours, header.source, ICMP, reply.len() as u16);
                self.send(from, ipv4::ETHERTYPE, &[ip.as_bytes(), &reply].concat(), send);
            }
            Ok(Message::TooBig { mtu, packet }) => self.too_big(now, mtu, packet.get(12..20)),
            _ => {}
        }
    }

    fn icmpv6(
        &mut self,
        now: u64,
        from: [u8; 6],
        ours: [u8; 16],
        packet: &[u8],
        send: &mut impl FnMut(Parcel),
    ) {
        let Ok((header, payload)) = Ipv6::parse(packet) else { return };
        let Ipv6 { source, destination, next_header, hop_limit, .. } = *header;
        let group = solicited_node(ours);
        if next_header != ICMPV6 || ![ours, group, ALL_NODES].contains(&destination) {
            return;
        }
        let on_link = hop_limit == ON_LINK;
        match Message::parse(payload, Over::V6 { source, destination }) {
            Ok(Message::EchoRequest(rest)) if destination == ours && self.may_answer_ping(now) => {
                let limit = TTL;
                self.send_icmpv6(from, ours, source, limit, &Message::EchoReply(rest), send);
            }
            Ok(Message::Solicitation { target, mac }) if on_link && target == ours => {
                let unnamed = source == [0; 16];
                let (to, at) = match unnamed {
                    true => (ALL_NODES, multicast_mac(ALL_NODES)),
                    false => (source, mac.filter(|mac| is_station(*mac)).unwrap_or(from)),
                };
                let mac = Some(self.config.mac);
                let answer = Message::Advertisement { target, mac, solicited: !unnamed };
                self.send_icmpv6(at, ours, to, ON_LINK, &answer, send);
            }
            Ok(Message::Advertisement { target, mac, solicited }) if on_link => {
                let mac = mac.unwrap_or(from);
                if mac == self.config.mac || !is_station(mac) {
                    return;
                }
                if target == ours {
                    self.claimed(now, mac, send);
                } else if IpAddr::from(target) == self.config.hop {
                    self.told(now, mac, solicited && destination == ours, send);
                }
            }
            Ok(Message::TooBig { mtu, packet }) => self.too_big(now, mtu, packet.get(8..40)),
            _ => {}
        }
    }

    /// A packet was too big, of which these are the addresses: news if it went from us to the peer. What is
    /// quoted is no whole packet, so nothing else of it is looked at.
    fn too_big(&mut self, now: u64, mtu: u32, addresses: Option<&[u8]>) {
        let way = match (self.config.ours, self.config.peer) {
            (IpAddr::V4(ours), IpAddr::V4(peer)) => [ours.octets(), peer.octets()].concat(),
            (IpAddr::V6(ours), IpAddr::V6(peer)) => [ours.octets(), peer.octets()].concat(),
            _ => return,
        };
        if addresses == Some(&way) {
            self.say(now, 3, News::TooBig { mtu });
        }
    }

    fn may_answer_ping(&mut self, now: u64) -> bool {
        let whole = self.pings_whole.max(now);
        let may = whole - now < PINGS * PING;
        self.pings_whole = if may { whole + PING } else { whole };
        may
    }
}

/// Whether an Ethernet address is one station's.
fn is_station(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6]
}
