use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::*;

const MS: u64 = 1_000_000;
const PSK: [u8; 32] = [1; 32];

fn end(role: Role, psk: u8, epoch: u32, life: u8) -> Handshake {
    Handshake::new(role, &[psk; 32], epoch, Mode::Tag, [life; 32])
}

/// Lets two ends talk, all of it at once, until both are silent.
fn talk(west: &mut Handshake, east: &mut Handshake, now: u64) -> Vec<Message> {
    let mut said = Vec::new();
    loop {
        let before = said.len();
        while let Some(message) = west.poll(now) {
            east.handle(now, &message);
            said.push(message);
        }
        while let Some(message) = east.poll(now) {
            west.handle(now, &message);
            said.push(message);
        }
        if said.len() == before {
            return said;
        }
    }
}

fn agree(west: &Handshake, east: &Handshake) -> bool {
    match (west.session(), east.session()) {
        (Some(west), Some(east)) => {
            west.send == east.receive
                && west.receive == east.send
                && west.send != west.receive
                && (west.our_epoch, west.peer_epoch) == (east.peer_epoch, east.our_epoch)
        }
        _ => false,
    }
}

#[test]
fn two_ends_agree_in_four_messages() {
    let (mut west, mut east) = (end(Role::Initiator, 1, 7, 1), end(Role::Responder, 1, 9, 2));
    let said = talk(&mut west, &mut east, 0);
    assert!(agree(&west, &east));
    let kinds: Vec<u8> = said.iter().map(|message| message[0]).filter(|&it| it != KNOCK).collect();
    assert_eq!(kinds, [FIRST, ANSWER, CONFIRM, DONE]);
    assert!(said.iter().all(|message| message.len() <= 83));
    assert_eq!((west.poll(1 << 40), east.poll(1 << 40)), (None, None));
    assert_eq!((west.next_deadline(), east.next_deadline()), (None, None));
    // Other chance, other keys.
    let (mut other, mut peer) = (end(Role::Initiator, 1, 7, 3), end(Role::Responder, 1, 9, 2));
    talk(&mut other, &mut peer, 0);
    assert!(agree(&other, &peer) && other.session() != west.session());
}

#[test]
fn strangers_get_no_answer() {
    let (mut stranger, mut east) = (end(Role::Initiator, 2, 7, 1), end(Role::Responder, 1, 9, 2));
    let mut knocks = 0;
    for now in (0..20_000).map(|n| n * MS) {
        while let Some(message) = stranger.poll(now) {
            assert_eq!(east.handle(now, &message), Outcome::Ignored);
        }
        while let Some(message) = east.poll(now) {
            assert_eq!(message[0], KNOCK);
            assert_eq!(stranger.handle(now, &message), Outcome::Ignored);
            knocks += 1;
        }
    }
    assert!(stranger.session().is_none() && east.session().is_none());
    assert!(knocks <= SOON + (20_000 * MS / LATER) as u32, "{knocks}");
}

#[test]
fn who_is_configured_otherwise_is_named() {
    let mut west = Handshake::new(Role::Initiator, &PSK, 7, Mode::Seal, [1; 32]);
    let mut east = end(Role::Responder, 1, 9, 2);
    let (first, knock) = (west.poll(0).unwrap(), east.poll(0).unwrap());
    assert_eq!(east.handle(0, &first), Outcome::OtherMode(Mode::Seal));
    assert_eq!(west.handle(0, &knock), Outcome::OtherMode(Mode::Tag));
    assert_eq!((east.poll(0), east.session()), (None, None));
}

