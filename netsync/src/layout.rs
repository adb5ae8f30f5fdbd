//! Every offset of the segment, and nothing else.
//!
//! * **Does:** says where each word lies, and checks that a header describes what there is.
//! * **Fed by:** a gateway's configuration, or a header that a reader was handed.
//! * **Feeds:** publisher and subscriber.
//! * **Runs on:** any thread; it is arithmetic.
//! * **Must not:** believe a number from a header before it is checked.
//!
//! The segment is an array of lines of 64 bytes, eight words of 64 bits in the machine's byte order.
//! Each line has one writer. All words are zero at first.
//!
//! ```text
//!  line        word 0       1          2          3         4          5         6          7
//!            +----------+----------+----------+---------+----------+---------+----------+----------+
//!  0         | magic    | version  | lines    | epoch   | gateway  | workers | ack      | hash     | constant
//!            |          |          | in all   |         | pid      |         | writers  | seed     |
//!            +----------+----------+----------+---------+----------+---------+----------+----------+
//!  1         | ring     | flow     | heartbeat|                     0                             | constant
//!            | capacity | capacity | timeout  |                                                   |
//!            +----------+----------+----------+---------------------------------------------------+
//!  2         | heartbeat|                                0                                        | control
//!            +----------+----------+----------+---------------------------------------------------+
//!  3         | state    | transi-  | since    |                     0                             | control
//!            | flags    | tions    |          |                                                   |
//!            +----------+----------+----------+---------------------------------------------------+
//!  4         | code seq | levels   | bytes of |                     0                             | control
//!            |          |          | text     |                                                   |
//!            +----------+----------+----------+---------------------------------------------------+
//!  5, 6      |                         the code, as UTF-8 text                                   | control
//!            +-----------------------------------------------------------------------------------+
//!  7 … 10    |  a line for each class of repairs: bounds at level 1, 2, … 8, as bits of an f64    | control
//!            +-----------------------------------------------------------------------------------+
//!  11 … 15   |                                        0                                          |
//!            +-----------------------------------------------------------------------------------+
//!
//!  and for each worker, one behind the other:
//!            +----------+------------------------------------------------------------------------+
//!  cursor    | notices  |                                0                                       | protect
//!            +----------+------------------------------------------------------------------------+
//!  ring      | seq      |   a notice of seven words, see the module `notice`                     | protect
//!            +----------+ ...  ring capacity lines                                               |
//!            +----------+---------------------+---------------------+---------+--------+---------+
//!  flow A    | genera-  | local address       | remote address      | family, | base   | flags   | protect
//!            | tion     | (IPv4 mapped into 6)|                     | ports   | seq    |         |
//!            +----------+----------+----------+---------------------+---------+--------+---------+
//!       B    | sent     | packets  | to whose end bytes were covered by each     | opened |    0    | protect
//!            |          | in flight| class of repairs, 4 words                   | (time) |         |
//!            +----------+----------+---------------------------------------------+--------+---------+
//!       C    |  watermark of level 1, 2, … 8                                                     | protect
//!            +----------+----------+-------------------------------------------------------------+
//!       D    | genera-  | acked    |                    0                                        | recover
//!            | tion     |          |   ... a line D for each ack writer                          |
//!            +----------+----------+   ... flow capacity such entries                            |
//! ```
//!
//! *Code seq*, a notice's *seq* and a flow's *generation* are seqlocks ([`crate`]'s module `sync`):
//! odd while what they guard changes. The notice with number *n*, from 0, lies in slot
//! *n* mod capacity and has the seq 2*n* + 2. A flow's generation is 0 while its entry was never used.
//! It guards the lines A, B and C, and is repeated in each line D by the writer of that line.
//!
//! A flow lies within [`PROBES`] entries from its key's hash on.

use thiserror::Error;

/// What word 0 says: "MAELSYNC" on a little-endian machine.
pub const MAGIC: u64 = u64::from_le_bytes(*b"MAELSYNC");
/// What word 1 says. Every change of this picture changes it.
pub const VERSION: u64 = 1;
/// Bytes of a line.
pub const LINE: usize = 64;
/// As many levels as a flow has watermarks. One is enough for loom, which tries all of what a load may
/// return.
pub const MAX_LEVELS: usize = if cfg!(feature = "loom") { 1 } else { 8 };
/// Classes of repairs, see [`crate::Class`].
pub const CLASSES: usize = if cfg!(feature = "loom") { 1 } else { 4 };
/// Bytes of a code's text.
pub const MAX_TEXT: usize = 128;
/// Entries from a key's hash on, among which a flow is found.
pub const PROBES: usize = 16;
/// Limits of what a header may say.
pub const MAX_WORKERS: usize = 64;
/// Limits of what a header may say: notices of a ring.
pub const MAX_RING: usize = 1 << 20;
/// Limits of what a header may say: flows of a worker.
pub const MAX_FLOWS: usize = 1 << 20;

