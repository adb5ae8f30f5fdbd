//! A WAN on which full LAN frames don't fit, where hosts are told so.

use maelstrom::gateway::fit::{Teller, mailbox};
use maelstrom::gateway::{Blueprint, Oversize, Side, TooBig};

use crate::harness::{EPOCH, Far, Near, SHIM, blueprint};

/// 1000 − 42 bytes of frame are protected, 944 of IP.
fn narrow(side: Side, mss_clamp: bool) -> Blueprint {
    let too_big = TooBig::Icmp;
    Blueprint { oversize: Oversize::Bypass, wan_mtu: 1000, mss_clamp, too_big, ..blueprint(side) }
}

/// IPv4, and behind it what is given.
fn packet(protocol: u8, dont_fragment: bool, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend(len.to_be_bytes());
    frame.extend([0, 0, u8::from(dont_fragment) << 6, 0, 64, protocol, 0, 0]);
    frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(payload);
    frame
}

/// A segment that may ask for segments of 1460 bytes, with a right checksum.
fn tcp(flags: u8, mss: u16, payload: usize) -> Vec<u8> {
    let mut segment =
        vec![0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, flags, 1, 0, 0, 0, 0, 0];
    segment.extend([2, 4]);
    segment.extend(mss.to_be_bytes());
    segment.extend((0..payload).map(|n| n as u8));
    let check = !sum_of(&segment);
    segment[16..18].copy_from_slice(&check.to_be_bytes());
    packet(6, true, &segment)
}

/// The sum over a segment and its pseudo-header.
fn sum_of(segment: &[u8]) -> u16 {
    let mut sum = 2 * 10 * 256 + 1 + 2 + 6 + segment.len() as u32;
    for pair in segment.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum >> 16 > 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// SYNs with and without payload, short and too long to be copied, among other segments; and what is to
/// come of them.
fn segments() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let all: Vec<(u8, u16, usize)> =
        (0..60).map(|n| ([2, 16, 18, 24][n % 4], 1460 - n as u16, (n * 37) % 400)).collect();
    let before = all.iter().map(|&(flags, mss, payload)| tcp(flags, mss, payload)).collect();
    let after = all.iter().map(|&(flags, mss, payload)| {
        tcp(flags, if flags & 2 == 0 { mss } else { 1000 - 42 - 14 - 40 }, payload)
    });
    (before, after.collect())
}

fn assert_sums(frames: &[Vec<u8>]) {
    assert!(frames.iter().all(|frame| sum_of(&frame[34..]) == 0xFFFF));
}

#[test]
fn syns_are_clamped_on_their_way_out() {
    let (before, after) = segments();
    let mut near = Near::of(&narrow(Side::West, true), EPOCH);
    let packets = near.send(&before);
    let mut far = Far::of(&narrow(Side::East, false));
    let mut out = far.feed(&packets);
    assert!(out == after);
    assert_sums(&out);
    assert_eq!((near.count("mss_clamped"), far.count("mss_clamped")), (30, 0));
    // What is rebuilt is what was protected.
    let mut far = Far::of(&narrow(Side::East, false));
    let lost: Vec<Vec<u8>> = packets.iter().skip(1).step_by(2).cloned().collect();
    out = far.feed(&lost);
    assert!(far.count("recovered") > 0 && out.iter().all(|frame| after.contains(frame)));
}

#[test]
fn syns_are_clamped_on_their_way_in_also_those_that_are_rebuilt() {
    let (before, after) = segments();
    let mut near = Near::of(&narrow(Side::West, false), EPOCH);
    let packets = near.send(&before);
    let mut far = Far::of(&narrow(Side::East, true));
    let out = far.feed(&packets);
    assert!(out == after);
    assert_sums(&out);
    assert_eq!((near.count("mss_clamped"), far.count("mss_clamped")), (0, 30));
    // The window holds what was protected, whatever was delivered, so that repairs are right.
    for lost in 0..60 {
        let mut far = Far::of(&narrow(Side::East, true));
        let source = |packet: &&Vec<u8>| packet[SHIM + 15] == lost && packet[SHIM] >> 2 & 3 == 0;
        let arriving: Vec<Vec<u8>> = packets.iter().filter(|p| !source(p)).cloned().collect();
        assert_eq!(arriving.len() + 1, packets.len());
        let mut out = far.feed(&arriving);
        assert_eq!((far.count("recovered"), far.count("bad_rebuilt")), (1, 0), "{lost}");
        out.sort();
        let mut expected = after.clone();
        expected.sort();
        assert!(out == expected, "{lost}");
    }
}

#[test]
fn what_must_not_be_fragmented_is_answered_and_all_else_goes_as_configured() {
    let mut near = Near::of(&narrow(Side::West, true), EPOCH);
    let (sender, receiver) = mailbox();
    near.room.answer(Teller::new(sender));
    let mut back = Far::of(&narrow(Side::West, true));
    back.room.answer_from(vec![receiver]);
    near.now = 1_000_000_000;
    let big = packet(17, true, &[7; 980]);
    let may_be = packet(17, false, &[7; 980]);
    let packets = near.send(&[big.clone(), may_be.clone(), packet(17, true, &[7; 924])]);
    for (name, count) in
        [("too_big", 1), ("too_big_told", 1), ("bypassed", 1), ("source_sent", 1), ("too_large", 0)]
    {
        assert_eq!(near.count(name), count, "{name}");
    }
    let mut far = Far::of(&narrow(Side::East, true));
    assert_eq!(far.feed(&packets).len(), 2);
    let answers = back.feed(&[]);
    assert_eq!((answers.len(), back.count("answers"), back.count("delivered")), (1, 1, 0));
    let answer = &answers[0];
    assert_eq!((&answer[..6], &answer[6..12]), (&big[6..12], &big[..6]));
    assert_eq!(answer[26..34], [10, 0, 0, 2, 10, 0, 0, 1]);
    assert_eq!((answer[34..36].to_vec(), answer[40..42].to_vec()), (vec![3, 4], vec![3, 176]));
    // At a rate, and no more than a mailbox holds; dropped all the same.
    near.send(&vec![big; 200]);
    assert_eq!(near.count("too_big"), 201);
    let told = near.count("too_big_told");
    assert!((40..60).contains(&told), "{told}");
    assert_eq!(back.feed(&[]).len(), 8, "a few in a turn");
}
