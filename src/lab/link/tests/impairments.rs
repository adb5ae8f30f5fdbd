//! Loss, corruption, duplicates and frames that are overtaken: how often, which, and each by itself.

use std::collections::{HashMap, HashSet};

use super::*;

#[test]
fn the_loss_is_the_loss_process_whatever_else_goes_on() {
    let loss: LossModel = "ge:0.02,8".parse().unwrap();
    let mut process = LossProcess::new(&loss, 7, 1);
    let expected: Vec<bool> = (0..50_000).map(|_| process.lost()).collect();
    let (_, fates, link) = run(
        config(|c| {
            (c.seed, c.direction, c.loss) = (7, 1, loss);
            (c.rate_bps, c.queue) = (Some(1_000_000_000), 20);
            (c.reorder, c.duplicate, c.corrupt) = (Some((0.1, 5)), 0.1, 0.1);
        }),
        50_000,
        950, // slightly more than the rate can carry
    );
    for (fate, &lost) in fates.iter().zip(&expected) {
        match fate.dropped {
            Some(DropReason::QueueFull) => assert_eq!(fate.exit_ns, None),
            dropped => assert_eq!(dropped == Some(DropReason::Lost), lost),
        }
    }
    assert!(link.counters().tail_dropped > 100 && link.counters().lost > 100);
}

#[test]
fn a_lost_frame_has_the_exit_it_would_have_had() {
    let (_, clean, _) = run(config(|c| c.rate_bps = Some(1_000_000_000)), 500, 900);
    let (_, lossy, _) = run(
        config(|c| {
            c.rate_bps = Some(1_000_000_000);
            c.loss = "burst:100,50".parse().unwrap();
        }),
        500,
        900,
    );
    for (a, b) in clean.iter().zip(&lossy) {
        assert_eq!(a.exit_ns, b.exit_ns);
        assert_eq!(b.dropped == Some(DropReason::Lost), (100..150).contains(&b.index));
    }
}

#[test]
fn corruption_flips_one_to_four_bits_beyond_the_ethernet_header() {
    let (out, _, link) = run(config(|c| c.corrupt = 0.05), 100_000, 1);
    let mut by_flips = [0u64; 5];
    let mut bytes_hit = HashSet::new();
    for (index, _, bytes) in &out {
        let sent = frame(*index, 100);
        let differs = |(at, (a, b)): (usize, (&u8, &u8))| (a != b).then_some((at, a ^ b));
        let flips: Vec<_> = bytes.iter().zip(&sent).enumerate().filter_map(differs).collect();
        bytes_hit.extend(flips.iter().map(|(at, _)| *at));
        by_flips[flips.iter().map(|(_, bits)| bits.count_ones()).sum::<u32>() as usize] += 1;
    }
    assert_eq!(bytes_hit, (14..100).collect());
    let corrupted = link.counters().corrupted;
    assert_eq!(by_flips[1..].iter().sum::<u64>(), corrupted);
    near(corrupted, 100_000, 0.05);
    by_flips[1..].iter().for_each(|&n| near(n, corrupted, 0.25));
}

#[test]
fn the_shortest_frames_are_corrupted_too_if_there_is_anything_to_corrupt() {
    let mut link = Link::new(config(|c| c.corrupt = 1.0));
    for now in 0..1000 {
        link.enter(now, &[0; 15]);
        let flipped = link.leave(now).unwrap().bytes[14].count_ones();
        assert!((1..=4).contains(&flipped));
        link.enter(now, &[0; 14]);
        assert_eq!(link.leave(now).unwrap().bytes, [0; 14]);
    }
    assert_eq!(link.counters().corrupted, 1000);
}

#[test]
fn a_duplicate_follows_right_behind_its_original() {
    let (out, _, link) = run(
        config(|c| {
            c.duplicate = 0.02;
            c.corrupt = 0.5;
        }),
        100_000,
        10,
    );
    let twins = out.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    assert_eq!(twins, link.counters().duplicated);
    assert!(out.is_sorted_by_key(|(index, ..)| *index));
    near(twins, 100_000, 0.02);
    assert!(conserved(&link));
}

#[test]
fn a_held_frame_is_overtaken_by_exactly_the_distance() {
    let (out, fates, link) = run(config(|c| c.reorder = Some((0.02, 7))), 100_000, 10);
    let held: HashSet<u64> = fates.iter().filter(|f| f.held).map(|f| f.index).collect();
    near(held.len() as u64, 100_000, 0.02);
    let place: HashMap<u64, usize> =
        out.iter().enumerate().map(|(at, (index, ..))| (*index, at)).collect();
    for &index in held.iter().filter(|&&index| index < 99_900) {
        // Of the later frames, those before it in the output: the seven, and none of the held.
        let before = &out[place[&index].saturating_sub(100)..place[&index]];
        assert_eq!(before.iter().filter(|(other, ..)| *other > index).count(), 7);
        assert_eq!(before.last().unwrap().1, out[place[&index]].1, "leaves right behind");
    }
    let free: Vec<u64> = out.iter().map(|o| o.0).filter(|i| !held.contains(i)).collect();
    assert!(free.is_sorted(), "who is not held keeps order");
    assert!(link.counters().reordered >= held.len() as u64 - 7);
}

