//! Two ways to build repairs, measured in the data path: XOR each packet into its open groups as it
//! comes (*incremental*, as the encoder does), or keep packets by reference and sum a group up when
//! its repair is due (*at close*). `cargo run --release --example at_close [CORE]`
//!
//! Each way is a loop like `protect`'s: receive a burst of frames that were written since they were
//! last read, by now mostly in the cache that cores share, where a NIC puts them; check each, which
//! fetches it; send; encode; put repairs into mbufs and send those. *Packet alone* is that loop
//! without encoding. Short frames are copied for both ways, as that is cheaper than keeping them.

mod close;
mod incremental;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use close::AtClose;
use core_affinity::CoreId;
use incremental::Incremental;
use maelstrom::bench::frames::fill;
use maelstrom::bench::hugepages::Hugepages;
use maelstrom::dpdk::{
    BURST, Burst, Device, Eal, EalConfig, Mbuf, Mempool, Port, PortConfig, RxQueue, TxQueue,
    joined, mbuf, mempool, tsc_hz,
};
use maelstrom::fec::Code;
use maelstrom::wire::shim::source_key;

const CODES: [&str; 2] = ["8:1,20,40", "64:97,101,103,107+g1"];
const SIZES: [usize; 2] = [64, 1500];
/// Bytes of frames and mbufs that a round puts before a way: as `maelstrom bench`.
const ROUND_BYTES: usize = 4 << 20;
const MBUF_BYTES: usize = 192;
/// Parts of a measurement, the ways in turn, of which the median counts.
const PARTS: usize = 7;
const PART: Duration = Duration::from_millis(200);
const MEMORY_MIB: u32 = 1024;

/// What is done with a packet that is sent.
enum Way {
    Alone,
    Incremental(Box<Incremental>),
    AtClose(Box<AtClose>),
}

/// A way, and the packets that it is fed with.
struct Stage {
    size: usize,
    round: usize,
    pool: Mempool,
    feed: TxQueue,
    from: RxQueue,
    to: TxQueue,
    way: Way,
    written: usize,
    /// Sum of the checks of all repairs, if that is asked for: the ways must agree.
    digest: Option<u64>,
}

impl Stage {
    fn new(eal: &Eal, name: &str, size: usize, way: Way) -> Result<Stage, Box<dyn Error>> {
        let round = (ROUND_BYTES / (size + MBUF_BYTES) / BURST).max(64) * BURST;
        let kept = if let Way::AtClose(way) = &way { way.keeps() } else { 0 };
        let count = (round + kept + 1024) as u32;
        let pool = Mempool::new(eal, &format!("{name}s"), count, mempool::DEFAULT_DATA_ROOM)?;
        let (feed, lan) = joined(eal, name, round as u32, &pool, 1)?;
        let null = Device::Vdev(format!("net_null_{name},no-rx=1"));
        let sink = Port::open(eal, &null, &PortConfig::default(), &pool)?;
        let (feed, from, to) = (feed.tx_queue(0)?, lan.rx_queue(0)?, sink.tx_queue(0)?);
        Ok(Stage { size, round, pool, feed, from, to, way, written: 0, digest: None })
    }

    /// Writes a round's frames, as a NIC does, and puts them into the ring.
    fn supply(&mut self) {
        let mut burst = Burst::new();
        for _ in (0..self.round).step_by(BURST) {
            assert!(self.pool.alloc_bulk(&mut burst, BURST), "a leak: the pool is empty");
            for mbuf in &mut burst {
                fill(mbuf.append(self.size).expect("room for a frame"), self.written);
                self.written += 1;
            }
            self.feed.burst(&mut burst);
            assert!(burst.is_empty(), "the ring holds a round");
        }
    }

