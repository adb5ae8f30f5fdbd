//! The repair packet of the `transparent` encapsulation: it names its members, and comes in parts
//! where it would exceed the WAN's MTU.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +---------------------------------------------------------------+
//!  |  shim: kind named, sequence number = next, length of the part |  0
//!  +---------------------------------------------------------------+
//!  |                            serial                             | 24
//!  +---------------+---------------+-------------------------------+
//!  |     part      |     parts     |            total              | 28
//!  +---------------+---------------+-------------------------------+
//!  |             `length` bytes of the message                     | 32
//!  +---------------------------------------------------------------+
//!
//!  the message, put together again:
//!  +---------------+---------------+-------------+-+---------------+
//!  |     layer     |    code id    |  more runs  |F|   reserved    |  0
//!  +---------------+---------------+-------------+-+---------------+
//!  |                       base (64 bits)                          |  4
//!  +-------------------------------+-------------------------------+
//!  |            stride             |             count             | 12
//!  +-------------------------------+-------------------------------+
//!  |        XOR of lengths         |        length of XOR          | 16
//!  +-------------------------------+-------------------------------+
//!  |                    XOR of checks (64 bits)                    | 20
//!  +---------------------------------------------------------------+
//!  | more runs × (distance: 32 bits; count: 16 bits)               | 28
//!  +---------------------------------------------------------------+
//!  | members × name (64 bits), run by run                          |
//!  +---------------------------------------------------------------+
//!  | XOR of the members' images                                    |
//!  +---------------------------------------------------------------+
//! ```
//!
//! `next` is how many source packets were sent before the repair. All parts but the last are equally
//! long: `total` / `parts`, rounded up. The check in the shim covers what follows it.

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bad;
use super::shim::{Integrity, Kind, SHIM_LEN, Shim};
use crate::fec::group::{MAX_MEMBERS, MAX_RUNS};
use crate::fec::{CheckKey, Members, Repair, Run};

/// Bytes of a part's headers, shim included.
pub const PART_LEN: usize = SHIM_LEN + size_of::<RawPart>();
/// The most parts.
pub const MAX_PARTS: usize = 32;
/// Bytes of a message before its runs.
const FIXED_LEN: usize = size_of::<Raw>();
/// Bytes of a name.
pub const NAME_LEN: usize = 8;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawPart {
    serial: U32,
    part: u8,
    parts: u8,
    total: U16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    layer: u8,
    code_id: u8,
    /// The lowest bit is F.
    more_runs_flushed: u8,
    reserved: u8,
    base: U64,
    stride: U16,
    count: U16,
    lengths: U16,
    xor: U16,
    checks: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawRun {
    distance: U32,
    count: U16,
}

const _: () = assert!(size_of::<RawRun>() == Run::WIRE_LEN);

/// How a message is cut into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the message.
    pub total: u16,
    /// How many parts, at least one.
    pub parts: u8,
}

impl Cut {
    /// A message of `total` bytes where each packet takes `room` bytes behind the outer header; `None`
    /// if there would be too many, or it is too long for any.
    pub fn new(total: usize, room: usize) -> Option<Cut> {
        let parts = total.div_ceil(room.checked_sub(PART_LEN).filter(|&room| room > 0)?).max(1);
        let total = u16::try_from(total).ok()?;
        (parts <= MAX_PARTS).then_some(Cut { total, parts: parts as u8 })
    }

    /// Which bytes of the message part number `part` is.
    pub fn range(self, part: u8) -> std::ops::Range<usize> {
        let total = usize::from(self.total);
        let each = total.div_ceil(usize::from(self.parts.max(1)));
        let at = (each * usize::from(part)).min(total);
        at..(at + each).min(total)
    }
}

/// One part, in plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The number of the repair, modulo 2^32.
    pub serial: u32,
    /// Which part this is, from 0.
    pub part: u8,
    /// The whole that it is part of.
    pub cut: Cut,
}

