use proptest::prelude::*;

use super::*;
use crate::fec::{Members, Repair, Run};
use crate::wire::repair::{RepairHeader, emit_keyed, keyed_packet_len};

const MODES: [Mode; 2] = [Mode::Tag, Mode::Seal];

fn session() -> SessionKey {
    SessionKey::new(std::array::from_fn(|n| n as u8))
}

fn frame(len: usize) -> Vec<u8> {
    (0..len).map(|n| n as u8).collect()
}

/// A sealed source packet of channel 1, epoch 2, sequence number 3, and its check.
fn source(mode: Mode, frame: &[u8]) -> (Vec<u8>, u64) {
    let shim = source_shim(1, 2, 3, frame.len() as u16).emit();
    let mut packet = [&shim[..], &[0; 8], frame].concat();
    let sealer = Sealer::new(&session(), Purpose::Source, mode, 1);
    let check = sealer.seal(3, &mut packet, KEYED_SHIM_LEN).unwrap();
    (packet, check)
}

fn repair(mode: Mode) -> Vec<u8> {
    let runs = [(5, 3), (6, 4)].map(|(base, count)| Run { base, count });
    let repair = Repair {
        members: &Members::from_runs(97, runs).unwrap(),
        layer: 2,
        code_id: 1,
        flushed: true,
        lengths: 0x1234,
        checks: 0x0123_4567_89AB_CDEF,
        bytes: &frame(20),
    };
    let mut packet = vec![0; keyed_packet_len(&repair)];
    let sealer = Sealer::new(&session(), Purpose::Repair, mode, 1);
    assert!(emit_keyed(&repair, 1, 2, 9, &sealer, &mut packet));
    packet
}

fn open_source(mode: Mode, packet: &[u8]) -> Result<Vec<u8>, Bad> {
    let mut packet = packet.to_vec();
    let opener = Opener::new(&session(), Purpose::Source, mode, 1);
    let seq = Shim::parse(&packet)?.0.seq;
    opener.open(seq, &mut packet, KEYED_SHIM_LEN)?;
    Ok(packet.split_off(KEYED_SHIM_LEN))
}

fn open_repair(mode: Mode, packet: &[u8]) -> Result<(RepairHeader, Vec<u8>), Bad> {
    let mut packet = packet.to_vec();
    let (shim, _) = Shim::parse(&packet)?;
    let opener = Opener::new(&session(), Purpose::Repair, mode, 1);
    let (header, before) = RepairHeader::open(&shim, &mut packet, &opener)?;
    Ok((header, packet[before..][..usize::from(shim.length)].to_vec()))
}

#[test]
fn opens_what_was_sealed() {
    for mode in MODES {
        for len in [14, 60, 128, 129, 1500, 9000] {
            let (packet, check) = source(mode, &frame(len));
            assert_eq!(Shim::parse(&packet).unwrap().0.check, check);
            assert_eq!(packet[KEYED_SHIM_LEN..] == frame(len), mode == Mode::Tag);
            assert_eq!(open_source(mode, &packet).unwrap(), frame(len));
        }
        let (header, bytes) = open_repair(mode, &repair(mode)).unwrap();
        assert_eq!(bytes, frame(20));
        assert_eq!((header.layer, header.flushed, header.lengths), (2, true, 0x1234));
        assert_eq!(header.members.runs().len(), 2);
    }
}

#[test]
fn both_ways_of_encrypting_give_the_same() {
    let (packet, check) = source(Mode::Seal, &frame(300));
    let mut other = vec![0xAA; KEYED_SHIM_LEN + 300];
    other[..SHIM_LEN].copy_from_slice(&source_shim(1, 2, 3, 300).emit());
    let sealer = Sealer::new(&session(), Purpose::Source, Mode::Seal, 1);
    assert_eq!(sealer.seal_from(3, &mut other, &frame(300)), Some(check));
    assert_eq!(other, packet);
}

#[test]
fn no_bit_can_be_changed() {
    for mode in MODES {
        let (good, _) = source(mode, &frame(40));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open_source(mode, &bad).is_err(), "{mode:?}, bit {bit}");
        }
        let good = repair(mode);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open_repair(mode, &bad).is_err(), "{mode:?}, bit {bit}");
        }
    }
}

#[test]
fn keys_are_for_one_purpose_mode_channel_and_session() {
    let (packet, _) = source(Mode::Tag, &frame(60));
    let opens = |session: &SessionKey, purpose, mode, channel| {
        let mut packet = packet.clone();
        Opener::new(session, purpose, mode, channel).open(3, &mut packet, KEYED_SHIM_LEN)
    };
    assert_eq!(opens(&session(), Purpose::Source, Mode::Tag, 1), Ok(()));
    assert_eq!(opens(&session(), Purpose::Source, Mode::Seal, 1), Err(Bad::Tag));
    assert_eq!(opens(&session(), Purpose::Repair, Mode::Tag, 1), Err(Bad::Tag));
    assert_eq!(opens(&session(), Purpose::Control, Mode::Tag, 1), Err(Bad::Tag));
    assert_eq!(opens(&session(), Purpose::Source, Mode::Tag, 2), Err(Bad::Tag));
    assert_eq!(opens(&SessionKey::new([1; 32]), Purpose::Source, Mode::Tag, 1), Err(Bad::Tag));
}

#[test]
fn what_is_rebuilt_must_be_what_was_sent() {
    for mode in MODES {
        let (_, check) = source(mode, &frame(200));
        let mut again = Opening::new(&session(), mode, 1, 2, 1500).again;
        assert!(again.confirm(3, &frame(200), check));
        assert!(!again.confirm(4, &frame(200), check));
        assert!(!again.confirm(3, &frame(199), check));
        assert!(!again.confirm(3, &frame(200), check ^ 1));
        assert!(!again.confirm(3, &frame(1501), check));
        let mut other = frame(200);
        other[100] ^= 1;
        assert!(!again.confirm(3, &other, check));
        assert!(again.confirm(3, &frame(200), check));
    }
}

#[test]
fn nothing_tells_a_key() {
    assert_eq!(format!("{:?}", session()), "SessionKey(..)");
}

/// What docs/WIRE.md says.
#[test]
fn tags_are_what_docs_wire_md_says() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let wire = include_str!("../../docs/WIRE.md");
    for mode in MODES {
        let (source, _) = source(mode, &frame(16));
        for line in [hex(&source[TAG_AT..]), hex(&repair(mode)[TAG_AT..])] {
            assert!(wire.contains(&line), "{mode:?}: {line}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), seal in any::<bool>()) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = 0x16;
        }
        let mode = MODES[usize::from(seal)];
        prop_assert!(open_repair(mode, &bytes).is_err());
        prop_assert!(open_source(mode, &bytes).is_err());
    }
}