#[test]
fn a_session_stays_until_the_next_is_proved() {
    let (mut west, mut east) = (end(Role::Initiator, 1, 7, 1), end(Role::Responder, 1, 9, 2));
    talk(&mut west, &mut east, 0);
    let old = west.session().cloned();
    // The peer begins anew, and knocks.
    let mut east = end(Role::Responder, 1, 10, 3);
    let knock = east.poll(0).unwrap();
    west.handle(0, &knock);
    let first = west.poll(0).unwrap();
    assert_eq!((west.session().cloned(), west.expected()), (old.clone(), None));
    east.handle(0, &first);
    let answer = east.poll(0).unwrap();
    assert_eq!(west.handle(0, &answer), Outcome::Expected);
    assert_eq!(west.session().cloned(), old);
    assert_eq!(west.expected().unwrap().peer_epoch, 10);
    talk(&mut west, &mut east, 0);
    assert!(agree(&west, &east) && west.session().cloned() != old);
    // We begin anew: east has its session until we prove ours.
    let old = east.session().cloned();
    let mut west = end(Role::Initiator, 1, 8, 4);
    let first = west.poll(0).unwrap();
    east.handle(0, &first);
    assert_eq!(east.session().cloned(), old);
    let answer = east.poll(0).unwrap();
    west.handle(0, &answer);
    talk(&mut west, &mut east, 0);
    assert!(agree(&west, &east));
}

#[test]
fn replays_change_nothing_and_cost_little() {
    let mut said = Vec::new();
    let mut east = end(Role::Responder, 1, 9, 2);
    // Lives of west, all heard by the same east.
    for life in 0..40 {
        let mut west = end(Role::Initiator, 1, 100 + u32::from(life), life);
        said.extend(talk(&mut west, &mut east, 0));
        assert!(agree(&west, &east));
    }
    let session = east.session().cloned();
    let mut answers = 0;
    for round in 0..50 {
        for message in &said {
            let now = 1000 * MS + round * MS;
            let outcome = east.handle(now, message);
            assert!(matches!(outcome, Outcome::Ignored | Outcome::Taken), "{outcome:?}");
            answers += u32::from(east.poll(now).is_some_and(|reply| reply[0] == ANSWER));
        }
    }
    assert_eq!(east.session().cloned(), session);
    assert!(answers < 100, "{answers}");
    // One whose clock was set back is no stranger.
    let mut west = end(Role::Initiator, 1, 3, 99);
    talk(&mut west, &mut east, 5000 * MS);
    assert!(agree(&west, &east));
}

#[test]
fn who_lost_done_for_long_begins_anew() {
    let (mut west, mut east) = (end(Role::Initiator, 1, 7, 1), end(Role::Responder, 1, 9, 2));
    talk(&mut west, &mut east, 0);
    let mut east = end(Role::Responder, 1, 10, 3);
    west.handle(0, &east.poll(0).unwrap());
    for now in (0..60_000).map(|n| n * MS) {
        while let Some(message) = west.poll(now) {
            east.handle(now, &message);
        }
        while let Some(message) = east.poll(now) {
            // Nothing but done is lost, for half a minute.
            if message[0] != DONE || now > 30_000 * MS {
                west.handle(now, &message);
            }
        }
    }
    assert!(agree(&west, &east));
    assert_eq!(west.session().unwrap().peer_epoch, 10);
}

