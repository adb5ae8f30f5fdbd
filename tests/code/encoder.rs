//! The encoder against the definition.

use std::collections::BTreeSet;

use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, Encoder, EncoderConfig, Timing};
use maelstrom::wire::repair::{REPAIR_LEN, emit, packet_len};
use maelstrom::wire::{RepairHeader, Shim};
use proptest::prelude::*;

use crate::channel::{MAX_FRAME, Packet, Random, Repair, Sender, code, frame_of, key};
use crate::naive::{assert_is_xor, fills, groups, leaving};
use crate::scenario::any_code;

fn members(repair: &Repair) -> Vec<u64> {
    repair.content.members.iter().collect()
}

/// The repairs in `wire`, checked to be right sums.
fn repairs(wire: &[Packet]) -> impl Iterator<Item = &Repair> {
    wire.iter().filter_map(|packet| match packet {
        Packet::Repair(repair) => {
            assert_is_xor(repair);
            Some(repair)
        }
        Packet::Source { .. } => None,
    })
}

/// Every packet is in exactly one repair of every layer.
fn assert_covered_once(code: &Code, wire: &[Packet], packets: u64) {
    for layer in 0..code.layers().len() {
        let of_layer = repairs(wire).filter(|repair| usize::from(repair.layer) == layer);
        let mut covered: Vec<u64> = of_layer.flat_map(members).collect();
        covered.sort_unstable();
        assert!(covered.into_iter().eq(0..packets), "layer {layer} of {code}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Groups, their members, the order of the repairs and the moment at which each leaves.
    #[test]
    fn sends_what_the_definition_says(code in any_code(), packets in 1u64..2000) {
        let mut sender = Sender::new(&code);
        for seq in 0..packets {
            let mut wire = Vec::new();
            sender.send(1, &mut wire);
            let sent: Vec<_> = repairs(&wire).map(|repair| (repair.layer, members(repair))).collect();
            prop_assert_eq!(sent, leaving(&code, seq), "behind packet {}", seq);
            prop_assert!(repairs(&wire).all(|repair| !repair.flushed));
        }
        prop_assert_eq!(sender.encoder.shed(), 0);
    }

    /// A flush sends what is left, merging only groups that are open, none of them twice. Groups of
    /// one packet each may be merged into a single run of another stride.
    #[test]
    fn a_flush_covers_the_rest(code in any_code(), packets in 1u64..1000) {
        let mut sender = Sender::new(&code);
        let mut wire = Vec::new();
        sender.send(packets, &mut wire);
        let mut flushed = Vec::new();
        sender.flush(&mut flushed);
        for repair in repairs(&flushed) {
            prop_assert!(repair.flushed);
            let layer = code.layers()[usize::from(repair.layer)];
            let groups: BTreeSet<Vec<u64>> = groups(layer, packets).into_values().collect();
            let members = &repair.content.members;
            let lone = members.stride() != layer.interleave;
            for member in members.iter().filter(|_| lone) {
                prop_assert!(groups.contains(&vec![member]), "{member} is not alone in {code}");
            }
            for run in members.runs().filter(|_| !lone) {
                let run: Vec<u64> = (0..u64::from(run.count))
                    .map(|k| run.base + k * u64::from(layer.interleave))
                    .collect();
                prop_assert!(groups.contains(&run), "{:?} is no group of {}", run, code);
            }
        }
        wire.append(&mut flushed);
        assert_covered_once(&code, &wire, packets);
        let mut more = Vec::new();
        sender.flush(&mut more);
        prop_assert!(more.is_empty(), "a second flush has nothing to send");
    }

    /// What comes behind a flush goes on with the definition's group boundaries.
    #[test]
    fn groups_go_on_behind_a_flush(code in any_code(), first in 1u64..300, second in 1u64..300) {
        let mut sender = Sender::new(&code);
        let mut wire = Vec::new();
        sender.send(first, &mut wire);
        sender.flush(&mut wire);
        sender.send(second, &mut wire);
        sender.flush(&mut wire);
        assert_covered_once(&code, &wire, first + second);
        for repair in repairs(&wire).filter(|repair| !repair.flushed) {
            let layer = code.layers()[usize::from(repair.layer)];
            prop_assert!(fills(layer, repair.content.members.last()));
        }
    }

    /// A batch is entered as its packets one by one are, whatever has gone before: each repair says
    /// the same, and leaves between the same batches.
    #[test]
    fn a_batch_is_as_good_as_its_packets(
        code in any_code(),
        pause in prop_oneof![Just(0.0), 0.0f64..0.3],
        seed in any::<u64>(),
    ) {
        assert_batches_equal(&code, pause, seed);
    }

    /// Nothing is lost for want of memory, however 32 packets and the passing of time alternate.
    #[test]
    fn sheds_nothing_when_repairs_are_taken_every_32_packets(
        code in any_code(),
        pause in prop_oneof![Just(0.0), 0.0f64..0.2],
        seed in any::<u64>(),
    ) {
        assert_sheds_nothing(&code, 3000, pause, seed);
    }
}

fn assert_batches_equal(code: &Code, pause: f64, seed: u64) {
    let mut random = Random::new(seed);
    let mut senders = [(); 2].map(|()| Sender::with(code, Some(code.short()), Timing::new(code)));
    let mut now = 0;
    for _ in 0..100 {
        now += random.below(40_000);
        let first = senders[0].encoder.next_seq();
        let frames: Vec<_> = (first..=first + random.below(32)).map(frame_of).collect();
        let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
        let checks: Vec<u64> =
            (first..).zip(&frames).map(|(seq, frame)| key().check(seq, frame)).collect();
        assert_eq!(senders[0].encoder.push_batch(now, &frames, &checks), frames.len());
        for (frame, &check) in frames.iter().zip(&checks) {
            senders[1].encoder.push(now, check, frame);
        }
        if random.hit(pause) {
            now += random.below(4_000_000);
            senders.iter_mut().for_each(|sender| sender.encoder.poll(now));
        }
        let [batched, single] = senders.each_mut().map(|sender| {
            let mut wire = Vec::new();
            sender.take(&mut wire);
            // Within a batch, repairs of several layers may leave in another order.
            let mut said: Vec<_> = repairs(&wire).map(|repair| format!("{repair:?}")).collect();
            said.sort_unstable();
            said
        });
        assert!(batched == single, "{code} behind packet {first}");
    }
}

/// What can't be protected ends a batch.
#[test]
fn a_batch_ends_at_what_is_too_long_and_at_32() {
    let mut sender = Sender::new(&code("8:1"));
    let frame: &[u8] = &[1; MAX_FRAME];
    let long: &[u8] = &[1; MAX_FRAME + 1];
    assert_eq!(sender.encoder.push_batch(0, &[frame, long, frame], &[0; 3]), 1);
    assert_eq!(sender.encoder.push_batch(0, &[long], &[0]), 0);
    assert_eq!(sender.encoder.push_batch(0, &[frame; 40], &[0; 40]), 32);
    assert_eq!(sender.encoder.push_batch(0, &[frame; 3], &[0; 2]), 2);
    assert_eq!(sender.encoder.next_seq(), 35);
}

fn assert_sheds_nothing(code: &Code, packets: u64, pause: f64, seed: u64) {
    let mut random = Random::new(seed);
    let mut sender = Sender::with(code, Some(code.short()), Timing::new(code));
    let (mut now, mut wire) = (0, Vec::new());
    for n in 1..=packets {
        now += 1000;
        sender.push(now, &mut wire);
        if random.hit(pause) {
            now += random.below(4_000_000);
            sender.encoder.poll(now);
        }
        if n % 32 == 0 {
            sender.take(&mut wire);
        }
        assert_eq!(sender.encoder.shed(), 0, "{code} behind packet {n}");
    }
}

#[test]
fn long_and_extreme_codes_shed_nothing() {
    for text in [
        "1:1",
        "1:1+g16",
        "1:50+g2",
        "8:1,20,40",
        "8:1,10,100+g1",
        "8:300+g1",
        "8:300+g0.5",
        "8:300+g1.3",
        "2:1000+g1",
        "3:700+g2.5",
        "64:97,101,103,107+g1",
        "1024:1",
        "1024:3+g5",
        "1000:7",
        "20:97,101,103+g1",
        "8x1/64x101/64x103+g1",
        "4:16384+g0.1",
    ] {
        for (pause, seed) in [(0.0, 1), (0.05, 2), (0.001, 3)] {
            assert_sheds_nothing(&code(text), 100_000, pause, seed);
        }
    }
}

/// While the bins are gone through once, i packets, a layer sends i/r repairs, rounded up or down;
/// in any r·i packets exactly i. (Within a round they come in a run: neighbouring bins share their
/// stagger where i > r.)
#[test]
fn a_layer_sends_one_repair_for_every_r_packets() {
    for text in ["8:1", "8:40", "8:41", "8:100", "20:97", "64:107", "16:5", "20:7", "7:7", "1:9"] {
        let code = code(text);
        let layer = code.layers()[0];
        let (r, i) = (usize::from(layer.group), usize::from(layer.interleave));
        let mut sender = Sender::new(&code);
        let mut sent = Vec::new();
        for _ in 0..4 * r * i {
            let mut wire = Vec::new();
            sender.send(1, &mut wire);
            sent.push(wire.len() - 1);
        }
        for round in sent.chunks(i) {
            let repairs: usize = round.iter().sum();
            assert!((i / r..=i.div_ceil(r)).contains(&repairs), "{text}: {repairs}");
        }
        for stretch in sent.windows(r * i) {
            assert_eq!(stretch.iter().sum::<usize>(), i, "{text}");
        }
    }
}

#[test]
fn refuses_frames_that_are_too_long_without_numbering_them() {
    let mut sender = Sender::new(&code("8:1"));
    assert_eq!(sender.encoder.push(0, 0, &[0; MAX_FRAME + 1]), None);
    assert_eq!(sender.encoder.push(0, key().check(0, &[1]), &[1]), Some(0));
}

/// Whatever room a repair packet has beside the longest frame, a flush fits into it, is read back
/// from it, and covers everything.
#[test]
fn flushed_repairs_fit_into_their_packets() {
    let rooms = [16, 17, 22, 27, 28, 40, 100, 300];
    let codes = ["20:97,101,103+g1", "120:100,101,103", "1024:40,41,43"];
    for (room, text) in rooms.into_iter().flat_map(|room| codes.map(|text| (room, text))) {
        for packets in [1, 2, 7, 33, 40, 50, 97, 150, 500, 30_000] {
            let code = code(text);
            // So little that a pause's flush merges as much as it can.
            let timing = Timing { flush_cap: 0.001, ..Timing::new(&code) };
            let engine = Engine::detect();
            let config = EncoderConfig {
                code,
                sparse: None,
                timing,
                max_frame: MAX_FRAME,
                repair_room: room,
                engine,
            };
            let mut encoder = Encoder::new(&config);
            let mut covered = vec![0; packets];
            let mut take = |encoder: &mut Encoder| {
                while let Some(repair) = encoder.take_repair() {
                    let mut packet = vec![0; packet_len(&repair)];
                    assert!(packet.len() <= REPAIR_LEN + room, "{room} {packets}");
                    emit(&repair, 3, 7, None, &mut packet);
                    let (shim, rest) = Shim::parse(&packet).expect("a shim");
                    let (header, bytes) = RepairHeader::parse(&shim, rest, None).expect("a repair");
                    assert_eq!((&header.members, bytes), (repair.members, repair.bytes));
                    repair.members.iter().for_each(|seq| covered[seq as usize] += 1);
                }
            };
            for seq in 0..packets as u64 {
                let frame = frame_of(seq);
                encoder.push(0, key().check(seq, &frame), &frame);
                take(&mut encoder);
            }
            if room % 2 == 0 {
                encoder.poll(100_000_000);
            }
            encoder.flush();
            take(&mut encoder);
            assert!(covered.iter().all(|&times| times == 3), "{room} {packets}");
        }
    }
}
