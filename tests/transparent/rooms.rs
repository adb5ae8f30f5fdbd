//! The rooms over DPDK's rings in virtual time: what is sent and what comes out, byte for byte.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use maelstrom::dpdk::Burst;
use maelstrom::gateway::transparent::Protect;
use maelstrom::gateway::{Blueprint, LinkLocal, Receive, Room, Side, Transmit};

use crate::channel::{Random, frame_of};
use crate::wan::{ETHERTYPE, Pair, blueprint, is_ours, pool};

/// Different frames of 60 bytes and more, up to `longest`.
pub fn frames(seed: u64, count: u64, longest: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let longer = |n: u64| {
        let mut frame = frame_of(seed << 32 | n);
        let len = 60 + random.below(longest - 59) as usize;
        while frame.len() < len {
            frame.push(random.next() as u8);
        }
        frame.truncate(len);
        frame
    };
    (0..count).map(longer).collect()
}

pub fn sorted(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.sort();
    frames
}

/// Whether `part` is found in `all` in that order.
fn in_order(part: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    part.iter().all(|frame| all.any(|other| other == frame))
}

#[test]
fn frames_cross_as_they_are_and_lost_ones_are_rebuilt() {
    let mut pair = Pair::new(&blueprint(), 1);
    let sent = frames(1, 2000, 1514);
    let wire = pair.send(&sent);
    let (repairs, sources): (Vec<_>, Vec<_>) = wire.iter().cloned().partition(|p| is_ours(p));
    assert!(sources == sent, "something was done to a frame");
    assert_eq!(pair.near("source_sent"), 2000);
    // With a WAN's MTU of 1500, a repair of full frames takes two packets, and none is longer.
    assert!(wire.iter().all(|packet| packet.len() <= 1514));
    assert!(pair.near("repair_split") > pair.near("repair_sent") / 2);
    assert!(repairs.len() as u64 > pair.near("repair_sent"));
    let mut random = Random(2);
    let arriving: Vec<Vec<u8>> = wire.into_iter().filter(|_| !random.hit(0.01)).collect();
    let out = pair.receive(&arriving);
    assert!(sorted(out.clone()) == sorted(sent), "{} of 2000 came out", out.len());
    let came: Vec<Vec<u8>> = arriving.into_iter().filter(|packet| !is_ours(packet)).collect();
    assert_eq!(pair.far("recovered"), 2000 - came.len() as u64);
    assert!(in_order(&came, &out), "frames that were not lost changed places");
    assert_eq!(pair.far("bad_rebuilt"), 0);
}

/// Each frame goes when it comes, whatever repairs are due.
#[test]
fn nothing_waits_for_a_repair() {
    let mut pair = Pair::new(&blueprint(), 1);
    for frame in frames(3, 300, 200) {
        pair.bring(std::slice::from_ref(&frame));
        assert_eq!(pair.turn_near().first(), Some(&frame));
    }
}

#[test]
fn a_repair_that_lost_a_part_is_lost() {
    let mut pair = Pair::new(&blueprint(), 1);
    let wire = pair.send(&frames(4, 400, 1514));
    let mut lost = 0;
    let parts = |packet: &[u8]| (packet[14 + 28], packet[14 + 29]);
    let arriving = wire.into_iter().filter(|packet| {
        let lose = is_ours(packet) && parts(packet) == (1, 2);
        lost += u64::from(lose);
        !lose
    });
    let arriving: Vec<Vec<u8>> = arriving.collect();
    assert!(lost > 80);
    assert_eq!(pair.receive(&arriving).len(), 400);
    assert_eq!(pair.far("repair_incomplete"), lost - 64);
}

#[test]
fn what_the_mtu_allows_is_protected_and_nothing_longer_crosses() {
    let mut pair = Pair::new(&blueprint(), 1);
    let mut tagged = vec![7; 1518];
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    let mut longest = vec![8; 1514];
    longest[12..14].copy_from_slice(&[8, 6]);
    let mut longer = longest.clone();
    longer.push(8);
    let wire = pair.send(&[tagged.clone(), longer, longest.clone()]);
    assert_eq!((pair.near("too_large"), pair.near("source_sent")), (1, 2));
    assert!(wire[..2] == [tagged.clone(), longest]);
    // And it is rebuilt.
    let out = pair.receive(&wire[1..]);
    assert!(out.contains(&tagged));
}

