//! Replays, jumps of the sequence numbers, and epochs.

use crate::harness::{EPOCH, Far, Near, WEST, frames, source};

#[test]
fn nothing_is_delivered_twice() {
    let mut near = Near::new(EPOCH);
    let mut far = Far::new();
    let sent = frames(1, 500);
    let packets = near.send(&sent);
    assert!(far.feed(&packets) == sent);
    for _ in 0..3 {
        assert!(far.feed(&packets).is_empty());
        assert!(far.feed(&packets.iter().rev().cloned().collect::<Vec<_>>()).is_empty());
    }
    assert_eq!(far.count("duplicates_suppressed"), 6 * 500);
    // What was rebuilt is not delivered when it comes after all.
    let more = frames(2, 100);
    let packets = near.send(&more);
    let (late, others) = (packets[10].clone(), [&packets[..10], &packets[11..]].concat());
    assert_eq!(far.feed(&others).len(), 100);
    assert!(far.feed(&[late]).is_empty());
    // Once the window has moved on, nobody knows, and that is counted too.
    (0..20).for_each(|_| far.works(&mut near));
    let before = far.count("too_old");
    assert!(far.feed(&packets).is_empty());
    assert_eq!(far.count("too_old"), before + 100);
    far.works(&mut near);
}

#[test]
fn one_packet_from_far_ahead_is_held_back_and_two_are_believed() {
    let mut near = Near::new(EPOCH);
    let mut far = Far::new();
    let first = near.send(&frames(3, 100));
    far.feed(&first);
    let stray = source(WEST, EPOCH, 1 << 61, &frames(4, 1)[0]);
    for n in 1..=3 {
        // The same packet over and over agrees with nobody.
        assert!(far.feed(std::slice::from_ref(&stray)).is_empty());
        assert_eq!(far.count("unconfirmed"), n);
        far.works(&mut near);
    }
    // The peer goes on far ahead: 100,000 packets were lost on the way.
    (0..100).for_each(|seed| drop(near.send(&frames(seed, 1000))));
    let sent = frames(5, 200);
    let packets = near.send(&sent);
    let out = far.feed(&packets);
    // The first of them was needed to find out, and is rebuilt.
    assert_eq!(far.count("unconfirmed"), 4);
    let mut sorted = (out, sent);
    sorted.0.sort();
    sorted.1.sort();
    assert!(sorted.0 == sorted.1, "{} of 200", sorted.0.len());
    // The past stays past.
    assert!(far.feed(&first).is_empty());
    far.works(&mut near);
}

#[test]
fn an_epoch_that_has_ended_stays_ended() {
    let (mut old, mut near, mut next) =
        (Near::new(EPOCH - 1), Near::new(EPOCH), Near::new(EPOCH + 9));
    let mut far = Far::new();
    far.works(&mut near);
    // Packets of the life before this one, from a queue somewhere.
    let stale = old.send(&frames(6, 100));
    assert!(far.feed(&stale).is_empty());
    assert_eq!(far.refusals(), [("stale_epoch", stale.len() as u64)]);
    far.works(&mut near);

    // One packet of a new life is not enough; what goes on meanwhile goes on.
    let sent = frames(7, 100);
    let packets = next.send(&sent);
    for n in 1..=3 {
        assert!(far.feed(&packets[..1]).is_empty());
        assert_eq!(far.count("unconfirmed"), n);
        far.works(&mut near);
    }
    let mut out = far.feed(&packets[1..]);
    out.sort();
    let mut expected = sent;
    expected.sort();
    // The first packet of the new life was not lost: its repairs bring it back.
    assert!(out == expected, "{} of 100", out.len());
    far.works(&mut next);
    let last = near.send(&frames(8, 10));
    assert!(far.feed(&last).is_empty());
    assert_eq!(far.count("stale_epoch"), (stale.len() + last.len()) as u64);
    far.works(&mut next);
}

#[test]
fn a_peer_whose_clock_was_set_back_is_heard_after_a_silence() {
    let (mut near, mut back) = (Near::new(EPOCH), Near::new(EPOCH - 500));
    let mut far = Far::new();
    far.works(&mut near);
    assert!(far.feed(&back.send(&frames(9, 10))).is_empty());
    far.now += 2_000_000_000;
    let sent = frames(10, 50);
    let mut out = far.feed(&back.send(&sent));
    assert!(out.len() >= 49, "{}: {:?}", out.len(), far.refusals());
    out.retain(|frame| !sent.contains(frame));
    assert!(out.is_empty());
    far.works(&mut back);
}
