//! The bound beside the exact truth: a tiny code, every pattern of losses, the slow decoder.

use std::collections::BTreeSet;

use maelstrom::safety::{Bounds, Class, Link, Loss};

use crate::channel::{Packet, Sender, code};

/// P(packet `packet` is never recovered | all of `wire` was sent), summed over all patterns of
/// independent losses of `wire`, which is short.
fn exactly(wire: &[Packet], packet: u64, p: f64) -> f64 {
    let repairs: Vec<(usize, BTreeSet<u64>)> = wire
        .iter()
        .enumerate()
        .filter_map(|(at, sent)| match sent {
            Packet::Repair(repair) => Some((at, repair.content.members.iter().collect())),
            Packet::Source { .. } => None,
        })
        .collect();
    let mut sum = 0.0;
    for pattern in 0u32..1 << wire.len() {
        let lost = |at: usize| pattern >> at & 1 == 1;
        let mut missing = BTreeSet::new();
        for (at, sent) in wire.iter().enumerate() {
            if let Packet::Source { seq, .. } = sent
                && lost(at)
            {
                missing.insert(*seq);
            }
        }
        if !missing.contains(&packet) {
            continue;
        }
        loop {
            let ripe = repairs.iter().filter(|(at, _)| !lost(*at)).find_map(|(_, members)| {
                let mut left = members.intersection(&missing);
                left.next().copied().filter(|_| left.next().is_none())
            });
            match ripe {
                Some(seq) => missing.remove(&seq),
                None => break,
            };
        }
        if missing.contains(&packet) {
            let count = pattern.count_ones() as i32;
            sum += p.powi(count) * (1.0 - p).powi(wire.len() as i32 - count);
        }
    }
    sum
}

/// Trains of every length, cut short after their last packet: everything that was sent is known,
/// and at each level the bound holds for each packet, if its repairs leave one by one.
#[test]
fn the_bound_is_above_the_exact_sum_over_all_losses() {
    let p = 0.05;
    for text in ["2:2,3+g1", "3:1,2", "2:1,2,3", "1:2+g1", "2:2,2"] {
        let code = code(text);
        let bounds = Bounds::new(&code, None, &Link::new(Loss::Iid { rate: p }));
        let mut highest = [0.0f64; 2];
        for length in 1..=7 {
            let mut sender = Sender::new(&code);
            let mut wire = Vec::new();
            sender.send(length, &mut wire);
            sender.flush(&mut wire);
            for end in 1..=wire.len().min(17) {
                for packet in 0..length {
                    let sent = &wire[..end];
                    let (mut level, mut flushed) = (0, false);
                    for sent in sent {
                        if let Packet::Repair(repair) = sent
                            && repair.content.members.iter().any(|seq| seq == packet)
                        {
                            level += 1;
                            flushed |= repair.flushed;
                        }
                    }
                    // What matters is the instant at which a level is reached.
                    let Packet::Repair(last) = &wire[end - 1] else { continue };
                    if !last.content.members.iter().any(|seq| seq == packet) {
                        continue;
                    }
                    let class = Class::of(false, flushed);
                    let bound = bounds.packet(class, level);
                    let exact = exactly(sent, packet, p);
                    assert!(
                        exact <= bound,
                        "{text}: {packet} of {length} at {level}: {exact} {bound}"
                    );
                    let highest = &mut highest[usize::from(flushed)];
                    *highest = highest.max(exact / bound);
                }
            }
        }
        // The bound is not far from the worst of them.
        assert!(highest[0].max(highest[1]) > 0.3, "{text}: {highest:?}");
    }
}
