//! Tests of [`super`]: a network of stations that answer, in virtual time.

use super::*;
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::node::ICMP;
use proptest::prelude::*;

const US: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HOP: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 8];
const SECOND: u64 = 1_000_000_000;

fn config(v6: bool, vlan: Option<u16>) -> NeighbourConfig {
    let [ours, hop, peer] = match v6 {
        false => ["192.0.2.1", "192.0.2.254", "198.51.100.1"],
        true => ["2001:db8:1::1", "2001:db8:1::254", "2001:db8:2::1"],
    }
    .map(|address| address.parse().unwrap());
    NeighbourConfig { mac: US, vlan, ours, hop, peer }
}

fn configs() -> Vec<NeighbourConfig> {
    [(false, None), (true, None), (false, Some(100)), (true, Some(100))]
        .map(|(v6, vlan)| config(v6, vlan))
        .to_vec()
}

/// Another station on the same wire: what a gateway would be there, with another address.
fn station(config: &NeighbourConfig, mac: [u8; 6], address: IpAddr) -> Neighbour {
    Neighbour::new(NeighbourConfig { mac, ours: address, hop: config.ours, ..*config })
}

fn whole(parcel: &Parcel) -> Vec<u8> {
    let mut frame = vec![0; parcel.len()];
    parcel.write(&mut frame);
    frame
}

fn handled(neighbour: &mut Neighbour, now: u64, frame: &[u8]) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    neighbour.handle(now, frame, &mut |parcel| sent.push(whole(&parcel)));
    sent
}

fn polled(neighbour: &mut Neighbour, now: u64) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    neighbour.poll(now, &mut |parcel| sent.push(whole(&parcel)));
    sent
}

/// A wire with us and others on it, who answer. Returns what we sent by ourselves.
fn run(us: &mut Neighbour, others: &mut [Neighbour], from: u64, until: u64) -> Vec<Vec<u8>> {
    let mut ours = Vec::new();
    for now in (from..until).step_by(10_000_000) {
        let asked = polled(us, now);
        for frame in &asked {
            for other in &mut *others {
                for answer in handled(other, now, frame) {
                    handled(us, now, &answer);
                }
            }
        }
        ours.extend(asked);
    }
    ours
}

fn news(us: &mut Neighbour) -> Vec<News> {
    std::iter::from_fn(|| us.take_news()).collect()
}

#[test]
fn the_next_hop_is_found_and_found_again_where_it_moves() {
    for config in configs() {
        let mut us = Neighbour::new(config);
        let mut hops = [station(&config, HOP, config.hop)];
        run(&mut us, &mut hops, 0, 4 * SECOND);
        assert_eq!(us.hop(), Some(HOP), "{config:?}");
        assert_eq!(news(&mut us), [News::Found { hop: config.hop, mac: HOP }]);
        // It is asked where it is, twice a second, and nobody else is bothered.
        let asked = run(&mut us, &mut hops, 4 * SECOND, 14 * SECOND);
        assert!((19..22).contains(&asked.len()), "{}", asked.len());
        assert!(asked.iter().all(|frame| frame[..6] == HOP));
        let mut hops = [station(&config, OTHER, config.hop)];
        let start = 14 * SECOND;
        run(&mut us, &mut hops, start, start + SECOND);
        assert_eq!(us.hop(), Some(OTHER));
        assert_eq!(news(&mut us), [News::Found { hop: config.hop, mac: OTHER }]);
    }
}

#[test]
fn a_silent_hop_is_asked_for_on_and_on_and_still_used() {
    for config in configs() {
        let mut us = Neighbour::new(config);
        run(&mut us, &mut [station(&config, HOP, config.hop)], 0, SECOND);
        let asked = run(&mut us, &mut [], SECOND, 61 * SECOND);
        assert!((230..250).contains(&asked.len()), "{}", asked.len());
        assert_eq!(us.hop(), Some(HOP));
        let said = news(&mut us);
        assert_eq!(said[1..], [News::Silent { hop: config.hop }]);
        assert!(said[1].is_bad() && said[1].to_string().lines().count() == 1);
    }
}

