//! Two supervisors and a wire between them, in virtual time: what one learns of the other whatever the
//! wire does. A failing seed is named.

use std::collections::BTreeMap;

use super::supervisor::Tally;
use super::*;
use crate::wire::control::{Sender, verify};
use crate::wire::hello::{Encapsulation, Facts};
use crate::wire::parcel::Parcel;
use crate::wire::shim::Shim;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// How often control looks.
const LOOK: u64 = 10 * MS;
const FACTS: Facts = Facts {
    integrity: 1,
    encapsulation: Encapsulation::ETHER,
    channels_out: 1,
    channels_in: 1,
    wan_mtu: 9000,
    max_frame: 1522,
    unprotected: true,
    window: 13,
};

fn supervisor(east: bool, epoch: u32, facts: Facts) -> Supervisor {
    let channels = if east { [128, 0] } else { [0, 128] };
    let hello = HelloConfig { facts, interval: 100 * MS, largest: 1600, overhead: 0 };
    let sender = Sender { channel: channels[0], epoch };
    Supervisor::new(SupervisorConfig { sender, peer_channel: channels[1], hello })
}

/// Random numbers (splitmix64) that a seed replays.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What one way of the wire does.
#[derive(Clone, Copy)]
struct Way {
    loss: f64,
    delay: u64,
    jitter: u64,
    duplicate: f64,
    mtu: usize,
    cut: bool,
}

const GOOD: Way =
    Way { loss: 0.0, delay: 25 * MS, jitter: 0, duplicate: 0.0, mtu: 9000, cut: false };

/// An end: its clock began at some other time than the other's, and runs a little faster or slower.
struct End {
    supervisor: Option<Supervisor>,
    offset: u64,
    /// Parts in a million.
    drift: i64,
    events: Vec<Event>,
}

impl End {
    fn time(&self, now: u64) -> u64 {
        let drift = (now / 1_000_000) as i64 * self.drift;
        (now + self.offset).saturating_add_signed(drift)
    }

    fn up(&self) -> &Supervisor {
        self.supervisor.as_ref().unwrap()
    }

    fn standing(&self) -> Standing {
        self.up().peer().standing()
    }
}

struct World {
    now: u64,
    ends: [End; 2],
    ways: [Way; 2],
    /// By arrival: at which end, and what.
    wire: BTreeMap<(u64, u64), (usize, Parcel)>,
    count: u64,
    dice: Dice,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed);
        let mut end = |east: bool| End {
            supervisor: Some(supervisor(east, 7, FACTS)),
            offset: dice.below(1000) * SECOND,
            drift: dice.below(200) as i64 - 100,
            events: Vec::new(),
        };
        let ends = [end(false), end(true)];
        World { now: 0, ends, ways: [GOOD; 2], wire: BTreeMap::new(), count: 0, dice }
    }

    fn run(&mut self, time: u64) {
        let end = self.now + time;
        while self.now < end {
            self.now += LOOK;
            self.arrivals();
            for n in 0..2 {
                self.poll(n);
            }
        }
    }

    fn poll(&mut self, n: usize) {
        let at = self.ends[n].time(self.now);
        let Some(supervisor) = &mut self.ends[n].supervisor else { return };
        let mut sent = Vec::new();
        supervisor.poll(at, &mut |parcel| sent.push(parcel));
        // Nothing is left to do at this time.
        assert!(supervisor.next_deadline().is_none_or(|deadline| deadline > at));
        self.ends[n].events.extend(supervisor.take_events());
        let way = self.ways[n];
        for parcel in sent {
            let mut copies = 1 + usize::from(self.dice.uniform() < way.duplicate);
            if way.cut || parcel.len() > way.mtu || self.dice.uniform() < way.loss {
                copies = 0;
            }
            for _ in 0..copies {
                self.count += 1;
                let jitter = if way.jitter > 0 { self.dice.below(way.jitter) } else { 0 };
                let arrival = (self.now + way.delay + jitter, self.count);
                self.wire.insert(arrival, (1 - n, parcel.clone()));
            }
        }
    }

    fn arrivals(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (arrival, _) = *entry.key();
            let (n, parcel) = entry.remove();
            let at = self.ends[n].time(arrival);
            let Some(supervisor) = &mut self.ends[n].supervisor else { continue };
            let mut packet = vec![0; parcel.len()];
            parcel.write(&mut packet);
            let (shim, rest) = Shim::parse(&packet).unwrap();
            let bytes = Parcel::of(&[verify(&shim, rest).unwrap()]).unwrap();
            let len = packet.len() as u16 + 14;
            supervisor.handle(at, &Heard { at, room: 0, len, what: What::Control(shim), bytes });
        }
    }

    fn restart(&mut self, n: usize, epoch: u32) {
        self.ends[n].supervisor = Some(supervisor(n == 1, epoch, FACTS));
        // A new process has a new clock.
        self.ends[n].offset = self.dice.below(1000) * SECOND;
    }

    fn kill(&mut self, n: usize) {
        self.ends[n].supervisor = None;
    }

    fn both(&self) -> [Standing; 2] {
        [self.ends[0].standing(), self.ends[1].standing()]
    }
}

