use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::pool::CHUNK;
use super::reorder::LONGEST_HOLD_NS;
use super::*;
use crate::lab::loss::LossModel;

const MS: u64 = 1_000_000;

fn config(edit: impl FnOnce(&mut LinkConfig)) -> LinkConfig {
    let mut config = LinkConfig { seed: 42, ..LinkConfig::default() };
    edit(&mut config);
    config
}

/// A frame that says which it is.
fn frame(number: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[len - 8..].copy_from_slice(&number.to_be_bytes());
    frame
}

type Left = (u64, u64, Vec<u8>);

fn drain(link: &mut Link, now: u64) -> Vec<Left> {
    let mut out = Vec::new();
    while let Some(frame) = link.leave(now) {
        out.push((frame.index, frame.exit_ns, frame.bytes.to_vec()));
    }
    out
}

/// `packets` frames of 100 bytes, `gap` apart; what left, in the end, and their fates.
fn run(config: LinkConfig, packets: u64, gap: u64) -> (Vec<Left>, Vec<Fate>, Link) {
    let mut link = Link::new(config);
    let (mut out, mut fates) = (Vec::new(), Vec::new());
    for i in 0..packets {
        fates.push(link.enter(i * gap, &frame(i, 100)));
        out.append(&mut drain(&mut link, i * gap));
    }
    out.append(&mut drain(&mut link, u64::MAX));
    assert_eq!(link.in_flight(), 0);
    assert_eq!(link.next_exit(), None);
    (out, fates, link)
}

fn conserved(link: &Link) -> bool {
    let c = link.counters();
    let dropped = c.lost + c.tail_dropped + c.oversize + c.buffer_full;
    c.entered + c.duplicated == c.delivered + dropped + link.in_flight() as u64
}

/// Within five standard deviations of a binomial.
fn near(hits: u64, packets: u64, probability: f64) {
    let (n, hits) = (packets as f64, hits as f64);
    let deviation = (n * probability * (1.0 - probability)).sqrt();
    assert!((hits - n * probability).abs() < 5.0 * deviation, "{hits} of {n}");
}

#[test]
fn a_perfect_wire_only_delays() {
    let (out, fates, link) = run(config(|c| c.delay_ns = 50 * MS), 1000, 700);
    for (i, (index, exit_ns, bytes)) in out.iter().enumerate() {
        let i = i as u64;
        assert_eq!((*index, *exit_ns), (i, i * 700 + 50 * MS));
        assert_eq!(*bytes, frame(i, 100));
        let fate = Fate { index: i, exit_ns: Some(*exit_ns), dropped: None, held: false };
        assert_eq!(fates[i as usize], fate);
    }
    let c = link.counters();
    assert_eq!((c.entered, c.delivered), (1000, 1000));
    assert_eq!((c.entered_bytes, c.delivered_bytes), (100_000, 100_000));
}

#[test]
fn a_frame_leaves_at_its_time_and_not_before() {
    let mut link = Link::new(config(|c| c.delay_ns = 10));
    link.enter(5, &[1; 60]);
    assert_eq!(link.next_exit(), Some(15));
    assert_eq!(link.leave(14), None);
    assert_eq!(link.leave(15), Some(Frame { index: 0, exit_ns: 15, bytes: &[1; 60] }));
    assert_eq!(link.leave(u64::MAX), None);
}

#[test]
fn exits_are_spaced_by_serialisation_without_drift() {
    // 1,500 + 24 bytes at 10 Gb/s: 1,219.2 ns.
    let mut link = Link::new(config(|c| c.rate_bps = Some(10_000_000_000)));
    for i in 1..=1000u64 {
        assert_eq!(link.enter(0, &[0; 1500]).exit_ns, Some(i * 12_192 / 10));
    }
    // After a rest the wire is free at once.
    assert_eq!(link.enter(5 * MS, &[0; 1500]).exit_ns, Some(5 * MS + 1219));
}

#[test]
fn a_clock_that_jumps_back_does_not_turn_the_order() {
    for rate_bps in [None, Some(10_000_000_000)] {
        let mut link = Link::new(config(|c| c.rate_bps = rate_bps));
        let first = link.enter(1000, &[0; 60]).exit_ns;
        assert!(link.enter(10, &[0; 60]).exit_ns >= first);
    }
}

