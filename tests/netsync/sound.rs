//! In every run, for many seeds, no watermark that a reader can see is ahead of the truth.

use std::collections::HashMap;

use netsync::{Flow, FlowKey};

use maelstrom::gateway::{Limit, Overload};

use crate::common::Random;
use crate::path::{Bench, Wan, tcp};

/// A storage process's side of a connection.
struct Sender {
    port: u16,
    isn: u32,
    /// Bytes sent so far.
    sent: u32,
    reader: Option<Flow>,
    /// What the reader saw last, by level.
    seen: HashMap<usize, u64>,
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

impl Sender {
    fn new(random: &mut Random, port: u16) -> Sender {
        // Half of them wrap around.
        let isn = match random.below(2) {
            0 => random.next() as u32,
            _ => u32::MAX - random.below(50_000) as u32,
        };
        Sender { port, isn, sent: 0, reader: None, seen: HashMap::new() }
    }

    fn segment(&self, at: u32, flags: u8, len: u32) -> Vec<u8> {
        let seq = self.isn.wrapping_add(1).wrapping_add(at);
        tcp(self.port, 5432, seq, 0, ACK | flags, &vec![9; len as usize])
    }

    /// What it puts on the wire next, in whatever order its LAN makes of it.
    fn frames(&mut self, random: &mut Random, count: u64) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        if self.sent == 0 {
            frames.push(tcp(self.port, 5432, self.isn, 0, SYN, &[]));
        }
        for _ in 0..count {
            let len = 1 + random.below(1400) as u32;
            frames.push(self.segment(self.sent, 0, len));
            self.sent += len;
            if random.below(20) == 0 {
                // Once more, in other pieces.
                let back = (random.below(6000) as u32).min(self.sent);
                frames.push(self.segment(self.sent - back, 0, back.min(1400)));
            }
        }
        if random.below(8) == 0 && frames.len() > 2 {
            let (a, b) = (1 + random.below(frames.len() as u64 - 1), random.below(4));
            let b = (a + b).min(frames.len() as u64 - 1);
            frames.swap(a as usize, b as usize);
        }
        // Now and then a segment never gets as far as the gateway.
        if random.below(60) == 0 && frames.len() > 1 {
            frames.pop();
        }
        frames
    }

    /// Compares what readers are told with the truth; returns how many watermarks were news.
    fn check(&mut self, bench: &Bench) -> u64 {
        let key = FlowKey::v4([10, 1, 0, 1], self.port, [10, 1, 0, 2], 5432);
        let reader = self.reader.get_or_insert_with(|| bench.subscriber.flow_by(key));
        let mut news = 0;
        for level in 0..=3 {
            let seen = if level == 0 { reader.sent() } else { reader.watermark(level) };
            let Ok(seen) = seen else {
                // Another life of the connection.
                self.reader = None;
                self.seen.clear();
                return news;
            };
            let before = self.seen.insert(level, seen);
            assert!(before <= Some(seen), "watermarks never go back");
            if before != Some(seen) {
                news += 1;
                let truth = bench.truth.watermark(self.port, level);
                assert!(seen <= truth, "port {}, level {level}: {seen}, truth {truth}", self.port);
            }
        }
        if let (Ok(told), Ok(sent)) = (reader.in_flight(), reader.sent())
            && sent > 0
        {
            let truth = bench.truth.in_flight(self.port, sent);
            assert!(told >= truth, "port {}: {told} in flight, truth {truth}", self.port);
        }
        news
    }
}

/// What a run has shown.
#[derive(Debug, Default)]
struct Shown {
    news: u64,
    by_code: [u64; 2],
    acked: u64,
    shed: u64,
    changes: u64,
}

fn run(seed: u64, wan: Wan) -> Shown {
    let spare = match wan.limit {
        None if seed.is_multiple_of(3) => 63,
        None => 255,
        Some(_) => 8191,
    };
    let mut bench = Bench::new(seed, wan, spare);
    let mut random = Random(!seed);
    let mut senders: Vec<Sender> = (0..5).map(|n| Sender::new(&mut random, 40_000 + n)).collect();
    let mut shown = Shown::default();
    for turn in 0..1200u64 {
        // Dense for a while, then sparse; pauses now and then.
        let dense = turn / 200 % 2 == 0;
        bench.now += match (random.below(30), dense) {
            (0, _) => 3_000_000 + random.below(4_000_000),
            (_, true) => 20_000,
            (_, false) => 600_000,
        };
        let mut frames = Vec::new();
        for sender in &mut senders {
            let count = if dense { random.below(8) } else { u64::from(random.below(5) == 0) };
            if count > 0 {
                frames.extend(sender.frames(&mut random, count));
            }
            if random.below(300) == 0 {
                frames.push(sender.segment(sender.sent, FIN, 0));
                // The same ports again; numbers go on from where they were, as TCP has it.
                let isn = sender.isn.wrapping_add(sender.sent + 10 + random.below(1 << 20) as u32);
                *sender = Sender { isn, ..Sender::new(&mut random, sender.port) };
            }
        }
        // Somebody else's.
        frames.extend((0..random.below(3)).map(|_| tcp(1, 2, 0, 0, ACK, &[1; 100])));
        // Codes come and go in every other run.
        if seed % 2 == 1 && turn % 50 == 49 {
            bench.change_code();
        }
        bench.turn(&frames);
        for sender in senders.iter_mut().filter(|sender| sender.sent > 0) {
            if bench.truth.flows.contains_key(&sender.port) {
                shown.news += sender.check(&bench);
            }
        }
    }
    shown.by_code = bench.truth.by_code;
    shown.acked = bench.truth.flows.values().map(|flow| flow.acked).sum();
    shown.shed = bench.shed();
    shown.changes = bench.changes;
    shown
}

#[test]
fn no_watermark_is_ahead_of_the_truth_whatever_the_wan_does() {
    let (mut shed, mut turns, mut changes) = (0, 0, 0);
    for seed in 0..50 {
        for (loss, late, twice) in
            [("iid:0.02", 0, 0), ("ge:0.03,8", 0, 0), ("iid:0.005", 20, 0), ("iid:0.005", 5, 10)]
        {
            let shown = run(seed, Wan { loss, late, twice, limit: None });
            assert!(shown.news > 2000 && shown.acked > 10_000, "{seed} {loss}: {shown:?}");
            assert!(shown.by_code.iter().all(|&repairs| repairs > 100), "{seed} {loss}: {shown:?}");
            shed += shown.shed;
            changes += shown.changes;
            turns += 1;
        }
    }
    assert!(shed > 100, "{shed} repairs were shed in {turns} runs");
    assert!(changes > 500, "{changes} codes were changed in {turns} runs");
}

/// A link that takes less than sources and their repairs: what is shed has not left, and what waits not yet.
#[test]
fn no_watermark_is_ahead_of_the_truth_on_a_full_link() {
    for overload in [Overload::SourceFirst, Overload::Reserve] {
        let (mut shed, mut changes) = (0, 0);
        for seed in 0..20 {
            let limit = Some(Limit { rate: 4_000_000_000, overload, queue: 256 << 10 });
            let shown = run(seed, Wan { loss: "iid:0.01", late: 5, twice: 0, limit });
            assert!(shown.news > 500 && shown.acked > 10_000, "{seed} {overload:?}: {shown:?}");
            shed += shown.shed;
            changes += shown.changes;
        }
        assert!(changes > 20, "{overload:?}: {changes} codes were changed");
        assert_eq!(shed > 1000, overload == Overload::SourceFirst, "{overload:?}: {shed} shed");
    }
}
