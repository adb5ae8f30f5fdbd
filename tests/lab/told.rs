//! `maelstrom lab --netsync`: what a reader is told of the capture's TCP flows.

use std::fs;
use std::path::Path;

use crate::bench::Bench;

/// The capture of the demonstration, in which two TCP stacks talk.
fn bench() -> Bench {
    let bench = Bench::new(&[]);
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/demo.pcap");
    fs::copy(capture, bench.file("in.pcap")).unwrap();
    bench
}

#[test]
fn a_reader_is_told_of_every_level_and_never_too_soon() {
    let bench = bench();
    let plain = bench.run("plain", "--rate 500Mbps --loss ge:0.01,10 --seed 3");
    assert!(plain.report["told_to_level_ns"].is_null());
    let told = bench.run("told", "--rate 500Mbps --loss ge:0.01,10 --seed 3 --netsync told.sock");
    assert!(!bench.file("told.sock").exists());
    // That somebody listens changes nothing.
    assert_eq!(
        fs::read(plain.output()).unwrap(),
        fs::read(told.output()).unwrap(),
        "{:#}",
        told.report
    );
    let mut below = 0;
    for level in 0..3 {
        let of = |what: &str, figure: &str| told.count(&format!("{what}/{level}/{figure}"));
        assert!(of("told_to_level_ns", "count") > 10_000, "{:#}", told.report);
        // A watermark waits for all bytes below it, each of which has its level by then.
        let most = of("time_to_level_ns", "max");
        assert!(of("told_to_level_ns", "max") <= most, "level {level}: {:#}", told.report);
        assert!(of("told_to_level_ns", "p50") > below, "level {level}: {:#}", told.report);
        below = of("told_to_level_ns", "p50");
    }
    assert!(told.ended.stdout.contains("told level 3"), "{}", told.ended.stdout);
}

#[test]
fn a_socket_that_cannot_be_is_refused_in_one_line() {
    let bench = bench();
    let before = fs::read(bench.file("in.pcap")).unwrap();
    for socket in ["nowhere/told.sock", "in.pcap", "."] {
        let line = format!("lab --input in.pcap --output out.pcap --netsync {socket}");
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let ended = crate::common::maelstrom(&bench.file("."), &arguments);
        assert_eq!(ended.status, Some(2), "{socket}: {ended:?}");
        let error = ended.stderr.lines().last().unwrap_or_default();
        assert!(error.contains(socket), "{socket}: {ended:?}");
        assert!(!bench.file("out.pcap").exists(), "{socket}");
    }
    assert!(fs::read(bench.file("in.pcap")).unwrap() == before);
}
