//! Changes of the code in mid-stream: no packet loses its protection.

use std::collections::{BTreeMap, BTreeSet};

use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, Codes, DecoderConfig, EncoderConfig, SPARSE_ID, Timing};
use proptest::prelude::*;

use crate::channel::{How, MAX_FRAME, Packet, ROOM, Random, Receiver, Sender, code, frame_of};
use crate::naive::assert_is_xor;
use crate::oracle::recoverable;
use crate::scenario::any_code;

const US: u64 = 1000;

/// A stream with changes of the code.
#[derive(Clone, Debug)]
struct Stream {
    codes: Vec<Code>,
    packets: u64,
    /// How often the code is changed, a packet.
    change: f64,
    /// How often the traffic pauses, a packet.
    pause: f64,
    /// The mean gap between packets.
    gap: u64,
    sparse: bool,
    loss: f64,
    seed: u64,
}

fn any_stream() -> impl Strategy<Value = Stream> {
    let change = prop_oneof![0.001..0.02, 0.02..0.3];
    let pause = prop_oneof![Just(0.0), 0.0..0.02];
    let gap = prop_oneof![Just(US), Just(20 * US), Just(200 * US)];
    let codes = prop::collection::vec(any_code(), 2..5);
    (codes, 1u64..2000, change, pause, gap, any::<bool>(), 0.0..0.3, any::<u64>()).prop_map(
        |(codes, packets, change, pause, gap, sparse, loss, seed)| Stream {
            codes,
            packets,
            change,
            pause,
            gap,
            sparse,
            loss,
            seed,
        },
    )
}

/// What was sent, and what each packet has a right to.
struct Sent {
    wire: Vec<Packet>,
    /// The layers of the code that was in force, and its generation, packet by packet.
    in_force: Vec<(usize, u8)>,
    changes: usize,
    refused: usize,
    shed: u64,
}

impl Stream {
    fn config(&self, code: &Code) -> EncoderConfig {
        EncoderConfig {
            code: code.clone(),
            sparse: self.sparse.then(|| code.short()),
            timing: Timing { latency: 5_000 * US, ..Timing::new(code) },
            max_frame: MAX_FRAME,
            repair_room: ROOM,
            engine: Engine::detect(),
        }
    }

    fn sent(&self) -> Sent {
        let mut random = Random::new(self.seed);
        let first = self.config(&self.codes[0]);
        let mut sender = Sender::with(&first.code, first.sparse, first.timing);
        let mut sent =
            Sent { wire: Vec::new(), in_force: Vec::new(), changes: 0, refused: 0, shed: 0 };
        let (mut now, mut layers) = (0, self.codes[0].layers().len());
        for n in 1..=self.packets {
            if random.hit(self.change) {
                let code = &self.codes[random.below(self.codes.len() as u64) as usize];
                match sender.encoder.switch(Box::new(Codes::new(&self.config(code)))) {
                    Ok(()) => {
                        layers = code.layers().len();
                        sent.changes += 1;
                    }
                    Err(_) => sent.refused += 1,
                }
            }
            now += random.below(2 * self.gap);
            if random.hit(self.pause) {
                now += random.below(20_000 * US);
            }
            sender.encoder.poll(now);
            sender.take(&mut sent.wire);
            drop(sender.encoder.take_retired());
            sender.push(now, &mut sent.wire);
            sent.in_force.push((layers, (sent.changes % 128) as u8));
            if random.below(32) == 0 || n % 32 == 0 {
                sender.take(&mut sent.wire);
            }
        }
        sender.flush(&mut sent.wire);
        assert!(sender.encoder.take_retired().is_some() || !sender.encoder.is_changing());
        sent.shed = sender.encoder.shed();
        sent
    }
}

