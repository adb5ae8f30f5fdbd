//! `maelstrom plan` as it is called: what it prints, how it ends, and how soon.

mod common;

use std::process::Command;

use common::{Process, maelstrom};
use serde_json::Value;

const KEYS: [&str; 9] = [
    "code",
    "overhead",
    "residual",
    "span_packets",
    "burst_always_recovered",
    "recovery_delay_ns",
    "time_to_level_ns",
    "update_loss_at_level",
    "memory_bytes",
];

fn plan(line: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let words: Vec<&str> = ["plan"].into_iter().chain(line.split_whitespace()).collect();
    let ended = maelstrom(folder.path(), &words);
    (ended.status, ended.stdout, ended.stderr)
}

fn codes(text: &str) -> Vec<Value> {
    let codes: Vec<Value> = serde_json::from_str(text).unwrap();
    for code in &codes {
        for key in KEYS {
            assert!(!code[key].is_null(), "{key} in {code}");
        }
    }
    codes
}

#[test]
fn finds_codes_that_do_what_is_asked_the_cheapest_first() {
    let folder = tempfile::tempdir().unwrap();
    // Seconds of CPU time, behind which it is killed: it takes two, on however busy a machine.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -t 20 && exec \"$0\" plan \"$@\"",
        env!("CARGO_BIN_EXE_maelstrom"),
    ]);
    let line = "--loss 0.01 --burst 20 --rate 10Gbps --packet 1500 --rtt 100ms --residual 1e-7 \
                --latency 10ms --json";
    command.args(line.split_whitespace());
    let ended = Process::spawn(folder.path(), "plan", command).end();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let codes = codes(&ended.stdout);
    assert!(!codes.is_empty());
    let number = |code: &Value, key: &str| code[key].as_f64().unwrap();
    assert!(codes.is_sorted_by(|a, b| number(a, "overhead") <= number(b, "overhead")));
    for code in &codes {
        assert!(number(code, "residual") <= 1e-7 && number(code, "recovery_delay_ns") <= 1e7);
    }
}

#[test]
fn says_what_can_not_be_had_and_what_comes_nearest() {
    let line = "--loss 0.01 --burst 20 --rate 50Mbps --packet 1500 --rtt 5ms --residual 1e-7";
    let (status, out, _) = plan(line);
    assert_eq!(status, Some(1));
    assert!(out.contains("No code was found") && out.contains("is in time"), "{out}");
    assert!(out.contains("8:1,20,40") && out.contains("recoveries take up to"), "{out}");
    let (status, out, _) = plan(&format!("{line} --json"));
    assert_eq!((status, codes(&out).is_empty()), (Some(1), false));
}

#[test]
fn explains_a_code() {
    let (status, out, _) = plan("--loss 0.01 --burst 20 --explain 8:1,20,40 --json");
    assert_eq!(status, Some(0));
    let codes = codes(&out);
    assert_eq!(codes[0]["code"], "8:1,20,40");
    assert_eq!(codes[0]["overhead"], 0.375);
    assert_eq!(codes[0]["span_packets"], 280);
    assert_eq!(codes[0]["burst_always_recovered"], 3);
    assert_eq!(codes[0]["time_to_level_ns"].as_array().unwrap().len(), 3);
    let (_, out, _) = plan("--loss 0.01 --rtt 100ms --explain 8:1,20,40");
    assert!(out.contains("interleaves 20 and 40 are not coprime"), "{out}");
}

#[test]
fn refuses_in_one_line() {
    for (line, expected) in [
        ("--rtt 5ms", "--loss"),
        ("--loss 0.01", "--rtt"),
        ("--loss 1 --rtt 5ms", "--loss 1: expected a share above 0"),
        ("--loss 0 --rtt 5ms", "--loss 0: expected a share above 0"),
        ("--loss NaN --rtt 5ms", "--loss NaN: expected a share"),
        ("--loss x --rtt 5ms", "--loss"),
        ("--loss 0.1 --burst 0 --rtt 5ms", "--burst 0: expected a number of packets"),
        ("--loss 0.1 --rtt 0ms", "expected more than 0"),
        ("--loss 0.1 --rtt 5", "e.g. 50ms"),
        ("--loss 0.1 --rtt 5ms --packet 1", "--packet 1: expected bytes from 40"),
        ("--loss 0.1 --rtt 5ms --rate unlimited", "expected a finite rate"),
        ("--loss 0.1 --rtt 5ms --residual 0", "--residual 0: expected a share"),
        ("--loss 0.1 --rtt 5ms --update 0", "--update: expected more than 0"),
        ("--loss 0.1 --explain 8:", "expected GROUP:INTERLEAVE"),
    ] {
        let (status, out, error) = plan(line);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{line}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{line}: {error}");
    }
}
