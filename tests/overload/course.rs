//! West's `protect`, a link of a rate, and east's `recover`, from event to event.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use maelstrom::dpdk::{Burst, Eal, EalConfig, Mempool, mempool};
use maelstrom::gateway::bucket::{DEPTH_NS, wire_bytes};
use maelstrom::gateway::{Blueprint, Protect, Receive, Recover, Room, Side, Transmit};
use maelstrom::lab::link::{Link, LinkConfig};
use maelstrom::lab::loss::LossModel;
use maelstrom::wire::outer::Ether;
use maelstrom::wire::{Kind, RepairHeader, Shim};

/// One pool for all tests: EAL starts once in a process.
pub fn pool() -> Mempool {
    static POOL: OnceLock<Mempool> = OnceLock::new();
    let make = || {
        let config = EalConfig { hugepages: false, memory_mib: 256, ..EalConfig::default() };
        let eal = Eal::init(&config).unwrap();
        Mempool::new(&eal, "packets", 32_767, mempool::DEFAULT_DATA_ROOM).unwrap()
    };
    POOL.get_or_init(make).clone()
}

pub const DELAY: u64 = 1_000_000;

/// A packet that went into the link.
#[derive(Clone, Debug)]
pub struct Departure {
    pub at: u64,
    /// Of link.
    pub bytes: u64,
    /// None for a source packet.
    pub layer: Option<u8>,
}

/// Frames that come at their times.
struct Lan(Arc<Mutex<VecDeque<Arrival>>>);

type Arrival = (u64, Vec<u8>);

impl Receive for Lan {
    fn receive(&mut self, now: u64, burst: &mut Burst) {
        let mut frames = self.0.lock().unwrap();
        while !burst.is_full() && frames.front().is_some_and(|(at, _)| *at <= now) {
            let (_, frame) = frames.pop_front().unwrap();
            burst.push(pool().copy_of(&frame).expect("a leak: the pool is empty"));
        }
    }
}

/// The near end of the link, and who watches it.
pub struct Wire {
    pub link: Link,
    pub departures: Vec<Departure>,
    /// How many repairs of each source packet have left.
    pub levels: Vec<u8>,
}

#[derive(Clone)]
struct Near(Arc<Mutex<Wire>>);

impl Transmit for Near {
    fn transmit(&mut self, now: u64, burst: &mut Burst) {
        let Wire { link, departures, levels } = &mut *self.0.lock().unwrap();
        for mbuf in burst.drain(..) {
            let packet = mbuf.data();
            link.enter(now, packet);
            let (_, rest) = Ether::parse(packet).unwrap();
            let (shim, rest) = Shim::parse(rest).unwrap();
            let layer = match shim.kind {
                Kind::Source => {
                    assert_eq!(shim.seq, levels.len() as u64);
                    levels.push(0);
                    None
                }
                Kind::Repair => {
                    let (header, _) = RepairHeader::parse(&shim, rest, None).unwrap();
                    header.members.for_each(|seq| levels[seq as usize] += 1);
                    Some(header.layer)
                }
                Kind::Control | Kind::Named => unreachable!("there is no control"),
            };
            departures.push(Departure { at: now, bytes: wire_bytes(packet.len()), layer });
        }
    }
}

/// A port made of a list.
#[derive(Clone, Default)]
struct Far(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Receive for Far {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let mut frames = self.0.lock().unwrap();
        while !burst.is_full()
            && let Some(frame) = frames.pop_front()
        {
            burst.push(pool().copy_of(&frame).expect("a leak: the pool is empty"));
        }
    }
}

impl Transmit for Far {
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        self.0.lock().unwrap().extend(burst.drain(..).map(|mbuf| mbuf.data().to_vec()));
    }
}

/// What is run.
pub struct Course {
    pub west: Blueprint,
    /// Of the link.
    pub rate: u64,
    pub loss: &'static str,
    /// The least time from one turn to the next: a worker that rests.
    pub nap: u64,
    /// When west is told to end, if it is.
    pub stop: Option<u64>,
}

/// How it went.
pub struct Result {
    pub counters: Vec<(&'static str, u64)>,
    pub dropped: u64,
    pub departures: Vec<Departure>,
    /// Of each source packet.
    pub levels: Vec<u8>,
    pub tail_dropped: u64,
    /// What came out on the far LAN.
    pub out: Vec<Vec<u8>>,
    /// When the last of it did.
    pub end: u64,
}

impl Course {
    pub fn new(west: Blueprint, rate: u64) -> Course {
        Course { west, rate, loss: "none", nap: 0, stop: None }
    }

