//! The packets of the WAN: outer header, shim, repair header.

use maelstrom::fec::{Repair, seq};
use maelstrom::wire::control::{self, Type};
use maelstrom::wire::hello::Hello;
use maelstrom::wire::outer::Ether;
use maelstrom::wire::repair::{self, KEYED_REPAIR_LEN, RepairHeader, repair_key};
use maelstrom::wire::seal::{KEYED_SHIM_LEN, Mode, Opener, Purpose, Sealer, SessionKey};
use maelstrom::wire::shim::{Integrity, Kind, SHIM_LEN, Shim};
use zerocopy::IntoBytes;

/// The input is a packet, its first byte apart: that says whether the check of a repair is made
/// right, which no mutation would do by chance.
pub fn check(bytes: &[u8]) {
    let Some((&mode, frame)) = bytes.split_first() else { return };
    let Some((ether, packet)) = Ether::parse(frame) else {
        return assert!(frame.len() < 14);
    };
    assert_eq!(ether.as_bytes(), &frame[..14]);
    let (_, _) = (ether.is_tagged(), ether.is_link_local());
    let Ok((shim, rest)) = Shim::parse(packet) else { return };
    assert_eq!(&shim.emit()[..], &packet[..SHIM_LEN], "what is parsed is emitted alike");
    assert!(shim.seq < seq::LIMIT);
    if let Ok(frame) = shim.frame(rest) {
        assert!(frame.len() >= 14 && frame.len() == usize::from(shim.length));
    }
    sealed(mode, &shim, packet);
    if let Ok(body) = control::verify(&shim, rest) {
        assert!((2..=rest.len()).contains(&body.len()));
    }
    // Whether or not its check is right.
    if let Ok((Type::Hello, fields)) = control::parse(rest)
        && let Ok(hello) = Hello::parse(fields)
    {
        assert_eq!(Hello::parse(&hello.emit()), Ok(hello), "what is parsed is emitted alike");
    }
    let key = (mode & 1 == 1).then(|| repair_key(shim.channel, shim.epoch));
    let mut shim = shim;
    if let (Some(key), true) = (key, mode & 2 == 2) {
        // What the check covers: headers and XOR, but no padding.
        let more = rest.get(6).map_or(0, |&byte| usize::from(byte >> 1));
        let covered = (18 + 6 * more + usize::from(shim.length)).min(rest.len());
        shim.check = key.check(shim.seq, &rest[..covered]);
    }
    let Ok((header, xor)) = RepairHeader::parse(&shim, rest, key) else { return };
    shim.kind = Kind::Repair;
    shim.integrity = if key.is_some() { Integrity::Check } else { Integrity::Off };
    shim.check = if key.is_some() { shim.check } else { 0 };
    emitted_alike(&shim, &header, xor, rest);
}

/// With a tag a packet does not open; one that is sealed says the same as one without.
fn sealed(mode: u8, shim: &Shim, packet: &[u8]) {
    let how = if mode & 4 == 4 { Mode::Seal } else { Mode::Tag };
    let session = SessionKey::new([1; 32]);
    let opener = Opener::new(&session, Purpose::Repair, how, shim.channel);
    let mut bytes = packet.to_vec();
    assert!(RepairHeader::open(shim, &mut bytes, &opener).is_err());
    let plain =
        packet.get(KEYED_REPAIR_LEN - 18..).map(|rest| RepairHeader::parse(shim, rest, None));
    let Some(Ok((header, xor))) = plain else { return };
    let clear = KEYED_REPAIR_LEN + 6 * (header.members.runs().len() - 1);
    let mut bytes = packet.to_vec();
    let counter = bytes[KEYED_SHIM_LEN..].first_chunk().map_or(0, |it| u64::from_be_bytes(*it));
    let sealer = Sealer::new(&session, Purpose::Repair, how, shim.channel);
    assert!(sealer.seal(counter, &mut bytes[..clear + xor.len()], clear).is_some());
    let opened = RepairHeader::open(shim, &mut bytes, &opener);
    assert_eq!(opened, Ok((header, clear)));
    assert_eq!(&bytes[clear..][..xor.len()], xor);
}

/// What a repair's header says is possible, and makes the same packet again.
fn emitted_alike(shim: &Shim, header: &RepairHeader, xor: &[u8], rest: &[u8]) {
    let members = &header.members;
    let mut all: Vec<u64> = members.iter().collect();
    assert_eq!(all.len(), members.len());
    assert!((1..=4096).contains(&all.len()));
    all.sort_unstable();
    assert!(all.is_sorted_by(|a, b| a < b), "a member twice");
    assert_eq!((all[0], all[all.len() - 1]), (members.first(), members.last()));
    assert!(members.last() < seq::LIMIT && members.first() == shim.seq);
    let repair = Repair {
        members,
        layer: header.layer,
        code_id: header.code_id,
        flushed: header.flushed,
        lengths: header.lengths,
        checks: header.checks,
        bytes: xor,
    };
    let mut packet = vec![0; repair::packet_len(&repair)];
    let key = (shim.integrity == Integrity::Check).then(|| repair_key(shim.channel, shim.epoch));
    repair::emit(&repair, shim.channel, shim.epoch, key, &mut packet);
    assert_eq!(packet[..SHIM_LEN], shim.emit());
    assert_eq!(packet[SHIM_LEN..], rest[..packet.len() - SHIM_LEN]);
}
