//! The definition of the code, word for word and slowly.

use std::collections::BTreeMap;

use maelstrom::fec::{Code, Layer};

use crate::channel::{Frame, Repair, frame_of, key};

/// Packet `s` falls in bin `b = s mod i`, as that bin's k-th packet, `k = s div i`. Bin b's groups
/// are staggered: group number `(k + off(b)) div r` with `off(b) = (b·r div i) mod r`.
pub fn group_of(layer: Layer, seq: u64) -> (u64, u64) {
    let (bin, position) = position_of(layer, seq);
    (bin, position / u64::from(layer.group))
}

/// Whether `seq` is the last packet of its group.
pub fn fills(layer: Layer, seq: u64) -> bool {
    let (_, position) = position_of(layer, seq);
    position % u64::from(layer.group) == u64::from(layer.group) - 1
}

fn position_of(layer: Layer, seq: u64) -> (u64, u64) {
    let (r, i) = (u64::from(layer.group), u64::from(layer.interleave));
    let bin = seq % i;
    let stagger = (bin * r / i) % r;
    (bin, seq / i + stagger)
}

/// The members below `end` of every group of a layer.
pub fn groups(layer: Layer, end: u64) -> BTreeMap<(u64, u64), Vec<u64>> {
    let mut groups: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for seq in 0..end {
        groups.entry(group_of(layer, seq)).or_default().push(seq);
    }
    groups
}

/// The repairs that leave right behind source packet `sent`, as (layer, members): those of groups
/// that were filled g·i source packets before.
pub fn leaving(code: &Code, sent: u64) -> Vec<(u8, Vec<u64>)> {
    let mut leaving = Vec::new();
    for (n, &layer) in (0..).zip(code.layers()) {
        let Some(last) = sent.checked_sub(code.guard(layer)) else { continue };
        if fills(layer, last) {
            let group = group_of(layer, last);
            let reach = u64::from(layer.group) * u64::from(layer.interleave);
            let members = (last.saturating_sub(reach)..=last)
                .filter(|&seq| group_of(layer, seq) == group)
                .collect();
            leaving.push((n, members));
        }
    }
    leaving
}

/// Panics unless the repair is the XOR of (length, check, bytes) of its members, the bytes padded
/// with zeros to the longest.
pub fn assert_is_xor(repair: &Repair) {
    let (mut lengths, mut checks, mut bytes) = (0, 0, Frame::new());
    for seq in repair.content.members.iter() {
        let frame = frame_of(seq);
        lengths ^= frame.len() as u16;
        checks ^= key().check(seq, &frame);
        while bytes.len() < frame.len() {
            bytes.push(0);
        }
        bytes.iter_mut().zip(&frame).for_each(|(sum, byte)| *sum ^= byte);
    }
    assert_eq!(repair.content.lengths, lengths);
    assert_eq!(repair.content.checks, checks);
    assert_eq!(repair.content.payload, bytes);
}
