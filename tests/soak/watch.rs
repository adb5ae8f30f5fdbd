//! A storage process beside the western gateway, its connections, and the mirror that acknowledges: no
//! watermark that it can see is ahead of the truth.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use maelstrom::gateway::flows::{Acks, Exit, Filter, Publisher, PublisherConfig, Rule, Told};
use maelstrom::gateway::{Blueprint, Observer, Protect, Receive, Recover, Transmit};
use netsync::{
    Control, Flow, FlowKey, Segment, SegmentConfig, Server, ServerConfig, Subscriber, now_ns,
};
use tempfile::TempDir;

use crate::common::{Random, subscribe};
use crate::frames::{LanFrame, TCP_HEADERS, Tcp};
use crate::truth::Truth;

/// The mirror's port; the storage process's are `FIRST` and those that follow.
const MIRROR: u16 = 5432;
const FIRST: u16 = 40_000;
const FLOWS: u16 = 4;
/// From the port to the edge of the site.
const EXIT_DELAY: u64 = 30_000;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// A connection, at both of its ends.
#[derive(Clone, Copy, Default)]
struct Connection {
    /// How often it has begun.
    generation: u32,
    /// The next byte that is sent.
    next: u32,
    /// How many there were.
    sent: u32,
    /// Segments until it begins anew.
    left: u64,
    /// Up to where the mirror has it all, in which generation.
    whole: (u32, u32),
}

/// The connections, which outlive gateways.
pub struct Storage {
    random: Random,
    connections: [Connection; FLOWS as usize],
}

impl Storage {
    pub fn new(seed: u64) -> Storage {
        let mut random = Random(seed);
        let isn = |random: &mut Random| (random.next() as u32).wrapping_neg() >> random.below(32);
        let connections = [0; FLOWS as usize]
            .map(|_| Connection { next: !isn(&mut random), ..Connection::default() });
        Storage { random, connections }
    }

    /// What a frame of `len` bytes is on its way to the mirror.
    pub fn segment(&mut self, len: u64) -> Option<Tcp> {
        let payload = usize::try_from(len).ok()?.checked_sub(TCP_HEADERS + 6)? as u32 + 6;
        let n = self.random.below(u64::from(FLOWS)) as u16;
        let Connection { generation, next, sent, left, .. } = &mut self.connections[usize::from(n)];
        let port = FIRST + n;
        if *left == 0 {
            *left = 20 + self.random.below(600);
            *generation += 1;
            *sent = 0;
            *next = next.wrapping_add(10 + self.random.below(1 << 20) as u32);
            let seq = next.wrapping_sub(1);
            return Some(Tcp {
                from: port,
                to: MIRROR,
                seq,
                ack: 0,
                flags: SYN,
                payload: 0,
                generation: *generation,
            });
        }
        *left -= 1;
        let again = if self.random.below(16) == 0 { payload.min(*sent) } else { 0 };
        *sent += payload - again;
        let seq = next.wrapping_sub(again);
        *next = next.wrapping_add(payload - again);
        Some(Tcp {
            from: port,
            to: MIRROR,
            seq,
            ack: 0,
            flags: ACK,
            payload: payload as u16,
            generation: *generation,
        })
    }

    /// What a frame of `len` bytes is on its way back: now and then an acknowledgement.
    pub fn acknowledgement(&mut self, len: u64) -> Option<Tcp> {
        if len < 60 || self.random.below(4) > 0 {
            return None;
        }
        let n = self.random.below(u64::from(FLOWS)) as u16;
        let Connection { generation, whole, .. } = self.connections[usize::from(n)];
        (whole.0 == generation && generation > 0).then(|| Tcp {
            from: MIRROR,
            to: FIRST + n,
            seq: 1,
            ack: whole.1,
            flags: ACK,
            payload: 0,
            generation,
        })
    }

    /// The mirror gets a frame.
    pub fn arrived(&mut self, frame: &LanFrame) {
        let Some(tcp) = frame.tcp.filter(|tcp| tcp.to == MIRROR) else { return };
        let Connection { whole, .. } = &mut self.connections[usize::from(tcp.from - FIRST)];
        if tcp.flags & SYN != 0 && tcp.generation > whole.0 {
            *whole = (tcp.generation, tcp.seq.wrapping_add(1));
        } else if tcp.generation == whole.0 {
            let end = tcp.seq.wrapping_add(tcp.payload.into());
            let news = end.wrapping_sub(whole.1) as i32;
            let known = tcp.seq.wrapping_sub(whole.1) as i32 <= 0;
            whole.1 = if known && news > 0 { end } else { whole.1 };
        }
    }
}

