//! Whatever is given wrongly, or can't be had: exit status 2, one line that names it, nothing left.
//!
//! Needs neither root nor hugepages.
#![cfg(feature = "dpdk")]

#[path = "bad_input/captures.rs"]
mod captures;
#[path = "common/mod.rs"]
mod common;
#[path = "bad_input/config.rs"]
mod config;
#[path = "bad_input/files.rs"]
mod files;
#[path = "bad_input/flags.rs"]
mod flags;
#[path = "bad_input/ports.rs"]
mod ports;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use common::{Ended, Random, frame, maelstrom, write_capture};

/// A folder with a good capture, `in.pcap`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(7);
    let frames: Vec<Vec<u8>> = (0..200).map(|n| frame(&mut random, 60 + n)).collect();
    write_capture(&folder.path().join("in.pcap"), &frames);
    folder
}

/// Every file in a folder and in those below it, with its bytes.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push((path.display().to_string(), Vec::new()));
            all.extend(contents(&path));
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
    all.sort();
    all
}

/// Splits at blanks.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Asserts that the command is refused, in one line that holds all of `expected`, and that the
/// folder is as before.
fn refused(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let before = contents(folder);
    let ended = maelstrom(folder, arguments);
    let what = format!("maelstrom {}\n{ended:?}", arguments.join(" "));
    is_one_line(&ended, expected, &what);
    assert_eq!(ended.stdout, "", "{what}");
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    let after = contents(folder);
    assert_eq!(names(&after), names(&before), "{what}");
    assert!(after == before, "a file has changed: {what}");
}

/// The same of `maelstrom lab` with a good capture and further flags.
fn lab_refused(folder: &Path, flags: &str, expected: &[&str]) {
    let line = format!("lab --input in.pcap --output out.pcap {flags}");
    refused(folder, &words(&line), expected);
}

fn is_one_line(ended: &Ended, expected: &[&str], what: &str) {
    assert_eq!(ended.status, Some(2), "{what}");
    assert_eq!(ended.stderr.lines().count(), 1, "{what}");
    assert!(ended.stderr.starts_with("error: "), "{what}");
    for text in expected {
        assert!(ended.stderr.contains(text), "no {text:?}: {what}");
    }
}
