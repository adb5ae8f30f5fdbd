use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const MAGIC_US: u32 = 0xa1b2_c3d4;
const MAGIC_NS: u32 = 0xa1b2_3c4d;

/// A capture made by hand, word by word, so that it can be wrong in any way.
struct Raw {
    big: bool,
    bytes: Vec<u8>,
}

impl Raw {
    fn new(magic: u32, big: bool) -> Raw {
        Raw::with(magic, big, [2, 4], 65_535, 1)
    }

    fn with(magic: u32, big: bool, version: [u16; 2], snaplen: u32, link: u32) -> Raw {
        let mut raw = Raw { big, bytes: Vec::new() };
        raw.words(&[magic]);
        for half in version {
            let bytes = if big { half.to_be_bytes() } else { half.to_le_bytes() };
            raw.bytes.extend(bytes);
        }
        raw.words(&[0, 0, snaplen, link]);
        raw
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.bytes.extend(if self.big { word.to_be_bytes() } else { word.to_le_bytes() });
        }
    }

    fn record(mut self, seconds: u32, fraction: u32, captured: u32, original: u32) -> Raw {
        self.words(&[seconds, fraction, captured, original]);
        self.bytes.extend(std::iter::repeat_n(0xab, captured.min(2 * MAX_FRAME) as usize));
        self
    }

    fn saved(&self, directory: &TempDir) -> PathBuf {
        let path = directory.path().join("raw.pcap");
        fs::write(&path, &self.bytes).unwrap();
        path
    }

    fn check(&self) -> Result<Capture, CaptureError> {
        let directory = tempfile::tempdir().unwrap();
        let result = Capture::check(&self.saved(&directory));
        if let Err(error) = &result {
            let line = error.to_string();
            assert!(!line.contains('\n') && line.contains("raw.pcap"), "{line}");
            assert!(line.contains(", expected") && line.contains("; "), "{line}");
        }
        result
    }
}

fn good() -> Raw {
    Raw::new(MAGIC_NS, false).record(1, 5, 60, 60).record(1, 6, 100, 100).record(2, 0, 14, 14)
}

fn write_capture(path: &Path, frames: &[(u64, Vec<u8>)]) {
    let mut writer = CaptureWriter::create(path).unwrap();
    for (time, frame) in frames {
        writer.write(*time, frame).unwrap();
    }
    writer.finish().unwrap();
}

fn read_capture(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut frames = Vec::new();
    for_each_frame(path, |time, frame| frames.push((time, frame.to_vec()))).unwrap();
    frames
}

fn names_in(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn both_byte_orders_and_both_resolutions() {
    for big in [false, true] {
        for (magic, per_tick) in [(MAGIC_US, 1000), (MAGIC_NS, 1)] {
            let capture = Raw::new(magic, big).record(3, 7, 60, 60).check().unwrap();
            let time_ns = 3_000_000_000 + 7 * per_tick;
            assert_eq!(capture.frames, [FrameInfo { time_ns, len: 60 }]);
        }
    }
}

#[test]
fn a_capture_is_summed_up() {
    let capture = good().check().unwrap();
    assert_eq!((capture.frames.len(), capture.max_len, capture.bytes), (3, 100, 174));
    assert_eq!((capture.cut, capture.backwards), (0, 0));
}

#[test]
fn cut_frames_are_counted() {
    let capture = good().record(3, 0, 64, 1514).record(4, 0, 64, 64).check().unwrap();
    assert_eq!(capture.cut, 1);
}

#[test]
fn time_that_goes_back_stands_still() {
    let raw = Raw::new(MAGIC_NS, false).record(1, 9, 60, 60).record(1, 4, 60, 60);
    let capture = raw.record(1, 10, 60, 60).check().unwrap();
    let times: Vec<_> = capture.frames.iter().map(|f| f.time_ns % 1_000_000_000).collect();
    assert_eq!((times, capture.backwards), (vec![9, 9, 10], 1));
}

#[test]
fn the_demo_capture_is_fit_to_play() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/demo.pcap");
    let capture = Capture::check(&demo).unwrap();
    assert!(capture.frames.len() >= 22_000);
    assert_eq!((capture.cut, capture.backwards, capture.max_len), (0, 0, 1518));
}

#[test]
fn files_that_are_not_there_or_not_for_us() {
    let missing = Capture::check(Path::new("/nowhere/x.pcap")).unwrap_err();
    assert!(matches!(missing, CaptureError::Missing { .. }), "{missing}");
    // Tests may run as root, whom nothing is denied.
    let denied = CaptureError::read(Path::new("x.pcap"), io::ErrorKind::PermissionDenied.into());
    assert!(matches!(denied, CaptureError::Denied { .. }), "{denied}");
    for path in ["/tmp", "/dev/null"] {
        let error = Capture::check(Path::new(path)).unwrap_err();
        assert!(matches!(error, CaptureError::NotAFile { .. }), "{error}");
    }
}

