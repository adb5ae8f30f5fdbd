//! A million packets through the rooms, over real ports joined in memory.

use maelstrom::dpdk::mbuf::{BURST, Burst};
use maelstrom::dpdk::mempool::DEFAULT_DATA_ROOM;
use maelstrom::dpdk::{Eal, EalConfig, Mempool, RxQueue, TxQueue, joined};
use maelstrom::gateway::{Blueprint, Protect, Recover, Room, Side};
use maelstrom::lab::loss::LossProcess;

use crate::counting::{Counts, counted};

const PACKETS: u64 = 1_000_000;
const WARM_UP: u64 = 100_000;

/// West's LAN, west, the WAN's two ends, east, east's LAN.
struct Path {
    pool: Mempool,
    lan: TxQueue,
    protect: Protect<RxQueue, TxQueue>,
    wan: (RxQueue, TxQueue),
    loss: LossProcess,
    recover: Recover<RxQueue, TxQueue, ()>,
    out: RxQueue,
    /// A packet that the others of its burst overtake.
    burst: Burst,
    now: u64,
    sent: u64,
    received: u64,
}

impl Path {
    fn new() -> Path {
        let config = EalConfig { hugepages: false, memory_mib: 256, ..EalConfig::default() };
        let eal = Eal::init(&config).expect("an EAL without hugepages");
        let pool = Mempool::new(&eal, "packets", 32_767, DEFAULT_DATA_ROOM).expect("a pool");
        let ring = |name: &str| joined(&eal, name, 2047, &pool, 1).expect("two ports");
        let (lan, west_lan) = ring("west-lan");
        let (west_wan, from) = ring("west-wan");
        let (to, east_wan) = ring("east-wan");
        let (east_lan, out) = ring("east-lan");
        let code = "8:21,23,25+g1".parse().expect("a code");
        let mut west = Blueprint { wan_mtu: 1600, ..Blueprint::new(Side::West, code) };
        west.timing.latency = 500_000;
        let east = Blueprint { side: Side::East, ..west.clone() };
        let rx = |port: &maelstrom::dpdk::Port| port.rx_queue(0).expect("its queue");
        let tx = |port: &maelstrom::dpdk::Port| port.tx_queue(0).expect("its queue");
        let sends = west.protect(0, 1, [2; 6], [4; 6]);
        Path {
            lan: tx(&lan),
            protect: Protect::new(sends, rx(&west_lan), tx(&west_wan), pool.clone()),
            wan: (rx(&from), tx(&to)),
            loss: LossProcess::new(&"ge:0.02,4".parse().expect("a loss model"), 1, 0),
            recover: Recover::new(east.recover(0), rx(&east_wan), tx(&east_lan), pool.clone(), ()),
            out: rx(&out),
            pool,
            burst: Burst::new(),
            now: 0,
            sent: 0,
            received: 0,
        }
    }

    fn turn(&mut self) {
        // Dense for a while, then sparse; a pause now and then.
        let dense = self.sent >> 16 & 1 == 0;
        self.now += if dense { 5_000 } else { 600_000 };
        if self.sent.is_multiple_of(100) {
            self.now += 5_000_000;
        }
        let count = 1 + (self.sent % BURST as u64) as usize;
        assert!(self.pool.alloc_bulk(&mut self.burst, count), "a leak: the pool is empty");
        for mbuf in &mut self.burst {
            // Short frames are copied, others are kept by reference.
            let len = if self.sent.is_multiple_of(3) { 200 } else { 60 };
            let frame = mbuf.append(len).expect("room");
            frame[..12].fill(2);
            frame[12..14].copy_from_slice(&[0x08, 0x00]);
            frame[14..22].copy_from_slice(&self.sent.to_be_bytes());
            self.sent += 1;
        }
        self.lan.burst(&mut self.burst);
        assert!(self.burst.is_empty());
        while self.protect.poll(self.now) > 0 {}
        while self.wan.0.burst(&mut self.burst) > 0 {
            self.burst.retain(|_| !self.loss.lost());
            // Every other burst arrives in another order.
            if self.sent.is_multiple_of(2) {
                self.burst.reverse();
            }
            self.wan.1.burst(&mut self.burst);
            assert!(self.burst.is_empty());
        }
        while self.recover.poll(self.now) > 0 {}
        while self.out.burst(&mut self.burst) > 0 {
            self.received += self.burst.len() as u64;
            maelstrom::dpdk::mbuf::free(&mut self.burst);
        }
    }

    fn until(&mut self, packets: u64) {
        while self.sent < packets {
            self.turn();
        }
    }
}

/// What C allocates is not counted; the rooms call nothing there but bursts and mempools.
#[test]
fn a_million_packets_through_the_rooms_allocate_nothing() {
    let mut path = Path::new();
    path.until(WARM_UP);
    let counts = counted(|| path.until(WARM_UP + PACKETS));
    assert_eq!(counts, Counts::default());
    let counters = path.recover.counters();
    let (recovered, delivered) = (counters.recovered.get(), counters.delivered.get());
    assert_eq!(delivered, path.received);
    assert!(recovered > PACKETS / 100, "{recovered} of {} rebuilt", path.sent);
    let protect = path.protect.counters();
    assert!(protect.repair_flushed.get() > PACKETS / 100);
    assert_eq!(protect.source_sent.get(), path.sent);
}
