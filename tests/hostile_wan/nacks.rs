//! Retransmission through the rooms: two gateways, each with both rooms, in virtual time, over a link with
//! delay and loss in both directions.

use std::collections::{HashMap, VecDeque};

use maelstrom::gateway::{Blueprint, Retransmission, Room, Side};
use maelstrom::lab::loss::{LossModel, LossProcess};
use maelstrom::wire::control::{Sender, Type, emit};
use maelstrom::wire::nack::{Missing, NUMBERS, Nack};
use maelstrom::wire::seal::{Mode, Opening, Sealing, SessionKey};

use crate::harness::{EAST, EPOCH, Far, Near, SHIM, WEST, blueprint, frames};

const MS: u64 = 1_000_000;
/// One way.
const DELAY: u64 = 5 * MS;

fn with_nacks(side: Side, buffer: usize) -> Blueprint {
    let mut blueprint = Blueprint {
        code: "8:5+g1".parse().unwrap(),
        retransmission: Some(Retransmission { buffer, round_trip: 2 * DELAY }),
        ..blueprint(side)
    };
    blueprint.timing.latency = 4 * MS;
    blueprint
}

struct Gateway {
    near: Near,
    far: Far,
}

impl Gateway {
    fn new(blueprint: &Blueprint) -> Gateway {
        let (mut near, mut far) = (Near::of(blueprint, EPOCH), Far::of(blueprint));
        blueprint.retransmit([&mut near.room], [&mut far.room]);
        Gateway { near, far }
    }

    fn next_deadline(&self) -> Option<u64> {
        let deadlines = [self.near.room.next_deadline(), self.far.room.next_deadline()];
        deadlines.into_iter().flatten().min()
    }
}

struct Pair {
    gateways: [Gateway; 2],
    loss: [LossProcess; 2],
    /// What flies from west and from east, and when it arrives.
    flying: [VecDeque<(u64, Vec<u8>)>; 2],
    /// When what was delivered in the east.
    delivered: Vec<(u64, Vec<u8>)>,
    now: u64,
}

impl Pair {
    fn new(west: &Blueprint, loss: [&str; 2], seed: u64) -> Pair {
        let east = Blueprint { side: Side::East, ..west.clone() };
        let gateways = [west, &east].map(Gateway::new);
        let models = loss.map(|loss| loss.parse::<LossModel>().unwrap());
        let loss = [0, 1].map(|way| LossProcess::new(&models[way], seed, way as u8));
        let flying = [VecDeque::new(), VecDeque::new()];
        Pair { gateways, loss, flying, delivered: Vec::new(), now: 0 }
    }

    fn turn(&mut self) {
        loop {
            let mut work = 0;
            for (n, Gateway { near, far }) in self.gateways.iter_mut().enumerate() {
                let arriving = &mut self.flying[1 - n];
                while arriving.front().is_some_and(|(at, _)| *at <= self.now) {
                    far.wan.bring(arriving.pop_front().map(|(_, packet)| packet));
                }
                work += near.room.poll(self.now) + far.room.poll(self.now);
                for packet in near.wan.take_sent() {
                    if !self.loss[n].lost() {
                        self.flying[n].push_back((self.now + DELAY, packet));
                    }
                }
            }
            let out = self.gateways[1].far.lan.take_sent();
            self.delivered.extend(out.into_iter().map(|frame| (self.now, frame)));
            if work == 0 {
                return;
            }
        }
    }

    fn next_event(&self) -> Option<u64> {
        let arrivals = self.flying.iter().filter_map(|flying| flying.front().map(|(at, _)| *at));
        let deadlines = self.gateways.iter().filter_map(Gateway::next_deadline);
        arrivals.chain(deadlines).min()
    }

    /// West's LAN brings these, so far apart, then nothing until all is quiet.
    fn send(&mut self, frames: &[Vec<u8>], apart: u64) {
        for frame in frames {
            self.run_until(self.now + apart);
            self.gateways[0].near.lan.bring([frame.clone()]);
            self.turn();
        }
        while let Some(next) = self.next_event() {
            self.now = next.max(self.now + 1);
            self.turn();
        }
    }