#[test]
fn headers_that_are_not_ours() {
    let raw = |bytes: &[u8]| Raw { big: false, bytes: bytes.to_vec() }.check().unwrap_err();
    assert!(matches!(raw(b""), CaptureError::Empty { .. }));
    assert!(matches!(raw(b"\xd4\xc3"), CaptureError::ShortHeader { got: 2, .. }));
    assert!(matches!(raw(&good().bytes[..23]), CaptureError::ShortHeader { got: 23, .. }));
    assert!(matches!(raw(b"GIF89a"), CaptureError::NotPcap { got: 0x4749_4638, .. }));
    let pcapng = raw(b"\x0a\x0d\x0d\x0a\x1c\0\0\0");
    assert!(matches!(pcapng, CaptureError::PcapNg { .. }));
    assert!(pcapng.to_string().contains("raw.pcap -w Y.pcap`"), "{pcapng}");
    assert!(matches!(raw(&good().bytes[..24]), CaptureError::NoFrames { .. }));

    let version = Raw::with(MAGIC_US, true, [2, 3], 65_535, 1).check().unwrap_err();
    assert!(matches!(version, CaptureError::Version { major: 2, minor: 3, .. }));
    let cooked = Raw::with(MAGIC_US, true, [2, 4], 65_535, 113).check().unwrap_err();
    assert!(cooked.to_string().contains("link type 113 (LINUX_SLL), expected 1"), "{cooked}");
    // Ethernet, with a note in the upper bits that frame check sequences of 4 bytes are included.
    let fcs = Raw::with(MAGIC_US, true, [2, 4], 65_535, 0x4400_0001).record(0, 0, 64, 64);
    assert!(fcs.check().is_ok());
}

#[test]
fn a_capture_may_end_only_between_records() {
    let whole = good().bytes;
    let ends = [24, 24 + 16 + 60, 24 + 16 + 60 + 16 + 100, whole.len()];
    for end in 25..=whole.len() {
        let result = Raw { big: false, bytes: whole[..end].to_vec() }.check();
        if ends.contains(&end) {
            assert!(result.is_ok());
            continue;
        }
        let Err(CaptureError::Truncated { frame, offset, got, expected, .. }) = result else {
            panic!("{end}: {result:?}");
        };
        let start = ends[frame as usize - 1];
        assert_eq!((offset, got), (start as u64, end - start));
        assert!(expected > got);
    }
}

#[test]
fn lengths_that_cannot_be() {
    let after = |captured, original| good().record(3, 0, captured, original).check().unwrap_err();
    assert!(matches!(after(13, 13), CaptureError::TooShort { frame: 4, got: 13, .. }));
    assert!(matches!(after(0, 0), CaptureError::TooShort { .. }));
    let long = after(MAX_FRAME + 1, MAX_FRAME + 1);
    assert!(matches!(long, CaptureError::TooLong { offset: 246, .. }), "{long}");
    assert!(matches!(after(u32::MAX, u32::MAX), CaptureError::TooLong { .. }));
    let grown = after(61, 60);
    assert!(matches!(grown, CaptureError::LongerThanOriginal { captured: 61, .. }), "{grown}");
    // The header's snap length is 65,535, and libpcap holds the records to it.
    let over = after(65_536, 65_536);
    assert!(matches!(over, CaptureError::OverSnapLen { snaplen: 65_535, .. }), "{over}");
    let unlimited = Raw::with(MAGIC_NS, false, [2, 4], 0, 1).record(0, 0, MAX_FRAME, MAX_FRAME);
    assert_eq!(unlimited.check().unwrap().max_len, MAX_FRAME);
}

#[test]
fn fractions_of_a_second_are_less_than_one() {
    for (magic, limit) in [(MAGIC_US, 1_000_000), (MAGIC_NS, 1_000_000_000)] {
        let at = |fraction| Raw::new(magic, false).record(0, fraction, 60, 60).check();
        assert!(at(limit - 1).is_ok());
        assert!(matches!(at(limit), Err(CaptureError::BadTime { frame: 1, offset: 24, .. })));
    }
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.pcap");
    let frames = [(0, vec![1; 14]), (5_000_000_001, vec![2; 1514]), (5_000_000_001, vec![3; 9000])];
    write_capture(&path, &frames);
    assert_eq!(read_capture(&path), frames);
    assert_eq!(names_in(&directory), ["w.pcap"]);
}

#[test]
fn a_writer_that_is_dropped_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.pcap");
    drop(CaptureWriter::create(&path).unwrap());
    assert!(names_in(&directory).is_empty());

    fs::write(&path, "older").unwrap();
    let mut writer = CaptureWriter::create(&path).unwrap();
    writer.write(0, &[0; 60]).unwrap();
    assert_eq!(names_in(&directory).len(), 2);
    assert_eq!(fs::read(&path).unwrap(), b"older");
    drop(writer);
    assert_eq!(names_in(&directory), ["w.pcap"]);
    assert_eq!(fs::read(&path).unwrap(), b"older");
}

