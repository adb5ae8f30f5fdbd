//! When frames arrive, and how soon they are protected.

use crate::bench::{Bench, Run};
use crate::common::{Random, START, frame, read_capture, traffic};

const MS: u64 = 1_000_000;

/// The times of the output, from the start of the input; nothing was lost on the way.
fn times(run: &Run) -> Vec<u64> {
    read_capture(&run.output()).iter().map(|(time, _)| time - START).collect()
}

#[test]
fn frames_arrive_as_they_are_told_to() {
    let frames = traffic(8, 2000, false);
    let bench = Bench::new(&frames);
    let n = frames.len() as u64;
    let run = bench.run("times", "--pcap-times --delay 3ms");
    assert!(times(&run).into_iter().eq((0..n).map(|n| n * 1003 + 3 * MS)));
    let run = bench.run("pps", "--pps 2000 --delay 3ms");
    assert!(times(&run).into_iter().eq((0..n).map(|n| n * 500_000 + 3 * MS)));
    // A frame has arrived when its last bit has: 24 bytes more than its own, at 8 ns a byte.
    let run = bench.run("rate", "--rate 1Gbps --delay 3ms");
    let mut wire = 0;
    let arrivals = frames.iter().map(|frame| {
        wire += (frame.len() as u64 + 24) * 8;
        wire + 3 * MS
    });
    assert!(times(&run).into_iter().eq(arrivals));
}

/// Lone packets: a repair of each layer after 1, 2 and 3 ms of silence.
#[test]
fn a_packet_every_ten_milliseconds_is_protected_by_copies() {
    let bench = Bench::new(&traffic(9, 2000, false));
    let flags = "--pps 100 --loss iid:0.05 --seed 3";
    let run = bench.run("run", flags);
    run.adds_up(flags);
    assert_eq!(run.count("unrecovered"), 0, "{:#}", run.report);
    assert!(run.count("recovered") > 50, "{:#}", run.report);
    assert!((2.9..=3.0).contains(&run.overhead()), "{:#}", run.report);
    for (level, ms) in [(0, 1), (1, 2), (2, 3)] {
        let p50 = run.count(&format!("time_to_level_ns/{level}/p50"));
        assert!((ms * MS..ms * MS + MS / 10).contains(&p50), "level {level}: {p50}");
        assert!(run.count(&format!("time_to_level_ns/{level}/max")) < 10 * MS);
    }
}

/// At 2000 packets/s the code's span would take a second: the short code keeps the budget.
#[test]
fn sparse_traffic_is_protected_within_the_latency_budget() {
    let bench = Bench::new(&traffic(10, 5000, false));
    let flags = "--pps 2000 --loss iid:0.01";
    let run = bench.run("run", flags);
    run.adds_up(flags);
    assert_eq!(run.count("unrecovered"), 0, "{:#}", run.report);
    assert!(run.overhead() < 0.6, "{:#}", run.report);
    for level in 0..3 {
        let name = format!("time_to_level_ns/{level}");
        assert_eq!(run.count(&format!("{name}/count")), run.count("source_sent"));
        assert!(run.count(&format!("{name}/p99")) <= 50 * MS, "{level}: {:#}", run.report);
    }
}

/// Dense traffic, a packet each microsecond: a packet's position in its group is uniform, so its
/// repair of interleave i comes i to 20·i packets later; of three such times the k-th has its median
/// at 0.206, 0.5 and 0.794 of the way. (1 − (1 − q)^3 = 1/2 gives the first.)
#[test]
fn levels_come_when_the_code_says() {
    let mut random = Random(11);
    let frames: Vec<Vec<u8>> = (0..60_000).map(|_| frame(&mut random, 64)).collect();
    let bench = Bench::new(&frames);
    let run = bench.run("run", "--code 20:97,101,103+g1 --pps 1000000");
    let overhead = run.overhead();
    assert!((0.15..0.158).contains(&overhead), "{overhead}");
    let (least, span) = (97.0, 20.0 * 101.0);
    for (level, way) in [0.206, 0.5, 0.794].into_iter().enumerate() {
        let name = |figure| format!("time_to_level_ns/{level}/{figure}");
        let expected = (least + way * (span - least)) * 1000.0;
        let p50 = run.count(&name("p50")) as f64;
        assert!((p50 / expected - 1.0).abs() < 0.05, "level {level}: {p50}, not {expected}");
        assert_eq!(run.count(&name("count")), 60_000);
        // Beyond its span a repair only comes by an idle time, at the end: 1 ms a layer.
        let max = run.count(&name("max"));
        assert!(max <= 20 * 103 * 1000 + 3 * MS, "level {level}: {max}");
    }
    assert_eq!(run.count("repair_departure_ns/count"), 3 * 60_000);
}
