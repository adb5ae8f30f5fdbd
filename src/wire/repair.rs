//! The repair packet: shim, the group that it stands for, and the XOR of the group.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +---------------------------------------------------------------+
//!  |       shim: kind repair, sequence number = base, 24 bytes     |  0
//!  +---------------+---------------+-------------------------------+
//!  |     layer     |    code id    |            stride             | 24
//!  +---------------+---------------+-------------------------------+
//!  |             count             |  more runs  |F|   reserved    | 28
//!  +-------------------------------+-------------+-+---------------+
//!  |        XOR of lengths         |   XOR of checks (64 bits) ... | 32
//!  ...
//!  +---------------------------------------------------------------+
//!  | more runs × (base, as distance from the run before: 32 bits;  | 42
//!  |              count: 16 bits)                                  |
//!  +---------------------------------------------------------------+
//!  | XOR of the frames, padded with zeros to the longest           |
//!  +---------------------------------------------------------------+
//! ```
//!
//! The members are base, base + stride, …, `count` of them; each further run likewise. `F`
//! (flushed) says that the repair left before its time: its group or its guard was cut short by an
//! idle time, an age or a final flush. The shim's length is that of the XOR alone. The packet's own
//! check, in the shim, covers everything behind it, up to the end of the XOR, under the sequence
//! number; kind, channel and epoch are in its key.

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;
use super::seal::{KEYED_SHIM_LEN, Opener, Sealer};
use super::shim::{Integrity, Kind, SHIM_LEN, Shim};
use crate::fec::{CheckKey, Members, Repair, Run};

/// Bytes of a repair packet's headers, shim included, when its group has one run.
pub const REPAIR_LEN: usize = SHIM_LEN + size_of::<Raw>();
/// The same where packets have keyed tags.
pub const KEYED_REPAIR_LEN: usize = KEYED_SHIM_LEN + COUNTER_LEN + size_of::<Raw>();
/// Bytes of the counter that a repair packet with a keyed tag has behind its shim.
const COUNTER_LEN: usize = size_of::<u64>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    layer: u8,
    code_id: u8,
    stride: U16,
    count: U16,
    /// The lowest bit is F.
    more_runs_flushed: u8,
    reserved: u8,
    lengths: U16,
    checks: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawRun {
    distance: U32,
    count: U16,
}

const _: () = assert!(size_of::<RawRun>() == Run::WIRE_LEN);

/// What a repair packet says, without the XOR itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairHeader {
    /// The source packets that it stands for.
    pub members: Members,
    /// Number of its layer in the code, from 0.
    pub layer: u8,
    /// Which code of this channel it belongs to.
    pub code_id: u8,
    /// Its group or its guard was cut short.
    pub flushed: bool,
    /// XOR of the members' lengths.
    pub lengths: u16,
    /// XOR of the members' checks.
    pub checks: u64,
}

impl RepairHeader {
    /// Reads what follows the shim of a repair packet, and verifies it with `key` unless integrity
    /// is off. Hands back the XOR too.
    pub fn parse<'a>(
        shim: &Shim,
        rest: &'a [u8],
        key: Option<CheckKey>,
    ) -> Result<(RepairHeader, &'a [u8]), Bad> {
        let (raw, more, bytes) = parts(shim, rest)?;
        let covered = &rest[..size_of::<Raw>() + size_of_val(more) + bytes.len()];
        if key.is_some_and(|key| key.check(shim.seq, covered) != shim.check) {
            return Err(Bad::Check);
        }
        Ok((RepairHeader::read(shim, raw, more)?, bytes))
    }

    /// Opens a repair packet with a keyed tag, of which `shim` is the shim, and hands back how many
    /// bytes lie before the XOR, too.
    pub fn open(
        shim: &Shim,
        packet: &mut [u8],
        opener: &Opener,
    ) -> Result<(RepairHeader, usize), Bad> {
        let rest = packet.get(KEYED_SHIM_LEN..).ok_or(Bad::Truncated)?;
        let (counter, rest) = U64::read_from_prefix(rest).map_err(|_| Bad::Truncated)?;
        let (_, more, bytes) = parts(shim, rest)?;
        let clear = KEYED_REPAIR_LEN + size_of_val(more);
        let end = clear + bytes.len();
        opener.open(counter.get(), &mut packet[..end], clear)?;
        let (raw, more, _) = parts(shim, &packet[KEYED_SHIM_LEN + COUNTER_LEN..])?;
        Ok((RepairHeader::read(shim, raw, more)?, clear))
    }

    /// The number that a keyed repair packet was sealed under, as it says itself.
    #[inline]
    pub fn claimed_number(packet: &[u8]) -> Option<u64> {
        packet.get(KEYED_SHIM_LEN..)?.first_chunk().map(|number| u64::from_be_bytes(*number))
    }

    /// What a verified packet says.
    fn read(shim: &Shim, raw: &Raw, more: &[RawRun]) -> Result<RepairHeader, Bad> {
        if raw.reserved != 0 {
            return Err(Bad::Kind);
        }
        Ok(RepairHeader {
            members: members(shim.seq, raw, more)?,
            layer: raw.layer,
            code_id: raw.code_id,
            flushed: raw.more_runs_flushed & 1 == 1,
            lengths: raw.lengths.get(),
            checks: raw.checks.get(),
        })
    }
}

