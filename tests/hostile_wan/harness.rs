//! A western `protect` that makes good packets, an eastern `recover` that is fed anything, and
//! what is needed to forge packets with right checks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use maelstrom::dpdk::{Burst, Eal, EalConfig, Mempool, mempool};
use maelstrom::fec::Repair;
use maelstrom::gateway::{Blueprint, Oversize, Protect, Receive, Recover, Room, Side, Transmit};
use maelstrom::wire::outer::{ETHERTYPE, Ether};
use maelstrom::wire::repair::{self, repair_key};
use maelstrom::wire::shim::{Integrity, Kind, Shim, source_key};
use zerocopy::IntoBytes;

pub const EPOCH: u32 = 1000;
pub const WEST: u8 = 0;
pub const EAST: u8 = 0x80;
/// Where the shim begins in a packet.
pub const SHIM: usize = 14;

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

/// A port made of two lists, and of how much it takes.
#[derive(Clone, Default)]
pub struct Port {
    pub waiting: Arc<Mutex<VecDeque<Vec<u8>>>>,
    pub sent: Arc<Mutex<Vec<Vec<u8>>>>,
    /// How many packets it takes in each of the next calls; after these, all.
    pub takes: Arc<Mutex<VecDeque<usize>>>,
    /// Frames come without headroom.
    pub tight: bool,
}

impl Port {
    pub fn bring(&self, packets: impl IntoIterator<Item = Vec<u8>>) {
        self.waiting.lock().unwrap().extend(packets);
    }

    pub fn is_drained(&self) -> bool {
        self.waiting.lock().unwrap().is_empty()
    }

    pub fn take_sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

impl Receive for Port {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let mut waiting = self.waiting.lock().unwrap();
        while !burst.is_full()
            && let Some(bytes) = waiting.pop_front()
        {
            let mut mbuf = pool().alloc().expect("a leak: the pool is empty");
            if self.tight {
                let at = mbuf.headroom();
                mbuf.prepend(at).unwrap();
                mbuf.truncate(bytes.len().min(at));
                let end = mbuf.len();
                mbuf.data_mut().unwrap().copy_from_slice(&bytes[..end]);
            }
            let have = mbuf.len();
            mbuf.append(bytes.len() - have).unwrap().copy_from_slice(&bytes[have..]);
            burst.push(mbuf);
        }
    }
}

impl Transmit for Port {
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        let takes = self.takes.lock().unwrap().pop_front().unwrap_or(usize::MAX);
        let taken = burst.drain(..takes.min(burst.len()));
        self.sent.lock().unwrap().extend(taken.map(|mbuf| mbuf.data().to_vec()));
    }
}

/// A small code, whose spans a short test fills; nothing unprotected crosses.
pub fn blueprint(side: Side) -> Blueprint {
    let code = "4:5,7+g1".parse().unwrap();
    Blueprint {
        oversize: Oversize::Drop,
        wan_mtu: 1600,
        sparse: None,
        ..Blueprint::new(side, code)
    }
}

/// The western gateway's way out.
pub struct Near {
    pub room: Protect<Port, Port>,
    pub lan: Port,
    pub wan: Port,
    pub now: u64,
}

impl Near {
    pub fn new(epoch: u32) -> Near {
        Near::of(&blueprint(Side::West), epoch)
    }

    pub fn of(blueprint: &Blueprint, epoch: u32) -> Near {
        let (lan, wan) = (Port::default(), Port::default());
        let config = blueprint.protect(0, epoch, [2; 6], [0xFF; 6]);
        let room = Protect::new(config, lan.clone(), wan.clone(), pool());
        Near { room, lan, wan, now: 0 }
    }

    /// The packets of these frames and, once all is quiet, all their repairs.
    pub fn send(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.lan.bring(frames.iter().cloned());
        while !self.lan.is_drained() {
            self.now += 1000;
            self.room.poll(self.now);
        }
        while let Some(next) = self.room.next_deadline() {
            self.now = next.max(self.now + 1);
            self.room.poll(self.now);
        }
        self.wan.take_sent()
    }

    pub fn count(&self, name: &str) -> u64 {
        value(self.room.counters().each(), name)
    }
}