#[test]
fn the_queue_drops_its_tail() {
    let mut link = Link::new(config(|c| {
        c.rate_bps = Some(8_000_000_000); // a byte a nanosecond
        c.queue = 3;
        c.delay_ns = 1000;
    }));
    let fates: Vec<Fate> = (0..6).map(|_| link.enter(0, &[0; 76])).collect();
    let exits: Vec<Option<u64>> = fates.iter().map(|fate| fate.exit_ns).collect();
    assert_eq!(exits, [Some(1100), Some(1200), Some(1300), Some(1400), None, None]);
    assert_eq!(fates[4].dropped, Some(DropReason::QueueFull));
    // Until the first has gone, there is no room; then for one.
    assert_eq!(link.enter(99, &[0; 76]).dropped, Some(DropReason::QueueFull));
    assert_eq!(link.enter(100, &[0; 76]).exit_ns, Some(1500));
    assert_eq!(link.enter(100, &[0; 76]).dropped, Some(DropReason::QueueFull));
    assert_eq!(link.counters().tail_dropped, 4);
    assert!(conserved(&link));
}

#[test]
fn a_queue_of_none_still_carries_what_finds_the_wire_free() {
    let mut link = Link::new(config(|c| {
        c.rate_bps = Some(8_000_000_000);
        c.queue = 0;
    }));
    let drops = |link: &mut Link, now| link.enter(now, &[0; 76]).dropped.is_some();
    assert!(!drops(&mut link, 0));
    assert!(drops(&mut link, 50));
    assert!(!drops(&mut link, 100));
}

#[test]
fn the_mtu_counts_what_ethernet_carries() {
    let mut link = Link::new(config(|c| c.mtu = 1500));
    let mut vlan = [0; 1519];
    let fits = |link: &mut Link, frame: &[u8]| link.enter(0, frame).dropped.is_none();
    assert!(fits(&mut link, &vlan[..1514]));
    assert!(!fits(&mut link, &vlan[..1515]));
    for tag in [[0x81, 0x00], [0x88, 0xa8]] {
        vlan[12..14].copy_from_slice(&tag);
        assert!(fits(&mut link, &vlan[..1518]));
        assert!(!fits(&mut link, &vlan));
    }
    // Neither an empty frame nor a scrap of one is a reason to stumble.
    assert!(fits(&mut link, &[]));
    assert!(fits(&mut link, &[0; 13]));
    assert_eq!(link.counters().oversize, 3);
    assert_eq!(drain(&mut link, 0).len(), 5);
}

/// What the caller has not in one piece is treated as a frame over the MTU is, to the last draw.
#[test]
fn a_frame_in_pieces_is_oversize() {
    let config = LinkConfig { loss: "iid:0.5".parse().unwrap(), ..LinkConfig::default() };
    let [mut whole, mut pieces] = [Link::new(config.clone()), Link::new(config)];
    for n in 0..200 {
        let long = vec![0; 3000];
        let fates = match n % 3 {
            0 => [whole.enter(n, &long), pieces.refuse(long.len())],
            _ => [whole.enter(n, &long[..60]), pieces.enter(n, &long[..60])],
        };
        assert_eq!(fates[0], fates[1]);
    }
    assert_eq!(whole.counters(), pieces.counters());
    assert_eq!(whole.counters().oversize, 67);
}

#[test]
fn the_largest_frame_fits_a_chunk() {
    let mut link = Link::new(config(|c| c.mtu = u16::MAX));
    let mut jumbo = frame(1, 65_535 + 18);
    jumbo[12..14].copy_from_slice(&[0x81, 0x00]);
    for now in 0..10 {
        assert_eq!(link.enter(now, &jumbo).dropped, None);
        assert_eq!(drain(&mut link, now), [(now, now, jumbo.clone())]);
    }
}

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

