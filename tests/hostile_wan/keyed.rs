//! With keys: somebody on the WAN who knows everything but those gets nothing into the LAN, and costs
//! no frame.

use maelstrom::fec::Members;
use maelstrom::gateway::{Blueprint, Oversize, Side};
use maelstrom::wire::repair::emit_keyed;
use maelstrom::wire::seal::{
    KEYED_SHIM_LEN, Mode, Opening, Purpose, Sealer, Sealing, SessionKey, source_shim,
};

use crate::common::Random;
use crate::harness::{EPOCH, Far, Near, SHIM, WEST, blueprint, frames, source};

const MODES: [Mode; 2] = [Mode::Tag, Mode::Seal];

fn session(n: u8) -> SessionKey {
    SessionKey::new([n; 32])
}

fn keyed(side: Side, mode: Mode) -> Blueprint {
    // Whatever it says of what comes unprotected.
    Blueprint { keys: Some(mode), oversize: Oversize::Bypass, ..blueprint(side) }
}

fn near(mode: Mode, epoch: u32, key: u8) -> Near {
    let mut near = Near::of(&keyed(Side::West, mode), epoch);
    near.room.set_keys(Sealing::new(&session(key), mode, WEST));
    near
}

fn opening(mode: Mode, epoch: u32, key: u8) -> Opening {
    Opening::new(&session(key), mode, WEST, epoch, 1600)
}

fn far(mode: Mode, epoch: u32, key: u8) -> Far {
    let mut far = Far::of(&keyed(Side::East, mode));
    far.room.set_keys(epoch, opening(mode, epoch, key));
    far
}

/// Every counter but those of what came in and of what was refused.
fn good(far: &Far) -> Vec<(&'static str, u64)> {
    let counters = far.room.counters();
    let refused: Vec<&str> = counters.rejected().map(|(name, _)| name).collect();
    let kept = |name: &str| !name.starts_with("wan_in") && !refused.contains(&name);
    counters.each().filter(|(name, _)| kept(name)).collect()
}

#[test]
fn a_keyed_pair_repairs_what_is_lost() {
    for mode in MODES {
        let (mut near, mut far) = (near(mode, EPOCH, 1), far(mode, EPOCH, 1));
        far.works(&mut near);
        far.works(&mut near);
        assert_eq!(far.refusals(), []);
    }
}

#[test]
fn frames_are_readable_in_mode_tag_only() {
    let sent = frames(1, 40);
    for mode in MODES {
        let packets = near(mode, EPOCH, 1).send(&sent);
        let readable = |frame: &Vec<u8>| {
            packets.iter().any(|packet| packet.windows(40).any(|bytes| bytes == &frame[20..60]))
        };
        assert_eq!(
            sent.iter().filter(|frame| readable(frame)).count(),
            match mode {
                Mode::Tag => sent.len(),
                Mode::Seal => 0,
            }
        );
    }
}

#[test]
fn without_a_session_nothing_is_sent_and_nothing_believed() {
    let sent = frames(2, 100);
    let mut silent = Near::of(&keyed(Side::West, Mode::Tag), EPOCH);
    assert_eq!(silent.send(&sent), Vec::<Vec<u8>>::new());
    assert_eq!((silent.count("no_keys"), silent.count("source_sent")), (100, 0));
    let packets = near(Mode::Tag, EPOCH, 1).send(&sent);
    let mut deaf = Far::of(&keyed(Side::East, Mode::Tag));
    assert!(deaf.feed(&packets).is_empty());
    assert_eq!(deaf.refusals(), [("no_keys", packets.len() as u64)]);
    // Both begin as soon as they have keys.
    silent.room.set_keys(Sealing::new(&session(1), Mode::Tag, WEST));
    deaf.room.set_keys(EPOCH, opening(Mode::Tag, EPOCH, 1));
    deaf.works(&mut silent);
}

#[test]
fn both_ends_must_have_the_same_mode_and_key() {
    let sent = frames(3, 50);
    for (ours, theirs, key) in
        [(Mode::Tag, Mode::Seal, 1), (Mode::Seal, Mode::Tag, 1), (Mode::Tag, Mode::Tag, 2)]
    {
        let packets = near(ours, EPOCH, 1).send(&sent);
        let mut far = far(theirs, EPOCH, key);
        assert!(far.feed(&packets).is_empty());
        assert_eq!(far.refusals(), [("bad_tag", packets.len() as u64)]);
    }
}

#[test]
fn what_has_no_tag_is_refused() {
    let mut far = far(Mode::Tag, EPOCH, 1);
    let frame = &frames(4, 1)[0];
    let mut off = source(WEST, EPOCH, 0, frame);
    off[SHIM] &= !3;
    assert!(far.feed(&[source(WEST, EPOCH, 0, frame), off, frame.clone()]).is_empty());
    assert_eq!(far.refusals(), [("bad_integrity", 2), ("foreign", 1)]);
}

