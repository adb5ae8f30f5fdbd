//! Captures.

use std::path::Path;

use maelstrom::lab::capture::{MAX_FRAME, MIN_FRAME, for_each_frame_of};

/// The input is a capture's bytes.
pub fn check(bytes: &[u8]) {
    let (mut latest, mut total) = (0, 24);
    let read = for_each_frame_of(Path::new("input.pcap"), bytes, |time, frame| {
        assert!(time >= latest, "time goes back");
        assert!((MIN_FRAME as usize..=MAX_FRAME as usize).contains(&frame.len()));
        assert!(bytes[total + 16..].starts_with(frame), "the frame's bytes are those of the file");
        latest = time;
        total += 16 + frame.len();
    });
    match read {
        Ok(()) => assert_eq!(total, bytes.len(), "all of the file was read"),
        Err(error) => {
            let error = error.to_string();
            assert!(error.starts_with("input.pcap: ") && error.lines().count() == 1, "{error}");
        }
    }
}
