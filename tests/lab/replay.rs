//! The same seed gives the same run, and time is virtual.

use std::fs;

use crate::bench::Bench;
use crate::common::{START, read_capture, traffic};

const LINK: &str = "--loss ge:0.01,10 --reorder 0.01,5 --duplicate 0.01 --corrupt 0.001";

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let bench = Bench::new(&traffic(5, 20_000, false));
    let [a, b, other] = [("a", 7), ("b", 7), ("c", 8)]
        .map(|(name, seed)| bench.run(name, &format!("{LINK} --seed {seed}")));
    let read = |path| fs::read(path).unwrap();
    assert!(read(a.output()) == read(b.output()), "the output differs");
    assert!(read(a.wire()) == read(b.wire()), "the wan-pcap differs");
    assert!(read(a.json()) == read(b.json()), "the report differs");
    assert_eq!(a.ended.stdout, b.ended.stdout);
    assert!(read(a.output()) != read(other.output()), "another seed gives the same output");
    assert!(read(a.json()) != read(other.json()), "another seed gives the same report");
    // West does not know what the WAN will do.
    assert!(read(a.wire()) == read(other.wire()), "the wan-pcap depends on the seed");
}

/// A longer link shifts everything by its delay and changes nothing else.
#[test]
fn delay_is_virtual_and_exact() {
    let bench = Bench::new(&traffic(6, 20_000, false));
    let runs = [0, 50, 1_000_000]
        .map(|ms| (ms, bench.run("run", &format!("{LINK} --delay {ms}ms")), ms * 1_000_000));
    let [first, others @ ..] = runs.map(|(ms, run, delay)| {
        let bytes = bench.run(&format!("run{ms}"), &format!("{LINK} --delay {ms}ms"));
        (run.count("virtual_ns"), read_capture(&bytes.output()), delay)
    });
    for (virtual_ns, frames, delay) in others {
        assert_eq!(virtual_ns, first.0 + delay);
        let shifted = first.1.iter().map(|(time, frame)| (time + delay, frame));
        assert!(shifted.eq(frames.iter().map(|(time, frame)| (*time, frame))), "delay {delay}");
    }
    assert!(first.1[0].0 >= START);
    assert!(first.1.is_sorted_by_key(|(time, _)| *time));
}
