//! A repair whose members are named wrongly: what it rebuilds is refused, however the arithmetic
//! works out.

use maelstrom::fec::decoder::{Admission, RepairFate, RepairIn};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{CheckKey, Decoder, DecoderConfig, Members};

use crate::channel::{Frame, key};

/// Frames of one length.
fn frame(seq: u64) -> Frame {
    (0..16).map(|n| (seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (n * 3)) as u8).collect()
}

/// The repair of the group from `base` on, under the name of the one from `claimed` on.
fn repair(base: u64, claimed: u64, stride: u16, count: u16) -> RepairIn<Frame> {
    let (mut lengths, mut checks, mut payload) = (0, 0, Frame::from([0; 16]));
    for seq in (0..u64::from(count)).map(|k| base + k * u64::from(stride)) {
        lengths ^= 16;
        checks ^= key().check(seq, &frame(seq));
        payload.iter_mut().zip(frame(seq)).for_each(|(sum, byte)| *sum ^= byte);
    }
    let members = Members::single(claimed, stride, count).expect("valid members");
    RepairIn { members, lengths, checks, payload, layer: 0 }
}

/// A decoder that has all packets below 512 but `missing`.
fn decoder(check: Option<CheckKey>, missing: &[u64]) -> Decoder<Frame> {
    let config = DecoderConfig { window: 1024, max_frame: 16, check, engine: Engine::detect() };
    let mut decoder = Decoder::new(&config);
    (0..512).filter(|seq| !missing.contains(seq)).for_each(|seq| keep(&mut decoder, seq));
    decoder
}

fn keep(decoder: &mut Decoder<Frame>, seq: u64) {
    assert_eq!(decoder.admit(seq), Admission::New);
    let refuse = |rebuilt: maelstrom::fec::Rebuilt<'_>| panic!("{} was rebuilt", rebuilt.seq);
    decoder.keep(seq, key().check(seq, &frame(seq)), frame(seq), refuse);
}

#[test]
fn a_shifted_base_is_refused_for_odd_and_even_numbers_of_members() {
    for count in 1..=20u16 {
        for stride in [1, 2, 7, 20] {
            for lacks in [0, count / 2, count - 1] {
                let missing = 101 + u64::from(lacks) * u64::from(stride);
                let mut decoder = decoder(Some(key()), &[missing]);
                let mut deliver = |rebuilt: maelstrom::fec::Rebuilt<'_>| -> Option<Frame> {
                    panic!("{} was rebuilt from {count} wrong packets", rebuilt.seq)
                };
                let fate = decoder.repair(repair(100, 101, stride, count), &mut deliver);
                assert_eq!(fate, RepairFate::Refused);
                assert_eq!(decoder.refused(), 1);
                // The right repair is still of use.
                let fate = decoder.repair(repair(101, 101, stride, count), |rebuilt| {
                    assert_eq!((rebuilt.seq, rebuilt.frame), (missing, &*frame(missing)));
                    Some(frame(missing))
                });
                assert_eq!(fate, RepairFate::Used);
            }
        }
    }
}

/// The same when the repair had to wait for another packet before it could be used.
#[test]
fn a_shifted_base_is_refused_after_waiting_too() {
    for count in 2..=20u16 {
        let (late, missing) = (101, 101 + 7);
        let mut decoder = decoder(Some(key()), &[late, missing]);
        let fate = decoder.repair(repair(100, 101, 7, count), |_| -> Option<Frame> { None });
        assert_eq!(fate, RepairFate::Waiting);
        keep(&mut decoder, late);
        assert_eq!(decoder.refused(), 1);
        assert_eq!(decoder.admit(missing), Admission::New, "it is still missing");
    }
}

/// The trap is real: nothing but the check stands between a shifted base and the LAN, and a CRC
/// would let it through, since what is summed up is an odd number of frames, always.
#[test]
fn without_a_check_and_with_a_crc_a_shifted_base_passes() {
    for count in 1..=20u16 {
        let mut wrong = None;
        let fate = decoder(None, &[101]).repair(repair(100, 101, 7, count), |rebuilt| {
            wrong = Some(rebuilt.frame.to_vec());
            Some(frame(101))
        });
        assert_eq!(fate, RepairFate::Used);
        let wrong = wrong.expect("a frame");
        assert_ne!(wrong, *frame(101));
        let summed = (0..u64::from(count))
            .flat_map(|k| [100 + k * 7, 101 + k * 7])
            .filter(|&seq| seq != 101)
            .fold(0, |sum, seq| sum ^ crc32(&frame(seq)));
        assert_eq!(crc32(&wrong), summed);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
