//! Reports, and codes that follow them, through rooms and their stewards, in virtual time over a link that
//! loses packets.

use std::collections::HashSet;

use maelstrom::fec::Code;
use maelstrom::gateway::coding::Promised;
use maelstrom::gateway::flows::{UNKNOWN_LINK, Worth};
use maelstrom::gateway::{Blueprint, Coding, LinkSettings, Readers, Room, Side, Steward};
use maelstrom::link::PeerDown;
use maelstrom::link::adapt::Policy;
use maelstrom::safety::link::Loss;
use maelstrom::wire::repair::{RepairHeader, repair_key};
use maelstrom::wire::shim::{Kind, Shim};

use crate::common::Random;
use crate::harness::{EPOCH, Far, Near, SHIM, WEST, blueprint, frames};

const MS: u64 = 1_000_000;

/// Who notes what is published.
#[derive(Default)]
struct Notes {
    published: Vec<(String, Worth)>,
    marks: usize,
}

impl Readers for Notes {
    fn publish(&mut self, code: &Code, worth: &Worth) {
        self.published.push((code.to_string(), *worth));
    }

    fn mark(&mut self) {
        self.marks += 1;
    }

    fn is_settled(&mut self) -> bool {
        self.marks > 0
    }
}

struct Gateway {
    near: Near,
    far: Far,
    steward: Steward,
    coding: Coding,
    notes: Notes,
}

impl Gateway {
    fn new(blueprint: &Blueprint, policy: Option<Policy>) -> Gateway {
        let (mut near, mut far) = (Near::of(blueprint, EPOCH), Far::of(blueprint));
        let settings = LinkSettings { hello: 100 * MS, peer_down: PeerDown::Protect };
        let mut steward = blueprint.steward(&settings, EPOCH, [2; 6], [0xFF; 6]);
        steward.take_on_protect(&mut near.room);
        steward.take_on_recover(&mut far.room);
        let promised = Promised { floor: None, exit: 0 };
        let coding = Coding::new(blueprint.clone(), policy, Some(promised));
        Gateway { near, far, steward, coding, notes: Notes::default() }
    }

    /// As `maelstrom run` does it, but that what is done aside takes no time.
    fn step(&mut self, now: u64) {
        let Gateway { steward, coding, notes, .. } = self;
        steward.step(now);
        steward.direct();
        coding.step(now, steward, notes);
        if let Some(question) = coding.take_question(now) {
            coding.answered(now, Some(question.answer()));
        }
        if let Some(build) = coding.take_build(steward) {
            coding.built(build.run(), notes);
        }
    }
}

/// West sends to east; the way there loses, the way back does not.
struct Pair {
    gateways: [Gateway; 2],
    random: Random,
    /// A packet of so many is lost, in runs of this length.
    loses: Option<(u64, u32)>,
    losing: u32,
    /// Source packets that were lost, and repairs of each source packet that were sent.
    lost: HashSet<u64>,
    repairs: Vec<u32>,
    now: u64,
}

impl Pair {
    fn new(blueprint: impl Fn(Side) -> Blueprint, policy: Option<Policy>) -> Pair {
        let gateways = [Side::West, Side::East].map(|side| {
            let policy = policy.clone().filter(|_| side == Side::West);
            Gateway::new(&blueprint(side), policy)
        });
        Pair {
            gateways,
            random: Random(7),
            loses: None,
            losing: 0,
            lost: HashSet::new(),
            repairs: Vec::new(),
            now: 0,
        }
    }

    /// So many frames a millisecond.
    fn run(&mut self, ms: u64, frames: &[Vec<u8>]) {
        for _ in 0..ms {
            self.now += MS;
            self.gateways[0].near.lan.bring(frames.iter().cloned());
            for gateway in &mut self.gateways {
                if self.now.is_multiple_of(10 * MS) {
                    gateway.step(self.now);
                }
                while gateway.near.room.poll(self.now) > 0 {}
                while gateway.far.room.poll(self.now) > 0 {}
                gateway.far.lan.take_sent();
            }
            let [east, west] = [0, 1].map(|n| self.gateways[n].near.wan.take_sent());
            let arrives: Vec<Vec<u8>> = east.into_iter().filter(|p| !self.loses(p)).collect();
            self.gateways[1].far.wan.bring(arrives);
            self.gateways[0].far.wan.bring(west);
        }
    }

    fn loses(&mut self, packet: &[u8]) -> bool {
        let (shim, rest) = Shim::parse(&packet[SHIM..]).unwrap();
        if shim.kind == Kind::Repair {
            let key = repair_key(WEST, EPOCH);
            let (header, _) = RepairHeader::parse(&shim, rest, Some(key)).unwrap();
            for seq in header.members.iter() {
                if self.repairs.len() <= seq as usize {
                    self.repairs.resize(seq as usize + 1, 0);
                }
                self.repairs[seq as usize] += 1;
            }
        }
        if self.losing == 0
            && let Some((one_in, run)) = self.loses
            && self.random.below(one_in) == 0
        {
            self.losing = run;
        }
        let lost = self.losing > 0;
        self.losing = self.losing.saturating_sub(1);
        if lost && shim.kind == Kind::Source {
            self.lost.insert(shim.seq);
        }
        lost
    }