impl Part {
    /// Reads what follows the shim of a named repair, and verifies it with `key`. Hands back the bytes
    /// of the message.
    pub fn parse<'a>(shim: &Shim, rest: &'a [u8], key: CheckKey) -> Result<(Part, &'a [u8]), Bad> {
        let (raw, behind) = RawPart::ref_from_prefix(rest).map_err(|_| Bad::Truncated)?;
        let bytes = behind.get(..usize::from(shim.length)).ok_or(Bad::Length)?;
        if key.check(shim.seq, &rest[..size_of::<RawPart>() + bytes.len()]) != shim.check {
            return Err(Bad::Check);
        }
        let cut = Cut { total: raw.total.get(), parts: raw.parts };
        let range = cut.range(raw.part);
        let possible = (1..=MAX_PARTS).contains(&usize::from(raw.parts)) && raw.part < raw.parts;
        if !possible || range.is_empty() || range.len() != bytes.len() {
            return Err(Bad::Length);
        }
        Ok((Part { serial: raw.serial.get(), part: raw.part, cut }, bytes))
    }

    /// Writes the part of `message` that this is into `packet`, which has [`Part::packet_len`] bytes.
    pub fn emit(
        &self,
        channel: u8,
        epoch: u32,
        next: u64,
        key: CheckKey,
        message: &[u8],
        packet: &mut [u8],
    ) {
        let bytes = &message[self.cut.range(self.part)];
        let raw = RawPart {
            serial: U32::new(self.serial),
            part: self.part,
            parts: self.cut.parts,
            total: U16::new(self.cut.total),
        };
        packet[SHIM_LEN..PART_LEN].copy_from_slice(raw.as_bytes());
        packet[PART_LEN..].copy_from_slice(bytes);
        let shim = Shim {
            kind: Kind::Named,
            integrity: Integrity::Check,
            channel,
            length: bytes.len() as u16,
            epoch,
            seq: next,
            check: key.check(next, &packet[SHIM_LEN..]),
        };
        packet[..SHIM_LEN].copy_from_slice(&shim.emit());
    }

    /// How long the packet is, from the shim on.
    pub fn packet_len(&self) -> usize {
        PART_LEN + self.cut.range(self.part).len()
    }
}

/// What a whole message says.
#[derive(Debug)]
pub struct Message<'a> {
    /// The source packets that it stands for.
    pub members: Members,
    /// Number of its layer in the code, from 0.
    pub layer: u8,
    /// Which code of this channel it belongs to.
    pub code_id: u8,
    /// Its group or its guard was cut short.
    pub flushed: bool,
    /// XOR of the lengths of the members' images.
    pub lengths: u16,
    /// XOR of the members' checks.
    pub checks: u64,
    /// The members' names, in the order of [`Members::iter`].
    pub names: &'a [[u8; NAME_LEN]],
    /// XOR of the members' images.
    pub xor: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message of a repair before which `next` source packets were sent.
    pub fn parse(message: &'a [u8], next: u64) -> Result<Message<'a>, Bad> {
        let (raw, behind) = Raw::ref_from_prefix(message).map_err(|_| Bad::Truncated)?;
        if raw.reserved != 0 {
            return Err(Bad::Kind);
        }
        let more = usize::from(raw.more_runs_flushed >> 1);
        let (more, behind) =
            <[RawRun]>::ref_from_prefix_with_elems(behind, more).map_err(|_| Bad::Truncated)?;
        let mut base = raw.base.get();
        if base >= next {
            return Err(Bad::Members);
        }
        let first = Run { base, count: raw.count.get() };
        let further = more.iter().map(|raw| {
            // Below 2^62 + 127 × 2^32: no overflow before the members are checked.
            base += u64::from(raw.distance.get());
            Run { base, count: raw.count.get() }
        });
        let members = Members::from_runs(raw.stride.get(), std::iter::once(first).chain(further))
            .map_err(|_| Bad::Members)?;
        if members.last() >= next {
            return Err(Bad::Members);
        }
        let count = members.len();
        let (names, xor) = <[[u8; NAME_LEN]]>::ref_from_prefix_with_elems(behind, count)
            .map_err(|_| Bad::Truncated)?;
        if xor.len() != usize::from(raw.xor.get()) {
            return Err(Bad::Length);
        }
        Ok(Message {
            members,
            layer: raw.layer,
            code_id: raw.code_id,
            flushed: raw.more_runs_flushed & 1 == 1,
            lengths: raw.lengths.get(),
            checks: raw.checks.get(),
            names,
            xor,
        })
    }
}

