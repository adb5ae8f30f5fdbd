//! What it costs to hand a packet from one room to another: DPDK's ring, as `run` uses it, beside
//! crossbeam's queue of packets and of bursts; and the `dispatch` room with it. Both ends on one
//! core: what two caches add is the same for all.
//!
//! `cargo run --release --example handover_cost`

use std::error::Error;
use std::time::Instant;

use crossbeam::queue::ArrayQueue;
use maelstrom::dpdk::{BURST, Burst, Eal, EalConfig, Mbuf, Mempool, RxQueue, joined, mempool};
use maelstrom::gateway::{Dispatch, Receive, Room, Spread, Transmit};

/// Bursts in a round, and rounds, of which the fastest counts: others use this machine too.
const ROUND: usize = 20_000;
const ROUNDS: usize = 15;
const DEPTH: u32 = 1023;

/// The same packets over and over.
struct Supply(Vec<Mbuf>);

impl Receive for Supply {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let from = self.0.len() - BURST;
        burst.extend(self.0.drain(from..));
    }
}

/// The least time of a round, in nanoseconds a packet; `step` moves `packets`.
fn fastest(packets: usize, mut step: impl FnMut()) -> f64 {
    let round = |step: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..ROUND).for_each(|_| step());
        start.elapsed().as_secs_f64() * 1e9 / (ROUND * packets) as f64
    };
    (0..ROUNDS).map(|_| round(&mut step)).fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = EalConfig { hugepages: false, memory_mib: 64, ..EalConfig::default() };
    let eal = Eal::init(&config)?;
    let _registered = eal.register_thread()?;
    let pool = Mempool::new(&eal, "packets", 8191, mempool::DEFAULT_DATA_ROOM)?;
    println!("{:<28} {:>10} {:>10}", "ns/packet, bursts of", 32, 8);
    let both = |name: &str, run: &mut dyn FnMut(usize) -> f64| {
        println!("{name:<28} {:>10.2} {:>10.2}", run(32), run(8));
    };
    let (there, here) = joined(&eal, "ring", DEPTH, &pool, 1)?;
    let (mut to, mut from) = (there.tx_queue(0)?, here.rx_queue(0)?);
    both("DPDK ring", &mut |len| {
        let mut burst = Burst::new();
        pool.alloc_bulk(&mut burst, len);
        fastest(len, || {
            to.transmit(0, &mut burst);
            from.receive(0, &mut burst);
        })
    });
    let packets = ArrayQueue::new(DEPTH as usize);
    both("crossbeam, of packets", &mut |len| {
        let mut burst = Burst::new();
        pool.alloc_bulk(&mut burst, len);
        fastest(len, || {
            burst.drain(..).for_each(|mbuf| drop(packets.push(mbuf)));
            burst.extend(std::iter::from_fn(|| packets.pop()));
        })
    });
    let bursts = ArrayQueue::new(DEPTH as usize / BURST);
    both("crossbeam, of bursts", &mut |len| {
        let mut burst = Burst::new();
        pool.alloc_bulk(&mut burst, len);
        fastest(len, || {
            drop(bursts.push(std::mem::take(&mut burst)));
            burst = bursts.pop().unwrap_or_default();
        })
    });
    for workers in [1, 2, 4, 8] {
        let (there, here) = joined(&eal, &format!("workers{workers}"), DEPTH, &pool, workers)?;
        let targets: Result<Vec<_>, _> = (0..workers).map(|n| there.tx_queue(n)).collect();
        let taken: Result<Vec<RxQueue>, _> = (0..workers).map(|n| here.rx_queue(n)).collect();
        let cost = dispatch(&pool, targets?, taken?)?;
        println!("{:<28} {cost:>10.2}", format!("dispatch of flows to {workers}"));
    }
    Ok(())
}

/// The room, in time that is not spent on taking what it handed over.
fn dispatch<T: Transmit>(
    pool: &Mempool,
    targets: Vec<T>,
    mut taken: Vec<RxQueue>,
) -> Result<f64, Box<dyn Error>> {
    const PACKETS: usize = 512;
    let mut best = f64::INFINITY;
    let polls = targets.len().min(PACKETS / BURST);
    let mut supply = Vec::new();
    for flow in 0..PACKETS {
        let mut frame = [0; 60];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[23] = 17;
        frame[34..36].copy_from_slice(&(flow as u16).to_be_bytes());
        supply.push(pool.copy_of(&frame).ok_or("no mbuf")?);
    }
    let mut room = Dispatch::new(Spread::Flows, Supply(supply), targets);
    for now in 0..ROUND as u64 {
        let start = Instant::now();
        let count = room.poll(now);
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / count as f64);
        assert_eq!(count, polls * BURST);
        let mut burst = Burst::new();
        for queue in &mut taken {
            while queue.burst(&mut burst) > 0 {
                room.port_mut().0.extend(burst.drain(..));
            }
        }
    }
    Ok(best)
}