/// Lines before the first worker's.
pub(crate) const HEADER: usize = 16;
/// Words of it that never change.
pub(crate) const CONSTANTS: usize = 16;
pub(crate) const BEAT: usize = 2;
pub(crate) const STATE: usize = 3;
pub(crate) const CODE: usize = 4;
pub(crate) const TEXT: usize = 5;
pub(crate) const BOUNDS: usize = 7;

/// A flow's lines before its lines D.
pub(crate) const ENTRY: usize = 3;

/// How many there are of what comes in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Rooms that protect, each with a ring and a table.
    pub workers: usize,
    /// Rooms that write acknowledgements, each with a line of every flow.
    pub ack_writers: usize,
    /// Notices of a ring, a power of two.
    pub ring: usize,
    /// Flows of a worker, a power of two.
    pub flows: usize,
}

/// Why a header is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// Not a segment of this kind.
    #[error("not a netsync segment: its magic is {0:#018x}, expected {MAGIC:#018x}")]
    Magic(u64),
    /// Of another version.
    #[error("the segment has version {0}, this library reads version {VERSION}")]
    Version(u64),
    /// A number that can't be.
    #[error("the segment's header says {name} = {value}, expected {expected}")]
    Value {
        /// Which.
        name: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// Its file is not as long as its header says.
    #[error("the segment has {file} bytes, its header describes {described}")]
    Size {
        /// As the kernel has it.
        file: u64,
        /// As the header has it.
        described: u64,
    },
}

/// What a segment's constant words say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many of what.
    pub geometry: Geometry,
    /// Never twice the same: it changes with each start of a gateway.
    pub epoch: u64,
    /// The gateway's process id, as itself sees it.
    pub pid: u64,
    /// Makes hashes of keys differ from one segment to the next.
    pub hash_seed: u64,
    /// A heartbeat older than this is a dead gateway's, in nanoseconds.
    pub heartbeat_timeout_ns: u64,
}

impl Geometry {
    /// Refuses what is beyond the limits, by name.
    pub fn check(&self) -> Result<(), LayoutError> {
        let within = |name, value: usize, limit, expected| match value {
            1.. if value <= limit => Ok(()),
            _ => Err(LayoutError::Value { name, value: value as u64, expected }),
        };
        within("workers", self.workers, MAX_WORKERS, "1 to 64")?;
        within("ack_writers", self.ack_writers, MAX_WORKERS, "1 to 64")?;
        let power = |name, value: usize, limit, least, expected| {
            let good = value.is_power_of_two() && value >= least && value <= limit;
            let bad = LayoutError::Value { name, value: value as u64, expected };
            if good { Ok(()) } else { Err(bad) }
        };
        power("ring_capacity", self.ring, MAX_RING, 4, "a power of two from 4 to 1048576")?;
        power("flow_capacity", self.flows, MAX_FLOWS, 1, "a power of two from 1 to 1048576")
    }

    /// Lines of the whole segment. No overflow, once checked: below 2^40.
    pub fn lines(&self) -> usize {
        HEADER + self.workers * self.worker()
    }

    fn worker(&self) -> usize {
        1 + self.ring + self.flows * self.entry()
    }

    /// Lines from one flow to the next.
    pub(crate) fn entry(&self) -> usize {
        ENTRY + self.ack_writers
    }

    /// A worker's cursor line; its ring follows.
    pub(crate) fn cursor(&self, worker: usize) -> usize {
        HEADER + worker * self.worker()
    }

    /// Where a flow's lines begin.
    pub(crate) fn flow(&self, worker: usize, slot: usize) -> usize {
        self.cursor(worker) + 1 + self.ring + slot * self.entry()
    }

    /// The entries in which a key of this hash may lie, nearest first.
    pub(crate) fn probes(self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.flows - 1;
        (0..PROBES.min(self.flows)).map(move |i| (hash as usize).wrapping_add(i) & mask)
    }
}

