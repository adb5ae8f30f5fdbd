//! The gateway's own address in a routed WAN: who has it, and where the next hop is.
//!
//! * **Does:** answers ARP and neighbour solicitations for its address, and pings; asks for the next
//!   hop's Ethernet address until it knows it, and twice a second after that.
//! * **Fed by:** frames that a room has heard; a clock, which whoever steps it reads.
//! * **Feeds:** the WAN port, with whole frames; the rooms that protect, with the next hop's address;
//!   operators, with [`News`].
//! * **Runs on:** control's thread.
//! * **Must not:** read a clock, keep anything for each stranger, or believe what it did not ask for.
//!
//! The next hop is asked where it was last (RFC 1122, section 2.3.2.1: a unicast poll), and when it does
//! not answer there, everyone is asked. The first answer to a question is believed. A claim that nobody
//! asked for (a gratuitous ARP, an unsolicited advertisement) is a reason to ask at once, nothing more. An
//! address that was learnt stays in use until another answers: what is sent there may arrive.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;

use zerocopy::IntoBytes;

use crate::wire::arp::{self, Arp, Operation};
use crate::wire::encap::{TAG_LEN, VLAN, link};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::node::{ALL_NODES, ICMP, ICMPV6, Message, Over, multicast_mac, solicited_node};
use crate::wire::outer::Ether;
use crate::wire::parcel::Parcel;

/// How long an answer may take before the question is asked again, in nanoseconds.
const RETRY: u64 = 250_000_000;
/// How long an answer is good for.
const REFRESH: u64 = 500_000_000;
/// Questions without an answer before that is news.
const UNANSWERED: u32 = 8;
/// How often our address is announced at start (RFC 5227, section 2.3; RFC 4861, section 7.2.6).
const ANNOUNCEMENTS: u32 = 3;
/// And how long between two.
const ANNOUNCED_AGAIN: u64 = 1_000_000_000;
/// How often the same trouble is news, and a claim to our address is answered (RFC 5227, section 2.4,
/// DEFEND_INTERVAL).
const SAME_NEWS: u64 = 10_000_000_000;
/// Pings that are answered at once, and how long each takes to become possible again.
const PINGS: u64 = 100;
const PING: u64 = 10_000_000;
/// The shortest Ethernet frame, without its FCS.
const SHORTEST: usize = 60;
const EVERYONE: [u8; 6] = [0xFF; 6];
/// What neighbour discovery must arrive with: then no router has passed it on (RFC 4861, section 7.1).
const ON_LINK: u8 = 255;
/// News that wait to be taken.
const MOST_NEWS: usize = 8;

/// Where we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// The WAN port's Ethernet address.
    pub mac: [u8; 6],
    /// Its VLAN, if it is tagged.
    pub vlan: Option<u16>,
    /// Our address.
    pub ours: IpAddr,
    /// The next hop's, of the same family: a router's, or the peer's.
    pub hop: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
}

/// What an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The next hop was found, or has moved.
    Found {
        /// Its address.
        hop: IpAddr,
        /// Where it is.
        mac: [u8; 6],
    },
    /// It does not answer.
    Silent {
        /// Its address.
        hop: IpAddr,
    },
    /// Two stations answer for one address.
    Twice {
        /// The address.
        hop: IpAddr,
        /// Who answered first, and is believed.
        first: [u8; 6],
        /// Who answered too.
        second: [u8; 6],
    },
    /// Another station has our address.
    Claimed {
        /// The address.
        ours: IpAddr,
        /// Who.
        mac: [u8; 6],
    },
    /// A router on the way can't pass our packets on.
    TooBig {
        /// What it could.
        mtu: u32,
    },
}

