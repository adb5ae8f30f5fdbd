//! The fields of a nack: which source packets of the other end's channel are missed here, and asked for.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +---------------+---------------+-------------------------------+
//!  |    channel    |   reserved    |             runs              |  0
//!  +---------------+---------------+-------------------------------+
//!  |              epoch of that channel, as known here             |  4
//!  +---------------------------------------------------------------+
//!  |                   number of the first packet                  |  8
//!  |                           (64 bits)                           | 12
//!  +---------------------------------------------------------------+
//!  |         each run: how far it begins from the first, …         | 16
//!  +-------------------------------+-------------------------------+
//!  |   … and how many packets      |             ...               | 20
//!  +-------------------------------+-------------------------------+
//! ```
//!
//! Runs ascend and do not overlap; none is empty. The control packet around it has a number of its own,
//! from [`NUMBERS`] on: a room sends it, not control, and neither waits for the other to count.

use arrayvec::ArrayVec;
use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;
use super::control::Type;
use crate::fec::seq;

/// The most runs in a nack.
pub const MAX_RUNS: usize = 100;
/// The bytes of the longest.
pub const MAX_LEN: usize = size_of::<Raw>() + MAX_RUNS * size_of::<RawRun>();
/// Control packets that are nacks are counted from here on, others from 0, so that under one key no
/// number is used twice.
pub const NUMBERS: u64 = 1 << 61;

/// Source packets in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first one's number.
    pub first: u64,
    /// How many, at least one.
    pub count: u16,
}

impl Missing {
    /// The number behind the last.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nack {
    /// Whose packets they are.
    pub channel: u8,
    /// Of which life of that channel.
    pub epoch: u32,
    /// Which ones.
    pub runs: ArrayVec<Missing, MAX_RUNS>,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    channel: u8,
    reserved: u8,
    runs: U16,
    epoch: U32,
    first: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawRun {
    offset: U32,
    count: U16,
}

/// Whether a verified control packet's body says that it is a nack.
pub fn is_nack(body: &[u8]) -> bool {
    body.first() == Some(&(Type::Nack as u8))
}

impl Nack {
    /// Appends a run behind those that are there. False if it does not fit: then it is for another nack.
    pub fn push(&mut self, run: Missing) -> bool {
        let first = self.runs.first().map_or(run.first, |first| first.first);
        debug_assert!(self.runs.last().is_none_or(|last| last.end() <= run.first));
        u32::try_from(run.first - first).is_ok() && self.runs.try_push(run).is_ok()
    }

    /// As bytes.
    pub fn emit(&self) -> ArrayVec<u8, MAX_LEN> {
        let mut bytes = ArrayVec::new();
        let first = self.runs.first().map_or(0, |run| run.first);
        let raw = Raw {
            channel: self.channel,
            reserved: 0,
            runs: U16::new(self.runs.len() as u16),
            epoch: U32::new(self.epoch),
            first: U64::new(first),
        };
        bytes.extend(raw.as_bytes().iter().copied());
        for run in &self.runs {
            let offset = U32::new((run.first - first) as u32);
            let raw = RawRun { offset, count: U16::new(run.count) };
            bytes.extend(raw.as_bytes().iter().copied());
        }
        bytes
    }

    /// From the fields of a control packet of this type.
    pub fn parse(fields: &[u8]) -> Result<Nack, Bad> {
        let (raw, rest) = Raw::ref_from_prefix(fields).map_err(|_| Bad::Truncated)?;
        let count = usize::from(raw.runs.get());
        if raw.reserved != 0 {
            return Err(Bad::Kind);
        }
        if count == 0 || count > MAX_RUNS || rest.len() != count * size_of::<RawRun>() {
            return Err(Bad::Length);
        }
        let mut nack = Nack { channel: raw.channel, epoch: raw.epoch.get(), ..Nack::default() };
        let mut free = raw.first.get();
        for run in rest.chunks_exact(size_of::<RawRun>()) {
            let run = RawRun::ref_from_bytes(run).map_err(|_| Bad::Truncated)?;
            let first = raw.first.get().checked_add(run.offset.get().into());
            let first = first.filter(|first| *first < seq::LIMIT).ok_or(Bad::Sequence)?;
            let run = Missing { first, count: run.count.get() };
            if run.count == 0 || run.first < free || run.end() > seq::LIMIT {
                return Err(Bad::Members);
            }
            free = run.end();
            nack.runs.push(run);
        }
        if nack.runs.first().is_some_and(|run| run.first != raw.first.get()) {
            return Err(Bad::Members);
        }
        Ok(nack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(runs: &[(u64, u16)]) -> Nack {
        let runs = runs.iter().map(|&(first, count)| Missing { first, count }).collect();
        Nack { channel: 3, epoch: 9, runs }
    }

    #[test]
    fn bad_fields_have_their_reason() {
        let good = of(&[(100, 2), (105, 1)]);
        let bytes = good.emit();
        assert_eq!(Nack::parse(&bytes), Ok(good));
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] = byte;
            Nack::parse(&bytes)
        };
        assert_eq!(Nack::parse(&bytes[..15]), Err(Bad::Truncated));
        assert_eq!(Nack::parse(&bytes[..27]), Err(Bad::Length));
        assert_eq!(with(1, 1), Err(Bad::Kind));
        assert_eq!(with(2, 255), Err(Bad::Length));
        assert_eq!(with(3, 0), Err(Bad::Length));
        assert_eq!(with(21, 0), Err(Bad::Members));
        assert_eq!(with(21, 9), Err(Bad::Members));
        assert_eq!(with(19, 1), Err(Bad::Members));
        assert_eq!(with(8, 255), Err(Bad::Sequence));
        assert_eq!(Nack::parse(&of(&[(seq::LIMIT - 1, 2)]).emit()), Err(Bad::Members));
    }

    #[test]
    fn a_nack_is_of_bounded_length() {
        let mut nack = of(&[]);
        for n in 0..MAX_RUNS as u64 {
            assert!(nack.push(Missing { first: 10 * n, count: 10 }));
        }
        assert!(!nack.push(Missing { first: 10_000, count: 1 }));
        assert_eq!(nack.emit().len(), MAX_LEN);
        const { assert!(MAX_LEN <= crate::wire::control::MAX_FIELDS) };
        assert!(!of(&[(0, 1)]).push(Missing { first: 1 << 32, count: 1 }));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_parsed(
            first in 0u64..1 << 61,
            runs in prop::collection::vec((0u64..1000, 1u16..2000), 1..=MAX_RUNS),
        ) {
            let mut next = first;
            let mut nack = of(&[]);
            for (n, (gap, count)) in runs.into_iter().enumerate() {
                let first = if n == 0 { next } else { next + gap };
                let fits = nack.push(Missing { first, count });
                prop_assert!(fits);
                next = first + u64::from(count);
            }
            prop_assert_eq!(Nack::parse(&nack.emit()), Ok(nack));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(nack) = Nack::parse(&bytes) {
                prop_assert_eq!(&nack.emit()[..], &bytes[..]);
            }
        }
    }
}