fn repairs(wire: &[Packet]) -> impl Iterator<Item = &crate::channel::Repair> {
    wire.iter().filter_map(|packet| match packet {
        Packet::Repair(repair) => Some(repair),
        Packet::Source { .. } => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Every packet is in one group of each layer of the code that was in force when it was sent, and
    /// in no group twice; what other codes still had open may hold it too.
    #[test]
    fn every_packet_has_the_repairs_of_its_code(stream in any_stream()) {
        let sent = stream.sent();
        prop_assert_eq!(sent.shed, 0);
        let mut layers_of: Vec<BTreeMap<u8, BTreeSet<u8>>> = vec![BTreeMap::new(); sent.in_force.len()];
        for repair in repairs(&sent.wire) {
            assert_is_xor(repair);
            for seq in repair.content.members.iter() {
                let of_code = layers_of[seq as usize].entry(repair.code_id).or_default();
                prop_assert!(of_code.insert(repair.layer), "{seq} is twice in {}", repair.code_id);
            }
        }
        for (seq, (of, &(layers, generation))) in layers_of.iter().zip(&sent.in_force).enumerate() {
            let all = |sparse| of.get(&(generation << 1 | sparse)).is_some_and(|has| has.len() == layers);
            prop_assert!(all(0) || all(SPARSE_ID), "packet {seq} of generation {generation}: {of:?}");
            let later = of.keys().any(|&id| (id >> 1).wrapping_sub(generation) & 0x7F == 1);
            prop_assert!(!later, "packet {seq} is in a group of a later code");
        }
    }

    /// What comes out is what the slow decoder finds, whatever codes the repairs are of.
    #[test]
    fn what_is_lost_comes_back_as_ever(stream in any_stream()) {
        let sent = stream.sent();
        let mut random = Random::new(!stream.seed);
        let received: Vec<Packet> =
            sent.wire.iter().filter(|_| !random.hit(stream.loss)).cloned().collect();
        let expected = recoverable(&received);
        let mut receiver = Receiver::new(DecoderConfig::window_for(4 * stream.packets));
        let mut delivered = BTreeSet::new();
        for burst in received.chunks(32) {
            receiver.burst(burst.iter().cloned(), |seq, frame, how| {
                assert!(frame == &frame_of(seq)[..] && delivered.insert(seq), "{seq} {how:?}");
                matches!(how, How::Arrived | How::Rebuilt)
            });
        }
        prop_assert_eq!(delivered, expected);
    }
}

/// In dense traffic old groups are filled, not cut: no repair of a change is a flush, and the old
/// code is handed back after a span.
#[test]
fn old_groups_are_filled_to_their_end() {
    let codes = [code("20:19,23,29+g1"), code("8:31,37+g1")];
    let stream = Stream {
        codes: codes.to_vec(),
        packets: 0,
        change: 0.0,
        pause: 0.0,
        gap: US,
        sparse: false,
        loss: 0.0,
        seed: 1,
    };
    let mut sender = Sender::new(&codes[0]);
    let mut wire = Vec::new();
    for change in 1..=300 {
        sender.send(1000 + change, &mut wire);
        let last = repairs(&wire).last().map(|repair| repair.code_id >> 1);
        assert_eq!(last, Some(((change - 1) % 128) as u8));
        let next = stream.config(&codes[change as usize % 2]);
        assert!(sender.encoder.switch(Box::new(Codes::new(&next))).is_ok());
        assert!(sender.encoder.switch(Box::new(Codes::new(&next))).is_err(), "one at a time");
        assert!(sender.encoder.take_retired().is_none());
        let span = codes[(change as usize + 1) % 2].span();
        sender.send(span + 1, &mut wire);
        assert!(sender.encoder.take_retired().is_some() && !sender.encoder.is_changing());
        assert!(repairs(&wire).all(|repair| !repair.flushed));
        wire.clear();
    }
    let long = EncoderConfig { max_frame: MAX_FRAME - 1, ..stream.config(&codes[0]) };
    assert!(
        sender.encoder.switch(Box::new(Codes::new(&long))).is_err(),
        "too short for our frames"
    );
}
