//! What must come out of certain circuits.

use std::collections::BTreeSet;

use maelstrom::fec::DecoderConfig;
use maelstrom::fec::decoder::RepairFate;
use maelstrom::fec::named::{NameKey, NamedConfig};
use maelstrom::safety::burst::always_recovered;

use crate::channel::{Packet, Random, Receiver, Sender, code, config, frame_of, key};

/// `count` different frames from number `from` on, and their repairs.
fn stream(sender: &mut Sender, from: u64, count: u64) -> Vec<Packet> {
    let mut wire = Vec::new();
    (from..from + count).for_each(|n| sender.send(&frame_of(n), &mut wire));
    wire
}

fn frames(packets: &[Packet]) -> Vec<Vec<u8>> {
    let frame = |packet: &Packet| match packet {
        Packet::Frame(frame) => Some(frame.clone()),
        Packet::Repair(_) => None,
    };
    packets.iter().filter_map(frame).collect()
}

#[test]
fn every_burst_of_the_guaranteed_length_is_recovered() {
    let mut random = Random(1);
    for text in ["8:1,10,100+g1", "20:97,101+g1", "8:11,19,41+g2", "4:5,7+g1", "1:50+g1"] {
        let code = code(text);
        let length = always_recovered(&code) as usize;
        assert!(length > 1, "{text}");
        let span = code.span();
        let wire = stream(&mut Sender::new(&code), 0, 4 * span + 500);
        for _ in 0..15 {
            let start = wire.len() / 3 + random.below(wire.len() as u64 / 5) as usize;
            let burst = start..start + length;
            let mut receiver = Receiver::new(DecoderConfig::window_for(span), key());
            let mut out = receiver.all(&wire[..burst.start]);
            out.extend(receiver.all(&wire[burst.end..]));
            let out: Vec<Vec<u8>> = out.into_iter().map(|(frame, _)| frame).collect();
            let sent = frames(&wire);
            assert_eq!(out.len(), sent.len(), "{text}: {burst:?}");
            let out: BTreeSet<Vec<u8>> = out.into_iter().collect();
            assert!(sent.iter().all(|frame| out.contains(frame)), "{text}: {burst:?}");
        }
    }
}

/// One frame, over and over, with losses: in the end as many have come out as went in, but for the last
/// ones, which no repair that came stands for.
#[test]
fn of_equal_frames_as_many_come_out_as_went_in() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut sender = Sender::new(&code("8:5,7,9+g1"));
        let mut wire = Vec::new();
        for n in 0..5000u64 {
            // Mostly one frame, now and then another, and some that are their own.
            let frame = if n % 10 == 7 { frame_of(n) } else { frame_of((1 << 40) | (n % 50 / 49)) };
            sender.send(&frame, &mut wire);
        }
        sender.flush(&mut wire);
        let lost = |random: &mut Random| random.hit(0.02);
        let arriving: Vec<Packet> = wire.into_iter().filter(|_| !lost(&mut random)).collect();
        let arrived = frames(&arriving).len();
        let mut receiver = Receiver::new(1024, key());
        let out = receiver.all(&arriving);
        let rebuilt = out.iter().filter(|(_, rebuilt)| *rebuilt).count();
        assert!((4995..=5000).contains(&out.len()), "seed {seed}: {} came out", out.len());
        assert!(rebuilt >= 5000 - arrived - 5, "seed {seed}");
        // Few of the frames that came were taken for late ones.
        assert!(receiver.suppressed <= 10, "seed {seed}: {}", receiver.suppressed);
    }
}

#[test]
fn a_late_original_goes_no_further() {
    let wire = stream(&mut Sender::new(&code("4:1")), 0, 4);
    let [zero, one, two, three, repair] = &wire[..] else { panic!("{wire:?}") };
    let mut receiver = Receiver::new(64, key());
    let all = [zero, two, three, repair].map(Clone::clone);
    assert_eq!(receiver.all(&all).len(), 4);
    assert_eq!(receiver.all(std::slice::from_ref(one)), []);
    assert_eq!(receiver.suppressed, 1);
    // A second time it can only be a repeat, or the circuit doubles.
    assert_eq!(receiver.all(std::slice::from_ref(one)).len(), 1);
}

