//! Stands in for a gateway, without a packet: a mirror that accepts TCP connections, and a thread that
//! publishes about their bytes what a gateway would, as if each byte's repairs and its
//! acknowledgement had followed it at once.

#![allow(dead_code)]

use std::collections::HashMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netsync::layout::{CLASSES, Geometry, MAX_LEVELS};
use netsync::{
    Class, ConnectError, FlowKey, Notice, Segment, SegmentConfig, Server, ServerConfig, Slot,
    State, Subscriber, now_ns,
};

pub const LEVELS: usize = 3;

/// Small, so that tables and rings fill up; patient, so that a busy machine's pauses are no deaths.
pub fn config() -> SegmentConfig {
    let geometry = Geometry { workers: 2, ack_writers: 2, ring: 64, flows: 16 };
    SegmentConfig { geometry, heartbeat_timeout: Duration::from_secs(1) }
}

pub fn server(path: &Path, segment: std::os::fd::OwnedFd) -> Server {
    let config = ServerConfig { path: path.to_owned(), mode: 0o600, group: None };
    Server::start(&config, segment).unwrap()
}

/// As [`Subscriber::connect`], however long a busy machine keeps the server's thread from its core.
pub fn connect(path: impl AsRef<Path>) -> Result<Subscriber, ConnectError> {
    let start = Instant::now();
    loop {
        match Subscriber::connect(&path) {
            Err(ConnectError::Io { .. }) if start.elapsed() < Duration::from_secs(120) => {}
            answer => return answer,
        }
    }
}

/// Each level a thousandth of the one before, sparse groups ten times worse.
pub fn bounds() -> [[f64; MAX_LEVELS]; CLASSES] {
    let mut bounds = [[1.0; MAX_LEVELS]; CLASSES];
    for (class, bounds) in bounds.iter_mut().enumerate() {
        for (level, bound) in bounds.iter_mut().take(LEVELS).enumerate() {
            *bound = 1e-3f64.powi(level as i32 + 1) * 10f64.powi(class as i32);
        }
    }
    bounds
}

/// How the stand-in tracks its connections.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    /// From their SYN on.
    Anchored,
    /// From their SYN on, but nothing is ever covered or acknowledged.
    Silent,
}

/// Until it is dropped, a gateway and a mirror.
pub struct StandIn {
    pub mirror: SocketAddr,
    stop: Option<Sender<Event>>,
    thread: Option<JoinHandle<()>>,
}

enum Event {
    Opened(FlowKey, Sender<()>),
    Received(FlowKey, u64),
    State(State),
    Code(&'static str),
    Stop,
}

impl StandIn {
    pub fn start(path: &Path, manner: Manner) -> StandIn {
        let mut segment = Segment::create(&config()).unwrap();
        let file = segment.file.try_clone().unwrap();
        segment.control.publish_code("20:97,101,103+g1", LEVELS, &bounds());
        let server = server(path, file);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = listener.local_addr().unwrap();
        let (events, received) = mpsc::channel();
        let from_mirror = events.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let events = from_mirror.clone();
                thread::spawn(move || serve(stream, &events));
            }
        });
        let thread = thread::spawn(move || {
            let _server = server;
            publish(segment, &received, manner);
        });
        StandIn { mirror, stop: Some(events), thread: Some(thread) }
    }

    pub fn set_state(&self, state: State) {
        self.send(Event::State(state));
    }

    pub fn switch_code(&self, text: &'static str) {
        self.send(Event::Code(text));
    }

    fn send(&self, event: Event) {
        self.stop.as_ref().unwrap().send(event).unwrap();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(Event::Stop);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The mirror: reads, and lets the gateway know, as if that had seen the packets pass.
fn serve(mut stream: TcpStream, events: &Sender<Event>) {
    let (Ok(local), Ok(remote)) = (stream.peer_addr(), stream.local_addr()) else { return };
    let key = FlowKey::new(local, remote);
    let (done, opened) = mpsc::channel();
    if events.send(Event::Opened(key, done)).is_err() || opened.recv().is_err() {
        return;
    }
    let (mut buffer, mut total) = (vec![0; 65536], 0);
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        total += bytes as u64;
        if events.send(Event::Received(key, total)).is_err() {
            return;
        }
    }
}

fn publish(mut segment: Segment, events: &Receiver<Event>, manner: Manner) {
    let mut flows: HashMap<String, Slot> = HashMap::new();
    let (worker, ack) = (&mut segment.workers[1], &mut segment.acks[0]);
    // An ISN near the end of its numbers, so that they wrap.
    let base_seq = 0xFFFF_FF00u32;
    let name = |key: &FlowKey| key.to_string();
    loop {
        let event = events.recv_timeout(Duration::from_millis(5));
        let now = now_ns();
        segment.control.heartbeat(now);
        match event {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Event::State(new)) => {
                let old = segment.control.set_state(new, now);
                worker.notice(&Notice::State { old, new, at_ns: now });
            }
            Ok(Event::Code(text)) => {
                let generation = segment.control.publish_code(text, LEVELS, &bounds());
                worker.notice(&Notice::Code { generation });
            }
            Ok(Event::Opened(key, done)) => {
                let opened = worker.open(&key, base_seq, false, now);
                flows.insert(name(&key), opened.slot);
                let _ = done.send(());
            }
            Ok(Event::Received(key, total)) => {
                let Some(&slot) = flows.get(&name(&key)) else { continue };
                worker.sent(slot, total, 10, now);
                if manner == Manner::Silent {
                    continue;
                }
                worker.class_to(slot, Class::Dense, total);
                (1..=LEVELS).for_each(|level| worker.level(slot, level, total));
                let place = ack.find(&key).unwrap();
                ack.acknowledge(&place, base_seq.wrapping_add(total as u32));
                worker.notice(&Notice::Repair {
                    code_id: 1,
                    layer: 0,
                    flushed: false,
                    base: total,
                    stride: 97,
                    count: 20,
                    runs: 0,
                    made_ns: now,
                    left_ns: now_ns(),
                });
            }
        }
    }
}
