//! The decoder against the model, and against what was sent.

use std::collections::{BTreeMap, BTreeSet};

use maelstrom::fec::named::NameKey;
use proptest::prelude::*;

use crate::channel::{Packet, Random, Receiver, Sender, code, frame_of, key};
use crate::model::Model;

/// What a circuit does.
#[derive(Clone, Debug)]
struct Circuit {
    seed: u64,
    loss: f64,
    /// Frames and repairs that come twice.
    doubled: f64,
    /// By how many packets some are displaced at most.
    displaced: usize,
    /// Frames that repeat one of the last few.
    repeats: f64,
    frames: u64,
    code: &'static str,
}

fn circuits() -> impl Strategy<Value = Circuit> {
    let codes = ["4:1", "2:3", "4:5,7+g1", "8:1,3", "3:2,5,7+g1", "1:4,9+g1"];
    let rates = (0.0..0.4f64, 0.0..0.1f64, 0usize..12, 0.0..0.6f64);
    (any::<u64>(), rates, 1u64..160, 0..codes.len()).prop_map(
        move |(seed, (loss, doubled, displaced, repeats), frames, n)| {
            // Half of the circuits keep the order.
            let (code, displaced) = (codes[n], displaced.saturating_sub(5));
            Circuit { seed, loss, doubled, displaced, repeats, frames, code }
        },
    )
}

impl Circuit {
    /// The frames that are sent, and what arrives.
    fn run(&self, key: NameKey) -> (Vec<Vec<u8>>, Vec<Packet>) {
        let mut random = Random(self.seed);
        let mut sender = Sender { key, ..Sender::new(&code(self.code)) };
        let mut sent: Vec<Vec<u8>> = Vec::new();
        let mut wire = Vec::new();
        for n in 0..self.frames {
            let back = 1 + random.below(20) as usize;
            let frame = match sent.len().checked_sub(back).filter(|_| random.hit(self.repeats)) {
                Some(at) => sent[at].clone(),
                None => frame_of(self.seed.wrapping_add(n)),
            };
            sender.send(&frame, &mut wire);
            sent.push(frame);
            if random.hit(0.02) {
                sender.flush(&mut wire);
            }
        }
        sender.flush(&mut wire);
        let mut arriving = Vec::new();
        for (n, packet) in wire.into_iter().enumerate() {
            if random.hit(self.loss) {
                continue;
            }
            for _ in 0..1 + usize::from(random.hit(self.doubled)) {
                let late = random.below(self.displaced as u64 + 1) as usize;
                arriving.push((n + late, packet.clone()));
            }
        }
        arriving.sort_by_key(|(at, _)| *at);
        (sent, arriving.into_iter().map(|(_, packet)| packet).collect())
    }
}

fn count(frames: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    frames.into_iter().for_each(|frame| *counts.entry(frame).or_default() += 1);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// Whatever is lost, displaced, doubled or repeats, the same comes out of the decoder as of its
    /// definition, at the same time.
    #[test]
    fn the_decoder_is_what_the_model_says(circuit in circuits(), burst in 1usize..32) {
        let (sent, arriving) = circuit.run(key());
        let mut receiver = Receiver::new(1024, key());
        let mut model = Model::new(key());
        let known: BTreeSet<Vec<u8>> = sent.into_iter().collect();
        // Half of them packet by packet.
        let burst = if burst < 16 { 1 } else { burst };
        for (n, packets) in arriving.chunks(burst).enumerate() {
            let out = receiver.burst(packets);
            prop_assert!(out.iter().all(|(frame, _)| known.contains(frame)));
            let out = count(out.into_iter().map(|(frame, _)| frame));
            prop_assert_eq!(out, count(model.burst(packets)), "burst {} of {}", n, burst);
        }
        prop_assert_eq!(receiver.suppressed, model.suppressed);
        prop_assert_eq!(receiver.decoder.refused(), 0);
    }

    /// Names of a few bits: frames that differ are taken for each other. What comes out is still what
    /// went in, and of no name more than was sent, if the circuit keeps the order.
    #[test]
    fn frames_of_one_name_do_no_harm(circuit in circuits(), bits in 1u32..12) {
        let circuit = Circuit { doubled: 0.0, displaced: 0, ..circuit };
        let key = key().truncated(bits);
        let (sent, arriving) = circuit.run(key);
        let mut receiver = Receiver::new(1024, key);
        let out: Vec<Vec<u8>> = receiver.all(&arriving).into_iter().map(|(frame, _)| frame).collect();
        let names = |frames: &[Vec<u8>]| {
            let mut counts = BTreeMap::<u64, usize>::new();
            frames.iter().for_each(|frame| *counts.entry(key.name(frame).name).or_default() += 1);
            counts
        };
        let (came, were) = (names(&out), names(&sent));
        let known: BTreeSet<Vec<u8>> = sent.into_iter().collect();
        prop_assert!(out.iter().all(|frame| known.contains(frame)), "a frame that nobody sent");
        for (name, count) in came {
            prop_assert!(count <= were[&name], "{} of {} with name {}", count, were[&name], name);
        }
    }

    /// Long streams through a small window: nothing comes out more often than it was sent, as long as
    /// the circuit doubles nothing, nor displaces what repeats.
    #[test]
    fn nothing_comes_out_more_often_than_it_went_in(circuit in circuits(), times in 1u64..12) {
        let repeats = if circuit.displaced > 0 { 0.0 } else { circuit.repeats };
        let circuit = Circuit { doubled: 0.0, repeats, frames: circuit.frames * times, ..circuit };
        let (sent, arriving) = circuit.run(key());
        let mut receiver = Receiver::new(256, key());
        let out = count(receiver.all(&arriving).into_iter().map(|(frame, _)| frame));
        let sent = count(sent);
        for (frame, count) in out {
            prop_assert!(count <= sent.get(&frame).copied().unwrap_or(0));
        }
    }
}
