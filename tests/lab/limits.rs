//! Frames that are too large to protect, frames for bridges, and what the report must hold.

use crate::bench::Bench;
use crate::common::{Random, frame, read_capture, traffic};

const MTU: usize = 1000;
/// Headers of a repair packet take 42 bytes of the MTU.
const PROTECTED: usize = MTU - 42;
/// A frame as it is has an Ethernet header beyond the MTU.
const BYPASSED: usize = MTU + 14;

/// A hundred frames of each length.
fn of_lengths(lengths: &[usize]) -> Bench {
    let mut random = Random(12);
    let frames = (0..100).flat_map(|_| lengths.to_vec());
    let untagged = |len| {
        let mut frame = frame(&mut random, len);
        // A VLAN tag would not count in the MTU.
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame
    };
    Bench::new(&frames.map(untagged).collect::<Vec<_>>())
}

#[test]
fn oversize_frames_are_bypassed_or_dropped_as_configured() {
    let bench = of_lengths(&[60, PROTECTED, PROTECTED + 1, BYPASSED, BYPASSED + 1]);
    let bypass = bench.run("bypass", "--wan-mtu 1000 --loss iid:0.05 --oversize bypass");
    bypass.adds_up("bypass");
    assert_eq!(bypass.count("source_sent"), 200, "{:#}", bypass.report);
    assert_eq!(bypass.count("bypassed"), 200, "{:#}", bypass.report);
    assert_eq!(bypass.count("dropped/too_large"), 100, "{:#}", bypass.report);
    assert_eq!(bypass.count("unrecovered"), 0, "{:#}", bypass.report);
    assert_eq!(bypass.count("wan/eastward/oversize"), 0, "{:#}", bypass.report);
    // What was protected is all there; of what was not, some is lost.
    let mut lengths: Vec<usize> = Vec::new();
    lengths.extend(read_capture(&bypass.output()).iter().map(|(_, frame)| frame.len()));
    let count = |len| lengths.iter().filter(|&&other| other == len).count();
    assert_eq!((count(60), count(PROTECTED), count(BYPASSED + 1)), (100, 100, 0));
    assert!((80..200).contains(&(count(PROTECTED + 1) + count(BYPASSED))));

    let drop = bench.run("drop", "--wan-mtu 1000 --oversize drop");
    drop.adds_up("drop");
    assert_eq!(drop.count("source_sent"), 200, "{:#}", drop.report);
    assert_eq!(drop.count("dropped/too_large"), 300, "{:#}", drop.report);
    assert_eq!(drop.count("delivered"), 200, "{:#}", drop.report);
    for (run, fate) in [(bypass, "sent unprotected"), (drop, "dropped")] {
        let said = &run.ended.stderr;
        let range = format!("LAN frames of {} to {} bytes", PROTECTED + 1, BYPASSED + 1);
        assert!(said.contains(&range) && said.contains(fate), "{said}");
        assert!(said.contains("a WAN MTU of 1057 would protect them"), "{said}");
    }
}

#[test]
fn frames_beyond_what_ports_carry_are_said_and_counted() {
    let bench = of_lengths(&[60, 30_000]);
    let run = bench.run("run", "--wan-mtu 65535");
    run.adds_up("30 kB");
    assert_eq!(run.count("dropped/too_large"), 100, "{:#}", run.report);
    assert_eq!(run.count("delivered"), 100, "{:#}", run.report);
    assert!(run.ended.stderr.contains("frames of up to 30000 bytes"), "{}", run.ended.stderr);
}

#[test]
fn frames_for_bridges_are_dropped_or_passed_as_configured() {
    let mut frames = traffic(13, 300, false);
    for (n, frame) in frames.iter_mut().enumerate().filter(|(n, _)| n % 3 == 0) {
        // Every address that a bridge keeps, then one that it does not.
        frame[..6].copy_from_slice(&[0x01, 0x80, 0xC2, 0, 0, (n / 3 % 17) as u8]);
        frame.resize(if n % 2 == 0 { 60 } else { 1200 }, 0);
    }
    let kept = frames.iter().filter(|f| f[..5] == [0x01, 0x80, 0xC2, 0, 0] && f[5] < 16).count();
    let bench = Bench::new(&frames);
    let drop = bench.run("drop", "");
    drop.adds_up("drop");
    assert_eq!(drop.count("dropped/link_local_dropped"), kept as u64, "{:#}", drop.report);
    assert_eq!(drop.count("delivered"), 300 - kept as u64, "{:#}", drop.report);
    let pass = bench.run("pass", "--link-local pass --loss iid:0.02");
    pass.adds_up("pass");
    assert_eq!(pass.count("delivered"), 300, "{:#}", pass.report);
    // The first bridge on the way would keep one that is sent as it is.
    let large = bench.run("large", "--link-local pass --wan-mtu 1190");
    large.adds_up("large");
    assert_eq!(large.count("rejected/foreign"), 0, "{:#}", large.report);
    assert!(large.count("dropped/too_large") >= 40, "{:#}", large.report);
}

#[test]
fn the_report_holds_what_was_promised() {
    let bench = Bench::new(&traffic(14, 2000, false));
    let run = bench.run("run", "--loss iid:0.01");
    let report = run.report.as_object().unwrap();
    for key in [
        "code",
        "overhead",
        "lan_in",
        "bypassed",
        "source_sent",
        "repair_sent",
        "source_lost",
        "repair_lost",
        "delivered",
        "recovered",
        "unrecovered",
        "duplicates_suppressed",
        "rejected",
        "mismatched",
        "recovery_delay_ns",
        "repair_departure_ns",
        "time_to_level_ns",
    ] {
        assert!(report.contains_key(key), "no {key} in {:#}", run.report);
    }
    assert_eq!(report["code"], "20:97,101,103+g1");
    assert_eq!(report["time_to_level_ns"].as_array().unwrap().len(), 3);
    for times in ["recovery_delay_ns", "repair_departure_ns", "time_to_level_ns/0"] {
        let [p50, p99, p999, max] =
            ["p50", "p99", "p999", "max"].map(|figure| run.count(&format!("{times}/{figure}")));
        assert!(0 < p50 && p50 <= p99 && p99 <= p999 && p999 <= max, "{:#}", run.report);
    }
    assert_eq!(run.count("recovery_delay_ns/count"), run.count("recovered"));
    let summary = &run.ended.stdout;
    for text in ["lost before", "lost after", "mismatched      0", "to level 3", "15."] {
        assert!(summary.contains(text) || text == "15.", "{summary}");
    }
    assert!(summary.lines().count() < 20 && run.ended.stderr.is_empty(), "{:?}", run.ended);
}