#[test]
fn they_meet_at_once_and_measure_the_round_trip() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.run(300 * MS);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
        world.run(20 * SECOND);
        for end in &world.ends {
            let trip = end.up().peer().round_trip().unwrap();
            // Drift apart, 50 ms to within what holding it cost.
            assert!(trip.mean.abs_diff(50 * MS) < MS, "seed {seed}: {trip:?}");
            assert!(trip.variation < MS, "seed {seed}: {trip:?}");
            assert_eq!(end.up().path(), Path::Whole, "seed {seed}");
            assert!(matches!(end.events[..], [Event::Up { .. }]), "seed {seed}: {:?}", end.events);
        }
    }
}

#[test]
fn a_dead_peer_is_down_within_three_hellos_and_up_again_by_itself() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        for way in &mut world.ways {
            *way = Way { loss: 0.01, jitter: 30 * MS, duplicate: 0.05, ..GOOD };
        }
        world.run(3 * SECOND);
        for round in 1..4 {
            let dead = world.dice.below(2) as usize;
            world.kill(dead);
            let alive = &world.ends[1 - dead];
            assert_eq!(alive.standing(), Standing::Up, "seed {seed}");
            // What was on its way is heard still.
            world.run(25 * MS + 30 * MS + 345 * MS + 2 * LOOK);
            let alive = &world.ends[1 - dead];
            assert_eq!(alive.standing(), Standing::Silent, "seed {seed}, round {round}");
            world.run(SECOND);
            world.restart(dead, 7 + round);
            world.run(600 * MS);
            assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}, round {round}");
        }
    }
}

#[test]
fn a_restart_too_quick_to_be_missed_is_learnt_by_its_epoch() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.run(SECOND);
        world.restart(1, 8);
        world.run(400 * MS);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
        assert_eq!(world.ends[0].up().peer_epoch(), Some(8));
        let restarted = Event::Restarted { before: 7, epoch: 8 };
        assert!(world.ends[0].events.contains(&restarted), "seed {seed}");
        // An older epoch is believed after a second of silence only.
        world.restart(1, 5);
        world.run(900 * MS);
        assert_eq!(world.ends[0].up().peer_epoch(), Some(8), "seed {seed}");
        world.run(SECOND);
        assert_eq!(world.ends[0].up().peer_epoch(), Some(5), "seed {seed}");
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
    }
}

#[test]
fn a_way_that_is_cut_is_told_from_a_dead_peer() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.run(SECOND);
        world.ways[0].cut = true;
        world.run(900 * MS);
        // East hears nothing; west hears that it does not.
        assert_eq!(world.both(), [Standing::OneWay, Standing::Silent], "seed {seed}");
        assert_eq!(world.ends[0].events.last(), Some(&Event::OneWay));
        world.ways[0].cut = false;
        world.run(400 * MS);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
    }
    // It was so from the first.
    let mut world = World::new(1);
    world.ways[1].cut = true;
    world.run(2 * SECOND);
    assert_eq!(world.both(), [Standing::Silent, Standing::OneWay]);
}

