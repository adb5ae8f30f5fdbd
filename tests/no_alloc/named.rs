//! Frames without shims through the code: with losses, repeats, displaced frames and new epochs.

use arrayvec::ArrayVec;
use maelstrom::fec::named::image::{EXTRA, write_image};
use maelstrom::fec::named::{NameKey, NamedConfig, NamedDecoder, NamedRepair};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, Encoder, EncoderConfig, Timing};
use maelstrom::wire::assembly::Assembly;
use maelstrom::wire::named::{Cut, Message, Part, emit_message, longest_message, message_len};

use crate::counting::{Counts, counted};

const FRAMES: u64 = 300_000;
const MAX_FRAME: usize = 100;

type Frame = ArrayVec<u8, MAX_FRAME>;

struct Path {
    encoder: Encoder,
    key: NameKey,
    names: Box<[u64]>,
    message: Box<[u8]>,
    assembly: Assembly,
    decoder: NamedDecoder<Frame>,
    /// One that others overtake.
    late: Option<Frame>,
    serial: u32,
    sent: u64,
    rebuilt: u64,
}

impl Path {
    fn new() -> Path {
        let code: Code = "8:21,23,25+g1".parse().expect("a code");
        let encoder = EncoderConfig {
            code: code.clone(),
            sparse: Some(code.short()),
            timing: Timing::new(&code),
            max_frame: MAX_FRAME + EXTRA,
            repair_room: MAX_FRAME + EXTRA + 66,
            engine: Engine::detect(),
        };
        let decoder = NamedConfig {
            window: 1024,
            max_frame: MAX_FRAME,
            routed: true,
            engine: Engine::detect(),
        };
        let key = NameKey::new(0, 1);
        Path {
            encoder: Encoder::new(&encoder),
            key,
            names: vec![0; 1024].into(),
            message: vec![0; longest_message(MAX_FRAME + EXTRA)].into(),
            assembly: Assembly::new(longest_message(MAX_FRAME + EXTRA)),
            decoder: NamedDecoder::new(&decoder, key),
            late: None,
            serial: 0,
            sent: 0,
            rebuilt: 0,
        }
    }

    fn turn(&mut self) {
        let n = self.sent;
        let len = 40 + (n % 61) as usize;
        let mut frame: Frame = std::iter::repeat_n(7, len).collect();
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        // Some are the same.
        let tag = if n.is_multiple_of(9) { n % 61 } else { n << 8 };
        frame[len - 8..].copy_from_slice(&tag.to_le_bytes());
        let mut image = [0; MAX_FRAME + EXTRA];
        let len = write_image(&frame, &mut image).expect("room");
        let name = self.key.name(&frame);
        self.names[n as usize % 1024] = name.name;
        self.encoder.push(n * 1000, name.check, &image[..len]);
        self.sent += 1;
        match n % 50 {
            7 => {}
            9 => self.late = Some(frame),
            _ => self.arrive(frame),
        }
        if n.is_multiple_of(77)
            && let Some(late) = self.late.take()
        {
            self.arrive(late);
        }
        if n.is_multiple_of(1000) {
            self.encoder.flush();
        }
        self.repairs();
        if n.is_multiple_of(100_000) {
            self.decoder.restart(self.key);
        }
    }

    fn arrive(&mut self, frame: Frame) {
        if let Some(place) = self.decoder.admit(&frame) {
            self.decoder.keep(place, frame);
        }
        let rebuilt = &mut self.rebuilt;
        self.decoder.settle(|frame| {
            *rebuilt += 1;
            Frame::try_from(frame.frame).ok()
        });
        self.decoder.take_departed().for_each(drop);
    }

    fn repairs(&mut self) {
        let Path { encoder, names, message, assembly, decoder, serial, rebuilt, .. } = self;
        let next = encoder.next_seq();
        while let Some(repair) = encoder.take_repair() {
            let message = &mut message[..message_len(&repair)];
            emit_message(&repair, |number| names[number as usize % 1024], message);
            *serial += 1;
            let cut = Cut::new(message.len(), 150).expect("few parts");
            for part in 0..cut.parts {
                let bytes = &message[cut.range(part)];
                // Some parts are lost.
                if next % 300 == 5 && part == 0 {
                    continue;
                }
                let part = Part { serial: *serial, part, cut };
                let Some(whole) = assembly.take(part, next, bytes) else { continue };
                let Ok(whole) = Message::parse(whole, next) else { continue };
                let Message { ref members, lengths, checks, names, xor, layer, .. } = whole;
                let repair = NamedRepair { next, members, names, lengths, checks, xor, layer };
                decoder.repair(&repair, |frame| {
                    *rebuilt += 1;
                    Frame::try_from(frame.frame).ok()
                });
            }
        }
    }
}

#[test]
fn frames_without_shims_allocate_nothing() {
    let mut path = Path::new();
    (0..20_000).for_each(|_| path.turn());
    let counts = counted(|| (0..FRAMES).for_each(|_| path.turn()));
    assert_eq!(counts, Counts::default());
    assert!(path.rebuilt > FRAMES / 50, "{} rebuilt", path.rebuilt);
    assert!(path.assembly.lost() > 100);
}
