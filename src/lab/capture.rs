//! Captures on disk: classic pcap, Ethernet.
//!
//! * **What it does:** checks a capture before DPDK's pcap PMD plays it, because the PMD ends in
//!   silence on a bad record; reads captures frame by frame; writes them; gives the PMD's output,
//!   which bears the wall clock, its virtual timestamps.
//! * **Who feeds it:** files, from anywhere. Nothing in them is believed before it is checked.
//! * **Whom it feeds:** the laboratory's virtual clock, and [`compare`](crate::lab::compare).
//! * **Which thread:** the one that sets the laboratory up, before and after the run.
//! * **What it must not do:** run on the data path, panic on any input, or leave a half-written
//!   file under a name that passes for a whole one.
//!
//! Both byte orders and both resolutions (microsecond, nanosecond) are read; what is written is
//! nanosecond, in this machine's byte order. Frames are numbered from 1, as tcpdump and Wireshark
//! number them.

mod error;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::io::Read;
use std::path::Path;

pub use error::CaptureError;
pub use writer::CaptureWriter;

use reader::Reader;

/// The longest frame that libpcap reads from an Ethernet capture (its `MAXIMUM_SNAPLEN`).
pub const MAX_FRAME: u32 = 262_144;

/// The shortest: two addresses and an EtherType.
pub const MIN_FRAME: u32 = 14;

/// When a frame was recorded and how many bytes of it the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameInfo {
    /// Nanoseconds since 1970, as recorded, but never less than those of the frame before.
    pub time_ns: u64,
    /// Bytes in the file, which are the bytes the PMD plays.
    pub len: u32,
}

/// What the laboratory needs to know of a capture before the pcap PMD plays it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Every frame, in the order of the file; there is at least one.
    pub frames: Vec<FrameInfo>,
    /// Frames of which the recorder's snap length left only the beginning.
    pub cut: u64,
    /// Frames stamped earlier than one before them. Their `time_ns` is raised to that one's:
    /// recorders on several cores do this, by microseconds, and virtual time can't go back.
    pub backwards: u64,
    /// The longest of `frames`, in bytes.
    pub max_len: u32,
    /// All of `frames` together, in bytes.
    pub bytes: u64,
}

impl Capture {
    /// Reads the whole capture and vouches for every record of it.
    ///
    /// # Errors
    /// Whatever would make the PMD stop early, skip, cut or misread a frame; and a capture
    /// without any frame ([`CaptureError::NoFrames`]).
    pub fn check(path: &Path) -> Result<Capture, CaptureError> {
        let mut reader = Reader::open(path)?;
        let mut capture =
            Capture { frames: Vec::new(), cut: 0, backwards: 0, max_len: 0, bytes: 0 };
        while let Some(frame) = reader.next_frame()? {
            let len = frame.data.len() as u32; // at most MAX_FRAME
            capture.frames.push(FrameInfo { time_ns: frame.time_ns, len });
            capture.cut += u64::from(len < frame.original_len);
            capture.max_len = capture.max_len.max(len);
            capture.bytes += u64::from(len);
        }
        if capture.frames.is_empty() {
            return Err(CaptureError::NoFrames { path: path.into() });
        }
        capture.backwards = reader.backwards();
        Ok(capture)
    }
}

/// Calls `visit` with each frame's time (as [`FrameInfo::time_ns`]) and bytes, in the order of the
/// file. One record at a time is in memory. A capture without frames is none the worse here.
///
/// # Errors
/// As [`Capture::check`]; the frames before the bad record have been visited by then.
pub fn for_each_frame(path: &Path, visit: impl FnMut(u64, &[u8])) -> Result<(), CaptureError> {
    Reader::open(path)?.for_each(visit)
}

/// As [`for_each_frame`], of a capture that is not, or not yet, a file; `path` is for the messages.
///
/// # Errors
/// As [`for_each_frame`].
pub fn for_each_frame_of(
    path: &Path,
    input: impl Read,
    visit: impl FnMut(u64, &[u8]),
) -> Result<(), CaptureError> {
    Reader::new(path, input)?.for_each(visit)
}

/// Copies what the pcap PMD wrote, stamped with the wall clock, to `to` with the given virtual
/// timestamps, one per frame, in nanoseconds. `to` appears whole or not at all; an older `to` stays
/// until then.
///
/// # Errors
/// [`CaptureError::StampCount`] if the number of frames differs from the number of stamps; a bad
/// record in `from`; a failure to write `to`.
pub fn restamp(from: &Path, to: &Path, stamps: &[u64]) -> Result<(), CaptureError> {
    let mut reader = Reader::open(from)?;
    let mut writer = CaptureWriter::create(to)?;
    let mut frames = 0;
    while let Some(frame) = reader.next_frame()? {
        // Frames in excess are only counted, for the error to say how many there are.
        if let Some(&stamp) = stamps.get(frames) {
            writer.write_record(stamp, frame.original_len, frame.data)?;
        }
        frames += 1;
    }
    if frames != stamps.len() {
        let path = from.into();
        return Err(CaptureError::StampCount { path, frames, stamps: stamps.len() });
    }
    writer.finish()
}
