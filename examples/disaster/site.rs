//! Two whole gateways in virtual time: the rooms of `maelstrom run`, the segment that readers look into, and the
//! laboratory's link each way. West may die.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use maelstrom::dpdk::mbuf::{self, Burst};
use maelstrom::dpdk::mempool::DEFAULT_DATA_ROOM;
use maelstrom::dpdk::{Eal, EalConfig, Mempool, RxQueue, TxQueue, joined};
use maelstrom::gateway::flows::{Acks, Exit, Filter, Publisher, PublisherConfig, Rule, Told};
use maelstrom::gateway::{Blueprint, Protect, Recover, Room, Side};
use maelstrom::lab::link::{Link, LinkConfig};
use maelstrom::lab::loss::LossProcess;
use maelstrom::wire::outer::Ether;
use maelstrom::wire::shim::{Kind, Shim};
use netsync::{Control, Segment, SegmentConfig, Server, ServerConfig, Subscriber, now_ns};
use tempfile::TempDir;

use super::run::Scene;
use super::tcp::PORTS;

/// What lies between the gateway's port and the edge of the site, which dies with it. Watermarks know it as
/// `netsync.exit_delay`.
const EXIT: u64 = 100_000;

type ProtectRoom = Protect<RxQueue, TxQueue>;
type RecoverRoom = Recover<RxQueue, TxQueue, ()>;

/// Packet memory, which outlives a run.
pub struct Pools {
    packets: Mempool,
    eal: &'static Eal,
}

impl Pools {
    /// Once a process.
    pub fn new() -> Pools {
        static EAL: OnceLock<Eal> = OnceLock::new();
        let eal = EAL.get_or_init(|| {
            let config = EalConfig { hugepages: false, memory_mib: 512, ..EalConfig::default() };
            Eal::init(&config).expect("an EAL without hugepages")
        });
        let packets = Mempool::new(eal, "packets", 32_767, DEFAULT_DATA_ROOM).expect("a pool");
        Pools { packets, eal }
    }
}

/// One direction of the WAN: the way to the edge of the site, what chance takes there, and the wire.
struct Way {
    leaving: VecDeque<(u64, Vec<u8>)>,
    loss: LossProcess,
    link: Link,
    lost: u64,
    /// Whether repairs go no further.
    plain: bool,
}

impl Way {
    fn new(scene: &Scene, seed: u64, direction: u8) -> Way {
        let config = LinkConfig { delay_ns: scene.delay, mtu: 9000, ..LinkConfig::default() };
        Way {
            leaving: VecDeque::new(),
            loss: LossProcess::new(&scene.loss, seed, direction),
            link: Link::new(config),
            lost: 0,
            plain: scene.plain,
        }
    }

    /// What has come to the edge of the site by now enters the WAN, or is lost, if `lossy`.
    fn enter(&mut self, now: u64, lossy: bool) {
        while let Some((at, _)) = self.leaving.front()
            && *at <= now
            && let Some((at, packet)) = self.leaving.pop_front()
        {
            if self.plain && is_repair(&packet) {
                continue;
            }
            if lossy && self.loss.lost() {
                self.lost += 1;
            } else {
                self.link.enter(at, &packet);
            }
        }
    }

    fn leave(&mut self, now: u64) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.link.leave(now).map(|frame| frame.bytes.to_vec())).collect()
    }
}

/// See the module's head.
pub struct Sites {
    pub subscriber: Subscriber,
    control: Control,
    _served: (Server, TempDir),
    pool: Mempool,
    lan: (RxQueue, TxQueue),
    west: (ProtectRoom, RecoverRoom),
    wan: [(RxQueue, TxQueue); 2],
    east: (ProtectRoom, RecoverRoom),
    far: (RxQueue, TxQueue),
    eastward: Way,
    westward: Way,
}

