//! Flags of `lab`, and what is no flag.

use crate::common::maelstrom;
use crate::{folder, lab_refused, refused, words};

#[test]
fn each_bad_flag_is_named_with_what_was_got_and_what_is_expected() {
    let folder = folder();
    for (flags, expected) in [
        ("--code 8:", &["--code", "\"8:\"", "expected GROUP:INTERLEAVE"][..]),
        ("--code 8:1,x", &["--code", "the interleave is \"x\", not a number from 1"]),
        ("--code 0:1", &["--code", "the group size is \"0\""]),
        ("--code 8:1+g17", &["--code", "the guard is \"17\", not a number from 0 to 16"]),
        ("--code 8:1+gNaN", &["--code", "the guard is \"NaN\""]),
        ("--code 2:1,3,5,7,11,13,17,19,23", &["--code", "9 layers, at most 8"]),
        ("--code 1024:16381", &["1024:16381", "MiB of memory", "limit of 2048 MiB"]),
        ("--memory-limit 1MiB", &["20:97,101,103+g1", "limit of 1 MiB"]),
        ("--memory-limit 2GB", &["--memory-limit", "2GB", "expected a number and one of"]),
        ("--wan-mtu 121", &["a WAN MTU of 121", "expected at least 122"]),
        ("--wan-mtu 70000", &["--wan-mtu", "70000"]),
        ("--sparse some", &["--sparse", "some", "or auto, or off"]),
        ("--latency 1us", &["--idle 1ms", "1us of --latency", "expected more than 0"]),
        ("--idle 0ms", &["--idle 0ns", "expected more than 0"]),
        ("--idle 1", &["--idle", "\"1\"", "e.g. 50ms"]),
        ("--loss some", &["--loss", "\"some\"", "expected none, iid:P"]),
        ("--loss iid:1", &["--loss", "\"iid:1\"", "must lie in 0..1"]),
        ("--loss iid:NaN", &["--loss", "must lie in 0..1"]),
        ("--loss ge:0.01", &["--loss", "expected ge:RATE,MEANBURST"]),
        ("--loss ge:0.9,2", &["--loss", "a mean burst of at least 9"]),
        ("--loss burst:5", &["--loss", "expected burst:START,LENGTH"]),
        ("--loss drop:nosuch", &["--loss", "drop:nosuch", "cannot read the file"]),
        ("--loss drop:bad.txt", &["--loss", "bad.txt:2", "\"x\"", "expected one whole number"]),
        ("--reorder 0.1", &["--reorder", "0.1", "expected a probability and a number"]),
        ("--reorder 1,5", &["--reorder", "probability 1", "expected 0 or more, below 1"]),
        ("--reorder 0.1,0", &["--reorder", "packets 0", "expected 1 to"]),
        ("--duplicate 3", &["--duplicate 3", "expected 0 to 1"]),
        ("--duplicate often", &["--duplicate", "often", "expected a probability"]),
        ("--duplicate -0.1", &["--duplicate -0.1", "expected 0 to 1"]),
        ("--corrupt NaN", &["--corrupt NaN", "expected 0 to 1"]),
        ("--rate 0bps", &["--rate", "0bps", "expected a finite rate above 0"]),
        ("--rate unlimited", &["--rate", "unlimited", "expected a finite rate"]),
        ("--rate 10", &["--rate", "\"10\"", "e.g. 10Gbps"]),
        ("--pps 0", &["--pps", "'0'", "expected packets per second, 0.001 to"]),
        ("--pps -5", &["--pps", "'-5'", "expected packets per second, 0.001 to"]),
        ("--pps nan", &["--pps", "'nan'", "expected packets per second"]),
        ("--rate 1Gbps --pps 3", &["--rate", "--pps"]),
        ("--pcap-times --pps 3", &["--pcap-times", "--pps"]),
        ("--delay 5", &["--delay", "\"5\"", "e.g. 50ms"]),
        ("--delay 3601s", &["--delay 3601s", "expected 0ns to 3600s"]),
        ("--queue many", &["--queue", "many", "expected a whole number"]),
        ("--queue 99999999999", &["--queue 99999999999", "expected 0 to 16777216"]),
        ("--seed -1", &["--seed", "-1", "expected a whole number"]),
        ("--wan-rate 0bps", &["--wan-rate 0bps", "expected 1bps to 1000Tbps"]),
        (
            "--overload reserve",
            &["--wan-rate unlimited", "expected 1Mbps to 1Tbps with --overload"],
        ),
        ("--wan-rate 1kbps --overload reserve", &["--wan-rate 1kbps", "expected 1Mbps to 1Tbps"]),
        ("--wan-rate 1Gbps --overload fair", &["--overload", "fair", "reserve, source-first"]),
        ("--gateway-queue 1MiB", &["--overload"]),
        (
            "--wan-rate 1Gbps --overload reserve --gateway-queue 1KiB",
            &["--gateway-queue", "expected 64KiB to 1GiB"],
        ),
        ("--wan-rate fast", &["--wan-rate", "fast", "e.g. 10Gbps"]),
        ("--oversize split", &["--oversize", "split", "bypass, drop"]),
        ("--link-local keep", &["--link-local", "keep", "drop, pass"]),
        ("--integrity crc", &["--integrity", "crc", "off, check"]),
        ("--colour red", &["--colour"]),
        ("extra", &["'extra'"]),
    ] {
        std::fs::write(folder.path().join("bad.txt"), "1\nx\n").unwrap();
        lab_refused(folder.path(), flags, expected);
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = folder();
    for (line, expected) in [
        ("", "no subcommand; expected run, ctl, link, key, wan, lab, bench, plan, compare"),
        ("ctl status", "--socket"),
        ("ctl --socket nosuch.ctl status", "expected control.socket of a gateway that runs"),
        ("ctl --socket in.pcap bypass up", "possible values: on, off"),
        ("paint", "unrecognized subcommand 'paint'"),
        ("--paint", "--paint"),
        ("lab --input in.pcap", "--output"),
        ("lab --output out.pcap", "--input"),
        ("compare in.pcap", "<RECEIVED>"),
        ("run", "--config"),
        ("wan --west net_null0", "--east"),
    ] {
        refused(folder.path(), &words(line), &[expected]);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = folder();
    for line in ["--help", "--version", "lab --help", "wan --help", "run --help", "compare --help"]
    {
        let ended = maelstrom(folder.path(), &words(line));
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{line}: {ended:?}");
        assert!(ended.stdout.contains("aelstrom"), "{line}: {ended:?}");
    }
}

/// The published codes have such interleaves.
#[test]
fn interleaves_with_a_common_factor_are_a_warning() {
    let folder = folder();
    for (code, pair) in [("8:1,20,40", "20 and 40"), ("8:97,97", "97 and 97")] {
        let line = format!("lab --input in.pcap --output out.pcap --code {code}");
        let ended = maelstrom(folder.path(), &words(&line));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.stderr.contains(&format!("interleaves {pair} are not coprime")), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}
