//! Repairs that the encoder builds as packets come.

use arrayvec::ArrayVec;
use maelstrom::dpdk::{BURST, Kept, Mbuf, kept};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, Encoder, EncoderConfig, SHORT, Timing, copy_short};

use super::Emit;

/// The encoder, and the frames of a burst, as in `protect`.
pub(super) struct Incremental {
    encoder: Encoder,
    copies: [[u8; SHORT]; BURST],
    sent: ArrayVec<Sent, BURST>,
    checks: ArrayVec<u64, BURST>,
}

enum Sent {
    Copied(usize),
    Kept(Kept),
}

impl Incremental {
    pub(super) fn new(code: &Code, size: usize) -> Incremental {
        Incremental {
            encoder: new_encoder(code, size),
            copies: [[0; SHORT]; BURST],
            sent: ArrayVec::new(),
            checks: ArrayVec::new(),
        }
    }

    #[inline]
    pub(super) fn remember(&mut self, check: u64, mbuf: &Mbuf) {
        let data = mbuf.data();
        let sent = if data.len() <= SHORT {
            Sent::Copied(copy_short(data, &mut self.copies[self.sent.len()]).into())
        } else {
            Sent::Kept(mbuf.keep())
        };
        self.checks.push(check);
        self.sent.push(sent);
    }

    pub(super) fn encode(&mut self, now: u64, emit: &mut Emit<'_>) {
        let frames = self.sent.iter().zip(&self.copies).map(|(sent, copy)| match sent {
            Sent::Copied(len) => &copy[..*len],
            Sent::Kept(kept) => kept.data(),
        });
        let frames: ArrayVec<&[u8], BURST> = frames.collect();
        self.encoder.push_batch(now, &frames, &self.checks);
        drop(frames);
        self.checks.clear();
        kept::release(self.sent.drain(..).filter_map(|sent| match sent {
            Sent::Copied(_) => None,
            Sent::Kept(kept) => Some(kept),
        }));
        self.encoder.poll(now);
        while let Some(repair) = self.encoder.take_repair() {
            let bytes = repair.bytes;
            emit(repair.members.first(), &mut |into| into.copy_from_slice(bytes));
        }
    }
}

fn new_encoder(code: &Code, size: usize) -> Encoder {
    Encoder::new(&EncoderConfig {
        code: code.clone(),
        sparse: None,
        timing: Timing::new(code),
        max_frame: size,
        repair_room: size,
        engine: Engine::detect(),
    })
}
