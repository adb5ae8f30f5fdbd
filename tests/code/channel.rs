//! A channel without a network: the real encoder's packets in the order of their emission, and the
//! real decoder fed by its burst contract.

use arrayvec::ArrayVec;
use maelstrom::fec::decoder::{Admission, RepairFate, RepairIn};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{CheckKey, Code, Decoder, DecoderConfig, Encoder, EncoderConfig, Timing};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// The longest frame of these tests. Short ones keep millions of packets fast.
pub const MAX_FRAME: usize = 16;
/// Room for all the further runs that a repair may have.
pub const ROOM: usize = MAX_FRAME + 32 * 6;

/// A frame, or the XOR of some.
pub type Frame = ArrayVec<u8, MAX_FRAME>;

/// A repair packet, copied out of the encoder.
#[derive(Debug)]
pub struct Repair {
    pub layer: u8,
    pub code_id: u8,
    pub flushed: bool,
    pub content: RepairIn<Frame>,
}

impl Clone for Repair {
    fn clone(&self) -> Repair {
        let RepairIn { ref members, lengths, checks, ref payload, layer } = self.content;
        let (members, payload) = (members.clone(), payload.clone());
        let content = RepairIn { members, lengths, checks, payload, layer };
        Repair { content, ..*self }
    }
}

/// What goes over the wire.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "as on a wire, most packets are sources")]
pub enum Packet {
    Source { seq: u64, check: u64, frame: Frame },
    Repair(Repair),
}

pub fn key() -> CheckKey {
    CheckKey::new(0, 3, 7)
}

pub fn code(text: &str) -> Code {
    text.parse().expect("a code")
}

/// The frame with number `seq`: 1 to 16 bytes that no other frame has.
pub fn frame_of(seq: u64) -> Frame {
    let word = mix(seq);
    let mut frame = Frame::new();
    frame.extend(word.to_le_bytes());
    frame.extend(mix(word).to_le_bytes());
    frame.truncate(1 + (word >> 60) as usize);
    frame
}

/// SplitMix64's finaliser.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Seeded randomness for whatever proptest need not shrink.
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    pub fn hit(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// In 0..1.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The sending end.
pub struct Sender {
    pub encoder: Encoder,
}

impl Sender {
    /// Without a code for sparse traffic, and in no danger of idling while the clock stands still.
    pub fn new(code: &Code) -> Sender {
        Sender::with(code, None, Timing::new(code))
    }

    pub fn with(code: &Code, sparse: Option<Code>, timing: Timing) -> Sender {
        let config = EncoderConfig {
            code: code.clone(),
            sparse,
            timing,
            max_frame: MAX_FRAME,
            repair_room: ROOM,
            engine: Engine::detect(),
        };
        Sender { encoder: Encoder::new(&config) }
    }

    /// Sends the next frame at `now`, without taking repairs.
    pub fn push(&mut self, now: u64, wire: &mut Vec<Packet>) -> u64 {
        let seq = self.encoder.next_seq();
        let frame = frame_of(seq);
        let check = key().check(seq, &frame);
        assert_eq!(self.encoder.push(now, check, &frame), Some(seq));
        wire.push(Packet::Source { seq, check, frame });
        seq
    }

    /// Takes the repairs that are due.
    pub fn take(&mut self, wire: &mut Vec<Packet>) {
        while let Some(repair) = self.encoder.take_repair() {
            wire.push(Packet::Repair(Repair {
                layer: repair.layer,
                code_id: repair.code_id,
                flushed: repair.flushed,
                content: RepairIn {
                    members: repair.members.clone(),
                    lengths: repair.lengths,
                    checks: repair.checks,
                    payload: repair.bytes.iter().copied().collect(),
                    layer: repair.layer,
                },
            }));
        }
    }

    /// Sends `count` frames, repairs taken after each.
    pub fn send(&mut self, count: u64, wire: &mut Vec<Packet>) {
        for _ in 0..count {
            self.push(0, wire);
            self.take(wire);
        }
    }

    /// Closes everything.
    pub fn flush(&mut self, wire: &mut Vec<Packet>) {
        self.encoder.flush();
        self.take(wire);
    }
}

/// How a frame came to its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Arrived,
    Rebuilt,
}

/// The receiving end.
pub struct Receiver {
    pub decoder: Decoder<Frame>,
    /// What the burst at hand has brought: sources that were admitted, and repairs.
    admitted: Vec<(u64, u64, Frame)>,
    repairs: Vec<RepairIn<Frame>>,
}

impl Receiver {
    pub fn new(window: usize) -> Receiver {
        let config = DecoderConfig {
            window,
            max_frame: MAX_FRAME,
            check: Some(key()),
            engine: Engine::detect(),
        };
        let decoder = Decoder::new(&config);
        Receiver { decoder, admitted: Vec::new(), repairs: Vec::new() }
    }

    /// Takes a burst. `deliver` gets what goes to the LAN, and says whether there was memory for
    /// it, which counts for rebuilt frames only.
    pub fn burst(
        &mut self,
        burst: impl IntoIterator<Item = Packet>,
        mut deliver: impl FnMut(u64, &[u8], How) -> bool,
    ) {
        for packet in burst {
            match packet {
                Packet::Source { seq, check, frame } => match self.decoder.admit(seq) {
                    Admission::New => {
                        deliver(seq, &frame, How::Arrived);
                        self.admitted.push((seq, check, frame));
                    }
                    Admission::Jump => panic!("{seq} is too far ahead for these tests"),
                    Admission::Duplicate | Admission::TooOld => {}
                },
                Packet::Repair(repair) => self.repairs.push(repair.content),
            }
        }
        let mut hold = |rebuilt: maelstrom::fec::Rebuilt<'_>| {
            deliver(rebuilt.seq, rebuilt.frame, How::Rebuilt)
                .then(|| rebuilt.frame.iter().copied().collect())
        };
        for (seq, check, frame) in self.admitted.drain(..) {
            // As short frames are, and as long ones are.
            if seq % 2 == 0 {
                self.decoder.keep_copy(seq, check, &frame, &mut hold);
            } else {
                self.decoder.keep(seq, check, frame, &mut hold);
            }
        }
        for repair in self.repairs.drain(..) {
            let fate = self.decoder.repair(repair, &mut hold);
            assert_ne!(fate, RepairFate::Refused);
            assert_ne!(fate, RepairFate::Jump);
        }
        self.decoder.take_departed().for_each(drop);
    }
}
