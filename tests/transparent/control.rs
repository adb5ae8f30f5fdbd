//! Control packets and orders through transparent rooms.

use maelstrom::gateway::Blueprint;
use maelstrom::link::{Mode, PeerDown, Wishes};
use maelstrom::wire::control::{Sender, Type, emit};

use crate::gateways::{EPOCH, Gateway, Gateways};
use crate::rooms::{frames, sorted};
use crate::wan::{blueprint, is_ours};

const NOTHING: [[u8; 0]; 0] = [];

fn up(peer_down: PeerDown) -> Gateways {
    let mut gateways = Gateways::new(&blueprint(), peer_down);
    gateways.run(400);
    assert!(gateways.of.iter().all(Gateway::is_up));
    for gateway in &mut gateways.of {
        let events = gateway.steward.supervisor_mut().take_events();
        assert!(events.iter().all(|event| !event.is_bad()), "{events:?}");
    }
    gateways
}

#[test]
fn what_becomes_of_frames_follows_orders_and_loses_none() {
    let mut gateways = up(PeerDown::Protect);
    let all = frames(21, 400, 1514);
    let wish = |gateways: &mut Gateways, bypass, drain| {
        gateways.of[0].steward.wish(Wishes { bypass, drain });
        gateways.run(20);
    };
    assert_eq!(gateways.cross(&all[..100]), all[..100]);
    let counts = |gateways: &Gateways| {
        ["source_sent", "bypassed", "repair_sent"].map(|name| gateways.of[0].near(name))
    };
    let [sent, bypassed, repairs] = counts(&gateways);
    assert_eq!((sent, bypassed), (100, 0));
    assert!(repairs > 30);

    // They cross as they are anyway, and nothing stands for them.
    wish(&mut gateways, true, false);
    assert!(gateways.of[0].steward.is_bypassed());
    let repairs = gateways.of[0].near("repair_sent");
    assert_eq!(gateways.cross(&all[100..200]), all[100..200]);
    assert_eq!(counts(&gateways), [100, 100, repairs]);

    // It goes before bypass, and nothing is taken in.
    wish(&mut gateways, true, true);
    assert!(gateways.of[0].steward.is_drained());
    assert_eq!(gateways.cross(&all[200..300]), NOTHING);
    assert!(gateways.of.iter().all(Gateway::is_up));

    wish(&mut gateways, false, false);
    gateways.run(60);
    assert_eq!(gateways.of[1].ports[3].take_sent(), all[200..300]);
    // And what is lost now is rebuilt, by numbers that knew nothing of what was bypassed.
    gateways.carries = |packet| is_ours(packet) || !packet[20].is_multiple_of(32);
    let out = gateways.cross(&all[300..]);
    assert!(sorted(out) == sorted(all[300..].to_vec()));
    assert!(gateways.of[1].far("recovered") > 0);
    assert_eq!(gateways.of[1].far("bad_rebuilt"), 0);
}

#[test]
fn a_peer_that_is_down_is_treated_as_configured() {
    let all = frames(22, 50, 300);
    for (policy, mode, counter) in [
        (PeerDown::Protect, Mode::Protect, "source_sent"),
        (PeerDown::Bypass, Mode::Bypass, "bypassed"),
        (PeerDown::Drop, Mode::Drop, "peer_down"),
    ] {
        let mut gateways = up(policy);
        gateways.carries = |_| false;
        gateways.run(400);
        assert!(!gateways.of[0].is_up());
        assert_eq!(gateways.of[0].steward.mode(), mode);
        gateways.cross(&all);
        assert_eq!(gateways.of[0].near(counter), 50, "{counter}");
        gateways.carries = |_| true;
        gateways.run(400);
        assert!(gateways.of[0].is_up());
        assert_eq!(gateways.cross(&all), all);
    }
}

/// Behind a gateway that is dead somebody may pass frames on: they say nothing of the peer.
#[test]
fn frames_are_no_signs_of_life() {
    let mut gateways = up(PeerDown::Protect);
    gateways.carries = |packet| !is_ours(packet);
    for n in 0..20 {
        let sent = frames(30 + n, 10, 200);
        assert_eq!(gateways.cross(&sent), sent);
    }
    assert!(!gateways.of[1].is_up());
}

