//! Two whole gateways with keys, in virtual time: they agree by themselves, and whoever has not the key
//! changes nothing.

use std::sync::Arc;
use std::time::Duration;

use maelstrom::gateway::flows::{Acks, Exit, Filter, Publisher, PublisherConfig, Rule, Told};
use maelstrom::gateway::{Blueprint, Room, Side};
use maelstrom::link::PeerDown;
use maelstrom::wire::control::{self, Type};
use maelstrom::wire::seal::Mode;
use maelstrom::wire::shim::{Integrity, Kind, Shim};
use netsync::{
    Control, Flow, FlowKey, Segment, SegmentConfig, Server, ServerConfig, Subscriber, now_ns,
};
use tempfile::TempDir;

use crate::common::{Random, subscribe};
use crate::control::Gateway;
use crate::harness::{EAST, EPOCH, SHIM, WEST, blueprint, frames, source};

const MS: u64 = 1_000_000;

fn keyed(side: Side, mode: Mode) -> Blueprint {
    Blueprint { keys: Some(mode), ..blueprint(side) }
}

fn gateway(side: Side, mode: Mode, epoch: u32, key: u8, life: u8) -> Gateway {
    let blueprint = keyed(side, mode);
    let mut gateway = Gateway::of(&blueprint, epoch, PeerDown::Protect);
    let handshake = blueprint.handshake(&[key; 32], epoch, [life; 32]).unwrap();
    gateway.steward.supervisor_mut().use_keys(handshake);
    gateway
}

/// West and east, a millisecond from each other. What is sent is handed to `wan` first: to which end it
/// goes, and what becomes of it.
struct Pair {
    gateways: [Gateway; 2],
    now: u64,
}

type Packets = Vec<Vec<u8>>;

impl Pair {
    fn new(mode: Mode, keys: [u8; 2]) -> Pair {
        let west = gateway(Side::West, mode, EPOCH, keys[0], 1);
        let east = gateway(Side::East, mode, EPOCH, keys[1], 2);
        Pair { gateways: [west, east], now: 0 }
    }

    fn step(&mut self, wan: &mut impl FnMut(usize, Packets) -> Packets) {
        self.now += MS;
        for Gateway { near, far, steward } in &mut self.gateways {
            if self.now.is_multiple_of(10 * MS) {
                steward.step(self.now);
                steward.direct();
            }
            while near.room.poll(self.now) > 0 {}
            while far.room.poll(self.now) > 0 {}
        }
        let sent = [0, 1].map(|n| self.gateways[n].near.wan.take_sent());
        for (n, packets) in sent.into_iter().enumerate() {
            let packets = wan(1 - n, packets);
            self.gateways[1 - n].far.wan.bring(packets);
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step(&mut |_, packets| packets);
        }
    }

    /// What a LAN brings at one end comes out at the other.
    fn cross(&mut self, from: usize, frames: &[Vec<u8>]) -> Packets {
        self.gateways[from].near.lan.bring(frames.iter().cloned());
        self.run(60);
        self.gateways[1 - from].far.lan.take_sent()
    }

    fn are_up(&self) -> bool {
        self.gateways.iter().all(Gateway::is_up)
    }
}

#[test]
fn frames_cross_once_keys_are_agreed_upon() {
    for mode in [Mode::Tag, Mode::Seal] {
        let mut pair = Pair::new(mode, [1, 1]);
        let all = frames(1, 200);
        pair.gateways[0].near.lan.bring(all[..10].iter().cloned());
        pair.run(5);
        assert_eq!(pair.gateways[0].near.count("no_keys"), 10);
        pair.run(300);
        assert!(pair.are_up());
        for from in 0..2 {
            assert_eq!(pair.cross(from, &all), all);
            assert_eq!(pair.gateways[from].far.refusals(), []);
        }
        assert_eq!(pair.gateways[0].near.count("bypassed"), 0);
    }
}

