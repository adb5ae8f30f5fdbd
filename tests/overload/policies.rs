//! Both policies, on a link of exactly the rate of the source traffic and on others.

use maelstrom::gateway::{Blueprint, Limit, Overload, Side};

use crate::course::{Course, DELAY};
use crate::traffic::{Arrivals, Sizes, on_the_wire, traffic};

const RATE: u64 = 1_000_000_000;
const SEEDS: u64 = 20;
const ARRIVALS: [Arrivals; 3] = [Arrivals::Even, Arrivals::Bursts(40), Arrivals::Bursts(250)];
/// In the order of their spans: 2, 3 and 1 in the last.
const CODES: [&str; 3] = ["20:97,101,103+g1", "8:11,13,17+g1", "40x37/5x11/20x31+g1"];

fn west(code: &str, overload: Option<Overload>) -> Blueprint {
    let queue = 512 << 10;
    Blueprint {
        limit: overload.map(|overload| Limit { rate: RATE, overload, queue }),
        wan_mtu: 1600,
        ..Blueprint::new(Side::West, code.parse().unwrap())
    }
}

/// Runs what `seed` stands for in each mix of sizes and arrivals.
fn each_mix(seed: u64, mut run: impl FnMut(&str, &str, &[(u64, Vec<u8>)])) {
    for sizes in Sizes::ALL {
        for arrivals in [Arrivals::Even, ARRIVALS[1 + (seed % 2) as usize]] {
            let code = CODES[(seed % 3) as usize];
            let count = if sizes == Sizes::Fixed(200) { 9_000 } else { 4_000 };
            let frames = traffic(seed, (sizes, arrivals), count, RATE, 1.0);
            run(&format!("seed {seed}, {sizes:?}, {arrivals:?}, {code}"), code, &frames);
        }
    }
}

fn bytes(frames: &[Vec<u8>]) -> f64 {
    frames.iter().map(|frame| frame.len() as f64).sum()
}

/// The same frames without repairs, through the same link: how many bytes a nanosecond come out.
fn goodput_without_repairs(frames: &[(u64, Vec<u8>)]) -> f64 {
    let mut free = 0.0f64;
    let mut sum = 0.0;
    for (at, frame) in frames {
        free = free.max(*at as f64) + on_the_wire(frame) as f64 * 8e9 / RATE as f64;
        sum += frame.len() as f64;
    }
    sum / (free + DELAY as f64)
}

#[test]
fn reserve_gives_sources_all_but_what_their_repairs_take_and_protects_each_in_full() {
    let mut worst = f64::MAX;
    for seed in 0..SEEDS {
        each_mix(seed, |what, code, frames| {
            let run = Course::new(west(code, Some(Overload::Reserve)), RATE).run(frames);
            run.is_sound(what, frames, RATE);
            assert!(run.levels.iter().all(|&level| level == 3), "{what}: a packet lacks repairs");
            assert_eq!(run.count("repair_shed") + run.count("repair_no_mbuf"), 0, "{what}");
            assert!(run.count("overload_dropped") > 0, "{what}: there was no overload");
            let (sources, repairs, time) = run.while_sources_went();
            let overhead = repairs as f64 / sources as f64;
            let fair = RATE as f64 / 8e9 / (1.0 + overhead);
            let share = sources as f64 / time as f64 / fair;
            worst = worst.min(share);
            assert!(share >= 0.98, "{what}: {share} of rate / (1 + {overhead})");
        });
    }
    println!("least share of rate / (1 + overhead): {worst:.4}");
}

/// Where all packets are equal, bytes of repairs are as many as the code says: nothing is flushed.
#[test]
fn reserve_costs_what_the_code_costs() {
    for seed in 0..5 {
        let mix = (Sizes::Fixed(1514), Arrivals::Even);
        let frames = traffic(seed, mix, 20_000, RATE, 1.0 + seed as f64 / 3.0);
        let what = format!("seed {seed}");
        let run = Course::new(west(CODES[0], Some(Overload::Reserve)), RATE).run(&frames);
        run.is_sound(&what, &frames, RATE);
        let (sources, _, time) = run.while_sources_went();
        let share = sources as f64 / time as f64 / (RATE as f64 / 8e9 / 1.15);
        assert!((0.98..1.02).contains(&share), "{what}: {share}");
    }
}

