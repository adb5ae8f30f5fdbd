//! What the bridge between several LAN ports costs a packet: receiving, learning, finding, sending, all
//! on one core and to and from rings, whose cost is part of it.
//!
//! `cargo run --release --example bridge_cost`

use std::error::Error;
use std::time::Instant;

use maelstrom::dpdk::{Burst, Eal, EalConfig, Mempool, Port, RxQueue, TxQueue, joined, mempool};
use maelstrom::gateway::bridge::{Bridge, LanPort, Table};
use maelstrom::gateway::{LinkLocal, Room};

/// Bursts, of which the median and the fastest count: others use this machine too.
const BURSTS: usize = 20_000;
/// Stations at each place.
const STATIONS: usize = 256;

/// Both ends of what leads to a place.
struct Place {
    tx: TxQueue,
    rx: RxQueue,
    _ports: (Port, Port),
}

/// A place, and the bridge's own ends of it.
fn place(
    eal: &Eal,
    name: &str,
    pool: &Mempool,
) -> Result<(Place, RxQueue, TxQueue), Box<dyn Error>> {
    let (near, far) = joined(eal, name, 1023, pool, 1)?;
    let (rx, tx) = (near.rx_queue(0)?, near.tx_queue(0)?);
    Ok((Place { tx: far.tx_queue(0)?, rx: far.rx_queue(0)?, _ports: (near, far) }, rx, tx))
}

/// From station `n` of one place to station `n` of another.
fn frame(from: usize, to: Option<usize>, n: usize, len: usize) -> Vec<u8> {
    let address = |place: usize| [2, 0, 0, place as u8, (n >> 8) as u8, n as u8];
    let mut frame = to.map_or([0xFF; 6], address).to_vec();
    frame.extend(address(from));
    frame.resize(len, 0);
    frame
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = EalConfig { hugepages: false, memory_mib: 64, ..EalConfig::default() };
    let eal = Eal::init(&config)?;
    let _registered = eal.register_thread()?;
    let pool = Mempool::new(&eal, "packets", 8191, mempool::DEFAULT_DATA_ROOM)?;
    let (lan0, rx0, tx0) = place(&eal, "lan0", &pool)?;
    let (lan1, rx1, tx1) = place(&eal, "lan1", &pool)?;
    let (wan, recovered, protect) = place(&eal, "wan", &pool)?;
    let ports = vec![LanPort::new(vec![rx0], tx0), LanPort::new(vec![rx1], tx1)];
    let table = Table::new(4096, u64::MAX, 7);
    let copies = pool.clone();
    let mut room =
        Bridge::new(ports, vec![recovered], vec![protect], table, LinkLocal::Drop, copies);
    let mut places = [lan0, lan1, wan];
    println!("{:<34} {:>8} {:>8}", "ns/packet, bursts of 32", "median", "least");
    for (name, from, to, len) in [
        ("LAN to WAN", 0, Some(2), 64),
        ("WAN to LAN", 2, Some(0), 64),
        ("LAN to LAN", 0, Some(1), 64),
        ("LAN to all, of 64 bytes", 0, None, 64),
        ("LAN to all, of 1514 bytes", 0, None, 1514),
    ] {
        // Everybody is heard first.
        for (place, n) in (0..3).flat_map(|place| (0..STATIONS).map(move |n| (place, n))) {
            bring(&mut places[place], &pool, [frame(place, Some(place), n, 64)])?;
            room.poll(0);
        }
        let mut times = Vec::new();
        for burst in 0..BURSTS {
            let frames = (0..32).map(|n| frame(from, to, (burst * 32 + n) % STATIONS, len));
            bring(&mut places[from], &pool, frames)?;
            let start = Instant::now();
            let count = room.poll(burst as u64);
            times.push(start.elapsed().as_secs_f64() * 1e9 / 32.0);
            assert_eq!(count, 32);
            let mut out = Burst::new();
            for place in &mut places {
                while place.rx.burst(&mut out) > 0 {
                    out.clear();
                }
            }
        }
        times.sort_by(f64::total_cmp);
        println!("{name:<34} {:>8.1} {:>8.1}", times[BURSTS / 2], times[0]);
    }
    Ok(())
}

fn bring(
    place: &mut Place,
    pool: &Mempool,
    frames: impl IntoIterator<Item = Vec<u8>>,
) -> Result<(), Box<dyn Error>> {
    let mut burst = Burst::new();
    for frame in frames {
        burst.push(pool.copy_of(&frame).ok_or("no mbuf")?);
    }
    place.tx.burst(&mut burst);
    Ok(())
}
