//! West, a WAN that does what it may, and east, in virtual time; on west's LAN senders, on east's
//! receivers that acknowledge.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use maelstrom::dpdk::mbuf::{self, Burst};
use maelstrom::dpdk::mempool::DEFAULT_DATA_ROOM;
use maelstrom::dpdk::{Eal, EalConfig, Mempool, RxQueue, TxQueue, joined};
use maelstrom::fec::Codes;
use maelstrom::gateway::flows::{Acks, Exit, Filter, Publisher, PublisherConfig, Rule, Told};
use maelstrom::gateway::post::{
    CodeNews, Obeyed, ProtectOrder, Receiver as Inbox, Sender, mailbox,
};
use maelstrom::gateway::{Blueprint, Limit, Protect, Recover, Room, Side};
use maelstrom::lab::loss::LossProcess;
use maelstrom::wire::shim::Integrity;
use maelstrom::wire::tcp::{Flag, Segment as TcpSegment};
use netsync::{Control, Segment, SegmentConfig, Server, ServerConfig, Subscriber, now_ns};
use tempfile::TempDir;

use crate::common::{Random, subscribe};
use crate::truth::Truth;

/// What happens to packets on the way east.
pub struct Wan {
    pub loss: &'static str,
    /// How many of 100 packets are late.
    pub late: u64,
    /// How many of 100 come twice.
    pub twice: u64,
    /// What west's `protect` keeps to.
    pub limit: Option<Limit>,
}

/// One way of the WAN.
#[derive(Default)]
struct Way {
    /// By when they arrive, and the order of sending.
    flying: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    count: u64,
}

/// One-way delay.
const DELAY: u64 = 2_000_000;
pub const EXIT_DELAY: u64 = 30_000;

pub struct Bench {
    pub random: Random,
    pub truth: Truth,
    pub subscriber: Subscriber,
    pub now: u64,
    control: Control,
    _served: (Server, TempDir),
    pool: Mempool,
    lan: (RxQueue, TxQueue),
    west: (Protect<RxQueue, TxQueue>, Recover<RxQueue, TxQueue, ()>),
    wan: [(RxQueue, TxQueue); 2],
    east: (Protect<RxQueue, TxQueue>, Recover<RxQueue, TxQueue, ()>),
    far: (RxQueue, TxQueue),
    behaviour: Wan,
    loss: LossProcess,
    ways: [Way; 2],
    receivers: HashMap<u16, Receiver>,
    /// Control's ends of the post; west as it was made; how many changes of the code were posted, and how
    /// many came to their end.
    post: (Sender<ProtectOrder>, Inbox<CodeNews>),
    blueprint: Blueprint,
    posted: u64,
    pub changes: u64,
}

/// What the far TCP has of a flow.
struct Receiver {
    next: u32,
    /// By distance from `next` when they came: pieces that came too early.
    early: BTreeMap<u32, u32>,
}

fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| {
        let config = EalConfig { hugepages: false, memory_mib: 512, ..EalConfig::default() };
        Eal::init(&config).expect("an EAL without hugepages")
    })
}

impl Bench {
    /// Repairs are made of a pool of `spare` mbufs, so that a few may be shed.
    pub fn new(seed: u64, behaviour: Wan, spare: u32) -> Bench {
        let eal = eal();
        let pool = Mempool::new(eal, "packets", 16_383, DEFAULT_DATA_ROOM).expect("a pool");
        let few = Mempool::new(eal, "repairs", spare, DEFAULT_DATA_ROOM).expect("a pool");
        let ring = |name: &str| {
            let (a, b) = joined(eal, name, 4095, &pool, 1).expect("two ports");
            let queues = |port: maelstrom::dpdk::Port| {
                (port.rx_queue(0).expect("its queue"), port.tx_queue(0).expect("its queue"))
            };
            (queues(a), queues(b))
        };
        let (lan, west_lan) = ring("west-lan");
        let (west_wan, wan_west) = ring("west-wan");
        let (wan_east, east_wan) = ring("east-wan");
        let (east_lan, far) = ring("east-lan");
        let code = "8:21,23,25+g1".parse().expect("a code");
        let mut west = Blueprint {
            wan_mtu: 1900,
            integrity: Integrity::Off,
            limit: behaviour.limit,
            ..Blueprint::new(Side::West, code)
        };
        // So that bursts are dense traffic, and single frames are not.
        west.timing.latency = 500_000;
        let east = Blueprint { side: Side::East, ..west.clone() };
        let (a, b) = ([2; 6], [4; 6]);
        let mut protect = Protect::new(west.protect(0, 1, a, b), west_lan.0, west_wan.1, few);
        let mut recover = Recover::new(west.recover(0), west_wan.0, west_lan.1, pool.clone(), ());
        let back = Protect::new(east.protect(0, 1, b, a), east_lan.0, east_wan.1, pool.clone());
        let arrive = Recover::new(east.recover(0), east_wan.0, east_lan.1, pool.clone(), ());

        let mut config = SegmentConfig::new(1, 1);
        (config.geometry.flows, config.geometry.ring) = (16, 1024);
        config.heartbeat_timeout = Duration::from_secs(3600);
        let mut segment = Segment::create(&config).expect("a segment");
        let filter = Filter::new(&[Rule { port: Some(5432), ..Rule::default() }]);
        let publisher = PublisherConfig {
            filter: filter.clone(),
            flows: 16,
            levels: 3,
            span: west.span(),
            exit: Exit { delay: EXIT_DELAY, ..Exit::default() },
            idle: None,
            clock: now_ns(),
            told: Arc::new(Told::default()),
        };
        protect.tell(Publisher::new(publisher, segment.workers.pop().expect("a writer")));
        let ((orders, inbox), (told, news)) = (mailbox(4), mailbox(4));
        protect.obey(inbox, Obeyed::default(), told);
        recover.read_acks(Acks::new(filter, segment.acks.pop().expect("a writer")));
        segment.control.publish_code("8:21,23,25+g1", 3, &[[1.0; 8]; 4]);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let server = ServerConfig { path: path.clone(), mode: 0o600, group: None };
        let server = Server::start(&server, segment.file).expect("a server");
        Bench {
            random: Random(seed),
            truth: Truth::default(),
            subscriber: subscribe(path).expect("a segment"),
            now: 0,
            control: segment.control,
            _served: (server, folder),
            pool,
            lan,
            west: (protect, recover),
            wan: [wan_west, wan_east],
            east: (back, arrive),
            far,
            loss: LossProcess::new(&behaviour.loss.parse().expect("a loss model"), seed, 0),
            behaviour,
            ways: Default::default(),
            receivers: HashMap::new(),
            post: (orders, news),
            blueprint: west,
            posted: 0,
            changes: 0,
        }
    }