/// How long the message of `repair` is.
pub fn message_len(repair: &Repair<'_>) -> usize {
    let further = repair.members.runs().len() - 1;
    FIXED_LEN + further * Run::WIRE_LEN + repair.members.len() * NAME_LEN + repair.bytes.len()
}

/// The longest message when no image has more bytes than `image`.
pub fn longest_message(image: usize) -> usize {
    longest_filled(MAX_MEMBERS, image)
}

/// The same when a repair stands for at most so many members.
pub fn longest_filled(members: usize, image: usize) -> usize {
    FIXED_LEN + (MAX_RUNS - 1) * Run::WIRE_LEN + members * NAME_LEN + image
}

/// Writes the message of `repair` into `message`, which has its [`message_len`] bytes; `name` says what
/// each member is called.
pub fn emit_message(repair: &Repair<'_>, name: impl Fn(u64) -> u64, message: &mut [u8]) {
    let mut runs = repair.members.runs();
    let further = runs.len() - 1;
    let first = runs.next().map_or(Run { base: 0, count: 0 }, |run| run);
    let raw = Raw {
        layer: repair.layer,
        code_id: repair.code_id,
        more_runs_flushed: (further as u8) << 1 | u8::from(repair.flushed),
        reserved: 0,
        base: U64::new(first.base),
        stride: U16::new(repair.members.stride()),
        count: U16::new(first.count),
        lengths: U16::new(repair.lengths),
        xor: U16::new(repair.bytes.len() as u16),
        checks: U64::new(repair.checks),
    };
    let (fixed, rest) = message.split_at_mut(FIXED_LEN);
    let (more, rest) = rest.split_at_mut(further * Run::WIRE_LEN);
    let (names, xor) = rest.split_at_mut(repair.members.len() * NAME_LEN);
    fixed.copy_from_slice(raw.as_bytes());
    let mut last = first.base;
    for (run, bytes) in runs.zip(more.chunks_exact_mut(Run::WIRE_LEN)) {
        let distance = U32::new((run.base - last) as u32);
        bytes.copy_from_slice(RawRun { distance, count: U16::new(run.count) }.as_bytes());
        last = run.base;
    }
    let mut names = names.as_chunks_mut::<NAME_LEN>().0.iter_mut();
    repair.members.for_each(|number| {
        if let Some(bytes) = names.next() {
            *bytes = name(number).to_be_bytes();
        }
    });
    xor.copy_from_slice(repair.bytes);
}

