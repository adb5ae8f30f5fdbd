//! Ports that take little, or nothing for a while: nothing is lost, nothing changes places.

use maelstrom::gateway::{Blueprint, Limit, Overload, Room, Side};

use crate::common::Random;
use crate::harness::{EPOCH, Far, Near, SHIM, frames};

/// How much a port takes in each of many calls: mostly nothing.
fn takes(seed: u64) -> Vec<usize> {
    let mut random = Random(seed);
    (0..20_000).map(|_| [0, 0, 0, 1, 3, 40][random.below(6) as usize]).collect()
}

fn sequence(packet: &[u8]) -> Option<u64> {
    let is_source = packet[SHIM] >> 2 & 3 == 0;
    is_source.then(|| u64::from_be_bytes(packet[SHIM + 8..SHIM + 16].try_into().unwrap()))
}

#[test]
fn a_wan_that_is_full_makes_the_lan_wait() {
    for seed in 0..5 {
        let sent = frames(seed, 1000);
        let mut near = Near::new(EPOCH);
        near.wan.takes.lock().unwrap().extend([0; 10_000]);
        near.lan.bring(sent.iter().cloned());
        for _ in 0..50 {
            near.now += 1000;
            near.room.poll(near.now);
        }
        // One burst is waiting to be sent; the rest is the LAN port's.
        assert_eq!(near.lan.waiting.lock().unwrap().len(), 1000 - 32);
        *near.wan.takes.lock().unwrap() = takes(seed).into();
        let mut packets = near.send(&[]);
        while !near.room.finish(near.now) {}
        packets.extend(near.wan.take_sent());
        let sources: Vec<u64> = packets.iter().filter_map(|packet| sequence(packet)).collect();
        assert!(sources.into_iter().eq(0..1000), "seed {seed}");
        assert_eq!(near.count("repair_no_mbuf"), 0);
        assert_eq!(near.count("repair_sent") as usize, packets.len() - 1000, "seed {seed}");
        // None of the repairs was shed: every twentieth packet may be lost.
        let mut far = Far::new();
        let lost = |packet: &Vec<u8>| sequence(packet).is_some_and(|seq| seq % 20 == 7);
        let arriving: Vec<Vec<u8>> = packets.iter().filter(|p| !lost(p)).cloned().collect();
        assert_eq!(far.feed(&arriving).len(), 1000, "seed {seed}");
    }
}

/// A port that takes nothing and, asked once more, all of the outbox: repairs may still be due then, and
/// they go before anything else is received.
#[test]
fn repairs_that_wait_in_the_encoder_make_the_lan_wait() {
    let code = "1:1,1,1,1".parse().unwrap();
    let blueprint = Blueprint { wan_mtu: 1600, sparse: None, ..Blueprint::new(Side::West, code) };
    let mut near = Near::of(&blueprint, EPOCH);
    near.wan.takes.lock().unwrap().extend([0, 40].repeat(2000));
    let sent = frames(1, 640);
    let mut packets = near.send(&sent);
    while !near.room.finish(near.now) {}
    packets.extend(near.wan.take_sent());
    assert_eq!((near.count("repair_shed"), near.count("repair_sent")), (0, 4 * 640));
    assert_eq!(packets.len(), 5 * 640);
}

#[test]
fn a_lan_that_is_full_makes_the_wan_wait() {
    for seed in 0..5 {
        let sent = frames(seed, 1000);
        let packets = Near::new(EPOCH).send(&sent);
        let mut far = Far::new();
        far.lan.takes.lock().unwrap().extend(takes(seed));
        let mut out = far.feed(&packets);
        (0..1000).for_each(|_| out.extend(far.feed(&[])));
        assert!(out == sent, "seed {seed}");
        assert_eq!(far.count("lan_full"), 0, "seed {seed}");
    }
}