    fn run_until(&mut self, end: u64) {
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = next.max(self.now + 1);
            self.turn();
        }
        self.now = self.now.max(end);
    }

    fn sender(&self, name: &str) -> u64 {
        self.gateways[0].near.count(name)
    }

    fn receiver(&self, name: &str) -> u64 {
        self.gateways[1].far.count(name)
    }

    /// How many of `frames` did not come; those that did came once.
    fn missing(&self, frames: &[Vec<u8>]) -> usize {
        let mut count: HashMap<&[u8], usize> = HashMap::new();
        self.delivered.iter().for_each(|(_, frame)| *count.entry(frame).or_default() += 1);
        assert!(count.values().all(|count| *count == 1), "a frame came twice");
        assert_eq!(count.len(), self.delivered.len());
        frames.iter().filter(|frame| !count.contains_key(&frame[..])).count()
    }

    /// The longest that a frame took.
    fn slowest(&self, frames: &[Vec<u8>], apart: u64) -> u64 {
        let sent: HashMap<&[u8], u64> = frames
            .iter()
            .enumerate()
            .map(|(n, frame)| (&frame[..], (n as u64 + 1) * apart))
            .collect();
        let took = self.delivered.iter().map(|(at, frame)| at - sent[&frame[..]]);
        took.max().unwrap_or(0)
    }
}

#[test]
fn what_a_weak_code_leaves_comes_again_in_time_and_once() {
    for seed in 1..=6 {
        let (all, apart) = (frames(seed, 4000), 20_000);
        let without = Blueprint { retransmission: None, ..with_nacks(Side::West, 0) };
        let mut pair = Pair::new(&without, ["iid:0.05", "iid:0.05"], seed);
        pair.send(&all, apart);
        let left = pair.missing(&all);
        assert!(left > 30, "seed {seed}: the code left {left} only");

        let blueprint = with_nacks(Side::West, 4 << 20);
        let mut pair = Pair::new(&blueprint, ["iid:0.05", "iid:0.05"], seed);
        pair.send(&all, apart);
        let missing = pair.missing(&all);
        // Each time it takes a nack and an answer, so that a tenth of the holes is asked for again, and a
        // hundredth of them is not filled then. What was sent last nobody knows of.
        let unknown = all.len() - pair.gateways[0].near.count("source_sent") as usize;
        assert!(missing <= 3 + left / 20 + unknown, "seed {seed}: {missing} of {left} are missing");
        let (given_up, answered) = (pair.receiver("given_up"), pair.receiver("answered"));
        assert!(missing as u64 >= given_up, "seed {seed}: {given_up} given up");
        assert!(answered > 30 && pair.receiver("asked_again") > 0, "seed {seed}: {answered}");
        assert!(pair.sender("retransmitted") >= answered);
        let bound = blueprint.given_up_after().unwrap() + 2 * DELAY;
        let slowest = pair.slowest(&all, apart);
        assert!(slowest < bound, "seed {seed}: {slowest} of {bound}");
        assert_eq!(pair.gateways[0].far.refusals(), []);
        assert_eq!(pair.gateways[1].far.refusals(), []);
    }
}

/// More than half a window, so that numbers jump.
#[test]
fn an_outage_is_filled_as_far_as_the_share_goes() {
    let (all, apart) = (frames(7, 20_000), 20_000);
    let run = |loss: &str| {
        let mut pair = Pair::new(&with_nacks(Side::West, 16 << 20), [loss, "none"], 1);
        pair.send(&all, apart);
        (pair.missing(&all), pair.receiver("given_up"), pair.sender("retransmitted"))
    };
    let (missing, given_up, again) = run("burst:14000,900");
    assert_eq!((missing, given_up), (0, 0), "{again} sent again");
    assert!(again > 700);
    let (missing, given_up, again) = run("burst:14000,6000");
    // Some come after they were given up.
    assert!((missing as u64..=missing as u64 + 100).contains(&given_up), "{missing}, {given_up}");
    assert!(again > 1000 && missing > 1000, "{again} sent again, {missing} missing");
}

#[test]
fn a_buffer_that_is_too_small_has_holes_given_up() {
    let (all, apart) = (frames(8, 4000), 20_000);
    let blueprint = with_nacks(Side::West, 64 << 10);
    let mut pair = Pair::new(&blueprint, ["iid:0.05", "none"], 3);
    pair.send(&all, apart);
    let missing = pair.missing(&all) as u64;
    assert!(missing > 30, "{missing}");
    assert!(pair.sender("nack_too_old") >= 2 * missing - 4);
    assert!((missing - 2..=missing).contains(&pair.receiver("given_up")), "{missing}");
    // But for the last ones, after which nothing was sent that took their place.
    assert!(pair.sender("retransmitted") <= 4);
}