/// The key of the checks that named repairs carry.
pub fn part_key(channel: u8, epoch: u32) -> CheckKey {
    CheckKey::new(Kind::Named as u8, channel, epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(runs: &[(u64, u16)]) -> Members {
        let runs = runs.iter().map(|&(base, count)| Run { base, count });
        Members::from_runs(97, runs).unwrap()
    }

    fn message(runs: &[(u64, u16)], bytes: &[u8]) -> Vec<u8> {
        let repair = Repair {
            members: &members(runs),
            layer: 2,
            code_id: 1,
            flushed: true,
            lengths: 0x1234,
            checks: 0x0123_4567_89AB_CDEF,
            bytes,
        };
        let mut message = vec![0; message_len(&repair)];
        emit_message(&repair, |number| number << 32 | 7, &mut message);
        message
    }

    /// The packets of a message, from the shim on.
    fn packets(message: &[u8], room: usize) -> Vec<Vec<u8>> {
        let cut = Cut::new(message.len(), room).unwrap();
        let packet = |part| {
            let part = Part { serial: 77, part, cut };
            let mut packet = vec![0; part.packet_len()];
            part.emit(3, 9, 500, part_key(3, 9), message, &mut packet);
            packet
        };
        (0..cut.parts).map(packet).collect()
    }

    fn read(packet: &[u8]) -> Result<(Part, &[u8]), Bad> {
        let (shim, rest) = Shim::parse(packet)?;
        Part::parse(&shim, rest, part_key(3, 9))
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let runs = [(5, 3), (6, 2)];
        let message = message(&runs, &[7; 60]);
        assert_eq!(message.len(), 28 + 6 + 5 * 8 + 60);
        let read = Message::parse(&message, 500).unwrap();
        assert_eq!(read.members, members(&runs));
        assert_eq!((read.layer, read.code_id, read.flushed), (2, 1, true));
        assert_eq!((read.lengths, read.checks), (0x1234, 0x0123_4567_89AB_CDEF));
        let names: Vec<u64> =
            read.names.iter().map(|name| u64::from_be_bytes(*name) >> 32).collect();
        assert_eq!(names, read.members.iter().collect::<Vec<_>>());
        assert_eq!(read.xor, [7; 60]);
    }

    #[test]
    fn a_message_is_cut_where_it_does_not_fit() {
        let message = message(&[(5, 3)], &[7; 448]);
        assert_eq!(message.len(), 500);
        for (room, lengths) in
            [(532, &[500][..]), (531, &[250, 250]), (282, &[250, 250]), (281, &[167, 167, 166])]
        {
            let packets = packets(&message, room);
            assert!(packets.iter().all(|packet| packet.len() <= room));
            let mut whole = Vec::new();
            for (n, packet) in packets.iter().enumerate() {
                let (part, bytes) = read(packet).unwrap();
                assert_eq!((part.serial, usize::from(part.part)), (77, n));
                assert_eq!(
                    (part.cut.range(part.part).start, bytes.len()),
                    (whole.len(), lengths[n])
                );
                whole.extend(bytes);
            }
            assert_eq!((packets.len(), whole), (lengths.len(), message.clone()));
        }
        assert_eq!(Cut::new(500, 48), Some(Cut { total: 500, parts: 32 }));
        assert_eq!(Cut::new(500, 47), None);
        assert_eq!(Cut::new(1 << 16, 9000), None);
        assert_eq!(Cut::new(100, PART_LEN), None);
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let packet = &packets(&message(&[(5, 3)], &[7; 30]), 100)[0];
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The room compares the first byte, and channel and epoch choose the key.
            let elsewhere = [0, 1, 4, 5, 6, 7].contains(&(bit / 8));
            assert!(elsewhere || read(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let good = message(&[(5, 3), (6, 2)], &[7; 60]);
        let with = |at: usize, byte: u8| {
            let mut message = good.clone();
            message[at] = byte;
            Message::parse(&message, 500).map(|_| ())
        };
        assert_eq!(with(0, 9), Ok(()));
        assert_eq!(with(3, 1), Err(Bad::Kind));
        assert_eq!(with(2, 127 << 1), Err(Bad::Truncated));
        assert_eq!(with(13, 0), Err(Bad::Members));
        assert_eq!(with(15, 0), Err(Bad::Members));
        assert_eq!(with(14, 2), Err(Bad::Members)); // beyond next
        assert_eq!(with(4, 0xFF), Err(Bad::Members)); // beyond any number
        assert_eq!(with(15, 2), Err(Bad::Length)); // one name less
        assert_eq!(with(15, 100), Err(Bad::Members));
        assert_eq!(with(19, 61), Err(Bad::Length));
        assert!(Message::parse(&good, 199).is_err());
        assert_eq!(Message::parse(&good[..27], 500).err(), Some(Bad::Truncated));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400), next in any::<u64>(),
        ) {
            let _ = Message::parse(&bytes, next);
            if let Some(first) = bytes.first_mut() {
                *first = 0x1D;
            }
            if let Ok((mut shim, rest)) = Shim::parse(&bytes) {
                let key = part_key(shim.channel, shim.epoch);
                let covered = (8 + usize::from(shim.length)).min(rest.len());
                let _ = Part::parse(&shim, rest, key);
                shim.check = key.check(shim.seq, &rest[..covered]);
                if let Ok((part, bytes)) = Part::parse(&shim, rest, key) {
                    prop_assert_eq!(part.cut.range(part.part).len(), bytes.len());
                }
            }
        }
    }
}