#[test]
fn what_must_not_cross_is_counted() {
    let mut pair = Pair::new(&blueprint(), 1);
    let with = |destination: [u8; 6], ethertype: u16| {
        let mut frame = vec![7; 60];
        frame[..6].copy_from_slice(&destination);
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        frame
    };
    let bridges = with([1, 0x80, 0xC2, 0, 0, 0], 0x88CC);
    let ours = with([2; 6], ETHERTYPE);
    assert!(pair.send(&[vec![1; 13], bridges.clone(), ours.clone()]).is_empty());
    for name in ["runt", "link_local_dropped", "own_ethertype"] {
        assert_eq!(pair.near(name), 1, "{name}");
    }
    // From the WAN likewise, and whatever bears our EtherType is one of our packets or none at all.
    assert!(pair.receive(&[vec![1; 13], bridges.clone(), ours]).is_empty());
    assert_eq!((pair.far("truncated"), pair.far("foreign"), pair.far("bad_version")), (1, 1, 1));
    let pass = Blueprint { link_local: LinkLocal::Pass, ..blueprint() };
    let mut pair = Pair::new(&pass, 1);
    let wire = pair.send(std::slice::from_ref(&bridges));
    assert_eq!(pair.receive(&wire), [bridges]);
}

/// A wire would pad them, so the gateway does, and both ends know them by one name.
#[test]
fn short_frames_are_padded_as_on_any_wire() {
    let mut pair = Pair::new(&blueprint(), 1);
    let short = vec![7; 42];
    let padded = [&short[..], &[0; 18]].concat();
    let wire = pair.send(std::slice::from_ref(&short));
    assert_eq!(wire[0], padded);
    assert_eq!(pair.receive(&wire[1..]), [padded]);
}

/// A host that sends one frame over and over.
#[test]
fn repeats_are_counted_not_assumed_away() {
    let mut pair = Pair::new(&blueprint(), 1);
    let arp = frames(5, 1, 100).remove(0);
    let mut sent = frames(6, 500, 300);
    (0..500).step_by(10).for_each(|n| sent[n] = arp.clone());
    let wire = pair.send(&sent);
    let mut random = Random(6);
    let arriving: Vec<Vec<u8>> = wire.into_iter().filter(|_| !random.hit(0.02)).collect();
    let out = pair.receive(&arriving);
    assert!(sorted(out) == sorted(sent));
}

/// The near gateway is started anew; the far one goes on, and nothing comes twice.
#[test]
fn a_new_epoch_is_taken_up() {
    let mut pair = Pair::new(&blueprint(), 1);
    let first = frames(7, 200, 300);
    let wire = pair.send(&first);
    assert_eq!(pair.receive(&wire).len(), 200);
    pair.restart_near(2);
    let second = frames(8, 400, 300);
    let wire = pair.send(&second);
    let lost = |n: usize| n > 200 && n.is_multiple_of(50);
    let arriving: Vec<Vec<u8>> =
        wire.iter().enumerate().filter(|(n, _)| !lost(*n)).map(|(_, p)| p.clone()).collect();
    let out = pair.receive(&arriving);
    assert!(sorted(out) == sorted(second));
    assert!(pair.far("recovered") >= 4 && pair.far("unconfirmed") > 0);
    // What is left of the old one is stale.
    pair.restart_near(1);
    let wire = pair.send(&frames(9, 60, 100));
    let (stale, out) = (pair.far("stale_epoch"), pair.receive(&wire));
    assert_eq!(out.len(), 60);
    assert!(pair.far("stale_epoch") > stale);
}

