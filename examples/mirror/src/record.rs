//! A record, in files and on the mirror's connection alike.
//!
//! ```text
//!  0        4        8                16       20
//! ┌────────┬────────┬────────────────┬────────┬──────────┐
//! │ "MREC" │ length │ number         │ CRC-32 │ payload… │   all little-endian
//! └────────┴────────┴────────────────┴────────┴──────────┘
//! ```
//!
//! Numbers count from 1 without a gap. The CRC covers length, number and payload, so a tail that was torn by a crash is
//! told from a whole record.

use std::io::{self, Read};

/// Bytes before the payload.
pub const HEADER: usize = 20;
/// The longest payload.
pub const LONGEST: usize = 1 << 20;
const MAGIC: [u8; 4] = *b"MREC";

/// Appends a record to `out`.
pub fn write(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    out.extend(MAGIC);
    out.extend(length);
    out.extend(number.to_le_bytes());
    out.extend(crc(number, payload).to_le_bytes());
    out.extend(payload);
}

fn crc(number: u64, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(payload.len() as u32).to_le_bytes());
    crc.update(&number.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

/// What the next bytes of a log are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole record of this number, with its CRC, and how many bytes it takes.
    Record {
        /// As it says.
        number: u64,
        /// Of its contents.
        crc: u32,
        /// Header and payload.
        bytes: usize,
    },
    /// The beginning of one: more bytes are needed, so many in all at least.
    Part {
        /// Header and payload, as far as known.
        needed: usize,
    },
    /// No record begins here, or its CRC is wrong.
    Broken,
}

/// Looks at the beginning of `bytes`.
pub fn next(bytes: &[u8]) -> Next {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        let known = bytes.len().min(MAGIC.len());
        return match bytes[..known] == MAGIC[..known] {
            true => Next::Part { needed: HEADER },
            false => Next::Broken,
        };
    };
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
    let length = word(4) as usize;
    if header[..4] != MAGIC || length > LONGEST {
        return Next::Broken;
    }
    let Some(payload) = rest.get(..length) else {
        return Next::Part { needed: HEADER + length };
    };
    let number = u64::from(word(8)) | u64::from(word(12)) << 32;
    match word(16) == crc(number, payload) {
        true => Next::Record { number, crc: word(16), bytes: HEADER + length },
        false => Next::Broken,
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The CRC of each record; the first has number 1.
    pub records: Vec<u32>,
    /// How many bytes they take. What a file has behind them is a torn tail, or worse.
    pub bytes: u64,
    /// How many bytes follow that are no whole record.
    pub torn: u64,
}

/// Reads a log up to the first thing that is not the next record.
///
/// # Errors
/// As the reader has them.
pub fn read(mut from: impl Read) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let (mut buffer, mut at) = (Vec::new(), 0);
    let mut ended = false;
    loop {
        match next(&buffer[at..]) {
            Next::Record { number, crc, bytes } if number == contents.records.len() as u64 + 1 => {
                contents.records.push(crc);
                contents.bytes += bytes as u64;
                at += bytes;
            }
            Next::Part { .. } if !ended => {
                buffer.drain(..at);
                at = 0;
                let before = buffer.len();
                let got = from.by_ref().take(1 << 20).read_to_end(&mut buffer)?;
                ended = got == 0 || buffer.len() == before;
            }
            _ => {
                let rest = (buffer.len() - at) as u64;
                contents.torn = rest + io::copy(&mut from, &mut io::sink())?;
                return Ok(contents);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(records: u64) -> Vec<u8> {
        let mut out = Vec::new();
        (1..=records).for_each(|n| write(&mut out, n, &vec![n as u8; n as usize * 100]));
        out
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let bytes = log(20);
        let contents = read(&bytes[..]).unwrap();
        assert_eq!((contents.records.len(), contents.torn), (20, 0));
        assert_eq!(contents.bytes, bytes.len() as u64);
    }

    #[test]
    fn a_torn_tail_is_told_at_every_byte() {
        let (whole, more) = (log(3), log(4));
        for end in whole.len()..more.len() {
            let contents = read(&more[..end]).unwrap();
            assert_eq!((contents.records.len(), contents.bytes), (3, whole.len() as u64));
            assert_eq!(contents.torn, (end - whole.len()) as u64);
        }
    }

    #[test]
    fn what_was_damaged_is_no_record() {
        let whole = log(4);
        let first = log(1).len();
        for at in first..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let contents = read(&bytes[..]).unwrap();
            assert!((1..4).contains(&contents.records.len()), "byte {at}: {contents:?}");
            assert_eq!(contents.bytes + contents.torn, whole.len() as u64);
        }
        // A record that is there twice.
        let twice = [log(2), log(2)].concat();
        assert_eq!(read(&twice[..]).unwrap().records.len(), 2);
    }
}