    fn west(&self) -> &Gateway {
        &self.gateways[0]
    }
}

#[test]
fn what_is_reported_is_what_the_link_did() {
    let mut pair = Pair::new(blueprint, None);
    let burst = frames(1, 10);
    pair.run(300, &[]);
    pair.run(500, &burst);
    pair.loses = Some((100, 3));
    pair.run(1000, &burst);
    pair.loses = None;
    pair.run(1500, &burst);
    let accounts = pair.west().steward.supervisor().accounts();
    let account = accounts.ours().next().expect("a report");
    let (before, after) = (account.to.before, account.to.after);
    // Both ends count by the same numbers.
    assert_eq!(account.numbered, Some(29_990));
    assert!(before.next > 26_000 && before.next <= 30_000, "{before:?}");
    assert_eq!((before.judged, before.skipped), (before.next, 0));
    let lost = pair.lost.iter().filter(|&&seq| seq < before.next).count() as u64;
    assert!(lost > 200);
    assert_eq!(before.lost, lost);
    let mut runs: Vec<u64> = pair.lost.iter().copied().collect();
    runs.sort_unstable();
    let runs = runs.chunk_by(|a, b| a + 1 == *b).count() as u64;
    assert_eq!(before.bursts, runs);
    let rebuilt: u32 = account.to.recovered.iter().sum();
    assert_eq!(u64::from(rebuilt) + after.missing, lost);
    // The way back has no traffic, and nothing to report.
    assert_eq!(pair.west().steward.supervisor().accounts().theirs().count(), 0);
    let east = pair.gateways[1].steward.supervisor();
    let there = east.accounts().theirs().next().expect("what was counted");
    assert!(there.to.before.next >= before.next);
    assert_eq!(pair.west().steward.supervisor().tally().unknown, 0);
    assert_eq!(pair.gateways[1].far.refusals(), []);
}

#[test]
fn reports_come_at_once_when_something_is_missing() {
    let mut pair = Pair::new(blueprint, None);
    let burst = frames(2, 10);
    pair.run(3000, &burst);
    let reports = |pair: &Pair| pair.gateways[1].steward.supervisor().tally().sent;
    let before = reports(&pair);
    pair.run(2000, &burst);
    let calm = reports(&pair) - before;
    // 20 hellos and 2 reports.
    assert!((21..=23).contains(&calm), "{calm}");
    pair.loses = Some((20, 30));
    let before = reports(&pair);
    pair.run(2000, &burst);
    let busy = reports(&pair) - before;
    assert!((30..=41).contains(&busy), "{busy}");
}

/// With room for codes that a few thousand packets a second fill in time.
fn adaptive(side: Side) -> Blueprint {
    Blueprint { largest: Some("8:31,37,41,43,47+g1".parse().unwrap()), ..blueprint(side) }
}

fn policy() -> Policy {
    Policy {
        residual: 1e-4,
        latency_ns: 50 * MS,
        overhead_limit: 1.5,
        floor: "16:5,7+g1".parse().unwrap(),
        largest: "8:31,37,41,43,47+g1".parse().unwrap(),
        quiet_ns: 1000 * MS,
        gain: 0.1,
    }
}