/// Frames that were rebuilt wait as well.
#[test]
fn a_lan_that_is_full_loses_nothing_that_was_rebuilt() {
    for seed in 0..5 {
        let sent = frames(seed, 1000);
        let packets = Near::new(EPOCH).send(&sent);
        let lost = |packet: &Vec<u8>| sequence(packet).is_some_and(|seq| seq % 10 == 7);
        let mut arriving: Vec<Vec<u8>> = packets.into_iter().filter(|p| !lost(p)).collect();
        // Repairs overtake, so that a full burst of source packets makes them useful.
        arriving.chunks_mut(100).for_each(|chunk| chunk.sort_by_key(|p| sequence(p).is_some()));
        let mut far = Far::new();
        far.lan.takes.lock().unwrap().extend(takes(seed));
        let mut out = far.feed(&arriving);
        (0..1000).for_each(|_| out.extend(far.feed(&[])));
        assert_eq!(far.count("lan_full"), 0, "seed {seed}");
        assert!(far.count("recovered") >= 100, "seed {seed}");
        let mut expected = sent;
        out.sort();
        expected.sort();
        assert!(out == expected, "seed {seed}: {} of 1000", out.len());
    }
}

/// What the rooms still owe when they are told to stop is sent as soon as the ports take it.
#[test]
fn stopping_waits_for_full_ports() {
    let mut near = Near::new(EPOCH);
    near.lan.bring(frames(1, 20));
    near.wan.takes.lock().unwrap().extend([0; 12]);
    near.room.poll(1000);
    assert!(!near.room.finish(2000));
    let turns = (0..100).take_while(|_| !near.room.finish(3000)).count();
    assert!((1..100).contains(&turns), "{turns}");
    let packets = near.wan.take_sent();
    assert_eq!(packets.iter().filter_map(|packet| sequence(packet)).count(), 20);
    assert_eq!(near.count("repair_sent") as usize, packets.len() - 20);

    // Of 20 frames the last is lost, and its repairs come in the same burst.
    let mut far = Far::new();
    far.lan.takes.lock().unwrap().extend([0; 5]);
    far.wan.bring(packets.into_iter().filter(|packet| sequence(packet) != Some(19)));
    far.room.poll(1000);
    assert!(!far.room.finish(2000));
    let turns = (0..100).take_while(|_| !far.room.finish(3000)).count();
    assert!((1..100).contains(&turns), "{turns}");
    assert_eq!((far.lan.take_sent().len(), far.count("recovered")), (20, 1));
}

/// Of packets 0 to `last` number 1 is lost, and 256 may be held behind it; the LAN port takes nothing for a while, from
/// the last of them on. How many come out, how many find the port full, and how many are held.
fn held_and_full(last: usize, stopping: bool) -> (usize, u64, u64) {
    // The fewest that are ever held.
    let limit = Limit { rate: 1_000_000, overload: Overload::Reserve, queue: 1 << 20 };
    let blueprint = Blueprint {
        resequence: 1_000_000_000,
        limit: Some(limit),
        ..crate::harness::blueprint(Side::East)
    };
    assert_eq!(blueprint.held_packets(), 256);
    let mut near = Near::new(EPOCH);
    let mut packets = near.send(&frames(1, last + 1));
    packets.retain(|packet| packet[SHIM] >> 2 & 3 == 0);
    packets.remove(1);
    let mut far = Far::of(&blueprint);
    let (early, late) = packets.split_at(packets.len() - 1);
    let mut out = far.feed(early);
    far.lan.takes.lock().unwrap().extend([0; 300]);
    if stopping {
        while !far.room.finish(far.now) {}
    } else {
        out.extend(far.feed(late));
    }
    for _ in 0..1000 {
        out.extend(far.feed(&[]));
    }
    (out.len(), far.count("lan_full"), far.count("held"))
}

/// What is held behind a hole waits for a port that is full, like everything else.
#[test]
fn what_is_held_waits_for_a_full_port() {
    // 0, then 2 to 257: the last finds no room among those that are held.
    assert_eq!(held_and_full(257, false), (257, 0, 0));
    assert_eq!(held_and_full(250, true), (249, 0, 0));
}