#[test]
fn keys_confirm_nacks_and_what_is_sent_again() {
    let (all, apart) = (frames(9, 3000), 20_000);
    for mode in [Mode::Tag, Mode::Seal] {
        let blueprint = Blueprint { keys: Some(mode), ..with_nacks(Side::West, 4 << 20) };
        let mut pair = Pair::new(&blueprint, ["iid:0.05", "iid:0.05"], 4);
        for (n, channel) in [WEST, EAST].into_iter().enumerate() {
            let session = SessionKey::new([n as u8 + 1; 32]);
            let max = blueprint.max_protected();
            pair.gateways[n].near.room.set_keys(Sealing::new(&session, mode, channel));
            let opening = Opening::new(&session, mode, channel, EPOCH, max);
            pair.gateways[1 - n].far.room.set_keys(EPOCH, opening);
        }
        pair.send(&all, apart);
        let missing = pair.missing(&all);
        assert!(missing <= 4, "{mode:?}: {missing}");
        assert!(pair.receiver("answered") > 30, "{mode:?}");
        assert_eq!(pair.gateways[0].far.refusals(), [], "{mode:?}");
        // One without a tag is nobody's.
        let far = &mut pair.gateways[0].far;
        far.wan.bring([nack(EAST, EPOCH, 1, &asks(WEST, EPOCH, &[(0, 1)]))]);
        far.room.poll(pair.now);
        assert_eq!(far.refusals(), [("bad_integrity", 1)], "{mode:?}");
    }
}

#[test]
fn frames_wait_behind_a_hole_and_come_in_order() {
    let (all, apart) = (frames(10, 3000), 20_000);
    let of = |resequence| Blueprint { resequence, ..with_nacks(Side::West, 4 << 20) };
    let reordered = |pair: &Pair| {
        let place: HashMap<&[u8], usize> =
            all.iter().enumerate().map(|(n, frame)| (&frame[..], n)).collect();
        let order: Vec<usize> = pair.delivered.iter().map(|(_, frame)| place[&frame[..]]).collect();
        order.windows(2).filter(|pair| pair[0] > pair[1]).count()
    };
    let run = |resequence| {
        let mut pair = Pair::new(&of(resequence), ["iid:0.05", "none"], 5);
        pair.send(&all, apart);
        assert_eq!(pair.gateways[1].far.count("held"), 0);
        assert!(pair.missing(&all) <= 2);
        pair
    };
    let without = run(0);
    assert!(reordered(&without) > 50);
    assert_eq!(without.receiver("hole_skipped"), 0);
    // Long enough for everything.
    let long = run(100 * MS);
    let late = reordered(&long);
    assert!(late == 0, "{late} out of order, {} skipped", long.receiver("hole_skipped"));
    // Too short for a round trip: what a repair brings back is in order, and nobody waits longer.
    let short = run(3 * MS);
    assert!(short.receiver("hole_skipped") > 0);
    assert!(reordered(&short) < reordered(&without));
    let on_time = |pair: &Pair, n: usize| {
        let at = pair.delivered.iter().find(|(_, frame)| *frame == all[n]).map(|(at, _)| *at);
        at.is_none_or(|at| at <= (n as u64 + 1) * apart + DELAY + 3 * MS + 100_000)
    };
    let came_at_once = |n: &usize| {
        on_time(&without, *n) && {
            let at = without.delivered.iter().find(|(_, frame)| *frame == all[*n]);
            at.is_some_and(|(at, _)| *at == (*n as u64 + 1) * apart + DELAY)
        }
    };
    let slow = (0..all.len()).filter(came_at_once).filter(|n| !on_time(&short, *n)).count();
    assert_eq!(slow, 0);
}

/// The fields of a nack.
fn asks(channel: u8, epoch: u32, runs: &[(u64, u16)]) -> Vec<u8> {
    let runs = runs.iter().map(|&(first, count)| Missing { first, count }).collect();
    Nack { channel, epoch, runs }.emit().to_vec()
}

/// A control packet with a right check.
fn nack(channel: u8, epoch: u32, number: u64, fields: &[u8]) -> Vec<u8> {
    let packet = emit(Sender { channel, epoch }, NUMBERS + number, Type::Nack, fields).unwrap();
    let mut bytes = [&[0xFF; 6][..], &[2; 6], &[0x88, 0xB5]].concat();
    bytes.extend(packet.bytes());
    bytes
}

