//! The fast decoder against the oracle.

use std::collections::BTreeSet;

use maelstrom::fec::Members;
use proptest::prelude::*;

use crate::channel::{How, Packet, Random, Receiver, Sender, code, frame_of};
use crate::oracle::recoverable;
use crate::scenario::any_scenario;

/// Everything that was delivered; panics if something came twice or wrong.
fn deliver_all(
    receiver: &mut Receiver,
    bursts: &[Vec<Packet>],
    mut memory: impl FnMut() -> bool,
) -> BTreeSet<u64> {
    let mut delivered = BTreeSet::new();
    for burst in bursts {
        receiver.burst(burst.iter().cloned(), |seq, frame, how| {
            assert_eq!(frame, &*frame_of(seq), "frame {seq}, {how:?}");
            if how == How::Rebuilt && !memory() {
                return false;
            }
            assert!(delivered.insert(seq), "{seq} was delivered before and now {how:?}");
            true
        });
    }
    delivered
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1500, ..Default::default() })]

    #[test]
    fn recovers_exactly_what_the_oracle_does(scenario in any_scenario()) {
        let sent = scenario.sent();
        let bursts = scenario.received(&sent);
        let mut receiver = Receiver::new(16_384);
        let delivered = deliver_all(&mut receiver, &bursts, || true);
        prop_assert_eq!(delivered, recoverable(bursts.iter().flatten()));
        prop_assert_eq!(receiver.decoder.refused(), 0);
        prop_assert_eq!(receiver.decoder.evicted(), 0);
    }

    /// With windows smaller than the code's span, and without memory now and then.
    #[test]
    fn is_never_wrong_in_a_tiny_window(scenario in any_scenario(), memory in 0.5f64..=1.0) {
        let sent = scenario.sent();
        // No gap as large as half a window, which would be a jump: those are not for here.
        let sent: Vec<Packet> = sent.into_iter().take(2000).collect();
        let mut scenario = scenario;
        scenario.loss = scenario.loss.min(0.3);
        scenario.displace = scenario.displace.min(3);
        let bursts = scenario.received(&sent);
        let mut random = Random::new(scenario.seed);
        let mut receiver = Receiver::new(64);
        let delivered = deliver_all(&mut receiver, &bursts, || random.hit(memory));
        let possible = recoverable(bursts.iter().flatten());
        prop_assert!(delivered.is_subset(&possible));
    }
}

/// Two members of a waiting repair come in one burst: keeping the first must not rebuild the
/// second, which the burst has delivered already.
#[test]
fn what_a_burst_brings_is_not_rebuilt_too() {
    let mut sender = Sender::new(&code("4:1"));
    let mut wire = Vec::new();
    sender.send(4, &mut wire);
    let repair = wire.pop().expect("a repair");
    let bursts = [vec![wire[0].clone(), wire[3].clone(), repair], wire[1..3].to_vec()];
    let delivered = deliver_all(&mut Receiver::new(64), &bursts, || true);
    assert_eq!(delivered, BTreeSet::from([0, 1, 2, 3]));
}

/// A decoder that comes late to a stream takes what it sees and asks for nothing older.
#[test]
fn starts_in_the_middle_of_a_stream() {
    let mut sender = Sender::new(&code("8:5,7+g1"));
    let mut wire = Vec::new();
    sender.send(5000, &mut wire);
    sender.flush(&mut wire);
    let is_late = |packet: &Packet| match packet {
        Packet::Source { seq, .. } => *seq >= 3000 && seq % 40 != 7,
        Packet::Repair(repair) => repair.content.members.last() >= 3000,
    };
    let late = vec![wire.into_iter().filter(is_late).collect::<Vec<_>>()];
    let mut receiver = Receiver::new(4096);
    let delivered = deliver_all(&mut receiver, &late, || true);
    assert!((3000..5000).all(|seq| delivered.contains(&seq)));
}

/// A stream that jumps ahead goes on there, and repairs of what was delivered before bring
/// nothing twice.
#[test]
fn a_jump_loses_what_lies_between_and_nothing_else() {
    let mut sender = Sender::new(&code("8:5,7+g1"));
    let mut wire = Vec::new();
    sender.send(4000, &mut wire);
    sender.flush(&mut wire);
    let mut delivered = BTreeSet::new();
    let mut receiver = Receiver::new(512);
    let mut jumped = false;
    for packet in wire {
        let (first, last) = match &packet {
            Packet::Source { seq, .. } => (*seq, *seq),
            Packet::Repair(repair) => {
                let members: &Members = &repair.content.members;
                (members.first(), members.last())
            }
        };
        if (1000..3000).contains(&last) || last % 16 == 5 && first == last {
            continue;
        }
        if first >= 3000 && !jumped {
            receiver.decoder.jump_to(first);
            jumped = true;
        } else if last >= 3000 && !jumped {
            continue;
        }
        receiver.burst([packet], |seq, frame, _| {
            assert_eq!(frame, &*frame_of(seq));
            delivered.insert(seq)
        });
    }
    assert!(jumped);
    // Behind the jump too, single losses are rebuilt; the first groups lost members to it.
    assert!((0..900).chain(3100..4000).all(|seq| delivered.contains(&seq)));
}
