//! Frames to a capture that appears under its name only when it is whole.

use std::borrow::Cow;
use std::fs::{self, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pcap_file::pcap::{PcapHeader, PcapWriter, RawPcapPacket};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};
use tempfile::NamedTempFile;

use super::{CaptureError, MAX_FRAME, MIN_FRAME};

const NS_PER_SECOND: u64 = 1_000_000_000;
const FILE_HEADER: u64 = 24;

/// Writes a nanosecond pcap. Until [`finish`](CaptureWriter::finish) the frames are in a temporary
/// file in the same directory; dropped without it, the writer removes that file and leaves whatever
/// had the name before.
pub struct CaptureWriter {
    path: PathBuf,
    output: PcapWriter<BufWriter<NamedTempFile>>,
    frames: u64,
    /// Where in the file the next record goes.
    offset: u64,
}

impl CaptureWriter {
    /// Starts a capture that is to be named `path`. A `path` that is a symbolic link to a file
    /// means that file.
    ///
    /// # Errors
    /// [`CaptureError::NotAFile`] if something else than a regular file has the name (renaming over
    /// `/dev/null` would replace it); [`CaptureError::Write`] if the directory can't be written to.
    pub fn create(path: &Path) -> Result<CaptureWriter, CaptureError> {
        let failed = |source| CaptureError::Write { path: path.into(), source };
        let path = match fs::canonicalize(path) {
            Ok(real) if real.is_file() => real,
            Ok(_) => return Err(CaptureError::NotAFile { path: path.into() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
            Err(e) => return Err(failed(e)),
        };
        let Some(name) = path.file_name() else {
            return Err(CaptureError::NotAFile { path });
        };
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            // As any new file: the umask takes its share. The crate's own choice is 0600.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)
            .map_err(failed)?;
        let header = PcapHeader {
            snaplen: MAX_FRAME,
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            endianness: Endianness::native(),
            ..PcapHeader::default()
        };
        let output = PcapWriter::with_header(BufWriter::new(temporary), header)
            .map_err(|e| failed(into_io(e)))?;
        Ok(CaptureWriter { path, output, frames: 0, offset: FILE_HEADER })
    }

    /// Appends a frame, stamped with nanoseconds since 1970 or since the start of virtual time.
    ///
    /// # Errors
    /// Frames that no reader would take (shorter than [`MIN_FRAME`], longer than [`MAX_FRAME`]);
    /// times that a pcap can't hold (2^32 seconds); a full disk. Nothing has been appended then,
    /// except by the last, after which the capture is only good for dropping.
    pub fn write(&mut self, time_ns: u64, frame: &[u8]) -> Result<(), CaptureError> {
        let original_len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.write_record(time_ns, original_len, frame)
    }

    /// As `write`, for a frame of which `data` is perhaps only the beginning.
    pub(super) fn write_record(
        &mut self,
        time_ns: u64,
        original_len: u32,
        data: &[u8],
    ) -> Result<(), CaptureError> {
        let (frame, offset) = (self.frames + 1, self.offset);
        let path = || self.path.clone();
        let incl_len = match u32::try_from(data.len()) {
            Ok(got) if got < MIN_FRAME => {
                return Err(CaptureError::TooShort { path: path(), frame, offset, got });
            }
            Ok(got) if got <= MAX_FRAME => got,
            _ => {
                let got = data.len() as u64;
                return Err(CaptureError::TooLong { path: path(), frame, offset, got });
            }
        };
        let Ok(ts_sec) = u32::try_from(time_ns / NS_PER_SECOND) else {
            return Err(CaptureError::LateStamp { path: path(), frame, got: time_ns });
        };
        let record = RawPcapPacket {
            ts_sec,
            ts_frac: (time_ns % NS_PER_SECOND) as u32,
            incl_len,
            orig_len: original_len,
            data: Cow::Borrowed(data),
        };
        let written = self
            .output
            .write_raw_packet(&record)
            .map_err(|e| CaptureError::Write { path: path(), source: into_io(e) })?;
        self.frames = frame;
        self.offset += written as u64;
        Ok(())
    }

    /// Brings the capture to the disk and gives it its name, in place of a file that has it.
    ///
    /// # Errors
    /// [`CaptureError::Write`]; what had the name before still has it.
    pub fn finish(self) -> Result<(), CaptureError> {
        let CaptureWriter { path, output, .. } = self;
        let named = || {
            let temporary = output.into_writer().into_inner().map_err(|e| e.into_error())?;
            // Without it a power cut can leave the name on a file whose bytes never arrived.
            temporary.as_file().sync_all()?;
            temporary.persist(&path).map_err(|e| e.error)
        };
        match named() {
            Ok(_) => Ok(()),
            Err(source) => Err(CaptureError::Write { path, source }),
        }
    }
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(source) => source,
        other => io::Error::other(other),
    }
}
