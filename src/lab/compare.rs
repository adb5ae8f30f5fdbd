//! The proof of a run, from its two captures alone.
//!
//! * **What it does:** says whether every frame that was sent came out at the far end, byte for
//!   byte, once, and in order.
//! * **Who feeds it:** two files. No gateway, counter or log has a say.
//! * **Whom it feeds:** people, and reports in JSON.
//! * **Which thread:** the one that waits for a run's end.
//! * **What it must not do:** take a gateway's word for anything; hold frames in memory (about a
//!   hundred bytes a frame are, whatever its length).

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::lab::capture::{CaptureError, for_each_frame};

/// The first 128 bits of a frame's BLAKE3: a frame is its bytes, all of them.
///
/// A collision would take two different frames for one, and so hide a swap of just those two. Among
/// 10^9 frames the odds of any are below 2^-68, far less than those of a bit flip in the memory
/// that counts them; and nobody who could search 2^64 hashes for a pair writes these files.
type Digest = u128;

/// Where a frame stands in the sent capture, from 0.
type Position = usize;
const NONE: Position = Position::MAX;

/// What became of the sent frames. Equal frames can't be told apart and are counted: of three that
/// were sent and two that were received, one is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Frames in the sent capture.
    pub sent: u64,
    /// Frames in the received capture.
    pub received: u64,
    /// Sent frames that weren't received.
    pub missing: u64,
    /// Received frames that were never sent, or received more often than sent.
    pub foreign: u64,
    /// Received frames that had been sent before one that was received before them. So a frame that
    /// was recovered late counts once, and those that overtook it don't.
    ///
    /// Of equal frames the first received is the first sent, and so on. Where some of them are
    /// missing, nobody can say which: those that came are left out of the count, so that frames
    /// received in the order of sending never count, whatever was lost between them.
    pub reordered: u64,
    /// The number, from 1, of the first missing frame in the sent capture; of equal frames the last
    /// ones are taken to be missing.
    pub first_missing: Option<u64>,
}

impl Comparison {
    /// Everything that was sent arrived, unaltered and once, and nothing else did. Order is left
    /// aside: see [`reordered`](Comparison::reordered).
    pub fn is_whole(&self) -> bool {
        self.missing == 0 && self.foreign == 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { sent, received, missing, foreign, reordered, .. } = *self;
        writeln!(f, "sent {sent} frames, received {received}")?;
        match self.first_missing {
            Some(first) => writeln!(f, "missing {missing}, the first is frame {first}")?,
            None => writeln!(f, "missing none")?,
        }
        match foreign {
            0 => writeln!(f, "foreign none: what was received is byte for byte what was sent")?,
            _ => writeln!(f, "foreign {foreign}: never sent, or received more often than sent")?,
        }
        match reordered {
            0 => write!(f, "reordered none"),
            _ => write!(f, "reordered {reordered}: received after a frame that was sent later"),
        }
    }
}

/// Compares what was sent with what was received.
///
/// # Errors
/// A capture that can't be read to its end. A sent capture without frames is an error too
/// ([`CaptureError::NoFrames`]): nothing proves nothing. A received one without frames isn't: all
/// is missing.
pub fn compare(sent: &Path, received: &Path) -> Result<Comparison, CaptureError> {
    let sent_digests = digests(sent)?;
    if sent_digests.is_empty() {
        return Err(CaptureError::NoFrames { path: sent.into() });
    }
    Ok(Ledger::new(&sent_digests, &digests(received)?).compare())
}

fn digests(path: &Path) -> Result<Vec<Digest>, CaptureError> {
    let mut digests = Vec::new();
    for_each_frame(path, |_, frame| digests.push(digest(frame)))?;
    Ok(digests)
}

fn digest(frame: &[u8]) -> Digest {
    let hash = blake3::hash(frame);
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    Digest::from_le_bytes(half)
}

/// The copies of one frame in both captures.
struct Copies {
    sent: u64,
    received: u64,
    /// The first sent copy that isn't matched yet; the others follow in [`Ledger::next`].
    unmatched: Position,
}

/// Every sent frame, and how often it was received.
struct Ledger<'a> {
    sent: &'a [Digest],
    received: &'a [Digest],
    copies: HashMap<Digest, Copies>,
    /// For each sent frame the next one equal to it.
    next: Vec<Position>,
}

