//! The same with keys: who has them meets whatever the wire does and however often either restarts, who
//! has not is nobody.

use super::*;
use crate::link::handshake::{Handshake, Role};
use crate::wire::Report;
use crate::wire::control::{self, is_handshake};
use crate::wire::report::Before;
use crate::wire::seal::{Mode, Opener, Purpose};
use crate::wire::shim::Integrity;

/// What a room that receives does with control packets: keys of up to two sessions.
pub(super) struct Lock {
    key: [u8; 32],
    mode: Mode,
    /// The peer's.
    channel: u8,
    ring: Vec<(u32, u32, Opener)>,
}

impl Lock {
    fn new(end: usize, key: u8, mode: Mode) -> Lock {
        Lock { key: [key; 32], mode, channel: [128, 0][end], ring: Vec::new() }
    }

    pub(super) fn turn(&mut self, supervisor: &Supervisor) {
        let Some(agreed) = supervisor.keys().and_then(Keys::receive) else { return };
        if self.ring.last().is_some_and(|(number, ..)| *number == agreed.number) {
            return;
        }
        let session = &agreed.session;
        self.ring.retain(|(_, epoch, _)| *epoch != session.peer_epoch);
        let opener = Opener::new(&session.receive, Purpose::Control, self.mode, self.channel);
        self.ring.push((agreed.number, session.peer_epoch, opener));
        if self.ring.len() > 2 {
            self.ring.remove(0);
        }
    }

    pub(super) fn open(&self, packet: &mut [u8]) -> Option<(What, Parcel)> {
        let (shim, rest) = Shim::parse(packet).ok()?;
        if shim.integrity != Integrity::Tag {
            let body = is_handshake(rest).then(|| verify(&shim, rest).ok()).flatten()?;
            return Some((What::Control(shim), Parcel::of(&[body])?));
        }
        let (number, _, opener) = self.ring.iter().find(|(_, epoch, _)| *epoch == shim.epoch)?;
        let body = control::open(&shim, packet, opener).ok()?;
        Some((What::Opened { shim, keys: *number }, Parcel::of(&[body])?))
    }
}

impl World {
    /// With these keys and modes.
    fn keyed(seed: u64, ends: [(u8, Mode); 2]) -> World {
        let mut world = World::new(seed);
        for (n, (key, mode)) in ends.into_iter().enumerate() {
            world.ends[n].lock = Some(Lock::new(n, key, mode));
            world.restart_keyed(n, 7);
        }
        world
    }

    fn restart_keyed(&mut self, n: usize, epoch: u32) {
        self.restart(n, epoch);
        let role = [Role::Initiator, Role::Responder][n];
        let mut entropy = [0; 32];
        entropy.fill_with(|| self.dice.next() as u8);
        let Some(lock) = &mut self.ends[n].lock else { return };
        lock.ring.clear();
        let handshake = Handshake::new(role, &lock.key, epoch, lock.mode, entropy);
        self.ends[n].supervisor.as_mut().unwrap().use_keys(handshake);
    }

    /// Everything that is on the wire now.
    fn recorded(&self) -> Vec<(usize, Parcel)> {
        self.wire.values().cloned().collect()
    }

    /// Somebody sends these to end `to`.
    fn inject(&mut self, to: usize, parcel: Parcel) {
        self.count += 1;
        self.wire.insert((self.now + MS, self.count), (to, parcel));
    }

    fn said(&self, n: usize, event: &Event) -> usize {
        self.ends[n].events.iter().filter(|said| *said == event).count()
    }
}

fn alike(seed: u64) -> World {
    let mode = [Mode::Tag, Mode::Seal][seed as usize % 2];
    World::keyed(seed, [(1, mode), (1, mode)])
}

#[test]
fn who_has_the_key_meets_at_once() {
    for seed in 0..20 {
        let mut world = alike(seed);
        world.run(500 * MS);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
        world.run(20 * SECOND);
        for end in &world.ends {
            let trip = end.up().peer().round_trip().unwrap();
            assert!(trip.mean.abs_diff(50 * MS) < MS, "seed {seed}: {trip:?}");
            assert_eq!(end.up().path(), Path::Whole, "seed {seed}");
            let events = &end.events;
            let expected = matches!(events[..], [Event::Keys { .. }, Event::Up { .. }]);
            assert!(expected, "seed {seed}: {events:?}");
            assert_eq!(end.up().tally().stale, 0, "seed {seed}");
        }
    }
}