/// The eastern gateway's way in.
pub struct Far {
    pub room: Recover<Port, Port, ()>,
    pub wan: Port,
    pub lan: Port,
    pub now: u64,
}

impl Far {
    pub fn new() -> Far {
        Far::of(&blueprint(Side::East))
    }

    pub fn of(blueprint: &Blueprint) -> Far {
        let (wan, lan) = (Port::default(), Port::default());
        let room = Recover::new(blueprint.recover(0), wan.clone(), lan.clone(), pool(), ());
        Far { room, wan, lan, now: 0 }
    }

    /// What comes out when these come in.
    pub fn feed(&mut self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.wan.bring(packets.iter().cloned());
        while !self.wan.is_drained() {
            self.now += 1000;
            self.room.poll(self.now);
        }
        self.now += 1000;
        self.room.poll(self.now);
        self.lan.take_sent()
    }

    pub fn count(&self, name: &str) -> u64 {
        value(self.room.counters().each(), name)
    }

    /// The counters that say why something was rejected, without the zeros.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.room.counters().rejected().filter(|&(_, count)| count > 0).collect()
    }

    /// Good traffic from `near` flows and is repaired, whatever came before.
    pub fn works(&mut self, near: &mut Near) {
        let frames = frames(near.now ^ 0xABCD, 300);
        let packets = near.send(&frames);
        let recovered = self.count("recovered");
        let is_source = |packet: &[u8]| packet[SHIM] >> 2 & 3 == Kind::Source as u8;
        let lost = |n: usize, packet: &[u8]| n % 20 == 10 && is_source(packet);
        let arriving = packets.iter().enumerate().filter(|(n, packet)| !lost(*n, packet));
        let arriving: Vec<Vec<u8>> = arriving.map(|(_, packet)| packet.clone()).collect();
        assert!(packets.len() - arriving.len() > 10);
        let mut out = self.feed(&arriving);
        out.sort();
        let mut expected = frames;
        expected.sort();
        assert!(out == expected, "{} of {} came out", out.len(), expected.len());
        let rebuilt = self.count("recovered") - recovered;
        assert_eq!(rebuilt, (packets.len() - arriving.len()) as u64);
    }
}

fn value<'a>(mut counters: impl Iterator<Item = (&'a str, u64)>, name: &str) -> u64 {
    counters.find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no counter {name}")).1
}

/// Different frames of 60 to 1459 bytes.
pub fn frames(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut random = crate::common::Random(seed);
    let lengths = |random: &mut crate::common::Random| 60 + random.below(1400) as usize;
    (0..count)
        .map(|_| {
            let len = lengths(&mut random);
            crate::common::frame(&mut random, len)
        })
        .collect()
}

fn outer() -> Vec<u8> {
    let ethertype = ETHERTYPE.into();
    Ether { destination: [0xFF; 6], source: [2; 6], ethertype }.as_bytes().to_vec()
}

/// A source packet with a right check.
pub fn source(channel: u8, epoch: u32, seq: u64, frame: &[u8]) -> Vec<u8> {
    let shim = Shim {
        kind: Kind::Source,
        integrity: Integrity::Check,
        channel,
        length: frame.len() as u16,
        epoch,
        seq,
        check: source_key(channel, epoch).check(seq, frame),
    };
    [&outer()[..], &shim.emit(), frame].concat()
}

/// A repair packet with a right check, whatever it says.
pub fn repair(channel: u8, epoch: u32, repair: &Repair<'_>) -> Vec<u8> {
    let mut packet = outer();
    packet.resize(SHIM + repair::packet_len(repair), 0);
    repair::emit(repair, channel, epoch, Some(repair_key(channel, epoch)), &mut packet[SHIM..]);
    packet
}

/// Makes the check of a repair packet right again.
pub fn bless(packet: &mut [u8]) {
    let seq = u64::from_be_bytes(packet[SHIM + 8..SHIM + 16].try_into().unwrap());
    let key = repair_key(packet[SHIM + 1], EPOCH);
    let check = key.check(seq, &packet[SHIM + 24..]);
    packet[SHIM + 16..SHIM + 24].copy_from_slice(&check.to_be_bytes());
}