#[test]
fn a_quiet_link_lets_a_held_frame_go() {
    let hold_first = |distance| {
        // The first seed that holds frame 0 and not frame 1.
        (0..)
            .map(|seed| {
                config(|c| {
                    c.seed = seed;
                    c.delay_ns = 5 * MS;
                    c.reorder = Some((0.5, distance));
                })
            })
            .find(|config| {
                let mut link = Link::new(config.clone());
                link.enter(0, &[0; 60]).held && !link.enter(0, &[0; 60]).held
            })
            .unwrap()
    };
    let mut link = Link::new(hold_first(2));
    assert!(link.enter(1000, &[0; 60]).held);
    let limit = 1000 + LONGEST_HOLD_NS + 5 * MS;
    assert_eq!((link.in_flight(), link.next_exit()), (1, Some(limit)));
    assert_eq!(link.leave(limit - 1), None);
    assert_eq!(link.leave(limit).map(|f| (f.index, f.exit_ns)), Some((0, limit)));
    assert_eq!(link.counters().reordered, 0, "nobody overtook it");

    // One of the two goes by, then silence; and a frame after the limit comes out behind.
    let mut link = Link::new(hold_first(2));
    link.enter(1000, &[0; 60]);
    link.enter(2000, &[0; 60]);
    assert_eq!(link.next_exit(), Some(2000 + 5 * MS));
    let out: Vec<_> = drain(&mut link, limit).iter().map(|o| (o.0, o.1)).collect();
    assert_eq!(out, [(1, 2000 + 5 * MS), (0, limit)]);
    assert_eq!(link.counters().reordered, 1);
}

#[test]
fn the_same_seed_gives_the_same_and_another_does_not() {
    let all = |seed, direction| {
        config(|c| {
            (c.seed, c.direction) = (seed, direction);
            c.loss = "ge:0.01,5".parse().unwrap();
            (c.reorder, c.duplicate, c.corrupt) = (Some((0.01, 3)), 0.01, 0.01);
            c.rate_bps = Some(1_000_000_000);
        })
    };
    let output = |seed, direction| {
        let (out, fates, _) = run(all(seed, direction), 20_000, 1100);
        (out, fates)
    };
    assert_eq!(output(1, 0), output(1, 0));
    assert_ne!(output(1, 0), output(2, 0));
    assert_ne!(output(1, 0), output(1, 1));
}

/// Which frames each impairment struck.
fn strikes(config: LinkConfig) -> [HashSet<u64>; 4] {
    let (out, fates, _) = run(config, 20_000, 1000);
    let lost = fates.iter().filter(|f| f.dropped == Some(DropReason::Lost)).map(|f| f.index);
    let held = fates.iter().filter(|f| f.held).map(|f| f.index);
    let corrupted = out.iter().filter(|o| o.2 != frame(o.0, 100)).map(|o| o.0);
    let twice = out.windows(2).filter(|w| w[0].0 == w[1].0).map(|w| w[0].0);
    [lost.collect(), held.collect(), corrupted.collect(), twice.collect()]
}

#[test]
fn switching_one_impairment_on_does_not_move_another() {
    let set = |which: [bool; 4]| {
        config(|c| {
            let [loss, reorder, corrupt, duplicate] = which;
            if loss {
                c.loss = "iid:0.05".parse().unwrap();
            }
            c.reorder = reorder.then_some((0.05, 4));
            c.corrupt = if corrupt { 0.05 } else { 0.0 };
            c.duplicate = if duplicate { 0.05 } else { 0.0 };
        })
    };
    let all = strikes(set([true; 4]));
    let lost = &all[0];
    for (which, together) in all.iter().enumerate() {
        let alone = &strikes(set(std::array::from_fn(|i| i == which)))[which];
        assert!(alone.len() > 800);
        // What is lost can show no other impairment; the rest must be the same frames.
        let seen: HashSet<u64> =
            alone.iter().copied().filter(|i| which == 0 || !lost.contains(i)).collect();
        assert_eq!(*together, seen);
        // And no two impairments strike together more often than chance has it.
        for other in all.iter().skip(which + 1) {
            assert!(together.intersection(other).count() < 100);
        }
    }
}