#[test]
fn a_writer_follows_links_and_refuses_devices() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("file.pcap"), directory.path().join("link.pcap"));
    fs::write(&file, "older").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write_capture(&link, &[(0, vec![0; 60])]);
    assert!(link.is_symlink() && Capture::check(&file).is_ok());

    let device = CaptureWriter::create(Path::new("/dev/null")).err().unwrap();
    assert!(matches!(device, CaptureError::NotAFile { .. }), "{device}");
    let nowhere = CaptureWriter::create(Path::new("/nowhere/x.pcap")).err().unwrap();
    assert!(matches!(nowhere, CaptureError::Write { .. }), "{nowhere}");
}

#[test]
fn a_writer_refuses_what_a_reader_would() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.pcap");
    let mut writer = CaptureWriter::create(&path).unwrap();
    writer.write(0, &[0; 60]).unwrap();
    let short = writer.write(0, &[0; 13]).unwrap_err();
    assert!(matches!(short, CaptureError::TooShort { frame: 2, offset: 100, .. }), "{short}");
    let long = writer.write(0, &vec![0; MAX_FRAME as usize + 1]).unwrap_err();
    assert!(matches!(long, CaptureError::TooLong { .. }), "{long}");
    let late = writer.write(u64::MAX, &[0; 60]).unwrap_err();
    assert!(matches!(late, CaptureError::LateStamp { frame: 2, .. }), "{late}");
    writer.write(u64::from(u32::MAX) * 1_000_000_000 + 999_999_999, &[0; 60]).unwrap();
    writer.finish().unwrap();
    assert_eq!(Capture::check(&path).unwrap().frames.len(), 2);
}

#[test]
fn restamp_changes_the_times_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("to.pcap");
    let from = Raw::new(MAGIC_US, true).record(9, 1, 60, 60).record(9, 2, 64, 1514);
    restamp(&from.saved(&directory), &to, &[100, 2_000_000_000]).unwrap();
    let expected = [(100, vec![0xab; 60]), (2_000_000_000, vec![0xab; 64])];
    assert_eq!(read_capture(&to), expected);
    assert_eq!(Capture::check(&to).unwrap().cut, 1);
}

#[test]
fn restamp_wants_one_stamp_per_frame() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (good().saved(&directory), directory.path().join("to.pcap"));
    for stamps in [&[1, 2][..], &[1, 2, 3, 4]] {
        let error = restamp(&from, &to, stamps).unwrap_err();
        let told = matches!(&error, CaptureError::StampCount { frames: 3, stamps: n, .. } if *n == stamps.len());
        assert!(told, "{error}");
        assert_eq!(names_in(&directory), ["raw.pcap"]);
    }
    let nothing = Raw::new(MAGIC_NS, false).saved(&directory);
    restamp(&nothing, &to, &[]).unwrap();
    assert!(read_capture(&to).is_empty());
}

/// Reads to the end or to the first error, and says how many frames there were.
fn drain(bytes: &[u8]) -> Result<u64, CaptureError> {
    let mut reader = Reader::new(Path::new("fuzz.pcap"), bytes)?;
    let (mut frames, mut latest) = (0, 0);
    while let Some(frame) = reader.next_frame()? {
        assert!((MIN_FRAME..=MAX_FRAME).contains(&(frame.data.len() as u32)));
        assert!(frame.original_len as usize >= frame.data.len() && frame.time_ns >= latest);
        latest = frame.time_ns;
        frames += 1;
    }
    Ok(frames)
}

fn one_line(result: Result<u64, CaptureError>) -> bool {
    !result.is_err_and(|e| e.to_string().contains('\n'))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(one_line(drain(&bytes)));
    }

    #[test]
    fn arbitrary_records_never_panic(
        ns in any::<bool>(),
        big in any::<bool>(),
        tail in prop::collection::vec(prop_oneof![0u8..20, any::<u8>()], 0..400),
    ) {
        let mut raw = Raw::new(if ns { MAGIC_NS } else { MAGIC_US }, big);
        raw.bytes.extend(tail);
        prop_assert!(one_line(drain(&raw.bytes)));
    }

    #[test]
    fn mutations_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = good().bytes;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert!(one_line(drain(&bytes)));
        bytes.truncate(end.index(bytes.len()));
        prop_assert!(one_line(drain(&bytes)));
    }

    #[test]
    fn any_frames_survive_the_round_trip(
        frames in prop::collection::vec((0u64..1 << 61, prop::collection::vec(any::<u8>(), 14..80)), 0..12),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.pcap");
        let mut frames = frames;
        frames.sort();
        write_capture(&path, &frames);
        prop_assert_eq!(read_capture(&path), frames);
    }
}