    pub fn run(&self, frames: &[(u64, Vec<u8>)]) -> Result {
        let link = Link::new(LinkConfig {
            rate_bps: Some(self.rate),
            mtu: self.west.wan_mtu,
            delay_ns: DELAY,
            loss: self.loss.parse::<LossModel>().unwrap(),
            ..LinkConfig::default()
        });
        let wire = Wire { link, departures: Vec::new(), levels: Vec::new() };
        let wire = Arc::new(Mutex::new(wire));
        let lan = Arc::new(Mutex::new(VecDeque::from(frames.to_vec())));
        let (arriving, out) = (Far::default(), Far::default());
        let east = Blueprint { side: Side::East, limit: None, ..self.west.clone() };
        let config = self.west.protect(0, 1, [2; 6], [4; 6]);
        let mut near = Protect::new(config, Lan(lan.clone()), Near(wire.clone()), pool());
        let mut far = Recover::new(east.recover(0), arriving.clone(), out.clone(), pool(), ());
        let (mut now, mut end) = (0, 0);
        let mut ended = false;
        loop {
            match self.stop.is_some_and(|stop| stop <= now) {
                false => while near.poll(now) > 0 {},
                true if ended => lan.lock().unwrap().clear(),
                true => ended = near.finish(now),
            }
            let before = out.0.lock().unwrap().len();
            while let Some(frame) = wire.lock().unwrap().link.leave(now) {
                arriving.0.lock().unwrap().push_back(frame.bytes.to_vec());
            }
            while far.poll(now) > 0 {}
            if out.0.lock().unwrap().len() > before {
                end = now;
            }
            let arrival = lan.lock().unwrap().front().map(|(at, _)| *at);
            let exit = wire.lock().unwrap().link.next_exit();
            let due = near.next_deadline().filter(|_| !ended);
            let next = [arrival, due, exit].into_iter().flatten().min();
            let Some(next) = next else { break };
            now = next.max(now + 1 + self.nap);
        }
        assert!(ended || near.finish(now), "nothing is left to do");
        let counters = near.counters();
        drop((near, far));
        let wire = Arc::into_inner(wire).unwrap().into_inner().unwrap();
        Result {
            counters: counters.each().collect(),
            dropped: counters.dropped().map(|(_, count)| count).sum(),
            departures: wire.departures,
            levels: wire.levels,
            tail_dropped: wire.link.counters().tail_dropped,
            out: Arc::into_inner(out.0).unwrap().into_inner().unwrap().into(),
            end,
        }
    }
}

impl Result {
    pub fn count(&self, name: &str) -> u64 {
        self.counters.iter().find(|(other, _)| *other == name).unwrap().1
    }

    /// What must hold of every run: every frame came out or was counted, in order and unharmed; no
    /// stretch of time had more bytes than it may.
    pub fn is_sound(&self, what: &str, frames: &[(u64, Vec<u8>)], rate: u64) {
        let n = |name| self.count(name);
        assert_eq!(n("lan_in"), frames.len() as u64, "{what}");
        assert_eq!(n("overload_waiting"), 0, "{what}");
        assert_eq!(n("lan_in"), n("source_sent") + n("bypassed") + self.dropped, "{what}");
        let bytes: u64 = frames.iter().map(|(_, frame)| frame.len() as u64).sum();
        assert_eq!(n("lan_in_bytes"), bytes, "{what}");
        assert_eq!(n("source_sent"), self.levels.len() as u64, "{what}");
        let repairs = self.departures.iter().filter(|packet| packet.layer.is_some()).count();
        assert_eq!(n("repair_sent"), repairs as u64, "{what}");
        assert_eq!(self.tail_dropped, 0, "{what}");
        assert_eq!(self.out.len(), self.levels.len(), "{what}");
        let mut sent = frames.iter();
        let in_order = self.out.iter().all(|out| sent.any(|(_, frame)| frame == out));
        assert!(in_order, "{what}");
        // With S(t) bytes gone at t, S(b) − S(a) ≤ rate (b − a) + allowance for all a < b just if
        // S(b) − rate b never exceeds its least value before by more.
        let per_ns = rate as f64 / 8e9;
        let longest = self.departures.iter().map(|packet| packet.bytes).max().unwrap();
        let allowance = DEPTH_NS as f64 * per_ns + longest as f64;
        let (mut gone, mut least) = (0.0, f64::MAX);
        for packet in &self.departures {
            let due = packet.at as f64 * per_ns;
            least = f64::min(least, gone - due);
            gone += packet.bytes as f64;
            assert!(gone - due - least <= allowance + 0.5, "{what}: at {} ns", packet.at);
        }
    }

    /// Bytes of link that sources and repairs took, until the last source had gone; and when that was.
    pub fn while_sources_went(&self) -> (u64, u64, u64) {
        let last = self.departures.iter().rposition(|packet| packet.layer.is_none()).unwrap();
        let sum = |source: bool| {
            let of_kind = self.departures[..=last].iter().filter(|p| p.layer.is_none() == source);
            of_kind.map(|packet| packet.bytes).sum()
        };
        (sum(true), sum(false), self.departures[last].at)
    }
}