impl<'a> Ledger<'a> {
    fn new(sent: &'a [Digest], received: &'a [Digest]) -> Ledger<'a> {
        let mut copies: HashMap<Digest, Copies> = HashMap::with_capacity(sent.len());
        let mut next = vec![NONE; sent.len()];
        // From the back, so that each chain starts with the first of its copies.
        for (position, &digest) in sent.iter().enumerate().rev() {
            let copies =
                copies.entry(digest).or_insert(Copies { sent: 0, received: 0, unmatched: NONE });
            copies.sent += 1;
            next[position] = std::mem::replace(&mut copies.unmatched, position);
        }
        for digest in received {
            if let Some(copies) = copies.get_mut(digest) {
                copies.received += 1;
            }
        }
        Ledger { sent, received, copies, next }
    }

    fn compare(mut self) -> Comparison {
        let (sent, received) = (self.sent.len() as u64, self.received.len() as u64);
        let matched: u64 =
            self.copies.values().map(|copies| copies.sent.min(copies.received)).sum();
        Comparison {
            sent,
            received,
            missing: sent - matched,
            foreign: received - matched,
            reordered: self.reordered(),
            first_missing: self.first_missing(),
        }
    }

    fn reordered(&mut self) -> u64 {
        let (mut reordered, mut latest) = (0, 0);
        for digest in self.received {
            let Some(copies) = self.copies.get_mut(digest) else { continue };
            let position = copies.unmatched;
            if copies.received < copies.sent || position == NONE {
                continue;
            }
            copies.unmatched = self.next[position];
            reordered += u64::from(position < latest);
            latest = latest.max(position);
        }
        reordered
    }

    /// The first sent frame that makes more copies than were received.
    fn first_missing(&mut self) -> Option<u64> {
        for (number, digest) in (1..).zip(self.sent) {
            let copies = self.copies.get_mut(digest)?; // every sent frame is in there
            if copies.received == 0 {
                return Some(number);
            }
            copies.received -= 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::capture::CaptureWriter;
    use proptest::prelude::*;
    use std::path::PathBuf;

    /// A capture whose frames are told apart by one letter; equal letters are equal frames.
    fn capture(directory: &Path, name: &str, letters: &str) -> PathBuf {
        let path = directory.join(name);
        let mut writer = CaptureWriter::create(&path).unwrap();
        for (time, letter) in letters.bytes().enumerate() {
            writer.write(time as u64, &[letter; 60]).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn compared(sent: &str, received: &str) -> Comparison {
        let directory = tempfile::tempdir().unwrap();
        let sent = capture(directory.path(), "sent.pcap", sent);
        let received = capture(directory.path(), "received.pcap", received);
        compare(&sent, &received).unwrap()
    }

    /// (missing, foreign, reordered, first_missing)
    fn counts(sent: &str, received: &str) -> (u64, u64, u64, Option<u64>) {
        let c = compared(sent, received);
        assert_eq!((c.sent, c.received), (sent.len() as u64, received.len() as u64));
        assert_eq!(c.sent - c.missing, c.received - c.foreign);
        (c.missing, c.foreign, c.reordered, c.first_missing)
    }

    #[test]
    fn the_same_frames_are_whole() {
        assert_eq!(counts("abcd", "abcd"), (0, 0, 0, None));
        assert!(compared("abab", "abab").is_whole());
    }

    #[test]
    fn missing_is_counted_and_the_first_is_named() {
        assert_eq!(counts("abcd", "ad"), (2, 0, 0, Some(2)));
        assert_eq!(counts("abcd", ""), (4, 0, 0, Some(1)));
        assert!(!compared("abcd", "abc").is_whole());
    }

    #[test]
    fn foreign_is_never_sent_or_too_often() {
        assert_eq!(counts("ab", "axb"), (0, 1, 0, None));
        assert_eq!(counts("ab", "abb"), (0, 1, 0, None));
        assert_eq!(counts("ab", "xy"), (2, 2, 0, Some(1)));
    }

    #[test]
    fn one_altered_bit_is_one_missing_and_one_foreign() {
        // 'b' and 'c' differ in one bit of each byte; the ends of a frame count like its middle.
        let directory = tempfile::tempdir().unwrap();
        let sent = capture(directory.path(), "sent.pcap", "b");
        for at in [0, 59] {
            let path = directory.path().join("received.pcap");
            let mut frame = [b'b'; 60];
            frame[at] ^= 1;
            let mut writer = CaptureWriter::create(&path).unwrap();
            writer.write(0, &frame).unwrap();
            writer.finish().unwrap();
            let c = compare(&sent, &path).unwrap();
            assert_eq!((c.missing, c.foreign), (1, 1));
        }
    }

    #[test]
    fn a_late_frame_is_reordered_and_those_before_it_are_not() {
        assert_eq!(counts("abcd", "bcda"), (0, 0, 1, None));
        assert_eq!(counts("abcd", "dcba"), (0, 0, 3, None));
        assert_eq!(counts("abcd", "bad"), (1, 0, 1, Some(3)));
    }

    #[test]
    fn equal_frames_are_counted_not_told_apart() {
        assert_eq!(counts("aaa", "aa"), (1, 0, 0, Some(3)));
        assert_eq!(counts("aba", "aab"), (0, 0, 1, None));
        assert_eq!(counts("aba", "baa"), (0, 0, 1, None));
        // One `a` was lost. If it was the first, what came is in order.
        assert_eq!(counts("aba", "ba"), (1, 0, 0, Some(3)));
        // A late frame with an equal far behind it is one late frame, not a row of them.
        assert_eq!(counts("abcdea", "bacdea"), (0, 0, 1, None));
        assert_eq!(counts("abab", "bbaa"), (0, 0, 2, None));
    }

    #[test]
    fn nothing_sent_proves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let empty = capture(directory.path(), "empty.pcap", "");
        assert!(matches!(compare(&empty, &empty), Err(CaptureError::NoFrames { .. })));
    }

    #[test]
    fn people_get_four_lines_and_programs_get_json() {
        let c = compared("abcd", "cxa");
        assert_eq!(
            c.to_string(),
            "sent 4 frames, received 3\n\
             missing 2, the first is frame 2\n\
             foreign 1: never sent, or received more often than sent\n\
             reordered 1: received after a frame that was sent later"
        );
        assert_eq!(compared("a", "a").to_string().lines().count(), 4);
        assert_eq!(
            serde_json::to_value(&c).unwrap(),
            serde_json::json!({
                "sent": 4, "received": 3, "missing": 2,
                "foreign": 1, "reordered": 1, "first_missing": 2
            })
        );
    }

    #[test]
    fn the_demo_capture_is_itself() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/demo.pcap");
        let c = compare(&demo, &demo).unwrap();
        assert!(c.is_whole() && c.reordered == 0 && c.sent >= 22_000, "{c}");
    }

    fn compared_letters(sent: &[u8], received: &[u8]) -> Comparison {
        let digests = |frames: &[u8]| frames.iter().map(|&f| f.into()).collect::<Vec<Digest>>();
        Ledger::new(&digests(sent), &digests(received)).compare()
    }

    fn count(frames: &[u8], frame: u8) -> u64 {
        frames.iter().filter(|&&f| f == frame).count() as u64
    }

    fn excess(of: &[u8], over: &[u8]) -> u64 {
        (0..=u8::MAX).map(|f| count(of, f).saturating_sub(count(over, f))).sum()
    }

    /// The definition, spelled out and slow.
    fn reordered(sent: &[u8], received: &[u8]) -> u64 {
        let position = |at: usize| {
            let frame = received[at];
            let before = count(&received[..at], frame) as usize;
            let mut copies = (0..sent.len()).filter(|&p| sent[p] == frame);
            copies.nth(before).filter(|_| count(received, frame) >= count(sent, frame))
        };
        let late = |&at: &usize| (0..at).any(|earlier| position(earlier) > position(at));
        (0..received.len()).filter(|&at| position(at).is_some()).filter(late).count() as u64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn agrees_with_the_definition(
            sent in prop::collection::vec(0u8..6, 1..16),
            received in prop::collection::vec(0u8..7, 0..16),
        ) {
            let c = compared_letters(&sent, &received);
            prop_assert_eq!(c.missing, excess(&sent, &received));
            prop_assert_eq!(c.foreign, excess(&received, &sent));
            prop_assert_eq!(c.reordered, reordered(&sent, &received));
            prop_assert_eq!(c.first_missing.is_some(), c.missing > 0);
        }

        #[test]
        fn loss_alone_is_never_reordering(
            frames in prop::collection::vec((0u8..8, any::<bool>()), 1..40),
        ) {
            let sent: Vec<u8> = frames.iter().map(|&(f, _)| f).collect();
            let received: Vec<u8> = frames.iter().filter(|f| f.1).map(|&(f, _)| f).collect();
            let c = compared_letters(&sent, &received);
            prop_assert_eq!((c.foreign, c.reordered), (0, 0));
        }

        #[test]
        fn a_shuffle_is_whole(
            (sent, received) in prop::collection::vec(0u8..8, 1..40)
                .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
        ) {
            let c = compared_letters(&sent, &received);
            prop_assert!(c.is_whole() && c.first_missing.is_none());
            prop_assert_eq!(c.reordered == 0, sent == received);
        }
    }
}
