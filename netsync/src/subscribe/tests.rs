//! Segments that no gateway would write: readers answer something, and neither panic nor hang.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::entry;
use crate::layout::{BEAT, Geometry, HEADER, Header, LayoutError};
use crate::memory::Memory;
use crate::{Server, ServerConfig};

const GEOMETRY: Geometry = Geometry { workers: 2, ack_writers: 2, ring: 4, flows: 4 };

/// A segment of any words, served.
fn served(file: OwnedFd) -> (TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let server = Server::start(&ServerConfig { path, mode: 0o600, group: None }, file).unwrap();
    (dir, server)
}

/// As [`Subscriber::connect`], however long a busy machine keeps the server's thread from its core.
pub(super) fn connect(path: impl AsRef<Path>) -> Result<Subscriber, ConnectError> {
    let start = Instant::now();
    loop {
        match Subscriber::connect(&path) {
            Err(ConnectError::Io { .. }) if start.elapsed() < Duration::from_secs(120) => {}
            answer => return answer,
        }
    }
}

fn key() -> FlowKey {
    FlowKey::v4([1; 4], 1, [2; 4], 2)
}

/// All that a reader may ask.
fn ask_everything(subscriber: &Subscriber) {
    let _ = (subscriber.state(), subscriber.epoch(), subscriber.code(), subscriber.workers());
    let mut flow = subscriber.flow_by(key());
    for target in [Target::Level(1), Target::Level(8), Target::Acked, Target::Probability(0.5)] {
        for offset in [0, 1, 1 << 32, u64::MAX] {
            let _ = flow.wait(offset, target, Duration::ZERO);
        }
    }
    let _ = (flow.sent(), flow.acked(), flow.watermark(1), flow.in_flight(), flow.is_anchored());
    let _ = (subscriber.status(), subscriber.flows().map(Iterator::count));
    if let Ok(Some(mut notices)) = subscriber.notices(1) {
        for _ in 0..20 {
            let _ = notices.poll();
        }
    }
}

fn header() -> Header {
    Header { geometry: GEOMETRY, epoch: 1, pid: 1, hash_seed: 3, heartbeat_timeout_ns: 1 << 50 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_content_is_fatal(seed: u64, bits in 0..64u32, with_key: bool) {
        let (memory, file) = Memory::create(GEOMETRY.lines()).unwrap();
        let words = memory.lines().iter().flat_map(|line| &line.0);
        // Small numbers too: they pass for generations and seqs that have just begun.
        let mut state = seed;
        for word in words {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(seed | 1);
            word.put((state ^ state >> 29) & u64::MAX >> bits);
        }
        if with_key {
            entry::entry(&memory, &GEOMETRY, 1, 2).open(&key(), 5, seed & 1 == 1, 0);
        }
        let constants = memory.lines()[..2].iter().flat_map(|line| &line.0);
        constants.zip(header().emit()).for_each(|(word, value)| word.put(value));
        memory.lines()[BEAT].0[0].put(now_ns());
        if seed % 3 == 0 {
            memory.lines()[GEOMETRY.cursor(1)].0[0].put(u64::MAX);
        }
        let (dir, _server) = served(file);
        let subscriber = connect(dir.path().join("socket")).unwrap();
        ask_everything(&subscriber);
    }
}

#[test]
fn what_is_no_segment_is_refused() {
    for (lines, change) in [(HEADER - 1, 0), (GEOMETRY.lines(), 1), (GEOMETRY.lines() + 1, 0)] {
        let (memory, file) = Memory::create(lines).unwrap();
        let constants = memory.lines()[..2].iter().flat_map(|line| &line.0);
        constants.zip(header().emit()).for_each(|(word, value)| word.put(value ^ change));
        let (dir, _server) = served(file);
        let error = connect(dir.path().join("socket")).unwrap_err();
        let ConnectError::Layout { error, .. } = &error else { panic!("{error}") };
        let expected = if change == 0 {
            matches!(error, LayoutError::Size { .. })
        } else {
            matches!(error, LayoutError::Magic(_))
        };
        assert!(expected, "{error}");
    }
}

#[test]
fn a_file_that_could_shrink_is_refused() {
    let file = tempfile::tempfile().unwrap();
    file.set_len((GEOMETRY.lines() * 64) as u64).unwrap();

    let (dir, _server) = served(file.into());
    let error = connect(dir.path().join("socket")).unwrap_err();
    assert!(matches!(error, ConnectError::Unsealed(_)), "{error}");
}

#[test]
fn a_beat_of_another_clock_is_none() {
    let (memory, file) = Memory::create(GEOMETRY.lines()).unwrap();
    let constants = memory.lines()[..2].iter().flat_map(|line| &line.0);
    let header = Header { heartbeat_timeout_ns: 1_000_000_000, ..header() };
    constants.zip(header.emit()).for_each(|(word, value)| word.put(value));

    let (dir, _server) = served(file);
    let subscriber = connect(dir.path().join("socket")).unwrap();
    for beat in [0, u64::MAX, now_ns() + 60_000_000_000] {
        memory.lines()[BEAT].0[0].put(beat);
        assert_eq!(subscriber.state(), Err(WaitError::Dead));
    }
    memory.lines()[BEAT].0[0].put(now_ns());
    while subscriber.state().is_err() {
        std::thread::yield_now();
    }
}