/// A repeat that comes right behind its rebuilt twin is taken for the late original; its own repair
/// brings it back.
#[test]
fn a_repeat_that_is_taken_for_late_is_rebuilt() {
    let mut sender = Sender::new(&code("4:1"));
    let mut wire = stream(&mut sender, 0, 4);
    sender.send(&frame_of(1), &mut wire);
    wire.extend(stream(&mut sender, 5, 3));
    wire.remove(1);
    let mut receiver = Receiver::new(64, key());
    let out = receiver.all(&wire);
    assert_eq!(out.len(), 8);
    assert_eq!(out.iter().filter(|(frame, _)| *frame == frame_of(1)).count(), 2);
    assert_eq!(receiver.suppressed, 1);
}

/// A circuit may bring what no gateway sent; as long as that is less than the window, nothing suffers,
/// and if it is more, nothing is delivered twice.
#[test]
fn strangers_do_not_make_frames_come_twice() {
    let sent = 600;
    let wire = stream(&mut Sender::new(&code("4:5,7+g1")), 0, sent);
    for strangers in [0, 1, 3, 20, 200] {
        let mut receiver = Receiver::new(256, key());
        let mut random = Random(strangers);
        let mut out = Vec::new();
        for (n, packet) in wire.iter().enumerate() {
            if !random.hit(0.03) {
                out.extend(receiver.all(std::slice::from_ref(packet)));
            }
            let many = if n.is_multiple_of(5) { 5 * strangers } else { 0 };
            for s in 0..many {
                let stranger = Packet::Frame(frame_of(1 << 50 | (n as u64) << 20 | s));
                assert_eq!(receiver.all(&[stranger]).len(), 1);
            }
        }
        let count = out.len() as u64;
        let all: BTreeSet<Vec<u8>> = out.into_iter().map(|(frame, _)| frame).collect();
        assert_eq!(all.len() as u64, count, "{strangers} strangers: some came twice");
        let least = if strangers <= 3 { sent - 5 } else { sent * 9 / 10 };
        assert!(count >= least, "{strangers} strangers: {count}");
    }
}

/// A circuit that rewrites frames: hardly anything has the name that repairs give it. What comes is
/// delivered, and after a while nothing else is.
#[test]
fn a_circuit_that_changes_frames_is_found_out() {
    let mut sender = Sender::new(&code("1:1"));
    let mut receiver = Receiver::new(1024, key());
    let mut rebuilt = 0;
    for n in 0..2000 {
        let mut wire = stream(&mut sender, n, 1);
        let Packet::Frame(frame) = &mut wire[0] else { panic!() };
        frame.push(0);
        rebuilt += receiver.all(&wire).iter().filter(|(_, rebuilt)| *rebuilt).count();
    }
    assert!(rebuilt < 100, "{rebuilt}");
    assert_eq!(receiver.decoder.estranged() + rebuilt as u64, 2000);
    // It is mended.
    for n in 2000..2100 {
        assert_eq!(receiver.all(&stream(&mut sender, n, 1)).len(), 1);
    }
    assert_eq!(receiver.all(&stream(&mut sender, 2100, 1)[1..]), [(frame_of(2100), true)]);
}

#[test]
fn a_receiver_that_comes_later_rebuilds_nothing_from_before_its_time() {
    let mut sender = Sender::new(&code("2:3,5"));
    stream(&mut sender, 0, 2000);
    let wire = stream(&mut sender, 2000, 200);
    let mut receiver = Receiver::new(1024, key());
    let out = receiver.all(&wire);
    let early = out.iter().filter(|(_, rebuilt)| *rebuilt).count();
    assert_eq!((out.len(), early), (200, 0));
    let wire = stream(&mut sender, 2200, 200);
    let losing: Vec<Packet> =
        wire.iter().enumerate().filter(|(n, _)| n % 40 != 3).map(|(_, p)| p.clone()).collect();
    assert!(frames(&losing).len() < 200);
    assert!(receiver.all(&losing).len() > 195);
}