#[test]
fn codes_follow_the_link_up_and_down_and_no_packet_is_without_repairs() {
    let floor: Code = policy().floor;
    let base = |side| Blueprint { code: floor.clone(), ..adaptive(side) };
    let mut pair = Pair::new(base, Some(policy()));
    let burst = frames(3, 10);
    pair.run(300, &[]);
    pair.run(2000, &burst);
    assert_eq!(pair.west().coding.code(), &floor);
    let calm = pair.west().coding.promised().expect("enough was measured");
    assert!(calm.rate() < 2e-3, "{calm:?}");

    pair.loses = Some((150, 3));
    let bad_from = pair.west().near.count("source_sent");
    pair.run(4000, &burst);
    let strong = pair.west().coding.code().clone();
    let (changes, reason) = pair.west().coding.changes();
    let reason = reason.unwrap().to_owned();
    assert!(changes >= 1 && strong.overhead() > floor.overhead(), "{strong}: {reason}");
    assert!(reason.starts_with("code 16:5,7+g1 -> ") || changes > 1, "{reason}");
    let bad = pair.west().coding.promised().unwrap();
    assert!(bad.rate() > 0.02 && bad.rate() > calm.rate(), "{bad:?}");
    let strong_from = pair.west().near.count("source_sent");
    pair.run(1000, &burst);
    let strong_to = pair.west().near.count("source_sent");
    assert_eq!(pair.west().coding.code(), &strong, "steady by now");

    pair.loses = None;
    pair.run(12_000, &burst);
    assert_eq!(pair.west().coding.code(), &floor, "{:?}", pair.west().coding.changes());
    assert!(!pair.west().coding.is_changing());
    pair.run(300, &[]);

    // Every packet has as many repairs as the weakest code gives, and more while that was not enough.
    let repairs = |from: u64, to: u64| {
        *pair.repairs[from as usize..to as usize].iter().min().unwrap() as usize
    };
    let all = pair.west().near.count("source_sent");
    assert_eq!(pair.repairs.len() as u64, all);
    assert!(repairs(0, all) >= 2 && bad_from > 0);
    assert!(repairs(strong_from, strong_to) >= strong.layers().len());
    assert_eq!(pair.gateways[1].far.refusals(), []);

    // Readers heard of each code before rooms did, and of no level alone that both codes share.
    let published = &pair.west().notes.published;
    let named: Vec<&str> = published.iter().map(|(code, _)| code.as_str()).collect();
    assert!(named.contains(&strong.to_string().as_str()), "{named:?}");
    assert_eq!(named.last(), Some(&floor.to_string().as_str()));
    assert!(pair.west().notes.marks >= 1);
    let last = published.last().unwrap().1;
    assert!(last[0][1] < last[0][0], "one code alone: {last:?}");
    let first = published.iter().find(|(code, _)| *code != floor.to_string()).unwrap();
    assert_eq!(first.1[0][0], first.1[0][1], "two repairs may be of two codes: {first:?}");
}

#[test]
fn operators_choose_what_there_is_room_for() {
    let mut pair = Pair::new(adaptive, None);
    let burst = frames(4, 10);
    pair.run(500, &burst);
    let order = |pair: &mut Pair, code: &str| {
        let Gateway { coding, steward, .. } = &mut pair.gateways[0];
        coding.order(pair.now, &code.parse().unwrap(), steward)
    };
    for (code, expected) in [
        ("8:311,313+g1", "packets, and this gateway has room for"),
        ("4:5,7,9,11,13,17,19+g1", "layers, and this gateway has room for 6"),
    ] {
        let refused = order(&mut pair, code).expect_err(code);
        assert!(refused.contains(expected) && refused.lines().count() == 1, "{refused}");
    }
    assert!(!pair.west().coding.is_changing());
    assert!(order(&mut pair, "4:5,7+g1").unwrap().contains("in force already"));
    for code in ["8:11,13,17+g1", "16:5,7+g1", "4:5,7+g1"] {
        assert!(order(&mut pair, code).unwrap().contains("from now on"));
        pair.run(1500, &burst);
        assert!(!pair.west().coding.is_changing());
        assert_eq!(pair.west().coding.code().to_string(), code);
    }
    // Two at once: the second waits for the first.
    order(&mut pair, "8:11,13,17+g1").unwrap();
    pair.run(10, &burst);
    order(&mut pair, "16:5,7+g1").unwrap();
    pair.run(1500, &burst);
    assert_eq!(pair.west().coding.code().to_string(), "16:5,7+g1");
    assert_eq!(pair.west().coding.changes().0, 5);
    pair.run(200, &[]);
    assert!(*pair.repairs.iter().min().unwrap() >= 2);
    assert_eq!(pair.repairs.len() as u64, pair.west().near.count("source_sent"));

    // The far end must hold the span, too.
    let small = |side| match side {
        Side::West => adaptive(side),
        Side::East => Blueprint { window: Some(128), ..blueprint(side) },
    };
    let mut pair = Pair::new(small, None);
    pair.run(500, &[]);
    let refused = order(&mut pair, "8:31,37+g1").unwrap_err();
    assert!(refused.contains("the peer's window holds 128"), "{refused}");
    // With code.auto nobody else chooses.
    let mut pair = Pair::new(adaptive, Some(policy()));
    let refused = order(&mut pair, "8:11,13+g1").unwrap_err();
    assert!(refused.contains("code.auto chooses"), "{refused}");
}

#[test]
fn without_a_measured_link_nothing_is_promised() {
    let pair = Pair::new(blueprint, None);
    assert_eq!(pair.west().coding.promised(), None::<Loss>);
    let mut pair = Pair::new(blueprint, None);
    pair.run(1000, &[]);
    assert!(pair.west().notes.published.is_empty());
    pair.run(3000, &frames(5, 10));
    let (_, worth) = pair.west().notes.published.last().expect("a promise");
    assert_ne!(worth, &UNKNOWN_LINK);
    // Waits end at each, so there are few.
    assert!(pair.west().notes.published.len() <= 4, "{:?}", pair.west().notes.published.len());
}