/// What readers see of a life of the gateway, and what is true.
pub struct Watch {
    truth: Truth,
    /// Of which connections the truth knows the beginning, and which generation that is.
    anchored: HashMap<u16, u32>,
    readers: HashMap<u16, Reader>,
    subscriber: Subscriber,
    control: Control,
    levels: usize,
    /// How many watermarks were news.
    pub news: u64,
    _served: (Server, TempDir),
}

/// A reader of a connection, and what it saw last, by level.
struct Reader {
    flow: Flow,
    seen: [Option<u64>; 9],
}

impl Watch {
    /// Has these rooms tell.
    pub fn start<L: Receive, W: Transmit, X: Receive, Y: Transmit, O: Observer>(
        blueprint: &Blueprint,
        protect: &mut Protect<L, W>,
        recover: &mut Recover<X, Y, O>,
    ) -> Watch {
        let levels = blueprint.levels();
        let mut config = SegmentConfig::new(1, 1);
        (config.geometry.flows, config.geometry.ring) = (16, 1024);
        config.heartbeat_timeout = Duration::from_secs(3600);
        let mut segment = Segment::create(&config).expect("a segment");
        let filter = Filter::new(&[Rule { port: Some(MIRROR), ..Rule::default() }]);
        let publisher = PublisherConfig {
            filter: filter.clone(),
            flows: 16,
            levels,
            span: blueprint.span(),
            exit: Exit { delay: EXIT_DELAY, ..Exit::default() },
            idle: None,
            clock: now_ns(),
            told: Arc::new(Told::default()),
        };
        protect.tell(Publisher::new(publisher, segment.workers.pop().expect("a writer")));
        recover.read_acks(Acks::new(filter, segment.acks.pop().expect("a writer")));
        segment.control.publish_code(&blueprint.code.to_string(), levels, &[[1.0; 8]; 4]);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let server = ServerConfig { path: path.clone(), mode: 0o600, group: None };
        let server = Server::start(&server, segment.file).expect("a server");
        Watch {
            truth: Truth::default(),
            anchored: HashMap::new(),
            readers: HashMap::new(),
            subscriber: subscribe(path).expect("a segment"),
            control: segment.control,
            levels,
            news: 0,
            _served: (server, folder),
        }
    }

    /// A packet has left the gateway, `frame` if it is a source packet.
    pub fn sent(&mut self, now: u64, packet: &[u8], frame: Option<&LanFrame>) {
        self.truth.sent(now + EXIT_DELAY, packet);
        let Some(tcp) = frame.and_then(|frame| frame.tcp).filter(|tcp| tcp.to == MIRROR) else {
            return;
        };
        if tcp.flags & SYN != 0 {
            self.anchored.insert(tcp.from, tcp.generation);
        } else if self.anchored.get(&tcp.from) != Some(&tcp.generation) {
            // Its beginning never came as far as this.
            self.anchored.remove(&tcp.from);
        }
    }

    /// The gateway has delivered a frame to its LAN.
    pub fn delivered(&mut self, frame: &[u8]) {
        self.truth.delivered(frame);
    }

    /// Compares what readers are told with the truth. What a slow port has taken of a burst is in flight
    /// before readers are told of that burst: `slow` says that there was one.
    pub fn is_sound(&mut self, now: u64, slow: bool) {
        self.control.heartbeat(now_ns());
        self.truth.now(now);
        for &port in self.anchored.keys() {
            let key = FlowKey::v4([10, 1, 0, 1], port, [10, 1, 0, 2], MIRROR);
            let reader = self
                .readers
                .entry(port)
                .or_insert_with(|| Reader { flow: self.subscriber.flow_by(key), seen: [None; 9] });
            let mut lives = true;
            for level in 0..=self.levels {
                let flow = &mut reader.flow;
                let seen = if level == 0 { flow.sent() } else { flow.watermark(level) };
                let Ok(seen) = seen else {
                    lives = false;
                    break;
                };
                let before = reader.seen[level].replace(seen);
                assert!(
                    before <= Some(seen),
                    "port {port}, level {level}: {seen} after {before:?}"
                );
                if before != Some(seen) {
                    self.news += 1;
                    let truth = self.truth.watermark(port, level);
                    assert!(
                        seen <= truth,
                        "port {port}, level {level}: told {seen}, truth {truth}"
                    );
                }
            }
            if !lives {
                // Another life of the connection.
                self.readers.remove(&port);
            } else if !slow
                && let (Ok(told), Ok(sent @ 1..)) = (reader.flow.in_flight(), reader.flow.sent())
            {
                let truth = self.truth.in_flight(port, sent);
                assert!(told >= truth, "port {port}: told {told} in flight, truth {truth}");
            }
        }
    }
}
