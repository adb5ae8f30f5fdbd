//! LAN → WAN: what becomes of frames that can't be protected.

use maelstrom::fec::seq::LIMIT;
use maelstrom::gateway::{Blueprint, LinkLocal, Oversize, Side};
use maelstrom::wire::shim::{Kind, Shim};

use crate::harness::{EPOCH, Far, Near, Port, SHIM, blueprint, frames};

/// The longest frame that `blueprint` protects.
const LONGEST: usize = 1522;

fn link_local(len: usize) -> Vec<u8> {
    let mut frame = vec![7; len];
    frame[..6].copy_from_slice(&[0x01, 0x80, 0xC2, 0, 0, 0x0E]);
    frame
}

#[test]
fn every_drop_is_counted_under_its_reason() {
    let mut near = Near::new(EPOCH);
    let sent = [vec![1; 13], Vec::new(), link_local(60), vec![2; LONGEST + 1], vec![3; 14]];
    let packets = near.send(&sent);
    for (name, count) in [
        ("lan_in", 5),
        ("runt", 2),
        ("link_local_dropped", 1),
        ("too_large", 1),
        ("source_sent", 1),
    ] {
        assert_eq!(near.count(name), count, "{name}");
    }
    assert_eq!(near.count("lan_in_bytes"), 13 + 60 + 1523 + 14);
    let mut far = Far::new();
    assert_eq!(far.feed(&packets), [vec![3; 14]]);
    far.works(&mut near);
}

#[test]
fn what_is_bypassed_or_passed_is_counted() {
    let blueprint = Blueprint {
        oversize: Oversize::Bypass,
        link_local: LinkLocal::Pass,
        wan_mtu: 1000,
        ..blueprint(Side::West)
    };
    let mut near = Near::of(&blueprint, EPOCH);
    let mut own = vec![4; 1000];
    own[12..14].copy_from_slice(&[0x88, 0xB5]);
    // 1000 − 42 are protected, 1000 + 14 are carried as they are; our own EtherType would be taken
    // for a packet of ours, a bridge would keep what is for bridges.
    let lengths = [958, 959, 1014, 1015].map(|len| vec![5; len]);
    let packets = near.send(&[&lengths[..], &[own, link_local(60), link_local(1000)]].concat());
    for (name, count) in
        [("source_sent", 2), ("bypassed", 2), ("too_large", 3), ("link_local_passed", 1)]
    {
        assert_eq!(near.count(name), count, "{name}");
    }
    assert!(packets.iter().all(|packet| packet.len() <= 1014));
    let mut far = Far::of(&Blueprint { side: Side::East, ..blueprint });
    let out = far.feed(&packets);
    assert_eq!(out, [vec![5; 958], vec![5; 959], vec![5; 1014], link_local(60)]);
}

/// Some drivers deliver frames without room in front of them.
#[test]
fn a_frame_without_headroom_is_dropped_and_leaves_no_gap() {
    let mut near = Near::new(EPOCH);
    let (lan, wan) = (Port { tight: true, ..Port::default() }, Port::default());
    let config = blueprint(Side::West).protect(0, EPOCH, [2; 6], [0xFF; 6]);
    near.room =
        maelstrom::gateway::Protect::new(config, lan.clone(), wan.clone(), crate::harness::pool());
    (near.lan, near.wan) = (lan, wan);
    assert!(near.send(&frames(1, 10)).is_empty());
    assert_eq!((near.count("no_headroom"), near.count("lan_in")), (10, 10));
    assert_eq!(near.count("source_sent"), 0);
}

/// Equal frames, empty ones and ones that differ in one bit stay apart.
#[test]
fn frames_come_out_as_they_went_in() {
    let mut near = Near::new(EPOCH);
    let mut far = Far::new();
    let mut sent = vec![vec![0; 60]; 50];
    sent.extend((0..60).map(|at| {
        let mut frame = vec![0; 60];
        frame[at] = 1;
        frame
    }));
    sent.extend((14..LONGEST + 1).step_by(37).map(|len| vec![0; len]));
    let packets = near.send(&sent);
    assert!(packets.iter().all(|packet| packet.len() <= SHIM + 1600));
    assert!(far.feed(&packets) == sent);
    assert_eq!(far.refusals(), []);
}

/// No number repeats, not even the last one: what finds none left does not leave.
#[test]
fn frames_beyond_the_last_number_are_dropped() {
    let mut near = Near::new(EPOCH);
    near.room.begin_at(LIMIT - 50);
    let sent = frames(1, 80);
    let packets = near.send(&sent);
    assert_eq!((near.count("source_sent"), near.count("numbers_used_up")), (50, 30));
    let shims = packets.iter().map(|packet| Shim::parse(&packet[SHIM..]).expect("a good shim").0);
    let numbers = shims.filter(|shim| shim.kind == Kind::Source).map(|shim| shim.seq);
    assert!(numbers.eq(LIMIT - 50..LIMIT));
    // The last ones are protected as any.
    let lost = |n: usize| n >= 10 && n.is_multiple_of(9);
    let mut sources = 0;
    let arriving: Vec<Vec<u8>> = packets
        .into_iter()
        .filter(|packet| {
            let is_source = packet[SHIM] >> 2 & 3 == 0;
            sources += usize::from(is_source);
            !(is_source && lost(sources - 1))
        })
        .collect();
    let mut out = Far::new().feed(&arriving);
    let mut expected = sent[..50].to_vec();
    out.sort();
    expected.sort();
    assert!(out == expected, "{} of 50 came out", out.len());
}
