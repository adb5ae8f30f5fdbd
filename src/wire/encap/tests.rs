use super::*;
use proptest::prelude::*;

const US: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HOP: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn over(ours: &str, peer: &str, vlan: Option<u16>) -> Encapsulation {
    let [ours, peer] = [ours, peer].map(|address| address.parse().unwrap());
    let dscp = Dscp::Copy;
    let tunnel = Tunnel { ours, peer, port: 8147, dscp, checksum: false };
    Encapsulation { vlan, carrier: Carrier::Udp(tunnel) }
}

fn all() -> Vec<Encapsulation> {
    [None, Some(100)]
        .into_iter()
        .flat_map(|vlan| {
            let ether = Encapsulation { vlan, ..Encapsulation::default() };
            let v4 = over("192.0.2.1", "198.51.100.1", vlan);
            [ether, v4, over("2001:db8:1::1", "2001:db8:2::1", vlan)]
        })
        .collect()
}

/// What the other gateway has.
fn mirrored(mut encapsulation: Encapsulation) -> Encapsulation {
    if let Carrier::Udp(tunnel) = &mut encapsulation.carrier {
        std::mem::swap(&mut tunnel.ours, &mut tunnel.peer);
    }
    encapsulation
}

fn packet(outer: &Outer, payload: &[u8], dscp: u8) -> Vec<u8> {
    let mut packet = vec![0; outer.len()];
    outer.write(&mut packet, payload.len(), dscp);
    packet.extend(payload);
    outer.seal(Some(&mut packet));
    packet
}

#[test]
fn the_bytes_are_those_of_the_rfcs() {
    let outer = Outer::new(&over("192.0.2.1", "198.51.100.1", Some(100)), 0x82, US, HOP);
    let packet_v4 = packet(&outer, &[7; 40], 46);
    assert_eq!(packet_v4[..18], [&HOP[..], &US, &[0x81, 0, 0, 100, 8, 0]].concat());
    let (header, datagram) = Ipv4::parse(&packet_v4[18..]).unwrap();
    assert_eq!((header.traffic_class, header.ttl, datagram.len()), (46 << 2, 64, 48));
    assert_eq!(datagram[..8], [0xC0, 0x82, 0x1F, 0xD3, 0, 48, 0, 0]);
    let outer = Outer::new(&over("2001:db8:1::1", "2001:db8:2::1", None), 0x82, US, HOP);
    let packet_v6 = packet(&outer, &[7; 40], 46);
    let (header, datagram) = Ipv6::parse(&packet_v6[14..]).unwrap();
    assert_eq!((packet_v6[14], packet_v6[15], header.hop_limit), (0x6B, 0x80, 64));
    assert_eq!(datagram[..8], packet_v4[38..46]);
}

#[test]
fn a_udp_checksum_is_right_and_never_zero() {
    for encapsulation in [over("192.0.2.1", "198.51.100.1", None), over("fd00::1", "fd00::2", None)]
    {
        let Carrier::Udp(tunnel) = encapsulation.carrier else { unreachable!() };
        let carrier = Carrier::Udp(Tunnel { checksum: true, ..tunnel });
        let outer = Outer::new(&Encapsulation { carrier, ..encapsulation }, 3, US, HOP);
        // One of these words makes the sum one whose complement is 0.
        for word in 0..=u16::MAX {
            let packet = packet(&outer, &word.to_be_bytes(), 0);
            let (addresses, datagram) = match tunnel.ours {
                IpAddr::V4(_) => (26..34, &packet[34..]),
                IpAddr::V6(_) => (22..54, &packet[54..]),
            };
            assert_ne!(datagram[6..8], [0, 0]);
            let half = addresses.len() / 2;
            let (source, destination) = packet[addresses].split_at(half);
            let sum = pseudo_header(source, destination, UDP, datagram.len() as u16);
            assert!(sum.bytes(datagram).is_whole());
        }
    }
}