/// The fixed header, further runs and XOR of which a repair packet's `rest` consists.
#[inline]
fn parts<'a>(shim: &Shim, rest: &'a [u8]) -> Result<(&'a Raw, &'a [RawRun], &'a [u8]), Bad> {
    let (raw, behind) = Raw::ref_from_prefix(rest).map_err(|_| Bad::Truncated)?;
    let more = usize::from(raw.more_runs_flushed >> 1);
    let (more, behind) =
        <[RawRun]>::ref_from_prefix_with_elems(behind, more).map_err(|_| Bad::Truncated)?;
    let bytes = behind.get(..usize::from(shim.length)).ok_or(Bad::Length)?;
    Ok((raw, more, bytes))
}

/// The members and their stride that the header behind `shim` names, if they are one run; not
/// verified by anything.
#[inline]
pub fn claimed_run(shim: &Shim, rest: &[u8]) -> Option<(Run, u16)> {
    let (raw, _) = Raw::ref_from_prefix(rest).ok()?;
    let one = raw.more_runs_flushed >> 1 == 0;
    one.then(|| (Run { base: shim.seq, count: raw.count.get() }, raw.stride.get()))
}

fn members(base: u64, first: &Raw, more: &[RawRun]) -> Result<Members, Bad> {
    let stride = first.stride.get();
    let first = Run { base, count: first.count.get() };
    if more.is_empty() {
        return Members::single(base, stride, first.count).map_err(|_| Bad::Members);
    }
    let mut base = base;
    let further = more.iter().map(|raw| {
        // Below 2^62 + 127 × 2^32: no overflow before the members are checked.
        base += u64::from(raw.distance.get());
        Run { base, count: raw.count.get() }
    });
    Members::from_runs(stride, std::iter::once(first).chain(further)).map_err(|_| Bad::Members)
}

/// How many bytes there are before the XOR, from the shim on, when the group has these members.
pub fn header_len(members: &Members) -> usize {
    REPAIR_LEN + (members.runs().len() - 1) * Run::WIRE_LEN
}

/// How long the packet of `repair` is, from the shim on.
pub fn packet_len(repair: &Repair<'_>) -> usize {
    header_len(repair.members) + repair.bytes.len()
}

/// The same where packets have keyed tags.
pub fn keyed_packet_len(repair: &Repair<'_>) -> usize {
    packet_len(repair) + (KEYED_REPAIR_LEN - REPAIR_LEN)
}

/// Writes the packet of `repair`, from the shim on, into `packet`, which has its
/// [`packet_len`] bytes.
#[inline]
pub fn emit(
    repair: &Repair<'_>,
    channel: u8,
    epoch: u32,
    key: Option<CheckKey>,
    packet: &mut [u8],
) {
    let mut shim = Shim {
        kind: Kind::Repair,
        integrity: if key.is_some() { Integrity::Check } else { Integrity::Off },
        channel,
        length: repair.bytes.len() as u16,
        epoch,
        seq: repair.members.first(),
        check: 0,
    };
    write(repair, &mut packet[SHIM_LEN..]);
    shim.check = key.map_or(0, |key| key.check(shim.seq, &packet[SHIM_LEN..]));
    packet[..SHIM_LEN].copy_from_slice(&shim.emit());
}

/// As [`emit`], with a keyed tag, into the [`keyed_packet_len`] bytes of `packet`. `number` is the
/// repair's, never used before under this key. False if it can't be sealed: it must not be sent then.
#[inline]
pub fn emit_keyed(
    repair: &Repair<'_>,
    channel: u8,
    epoch: u32,
    number: u64,
    sealer: &Sealer,
    packet: &mut [u8],
) -> bool {
    let shim = Shim {
        kind: Kind::Repair,
        integrity: Integrity::Tag,
        channel,
        length: repair.bytes.len() as u16,
        epoch,
        seq: repair.members.first(),
        check: 0,
    };
    packet[..SHIM_LEN].copy_from_slice(&shim.emit());
    let (counter, rest) = packet[KEYED_SHIM_LEN..].split_at_mut(COUNTER_LEN);
    counter.copy_from_slice(&number.to_be_bytes());
    write(repair, rest);
    let clear = packet.len() - repair.bytes.len();
    sealer.seal(number, packet, clear).is_some()
}