/// What waits for the WAN's rate leaves before the gateway does, its repairs as well.
#[test]
fn a_gateway_that_ends_in_overload_protects_what_it_took_in() {
    for seed in 0..SEEDS {
        let mix = (Sizes::Fixed(1000), Arrivals::Bursts(250));
        let frames = traffic(seed, mix, 4_000, RATE, 1.5);
        let stop = frames[2_000 + 7 * seed as usize].0;
        let code = CODES[(seed % 3) as usize];
        let course = Course::new(west(code, Some(Overload::Reserve)), RATE);
        let run = Course { nap: 10_000, stop: Some(stop), ..course }.run(&frames);
        let bare = run.levels.iter().filter(|&&level| level < 3).count();
        assert_eq!(bare, 0, "seed {seed}, {code}: of {} packets", run.levels.len());
    }
}

#[test]
fn source_first_gives_sources_everything() {
    let mut worst = f64::MAX;
    for seed in 0..SEEDS {
        each_mix(seed, |what, code, frames| {
            let run = Course::new(west(code, Some(Overload::SourceFirst)), RATE).run(frames);
            run.is_sound(what, frames, RATE);
            assert_eq!(run.out.len(), frames.len(), "{what}: {} dropped", run.dropped);
            let share = bytes(&run.out) / run.end as f64 / goodput_without_repairs(frames);
            worst = worst.min(share);
            assert!(share >= 0.98, "{what}: {share} of the goodput without repairs");
            assert!(run.count("repair_shed") > 0, "{what}: nothing was shed");
            let by_layer = (1..=8).map(|layer| run.count(&format!("shed_layer_{layer}")));
            assert_eq!(by_layer.sum::<u64>(), run.count("repair_shed"), "{what}");
        });
    }
    println!("least share of the goodput without repairs: {worst:.4}");
}

#[test]
fn source_first_sheds_the_longest_layers_first() {
    for seed in 0..5 {
        // Room for one repair in twenty packets, and for one and a half.
        for (share, code, sheds) in [
            (0.945, "20:97,101,103+g1", [false, true, true]),
            (0.90, "20:97,101,103+g1", [false, false, true]),
            (0.945, "20:103,97,101+g1", [true, false, true]),
        ] {
            let mix = (Sizes::Fixed(1000), Arrivals::Even);
            let frames = traffic(seed, mix, 30_000, RATE, share);
            let what = format!("seed {seed}, {share} of the rate, {code}");
            let run = Course::new(west(code, Some(Overload::SourceFirst)), RATE).run(&frames);
            run.is_sound(&what, &frames, RATE);
            assert_eq!(run.dropped, 0, "{what}");
            for (layer, expected) in (1..).zip(sheds) {
                let shed = run.count(&format!("shed_layer_{layer}"));
                assert_eq!(shed > 30, expected, "{what}: {shed} of layer {layer}");
                assert!(expected || shed == 0, "{what}: {shed} of layer {layer}");
            }
        }
    }
}

#[test]
fn where_everything_fits_a_rate_changes_nothing() {
    for seed in 0..SEEDS {
        let mix = (Sizes::ALL[(seed % 4) as usize], Arrivals::Even);
        let frames = traffic(seed, mix, 5000, RATE, 0.6);
        let without = Course::new(west(CODES[0], None), RATE).run(&frames);
        for overload in [Overload::Reserve, Overload::SourceFirst] {
            let what = format!("seed {seed}, {overload:?}");
            let run = Course::new(west(CODES[0], Some(overload)), RATE).run(&frames);
            run.is_sound(&what, &frames, RATE);
            assert_eq!((run.dropped, run.count("repair_shed")), (0, 0), "{what}");
            assert_eq!(run.counters, without.counters, "{what}");
            assert!(run.levels.iter().all(|&level| level == 3), "{what}");
            assert!(run.out == without.out, "{what}");
        }
    }
}