#[test]
fn a_new_epoch_that_a_hello_names_costs_no_repair() {
    let mut gateways = up(PeerDown::Protect);
    gateways.cross(&frames(23, 40, 300));
    gateways.restart(EPOCH + 9);
    gateways.run(400);
    assert_eq!(gateways.of[1].steward.supervisor().peer_epoch(), Some(EPOCH + 9));
    gateways.carries = |packet| is_ours(packet) || packet[20] > 32;
    let sent = frames(24, 200, 300);
    assert!(sorted(gateways.cross(&sent)) == sorted(sent));
    assert_eq!(gateways.of[1].far("unconfirmed"), 0);
    assert!(gateways.of[1].far("recovered") > 5);
}

#[test]
fn bad_control_packets_are_counted_and_change_nothing() {
    let mut gateways = up(PeerDown::Protect);
    let packet = |channel, number, body: &[u8]| {
        let sender = Sender { channel, epoch: EPOCH };
        let packet = emit(sender, number, Type::Hello, body).unwrap();
        [&[0xFF; 6][..], &[2; 6], &[0x88, 0xB5], packet.bytes()].concat()
    };
    let good = packet(0, 9000, &[0; 58]);
    let with = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] ^= byte;
        packet
    };
    let last = good.len() - 1;
    // A source packet, a repair as it is with shims, and a part of one.
    let [source, repair, part] = [0x08, 0x0C, 0x04].map(|bits| with(14, bits));
    let bad = [with(last, 1), source, repair, part, packet(0x80, 9000, &[0; 58])];
    let heard = gateways.of[1].far("control_heard");
    gateways.of[1].ports[2].bring(bad);
    gateways.run(1);
    let counts = [("bad_check", 1), ("bad_kind", 2), ("bad_length", 1), ("unknown_channel", 1)];
    for (name, count) in counts {
        assert_eq!(gateways.of[1].far(name), count, "{name}");
    }
    assert!(gateways.of[1].far("control_heard") <= heard + 1);
    gateways.run(200);
    assert!(gateways.of[1].is_up());
    assert_eq!(gateways.of[1].ports[3].take_sent(), NOTHING);
}

/// IPv4 that must not be fragmented, so long without its Ethernet header.
fn packet(protocol: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend((len as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.resize(14 + len, 0);
    frame
}

fn syn(mss: u16) -> Vec<u8> {
    let mut syn = packet(6, 60);
    syn[46..48].copy_from_slice(&[0x60, 2]);
    syn[54..56].copy_from_slice(&[2, 4]);
    syn[56..58].copy_from_slice(&mss.to_be_bytes());
    syn
}

#[test]
fn hosts_are_told_where_the_wan_is_narrower_than_the_lan() {
    // Nothing is added, so where the MTUs are the same there is nothing to tell.
    let same = Blueprint { mss_clamp: true, ..blueprint() };
    let narrow = Blueprint { lan_frame: 9022, ..same.clone() };
    for (blueprint, mss) in [(same, 8960), (narrow, 1460)] {
        let mut gateways = Gateways::new(&blueprint, PeerDown::Protect);
        let out = gateways.cross(&[packet(17, 1500), syn(8960)]);
        assert_eq!(out[0], packet(17, 1500));
        assert_eq!(out[1][56..58], u16::to_be_bytes(mss));
        // On the way in, too: one gateway is enough.
        gateways.of[0].ports[2].bring([syn(8960)]);
        gateways.run(2);
        assert_eq!(gateways.of[0].ports[3].take_sent()[0][56..58], u16::to_be_bytes(mss));
    }
    let mut gateways = Gateways::new(&narrow_blueprint(), PeerDown::Protect);
    assert_eq!(gateways.cross(&[packet(17, 1501)]), NOTHING);
    let west = &gateways.of[0];
    assert_eq!((west.near("too_big"), west.near("too_big_told"), west.far("answers")), (1, 1, 1));
    let answers = west.ports[3].take_sent();
    // Fragmentation needed, and 1500 bytes are what fits.
    assert_eq!(
        (answers.len(), &answers[0][34..36], &answers[0][40..42]),
        (1, &[3, 4][..], &[5, 220][..])
    );
}

fn narrow_blueprint() -> Blueprint {
    Blueprint { lan_frame: 9022, mss_clamp: true, ..blueprint() }
}