/// The sender is started anew: frames that came before its first repair are its own, and known.
#[test]
fn a_new_epoch_forgets_and_renames() {
    let mut receiver = Receiver::new(1024, key());
    let mut old = Sender::new(&code("4:1"));
    assert_eq!(receiver.all(&stream(&mut old, 0, 18)).len(), 18);
    let other = NameKey::new(3, 8);
    let mut new = Sender { key: other, ..Sender::new(&code("4:1")) };
    let wire = stream(&mut new, 100, 8);
    // The first frames are here before anyone knows of the epoch.
    assert_eq!(receiver.all(&wire[..4]).len(), 4);
    receiver.decoder.restart(other);
    assert_eq!(receiver.all(&wire[4..5]), []);
    assert_eq!(receiver.fates.last(), Some(&RepairFate::Redundant));
    // One of the second group is lost.
    let losing = [&wire[5..6], &wire[7..]].concat();
    let out = receiver.all(&losing);
    assert_eq!((out.len(), out.last()), (4, Some(&(frame_of(105), true))));
}

#[test]
fn a_jump_is_named_and_followed() {
    let mut sender = Sender::new(&code("4:1"));
    let mut receiver = Receiver::new(64, key());
    receiver.all(&stream(&mut sender, 0, 8));
    stream(&mut sender, 8, 100);
    let wire = stream(&mut sender, 108, 4);
    receiver.all(&wire);
    assert_eq!(receiver.fates.last(), Some(&RepairFate::Jump));
    receiver.decoder.jump_to(112);
    let wire = stream(&mut sender, 112, 4);
    let out = receiver.all(&wire[1..]);
    assert_eq!(out.last(), Some(&(frame_of(112), true)));
}

/// Contradictions do nothing but count.
#[test]
fn repairs_that_lie_are_refused() {
    let mut sender = Sender::new(&code("2:1"));
    let wire = stream(&mut sender, 0, 4);
    let lie = |change: &dyn Fn(&mut crate::channel::Repair)| {
        let mut receiver = Receiver::new(64, key());
        let mut wire = wire.clone();
        let Packet::Repair(repair) = &mut wire[5] else { panic!() };
        change(repair);
        wire.remove(3);
        let out = receiver.all(&wire);
        assert_eq!(out.len(), 3);
        assert_eq!(receiver.decoder.refused(), 1);
    };
    lie(&|repair| repair.lengths ^= 1);
    lie(&|repair| repair.lengths ^= 0x4000);
    lie(&|repair| repair.checks ^= 1);
    lie(&|repair| repair.xor[3] ^= 1);
    lie(&|repair| repair.xor[20] ^= 1);
    lie(&|repair| repair.xor.truncate(20));
    lie(&|repair| repair.xor.extend([0; 100]));
    lie(&|repair| repair.names[0][0] ^= 1);
    lie(&|repair| repair.names.truncate(1));
    lie(&|repair| repair.next = 3);
}

/// Routers on the way: what they changed does not keep a frame from being known, and where they are
/// expected, what is rebuilt is what they would have made of it.
#[test]
fn routed_circuits_are_repaired() {
    let ip = |n: u64, ttl: u8| {
        let mut frame = vec![0; 70];
        frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        frame[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 56, 0, n as u8, 0, 0, ttl, 17]);
        frame[26..34].copy_from_slice(&[10, 1, 0, 1, 10, 2, 0, 1]);
        frame[40..48].copy_from_slice(&n.to_be_bytes());
        // Its header's checksum, over words 14 to 33.
        let sum: u32 = (14..34)
            .step_by(2)
            .map(|at| u32::from(frame[at]) << 8 | u32::from(frame[at + 1]))
            .sum();
        let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    };
    let router = |n: u64| {
        let mut frame = ip(n, 63);
        frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8]);
        frame
    };
    let mut wire = Vec::new();
    let mut sender = Sender::new(&code("4:1"));
    (0..4).for_each(|n| sender.send(&ip(n, 64), &mut wire));
    let mut arriving: Vec<Packet> = (0..4).map(|n| Packet::Frame(router(n))).collect();
    arriving.push(wire[4].clone());
    for routed in [false, true] {
        let mut receiver = Receiver::of(&NamedConfig { routed, ..config(64) }, key());
        assert_eq!(receiver.all(&arriving[..5]).len(), 4, "redundant");
        let mut receiver = Receiver::of(&NamedConfig { routed, ..config(64) }, key());
        let losing = [&arriving[..2], &arriving[3..]].concat();
        let out = receiver.all(&losing);
        match routed {
            true => assert_eq!(out.last(), Some(&(router(2), true))),
            false => assert_eq!((out.len(), receiver.decoder.refused()), (3, 1)),
        }
    }
}
