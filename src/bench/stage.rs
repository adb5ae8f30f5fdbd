//! Where one worker's rooms are measured: pools, ports, and the rounds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::feed::Feed;
use super::frames::Size;
use super::handing::Handing;
use super::rows::{Case, Subject};
use crate::control::counters::RecoverCounters;
use crate::dpdk::mbuf::{BURST, Burst};
use crate::dpdk::mempool::data_room_for;
use crate::dpdk::{
    Device, Eal, Mempool, PoolError, Port, PortConfig, PortError, RxQueue, TxQueue, joined,
};
use crate::gateway::flows::Publisher;
use crate::gateway::{Blueprint, Limit, Overload, Protect, Recover, Room, Side};
use crate::lab::loss::{LossModel, LossProcess};
use crate::wire::seal::{Mode, Opening, Sealing, SessionKey};
use crate::wire::shim::Integrity;

/// What the packets of a round come to, in bytes: several times a core's own cache, and within the
/// one that cores share, where a NIC puts packets.
const ROUND_BYTES: usize = 4 << 20;
/// What an mbuf takes beside its frame, in bytes that are touched: its own lines, and the headers'.
const MBUF_BYTES: usize = 192;

/// Source packets in a round: whole bursts, more for shorter frames.
fn round(size: Size) -> usize {
    let bytes = usize::from(size.longest()) + MBUF_BYTES;
    (ROUND_BYTES / bytes / BURST).max(64) * BURST
}

/// Buffers for repairs and rebuilt frames.
const MADE: u32 = 32 * 1024 - 1;
/// How far the rooms' clock goes in a turn: 32 packets a microsecond is dense traffic.
const TURN: u64 = 1000;

/// A rate that 32 of the longest packets each microsecond do not reach, in bits a second.
const UNREACHED: u64 = 10_000_000_000_000;
/// The channels' only life.
const EPOCH: u32 = 1;

/// Why a stage can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A port.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Source frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long the timed part took.
    pub elapsed: Duration,
}

impl Tally {
    /// Adds another round.
    pub fn add(&mut self, other: Tally) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.elapsed += other.elapsed;
    }
}

/// One worker's ports, pools and rooms.
pub struct Stage {
    /// Source packets in a round.
    round: usize,
    feed: Feed,
    actor: Actor,
    now: u64,
    /// What the rooms allocate.
    pub memory_bytes: u64,
}

/// What is measured, ready to be polled.
enum Actor {
    Protect(Protect<RxQueue, TxQueue>),
    Recover { protect: Protect<RxQueue, TxQueue>, loss: Loss, recover: Receiver },
    Both { protect: Protect<RxQueue, TxQueue>, recover: Receiver },
    Dispatch(Handing),
    Forward { from: RxQueue, to: TxQueue },
    Memcpy { from: RxQueue, to: Box<[u8]> },
}

struct Receiver {
    room: Recover<RxQueue, TxQueue, ()>,
    counters: Arc<RecoverCounters>,
}

/// Takes packets off the wire between the two rooms.
struct Loss {
    from: RxQueue,
    to: TxQueue,
    process: LossProcess,
}

impl Stage {
    /// A stage for `case`, whose ports and pools have `worker` in their names.
    pub fn new(
        eal: &Eal,
        worker: usize,
        case: &Case,
        integrity: Integrity,
    ) -> Result<Stage, StageError> {
        Stage::confirmed(eal, worker, case, integrity, None)
    }

