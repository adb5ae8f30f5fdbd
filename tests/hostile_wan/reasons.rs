//! Each thing that can be wrong with a packet has a counter, and is harmless.

use maelstrom::gateway::{Blueprint, Oversize, Side};

use crate::common::Random;
use crate::harness::{EAST, EPOCH, Far, Near, SHIM, WEST, bless, blueprint, frames, source};

/// What is done to a good source or repair packet, and the reason that counts it.
type Damage = (&'static str, fn(&mut Vec<u8>));

const TO_ANY: [Damage; 9] = [
    ("truncated", |packet| packet.truncate(0)),
    ("truncated", |packet| packet.truncate(SHIM - 1)),
    ("truncated", |packet| packet.truncate(SHIM + 23)),
    ("bad_version", |packet| packet[SHIM] ^= 0x30),
    ("bad_kind", |packet| packet[SHIM] |= 0x0C),
    ("bad_integrity", |packet| packet[SHIM] &= !1),
    ("bad_integrity", |packet| packet[SHIM] = packet[SHIM] & !3 | 2),
    ("bad_sequence", |packet| packet[SHIM + 8] = 0x40),
    ("bad_check", |packet| *packet.last_mut().unwrap() ^= 1),
];

const TO_SOURCE: [Damage; 6] = [
    ("bad_length", |packet| packet.truncate(packet.len() - 1)),
    ("bad_length", |packet| packet[SHIM + 2] = 0x40),
    ("bad_length", |packet| packet[SHIM + 2..SHIM + 4].copy_from_slice(&[0, 13])),
    ("bad_check", |packet| packet[SHIM + 3] ^= 1),
    ("bad_check", |packet| packet[SHIM + 15] ^= 1),
    ("bad_check", |packet| packet[SHIM + 16] ^= 1),
];

const TO_REPAIR: [Damage; 9] = [
    ("truncated", |packet| packet.truncate(SHIM + 30)),
    // More runs than there are bytes for.
    ("truncated", |packet| {
        packet[SHIM + 30] = 126;
        packet.truncate(SHIM + 100);
    }),
    ("bad_length", |packet| packet.truncate(packet.len() - 1)),
    ("bad_check", |packet| packet[SHIM + 27] ^= 1),
    ("bad_kind", |packet| {
        packet[SHIM + 31] = 1;
        bless(packet);
    }),
    // Stride 0, no members, too many members, beyond the last sequence number.
    ("bad_members", |packet| {
        packet[SHIM + 26..SHIM + 28].fill(0);
        bless(packet);
    }),
    ("bad_members", |packet| {
        packet[SHIM + 28..SHIM + 30].fill(0);
        bless(packet);
    }),
    ("bad_members", |packet| {
        packet[SHIM + 28..SHIM + 30].fill(0xFF);
        bless(packet);
    }),
    ("bad_members", |packet| {
        packet[SHIM + 8..SHIM + 16].copy_from_slice(&((1u64 << 62) - 1).to_be_bytes());
        packet[SHIM + 28..SHIM + 30].copy_from_slice(&[0, 2]);
        bless(packet);
    }),
];

#[test]
fn every_damage_is_counted_under_its_reason_and_harmless() {
    let mut near = Near::new(EPOCH);
    let mut far = Far::new();
    far.works(&mut near);
    let packets = near.send(&frames(1, 40));
    let of_kind = |kind: u8| packets.iter().find(|packet| packet[SHIM] >> 2 & 3 == kind).unwrap();
    let (a_source, a_repair) = (of_kind(0), of_kind(1));
    let all = [(a_source, &TO_ANY[..]), (a_repair, &TO_ANY), (a_source, &TO_SOURCE)];
    for (good, damages) in all.into_iter().chain([(a_repair, &TO_REPAIR[..])]) {
        for (n, (reason, damage)) in damages.iter().enumerate() {
            let mut packet = good.clone();
            damage(&mut packet);
            let before = (far.count(reason), far.count("wan_in"), far.refusals());
            assert!(far.feed(&[packet]).is_empty(), "{reason} {n}");
            assert_eq!(far.count(reason), before.0 + 1, "{reason} {n}: {:?}", far.refusals());
            assert_eq!(far.count("wan_in"), before.1 + 1, "{reason} {n}");
            let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, n)| n).sum::<u64>();
            assert_eq!(sum(&far.refusals()), sum(&before.2) + 1, "{reason} {n}");
        }
    }
    assert_eq!(far.feed(&packets).len(), 40);
    far.works(&mut near);
}

/// Also when the other channel's epoch happens to be the peer's.
#[test]
fn other_channels_and_our_own_packets_are_counted() {
    let mut near = Near::new(EPOCH);
    let mut far = Far::new();
    far.works(&mut near);
    let frame = &frames(2, 1)[0];
    for (epoch, channel) in [(EPOCH, EAST), (EPOCH, WEST + 1), (7, EAST), (7, WEST + 1)] {
        for seq in 5000..5010 {
            assert!(far.feed(&[source(channel, epoch, seq, frame)]).is_empty());
        }
    }
    assert_eq!(far.refusals(), [("unknown_channel", 40)]);
    let own = Near::of(&blueprint(Side::East), EPOCH).send(&frames(3, 50));
    assert!(far.feed(&own).is_empty());
    assert_eq!(far.refusals(), [("unknown_channel", 40 + own.len() as u64)]);
    far.works(&mut near);
}

#[test]
fn what_is_not_ours_is_foreign_or_bypassed_as_configured() {
    let mut plain = frames(4, 3);
    plain[1][..6].copy_from_slice(&[0x01, 0x80, 0xC2, 0, 0, 0x02]);
    let mut far = Far::new();
    assert!(far.feed(&plain).is_empty());
    assert_eq!(far.refusals(), [("foreign", 3)]);
    let bypass = Blueprint { oversize: Oversize::Bypass, ..blueprint(Side::East) };
    let mut far = Far::of(&bypass);
    assert_eq!(far.feed(&plain), [plain[0].clone(), plain[2].clone()]);
    assert_eq!(far.refusals(), [("foreign", 1)]);
    assert_eq!((far.count("delivered"), far.count("bypassed")), (2, 2));
}

#[test]
fn random_bytes_are_counted_and_nothing_comes_of_them() {
    let mut random = Random(5);
    let mut near = Near::new(EPOCH);
    let mut far = Far::new();
    far.works(&mut near);
    let good = near.send(&frames(6, 1))[0].clone();
    let noise: Vec<Vec<u8>> = (0..20_000)
        .map(|_| {
            let mut packet = vec![0; random.below(1600) as usize];
            random.fill(&mut packet);
            // As far into a good packet as chance has it.
            let like = (random.below(64) as usize).min(packet.len()).min(good.len());
            packet[..like].copy_from_slice(&good[..like]);
            packet
        })
        .collect();
    let before = far.count("wan_in");
    assert!(far.feed(&noise).is_empty());
    assert_eq!(far.count("wan_in"), before + 20_000);
    let refused: u64 = far.refusals().iter().map(|(_, count)| count).sum();
    assert_eq!(refused, 20_000, "{:?}", far.refusals());
    for reason in ["truncated", "bad_check", "bad_length", "bad_version", "foreign"] {
        assert!(far.count(reason) > 0, "{reason}: {:?}", far.refusals());
    }
    // The good packet itself was never fed.
    assert_eq!(far.feed(&[good]).len(), 1);
    far.works(&mut near);
}