#[test]
fn memory_is_bounded_and_used_again() {
    let mut link = Link::new(config(|c| {
        c.buffer = 2 * CHUNK;
        c.delay_ns = MS;
    }));
    // 1,500 bytes take 1,536: 170 fit in a chunk.
    let kept = (0..400).filter(|_| link.enter(0, &[7; 1500]).dropped.is_none()).count();
    assert_eq!(kept, 340);
    assert_eq!(link.counters().buffer_full, 60);
    assert_eq!(drain(&mut link, MS).len(), 340);
    assert!(conserved(&link));

    // Steady traffic: in flight at most 100 frames, so two chunks are enough for ever.
    for i in 1000..200_000u64 {
        let now = i * MS / 100;
        assert_eq!(link.enter(now, &frame(i, 1500)).dropped, None);
        while let Some(frame) = link.leave(now) {
            assert_eq!(frame.bytes[1499], (i - 100) as u8);
        }
    }
    assert!(link.pool.allocated() <= 2 * CHUNK);
    assert!(link.in_flight() <= 100);
}

#[test]
fn reserved_memory_stays_within_the_buffer() {
    let mut link = Link::new(config(|c| c.buffer = 4 * CHUNK));
    link.reserve(1000, usize::MAX);
    assert_eq!(link.pool.allocated(), 4 * CHUNK);
    let kept = (0..1000).filter(|_| link.enter(0, &[7; 1500]).dropped.is_none()).count();
    assert_eq!(kept, 4 * 170);
}

#[test]
fn impossible_configurations_are_refused_with_a_reason() {
    type Edit = fn(&mut LinkConfig);
    let edits: [(Edit, &str); 9] = [
        (|c| c.rate_bps = Some(0), "--wan-rate 0bps: expected 1bps to 1000Tbps, e.g. 10Gbps"),
        (
            |c| c.queue = usize::MAX,
            "--queue 18446744073709551615: expected 0 to 16777216, e.g. 1000",
        ),
        (|c| c.mtu = 67, "--wan-mtu 67: expected 68 to 65535, e.g. 1500"),
        (|c| c.duplicate = f64::NAN, "--duplicate NaN: expected 0 to 1, e.g. 0.001"),
        (|c| c.corrupt = -0.1, "--corrupt -0.1: expected 0 to 1, e.g. 0.001"),
        (
            |c| c.reorder = Some((1.0, 3)),
            "--reorder: probability 1: expected 0 or more, below 1, e.g. 0.001",
        ),
        (|c| c.reorder = Some((0.1, 0)), "--reorder: packets 0: expected 1 to 4294967295, e.g. 5"),
        (
            |c| c.delay_ns = u64::MAX,
            "--delay 18446744073709551615ns: expected 0ns to 3600s, e.g. 50ms",
        ),
        (
            |c| c.loss = LossModel::Iid { rate: 1.5 },
            "loss \"iid:1.5\": the loss rate must lie in 0..1, e.g. iid:0.01",
        ),
    ];
    assert!(LinkConfig::default().check().is_ok());
    for (edit, message) in edits {
        assert_eq!(config(edit).check().unwrap_err().to_string(), message);
    }
}

fn any_config() -> impl Strategy<Value = LinkConfig> {
    let loss = prop_oneof![
        Just(LossModel::None),
        (0.0..0.5f64).prop_map(|rate| LossModel::Iid { rate }),
        (0.0..0.5f64, 1.0..30.0f64)
            .prop_map(|(rate, mean_burst)| LossModel::Ge { rate, mean_burst }),
        (0u64..200, 1u64..50).prop_map(|(start, length)| LossModel::Burst { start, length }),
    ];
    (
        (proptest::option::of(1_000_000u64..20_000_000_000), 0usize..40, 68u16..2000),
        (0u64..100 * MS, loss, proptest::option::of((0.0..0.99f64, 1u32..20))),
        (0.0..=1.0f64, 0.0..=1.0f64, 1usize..4, any::<u64>(), any::<u8>()),
    )
        .prop_map(|(way, wire, rest)| {
            let (rate_bps, queue, mtu) = way;
            let (delay_ns, loss, reorder) = wire;
            let (duplicate, corrupt, chunks, seed, direction) = rest;
            let buffer = chunks * CHUNK;
            LinkConfig {
                rate_bps,
                queue,
                mtu,
                delay_ns,
                loss,
                reorder,
                duplicate,
                corrupt,
                buffer,
                seed,
                direction,
            }
        })
}