#[test]
fn a_claim_that_nobody_asked_for_is_a_reason_to_ask_only() {
    for config in configs() {
        let mut us = Neighbour::new(config);
        let mut hops = [station(&config, HOP, config.hop)];
        run(&mut us, &mut hops, 0, SECOND);
        // A station announces the hop's address as its own: a gratuitous ARP, or an advertisement.
        let mut liar = station(&config, OTHER, config.hop);
        let claim = polled(&mut liar, 0).remove(0);
        let asked = handled(&mut us, SECOND, &claim);
        assert_eq!(asked.len(), 1);
        assert!(asked[0][0] & 1 == 1, "everyone is asked");
        assert_eq!(us.hop(), Some(HOP));
        assert!(handled(&mut us, SECOND + 1, &claim).is_empty(), "not more often than that");
        for answer in handled(&mut hops[0], SECOND, &asked[0]) {
            handled(&mut us, SECOND, &answer);
        }
        assert_eq!((us.hop(), news(&mut us).len()), (Some(HOP), 1));
        // If it answers too, there are two of them, and the first one is believed.
        for answer in handled(&mut liar, SECOND, &asked[0]) {
            handled(&mut us, SECOND, &answer);
        }
        let twice = News::Twice { hop: config.hop, first: HOP, second: OTHER };
        assert_eq!((us.hop(), news(&mut us)), (Some(HOP), vec![twice]));
        // An answer to nobody's question is none.
        let mut late = Neighbour::new(config);
        let asked = polled(&mut us, 3 * SECOND).remove(0);
        for answer in handled(&mut liar, 0, &asked) {
            handled(&mut late, 0, &answer);
        }
        assert_eq!(late.hop(), None);
    }
}

#[test]
fn whoever_asks_for_our_address_is_answered_and_strangers_are_not() {
    for config in configs() {
        let mut us = Neighbour::new(config);
        let mut router = station(&config, HOP, config.hop);
        let question = polled(&mut router, 0).pop().unwrap();
        let answer = handled(&mut us, 0, &question);
        assert!(answer.iter().any(|frame| frame[..6] == HOP && frame[6..12] == US));
        for at in [12, 13] {
            let mut other = question.clone();
            other[at] ^= 0x40;
            assert!(handled(&mut us, 0, &other).is_empty());
        }
        let elsewhere = NeighbourConfig { vlan: Some(7), ..config };
        let mut router = station(&elsewhere, HOP, config.hop);
        let question = polled(&mut router, 0).pop().unwrap();
        assert!(handled(&mut us, 0, &question).is_empty(), "another VLAN");
    }
}

#[test]
fn another_station_with_our_address_is_news_and_answered() {
    for config in configs() {
        let mut us = Neighbour::new(config);
        let mut twin = station(&config, OTHER, config.ours);
        let claim = polled(&mut twin, 0).remove(0);
        assert_eq!(handled(&mut us, SECOND, &claim).len(), 1, "ours is announced");
        assert!(handled(&mut us, SECOND, &claim).is_empty());
        assert_eq!(news(&mut us), [News::Claimed { ours: config.ours, mac: OTHER }]);
        // Our own frames, come back, are no claim.
        let own = polled(&mut us, 0).remove(0);
        assert!(handled(&mut us, SECOND, &own).is_empty() && news(&mut us).is_empty());
    }
}

/// A ping from `from` with `length` bytes of payload.
fn ping(config: &NeighbourConfig, length: usize) -> Vec<u8> {
    let payload = vec![7; length];
    let message = Message::EchoRequest(&payload);
    let mut frame = link(config.vlan, HOP, US, 0);
    let at = frame.len() - 2;
    match (config.peer, config.ours) {
        (IpAddr::V4(peer), IpAddr::V4(ours)) => {
            let mut icmp = Vec::new();
            message.emit(Over::V4, &mut icmp);
            let ip = Ipv4::new(peer.octets(), ours.octets(), ICMP, icmp.len() as u16);
            frame[at..].copy_from_slice(&ipv4::ETHERTYPE.to_be_bytes());
            frame.extend([ip.as_bytes(), &icmp].concat());
        }
        (IpAddr::V6(peer), IpAddr::V6(ours)) => {
            let (source, destination) = (peer.octets(), ours.octets());
            let mut icmp = Vec::new();
            message.emit(Over::V6 { source, destination }, &mut icmp);
            let ip = Ipv6::new(source, destination, ICMPV6, icmp.len() as u16, 0);
            frame[at..].copy_from_slice(&ipv6::ETHERTYPE.to_be_bytes());
            frame.extend([ip.as_bytes(), &icmp].concat());
        }
        _ => unreachable!(),
    }
    frame
}