impl Header {
    /// Reads the first two lines of a segment whose file has `bytes` bytes.
    pub fn parse(words: &[u64; CONSTANTS], bytes: u64) -> Result<Header, LayoutError> {
        if words[0] != MAGIC {
            return Err(LayoutError::Magic(words[0]));
        }
        if words[1] != VERSION {
            return Err(LayoutError::Version(words[1]));
        }
        let count = |word| usize::try_from(words[word]).unwrap_or(usize::MAX);
        let geometry =
            Geometry { workers: count(5), ack_writers: count(6), ring: count(8), flows: count(9) };
        geometry.check()?;
        let described = geometry.lines() as u64 * LINE as u64;
        if words[2] != geometry.lines() as u64 {
            let expected = "what its counts make";
            return Err(LayoutError::Value { name: "lines", value: words[2], expected });
        }
        if bytes != described {
            return Err(LayoutError::Size { file: bytes, described });
        }
        Ok(Header {
            geometry,
            epoch: words[3],
            pid: words[4],
            hash_seed: words[7],
            heartbeat_timeout_ns: words[10],
        })
    }

    /// The words that [`Header::parse`] reads.
    pub fn emit(&self) -> [u64; CONSTANTS] {
        let Geometry { workers, ack_writers, ring, flows } = self.geometry;
        let mut words = [0; CONSTANTS];
        words[..3].copy_from_slice(&[MAGIC, VERSION, self.geometry.lines() as u64]);
        words[3..5].copy_from_slice(&[self.epoch, self.pid]);
        words[5..8].copy_from_slice(&[workers as u64, ack_writers as u64, self.hash_seed]);
        words[8..11].copy_from_slice(&[ring as u64, flows as u64, self.heartbeat_timeout_ns]);
        words
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers() -> impl Strategy<Value = Header> {
        let counts = (1..=64usize, 1..=64usize, 2..=20u32, 0..=20u32);
        let rest = (1..u64::MAX, any::<u64>(), any::<u64>(), any::<u64>());
        (counts, rest).prop_map(|(counts, (epoch, pid, hash_seed, heartbeat_timeout_ns))| {
            let (workers, ack_writers, ring, flows) = counts;
            let geometry = Geometry { workers, ack_writers, ring: 1 << ring, flows: 1 << flows };
            Header { geometry, epoch, pid, hash_seed, heartbeat_timeout_ns }
        })
    }

    fn bytes(header: &Header) -> u64 {
        (header.geometry.lines() * LINE) as u64
    }

    proptest! {
        #[test]
        fn a_header_comes_back_as_it_was(header in headers()) {
            let parsed = Header::parse(&header.emit(), bytes(&header));
            prop_assert_eq!(parsed, Ok(header));
        }

        /// Every line of every worker lies within, and no two overlap.
        #[test]
        fn lines_lie_within(header in headers(), hash: u64) {
            let geometry = header.geometry;
            let mut end = HEADER;
            for worker in 0..geometry.workers {
                prop_assert_eq!(geometry.cursor(worker), end);
                end += 1 + geometry.ring;
                prop_assert_eq!(geometry.flow(worker, 0), end);
                end = geometry.flow(worker, geometry.flows - 1) + geometry.entry();
            }
            prop_assert_eq!(geometry.lines(), end);
            prop_assert!(geometry.probes(hash).all(|slot| slot < geometry.flows));
        }

        /// Changed in a word, a header is refused, unless the word changes no size.
        #[test]
        fn a_changed_header_is_refused(
            header in headers(),
            at in 0..CONSTANTS,
            word in prop_oneof![any::<u64>(), 0..100u64, (0..64u32).prop_map(|bit| 1 << bit)],
        ) {
            let mut words = header.emit();
            words[at] = word;
            let parsed = Header::parse(&words, bytes(&header));
            if word != header.emit()[at] && [0, 1, 2, 5, 6, 8, 9].contains(&at) {
                prop_assert!(parsed.is_err(), "{:?}", parsed);
            } else {
                prop_assert!(parsed.is_ok());
            }
        }

        #[test]
        fn no_header_is_fatal(mut words: [u64; CONSTANTS], genuine: bool, bytes: u64) {
            if genuine {
                words[..2].copy_from_slice(&[MAGIC, VERSION]);
            }
            if let Ok(header) = Header::parse(&words, bytes) {
                prop_assert_eq!(header.geometry.lines() as u64 * LINE as u64, bytes);
            }
        }
    }
}
