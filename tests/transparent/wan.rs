//! A pair of rooms, west's `protect` and east's `recover`, and rings on every side of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use maelstrom::dpdk::mbuf::Burst;
use maelstrom::dpdk::{Eal, EalConfig, Mempool, Port, RxQueue, TxQueue, joined};
use maelstrom::gateway::transparent::{Protect, Recover};
use maelstrom::gateway::{Blueprint, Room, Side};
use maelstrom::wire::encap::{Carrier, Encapsulation};

pub const ETHERTYPE: u16 = 0x88B5;

/// One EAL and one pool for all tests.
fn eal() -> &'static (Eal, Mempool) {
    static EAL: OnceLock<(Eal, Mempool)> = OnceLock::new();
    EAL.get_or_init(|| {
        let config = EalConfig { hugepages: false, memory_mib: 512, ..EalConfig::default() };
        let eal = Eal::init(&config).unwrap();
        let room = maelstrom::dpdk::mempool::data_room_for(9100);
        let pool = Mempool::new(&eal, "packets", 24_575, room).unwrap();
        (eal, pool)
    })
}

/// A small code, whose spans a short test fills, on a circuit of the LAN's own MTU.
pub fn blueprint() -> Blueprint {
    let carrier = Carrier::Transparent { ethertype: ETHERTYPE, routed: false };
    Blueprint {
        encapsulation: Encapsulation { vlan: None, carrier },
        wan_mtu: 1500,
        ..Blueprint::new(Side::West, "8:5,7,9+g1".parse().unwrap())
    }
}

/// The pool of all tests.
pub fn pool() -> Mempool {
    eal().1.clone()
}

/// Whether a packet on the WAN is one of our own: a part of a repair, or control's.
pub fn is_ours(packet: &[u8]) -> bool {
    packet[12..14] == ETHERTYPE.to_be_bytes()
}

/// See the module's head.
pub struct Pair {
    blueprint: Blueprint,
    name: u32,
    depth: u32,
    protect: Protect<RxQueue, TxQueue>,
    recover: Recover<RxQueue, TxQueue>,
    lan: TxQueue,
    wan: [(RxQueue, TxQueue); 1],
    out: RxQueue,
    _ports: Vec<(Port, Port)>,
    now: u64,
}

impl Pair {
    pub fn new(blueprint: &Blueprint, epoch: u32) -> Pair {
        Pair::with(blueprint, epoch, 1023)
    }

    /// With rings that are often full.
    pub fn tight(blueprint: &Blueprint, epoch: u32) -> Pair {
        Pair::with(blueprint, epoch, 15)
    }

    fn with(blueprint: &Blueprint, epoch: u32, depth: u32) -> Pair {
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let name = NAMES.fetch_add(10, Ordering::Relaxed);
        let (eal, pool) = eal();
        let ring = |n: u32, depth| joined(eal, &format!("r{}", name + n), depth, pool, 1).unwrap();
        let ports = [ring(0, 1023), ring(1, depth), ring(2, 1023), ring(3, depth)];
        let rx = |port: &Port| port.rx_queue(0).unwrap();
        let tx = |port: &Port| port.tx_queue(0).unwrap();
        let [lan, west, east, out] = &ports;
        let near = blueprint.protect_transparent(0, epoch, [2; 6], [4; 6]);
        let peer = Blueprint { side: Side::East, ..blueprint.clone() };
        let far = peer.recover_transparent(0);
        Pair {
            blueprint: blueprint.clone(),
            name,
            depth,
            protect: Protect::new(near, rx(&lan.1), tx(&west.0), pool.clone()),
            recover: Recover::new(far, rx(&east.1), tx(&out.0), pool.clone()),
            lan: tx(&lan.0),
            wan: [(rx(&west.1), tx(&east.0))],
            out: rx(&out.1),
            _ports: ports.into(),
            now: 0,
        }
    }

    /// Another life of the near gateway.
    pub fn restart_near(&mut self, epoch: u32) {
        let (eal, pool) = eal();
        self.name += 4;
        let ring =
            |n: u32, depth| joined(eal, &format!("r{}", self.name + n), depth, pool, 1).unwrap();
        let (lan, west) = (ring(0, 1023), ring(1, self.depth));
        let near = self.blueprint.protect_transparent(0, epoch, [2; 6], [4; 6]);
        let (from, to) = (lan.1.rx_queue(0).unwrap(), west.0.tx_queue(0).unwrap());
        self.protect = Protect::new(near, from, to, pool.clone());
        self.lan = lan.0.tx_queue(0).unwrap();
        self.wan[0].0 = west.1.rx_queue(0).unwrap();
        self._ports.extend([lan, west]);
    }

    /// Puts frames into the LAN's queue.
    pub fn bring(&mut self, frames: &[Vec<u8>]) {
        let mut burst = Burst::new();
        for frame in frames {
            burst.push(eal().1.copy_of(frame).expect("a leak: the pool is empty"));
        }
        self.lan.burst(&mut burst);
        assert!(burst.is_empty());
    }

    /// One turn of the near gateway; what it sent.
    pub fn turn_near(&mut self) -> Vec<Vec<u8>> {
        self.now += 1000;
        self.protect.poll(self.now);
        drain(&mut self.wan[0].0)
    }

    /// The packets of these frames and, once all is quiet, all their repairs.
    pub fn send(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut wire = Vec::new();
        for burst in frames.chunks(32) {
            self.bring(burst);
            // More turns than it takes, also if the way out is narrow.
            for _ in 0..8 {
                wire.extend(self.turn_near());
            }
        }
        while let Some(next) = self.protect.next_deadline() {
            self.now = next.max(self.now + 1);
            for _ in 0..8 {
                wire.extend(self.turn_near());
            }
        }
        wire
    }

    /// What comes out when these come in.
    pub fn receive(&mut self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for packets in packets.chunks(16) {
            let mut burst = Burst::new();
            for packet in packets {
                burst.push(eal().1.copy_of(packet).expect("a leak: the pool is empty"));
            }
            self.wan[0].1.burst(&mut burst);
            for _ in 0..4 {
                self.now += 1000;
                self.recover.poll(self.now);
                out.extend(drain(&mut self.out));
            }
        }
        out
    }

    /// A counter of the near room.
    pub fn near(&self, name: &str) -> u64 {
        value(self.protect.counters().each(), name)
    }

    /// A counter of the far room.
    pub fn far(&self, name: &str) -> u64 {
        value(self.recover.counters().each(), name)
    }
}

fn drain(queue: &mut RxQueue) -> Vec<Vec<u8>> {
    let mut burst = Burst::new();
    let mut packets = Vec::new();
    while queue.burst(&mut burst) > 0 {
        packets.extend(burst.drain(..).map(|mbuf| mbuf.data().to_vec()));
    }
    packets
}

fn value<'a>(mut counters: impl Iterator<Item = (&'a str, u64)>, name: &str) -> u64 {
    counters.find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no counter {name}")).1
}