#[test]
fn either_may_restart_within_a_second_and_without_hands() {
    for seed in 0..100 {
        let mut world = alike(seed);
        for way in &mut world.ways {
            *way = Way { jitter: 30 * MS, duplicate: 0.05, ..GOOD };
        }
        world.run(SECOND);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
        let mut epochs = [7u32; 2];
        for round in 0..6 {
            let who = world.dice.below(2) as usize;
            if world.dice.below(2) == 0 {
                world.kill(who);
                let pause = world.dice.below(2000) * MS;
                world.run(pause);
            }
            // Mostly a later epoch; the same, if it was quick; or the clock was set back.
            epochs[who] = match world.dice.below(4) {
                0 => epochs[who],
                1 => epochs[who].wrapping_sub(1 + world.dice.below(3) as u32),
                _ => epochs[who].wrapping_add(1 + world.dice.below(100) as u32),
            };
            world.restart_keyed(who, epochs[who]);
            world.run(SECOND);
            assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}, round {round}");
            let there = world.ends[1 - who].up();
            assert_eq!(there.peer_epoch(), Some(epochs[who]), "seed {seed}, round {round}");
        }
    }
}

#[test]
fn losses_delay_a_session_and_do_not_prevent_it() {
    for seed in 0..100 {
        let mut world = alike(seed);
        for way in &mut world.ways {
            *way = Way { loss: 0.2, jitter: 50 * MS, duplicate: 0.1, ..GOOD };
        }
        let met = |world: &World| world.both() == [Standing::Up; 2];
        for round in 0..4 {
            let start = world.now;
            while !met(&world) {
                world.run(50 * MS);
                assert!(world.now < start + 15 * SECOND, "seed {seed}, round {round}");
            }
            let who = world.dice.below(2) as usize;
            world.restart_keyed(who, 8 + round);
        }
    }
}

/// What a dead peer once said does not bring it back, nor does anything that a stranger makes of it.
#[test]
fn nothing_but_the_peer_is_a_sign_of_the_peer() {
    for seed in 0..10 {
        let mut world = alike(seed);
        let mut record = Vec::new();
        for n in 0..60 {
            if n % 15 == 10 {
                world.restart_keyed(n / 15 % 2, 8 + n as u32);
            }
            world.run(50 * MS);
            record.extend(world.recorded());
        }
        world.run(SECOND);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
        let dead = seed as usize % 2;
        world.kill(dead);
        world.run(SECOND);
        let alive = &world.ends[1 - dead];
        assert_eq!(alive.standing(), Standing::Silent, "seed {seed}");
        let (said, before) = (alive.events.len(), alive.up().tally());
        let (epoch, keys) = (alive.up().peer_epoch(), alive.up().keys().and_then(Keys::receive));
        let keys = keys.unwrap().number;
        for _ in 0..200 {
            for _ in 0..20 {
                let (_, parcel) = &record[world.dice.below(record.len() as u64) as usize];
                let mut bytes = parcel.bytes().to_vec();
                if world.dice.below(2) == 0 {
                    let at = world.dice.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << world.dice.below(8);
                }
                // A check is everybody's to make, also under another epoch.
                if let Ok((shim, rest)) = Shim::parse(&bytes)
                    && shim.integrity == Integrity::Check
                    && let Some(fields) = rest.get(2..usize::from(shim.length))
                {
                    let epoch = shim.epoch + world.dice.below(3) as u32;
                    let sender = Sender { channel: [0, 128][dead], epoch };
                    let kind = control::Type::Handshake;
                    let seq = world.dice.below(1 << 40);
                    bytes = control::emit(sender, seq, kind, fields).unwrap().bytes().to_vec();
                }
                world.inject(1 - dead, Parcel::of(&[&bytes]).unwrap());
            }
            world.run(50 * MS);
            assert_eq!(world.ends[1 - dead].standing(), Standing::Silent, "seed {seed}");
        }
        let alive = &world.ends[1 - dead];
        assert_eq!(alive.up().peer_epoch(), epoch, "seed {seed}");
        assert_eq!(alive.up().tally().taken, before.taken, "seed {seed}");
        assert_eq!(alive.up().keys().and_then(Keys::receive).unwrap().number, keys);
        // That somebody sends what proves nothing is said once.
        let more = &alive.events[said..];
        assert!(more.len() <= 1 && more.iter().all(|e| *e == Event::OtherKey), "{more:?}");
        world.restart_keyed(dead, 900);
        world.run(SECOND);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
    }
}

