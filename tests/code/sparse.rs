//! Sparse traffic: what time does to the groups.

use maelstrom::fec::{Code, Timing};
use proptest::prelude::*;

use crate::channel::{Packet, Random, Repair, Sender, code};
use crate::naive::{assert_is_xor, fills};
use crate::scenario::any_code;
use crate::traffic::{MS, Polling, Timeline, US, run, trains};

const LONG: &str = "20:97,101,103+g1";

fn long() -> (Code, Code, Timing) {
    let code = code(LONG);
    (code.clone(), code.short(), Timing::new(&code))
}

#[test]
fn a_lone_packet_gets_a_copy_a_layer_spread_out_in_time() {
    let (code, short, timing) = long();
    for sparse in [None, Some(&short)] {
        for polling in [Polling::AtDeadlines, Polling::Every(10 * US)] {
            let arrivals = [5 * MS, 1005 * MS, 2005 * MS];
            let sent = run(&code, sparse, &timing, &arrivals, polling);
            let times: Vec<(u64, u8, u64)> = sent
                .repairs
                .iter()
                .map(|(at, repair)| (*at, repair.layer, repair.content.members.first()))
                .collect();
            let expected: Vec<(u64, u8, u64)> = (0..)
                .zip(arrivals)
                .flat_map(|(seq, at)| {
                    (0..3).map(move |layer| (at + (u64::from(layer) + 1) * MS, layer, seq))
                })
                .collect();
            assert_eq!(times, expected);
            assert!(sent.repairs.iter().all(|(_, r)| r.flushed && r.content.members.len() == 1));
        }
    }
}

/// A train, however long: every packet is in every layer, and what its end left open costs about
/// twice the code's usual overhead, rounded up to whole repairs.
#[test]
fn the_end_of_a_train_costs_about_twice_the_overhead() {
    let (code, _, timing) = long();
    for n in (1..=200u64).chain([500, 1000, 2000, 2500, 3000]) {
        let arrivals: Vec<u64> = (0..n).map(|k| 5 * MS + k * 10 * US).collect();
        let sent = run(&code, None, &timing, &arrivals, Polling::AtDeadlines);
        for layer in 0..3u8 {
            let longest = sent.waits_of(layer).into_iter().max();
            assert!(longest <= Some(n * 10 * US + (u64::from(layer) + 1) * MS), "{n}: {longest:?}");
            let of_layer = || sent.repairs.iter().filter(|(_, repair)| repair.layer == layer);
            let flushes = of_layer().filter(|(_, repair)| !is_filled(&code, repair));
            let flushed: usize =
                flushes.clone().map(|(_, repair)| repair.content.members.len()).sum();
            // Groups of r/2 = 10, and one more for each number of the layer; no more than packets.
            let most = (flushed.div_ceil(10) + usize::from(layer)).min(flushed);
            assert!(flushes.count() <= most, "{n}: layer {layer}, {flushed} packets");
        }
    }
}

fn is_filled(code: &Code, repair: &Repair) -> bool {
    let layer = code.layers()[usize::from(repair.layer)];
    let members = &repair.content.members;
    members.runs().len() == 1 && fills(layer, members.last())
}

/// Repairs that only a flush has sent.
fn flush_repairs(codes: [&Code; 2], sent: &Timeline) -> usize {
    let is_flush =
        |(_, repair): &&(u64, Repair)| !is_filled(codes[usize::from(repair.code_id)], repair);
    sent.repairs.iter().filter(is_flush).count()
}

/// Each is the XOR of its members, and one that no flush has cut short leaves when its guard has
/// passed.
fn assert_repairs_are_right(codes: [&Code; 2], sent: &Timeline) {
    for (at, repair) in &sent.repairs {
        assert_is_xor(repair);
        if !repair.flushed {
            let code = codes[usize::from(repair.code_id)];
            let guard = code.guard(code.layers()[usize::from(repair.layer)]);
            assert_eq!(*at, sent.pushed[(repair.content.members.last() + guard) as usize]);
        }
    }
}