#[test]
fn an_epoch_begins_with_the_first_packet_that_opens() {
    for mode in MODES {
        let (mut old, mut new) = (near(mode, EPOCH, 1), near(mode, EPOCH - 9, 2));
        let mut far = far(mode, EPOCH, 1);
        far.works(&mut old);
        // That there are keys ends nothing.
        far.room.set_keys(EPOCH - 9, opening(mode, EPOCH - 9, 2));
        far.works(&mut old);
        let late = old.send(&frames(5, 10));
        // A forgery ends nothing either.
        let mut forged = near(mode, EPOCH - 9, 3).send(&frames(6, 10));
        forged.truncate(5);
        assert!(far.feed(&forged).is_empty());
        far.works(&mut old);
        let first = new.send(&frames(7, 1));
        assert_eq!(far.feed(&first[..1]), frames(7, 1));
        far.works(&mut new);
        let refused = far.count("no_keys");
        assert!(far.feed(&late).is_empty());
        assert_eq!(far.count("no_keys") - refused, late.len() as u64);
        assert_eq!(far.count("bad_tag"), 5);
    }
}

#[test]
fn an_epoch_goes_on_under_other_keys() {
    for mode in MODES {
        let (mut near, mut far) = (near(mode, EPOCH, 1), far(mode, EPOCH, 1));
        far.works(&mut near);
        near.room.set_keys(Sealing::new(&session(2), mode, WEST));
        far.room.set_keys(EPOCH, opening(mode, EPOCH, 2));
        far.works(&mut near);
        assert_eq!(far.refusals(), []);
    }
}

/// With the key in hand, but not the truth: what is rebuilt from a lie is refused.
#[test]
fn a_sealed_lie_rebuilds_nothing() {
    for mode in MODES {
        let mut far = far(mode, EPOCH, 1);
        let sealer = Sealer::new(&session(1), Purpose::Source, mode, WEST);
        let repairer = Sealer::new(&session(1), Purpose::Repair, mode, WEST);
        let sent = frames(8, 4).into_iter().map(|frame| frame[..60].to_vec()).collect::<Vec<_>>();
        let mut checks = Vec::new();
        let mut packets = Vec::new();
        for (seq, frame) in (0..).zip(&sent) {
            let mut packet = source(WEST, EPOCH, seq, frame);
            packet.truncate(SHIM);
            packet.extend(source_shim(WEST, EPOCH, seq, 60).emit());
            packet.extend([0; 8]);
            packet.extend(frame);
            checks.push(sealer.seal(seq, &mut packet[SHIM..], KEYED_SHIM_LEN).unwrap());
            packets.push(packet);
        }
        let sum = |of: &[usize]| {
            let mut bytes = vec![0; 60];
            for &n in of {
                bytes.iter_mut().zip(&sent[n]).for_each(|(sum, byte)| *sum ^= byte);
            }
            (of.iter().fold(0, |sum, &n| sum ^ checks[n]), bytes)
        };
        let mut number = 0;
        let mut claim = |far: &mut Far, (checks, bytes): (u64, Vec<u8>)| {
            let members = Members::single(0, 1, 3).unwrap();
            let lie = maelstrom::fec::Repair {
                members: &members,
                layer: 0,
                code_id: 0,
                flushed: false,
                lengths: 60,
                checks,
                bytes: &bytes,
            };
            number += 1;
            let mut packet = packets[0][..SHIM].to_vec();
            packet.resize(SHIM + maelstrom::wire::repair::keyed_packet_len(&lie), 0);
            assert!(emit_keyed(&lie, WEST, EPOCH, number, &repairer, &mut packet[SHIM..]));
            far.feed(&[packet])
        };
        assert_eq!(
            far.feed(&[packets[0].clone(), packets[2].clone(), packets[3].clone()]).len(),
            3
        );
        assert!(claim(&mut far, sum(&[0, 1, 3])).is_empty());
        let (right, bytes) = sum(&[0, 1, 2]);
        assert!(claim(&mut far, (right ^ 1, bytes.clone())).is_empty());
        assert_eq!(far.refusals(), [("bad_rebuilt", 2)]);
        assert_eq!(claim(&mut far, (right, bytes)), [sent[1].clone()]);
    }
}