#[test]
fn takes_off_what_the_peer_puts_on_and_nothing_else() {
    let all = all();
    for (n, ours) in all.iter().enumerate() {
        let pattern = Pattern::new(ours);
        for (other, theirs) in all.iter().enumerate() {
            let outer = Outer::new(&mirrored(*theirs), 0x80, US, HOP);
            let packet = packet(&outer, &[9; 60], 33);
            let expected = match n == other {
                true => Arrival::Packet(&[9; 60]),
                false => Arrival::Other,
            };
            assert_eq!(pattern.strip(&packet), expected, "{ours:?} {theirs:?}");
        }
        // Our own, come back.
        let own = packet(&Outer::new(ours, 0, US, HOP), &[9; 60], 0);
        let is_own = pattern.strip(&own) == Arrival::Packet(&[9; 60]);
        assert_eq!(is_own, ours.tunnel().is_none());
        assert_eq!(pattern.strip(&own[..13]), Arrival::Short);
    }
}

/// What may differ on the way does not matter, all else does: byte by byte.
#[test]
fn what_must_not_differ_is_compared() {
    for (ours, free) in [
        // Priority; class, length, id; time to live, checksum; channel; length, checksum.
        (over("192.0.2.1", "198.51.100.1", Some(7)), vec![19, 20, 21, 22, 23, 26, 28, 29]),
        (over("fd00::1", "fd00::2", Some(7)), vec![18, 19, 20, 21, 22, 23, 25]),
    ] {
        let pattern = Pattern::new(&ours);
        let packet = packet(&Outer::new(&mirrored(ours), 0x80, US, HOP), &[9; 30], 0);
        let udp = pattern.len() - UDP_LEN;
        let free = [free, vec![udp + 1, udp + 4, udp + 5, udp + 6, udp + 7]].concat();
        for at in 0..pattern.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            let taken = pattern.strip(&changed) != Arrival::Other;
            assert_eq!(taken, at < 12 || free.contains(&at), "byte {at} of {ours:?}");
        }
        let mut tagged = packet.clone();
        tagged[14] |= 0xE0;
        assert_ne!(pattern.strip(&tagged), Arrival::Other, "another priority");
    }
}

#[test]
fn the_class_of_a_frame_is_found() {
    let frame = |types: &[u8], first: [u8; 2]| [&[2; 12][..], types, &first, &[0; 40]].concat();
    let v4 = [0x45, 46 << 2 | 1];
    let v6 = [0x60 | 46 >> 2, (46 << 6) as u8 | 3 << 4];
    for (types, first, dscp) in [
        (&[8, 0][..], v4, 46),
        (&[0x81, 0, 0, 5, 8, 0], v4, 46),
        (&[0x88, 0xA8, 0, 5, 0x81, 0, 0, 6, 8, 0], v4, 46),
        (&[0x86, 0xDD], v6, 46),
        (&[8, 6], v4, 0),
    ] {
        assert_eq!(dscp_of(&frame(types, first)), dscp, "{types:?}");
    }
    assert_eq!((dscp_of(&[]), dscp_of(&[0x81; 14])), (0, 0));
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), n in 0usize..6) {
        let encapsulation = all()[n];
        let pattern = Pattern::new(&encapsulation);
        let _ = (pattern.strip(&bytes), dscp_of(&bytes));
        let outer = Outer::new(&encapsulation, 1, US, HOP);
        outer.write(&mut bytes, 10, 5);
        outer.seal(Some(&mut bytes));
    }

    #[test]
    fn lengths_and_classes_are_right(length in 0usize..9600, dscp in 0u8..64, n in 0usize..6) {
        let encapsulation = all()[n];
        let packet = packet(&Outer::new(&encapsulation, 1, US, HOP), &vec![0; length], dscp);
        let ip = &packet[OUTER_LEN + encapsulation.vlan.map_or(0, |_| TAG_LEN)..];
        match encapsulation.tunnel().map(|tunnel| tunnel.ours) {
            None => {}
            Some(IpAddr::V4(_)) => {
                let (header, datagram) = Ipv4::parse(ip).unwrap();
                prop_assert_eq!((header.traffic_class >> 2, datagram.len()), (dscp, length + 8));
            }
            Some(IpAddr::V6(_)) => {
                let (_, datagram) = Ipv6::parse(ip).unwrap();
                prop_assert_eq!((dscp_of(&packet), datagram.len()), (dscp, length + 8));
            }
        }
    }
}
