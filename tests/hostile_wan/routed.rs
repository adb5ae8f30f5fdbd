//! The rooms where the WAN is routed: what crosses, what is the gateway's own, and what is foreign.

use maelstrom::gateway::post::{Obeyed, ProtectOrder, What, mailbox};
use maelstrom::gateway::{Blueprint, Side};
use maelstrom::wire::Encapsulation;
use maelstrom::wire::encap::{Carrier, Dscp, Tunnel, dscp_of};

use crate::harness::{EPOCH, Far, Near, blueprint, frames};

/// One side of a tunnel, behind a tag.
fn routed(side: Side, v6: bool, checksum: bool) -> Blueprint {
    let ends = match v6 {
        false => ["192.0.2.1", "198.51.100.1"],
        true => ["2001:db8:1::1", "2001:db8:2::1"],
    };
    let [mut ours, mut peer] = ends.map(|address| address.parse().unwrap());
    if side == Side::East {
        std::mem::swap(&mut ours, &mut peer);
    }
    let carrier = Carrier::Udp(Tunnel { ours, peer, port: 8147, dscp: Dscp::Copy, checksum });
    let encapsulation = Encapsulation { vlan: Some(100), carrier };
    Blueprint { encapsulation, ..blueprint(side) }
}

const FAMILIES: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

#[test]
fn frames_cross_and_lost_ones_are_rebuilt() {
    for (v6, checksum) in FAMILIES {
        let west = routed(Side::West, v6, checksum);
        let mut near = Near::of(&west, EPOCH);
        let mut far = Far::of(&routed(Side::East, v6, checksum));
        let sent: Vec<Vec<u8>> = frames(5, 400);
        let packets = near.send(&sent);
        let mtu = usize::from(west.wan_mtu);
        assert!(packets.iter().all(|packet| packet.len() <= mtu + 18));
        let shim = 18 + west.encapsulation.overhead();
        let is_lost = |n: usize, packet: &[u8]| n % 20 == 10 && packet[shim] >> 2 & 3 == 0;
        let arriving = packets.iter().enumerate().filter(|(n, packet)| !is_lost(*n, packet));
        let arriving: Vec<Vec<u8>> = arriving.map(|(_, packet)| packet.clone()).collect();
        assert!(packets.len() - arriving.len() > 10);
        let mut out = far.feed(&arriving);
        out.sort();
        let mut expected = sent;
        expected.sort();
        assert!(out == expected, "{} of {} came out", out.len(), expected.len());
        assert_eq!(far.refusals(), []);
    }
}

#[test]
fn packets_have_the_class_of_their_frames_and_repairs_that_of_the_last() {
    let mut near = Near::of(&routed(Side::West, false, false), EPOCH);
    let mut frame = vec![2; 100];
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 46 << 2]);
    let packets = near.send(&vec![frame; 8]);
    assert!(packets.len() > 8);
    assert!(packets.iter().all(|packet| dscp_of(packet) == 46));
}

#[test]
fn whoever_else_sends_is_foreign() {
    for (v6, checksum) in FAMILIES {
        let packets = Near::of(&routed(Side::West, v6, checksum), EPOCH).send(&frames(6, 20));
        let (source, destination) = if v6 { (18 + 8, 18 + 24) } else { (18 + 12, 18 + 16) };
        let port = if v6 { 18 + 42 } else { 18 + 22 };
        for at in [15, source, destination, port] {
            let mut far = Far::of(&routed(Side::East, v6, checksum));
            let mut changed = packets.clone();
            changed.iter_mut().for_each(|packet| packet[at] ^= 1);
            assert!(far.feed(&changed).is_empty());
            assert_eq!(far.refusals(), [("foreign", packets.len() as u64)], "byte {at}");
        }
        // A frame as it is, from whomever, is not delivered either.
        let mut far = Far::of(&routed(Side::East, v6, checksum));
        let strangers = frames(7, 50);
        assert!(far.feed(&strangers).is_empty());
        assert_eq!(far.refusals(), [("foreign", 50)]);
    }
}

#[test]
fn nothing_is_sent_before_the_next_hop_is_known() {
    let hop = Some("192.0.2.254".parse().unwrap());
    let west = Blueprint { next_hop: hop, ..routed(Side::West, false, false) };
    let mut near = Near::of(&west, EPOCH);
    let (sender, orders) = mailbox(4);
    near.room.obey(orders, Obeyed::default(), mailbox(4).0);
    assert!(near.send(&frames(8, 40)).is_empty());
    assert_eq!((near.count("no_next_hop"), near.count("lan_in")), (40, 40));
    assert_eq!(near.room.counters().dropped().map(|(_, count)| count).sum::<u64>(), 40);
    for mac in [[2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8]] {
        assert!(sender.send(ProtectOrder::NextHop(mac)));
        let packets = near.send(&frames(9, 40));
        assert!(packets.len() > 40 && packets.iter().all(|packet| packet[..6] == mac));
    }
    assert_eq!((near.count("no_next_hop"), near.count("source_sent")), (40, 80));
}

#[test]
fn what_is_for_the_gateway_itself_is_handed_up() {
    let mut far = Far::of(&routed(Side::East, false, false));
    let ((_orders, orders), (heard, letters)) = (mailbox(4), mailbox(3));
    far.room.obey(7, orders, heard, mailbox(1).0);
    let tag = [&[2; 12][..], &[0x81, 0, 0, 100]].concat();
    let arp = [&tag[..], &[8, 6], &[0; 42]].concat();
    let mut ping = [&tag[..], &[8, 0], &[0; 60]].concat();
    ping[18 + 9] = 1;
    ping[18 + 16..18 + 20].copy_from_slice(&[198, 51, 100, 1]);
    let mut not_ours = ping.clone();
    not_ours[18 + 19] = 9;
    let untagged = [&[2; 12][..], &[8, 6], &[0; 46]].concat();
    let came = [arp.clone(), ping.clone(), not_ours, untagged, arp.clone(), arp];
    assert!(far.feed(&came).is_empty());
    assert_eq!((far.count("control_heard"), far.count("control_unheard")), (3, 1));
    assert_eq!(far.refusals(), [("foreign", 2)]);
    let letter = letters.receive().and_then(|_| letters.receive()).unwrap();
    assert_eq!((letter.what, letter.room, letter.bytes.bytes()), (What::Frame, 7, &ping[..]));
}
