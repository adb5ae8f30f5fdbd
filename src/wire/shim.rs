//! The shim: the header that every packet between two gateways begins with, behind the outer one.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +-------+---+---+---------------+-------------------------------+
//!  |version|knd|int|    channel    |            length             |  0
//!  +-------+---+---+---------------+-------------------------------+
//!  |                             epoch                             |  4
//!  +---------------------------------------------------------------+
//!  |                        sequence number                        |  8
//!  |                           (64 bits)                           | 12
//!  +---------------------------------------------------------------+
//!  |                check (64 bits), or tag (128 bits)             | 16
//!  |                                                               | 20
//!  +---------------------------------------------------------------+
//! ```
//!
//! A source packet's shim is followed by the LAN frame, `length` bytes of it, without FCS; bytes
//! behind those are Ethernet padding. A repair packet's is followed by [`super::repair`]'s header, a
//! control packet's by [`super::control`]'s body.

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;
use super::outer::MIN_FRAME;
use crate::fec::{CheckKey, seq};

/// The version of the wire format that this code speaks.
pub const VERSION: u8 = 1;
/// Bytes of the shim with a check.
pub const SHIM_LEN: usize = size_of::<Raw>();

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A LAN frame.
    Source = 0,
    /// The XOR of the LAN frames of one group.
    Repair = 1,
    /// What the gateways tell each other.
    Control = 2,
    /// The same, or a part of it, of frames that cross without a shim: [`super::named`].
    Named = 3,
}

/// What confirms a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[cfg_attr(feature = "dpdk", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// Nothing. For measurements only: what is damaged on the way is delivered damaged.
    Off = 0,
    /// A 64-bit check, against error and accident.
    #[default]
    Check = 1,
    /// A keyed tag of 16 bytes, against anyone: see [`super::seal`]. Not a choice of its own, but what
    /// having keys means.
    #[serde(skip)]
    #[cfg_attr(feature = "dpdk", value(skip))]
    Tag = 2,
}

/// The shim in plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shim {
    /// What follows.
    pub kind: Kind,
    /// What confirms it.
    pub integrity: Integrity,
    /// Whose sequence space it belongs to.
    pub channel: u8,
    /// Source: bytes of the frame. Repair: bytes of the XOR. Control: bytes of the body.
    pub length: u16,
    /// Which life of the channel.
    pub epoch: u32,
    /// Source: its number. Repair: the lowest number in its group. Control: its number among those.
    pub seq: u64,
    /// As [`Integrity`] says; 0 when that is off, of a tag the first half.
    pub check: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    version_kind_integrity: u8,
    channel: u8,
    length: U16,
    epoch: U32,
    seq: U64,
    check: U64,
}

impl Shim {
    /// Reads the shim of a packet whose outer header is gone, and hands back what follows it. The
    /// length is not yet compared with what there is, nor the check with anything.
    pub fn parse(packet: &[u8]) -> Result<(Shim, &[u8]), Bad> {
        let (raw, rest) = Raw::ref_from_prefix(packet).map_err(|_| Bad::Truncated)?;
        if raw.version_kind_integrity >> 4 != VERSION {
            return Err(Bad::Version);
        }
        let kind = match raw.version_kind_integrity >> 2 & 3 {
            0 => Kind::Source,
            1 => Kind::Repair,
            2 => Kind::Control,
            _ => Kind::Named,
        };
        let integrity = match raw.version_kind_integrity & 3 {
            0 => Integrity::Off,
            1 => Integrity::Check,
            2 => Integrity::Tag,
            _ => return Err(Bad::Integrity),
        };
        let shim = Shim {
            kind,
            integrity,
            channel: raw.channel,
            length: raw.length.get(),
            epoch: raw.epoch.get(),
            seq: raw.seq.get(),
            check: raw.check.get(),
        };
        if shim.seq >= seq::LIMIT { Err(Bad::Sequence) } else { Ok((shim, rest)) }
    }

    /// The frame of a source packet, of which `rest` is what follows the shim.
    pub fn frame<'a>(&self, rest: &'a [u8]) -> Result<&'a [u8], Bad> {
        match rest.get(..usize::from(self.length)) {
            Some(frame) if frame.len() >= MIN_FRAME => Ok(frame),
            _ => Err(Bad::Length),
        }
    }

    /// The shim as bytes.
    pub fn emit(&self) -> [u8; SHIM_LEN] {
        let raw = Raw {
            version_kind_integrity: VERSION << 4 | (self.kind as u8) << 2 | self.integrity as u8,
            channel: self.channel,
            length: U16::new(self.length),
            epoch: U32::new(self.epoch),
            seq: U64::new(self.seq),
            check: U64::new(self.check),
        };
        zerocopy::transmute!(raw)
    }
}

/// The channel that a packet without its outer header says it belongs to, for whoever only hands it
/// on: nothing else is looked at.
#[inline]
pub fn channel_of(packet: &[u8]) -> Option<u8> {
    Raw::ref_from_prefix(packet).ok().map(|(raw, _)| raw.channel)
}

/// Whether an epoch is the later of two. They are times modulo 2^32: the later one is less than half the
/// circle ahead.
pub fn is_later(epoch: u32, than: u32) -> bool {
    epoch.wrapping_sub(than) as i32 > 0
}

/// The key of the checks that source packets carry.
pub fn source_key(channel: u8, epoch: u32) -> CheckKey {
    CheckKey::new(Kind::Source as u8, channel, epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shim() -> Shim {
        Shim {
            kind: Kind::Source,
            integrity: Integrity::Check,
            channel: 0x12,
            length: 60,
            epoch: 0x3456_789A,
            seq: 0x0123_4567_89AB_CDEF,
            check: 0xFEDC_BA98_7654_3210,
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_picture() {
        let bytes = [
            0x11, 0x12, 0x00, 60, 0x34, 0x56, 0x78, 0x9A, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD,
            0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10,
        ];
        assert_eq!(shim().emit(), bytes);
        assert_eq!(Shim::parse(&bytes), Ok((shim(), &[][..])));
        assert_eq!((channel_of(&bytes), channel_of(&bytes[..23])), (Some(0x12), None));
    }

    #[test]
    fn every_bad_value_has_its_reason() {
        let good = shim().emit();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            Shim::parse(&bytes).map(|(shim, _)| shim)
        };
        assert_eq!(Shim::parse(&good[..23]), Err(Bad::Truncated));
        assert_eq!(with(0, 0x21), Err(Bad::Version));
        assert_eq!(with(0, 0x1D).map(|shim| shim.kind), Ok(Kind::Named));
        assert_eq!(with(0, 0x13), Err(Bad::Integrity));
        assert_eq!(with(8, 0x40), Err(Bad::Sequence));
        assert_eq!(shim().frame(&[0; 59]), Err(Bad::Length));
        assert_eq!(shim().frame(&[0; 70]), Ok(&[0; 60][..]));
        assert_eq!(Shim { length: 13, ..shim() }.frame(&[0; 70]), Err(Bad::Length));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_parses_is_emitted_alike(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Ok((shim, rest)) = Shim::parse(&bytes) {
                prop_assert_eq!(&shim.emit()[..], &bytes[..SHIM_LEN]);
                let _ = shim.frame(rest);
            }
        }
    }
}
