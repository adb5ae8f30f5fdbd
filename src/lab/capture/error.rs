//! What can be wrong with a capture: one line each, saying which file, what was got, what was
//! expected and how to mend it.

use std::io;
use std::path::{Path, PathBuf};

use super::{MAX_FRAME, MIN_FRAME};

/// Why a capture can't be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum CaptureError {
    #[error("{}: no such file, expected a capture; check the path, or record one: `tcpdump -s 0 -i INTERFACE -w {}`", path.display(), path.display())]
    Missing { path: PathBuf },

    #[error("{}: permission denied, expected a file this user may read; run as its owner, or `chmod a+r {}`", path.display(), path.display())]
    Denied { path: PathBuf },

    #[error("{}: reading failed ({source}), expected a readable file; check the disk or the mount, then try again", path.display())]
    Read { path: PathBuf, source: io::Error },

    #[error("{}: a directory or a device, expected a regular file; name a file", path.display())]
    NotAFile { path: PathBuf },

    #[error("{}: empty (0 bytes), expected a pcap file; whatever recorded it wrote nothing: record it again", path.display())]
    Empty { path: PathBuf },

    #[error("{}: has no frames behind its header, expected at least one; record for longer, or with a wider filter", path.display())]
    NoFrames { path: PathBuf },

    #[error("{}: ends after {got} bytes, expected the 24 bytes of a pcap header; copy or record it again", path.display())]
    ShortHeader { path: PathBuf, got: usize },

    #[error("{}: starts with {got:#010x}, expected a pcap's 0xa1b2c3d4 or 0xa1b23c4d in either byte order; unpack it if it is compressed, or convert it: `tcpdump -r {} -w Y.pcap`", path.display(), path.display())]
    NotPcap { path: PathBuf, got: u32 },

    #[error("{}: a pcapng file, expected classic pcap; convert it: `tcpdump -r {} -w Y.pcap`", path.display(), path.display())]
    PcapNg { path: PathBuf },

    #[error("{}: pcap version {major}.{minor}, expected 2.4; convert it: `tcpdump -r {} -w Y.pcap`", path.display(), path.display())]
    Version { path: PathBuf, major: u16, minor: u16 },

    #[error("{}: link type {number} ({name}), expected 1 (ETHERNET); record on one Ethernet interface, not on `any` or a tunnel", path.display())]
    LinkType { path: PathBuf, number: u32, name: String },

    #[error("{}: frame {frame}, at byte {offset}, is cut off after {got} bytes, expected {expected} with its header; the recorder was stopped hard or the copy is partial: copy it again, or keep what is whole: `tcpdump -r {} -w Y.pcap`", path.display(), path.display())]
    Truncated { path: PathBuf, frame: u64, offset: u64, got: usize, expected: usize },

    #[error("{}: frame {frame}, at byte {offset}, has {got} bytes, expected at most {MAX_FRAME}; the file is damaged there, or the frame isn't one: record it again", path.display())]
    TooLong { path: PathBuf, frame: u64, offset: u64, got: u64 },

    #[error("{}: frame {frame}, at byte {offset}, has {got} bytes, expected at most the {snaplen} that the file's header allows (libpcap would cut it in silence); record it again: `tcpdump -s 0`", path.display())]
    OverSnapLen { path: PathBuf, frame: u64, offset: u64, got: u32, snaplen: u32 },

    #[error("{}: frame {frame}, at byte {offset}, holds {captured} bytes of {original}, expected no more than there were; the file is damaged there: copy or record it again", path.display())]
    LongerThanOriginal { path: PathBuf, frame: u64, offset: u64, captured: u32, original: u32 },

    #[error("{}: frame {frame}, at byte {offset}, has {got} bytes, expected at least the {MIN_FRAME} of an Ethernet header; leave such frames out: `tcpdump -r X -w Y.pcap 'greater {MIN_FRAME}'`", path.display())]
    TooShort { path: PathBuf, frame: u64, offset: u64, got: u32 },

    #[error("{}: frame {frame}, at byte {offset}, is stamped {got} {unit} into its second, expected less than one second; the file is damaged there, or its header names the wrong resolution: record it again", path.display())]
    BadTime { path: PathBuf, frame: u64, offset: u64, got: u32, unit: &'static str },

    #[error("{}: has {frames} frames, expected {stamps}, one per timestamp; the port that wrote it lost or added some: see its counters, then run again", path.display())]
    StampCount { path: PathBuf, frames: usize, stamps: usize },

    #[error("{}: frame {frame} is stamped {got} ns, expected less than 2^32 seconds, the most a pcap can say; start virtual time near 0 or 1970", path.display())]
    LateStamp { path: PathBuf, frame: u64, got: u64 },

    #[error("{}: writing failed ({source}), expected a writable directory with room for a copy beside it; check that it exists, its permissions and `df {}`", path.display(), path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl CaptureError {
    /// What the operating system's word means when it comes from opening or reading `path`.
    pub(super) fn read(path: &Path, source: io::Error) -> CaptureError {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotFound => CaptureError::Missing { path },
            io::ErrorKind::PermissionDenied => CaptureError::Denied { path },
            _ => CaptureError::Read { path, source },
        }
    }
}