/// The bucket is deep enough for a worker that rests, and its clock's slack.
#[test]
fn a_worker_that_rests_keeps_up() {
    for seed in 0..SEEDS {
        let mix = (Sizes::Any, Arrivals::Bursts(40));
        let frames = traffic(seed, mix, 6000, RATE, 1.2);
        let course =
            Course { nap: 120_000, ..Course::new(west(CODES[0], Some(Overload::Reserve)), RATE) };
        let run = course.run(&frames);
        let what = format!("seed {seed}");
        run.is_sound(&what, &frames, RATE);
        assert!(run.levels.iter().all(|&level| level == 3), "{what}");
        let (sources, repairs, time) = run.while_sources_went();
        let used = (sources + repairs) as f64 / time as f64 / (RATE as f64 / 8e9);
        assert!(used >= 0.98, "{what}: {used}");
    }
}

/// Frames that come slowly for 60 ms, then faster than the link for a while.
fn rising(seed: u64, share: f64, count: usize) -> Vec<(u64, Vec<u8>)> {
    const SLOW: u64 = 60_000_000;
    let mix = (Sizes::Fixed(1000), Arrivals::Even);
    let mut frames = traffic(seed, mix, 750, RATE, 0.1);
    frames.retain(|(at, _)| *at < SLOW);
    let fast = traffic(seed + 100, mix, count, RATE, share);
    frames.extend(fast.into_iter().map(|(at, frame)| (SLOW + at, frame)));
    frames
}

/// Sparse traffic has a code whose repairs take much of the link. What begins slowly isn't kept slow by them.
#[test]
fn reserve_gives_what_begins_slowly_the_code_for_dense_traffic_once_the_link_is_full() {
    // It leaves sources 0.91 of the link, and the one for sparse traffic 0.57.
    const CODE: &str = "64:31,37,41,43,47,53+g1";
    for seed in 0..5 {
        let what = format!("seed {seed}");
        let mut west = west(CODE, Some(Overload::Reserve));
        // The span takes as long as it may where sources have 0.85 of the link.
        let a_second = RATE as f64 / 8.0 / on_the_wire(&[0; 1000]) as f64;
        west.timing.latency = (west.span() as f64 * 1e9 / (0.85 * a_second)) as u64;
        let run = |share, count| {
            let frames = rising(seed, share, count);
            let run = Course::new(west.clone(), RATE).run(&frames);
            run.is_sound(&what, &frames, RATE);
            // Without the end, where all is closed.
            let last = run.departures.iter().rposition(|packet| packet.layer.is_none()).unwrap();
            let last = &run.departures[last - 10_000..last];
            let repairs = last.iter().filter(|packet| packet.layer.is_some()).count();
            (repairs as f64 / (last.len() - repairs) as f64, run.dropped)
        };
        let (full, _) = run(1.5, 60_000);
        assert!(full < 0.1, "{what}: {full}");
        // Half the link is sparse traffic, and leaves room for its code.
        let (half, dropped) = run(0.5, 30_000);
        assert!(half > 0.74 && dropped == 0, "{what}: {half}, {dropped} dropped");
        // More than that code leaves, and less than is dense: not now the one and now the other.
        let (between, dropped) = run(0.65, 60_000);
        assert!(between < 0.2 && dropped == 0, "{what}: {between}, {dropped} dropped");
    }
}

/// Under `reserve`, what the code promises is kept however much the LAN brings.
#[test]
fn reserve_recovers_a_burst_on_a_full_link() {
    for seed in 0..SEEDS {
        let mix = (Sizes::ALL[(seed % 4) as usize], ARRIVALS[(seed % 3) as usize]);
        let frames = traffic(seed, mix, 12_000, RATE, 1.5);
        let course = Course {
            loss: "burst:3000,90",
            ..Course::new(west(CODES[0], Some(Overload::Reserve)), RATE)
        };
        let run = course.run(&frames);
        let what = format!("seed {seed}, {mix:?}");
        assert_eq!(run.out.len(), run.levels.len(), "{what}: not all were recovered");
        assert!(run.count("overload_dropped") > 100, "{what}");
    }
}