    /// The same, with keys if any are wanted.
    pub fn confirmed(
        eal: &Eal,
        worker: usize,
        case: &Case,
        integrity: Integrity,
        keys: Option<Mode>,
    ) -> Result<Stage, StageError> {
        let code = case.code.clone().unwrap_or_else(|| "1:1".parse().expect("a valid code"));
        let limit = |overload| Limit { rate: UNREACHED, overload, queue: 2 << 20 };
        let blueprint = Blueprint {
            integrity,
            limit: match case.subject {
                Subject::Reserve => Some(limit(Overload::Reserve)),
                Subject::SourceFirst => Some(limit(Overload::SourceFirst)),
                _ => None,
            },
            keys,
            lan_frame: usize::from(case.size.longest()),
            wan_mtu: 9600,
            sparse: None,
            hugepages: eal.has_hugepages(),
            ..Blueprint::new(Side::West, code)
        };
        let kept = match case.subject {
            Subject::Recover | Subject::Both => blueprint.kept(),
            _ => 0,
        };
        let room = data_room_for(blueprint.wan_port_mtu());
        let round = round(case.size);
        // No more than needed: a pool hands out in turn whatever it has.
        let count = round as u32 + kept + 512;
        let pool = Mempool::new(eal, &format!("frames{worker}"), count, room)?;
        let made = Mempool::new(eal, &format!("made{worker}"), MADE, room)?;
        let ring = |name: &str| joined(eal, &format!("{name}{worker}"), 3 * round as u32, &pool, 1);
        let null = Device::Vdev(format!("net_null{worker},no-rx=1"));
        let sink = Port::open(eal, &null, &PortConfig::default(), &made)?;
        let (feed, lan) = ring("lan")?;
        let (from, to) = (lan.rx_queue(0)?, sink.tx_queue(0)?);

        let east = Blueprint { side: Side::East, ..blueprint.clone() };
        let protect = |from, to| {
            let config = blueprint.protect(0, EPOCH, [2; 6], [4; 6]);
            let channel = config.channel;
            let mut room = Protect::new(config, from, to, made.clone());
            if let Some(mode) = keys {
                room.set_keys(Sealing::new(&SessionKey::new([7; 32]), mode, channel));
            }
            room
        };
        let recover = |from, to| {
            let config = east.recover(0);
            let channel = config.channel;
            let mut room = Recover::new(config, from, to, made.clone(), ());
            if let Some(mode) = keys {
                let (session, longest) = (SessionKey::new([7; 32]), east.max_protected());
                room.set_keys(EPOCH, Opening::new(&session, mode, channel, EPOCH, longest));
            }
            Receiver { counters: room.counters(), room }
        };
        let actor = match case.subject {
            Subject::Dispatch => Actor::Dispatch(Handing::new(eal, worker, from, round, &pool)?),
            Subject::Forward => Actor::Forward { from, to },
            Subject::Memcpy => Actor::Memcpy { from, to: vec![0; 16 * 1024].into() },
            Subject::Protect | Subject::Reserve | Subject::SourceFirst => {
                Actor::Protect(protect(from, to))
            }
            Subject::Both => {
                let (near, far) = ring("wan")?;
                Actor::Both {
                    protect: protect(from, near.tx_queue(0)?),
                    recover: recover(far.rx_queue(0)?, to),
                }
            }
            Subject::Recover => {
                let (near, far) = ring("wan")?;
                let (before, behind) = ring("lossy")?;
                let model = LossModel::Iid { rate: case.loss };
                let model = if case.loss > 0.0 { model } else { LossModel::None };
                Actor::Recover {
                    protect: protect(from, near.tx_queue(0)?),
                    loss: Loss {
                        from: far.rx_queue(0)?,
                        to: before.tx_queue(0)?,
                        process: LossProcess::new(&model, 1, 0),
                    },
                    recover: recover(behind.rx_queue(0)?, to),
                }
            }
        };
        let memory = blueprint.memory();
        let memory_bytes = match case.subject {
            Subject::Protect | Subject::Reserve | Subject::SourceFirst => memory.groups,
            Subject::Recover => memory.window + memory.mbufs,
            Subject::Both => memory.total(),
            Subject::Dispatch | Subject::Forward | Subject::Memcpy => 0,
        };
        let feed = Feed::new(case, pool, feed.tx_queue(0)?);
        Ok(Stage { round, feed, actor, now: 0, memory_bytes })
    }

    /// Has readers told, where there is a room that protects.
    pub fn tell(&mut self, publisher: Publisher) {
        if let Actor::Protect(room) = &mut self.actor {
            room.tell(publisher);
        }
    }

    /// One round.
    pub fn round(&mut self) -> Tally {
        let round = self.round;
        let bytes = self.feed.supply(round);
        let now = &mut self.now;
        let all = |elapsed| Tally { packets: round as u64, bytes, elapsed };
        match &mut self.actor {
            Actor::Protect(room) => all(timed(|| poll(room, round, now))),
            Actor::Both { protect, recover } => {
                let start = recover.delivered();
                let elapsed = timed(|| {
                    let mut sent = 0;
                    while sent < round {
                        *now += TURN;
                        black_box(Instant::now());
                        sent += protect.poll(*now);
                        // A turn's source packets and repairs may be more than a burst.
                        while recover.room.poll(*now) > 0 {}
                    }
                });
                recover.since(start, elapsed)
            }
            Actor::Recover { protect, loss, recover } => {
                poll(protect, round, now);
                let wire = loss.pass();
                let start = recover.delivered();
                let elapsed = timed(|| poll(&mut recover.room, wire, now));
                recover.since(start, elapsed)
            }
            Actor::Dispatch(handing) => {
                let elapsed = timed(|| poll(&mut handing.room, round, now));
                handing.empty();
                all(elapsed)
            }
            Actor::Forward { from, to } => all(timed(|| {
                let mut burst = Burst::new();
                let mut sent = 0;
                while sent < round {
                    from.burst(&mut burst);
                    sent += to.burst(&mut burst);
                }
            })),
            Actor::Memcpy { from, to } => {
                let mut elapsed = Duration::ZERO;
                let mut left = round;
                let mut mbufs = Vec::with_capacity(round);
                let mut burst = Burst::new();
                while left > 0 {
                    left -= from.burst(&mut burst);
                    mbufs.extend(burst.drain(..));
                }
                elapsed += timed(|| {
                    for mbuf in &mbufs {
                        let frame = mbuf.data();
                        to[..frame.len()].copy_from_slice(frame);
                        black_box(&mut *to);
                    }
                });
                all(elapsed)
            }
        }
    }
}

impl Receiver {
    fn delivered(&self) -> (u64, u64) {
        (self.counters.delivered.get(), self.counters.delivered_bytes.get())
    }

    fn since(&self, (packets, bytes): (u64, u64), elapsed: Duration) -> Tally {
        let (packets_now, bytes_now) = self.delivered();
        Tally { packets: packets_now - packets, bytes: bytes_now - bytes, elapsed }
    }
}

impl Loss {
    /// Moves what is on the wire on, without what is lost; returns how many packets are left.
    fn pass(&mut self) -> usize {
        let mut left = 0;
        let mut burst = Burst::new();
        while self.from.burst(&mut burst) > 0 {
            burst.retain(|_| !self.process.lost());
            left += burst.len();
            self.to.burst(&mut burst);
            debug_assert!(burst.is_empty());
        }
        left
    }
}

/// Polls a room until it has received `packets`, as a worker would.
fn poll(room: &mut dyn Room, packets: usize, now: &mut u64) {
    let mut received = 0;
    while received < packets {
        *now += TURN;
        black_box(Instant::now());
        received += room.poll(*now);
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