#[test]
fn either_may_be_restarted_without_hands() {
    for mode in [Mode::Tag, Mode::Seal] {
        let mut pair = Pair::new(mode, [1, 1]);
        pair.run(300);
        // More often than keys are lent at a time; also within the same epoch, and with a clock set back.
        for (life, epoch) in (3..).zip([1, 2, 2, 0, 9, 10, 11, 12, 13, 14].map(|n| EPOCH + n)) {
            let who = usize::from(life) % 2;
            pair.gateways[who] = gateway([Side::West, Side::East][who], mode, epoch, 1, life);
            pair.run(700);
            assert!(pair.are_up(), "life {life}");
            let all = frames(life.into(), 100);
            for from in 0..2 {
                assert_eq!(pair.cross(from, &all), all, "life {life} from {from}");
            }
        }
    }
}

#[test]
fn another_key_lets_nothing_through() {
    let mut pair = Pair::new(Mode::Tag, [1, 2]);
    pair.run(5000);
    let all = frames(2, 50);
    for from in 0..2 {
        assert_eq!(pair.cross(from, &all), [[0u8; 0]; 0]);
        assert!(!pair.gateways[from].is_up());
        let events = pair.gateways[from].steward.supervisor_mut().take_events();
        let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
        assert!(matches!(&lines[..], [line] if line.contains("key")), "{lines:?}");
    }
}

/// The tracked connection of a storage process in the west.
struct Storage {
    subscriber: Subscriber,
    flow: Option<Flow>,
    _served: (Server, TempDir, Control),
}