#[test]
fn pings_are_answered_as_often_as_is_reasonable() {
    for config in configs() {
        let mut us = Neighbour::new(config);
        let request = ping(&config, 56);
        let answer = handled(&mut us, 0, &request).remove(0);
        assert_eq!((answer.len(), &answer[..6]), (request.len(), &HOP[..]));
        let answered =
            |us: &mut Neighbour, now| (0..500).map(|_| handled(us, now, &request).len()).sum();
        let flood: usize = answered(&mut us, 0);
        assert_eq!(flood, 99);
        let later: usize = answered(&mut us, SECOND / 2);
        assert_eq!(later, 50);
        assert!(handled(&mut us, 60 * SECOND, &ping(&config, 1700)).is_empty());
    }
}

#[test]
fn a_router_that_needs_shorter_packets_is_heard() {
    for config in configs() {
        let mut us = Neighbour::new(config);
        let mut quoted = ping(&config, 0).split_off(14 + config.vlan.map_or(0, |_| 4));
        // From us to the peer.
        let len = if config.ours.is_ipv4() { 4 } else { 16 };
        let at = if config.ours.is_ipv4() { 12 } else { 8 };
        quoted[at..at + 2 * len].rotate_left(len);
        let message = Message::TooBig { mtu: 1400, packet: &quoted };
        let mut frame = link(config.vlan, HOP, US, 0);
        let end = frame.len();
        match (config.hop, config.ours) {
            (IpAddr::V4(hop), IpAddr::V4(ours)) => {
                let mut icmp = Vec::new();
                message.emit(Over::V4, &mut icmp);
                let ip = Ipv4::new(hop.octets(), ours.octets(), ICMP, icmp.len() as u16);
                frame[end - 2..].copy_from_slice(&ipv4::ETHERTYPE.to_be_bytes());
                frame.extend([ip.as_bytes(), &icmp].concat());
            }
            (IpAddr::V6(hop), IpAddr::V6(ours)) => {
                let (source, destination) = (hop.octets(), ours.octets());
                let mut icmp = Vec::new();
                message.emit(Over::V6 { source, destination }, &mut icmp);
                let ip = Ipv6::new(source, destination, ICMPV6, icmp.len() as u16, 0);
                frame[end - 2..].copy_from_slice(&ipv6::ETHERTYPE.to_be_bytes());
                frame.extend([ip.as_bytes(), &icmp].concat());
            }
            _ => unreachable!(),
        }
        handled(&mut us, 0, &frame);
        handled(&mut us, 0, &frame);
        assert_eq!(news(&mut us), [News::TooBig { mtu: 1400 }]);
    }
}

proptest! {
    #[test]
    fn no_frame_panics_or_moves_the_next_hop(
        n in 0usize..4, which in 0u8..5, at in prop::collection::vec(0usize..100, 1..4),
        byte: u8, cut in 0usize..120,
    ) {
        let config = configs()[n];
        let mut us = Neighbour::new(config);
        run(&mut us, &mut [station(&config, HOP, config.hop)], 0, SECOND);
        let mut stranger = station(&config, OTHER, config.hop);
        let mut frame = match which {
            0 => ping(&config, 8),
            1 => polled(&mut stranger, 0).remove(0),
            2 => polled(&mut stranger, 0).pop().unwrap(),
            3 => polled(&mut us, 9 * SECOND).pop().unwrap(),
            _ => vec![byte; 60],
        };
        for at in at {
            if let Some(changed) = frame.get_mut(at) {
                *changed = byte;
            }
        }
        frame.truncate(cut.max(10));
        let before = us.hop();
        let answers = handled(&mut us, SECOND, &frame);
        prop_assert!(answers.len() <= 2);
        prop_assert_eq!(us.hop(), before);
    }
}