/// Both ends, a bad WAN between them, and somebody who has recorded all of it.
struct World {
    random: Xoshiro256PlusPlus,
    now: u64,
    ends: [Handshake; 2],
    epochs: [u32; 2],
    lives: u8,
    /// When, to whom, what, and whether it is as it was sent.
    wire: Vec<(u64, usize, Message, bool)>,
    recorded: Vec<Message>,
    /// What each end of this life has had.
    had: [Vec<Session>; 2],
    /// All that west ever could have proved.
    provable: Vec<Session>,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            now: 0,
            ends: [end(Role::Initiator, 1, 1, 1), end(Role::Responder, 1, 1, 2)],
            epochs: [1, 1],
            lives: 2,
            wire: Vec::new(),
            recorded: Vec::new(),
            had: [Vec::new(), Vec::new()],
            provable: Vec::new(),
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n
    }

    fn restart(&mut self, who: usize) {
        self.lives += 1;
        // Clocks are set back, too.
        let on = 1 + self.below(5) as u32;
        let back = self.below(6) == 0;
        self.epochs[who] = match back {
            true => self.epochs[who].wrapping_sub(on),
            false => self.epochs[who].wrapping_add(on),
        };
        let role = [Role::Initiator, Role::Responder][who];
        // Or it is begun anew within the same epoch.
        if self.below(6) == 0 {
            self.epochs[who] = self.ends[who].session().map_or(self.epochs[who], |s| s.our_epoch);
        }
        self.ends[who] = end(role, 1, self.epochs[who], self.lives);
        self.had[who].clear();
    }

    fn send(&mut self, bad: bool) {
        for from in 0..2 {
            while let Some(message) = self.ends[from].poll(self.now) {
                self.recorded.push(message.clone());
                let copies = if bad { [0, 1, 1, 2][self.below(4) as usize] } else { 1 };
                for _ in 0..copies {
                    let late = self.below(if bad { 400 } else { 20 }) * MS;
                    self.wire.push((self.now + late, 1 - from, message.clone(), true));
                }
            }
        }
        if bad && !self.recorded.is_empty() && self.below(4) == 0 {
            let at = self.below(self.recorded.len() as u64) as usize;
            let mut message = self.recorded[at].clone();
            let whole = self.below(2) == 0;
            if !whole {
                let bit = self.below(message.len() as u64 * 8) as usize;
                message[bit / 8] ^= 1 << (bit % 8);
            }
            let to = self.below(2) as usize;
            self.wire.push((self.now, to, message, whole));
        }
    }

    fn receive(&mut self) {
        let now = self.now;
        let (here, later) = self.wire.drain(..).partition(|(at, ..)| *at <= now);
        self.wire = later;
        let here: Vec<(u64, usize, Message, bool)> = here;
        for (_, to, message, whole) in here {
            let before = self.ends[to].session().cloned();
            let outcome = self.ends[to].handle(now, &message);
            assert!(whole || outcome == Outcome::Ignored, "a changed message was taken");
            self.provable.extend(self.ends[0].expected().cloned());
            let after = self.ends[to].session().cloned();
            assert_eq!(before != after, outcome == Outcome::Established);
            if let Some(session) = after.filter(|_| outcome == Outcome::Established) {
                assert!(!self.had[to].contains(&session), "a session came back");
                assert_eq!(session.our_epoch, self.epochs[to]);
                let proved = self.provable.iter().any(|west| match to {
                    0 => *west == session,
                    _ => west.send == session.receive && west.receive == session.send,
                });
                assert!(proved, "a session that nobody proved");
                self.had[to].push(session);
            }
        }
    }
}

/// Loss, duplicates, reordering, replays, changed messages, restarts: no false session, and the right one
/// soon after the faults end.
fn agrees(seed: u64) {
    let mut world = World::new(seed);
    for step in 0..2400 {
        world.now += 10 * MS;
        let bad = step < 1200;
        if bad && world.below(120) == 0 {
            let who = world.below(2) as usize;
            world.restart(who);
        }
        world.send(bad);
        world.receive();
    }
    let [west, east] = &world.ends;
    assert!(agree(west, east), "seed {seed}: {:?} {:?}", west.session(), east.session());
    let peer = west.session().map(|session| session.peer_epoch);
    assert_eq!(peer, Some(world.epochs[1]), "seed {seed}");
}

/// A knock of long ago came between an answer and its done: seeds that proptest found.
#[test]
fn an_old_knock_does_not_part_them() {
    for seed in
        [17080520127428408845, 13996519452061982025, 14661582747155811564, 3391823097227204672]
    {
        agrees(seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_agree_whatever_the_wan_does(seed in any::<u64>()) {
        agrees(seed);
    }

    #[test]
    fn no_bytes_panic_or_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let (mut west, mut east) = (end(Role::Initiator, 1, 7, 1), end(Role::Responder, 1, 9, 2));
        let (_, _) = (west.poll(0), east.poll(0));
        for kind in 0..6 {
            let mut bytes = bytes.clone();
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            prop_assert_eq!(west.handle(0, &bytes), Outcome::Ignored);
            prop_assert_eq!(east.handle(0, &bytes), Outcome::Ignored);
            prop_assert_eq!((west.poll(0), east.poll(0)), (None, None));
        }
    }
}