#[test]
fn hostile_nacks_cost_nothing_and_are_counted() {
    let all = frames(11, 200);
    let mut pair = Pair::new(&with_nacks(Side::West, 4 << 20), ["none", "none"], 1);
    pair.send(&all, 20_000);
    let good = asks(WEST, EPOCH, &[(10, 2)]);
    let cut = &good[..good.len() - 1];
    let Pair { gateways: [west, _], now, .. } = &mut pair;
    let mut hear = |packet: Vec<u8>| {
        west.far.wan.bring([packet]);
        west.far.room.poll(*now);
        while west.near.room.poll(*now) > 0 {}
        let sent = west.near.wan.take_sent().len();
        let count = |name| (west.far.count(name), west.near.count(name));
        (sent, count("nack_refused"), west.near.count("nack_too_old"))
    };
    assert_eq!(hear(nack(EAST, EPOCH, 0, &good)), (2, (0, 0), 0));
    // Twice, malformed, of a channel that is not ours, and an old epoch of the peer.
    assert_eq!(hear(nack(EAST, EPOCH, 0, &good)), (0, (1, 0), 0));
    assert_eq!(hear(nack(EAST, EPOCH, 1, cut)), (0, (2, 0), 0));
    assert_eq!(hear(nack(EAST, EPOCH, 2, &asks(5, EPOCH, &[(10, 2)]))), (0, (3, 0), 0));
    assert_eq!(hear(nack(EAST, EPOCH - 1, 3, &good)), (0, (4, 0), 0));
    // An epoch of ours that was, and one that will be; what was never sent, and as much as a nack can say.
    assert_eq!(hear(nack(EAST, EPOCH, 4, &asks(WEST, EPOCH - 1, &[(10, 2)]))), (0, (4, 1), 0));
    assert_eq!(hear(nack(EAST, EPOCH, 5, &asks(WEST, EPOCH + 1, &[(10, 2)]))), (0, (4, 2), 0));
    let ranges: Vec<(u64, u16)> = (0..100).map(|n| (70_000 * n, 65_535)).collect();
    assert_eq!(hear(nack(EAST, EPOCH, 6, &asks(WEST, EPOCH, &ranges))), (0, (4, 102), 0));
    // A bad check is not even looked at.
    let mut bad = nack(EAST, EPOCH, 7, &good);
    bad[SHIM + 30] ^= 1;
    assert_eq!(hear(bad), (0, (4, 102), 0));
    // Whoever repeats good ones gets no more than the share.
    let sent: usize = (10..200)
        .map(|number| hear(nack(EAST, EPOCH, number, &asks(WEST, EPOCH, &[(0, 200)]))).0)
        .sum();
    let bytes = pair.sender("retransmitted_bytes");
    let allowed = (64 << 10) + pair.sender("source_sent_bytes") / 5;
    assert!(sent > 50 && bytes <= allowed, "{sent} packets, {bytes} of {allowed} bytes");
    assert_eq!(pair.gateways[0].far.lan.take_sent(), [[0u8; 0]; 0]);
    pair.now += 100 * MS;
    pair.send(&frames(12, 100), 20_000);
    assert_eq!(pair.missing(&all), 0);
    assert!(pair.sender("retransmit_shed") > 0);
    // Without retransmission they are refused, and control does not see them.
    let mut far = Far::of(&blueprint(Side::West));
    far.feed(&[nack(EAST, EPOCH, 0, &good)]);
    assert_eq!(far.refusals(), [("nack_refused", 1)]);
    assert_eq!(far.count("control_unheard"), 0);
}

/// What control says goes on being heard under keys, whatever nacks come.
#[test]
fn keyed_control_is_heard_behind_a_nack() {
    use maelstrom::wire::control::emit_sealed;
    let mode = Mode::Seal;
    let blueprint = Blueprint { keys: Some(mode), ..with_nacks(Side::West, 4 << 20) };
    let mut west = Gateway::new(&blueprint);
    let session = SessionKey::new([2; 32]);
    let sealing = Sealing::new(&session, mode, EAST);
    let max = blueprint.max_protected();
    west.far.room.set_keys(EPOCH, Opening::new(&session, mode, EAST, EPOCH, max));
    let sender = Sender { channel: EAST, epoch: EPOCH };
    let mut say = |number, kind, fields: &[u8]| {
        let packet = emit_sealed(sender, number, kind, fields, &sealing.control).unwrap();
        let mut bytes = [&[0xFF; 6][..], &[2; 6], &[0x88, 0xB5]].concat();
        bytes.extend(packet.bytes());
        west.far.wan.bring([bytes]);
        west.far.room.poll(1000);
        ["control_unheard", "control_heard", "nack_heard", "replayed"]
            .map(|name| west.far.count(name))
    };
    assert_eq!(say(5, Type::Hello, &[1, 2, 3]), [1, 0, 0, 0]);
    assert_eq!(say(NUMBERS, Type::Nack, &asks(WEST, EPOCH, &[(0, 1)])), [1, 0, 1, 0]);
    assert_eq!(say(6, Type::Hello, &[1, 2, 3]), [2, 0, 1, 0]);
    // Either kind comes once.
    assert_eq!(say(6, Type::Hello, &[1, 2, 3]), [2, 0, 1, 1]);
    assert_eq!(say(NUMBERS, Type::Nack, &asks(WEST, EPOCH, &[(0, 1)])), [2, 0, 1, 2]);
}
