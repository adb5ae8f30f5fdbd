//! What holds for every link and every traffic.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

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
