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

mod news;
mod receive;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;

use zerocopy::IntoBytes;

use crate::wire::arp::{self, Arp, Operation};
use crate::wire::encap::link;
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::node::{ALL_NODES, ICMPV6, Message, Over, multicast_mac, solicited_node};
use crate::wire::parcel::Parcel;

pub use news::News;

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