impl News {
    /// Whether it is trouble.
    pub fn is_bad(&self) -> bool {
        !matches!(self, News::Found { .. })
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |mac: &[u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        match self {
            News::Found { hop, mac } => write!(f, "next hop {hop} is at {}", text(mac)),
            News::Silent { hop } => write!(
                f,
                "next hop {hop} does not answer; expected a station with this address on the WAN: see \
                 wan.gateway, wan.peer and wan.vlan"
            ),
            News::Twice { hop, first, second } => write!(
                f,
                "two stations answer for next hop {hop}: {}, which is used, and {}; expected one",
                text(first),
                text(second)
            ),
            News::Claimed { ours, mac } => write!(
                f,
                "{} has this gateway's address {ours} too; expected no other station with it",
                text(mac)
            ),
            News::TooBig { mtu } => write!(
                f,
                "a router on the way to the peer carries packets of up to {mtu} bytes; expected a wan.mtu \
                 that is no larger"
            ),
        }
    }
}

/// See the module's head.
pub struct Neighbour {
    config: NeighbourConfig,
    hop: Option<[u8; 6]>,
    /// Questions since the last answer; 0 when it was answered.
    asked: u32,
    /// Who answered the last question first.
    answered: Option<[u8; 6]>,
    last_asked: u64,
    ask_at: u64,
    announced: u32,
    announce_at: u64,
    /// The time at which all pings are possible again.
    pings_whole: u64,
    news: VecDeque<News>,
    /// When each kind of trouble was last news.
    said: [Option<u64>; 4],
    defended: Option<u64>,
}

impl Neighbour {
    /// Nothing is known yet.
    pub fn new(config: NeighbourConfig) -> Neighbour {
        Neighbour {
            config,
            hop: None,
            asked: 0,
            answered: None,
            last_asked: 0,
            ask_at: 0,
            announced: 0,
            announce_at: 0,
            pings_whole: 0,
            news: VecDeque::with_capacity(MOST_NEWS),
            said: [None; 4],
            defended: None,
        }
    }

    /// Where the next hop is, once that is known.
    pub fn hop(&self) -> Option<[u8; 6]> {
        self.hop
    }

    /// What has not yet been told.
    pub fn take_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// When [`Neighbour::poll`] next has something to do if nothing is heard.
    pub fn next_deadline(&self) -> Option<u64> {
        let announce = (self.announced < ANNOUNCEMENTS).then_some(self.announce_at);
        Some(announce.map_or(self.ask_at, |at| at.min(self.ask_at)))
    }

    /// Sends what is due at `now`: whole frames.
    pub fn poll(&mut self, now: u64, send: &mut impl FnMut(Parcel)) {
        if self.announced < ANNOUNCEMENTS && now >= self.announce_at {
            self.announced += 1;
            self.announce_at = now + ANNOUNCED_AGAIN;
            self.announce(send);
        }
        if now < self.ask_at {
            return;
        }
        let everyone = self.hop.is_none() || self.asked > 0;
        self.ask(now, everyone, send);
        if self.asked == UNANSWERED {
            self.say(now, 0, News::Silent { hop: self.config.hop });
        }
    }

    fn ask(&mut self, now: u64, everyone: bool, send: &mut impl FnMut(Parcel)) {
        self.asked = self.asked.saturating_add(1);
        self.answered = None;
        self.last_asked = now;
        self.ask_at = now + RETRY;
        let at = self.hop.filter(|_| !everyone);
        let mac = self.config.mac;
        match (self.config.ours, self.config.hop) {
            (IpAddr::V4(ours), IpAddr::V4(hop)) => {
                let (sender, target) = (ours.octets(), hop.octets());
                let operation = Operation::Request;
                let arp = Arp { operation, sender_mac: mac, sender, target_mac: [0; 6], target };
                self.send(at.unwrap_or(EVERYONE), arp::ETHERTYPE, &arp.emit(), send);
            }
            (IpAddr::V6(ours), IpAddr::V6(hop)) => {
                let target = hop.octets();
                let group = solicited_node(target);
                let (to, at) = match at {
                    Some(mac) => (target, mac),
                    None => (group, multicast_mac(group)),
                };
                let solicitation = Message::Solicitation { target, mac: Some(mac) };
                self.send_icmpv6(at, ours.octets(), to, ON_LINK, &solicitation, send);
            }
            _ => {}
        }
    }