proptest! {
    /// Nothing vanishes or appears; nothing leaves early, or out of order of exit times; a frame
    /// that was neither held nor corrupted leaves once or twice, whole, when its fate said so.
    #[test]
    fn every_frame_is_accounted_for(
        config in any_config(),
        packets in proptest::collection::vec((0u64..2 * MS, 14usize..2100, any::<bool>()), 0..400),
    ) {
        let mut link = Link::new(config.clone());
        let (mut now, mut last_exit, mut last_fate) = (0, 0, 0);
        let mut expected: HashMap<u64, (Fate, Vec<u8>, u32)> = HashMap::new();
        let ends = packets.len();
        for (step, (gap, len, leave)) in packets.into_iter().enumerate() {
            now += gap;
            let bytes = vec![step as u8; len];
            let fate = link.enter(now, &bytes);
            prop_assert_eq!(fate.index, step as u64);
            if let Some(exit) = fate.exit_ns {
                prop_assert!(exit >= last_fate && exit >= now + config.delay_ns);
                last_fate = exit;
            }
            expected.insert(fate.index, (fate, bytes, 0));
            prop_assert!(conserved(&link));
            let until = if step + 1 == ends { u64::MAX } else { now };
            if !leave && until == now {
                continue;
            }
            loop {
                let next = link.next_exit();
                let Some(frame) = link.leave(until) else { break };
                let (fate, bytes, times) = expected.get_mut(&frame.index).unwrap();
                prop_assert_eq!(next, Some(frame.exit_ns));
                prop_assert!(frame.exit_ns <= until && frame.exit_ns >= last_exit);
                last_exit = frame.exit_ns;
                prop_assert_eq!(fate.dropped, None);
                let place = fate.exit_ns.unwrap();
                let latest = place + if fate.held { LONGEST_HOLD_NS } else { 0 };
                prop_assert!((place..=latest).contains(&frame.exit_ns));
                prop_assert_eq!(frame.bytes.len(), bytes.len());
                prop_assert_eq!(&frame.bytes[..14], &bytes[..14]);
                if config.corrupt == 0.0 {
                    prop_assert_eq!(frame.bytes, &bytes[..]);
                }
                *times += 1;
            }
            prop_assert!(conserved(&link));
        }
        prop_assert_eq!(link.in_flight(), 0);
        for (fate, _, times) in expected.values() {
            match fate.dropped {
                None => prop_assert!((1..=2).contains(times)),
                Some(_) => prop_assert_eq!(*times, 0),
            }
        }
        let c = link.counters();
        prop_assert!(link.pool.allocated() <= config.buffer);
        prop_assert_eq!(c.delivered, expected.values().map(|e| u64::from(e.2)).sum::<u64>());
    }

    /// Without reordering the wire is a pipe: first in, first out.
    #[test]
    fn first_in_first_out_when_nothing_is_reordered(
        config in any_config(),
        gaps in proptest::collection::vec(0u64..MS, 0..300),
    ) {
        let mut link = Link::new(LinkConfig { reorder: None, ..config });
        let (mut now, mut last) = (0, 0);
        for gap in gaps {
            now += gap;
            link.enter(now, &[0; 64]);
            while let Some(frame) = link.leave(now) {
                prop_assert!(frame.index >= last);
                last = frame.index;
            }
        }
    }

    /// When the caller polls does not change what comes out.
    #[test]
    fn polling_often_or_once_gives_the_same(
        config in any_config(),
        gaps in proptest::collection::vec(0u64..MS, 0..300),
    ) {
        let config = LinkConfig { buffer: 512 << 20, ..config };
        let (mut often, mut once) = (Link::new(config.clone()), Link::new(config));
        let (mut now, mut out) = (0, Vec::new());
        for (i, gap) in gaps.into_iter().enumerate() {
            now += gap;
            let frame = frame(i as u64, 64);
            prop_assert_eq!(often.enter(now, &frame), once.enter(now, &frame));
            out.append(&mut drain(&mut often, now));
        }
        out.append(&mut drain(&mut often, u64::MAX));
        prop_assert_eq!(out, drain(&mut once, u64::MAX));
        prop_assert_eq!(often.counters(), once.counters());
    }
}