/// One packet of somebody without the key, made of what went over the WAN.
fn hostile(random: &mut Random, seen: &[Vec<u8>], others: &[Vec<u8>], frame: &[u8]) -> Vec<u8> {
    let pick = |random: &mut Random, from: &[Vec<u8>]| {
        from[random.below(from.len() as u64) as usize].clone()
    };
    let mut packet = pick(random, seen);
    let len = packet.len() as u64;
    match random.below(12) {
        // A bit of the headers that are looked at, or of anything. The outer addresses are not.
        0 => flip(random, &mut packet, 64),
        1..=2 => flip(random, &mut packet, len),
        3 => packet.truncate(1 + random.below(len - 1) as usize),
        4 => {
            let tail = pick(random, seen);
            let at = SHIM + 8 + random.below(24) as usize;
            packet.truncate(at);
            packet.extend(&tail[at..]);
        }
        5 => random.fill(&mut packet[SHIM + 16..]),
        6 => packet[SHIM + 8..SHIM + 16]
            .copy_from_slice(&(random.next() >> (2 + random.below(60))).to_be_bytes()),
        7 => packet[SHIM + 1] = random.next() as u8 | 1,
        8 => packet = pick(random, others),
        // A right check, or none, under any number, of this or a later epoch.
        9 => packet = source(WEST, EPOCH + random.below(2) as u32, random.below(500), frame),
        10 => {
            packet = source(WEST, EPOCH, random.below(500), frame);
            packet[SHIM] &= !3;
        }
        _ => packet = frame.to_vec(),
    }
    // A change may be none, or make it another good packet.
    if seen.contains(&packet) {
        let len = packet.len() as u64;
        flip(random, &mut packet, len);
    }
    packet
}

fn flip(random: &mut Random, packet: &mut [u8], within: u64) {
    let span = within.min(packet.len() as u64) - 12;
    let at = 12 + random.below(span) as usize;
    packet[at] ^= 1 << random.below(8);
}

/// Some thousands of forged and mutated packets a seed between the good ones, of which some are lost.
#[test]
fn a_stranger_changes_nothing() {
    for seed in 0..12 {
        let mode = MODES[seed as usize % 2];
        let mut random = Random(seed + 100);
        let sent = frames(seed, 400);
        let packets = near(mode, EPOCH, 1).send(&sent);
        let others: Vec<_> =
            [near(mode, EPOCH, 2), near(mode, EPOCH - 5, 1), near(mode, EPOCH + 5, 1)]
                .iter_mut()
                .flat_map(|near| near.send(&frames(seed ^ 0xFF, 30)))
                .collect();
        let arriving: Vec<_> = packets.iter().filter(|_| random.below(12) > 0).cloned().collect();
        let (mut alone, mut beset) = (far(mode, EPOCH, 1), far(mode, EPOCH, 1));
        let (mut expected, mut out) = (Vec::new(), Vec::new());
        let mut count = 0;
        for (n, packet) in arriving.iter().enumerate() {
            expected.extend(alone.feed(std::slice::from_ref(packet)));
            let mut wire = vec![packet.clone()];
            for _ in 0..random.below(12) {
                let strange = hostile(&mut random, &packets[..n + 1], &others, &sent[n % 400]);
                wire.insert(random.below(wire.len() as u64 + 1) as usize, strange);
                count += 1;
            }
            out.extend(beset.feed(&wire));
        }
        assert!(out == expected, "seed {seed}: {} came out, {} should", out.len(), expected.len());
        assert_eq!(good(&alone), good(&beset), "seed {seed}");
        let refused: u64 = beset.refusals().iter().map(|(_, count)| count).sum();
        assert_eq!(refused, count, "seed {seed}: {:?}", beset.refusals());
        assert!(count > 1_500 && beset.count("recovered") > 0, "seed {seed}: {count}");
    }
}

/// Whatever went over the WAN comes again, any number of times and in any order.
#[test]
fn a_replay_delivers_nothing_twice() {
    for seed in 0..10 {
        let mode = MODES[seed as usize % 2];
        let mut random = Random(seed + 200);
        let sent = frames(seed, 400);
        let packets = near(mode, EPOCH, 1).send(&sent);
        let arriving: Vec<_> = packets.iter().filter(|_| random.below(12) > 0).cloned().collect();
        let (mut alone, mut beset) = (far(mode, EPOCH, 1), far(mode, EPOCH, 1));
        let mut expected = alone.feed(&arriving);
        let mut out = Vec::new();
        for n in 0..arriving.len() {
            // Nothing that was lost comes: it would be a good packet that is late.
            let again = (0..random.below(8)).map(|_| random.below(n as u64 + 1) as usize);
            let wire: Vec<_> =
                std::iter::once(n).chain(again).map(|n| arriving[n].clone()).collect();
            out.extend(beset.feed(&wire));
        }
        expected.sort();
        out.sort();
        assert!(out == expected, "seed {seed}: {} came out, {} should", out.len(), expected.len());
        assert_eq!(beset.count("recovered"), alone.count("recovered"), "seed {seed}");
        assert!(beset.count("duplicates_suppressed") > 500, "seed {seed}");
        // An earlier session of the same epoch, heard by one that has begun anew.
        let mut anew = far(mode, EPOCH, 2);
        assert!(anew.feed(&packets).is_empty());
        assert_eq!(anew.refusals(), [("bad_tag", packets.len() as u64)], "seed {seed}");
    }
}