#[test]
fn another_key_is_no_key_and_said_once() {
    for seed in 0..10 {
        let mut world = World::keyed(seed, [(1, Mode::Tag), (2, Mode::Tag)]);
        world.run(30 * SECOND);
        for n in 0..2 {
            assert_eq!(world.ends[n].events, [Event::OtherKey], "seed {seed}");
            assert_eq!(world.ends[n].standing(), Standing::Silent, "seed {seed}");
            assert_eq!(world.ends[n].up().tally().taken, 0, "seed {seed}");
        }
        assert!(!Event::OtherKey.to_string().contains('\n') && Event::OtherKey.is_bad());
        // The right one mends it.
        world.ends[1].lock = Some(Lock::new(1, 1, Mode::Tag));
        world.restart_keyed(1, 8);
        world.run(2 * SECOND);
        assert_eq!(world.both(), [Standing::Up; 2], "seed {seed}");
    }
}

#[test]
fn another_mode_or_none_is_said_once_at_both_ends() {
    let mut world = World::keyed(1, [(1, Mode::Tag), (1, Mode::Seal)]);
    world.run(30 * SECOND);
    for (n, here, there) in [(0, Mode::Tag, Mode::Seal), (1, Mode::Seal, Mode::Tag)] {
        assert_eq!(world.ends[n].events, [Event::OtherMode { here, there }]);
        assert_eq!(world.ends[n].standing(), Standing::Silent);
    }
    // Where one has no key, rooms count what has no tag.
    let mut world = World::keyed(2, [(1, Mode::Tag), (1, Mode::Tag)]);
    world.ends[1].lock = None;
    world.restart(1, 8);
    for n in 0..100 {
        for end in 0..2 {
            let untagged = if end == 0 { n } else { 0 };
            let at = world.ends[end].time(world.now);
            let supervisor = world.ends[end].supervisor.as_mut().unwrap();
            supervisor.observe(at, Traffic { untagged, ..Traffic::default() });
        }
        world.run(100 * MS);
    }
    assert_eq!(world.said(0, &Event::NoKeysThere), 1, "{:?}", world.ends[0].events);
    assert_eq!(world.said(1, &Event::KeysThere), 1, "{:?}", world.ends[1].events);
    assert_eq!(world.both(), [Standing::Silent; 2]);
    assert_eq!(world.ends[1].up().peer_epoch(), None);
}

#[test]
fn who_restarted_is_believed_though_it_counts_from_nothing() {
    let mut world = alike(1);
    world.run(SECOND);
    let report = |judged, at_ns| {
        let before = Before { next: judged, judged, ..Before::default() };
        Report { channel: 0, epoch: 7, at_ns, before, ..Report::default() }
    };
    for (epoch, judged) in [(7, 900), (8, 100)] {
        if epoch > 7 {
            world.restart_keyed(1, epoch);
            world.run(SECOND);
        }
        let now = world.now;
        world.ends[0].supervisor.as_mut().unwrap().accounts_mut().numbered(0, 1000);
        let east = world.ends[1].supervisor.as_mut().unwrap();
        east.accounts_mut().counted(now, 0, report(judged, now));
        world.run(SECOND);
        let told = world.ends[0].up().accounts().ours().next().map(|ours| ours.to.before.judged);
        assert_eq!(told, Some(judged), "epoch {epoch}");
    }
}
