//! Bytes of a capture to frames, one record in memory at a time. Every length and time in the
//! file is an allegation: checked here, and nowhere else.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use pcap_file::pcap::{PcapHeader, PcapParser};
use pcap_file::{DataLink, Endianness, TsResolution};

use super::{CaptureError, MAX_FRAME, MIN_FRAME};

const FILE_HEADER: usize = 24;
/// Seconds, fraction, captured length, original length: four 32-bit words.
const RECORD_HEADER: usize = 16;
const CAPTURED_LEN: std::ops::Range<usize> = 8..12;

/// The same in either byte order.
const PCAPNG_MAGIC: u32 = 0x0a0d_0d0a;
/// The word of the file header that names the link type tells of frame check sequences in its
/// upper six bits; libpcap's `LT_LINKTYPE`.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// A frame as the file has it.
pub(super) struct Frame<'a> {
    /// Nanoseconds since 1970; never less than those of the frame before.
    pub time_ns: u64,
    /// How long the frame was before the recorder's snap length cut it; at least `data.len()`.
    pub original_len: u32,
    /// `MIN_FRAME` to `MAX_FRAME` bytes.
    pub data: &'a [u8],
}

/// A capture being read. After an error it isn't to be read on.
pub(super) struct Reader<R> {
    path: PathBuf,
    input: R,
    parser: PcapParser,
    header: PcapHeader,
    /// The record at hand, header included.
    record: Vec<u8>,
    /// Where in the file that record starts.
    offset: u64,
    /// Its number, from 1.
    frame: u64,
    latest_ns: u64,
    backwards: u64,
}

impl Reader<BufReader<File>> {
    /// Opens the capture and checks its header.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(|e| CaptureError::read(path, e))?;
        let kind = file.metadata().map_err(|e| CaptureError::read(path, e))?;
        if !kind.is_file() {
            return Err(CaptureError::NotAFile { path: path.into() });
        }
        Reader::new(path, BufReader::with_capacity(1 << 16, file))
    }
}

impl<R: Read> Reader<R> {
    /// Checks the file header. `path` is for the messages.
    pub fn new(path: &Path, mut input: R) -> Result<Self, CaptureError> {
        let mut record = Vec::with_capacity(2048);
        read_more(&mut input, &mut record, FILE_HEADER).map_err(|e| CaptureError::read(path, e))?;
        let parser = file_header(path, &record)?;
        Ok(Reader {
            path: path.into(),
            input,
            header: parser.header(),
            parser,
            offset: 0,
            frame: 0,
            record,
            latest_ns: 0,
            backwards: 0,
        })
    }

    /// How many frames so far were stamped earlier than one before them.
    pub fn backwards(&self) -> u64 {
        self.backwards
    }

