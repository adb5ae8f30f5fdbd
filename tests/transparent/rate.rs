//! Transparent circuits that take less than the LAN brings.

use maelstrom::gateway::bucket::{DEPTH_NS, wire_bytes};
use maelstrom::gateway::{Blueprint, Limit, Overload, Room, Side};
use maelstrom::link::PeerDown;

use crate::gateways::{EPOCH, Gateway};
use crate::rooms::frames;
use crate::wan::{blueprint, is_ours};

/// 100 Mb/s: 12.5 bytes a microsecond.
const RATE: u64 = 100_000_000;
/// Between two turns.
const STEP: u64 = 50_000;

fn limited(overload: Overload, queue: usize) -> Blueprint {
    Blueprint { limit: Some(Limit { rate: RATE, overload, queue }), ..blueprint() }
}

/// What leaves, and when, if a frame of these comes each turn; it goes on until all is quiet.
fn send(gateway: &mut Gateway, frames: &[Vec<u8>]) -> Vec<(u64, Vec<u8>)> {
    let mut wire = Vec::new();
    let mut now = 0;
    let mut turn = |gateway: &mut Gateway, now| {
        gateway.protect.poll(now);
        wire.extend(gateway.ports[1].take_sent().into_iter().map(|packet| (now, packet)));
    };
    for frame in frames {
        now += STEP;
        gateway.ports[0].bring([frame.clone()]);
        turn(gateway, now);
    }
    while let Some(next) = gateway.protect.next_deadline() {
        now = next.max(now + 1);
        turn(gateway, now);
    }
    wire
}

/// Over any stretch no more leaves than the rate, what a sender may run ahead, and a packet.
fn keeps_to_the_rate(wire: &[(u64, Vec<u8>)]) {
    let bytes_of = |ns: u64| ns * RATE / 8_000_000_000;
    for (first, &(from, _)) in wire.iter().enumerate() {
        let mut sent = 0;
        for (now, packet) in &wire[first..] {
            sent += wire_bytes(packet.len());
            let most = bytes_of(now - from + DEPTH_NS) + 2 * wire_bytes(1518);
            assert!(sent <= most, "{sent} bytes in {} ns", now - from);
        }
    }
}

#[test]
fn reserve_lets_each_frame_that_goes_have_all_of_its_repairs() {
    let mut west =
        Gateway::new(&limited(Overload::Reserve, 64 << 10), Side::West, EPOCH, PeerDown::Protect);
    let sent = frames(41, 1500, 1514);
    let wire = send(&mut west, &sent);
    keeps_to_the_rate(&wire);
    let dropped = west.near("overload_dropped");
    assert!(dropped > 100, "{dropped}");
    assert_eq!(west.near("source_sent"), 1500 - dropped);
    assert_eq!((west.near("repair_shed"), west.near("repair_no_mbuf")), (0, 0));
    assert!(west.near("repair_split") > 50);
    assert_eq!(west.near("overload_waiting"), 0);
    // Three layers of groups of eight, and more where traffic ends.
    assert!(west.near("repair_sent") >= west.near("source_sent") * 3 / 8);
    // A burst of four is repaired.
    let mut east = Gateway::new(&blueprint(), Side::East, EPOCH, PeerDown::Protect);
    let mut nth = 0;
    let mut out = 0;
    for (now, packet) in wire {
        nth += u64::from(!is_ours(&packet));
        let lost = !is_ours(&packet) && (300..304).contains(&nth);
        if !lost {
            east.ports[2].bring([packet]);
        }
        east.recover.poll(now);
        out += east.ports[3].take_sent().len() as u64;
    }
    assert_eq!((out, east.far("recovered")), (1500 - dropped, 4));
}

#[test]
fn source_first_sheds_repairs_with_all_of_their_parts() {
    let mut west = Gateway::new(
        &limited(Overload::SourceFirst, 64 << 10),
        Side::West,
        EPOCH,
        PeerDown::Protect,
    );
    // About what the link takes.
    let sent: Vec<Vec<u8>> = frames(42, 4000, 1100);
    let wire = send(&mut west, &sent);
    keeps_to_the_rate(&wire);
    assert_eq!(west.near("overload_dropped"), 0);
    let sources: Vec<&Vec<u8>> =
        wire.iter().map(|(_, packet)| packet).filter(|p| !is_ours(p)).collect();
    assert!(sources.into_iter().eq(&sent));
    let shed = west.near("repair_shed");
    assert!(shed > 100, "{shed}");
    let by_layer = [1, 2, 3].map(|n| west.near(&format!("shed_layer_{n}")));
    assert_eq!(by_layer.iter().sum::<u64>(), shed);
    assert!(by_layer[2] > by_layer[0], "{by_layer:?}");
}

/// Of a repair that is sent in parts, either all leave, in a row, or it does not count as sent.
#[test]
fn a_repair_counts_when_its_last_part_has_left() {
    for overload in [Overload::Reserve, Overload::SourceFirst] {
        let blueprint = limited(overload, 64 << 10);
        let mut west = Gateway::new(&blueprint, Side::West, EPOCH, PeerDown::Protect);
        let wire = send(&mut west, &frames(43, 1500, 1514));
        let last = |packet: &[u8]| is_ours(packet) && packet[14 + 28] + 1 == packet[14 + 29];
        let whole = wire.iter().filter(|(_, packet)| last(packet)).count() as u64;
        assert_eq!(west.near("repair_sent"), whole, "{overload:?}");
        let bytes: usize =
            wire.iter().filter(|(_, packet)| is_ours(packet)).map(|(_, p)| p.len()).sum();
        assert_eq!(west.near("repair_sent_bytes"), bytes as u64);
        assert!(west.near("repair_split") > 50);
    }
}

/// What waits for the rate leaves before the gateway does, its repairs as well: the last four are lost.
#[test]
fn a_gateway_that_ends_in_overload_protects_what_it_took_in() {
    for count in 60..76 {
        let blueprint_of_west = limited(Overload::Reserve, 64 << 10);
        let mut west = Gateway::new(&blueprint_of_west, Side::West, EPOCH, PeerDown::Protect);
        let mut wire = Vec::new();
        let mut now = 0;
        for frame in frames(44, count, 1400) {
            now += STEP;
            west.ports[0].bring([frame]);
            west.protect.poll(now);
            wire.extend(west.ports[1].take_sent());
        }
        let before = wire.len();
        while !west.protect.finish(now) {
            wire.extend(west.ports[1].take_sent());
            now += STEP;
        }
        wire.extend(west.ports[1].take_sent());
        assert!(wire[before..].iter().any(|packet| !is_ours(packet)), "none waited of {count}");
        let sources = wire.iter().filter(|packet| !is_ours(packet)).count();
        let mut east = Gateway::new(&blueprint(), Side::East, EPOCH, PeerDown::Protect);
        let mut nth = 0;
        for packet in wire {
            nth += usize::from(!is_ours(&packet));
            if is_ours(&packet) || nth <= sources - 4 {
                east.ports[2].bring([packet]);
            }
            east.recover.poll(now);
        }
        assert_eq!(east.ports[3].take_sent().len(), sources, "{count} frames");
    }
}
