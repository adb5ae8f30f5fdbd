//! Good streams, mutated at random: what comes out was sent, each frame at most once.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::common::Random;
use crate::harness::{EPOCH, Far, Near, frames};

/// What may happen to the packet at hand.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Lose,
    Repeat,
    /// Comes so many packets later.
    Delay(usize),
    /// A bit is flipped somewhere in its beginning, where the headers are, or anywhere.
    FlipHeader(usize),
    Flip(usize),
    Cut(usize),
    Pad(usize),
    /// Its end is that of another packet.
    Splice(usize),
    /// A packet of long ago comes again before it.
    Replay(usize),
    /// A packet of another life of the peer comes before it.
    OtherEpoch(usize),
    Noise(u64),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => Just(Mutation::Lose),
        2 => Just(Mutation::Repeat),
        2 => (1..200usize).prop_map(Mutation::Delay),
        3 => any::<usize>().prop_map(Mutation::FlipHeader),
        2 => any::<usize>().prop_map(Mutation::Flip),
        1 => any::<usize>().prop_map(Mutation::Cut),
        1 => (1..60usize).prop_map(Mutation::Pad),
        1 => any::<usize>().prop_map(Mutation::Splice),
        1 => any::<usize>().prop_map(Mutation::Replay),
        1 => any::<usize>().prop_map(Mutation::OtherEpoch),
        1 => any::<u64>().prop_map(Mutation::Noise),
    ]
}

fn mutate(good: &[Vec<u8>], others: &[Vec<u8>], mutations: &[(usize, Mutation)]) -> Vec<Vec<u8>> {
    // Each packet with its place; what is put in has a place in between.
    let mut wire: Vec<(usize, Vec<u8>)> = Vec::new();
    for (n, packet) in good.iter().enumerate() {
        let mut packet = packet.clone();
        let (mut place, mut copies) = (2 * n, 1);
        for (_, mutation) in mutations.iter().filter(|(at, _)| at % good.len() == n) {
            let end = packet.len();
            match *mutation {
                Mutation::Lose => copies = 0,
                Mutation::Repeat => copies += 1,
                Mutation::Delay(by) => place += 2 * by,
                Mutation::FlipHeader(bit) => packet[bit / 8 % end.min(60)] ^= 1 << (bit % 8),
                Mutation::Flip(bit) => packet[bit / 8 % end] ^= 1 << (bit % 8),
                Mutation::Cut(to) => packet.truncate(1 + to % end),
                Mutation::Pad(by) => packet.resize(end + by, 0),
                Mutation::Splice(other) => {
                    let other = &good[other % good.len()];
                    let at = end.min(other.len()) / 2;
                    packet = [&packet[..at], &other[at..]].concat();
                }
                Mutation::Replay(other) => {
                    wire.push((2 * n - n.min(1), good[other % (n + 1)].clone()))
                }
                Mutation::OtherEpoch(other) => {
                    wire.push((2 * n - n.min(1), others[other % others.len()].clone()));
                }
                Mutation::Noise(seed) => {
                    let mut noise = packet.clone();
                    Random(seed).fill(&mut noise[end / 3..]);
                    wire.push((2 * n + 1, noise));
                }
            }
        }
        wire.extend((0..copies).map(|_| (place, packet.clone())));
    }
    wire.sort_by_key(|(place, _)| *place);
    wire.into_iter().map(|(_, packet)| packet).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        // The same cases on every machine; a failure prints its input.
        rng_seed: RngSeed::Fixed(20),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn only_what_was_sent_comes_out_and_at_most_once(
        seed in any::<u64>(),
        mutations in prop::collection::vec((any::<usize>(), mutation()), 0..400),
    ) {
        let sent = frames(seed, 400);
        let mut near = Near::new(EPOCH);
        let packets = near.send(&sent);
        // An old life's frames are not this stream's: none of them may come out.
        let others = Near::new(EPOCH - 3).send(&frames(seed ^ 1, 50));
        let wire = mutate(&packets, &others, &mutations);
        let mut far = Far::new();
        // Nothing but the first packet ever seen is believed at once: let it be a good one.
        let mut out = far.feed(&packets[..1]);
        out.extend(far.feed(&wire));
        let mut left: Vec<&Vec<u8>> = sent.iter().collect();
        left.sort();
        for frame in &out {
            let Ok(at) = left.binary_search(&frame) else {
                return Err(TestCaseError::fail("a frame that was not sent, or sent once, came out"));
            };
            left.remove(at);
        }
        prop_assert_eq!(far.count("delivered"), out.len() as u64);
        far.works(&mut near);
    }
}