    /// The next frame, or `None` at the end of the file, which is where a record ends.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        self.offset += self.record.len() as u64;
        self.frame += 1;
        self.record.clear();
        self.read_record(RECORD_HEADER)?;
        if self.record.is_empty() {
            return Ok(None);
        }
        self.expect_read(RECORD_HEADER)?;
        let captured = self.captured_len()?;
        self.read_record(captured as usize)?;
        self.expect_read(RECORD_HEADER + captured as usize)?;
        self.parse_record().map(Some)
    }

    /// Calls `visit` with the time and bytes of each frame that is left.
    pub fn for_each(&mut self, mut visit: impl FnMut(u64, &[u8])) -> Result<(), CaptureError> {
        while let Some(frame) = self.next_frame()? {
            visit(frame.time_ns, frame.data);
        }
        Ok(())
    }

    fn read_record(&mut self, count: usize) -> Result<(), CaptureError> {
        read_more(&mut self.input, &mut self.record, count)
            .map_err(|e| CaptureError::read(&self.path, e))
    }

    fn expect_read(&self, expected: usize) -> Result<(), CaptureError> {
        let got = self.record.len();
        if got == expected {
            return Ok(());
        }
        let (path, frame, offset) = self.whereabouts();
        Err(CaptureError::Truncated { path, frame, offset, got, expected })
    }

    /// The record's captured length, peeked at before so much memory is given to it.
    fn captured_len(&self) -> Result<u32, CaptureError> {
        let mut word = [0; 4];
        word.copy_from_slice(&self.record[CAPTURED_LEN]);
        let got = match self.header.endianness {
            Endianness::Big => u32::from_be_bytes(word),
            Endianness::Little => u32::from_le_bytes(word),
        };
        let (path, frame, offset) = self.whereabouts();
        if got > MAX_FRAME {
            return Err(CaptureError::TooLong { path, frame, offset, got: got.into() });
        }
        let snaplen = self.header.snaplen;
        if snaplen != 0 && got > snaplen {
            return Err(CaptureError::OverSnapLen { path, frame, offset, got, snaplen });
        }
        if got < MIN_FRAME {
            return Err(CaptureError::TooShort { path, frame, offset, got });
        }
        Ok(got)
    }

    /// `self.record` is whole; what is left to check are its original length and its time.
    fn parse_record(&mut self) -> Result<Frame<'_>, CaptureError> {
        let (path, frame, offset) = self.whereabouts();
        let Ok((_, raw)) = self.parser.next_raw_packet(&self.record) else {
            // Its only complaint is an incomplete record, which expect_read has seen to.
            let (got, expected) = (self.record.len(), self.record.len());
            return Err(CaptureError::Truncated { path, frame, offset, got, expected });
        };
        if raw.incl_len > raw.orig_len {
            let (captured, original) = (raw.incl_len, raw.orig_len);
            return Err(CaptureError::LongerThanOriginal {
                path,
                frame,
                offset,
                captured,
                original,
            });
        }
        let (per_second, unit) = match self.header.ts_resolution {
            TsResolution::MicroSecond => (1_000_000, "µs"),
            TsResolution::NanoSecond => (1_000_000_000, "ns"),
        };
        if raw.ts_frac >= per_second {
            return Err(CaptureError::BadTime { path, frame, offset, got: raw.ts_frac, unit });
        }
        let fraction_ns = u64::from(raw.ts_frac) * u64::from(1_000_000_000 / per_second);
        let stamp = u64::from(raw.ts_sec) * 1_000_000_000 + fraction_ns;
        self.backwards += u64::from(stamp < self.latest_ns);
        self.latest_ns = self.latest_ns.max(stamp);
        Ok(Frame {
            time_ns: self.latest_ns,
            original_len: raw.orig_len,
            data: &self.record[RECORD_HEADER..],
        })
    }

    fn whereabouts(&self) -> (PathBuf, u64, u64) {
        (self.path.clone(), self.frame, self.offset)
    }
}

/// Appends up to `count` bytes to `record`; fewer only at the end of the input.
fn read_more(input: &mut impl Read, record: &mut Vec<u8>, count: usize) -> io::Result<()> {
    input.take(count as u64).read_to_end(record).map(drop)
}

fn file_header(path: &Path, bytes: &[u8]) -> Result<PcapParser, CaptureError> {
    let path = || path.into();
    if bytes.is_empty() {
        return Err(CaptureError::Empty { path: path() });
    }
    // What the file is comes before whether it is whole: pcapng's first block may be short.
    let magic = bytes.first_chunk().map(|word| u32::from_be_bytes(*word));
    match magic {
        Some(PCAPNG_MAGIC) => return Err(CaptureError::PcapNg { path: path() }),
        Some(0xa1b2_c3d4 | 0xa1b2_3c4d | 0xd4c3_b2a1 | 0x4d3c_b2a1) | None => {}
        Some(got) => return Err(CaptureError::NotPcap { path: path(), got }),
    }
    let Ok((_, parser)) = PcapParser::new(bytes) else {
        return Err(CaptureError::ShortHeader { path: path(), got: bytes.len() });
    };
    let header = parser.header();
    let (major, minor) = (header.version_major, header.version_minor);
    if (major, minor) != (2, 4) {
        return Err(CaptureError::Version { path: path(), major, minor });
    }
    let number = u32::from(header.datalink) & LINK_TYPE_MASK;
    let link = DataLink::from(number);
    if link != DataLink::ETHERNET {
        let name = format!("{link:?}");
        return Err(CaptureError::LinkType { path: path(), number, name });
    }
    Ok(parser)
}