    /// Another code, as control posts it, unless the last change is not over yet.
    pub fn change_code(&mut self) {
        while let Some(news) = self.post.1.receive() {
            match news {
                CodeNews::From(_) => {}
                CodeNews::Refused(_) => panic!("one change at a time"),
                CodeNews::Retired(_) => self.changes += 1,
            }
        }
        if self.posted == self.changes {
            let codes = ["6:11,13,15+g1", "8:21,23+g1", "8:21,23,25+g1"];
            let code = codes[self.posted as usize % 3].parse().expect("a code");
            let codes = Box::new(Codes::new(&self.blueprint.encoder_for(&code)));
            assert!(self.post.0.send(ProtectOrder::Code(codes)));
            self.posted += 1;
        }
    }

    /// These frames arrive on west's LAN; then all that is due happens.
    pub fn turn(&mut self, frames: &[Vec<u8>]) {
        self.control.heartbeat(now_ns());
        put(&self.pool, &mut self.lan.1, frames);
        while self.west.0.poll(self.now) > 0 {}
        for packet in take(&mut self.wan[0].0) {
            self.truth.sent(self.now + EXIT_DELAY, &packet);
            self.fly_east(packet);
        }
        self.truth.now(self.now);
        self.arrive(1);
        while self.east.1.poll(self.now) > 0 {}
        let acknowledged: Vec<Vec<u8>> =
            take(&mut self.far.0).iter().filter_map(|frame| self.receive(frame)).collect();
        put(&self.pool, &mut self.far.1, &acknowledged);
        while self.east.0.poll(self.now) > 0 {}
        for packet in take(&mut self.wan[1].0) {
            self.ways[0].send(self.now + DELAY, packet);
        }
        self.arrive(0);
        while self.west.1.poll(self.now) > 0 {}
        for frame in take(&mut self.lan.0) {
            self.truth.delivered(&frame);
        }
    }

    fn fly_east(&mut self, packet: Vec<u8>) {
        let Wan { late, twice, .. } = self.behaviour;
        if self.loss.lost() {
            return;
        }
        let late = if self.random.below(100) < late { self.random.below(400_000) } else { 0 };
        if self.random.below(100) < twice {
            self.ways[1].send(self.now + DELAY + self.random.below(500_000), packet.clone());
        }
        self.ways[1].send(self.now + DELAY + late, packet);
    }

    /// What is due at this end of the WAN.
    fn arrive(&mut self, end: usize) {
        let mut packets = Vec::new();
        while let Some(Reverse((at, ..))) = self.ways[end].flying.peek()
            && *at <= self.now
            && let Some(Reverse((.., packet))) = self.ways[end].flying.pop()
        {
            packets.push(packet);
        }
        put(&self.pool, &mut self.wan[end].1, &packets);
    }

    /// The far TCP gets a frame, and answers with an acknowledgement.
    fn receive(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let segment = TcpSegment::parse(frame)?;
        let port = segment.source_port;
        let data = segment.data_seq();
        if segment.has(Flag::Syn) {
            let new =
                self.receivers.get(&port).is_none_or(|flow| flow.next.wrapping_sub(data) > 1 << 24);
            if new {
                self.receivers.insert(port, Receiver { next: data, early: BTreeMap::new() });
            }
        }
        let flow = self.receivers.get_mut(&port)?;
        flow.early
            .entry(data)
            .and_modify(|len| *len = (*len).max(segment.len.into()))
            .or_insert(segment.len.into());
        while let Some((&start, &len)) = flow.early.iter().find(|&(&start, _)| {
            // Of this life of the connection, and not beyond a hole.
            start.wrapping_sub(flow.next) as i32 <= 0
        }) {
            flow.early.remove(&start);
            let end = start.wrapping_add(len);
            if end.wrapping_sub(flow.next) as i32 > 0 {
                flow.next = end;
            }
        }
        Some(tcp(5432, port, 1, flow.next, 16, &[]))
    }

    /// When something happens next by itself.
    pub fn shed(&self) -> u64 {
        let counters = self.west.0.counters();
        counters.repair_no_mbuf.get() + counters.repair_shed.get()
    }
}

impl Way {
    fn send(&mut self, at: u64, packet: Vec<u8>) {
        self.count += 1;
        self.flying.push(Reverse((at, self.count, packet)));
    }
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

/// A TCP segment between 10.1.0.1 and 10.1.0.2.
pub fn tcp(from: u16, to: u16, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if from.is_multiple_of(3) {
        frame.extend([0x81, 0x00, 0x00, 0x07]);
    }
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    let (near, far) = ([10, 1, 0, 1], [10, 1, 0, 2]);
    frame.extend(if to == 5432 { [near, far].concat() } else { [far, near].concat() });
    frame.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    frame.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    frame.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}
