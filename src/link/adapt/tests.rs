use super::*;
use crate::wire::Report;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const SECOND: u64 = 1_000_000_000;

fn policy() -> Policy {
    Policy {
        residual: 1e-5,
        latency_ns: 50_000_000,
        overhead_limit: 0.3,
        floor: "64:11,13+g1".parse().unwrap(),
        largest: "24:307,311,313,317,331,337+g1".parse().unwrap(),
        quiet_ns: 3 * SECOND,
        gain: 0.1,
    }
}

/// A link whose bursts begin at random, of one length, reported four times a second.
struct World {
    adapter: Adapter,
    random: Xoshiro256PlusPlus,
    report: Report,
    now: u64,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            adapter: Adapter::new(policy(), policy().floor),
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            report: Report::default(),
            now: 0,
        }
    }

    /// Of 50,000 packets a second such a share begins a burst, and so many are missing in each
    /// report.
    fn run(&mut self, seconds: u64, begin: f64, length: u64, missing: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for _ in 0..4 * seconds {
            self.now += SECOND / 4;
            let bits = (begin * (1u64 << 32) as f64) as u64;
            let draws = (0..12_500).filter(|_| self.random.next_u64() >> 32 < bits);
            let bursts = draws.count() as u64;
            let before = &mut self.report.before;
            (before.next, before.judged) = (before.next + 12_500, before.judged + 12_500);
            (before.bursts, before.lost) = (before.bursts + bursts, before.lost + bursts * length);
            let after = &mut self.report.after;
            (after.next, after.judged) = (after.next + 12_500, after.judged + 12_500);
            after.missing += missing;
            self.adapter.observe(self.now, &self.report);
            if let Some(change) = self.adapter.decide(self.now) {
                self.adapter.switched(self.report.before.next);
                changes.push(change);
            }
        }
        changes
    }
}

#[test]
fn a_steady_link_keeps_its_code() {
    let mut world = World::new(1);
    assert!(world.run(60, 0.0, 1, 0).is_empty());
    let changes = world.run(20, 0.002, 5, 0);
    assert_eq!(changes[0].why, Why::Worse, "{}", changes[0]);
    assert!(changes.len() <= 3 && changes[0].meets);
    assert!(world.run(120, 0.002, 5, 0).is_empty());
    // Half as many losses in turns of two seconds are no reason.
    for _ in 0..10 {
        assert!(world.run(2, 0.001, 5, 0).iter().all(|change| change.why == Why::Worse));
        world.run(2, 0.002, 5, 0);
    }
    let back = world.run(20, 0.0, 1, 0);
    assert!(back.iter().all(|change| change.why == Why::Better) && !back.is_empty());
    assert_eq!(world.adapter.code(), &policy().floor);
}

#[test]
fn what_is_missed_is_not_explained_away() {
    let mut world = World::new(2);
    world.run(10, 0.002, 5, 0);
    let before = world.adapter.code().overhead();
    let changes = world.run(10, 0.002, 5, 5);
    assert!(changes.iter().any(|change| change.why == Why::Missed), "{changes:?}");
    assert!(world.adapter.code().overhead() > before);
    let eased = world.run(200, 0.002, 5, 0);
    assert!(!eased.is_empty() && world.adapter.pressure == 0, "{eased:?}");
}

#[test]
fn where_nothing_will_do_the_strongest_is_taken_and_the_log_says_so() {
    let mut world = World::new(3);
    world.run(5, 0.0, 1, 0);
    let changes = world.run(10, 0.003, 60, 0);
    let last = changes.last().unwrap();
    assert!(!last.meets && (0.1..0.3001).contains(&last.code.overhead()), "{last}");
    let line = last.to_string();
    assert!(line.contains("nothing within the limits") && line.lines().count() == 1, "{line}");
    assert!(line.contains("in bursts of "), "{line}");
}

#[test]
fn late_reports_and_other_epochs_are_harmless() {
    let mut world = World::new(4);
    world.run(5, 0.002, 5, 0);
    let code = world.adapter.code().clone();
    let old = Report::default();
    world.adapter.observe(world.now, &old);
    assert!(world.adapter.decide(world.now).is_none());
    let other = Report { epoch: 7, ..Report::default() };
    world.adapter.observe(world.now, &other);
    assert!(world.adapter.decide(world.now).is_none());
    assert_eq!(world.adapter.code(), &code);
}