    /// One round, and how long it took.
    fn round(&mut self) -> Duration {
        self.supply();
        let first = self.written - self.round;
        let key = source_key(1, 7);
        let mut burst = Burst::new();
        let mut repairs = Burst::new();
        let mut spare = Burst::new();
        let start = Instant::now();
        for seq in (first..self.written).step_by(BURST) {
            self.from.burst(&mut burst);
            burst.iter().for_each(Mbuf::prefetch);
            burst.iter().take(5).for_each(|mbuf| mbuf.prefetch_front(0));
            for (n, mbuf) in burst.iter().enumerate() {
                // As `protect`'s own burst is fetched.
                burst.get(n + 5).into_iter().for_each(|mbuf| mbuf.prefetch_front(0));
                burst.get(n + 1).into_iter().for_each(Mbuf::prefetch_rest);
                let check = key.check((seq + n) as u64, mbuf.data());
                self.way.remember(check, mbuf);
            }
            self.to.burst(&mut burst);
            let now = seq as u64 * 30;
            let digest = &mut self.digest;
            self.way.encode(now, &mut |base, bytes| {
                if repairs.is_full() {
                    self.to.burst(&mut repairs);
                }
                if spare.is_empty() {
                    self.pool.alloc_bulk(&mut spare, BURST);
                }
                let mut packet = spare.pop().expect("a leak: the pool is empty");
                let into = packet.append(self.size).expect("room for a repair");
                bytes(into);
                if let Some(digest) = digest {
                    *digest = digest.wrapping_add(key.check(base, into));
                }
                repairs.push(packet);
            });
            self.to.burst(&mut repairs);
            mbuf::free(&mut repairs);
        }
        start.elapsed()
    }

    /// Rounds for a part's time; nanoseconds a packet.
    fn part(&mut self) -> f64 {
        self.round();
        let (mut elapsed, mut packets) = (Duration::ZERO, 0);
        while elapsed < PART {
            elapsed += self.round();
            packets += self.round;
        }
        elapsed.as_secs_f64() * 1e9 / packets as f64
    }
}

/// Gets a repair's first member, and what writes its bytes.
type Emit<'a> = dyn FnMut(u64, &mut dyn FnMut(&mut [u8])) + 'a;

impl Way {
    #[inline]
    fn remember(&mut self, check: u64, mbuf: &Mbuf) {
        match self {
            Way::Alone => _ = black_box(check),
            Way::AtClose(way) => way.remember(check, mbuf),
            Way::Incremental(way) => way.remember(check, mbuf),
        }
    }

    fn encode(&mut self, now: u64, emit: &mut Emit<'_>) {
        match self {
            Way::Alone => {}
            Way::AtClose(way) => way.encode(emit),
            Way::Incremental(way) => way.encode(now, emit),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let core = std::env::args().nth(1).map_or(Ok(0), |core| core.parse())?;
    if !core_affinity::set_for_current(CoreId { id: core }) {
        return Err(format!("core {core} can't be used").into());
    }
    let hugepages = Hugepages::reserve(u64::from(MEMORY_MIB) << 20)
        .inspect_err(|problem| println!("without hugepages: {problem}"))
        .ok();
    let config = EalConfig {
        hugepages: hugepages.is_some(),
        memory_mib: MEMORY_MIB,
        ..EalConfig::default()
    };
    let eal = Eal::init(&config)?;
    let _registered = eal.register_thread()?;
    println!("cycles a packet; the last three columns: what encoding adds to the packet alone");
    println!(
        "{:<22} {:>5} {:>7} {:>12} {:>9} {:>13} {:>9} {:>6}",
        "code", "size", "alone", "incremental", "at close", "incremental", "at close", "ratio"
    );
    for code in CODES {
        for size in SIZES {
            let parsed: Code = code.parse()?;
            let incremental = Way::Incremental(Box::new(Incremental::new(&parsed, size)));
            let at_close = Way::AtClose(Box::new(AtClose::new(&parsed, size)));
            let name = |way: &str| format!("{way}{}-{size}", code.len());
            let mut stages = [
                Stage::new(&eal, &name("a"), size, Way::Alone)?,
                Stage::new(&eal, &name("i"), size, incremental)?,
                Stage::new(&eal, &name("c"), size, at_close)?,
            ];
            let digests = stages.each_mut().map(|stage| {
                stage.digest = Some(0);
                stage.round();
                stage.digest.take()
            });
            assert_eq!(digests[1], digests[2], "both ways build the same repairs");
            let mut parts = [const { Vec::new() }; 3];
            for _ in 0..PARTS {
                for (stage, parts) in stages.iter_mut().zip(&mut parts) {
                    parts.push(stage.part());
                }
            }
            let [alone, incremental, at_close] =
                parts.map(|parts| median(parts) * tsc_hz() as f64 / 1e9);
            let (added, added_at_close) = (incremental - alone, at_close - alone);
            println!(
                "{code:<22} {size:>5} {alone:>7.1} {incremental:>12.1} {at_close:>9.1} \
                 {added:>13.1} {added_at_close:>9.1} {:>6.2}",
                added_at_close / added
            );
        }
    }
    Ok(())
}