/// Whatever comes under our EtherType, nothing of it gets out, and what is good goes on.
#[test]
fn mutated_repairs_deliver_nothing_that_nobody_sent() {
    let mut pair = Pair::new(&blueprint(), 1);
    let sent = frames(10, 600, 300);
    let wire = pair.send(&sent);
    let mut random = Random(11);
    let mut arriving = Vec::new();
    for packet in wire {
        if !is_ours(&packet) {
            if !random.hit(0.02) {
                arriving.push(packet);
            }
            continue;
        }
        for _ in 0..4 {
            let mut bad = packet.clone();
            match random.below(3) {
                0 => bad.truncate(14 + random.below(packet.len() as u64 - 13) as usize),
                1 => bad.extend([9; 7]),
                _ => {}
            }
            for _ in 0..random.below(3) {
                let at = 14 + random.below(bad.len().max(15) as u64 - 14) as usize;
                if let Some(byte) = bad.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            arriving.push(bad);
        }
        arriving.push(packet);
    }
    let out = pair.receive(&arriving);
    assert!(sorted(out) == sorted(sent));
    assert!(pair.far("bad_check") > 100);
}

#[test]
fn a_full_lan_loses_no_order_and_a_full_wan_no_repair() {
    let mut pair = Pair::tight(&blueprint(), 1);
    let sent = frames(12, 1000, 300);
    let wire = pair.send(&sent);
    let sources: Vec<Vec<u8>> = wire.iter().filter(|p| !is_ours(p)).cloned().collect();
    assert!(sources == sent);
    let mut random = Random(13);
    let arriving: Vec<Vec<u8>> = wire.into_iter().filter(|_| !random.hit(0.01)).collect();
    let out = pair.receive(&arriving);
    assert_eq!(out.len() as u64 + pair.far("lan_full"), 1000);
    assert_eq!(pair.near("repair_no_mbuf"), 0);
}

#[test]
fn jumbo_frames_cross_a_circuit_of_their_own_mtu() {
    let blueprint = Blueprint { wan_mtu: 9000, lan_frame: 9022, ..blueprint() };
    assert_eq!(blueprint.side, Side::West);
    let mut pair = Pair::new(&blueprint, 1);
    let sent = frames(14, 300, 9014);
    let mut wire = pair.send(&sent);
    assert!(pair.near("repair_split") > 0);
    wire.remove(100);
    assert!(sorted(pair.receive(&wire)) == sorted(sent));
}

/// A port made of a list of frames that come and one of how much it takes in each call, at last all.
#[derive(Clone, Default)]
struct Port {
    waiting: Arc<Mutex<VecDeque<Vec<u8>>>>,
    takes: Arc<Mutex<VecDeque<usize>>>,
}

impl Receive for Port {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let mut waiting = self.waiting.lock().unwrap();
        while !burst.is_full()
            && let Some(bytes) = waiting.pop_front()
        {
            burst.push(pool().copy_of(&bytes).unwrap());
        }
    }
}

impl Transmit for Port {
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        let takes = self.takes.lock().unwrap().pop_front().unwrap_or(usize::MAX);
        burst.drain(..takes.min(burst.len()));
    }
}

#[test]
fn repairs_that_wait_in_the_encoder_make_the_lan_wait() {
    let code = "1:1,1,1,1".parse().unwrap();
    let blueprint = Blueprint { sparse: None, code, ..blueprint() };
    let (lan, wan) = (Port::default(), Port::default());
    let config = blueprint.protect_transparent(0, 1, [2; 6], [4; 6]);
    let mut room = Protect::new(config, lan.clone(), wan.clone(), pool());
    wan.takes.lock().unwrap().extend([0, 40].repeat(2000));
    lan.waiting.lock().unwrap().extend(frames(1, 640, 300));
    let mut now = 0;
    while !lan.waiting.lock().unwrap().is_empty() {
        now += 1000;
        room.poll(now);
    }
    while let Some(next) = room.next_deadline() {
        now = next.max(now + 1);
        room.poll(now);
    }
    while !room.finish(now) {}
    let counters = room.counters();
    let count = |name: &str| counters.each().find(|(n, _)| *n == name).unwrap().1;
    let repairs = ["repair_shed", "repair_sent", "repair_no_mbuf"].map(count);
    assert_eq!(repairs, [0, 4 * 640, 0]);
}