impl Sites {
    /// At the beginning of time.
    pub fn new(pools: &Pools, scene: &Scene, seed: u64) -> Sites {
        let west = &scene.blueprint;
        let pool = pools.packets.clone();
        let ring = |name: &str| {
            let (a, b) = joined(pools.eal, name, 4095, &pool, 1).expect("two ports");
            let queues = |port: maelstrom::dpdk::Port| {
                (port.rx_queue(0).expect("its queue"), port.tx_queue(0).expect("its queue"))
            };
            (queues(a), queues(b))
        };
        let (lan, west_lan) = ring("west-lan");
        let (west_wan, wan_west) = ring("west-wan");
        let (wan_east, east_wan) = ring("east-wan");
        let (east_lan, far) = ring("east-lan");
        let east = Blueprint { side: Side::East, ..west.clone() };
        let (a, b) = ([2; 6], [4; 6]);
        let sparing = || pool.clone();
        let mut protect = Protect::new(west.protect(0, 1, a, b), west_lan.0, west_wan.1, sparing());
        let mut recover = Recover::new(west.recover(0), west_wan.0, west_lan.1, sparing(), ());
        let back = Protect::new(east.protect(0, 1, b, a), east_lan.0, east_wan.1, sparing());
        let arrive = Recover::new(east.recover(0), east_wan.0, east_lan.1, sparing(), ());

        let mut config = SegmentConfig::new(1, 1);
        (config.geometry.flows, config.geometry.ring) = (16, 1024);
        // Its heart beats in real time, which has nothing to do with what is shown here.
        config.heartbeat_timeout = Duration::from_secs(3600);
        let mut segment = Segment::create(&config).expect("a segment");
        let levels = west.code.layers().len();
        let filter = Filter::new(&[Rule { port: Some(PORTS.1), ..Rule::default() }]);
        let publisher = PublisherConfig {
            filter: filter.clone(),
            flows: 16,
            levels,
            span: west.span(),
            exit: Exit { delay: EXIT, ..Exit::default() },
            idle: None,
            clock: now_ns(),
            told: Arc::new(Told::default()),
        };
        protect.tell(Publisher::new(publisher, segment.workers.pop().expect("a writer")));
        recover.read_acks(Acks::new(filter, segment.acks.pop().expect("a writer")));
        segment.control.publish_code(&west.code.to_string(), levels, &scene.worth);
        segment.control.heartbeat(now_ns());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let server = ServerConfig { path: path.clone(), mode: 0o600, group: None };
        let server = Server::start(&server, segment.file).expect("a server");
        // The thread that answers may not get a core for a while.
        let subscriber = (0..100).find_map(|_| Subscriber::connect(&path).ok());
        Sites {
            subscriber: subscriber.expect("a segment"),
            control: segment.control,
            _served: (server, folder),
            pool,
            lan,
            west: (protect, recover),
            wan: [wan_west, wan_east],
            east: (back, arrive),
            far,
            eastward: Way::new(scene, seed, 0),
            westward: Way::new(scene, seed, 1),
        }
    }

    pub fn heartbeat(&mut self) {
        self.control.heartbeat(now_ns());
    }

    /// West gets these frames from its LAN. What has come to the edge of its site goes on before.
    pub fn west_sends(&mut self, now: u64, frames: &[Vec<u8>], lossy: bool) {
        self.eastward.enter(now, lossy);
        put(&self.pool, &mut self.lan.1, frames);
        while self.west.0.poll(now) > 0 {}
        let gone = take(&mut self.wan[0].0).into_iter().map(|packet| (now + EXIT, packet));
        self.eastward.leaving.extend(gone);
    }

    /// What west's LAN gets by now.
    pub fn west_gets(&mut self, now: u64) -> Vec<Vec<u8>> {
        put(&self.pool, &mut self.wan[0].1, &self.westward.leave(now));
        while self.west.1.poll(now) > 0 {}
        take(&mut self.lan.0)
    }

    /// What east's LAN gets by now.
    pub fn east_gets(&mut self, now: u64) -> Vec<Vec<u8>> {
        put(&self.pool, &mut self.wan[1].1, &self.eastward.leave(now));
        while self.east.1.poll(now) > 0 {}
        take(&mut self.far.0)
    }

    /// East gets these frames from its LAN.
    pub fn east_sends(&mut self, now: u64, frames: &[Vec<u8>], lossy: bool) {
        self.westward.enter(now, lossy);
        put(&self.pool, &mut self.far.1, frames);
        while self.east.0.poll(now) > 0 {}
        let gone = take(&mut self.wan[1].0).into_iter().map(|packet| (now, packet));
        self.westward.leaving.extend(gone);
    }

    /// All that has not left the site is lost with it.
    pub fn west_dies(&mut self) {
        self.eastward.leaving.clear();
    }

    /// Packets that the WAN took on their way east, and how many were rebuilt there.
    pub fn lost_and_rebuilt(&self) -> (u64, u64) {
        (self.eastward.lost, self.east.1.counters().recovered.get())
    }
}

fn is_repair(packet: &[u8]) -> bool {
    let shim = Ether::parse(packet).and_then(|(_, packet)| Shim::parse(packet).ok());
    shim.is_some_and(|(shim, _)| shim.kind == Kind::Repair)
}

fn put(pool: &Mempool, queue: &mut TxQueue, frames: &[Vec<u8>]) {
    let mut burst = Burst::new();
    for frames in frames.chunks(mbuf::BURST) {
        burst.extend(frames.iter().map(|frame| pool.copy_of(frame).expect("an mbuf")));
        queue.burst(&mut burst);
        assert!(burst.is_empty());
    }
}

fn take(queue: &mut RxQueue) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut burst = Burst::new();
    while queue.burst(&mut burst) > 0 {
        frames.extend(burst.drain(..).map(|mbuf| mbuf.data().to_vec()));
    }
    frames
}