impl Storage {
    fn new(west: &mut Gateway) -> Storage {
        let mut config = SegmentConfig::new(1, 1);
        (config.geometry.flows, config.geometry.ring) = (16, 1024);
        config.heartbeat_timeout = Duration::from_secs(3600);
        let mut segment = Segment::create(&config).unwrap();
        let filter = Filter::new(&[Rule { port: Some(5432), ..Rule::default() }]);
        let blueprint = keyed(Side::West, Mode::Tag);
        let publisher = PublisherConfig {
            filter: filter.clone(),
            flows: 16,
            levels: blueprint.levels(),
            span: blueprint.span(),
            exit: Exit::default(),
            idle: None,
            clock: now_ns(),
            told: Arc::new(Told::default()),
        };
        west.near.room.tell(Publisher::new(publisher, segment.workers.pop().unwrap()));
        west.far.room.read_acks(Acks::new(filter, segment.acks.pop().unwrap()));
        segment.control.publish_code("4:5,7+g1", 2, &[[1.0; 8]; 4]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let server = ServerConfig { path: path.clone(), mode: 0o600, group: None };
        let server = Server::start(&server, segment.file).unwrap();
        let subscriber = subscribe(path).unwrap();
        Storage { subscriber, flow: None, _served: (server, folder, segment.control) }
    }

    /// Sent, levels 1 and 2, acknowledged.
    fn watermarks(&mut self) -> [u64; 4] {
        let key = FlowKey::v4([10, 1, 0, 1], 9, [10, 1, 0, 2], 5432);
        let flow = self.flow.get_or_insert_with(|| self.subscriber.flow_by(key));
        [flow.sent(), flow.watermark(1), flow.watermark(2), flow.acked()]
            .map(|mark| mark.unwrap_or(0))
    }
}

/// A segment of that connection, from either end.
fn tcp(from: u16, to: u16, seq: u32, ack: u32, flags: u8, payload: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend((40 + payload as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    let (near, far) = ([10, 1, 0, 1], [10, 1, 0, 2]);
    frame.extend(if to == 5432 { [near, far].concat() } else { [far, near].concat() });
    frame.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    frame.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    frame.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    frame.resize(frame.len() + payload, seq as u8);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// All that anybody could notice of a run.
#[derive(Debug, Default, PartialEq)]
struct Course {
    /// What came out at each end, and what west's storage process was told, by millisecond.
    out: Vec<[Packets; 2]>,
    told: Vec<[u64; 4]>,
    /// The counters of each end, but those of what was refused, and what its control took in.
    good: [Vec<(&'static str, u64)>; 2],
    taken: [u64; 2],
    events: [Vec<String>; 2],
    recovered: [u64; 2],
}

/// Traffic both ways for so long, of which one packet in 20 is lost; between these packets, `attack` so many
/// of somebody else's at each end and millisecond.
fn course(mode: Mode, seed: u64, ms: u64, attack: usize) -> (Course, u64) {
    let mut pair = Pair::new(mode, [1, 1]);
    let mut storage = Storage::new(&mut pair.gateways[0]);
    let (mut random, mut stranger) = (Random(seed), Stranger::new(seed));
    let mut course = Course::default();
    let mut count = 0;
    pair.run(300);
    pair.gateways[0].near.lan.bring([tcp(9, 5432, 0, 0, 2, 0)]);
    let (mut sent, mut acked) = (0u32, 0u32);
    for _ in 0..ms {
        let lans = [&pair.gateways[0].near.lan, &pair.gateways[1].near.lan];
        for _ in 0..random.below(4) {
            let len = 100 + random.below(1300) as usize;
            lans[0].bring([tcp(9, 5432, 1 + sent, 0, 16, len)]);
            sent += len as u32;
        }
        acked += random.below(u64::from(sent - acked) + 1) as u32;
        lans[1].bring([tcp(5432, 9, 1, 1 + acked, 16, 100)]);
        pair.step(&mut |to, packets| {
            // Hellos arrive, since who hears of a silence is not what this is about.
            let is_control = |packet: &[u8]| packet[SHIM] >> 2 & 3 == Kind::Control as u8;
            let arrives = |packet: &&Vec<u8>| is_control(packet) || random.below(20) > 0;
            let arriving: Packets = packets.iter().filter(arrives).cloned().collect();
            let mut wire = arriving.clone();
            for _ in 0..attack {
                let at = stranger.random.below(wire.len() as u64 + 1) as usize;
                wire.insert(at, stranger.packet(to));
                count += 1;
            }
            stranger.hears(to, &packets, &arriving);
            wire
        });
        course.out.push([0, 1].map(|n| pair.gateways[n].far.lan.take_sent()));
        course.told.push(storage.watermarks());
        assert!(pair.are_up(), "seed {seed}");
    }
    for (n, gateway) in pair.gateways.iter_mut().enumerate() {
        let counters = gateway.far.room.counters();
        let refused: Vec<&str> = counters.rejected().map(|(name, _)| name).collect();
        let others = ["wan_in", "wan_in_bytes", "duplicates_suppressed"];
        let handshakes = ["handshakes_heard", "handshakes_unheard"];
        let good = |name: &&str| {
            !refused.contains(name) && !others.contains(name) && !handshakes.contains(name)
        };
        course.good[n] = counters.each().filter(|(name, _)| good(name)).collect();
        course.recovered[n] = gateway.far.count("recovered");
        let supervisor = gateway.steward.supervisor_mut();
        course.taken[n] = supervisor.tally().taken;
        course.events[n] = supervisor.take_events().iter().map(ToString::to_string).collect();
    }
    (course, count)
}

/// Somebody who hears and sends whatever he likes, and has not the key.
struct Stranger {
    random: Random,
    /// What went to each end, the latest.
    seen: [Packets; 2],
    /// What arrived there.
    arrived: [Packets; 2],
}

impl Stranger {
    fn new(seed: u64) -> Stranger {
        Stranger { random: Random(!seed), seen: Default::default(), arrived: Default::default() }
    }

    fn remember(random: &mut Random, memory: &mut Packets, packet: &[u8]) {
        // The latest, and some of long ago.
        match memory.len() < 2000 {
            true => memory.push(packet.to_vec()),
            false => memory[random.below(2000) as usize] = packet.to_vec(),
        }
    }

    /// These were sent to an end, and of them those arrived.
    fn hears(&mut self, to: usize, sent: &Packets, arrived: &Packets) {
        let Stranger { random, seen, arrived: before } = self;
        for (memory, packets) in [(&mut seen[to], sent), (&mut before[to], arrived)] {
            packets.iter().for_each(|packet| Stranger::remember(random, memory, packet));
        }
    }

    fn packet(&mut self, to: usize) -> Vec<u8> {
        let Stranger { random, seen, arrived } = self;
        let pick = |random: &mut Random, from: &Packets| match from.len() as u64 {
            0 => vec![0; 80],
            len => from[random.below(len) as usize].clone(),
        };
        // What the peer of this end sends as, and what it says to the other end.
        let channel = [EAST, WEST][to];
        let mut packet = pick(random, &seen[to]);
        let len = packet.len() as u64;
        match random.below(10) {
            // It comes again, as often as he likes.
            0..=2 => return pick(random, &arrived[to]),
            3 => return pick(random, &seen[1 - to]),
            4 => flip(random, &mut packet, 64.min(len)),
            5 => packet.truncate(SHIM + 1 + random.below(len - SHIM as u64 - 1) as usize),
            6 => {
                // Another number, and perhaps another epoch.
                let seq = random.next() >> (2 + random.below(60));
                packet[SHIM + 8..SHIM + 16].copy_from_slice(&seq.to_be_bytes());
                packet[SHIM + 7] ^= random.below(2) as u8;
            }
            7 => {
                // A right check, which is everybody's to make.
                let frame = tcp(9, 5432, random.next() as u32, 0, 16, 100);
                let epoch = EPOCH + random.below(2) as u32;
                return source(channel, epoch, random.below(5000), &frame);
            }
            8 => {
                // A handshake with a right check, of whatever is known of one, and hellos without a tag.
                let mut fields = vec![0; 20 + random.below(80) as usize];
                random.fill(&mut fields);
                if let Some(known) =
                    seen[to].iter().find(|packet| packet[SHIM] & 3 == Integrity::Check as u8)
                    && let Ok((shim, rest)) = Shim::parse(&known[SHIM..])
                {
                    fields = rest[2..usize::from(shim.length)].to_vec();
                    if random.below(2) == 0 {
                        let at = random.below(fields.len() as u64) as usize;
                        fields[at] ^= 1 << random.below(8);
                    }
                }
                let kind = [Type::Handshake, Type::Hello][random.below(4) as usize / 3];
                let epoch = EPOCH + random.below(3) as u32;
                let sender = control::Sender { channel, epoch };
                let parcel = control::emit(sender, random.below(1 << 40), kind, &fields).unwrap();
                let mut bytes = packet[..SHIM].to_vec();
                bytes.extend(parcel.bytes());
                return bytes;
            }
            _ => return tcp(9, 5432, random.next() as u32, 0, 16, 200),
        }
        // A change may be none, or make it another good packet.
        if seen[to].contains(&packet) || packet == vec![0; 80] {
            flip(random, &mut packet, 64);
        }
        packet
    }
}

/// Changes a bit of what is looked at: the outer addresses are not.
fn flip(random: &mut Random, packet: &mut [u8], within: u64) {
    let span = within.min(packet.len() as u64) - 12;
    packet[12 + random.below(span) as usize] ^= 1 << random.below(8);
}

/// He gets nothing into either LAN, changes no watermark, and costs no frame: everything is, to the
/// millisecond, as without him.
fn changes_nothing(mode: Mode, seed: u64, ms: u64, attack: usize) -> u64 {
    let (alone, _) = course(mode, seed, ms, 0);
    let (beset, count) = course(mode, seed, ms, attack);
    for (n, ((a, b), (c, d))) in
        alone.out.iter().zip(&beset.out).zip(alone.told.iter().zip(&beset.told)).enumerate()
    {
        assert!(a == b, "seed {seed}: other frames in millisecond {n}");
        assert_eq!(c, d, "seed {seed}: other watermarks in millisecond {n}");
    }
    let Course { good, taken, events, .. } = &beset;
    assert_eq!((&alone.good, &alone.taken), (good, taken), "seed {seed}");
    assert_eq!(&alone.events, events, "seed {seed}");
    assert!(alone.recovered.iter().all(|&count| count > ms / 100), "{:?}", alone.recovered);
    let [sent, first, second, acked] = *alone.told.last().unwrap();
    assert!(sent > 0 && first > 0 && second > 0 && acked > 0, "{:?}", alone.told.last());
    count
}

#[test]
fn a_million_packets_of_a_stranger_change_nothing() {
    let mut count = 0;
    for (seed, mode) in (1..).zip([Mode::Tag, Mode::Seal]) {
        count += changes_nothing(mode, seed, 1250, 200);
    }
    assert_eq!(count, 1_000_000);
}
