//! Captures that are none.

use std::fs;

use crate::common::maelstrom;
use crate::{folder, refused};

/// Name, what is in it, what must be said.
fn bad_captures(good: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let with = |at: usize, bytes: &[u8]| {
        let mut capture = good.to_vec();
        capture[at..at + bytes.len()].copy_from_slice(bytes);
        capture
    };
    vec![
        ("empty.pcap", Vec::new(), "empty (0 bytes), expected a pcap"),
        ("header.pcap", good[..24].to_vec(), "no frames behind its header, expected at least one"),
        ("short.pcap", good[..10].to_vec(), "ends after 10 bytes, expected the 24"),
        ("cut.pcap", good[..good.len() - 5].to_vec(), "frame 200, at byte"),
        ("garbage.pcap", (0..=255).collect(), "starts with 0x00010203, expected a pcap's"),
        ("text\nlines.pcap", b"not a capture".to_vec(), "text\\nlines.pcap: starts with"),
        ("ng.pcap", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a".to_vec(), "a pcapng file"),
        ("any.pcap", with(20, &113u32.to_le_bytes()), "link type 113 (LINUX_SLL), expected 1"),
        ("version.pcap", with(4, &[3, 0]), "pcap version 3.4, expected 2.4"),
        ("huge.pcap", with(32, &[0xFF; 4]), "frame 1, at byte 24, has 4294967295 bytes"),
        ("runt.pcap", with(32, &13u32.to_le_bytes()), "has 13 bytes, expected at least the 14"),
    ]
}

#[test]
fn a_bad_capture_is_named_with_what_is_wrong_in_it() {
    let folder = folder();
    let path = folder.path();
    let good = fs::read(path.join("in.pcap")).unwrap();
    for (name, bytes, expected) in bad_captures(&good) {
        fs::write(path.join(name), bytes).unwrap();
        let shown = name.replace('\n', "\\n");
        let expected = [shown.as_str(), expected];
        refused(path, &["lab", "--input", name, "--output", "out.pcap"], &expected);
        if name != "header.pcap" && name != "runt.pcap" {
            refused(path, &["compare", "in.pcap", name], &expected);
        }
        if name != "runt.pcap" {
            refused(path, &["compare", name, "in.pcap"], &expected);
        }
    }
}

#[test]
fn a_capture_that_is_not_there_is_named() {
    let folder = folder();
    let path = folder.path();
    let missing = ["nosuch.pcap: no such file, expected a capture"];
    refused(path, &["lab", "--input", "nosuch.pcap", "--output", "out.pcap"], &missing);
    refused(path, &["compare", "nosuch.pcap", "in.pcap"], &missing);
    refused(path, &["compare", "in.pcap", "nosuch.pcap"], &missing);
    let folder_name = path.to_str().unwrap();
    let not_a_file = [folder_name, "expected a regular file"];
    refused(path, &["lab", "--input", folder_name, "--output", "out.pcap"], &not_a_file);
    refused(path, &["compare", "in.pcap", "/dev/null"], &["/dev/null", "expected a regular file"]);
}

/// What was received may be nothing, and that is a result.
#[test]
fn a_received_capture_without_frames_is_compared() {
    let folder = folder();
    let good = fs::read(folder.path().join("in.pcap")).unwrap();
    fs::write(folder.path().join("header.pcap"), &good[..24]).unwrap();
    let ended = maelstrom(folder.path(), &["compare", "in.pcap", "header.pcap"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("missing 200, the first is frame 1"), "{ended:?}");
}
