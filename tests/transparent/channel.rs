//! A circuit without a network: the real encoder's packets in the order of their emission, and the real
//! decoder fed by its burst contract.

use maelstrom::fec::decoder::RepairFate;
use maelstrom::fec::named::image::{EXTRA, write_image};
use maelstrom::fec::named::{NameKey, NamedConfig, NamedDecoder, NamedRepair};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, Encoder, EncoderConfig, Members, Timing};

/// The longest frame of these tests.
pub const MAX_FRAME: usize = 80;

/// Random numbers (splitmix64) that a seed replays.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn hit(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}

pub fn code(text: &str) -> Code {
    text.parse().expect("a code")
}

pub fn key() -> NameKey {
    NameKey::new(3, 7)
}

/// Frame number `n`: 14 to 80 bytes that no other frame has, among them IP packets with and without a
/// tag.
pub fn frame_of(n: u64) -> Vec<u8> {
    let mut random = Random(n);
    let len = 14 + random.below(67) as usize;
    let mut frame: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
    let front: &[u8] = match random.below(4) {
        0 => &[8, 0, 0x45],
        1 => &[0x86, 0xDD, 0x60],
        2 => &[0x81, 0, 0, 9, 8, 0, 0x45],
        _ => &[8, 6, 0],
    };
    // Short ones are told apart by their addresses alone: not by routers.
    let end = (12 + front.len()).min(len);
    frame[12..end].copy_from_slice(&front[..end - 12]);
    if len < 40 {
        frame.extend(n.to_le_bytes());
    }
    frame
}

/// A repair as it crosses.
#[derive(Clone, Debug)]
pub struct Repair {
    pub next: u64,
    pub members: Members,
    pub names: Vec<[u8; 8]>,
    pub lengths: u16,
    pub checks: u64,
    pub xor: Vec<u8>,
}

/// What goes over the wire.
#[derive(Clone, Debug)]
pub enum Packet {
    Frame(Vec<u8>),
    Repair(Repair),
}

/// The sending end.
pub struct Sender {
    pub encoder: Encoder,
    pub key: NameKey,
    pub names: Vec<u64>,
    pub now: u64,
}

impl Sender {
    pub fn new(code: &Code) -> Sender {
        let config = EncoderConfig {
            code: code.clone(),
            sparse: None,
            timing: Timing::new(code),
            max_frame: MAX_FRAME + EXTRA,
            repair_room: MAX_FRAME + EXTRA + 66,
            engine: Engine::detect(),
        };
        Sender { encoder: Encoder::new(&config), key: key(), names: Vec::new(), now: 0 }
    }

    /// Sends a frame, and the repairs that are due then.
    pub fn send(&mut self, frame: &[u8], wire: &mut Vec<Packet>) {
        let mut image = [0; MAX_FRAME + EXTRA];
        let len = write_image(frame, &mut image).unwrap();
        let name = self.key.name(frame);
        self.encoder.push(self.now, name.check, &image[..len]).unwrap();
        self.names.push(name.name);
        wire.push(Packet::Frame(frame.to_vec()));
        self.take(wire);
    }

    /// The traffic pauses: what is open is closed.
    pub fn flush(&mut self, wire: &mut Vec<Packet>) {
        self.encoder.flush();
        self.take(wire);
    }

    fn take(&mut self, wire: &mut Vec<Packet>) {
        let next = self.encoder.next_seq();
        while let Some(repair) = self.encoder.take_repair() {
            let names = repair.members.iter().map(|n| self.names[n as usize].to_be_bytes());
            wire.push(Packet::Repair(Repair {
                next,
                members: repair.members.clone(),
                names: names.collect(),
                lengths: repair.lengths,
                checks: repair.checks,
                xor: repair.bytes.to_vec(),
            }));
        }
    }
}

/// The receiving end.
pub struct Receiver {
    pub decoder: NamedDecoder<Vec<u8>>,
    pub suppressed: u64,
    pub fates: Vec<RepairFate>,
}

pub fn config(window: usize) -> NamedConfig {
    NamedConfig { window, max_frame: MAX_FRAME, routed: false, engine: Engine::detect() }
}

impl Receiver {
    pub fn new(window: usize, key: NameKey) -> Receiver {
        Receiver::of(&config(window), key)
    }

    pub fn of(config: &NamedConfig, key: NameKey) -> Receiver {
        Receiver { decoder: NamedDecoder::new(config, key), suppressed: 0, fates: Vec::new() }
    }

    /// Takes a burst; what comes out, and whether it was rebuilt.
    pub fn burst(&mut self, packets: &[Packet]) -> Vec<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        let mut kept = Vec::new();
        for packet in packets {
            let Packet::Frame(frame) = packet else { continue };
            match self.decoder.admit(frame) {
                None => self.suppressed += 1,
                Some(place) => {
                    out.push((frame.clone(), false));
                    kept.push((place, frame));
                }
            }
        }
        for (place, frame) in kept {
            match frame.len() % 2 {
                0 => self.decoder.keep(place, frame.clone()),
                _ => self.decoder.keep_copy(place, frame),
            }
        }
        let mut deliver = |frame: &[u8]| {
            out.push((frame.to_vec(), true));
            Some(frame.to_vec())
        };
        self.decoder.settle(|rebuilt| deliver(rebuilt.frame));
        for packet in packets {
            let Packet::Repair(repair) = packet else { continue };
            let fate = self.decoder.repair(&repair.named(), |rebuilt| deliver(rebuilt.frame));
            self.fates.push(fate);
        }
        self.decoder.take_departed().for_each(drop);
        out
    }

    /// The same, one packet a burst.
    pub fn all(&mut self, packets: &[Packet]) -> Vec<(Vec<u8>, bool)> {
        packets.chunks(1).flat_map(|packet| self.burst(packet)).collect()
    }
}

impl Repair {
    pub fn named(&self) -> NamedRepair<'_> {
        let Repair { next, members, names, lengths, checks, xor } = self;
        let (next, lengths, checks) = (*next, *lengths, *checks);
        NamedRepair { next, members, names, lengths, checks, xor, layer: 0 }
    }
}