/// Writes what a repair packet has behind its shim and counter.
#[inline]
fn write(repair: &Repair<'_>, rest: &mut [u8]) {
    let mut runs = repair.members.runs();
    let further = runs.len() - 1;
    let first = runs.next().map_or(Run { base: 0, count: 0 }, |run| run);
    let raw = Raw {
        layer: repair.layer,
        code_id: repair.code_id,
        stride: U16::new(repair.members.stride()),
        count: U16::new(first.count),
        more_runs_flushed: (further as u8) << 1 | u8::from(repair.flushed),
        reserved: 0,
        lengths: U16::new(repair.lengths),
        checks: U64::new(repair.checks),
    };
    let (fixed, rest) = rest.split_at_mut(size_of::<Raw>());
    let (more, bytes) = rest.split_at_mut(further * Run::WIRE_LEN);
    fixed.copy_from_slice(raw.as_bytes());
    let mut last = first.base;
    for (run, bytes) in runs.zip(more.chunks_exact_mut(Run::WIRE_LEN)) {
        let distance = U32::new((run.base - last) as u32);
        bytes.copy_from_slice(RawRun { distance, count: U16::new(run.count) }.as_bytes());
        last = run.base;
    }
    bytes.copy_from_slice(repair.bytes);
}

/// The key of the checks that repair packets carry.
pub fn repair_key(channel: u8, epoch: u32) -> CheckKey {
    CheckKey::new(Kind::Repair as u8, channel, epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: fn() -> CheckKey = || repair_key(3, 9);

    fn members_of(runs: &[(u64, u16)]) -> Members {
        let runs = runs.iter().map(|&(base, count)| Run { base, count });
        Members::from_runs(97, runs).unwrap()
    }

    fn packet(runs: &[(u64, u16)], flushed: bool, bytes: &[u8]) -> Vec<u8> {
        let repair = Repair {
            members: &members_of(runs),
            layer: 2,
            code_id: 1,
            flushed,
            lengths: 0x1234,
            checks: 0x0123_4567_89AB_CDEF,
            bytes,
        };
        let mut packet = vec![0; packet_len(&repair)];
        emit(&repair, 3, 9, Some(KEY()), &mut packet);
        packet
    }

    fn read(packet: &[u8]) -> Result<(RepairHeader, &[u8]), Bad> {
        let (shim, rest) = Shim::parse(packet)?;
        RepairHeader::parse(&shim, rest, Some(KEY()))
    }

    #[test]
    fn parses_what_it_emits() {
        for (runs, flushed) in [(&[(1000, 20)][..], false), (&[(5, 3), (6, 4), (1 << 31, 1)], true)]
        {
            let mut packet = packet(runs, flushed, &[7; 60]);
            packet.extend([0; 5]); // padding
            let (header, bytes) = read(&packet).unwrap();
            assert_eq!(header.members, members_of(runs));
            assert_eq!((header.layer, header.code_id, header.flushed), (2, 1, flushed));
            assert_eq!((header.lengths, header.checks), (0x1234, 0x0123_4567_89AB_CDEF));
            assert_eq!(bytes, [7; 60]);
        }
    }

    #[test]
    fn the_headers_take_42_bytes() {
        let packet = packet(&[(1000, 20)], false, &[7; 60]);
        assert_eq!((packet.len(), REPAIR_LEN), (102, 42));
        assert_eq!(packet[..16], [0x15, 3, 0, 60, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0x03, 0xE8]);
        assert_eq!(packet[24..34], [2, 1, 0, 97, 0, 20, 0, 0, 0x12, 0x34]);
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let packet = packet(&[(5, 3), (6, 4)], true, &[7; 30]);
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The first four bits of these are the version, kind and integrity, which the room
            // compares; the channel and the epoch choose the key.
            let in_key = bit / 8 == 1 || (4..8).contains(&(bit / 8));
            assert!(in_key || bit / 8 == 0 || read(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn contradictory_groups_are_refused_even_with_a_right_check() {
        let change = |at: usize, byte: u8| {
            let mut packet = packet(&[(5, 3), (6, 4)], true, &[7; 30]);
            packet[at] = byte;
            let check = KEY().check(5, &packet[SHIM_LEN..]).to_be_bytes();
            packet[16..24].copy_from_slice(&check);
            read(&packet).map(|_| ())
        };
        assert_eq!(change(27, 97), Ok(()));
        assert_eq!(change(27, 0), Err(Bad::Members)); // stride 0
        assert_eq!(change(27, 1), Err(Bad::Members)); // both runs in one bin
        assert_eq!(change(29, 0), Err(Bad::Members)); // no member
        assert_eq!(change(28, 0xFF), Err(Bad::Members)); // too many
        assert_eq!(change(45, 0), Err(Bad::Members)); // the same base twice
        assert_eq!(change(31, 1), Err(Bad::Kind)); // reserved
        assert_eq!(change(30, 127), Err(Bad::Truncated)); // more runs than bytes
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), checked in any::<bool>()) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = 0x15;
            }
            if let Ok((shim, rest)) = Shim::parse(&bytes) {
                let _ = RepairHeader::parse(&shim, rest, checked.then(KEY));
            }
        }
    }
}
