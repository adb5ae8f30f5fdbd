//! The slow decoder: what can be rebuilt, by going through all repairs until nothing changes.

use std::collections::BTreeSet;

use crate::channel::Packet;

/// All packets that are known once everything in `received` is there.
pub fn recoverable<'a>(received: impl IntoIterator<Item = &'a Packet>) -> BTreeSet<u64> {
    let mut known = BTreeSet::new();
    let mut repairs = Vec::new();
    for packet in received {
        match packet {
            Packet::Source { seq, .. } => {
                known.insert(*seq);
            }
            Packet::Repair(repair) => {
                repairs.push(repair.content.members.iter().collect::<Vec<u64>>());
            }
        }
    }
    loop {
        let before = known.len();
        for members in &repairs {
            let missing: Vec<u64> =
                members.iter().copied().filter(|seq| !known.contains(seq)).collect();
            if let [seq] = missing[..] {
                known.insert(seq);
            }
        }
        if known.len() == before {
            return known;
        }
    }
}
