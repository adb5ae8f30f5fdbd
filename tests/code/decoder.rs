//! The fast decoder against the oracle.

use std::collections::BTreeSet;
use std::rc::{Rc, Weak};

use maelstrom::fec::decoder::{Admission, RepairIn};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Decoder, DecoderConfig, Run};
use proptest::prelude::*;

use crate::channel::{
    How, MAX_FRAME, Packet, Random, Receiver, Repair, Sender, code, frame_of, key,
};
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
        // Nothing was corrupt: what is refused was summed up from the wrong packets.
        prop_assert_eq!(receiver.decoder.refused(), 0);
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

/// A stream that jumps ahead goes on there, and what was delivered before it is not delivered
/// again, though the window reaches back that far.
#[test]
fn a_jump_loses_what_lies_between_and_nothing_else() {
    let mut sender = Sender::new(&code("8:5,7+g1"));
    let mut wire = Vec::new();
    sender.send(4000, &mut wire);
    let mut delivered = BTreeSet::new();
    let mut receiver = Receiver::new(2048);
    let mut deliver = |seq, frame: &[u8], _| {
        assert_eq!(frame, &*frame_of(seq));
        assert!(delivered.insert(seq), "{seq} was delivered before");
        true
    };
    let reach = |packet: &Packet| match packet {
        Packet::Source { seq, .. } => (*seq, *seq),
        Packet::Repair(Repair { content, .. }) => (content.members.first(), content.members.last()),
    };
    let is_lost = |packet: &Packet| matches!(packet, Packet::Source { seq, .. } if seq % 16 == 5);
    let (before, behind): (Vec<_>, Vec<_>) = wire
        .into_iter()
        .filter(|packet| !is_lost(packet) && !(1000..2500).contains(&reach(packet).1))
        .partition(|packet| reach(packet).1 < 1000);
    let last = before[before.len() - 50..].to_vec();
    receiver.burst(before, &mut deliver);
    assert_eq!(receiver.decoder.admit(2500), Admission::Jump);
    receiver.decoder.jump_to(2500);
    receiver.burst(last, &mut deliver);
    receiver.burst(behind, &mut deliver);
    // The first groups behind the jump lost members to it, and the last ones are not complete.
    assert!((0..900).chain(2600..3900).all(|seq| delivered.contains(&seq)));
}

/// A jump may be confirmed late, when the stream has passed where it was said to go: the window never
/// goes back to what it has forgotten.
#[test]
fn a_jump_never_goes_back() {
    let mut sender = Sender::new(&code("2:1"));
    let mut wire = Vec::new();
    sender.send(300, &mut wire);
    let mut receiver = Receiver::new(64);
    let mut delivered = BTreeSet::new();
    let mut deliver = |seq, _: &[u8], _| delivered.insert(seq);
    receiver.burst(wire.clone(), &mut deliver);
    let count = delivered.len();
    assert!(count > 200);
    receiver.decoder.jump_to(10);
    let mut twice = 0;
    receiver.burst(wire, |seq, _: &[u8], _| {
        twice += u32::from(!delivered.insert(seq));
        true
    });
    assert_eq!(twice, 0);
}

/// A repair may be put away unread if all its members were delivered, and not otherwise.
#[test]
fn knows_which_repairs_are_redundant() {
    let mut random = Random::new(5);
    let mut sender = Sender::new(&code("8:5,7,9+g1"));
    let mut receiver = Receiver::new(1024);
    let mut delivered = BTreeSet::new();
    let mut wire = Vec::new();
    let mut seen = [0; 2];
    sender.send(5000, &mut wire);
    for packet in wire {
        if let Packet::Repair(Repair { content, .. }) = &packet {
            let members = &content.members;
            let run = members.runs().next().unwrap();
            let all = members.iter().all(|seq| delivered.contains(&seq));
            assert_eq!(receiver.decoder.has_all(run, members.stride()), all, "{members:?}");
            seen[usize::from(all)] += 1;
        }
        if !random.hit(0.05) {
            receiver.burst([packet], |seq, _, _| delivered.insert(seq));
        }
    }
    assert!(seen[0] > 100 && seen[1] > 100, "{seen:?}");
    let head = receiver.decoder.head();
    for (base, stride, count) in [(head, 1, 1), (head - 10, 5, 4), (0, 1, 1), (head - 1, 1, 0)] {
        assert!(!receiver.decoder.has_all(Run { base, count }, stride), "{base} {stride} {count}");
    }
}

/// What can't be repaired any more is let go: behind a bad stretch, the decoder holds the packets
/// of its window and no repairs.
#[test]
fn holds_no_more_than_its_window_once_losses_have_passed() {
    let mut random = Random::new(1);
    let config = DecoderConfig {
        window: 1024,
        max_frame: MAX_FRAME,
        check: Some(key()),
        engine: Engine::detect(),
    };
    let mut decoder = Decoder::<Rc<[u8]>>::new(&config);
    let mut sender = Sender::new(&code("8:5,7,9+g1"));
    let mut held: Vec<Weak<[u8]>> = Vec::new();
    let mut wire = Vec::new();
    for n in 0..9000 {
        sender.send(1, &mut wire);
        for packet in wire.drain(..) {
            if n < 3000 && random.hit(0.4) {
                continue;
            }
            let mut hold = |bytes: &[u8]| {
                let bytes: Rc<[u8]> = bytes.into();
                held.push(Rc::downgrade(&bytes));
                bytes
            };
            match packet {
                Packet::Source { seq, check, frame } => {
                    assert_eq!(decoder.admit(seq), Admission::New);
                    let frame = hold(&frame);
                    decoder.keep(seq, check, frame, |rebuilt| Some(hold(rebuilt.frame)));
                }
                Packet::Repair(repair) => {
                    let RepairIn { members, lengths, checks, payload, layer } = repair.content;
                    let payload = hold(&payload);
                    let repair = RepairIn { members, lengths, checks, payload, layer };
                    decoder.repair(repair, |rebuilt| Some(hold(rebuilt.frame)));
                }
            }
        }
        if n % 500 == 0 {
            held.retain(|frame| frame.strong_count() > 0);
            assert!(held.len() <= config.packets_held());
        }
    }
    decoder.take_departed().for_each(drop);
    held.retain(|frame| frame.strong_count() > 0);
    assert_eq!(held.len(), 1024);
}

/// A repair that made way for a newer one leaves no trace in it.
#[test]
fn what_an_evicted_repair_waited_for_says_nothing_about_its_successor() {
    let mut sender = Sender::new(&code("2:1"));
    let mut wire = Vec::new();
    sender.send(4, &mut wire);
    let [zero, _, first, two, _, second] = &wire[..] else { panic!("{wire:?}") };
    // The smallest window has room for 32 repairs.
    let mut bursts = vec![vec![first.clone()]];
    bursts.extend(vec![vec![second.clone()]; 32]);
    bursts.extend([vec![zero.clone()], vec![two.clone()]]);
    let mut receiver = Receiver::new(64);
    let delivered = deliver_all(&mut receiver, &bursts, || true);
    assert_eq!(delivered, BTreeSet::from([0, 2, 3]));
    assert_eq!((receiver.decoder.evicted(), receiver.decoder.refused()), (1, 0));
}