/// Traffic of any density.
fn any_arrivals() -> impl Strategy<Value = Vec<u64>> {
    let exponent = |range: std::ops::Range<f64>| range.prop_map(|e| 10f64.powf(e));
    (any::<u64>(), 1u64..800, exponent(3.0..7.0), exponent(0.0..3.0), exponent(5.0..8.5)).prop_map(
        |(seed, packets, gap, train, pause)| {
            trains(&mut Random::new(seed), packets, gap, train, pause)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// With the default cap, whatever the traffic: each packet is in each layer once, and not later
    /// than the latency budget allows, or the pauses between trains.
    #[test]
    fn protection_is_never_late(code in any_code(), with_short in any::<bool>(), arrivals in any_arrivals()) {
        let short = code.short();
        let timing = Timing::new(&code);
        let sparse = with_short.then_some(&short);
        let sent = run(&code, sparse, &timing, &arrivals, Polling::AtDeadlines);
        prop_assert_eq!(sent.shed, 0);
        assert_repairs_are_right([&code, &short], &sent);
        for layer in 0..code.layers().len() {
            for wait in sent.waits_of(layer as u8) {
                prop_assert!(wait <= timing.latency.max(timing.idle[layer]), "{} of layer {}", wait, layer);
            }
        }
    }

    #[test]
    fn flushes_stay_within_their_cap(
        code in any_code(),
        with_short in any::<bool>(),
        arrivals in any_arrivals(),
        cap in 0.0f64..4.0,
    ) {
        let short = code.short();
        let timing = Timing { flush_cap: cap, ..Timing::new(&code) };
        let sparse = with_short.then_some(&short);
        let sent = run(&code, sparse, &timing, &arrivals, Polling::AtDeadlines);
        // A flush that begins within the cap may end in debt, by what is open at most, merged as
        // far as a repair can hold.
        let bins: usize = code.layers().iter().map(|l| usize::from(l.interleave)).sum();
        let most = cap * arrivals.len() as f64 + bins as f64;
        let flushes = flush_repairs([&code, &short], &sent);
        prop_assert!(flushes as f64 <= most, "{} for {} packets", flushes, arrivals.len());
    }

    /// Deadlines are all that matters: polling more often changes neither a repair nor its time.
    #[test]
    fn polling_at_deadlines_is_enough(code in any_code(), with_short in any::<bool>(), arrivals in any_arrivals()) {
        let short = code.short();
        let sparse = with_short.then_some(&short);
        let timing = Timing::new(&code);
        let arrivals: Vec<u64> = arrivals.into_iter().take_while(|&at| at < 300 * MS).collect();
        let at_deadlines = run(&code, sparse, &timing, &arrivals, Polling::AtDeadlines);
        let always = run(&code, sparse, &timing, &arrivals, Polling::Also(10 * US));
        let all = |sent: &Timeline| -> Vec<(u64, u8, u8, Vec<u64>)> {
            let of = |(at, r): &(u64, Repair)| (*at, r.code_id, r.layer, r.content.members.iter().collect());
            sent.repairs.iter().map(of).collect()
        };
        prop_assert_eq!(all(&at_deadlines), all(&always));
    }
}

/// Dense, sparse and dense again: no packet is without a repair of any layer, both codes are used,
/// and the dense code comes back.
#[test]
fn a_change_of_code_loses_no_coverage() {
    let (code, short, timing) = long();
    let mut arrivals = Vec::new();
    let mut now = 5 * MS;
    // 100,000 packets/s, 5,000, 100,000, 500, 100,000.
    for (gap, packets) in
        [(10 * US, 20_000), (200 * US, 1000), (10 * US, 20_000), (2 * MS, 100), (10 * US, 20_000)]
    {
        for _ in 0..packets {
            now += gap;
            arrivals.push(now);
        }
    }
    let sent = run(&code, Some(&short), &timing, &arrivals, Polling::AtDeadlines);
    for layer in 0..3 {
        assert!(sent.waits_of(layer).into_iter().all(|wait| wait <= timing.latency));
    }
    let code_of = |seq: u64| -> Vec<u8> {
        let holds = |r: &Repair| r.content.members.iter().any(|member| member == seq);
        sent.repairs.iter().filter(|(_, r)| holds(r)).map(|(_, r)| r.code_id).collect()
    };
    for (seq, expected) in [(15_000, 0), (20_900, 1), (40_000, 0), (41_095, 1), (60_000, 0)] {
        assert_eq!(code_of(seq), [expected; 3], "packet {seq}");
    }
    assert_eq!(sent.shed, 0);
}

/// Traffic that changes faster than groups are filled: a code that is left fills up the groups that
/// it has open, and goes on with them when it comes back.
#[test]
fn codes_that_alternate_quickly_do_not_mix_up_their_groups() {
    let (code, short, mut timing) = long();
    timing.age = [Some(500 * MS); 8];
    let mut arrivals = Vec::new();
    let mut now = 5 * MS;
    for _ in 0..10 {
        // 200,000 packets/s for 20 ms, then 1,250 for 80 ms.
        for (gap, packets) in [(5 * US, 4000), (800 * US, 100)] {
            for _ in 0..packets {
                now += gap;
                arrivals.push(now);
            }
        }
    }
    let sent = run(&code, Some(&short), &timing, &arrivals, Polling::AtDeadlines);
    assert_repairs_are_right([&code, &short], &sent);
    (0..3).for_each(|layer| drop(sent.waits_of(layer)));
    let mut codes_of = vec![[0; 2]; arrivals.len()];
    for (_, repair) in &sent.repairs {
        let members = repair.content.members.iter();
        members.for_each(|seq| codes_of[seq as usize][usize::from(repair.code_id)] += 1);
    }
    let both = codes_of.iter().filter(|codes| codes[0] > 0 && codes[1] == 3).count();
    assert!(both > 500, "{both} packets in groups of both codes");
    assert!(codes_of[1000..].iter().any(|codes| codes == &[3, 0]));
}

/// Nothing is open in a layer whose groups have one packet, and still the guard ends with the age.
#[test]
fn a_guard_ends_with_the_age() {
    let code = code("1:30+g3");
    let timing = Timing::new(&code);
    let arrivals: Vec<u64> = (1..500).map(|n| n * 900 * US).collect();
    let sent = run(&code, None, &timing, &arrivals, Polling::AtDeadlines);
    assert!(sent.waits_of(0).into_iter().all(|wait| wait <= timing.latency));
}

/// What is pushed in bursts of 32 at the same time, at a rate that the code is made for, is never
/// flushed: dense traffic pays the code's overhead and no more.
#[test]
fn dense_traffic_pays_the_codes_overhead() {
    let (code, short, timing) = long();
    let mut sender = Sender::with(&code, Some(short), timing);
    let mut wire = Vec::new();
    for burst in 0..20_000u64 {
        let now = burst * 32 * US;
        for _ in 0..32 {
            sender.push(now, &mut wire);
        }
        sender.encoder.poll(now);
        sender.take(&mut wire);
    }
    let repairs = wire.iter().filter(|packet| matches!(packet, Packet::Repair(_)));
    assert!(repairs.clone().all(|packet| matches!(packet, Packet::Repair(r) if !r.flushed)));
    let share = repairs.count() as f64 / 640_000.0;
    assert!((share - 0.15).abs() < 0.001, "{share}");
}