#[test]
fn losses_delays_and_duplicates_do_not_bring_a_peer_down() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        for way in &mut world.ways {
            *way = Way { loss: 0.02, jitter: 150 * MS, duplicate: 0.1, ..GOOD };
        }
        world.run(60 * SECOND);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
        for end in &world.ends {
            // Three of 600 hellos in a row are lost in one of 200 runs.
            let downs = end.events.iter().filter(|event| matches!(event, Event::Down { .. }));
            assert!(downs.count() <= 1, "seed {seed}: {:?}", end.events);
            let Tally { replayed, taken, .. } = end.up().tally();
            assert!(taken > 550 && replayed > 20, "seed {seed}: {taken} {replayed}");
        }
    }
}

#[test]
fn other_packets_are_signs_of_life_too() {
    let mut world = World::new(3);
    world.run(SECOND);
    world.ways[1].cut = true;
    for n in 0..100 {
        let at = world.ends[0].time(world.now);
        let traffic = Traffic { accepted: n + 1, ..Traffic::default() };
        world.ends[0].supervisor.as_mut().unwrap().observe(at, traffic);
        world.run(50 * MS);
        assert_eq!(world.ends[0].standing(), Standing::Up);
    }
    world.run(400 * MS);
    assert_eq!(world.ends[0].standing(), Standing::Silent);
}

#[test]
fn what_does_not_fit_is_said_once_in_a_line() {
    let mut world = World::new(4);
    let facts = Facts { wan_mtu: 1900, channels_out: 2, ..FACTS };
    world.ends[1].supervisor = Some(supervisor(true, 7, facts));
    world.run(20 * SECOND);
    for end in &world.ends {
        let lines: Vec<_> =
            end.events.iter().filter(|event| matches!(event, Event::Mismatch(_))).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = lines[0].to_string();
        assert!(line.contains("WAN MTU") && line.contains("channels") && !line.contains('\n'));
        // They hear each other all the same.
        assert_eq!(end.standing(), Standing::Up);
    }
    world.restart(1, 8);
    world.run(SECOND);
    assert!(world.ends[0].events.contains(&Event::Fits));
    assert_eq!(world.ends[0].up().peer().mismatch(), None);
}

#[test]
fn a_smaller_mtu_on_the_way_is_found_and_said_once() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        world.ways[0] = Way { loss: 0.05, mtu: 1400, ..GOOD };
        world.run(60 * SECOND);
        let Path::UpTo(found) = world.ends[0].up().path() else { panic!("seed {seed}") };
        assert!((1392..=1400).contains(&found), "seed {seed}: {found}");
        assert_eq!(world.ends[1].up().path(), Path::Whole, "seed {seed}");
        let said = |events: &[Event]| {
            events.iter().filter(|event| matches!(event, Event::Path { .. })).count()
        };
        assert_eq!(said(&world.ends[0].events), 1, "seed {seed}: {:?}", world.ends[0].events);
        world.ways[0].mtu = 9000;
        world.run(15 * SECOND);
        assert_eq!(world.ends[0].up().path(), Path::Whole, "seed {seed}");
        assert_eq!(said(&world.ends[0].events), 2, "seed {seed}");
    }
}

#[test]
fn hostile_fields_change_nothing() {
    let mut world = World::new(5);
    world.run(SECOND);
    let at = world.ends[0].time(world.now);
    let west = world.ends[0].supervisor.as_mut().unwrap();
    let shim = |seq| Shim {
        kind: crate::wire::Kind::Control,
        integrity: crate::wire::shim::Integrity::Check,
        channel: 128,
        length: 2,
        epoch: 7,
        seq,
        check: 0,
    };
    let before = west.tally();
    for (seq, body) in (1000..).zip([&[1, 0][..], &[9, 0], &[1], &[2, 0], &[3, 0, 1]]) {
        let bytes = Parcel::of(&[body]).unwrap();
        west.handle(at, &Heard { at, room: 0, len: 90, what: What::Control(shim(seq)), bytes });
    }
    assert_eq!(west.tally(), Tally { unknown: before.unknown + 5, ..before });
    assert_eq!(west.peer().standing(), Standing::Up);
}