    /// Tells everyone where our address is: a router may remember where it was.
    fn announce(&self, send: &mut impl FnMut(Parcel)) {
        let mac = self.config.mac;
        match self.config.ours {
            IpAddr::V4(ours) => {
                let ours = ours.octets();
                let operation = Operation::Request;
                let target_mac = [0; 6];
                let arp =
                    Arp { operation, sender_mac: mac, sender: ours, target_mac, target: ours };
                self.send(EVERYONE, arp::ETHERTYPE, &arp.emit(), send);
            }
            IpAddr::V6(ours) => {
                let ours = ours.octets();
                let advertisement =
                    Message::Advertisement { target: ours, mac: Some(mac), solicited: false };
                let at = multicast_mac(ALL_NODES);
                self.send_icmpv6(at, ours, ALL_NODES, ON_LINK, &advertisement, send);
            }
        }
    }

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
            Ok(Message::TooBig { mtu, packet }) => {
                // The quoted packet is no whole one: only its addresses are looked at.
                let quoted = packet.get(12..20).and_then(|quoted| quoted.split_first_chunk::<4>());
                let is_ours = quoted.is_some_and(|(source, destination)| {
                    *source == ours && self.is_peer_v4(destination)
                });
                if is_ours {
                    self.say(now, 3, News::TooBig { mtu });
                }
            }
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
                let limit = crate::wire::encap::TTL;
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
            Ok(Message::TooBig { mtu, packet }) => {
                let quoted = packet.get(8..40).and_then(|quoted| quoted.split_first_chunk::<16>());
                let is_ours = quoted.is_some_and(|(source, destination)| {
                    *source == ours && self.is_peer_v6(destination)
                });
                if is_ours {
                    self.say(now, 3, News::TooBig { mtu });
                }
            }
            _ => {}
        }
    }

    fn is_peer_v4(&self, address: &[u8]) -> bool {
        matches!(self.config.peer, IpAddr::V4(peer) if peer.octets() == address)
    }

    fn is_peer_v6(&self, address: &[u8]) -> bool {
        matches!(self.config.peer, IpAddr::V6(peer) if peer.octets() == address)
    }

    /// The next hop says where it is, in answer to us or by itself.
    fn told(&mut self, now: u64, mac: [u8; 6], solicited: bool, send: &mut impl FnMut(Parcel)) {
        let hop = self.config.hop;
        if !solicited {
            if self.hop != Some(mac) && now >= self.last_asked + RETRY {
                self.ask(now, true, send);
            }
            return;
        }
        match self.answered {
            None if self.asked > 0 => {
                (self.asked, self.answered) = (0, Some(mac));
                self.ask_at = now + REFRESH;
                if self.hop != Some(mac) {
                    self.hop = Some(mac);
                    self.tell(News::Found { hop, mac });
                }
            }
            Some(first) if first != mac => {
                self.say(now, 1, News::Twice { hop, first, second: mac });
            }
            _ => {}
        }
    }

    /// Another station claims our address.
    fn claimed(&mut self, now: u64, mac: [u8; 6], send: &mut impl FnMut(Parcel)) {
        self.say(now, 2, News::Claimed { ours: self.config.ours, mac });
        if self.defended.is_none_or(|at| now >= at + SAME_NEWS) {
            self.defended = Some(now);
            self.announce(send);
        }
    }

    /// Trouble of one of four kinds, unless it was news a moment ago.
    fn say(&mut self, now: u64, kind: usize, news: News) {
        let said = &mut self.said[kind];
        if said.is_none_or(|at| now >= at + SAME_NEWS) {
            *said = Some(now);
            self.tell(news);
        }
    }

    fn tell(&mut self, news: News) {
        if self.news.len() == MOST_NEWS {
            self.news.pop_front();
        }
        self.news.push_back(news);
    }

    fn may_answer_ping(&mut self, now: u64) -> bool {
        let whole = self.pings_whole.max(now);
        let may = whole - now < PINGS * PING;
        self.pings_whole = if may { whole + PING } else { whole };
        may
    }

    fn send_icmpv6(
        &self,
        at: [u8; 6],
        source: [u8; 16],
        destination: [u8; 16],
        hop_limit: u8,
        message: &Message<'_>,
        send: &mut impl FnMut(Parcel),
    ) {
        let mut payload = Vec::new();
        message.emit(Over::V6 { source, destination }, &mut payload);
        let mut ip = Ipv6::new(source, destination, ICMPV6, payload.len() as u16, 0);
        ip.hop_limit = hop_limit;
        self.send(at, ipv6::ETHERTYPE, &[ip.as_bytes(), &payload].concat(), send);
    }

    /// Sends a frame; one that no parcel holds is the answer to a ping that was too long.
    fn send(&self, to: [u8; 6], ethertype: u16, packet: &[u8], send: &mut impl FnMut(Parcel)) {
        let header = link(self.config.vlan, self.config.mac, to, ethertype);
        if let Some(parcel) = Parcel::of(&[&header, packet]) {
            send(parcel.padded_to(SHORTEST));
        }
    }
}

/// Whether an Ethernet address is one station's.
fn is_station(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6]
}

#[cfg(test)]
#[path = "neighbour_tests.rs"]
mod tests;
