//! The owners together, on ports that need no hardware.

use super::{test_eal as eal, *};
use mempool::DEFAULT_DATA_ROOM;

fn pool(name: &str, count: u32) -> Mempool {
    Mempool::new(eal(), name, count, DEFAULT_DATA_ROOM).unwrap()
}

fn frame(number: u8) -> [u8; 64] {
    std::array::from_fn(|at| number ^ at as u8)
}

fn send(queue: &mut TxQueue, pool: &Mempool, numbers: std::ops::Range<u8>) {
    let mut burst: Burst = numbers.map(|number| pool.copy_of(&frame(number)).unwrap()).collect();
    queue.burst(&mut burst);
    assert!(burst.is_empty());
}

#[test]
fn joined_ports_pass_frames_both_ways() {
    let pool = pool("joined", 255);
    let (west, east) = joined(eal(), "both", 64, &pool, 1).unwrap();
    let mut ends = [&west, &east].map(|port| {
        assert!(port.name().starts_with("net_ring_both"), "{}", port.name());
        (port.rx_queue(0).unwrap(), port.tx_queue(0).unwrap())
    });
    for way in [[0, 1], [1, 0]] {
        let mut got = Burst::new();
        assert_eq!(ends[way[1]].0.burst(&mut got), 0);
        send(&mut ends[way[0]].1, &pool, 0..20);
        assert_eq!(ends[way[1]].0.burst(&mut got), 20);
        for (mbuf, number) in got.iter().zip(0..) {
            assert_eq!(mbuf.data(), frame(number));
            assert_eq!((mbuf.len(), mbuf.is_contiguous()), (64, true));
        }
    }
    assert_eq!(west.stats().opackets, 20);
    assert_eq!(east.stats().ipackets, 20);
    assert!(west.link_up());
}

#[test]
fn reception_fills_the_free_room_only() {
    let pool = pool("room", 127);
    let (west, east) = joined(eal(), "room", 64, &pool, 1).unwrap();
    send(&mut west.tx_queue(0).unwrap(), &pool, 0..10);
    let mut receive = east.rx_queue(0).unwrap();
    let mut burst: Burst = (0..BURST - 3).map(|_| pool.alloc().unwrap()).collect();
    assert_eq!(receive.burst(&mut burst), 3);
    assert_eq!(burst.len(), BURST);
    assert_eq!(receive.burst(&mut burst), 0);
    assert_eq!(burst[BURST - 1].data(), frame(2));
}

#[test]
fn what_is_not_sent_stays_in_order() {
    let pool = pool("rest", 127);
    // Rings hold a power of two less one: 31.
    let (west, east) = joined(eal(), "rest", 20, &pool, 1).unwrap();
    let (mut transmit, mut receive) = (west.tx_queue(0).unwrap(), east.rx_queue(0).unwrap());
    send(&mut transmit, &pool, 0..20);
    let mut burst: Burst = (20..50).map(|n| pool.copy_of(&frame(n)).unwrap()).collect();
    assert_eq!(transmit.burst(&mut burst), 11);
    let rest: Vec<_> = burst.iter().map(|mbuf| mbuf.data().to_vec()).collect();
    let expected: Vec<_> = (31..50).map(|number| frame(number).to_vec()).collect();
    assert_eq!(rest, expected);
    assert_eq!(transmit.burst(&mut burst), 0);
    let mut got = Burst::new();
    assert_eq!(receive.burst(&mut got), 31);
    assert_eq!(transmit.burst(&mut burst), 19);
    assert!(burst.is_empty());
    drop(got);
    // 19 packets are still in the ring: closing gives them back.
    drop((transmit, receive, west, east));
    assert_eq!(pool.available(), pool.count());
}

#[test]
fn a_queue_is_handed_out_once_and_keeps_its_port() {
    let pool = pool("once", 127);
    let (west, east) = joined(eal(), "once", 32, &pool, 2).unwrap();
    assert_eq!((west.rx_queues(), west.tx_queues()), (2, 2));
    let mut transmit = west.tx_queue(1).unwrap();
    assert!(matches!(west.tx_queue(1), Err(PortError::QueueTaken { queue: 1, .. })));
    assert!(matches!(west.tx_queue(2), Err(PortError::NoSuchQueue { got: 2, have: 2, .. })));
    drop(west);
    send(&mut transmit, &pool, 0..4);
    let mut got = Burst::new();
    assert_eq!(east.rx_queue(0).unwrap().burst(&mut got), 0);
    assert_eq!(east.rx_queue(1).unwrap().burst(&mut got), 4);
    assert_eq!(transmit.port_name(), "net_ring_once-a");
}

#[test]
fn a_null_port_opens_once_and_opens_again() {
    let pool = pool("null", 511);
    let device = Device::parse("net_null7,size=64,copy=1").unwrap();
    let config = PortConfig { rx_queues: 4, mtu: Some(1400), ..PortConfig::default() };
    for _ in 0..2 {
        let port = Port::open(eal(), &device, &config, &pool).unwrap();
        let again = Port::open(eal(), &device, &config, &pool);
        assert!(matches!(again, Err(PortError::AlreadyOpen { .. })));
        assert_eq!(port.name(), "net_null7");
        assert_eq!((port.rx_queues(), port.tx_queues()), (4, 1));
        assert_ne!(port.mac(), [0; 6]);
        assert!(port.mtu() > 0);
        let mut transmit = port.tx_queue(0).unwrap();
        assert_eq!(transmit.descriptor_status(0), None);
        let mut burst = Burst::new();
        assert_eq!(port.rx_queue(0).unwrap().burst(&mut burst), BURST);
        assert!(burst.iter().all(|mbuf| mbuf.len() == 64));
        assert_eq!(transmit.burst(&mut burst), BURST);
        let stats = port.stats();
        assert_eq!((stats.ipackets, stats.opackets), (BURST as u64, BURST as u64));
    }
    assert_eq!(pool.available(), pool.count());
}

#[test]
fn an_mtu_must_fit_the_mbufs() {
    let pool = pool("jumbo", 63);
    let device = Device::parse("net_null8").unwrap();
    let config = PortConfig { mtu: Some(9000), ..PortConfig::default() };
    let error = Port::open(eal(), &device, &config, &pool).err().unwrap();
    assert!(matches!(error, PortError::MbufTooSmall { data_room: 9154, .. }), "{error}");
    let config = PortConfig { mtu: Some(10), ..PortConfig::default() };
    let error = Port::open(eal(), &device, &config, &pool).err().unwrap();
    assert!(matches!(error, PortError::Mtu { got: 10, .. }), "{error}");
    // The failed attempts have closed what they had opened.
    let config = PortConfig { rx_descriptors: 0, tx_descriptors: 0, ..PortConfig::default() };
    let port = Port::open(eal(), &device, &config, &pool).unwrap();
    assert_eq!(port.tx_queue(0).unwrap().descriptors(), 512);
}

#[test]
fn headers_come_and_go_at_the_front() {
    let pool = pool("front", 7);
    let mut mbuf = pool.copy_of(&frame(0)).unwrap();
    assert_eq!(mbuf.headroom(), usize::from(mempool::HEADROOM));
    mbuf.prepend(4).unwrap().copy_from_slice(b"head");
    assert_eq!(&mbuf.data()[..6], b"head\x00\x01");
    assert_eq!(mbuf.len(), 68);
    assert!(mbuf.trim_front(6));
    assert_eq!(mbuf.data(), &frame(0)[2..]);
    assert!(mbuf.truncate(10));
    assert_eq!(mbuf.data(), &frame(0)[2..12]);
    assert!(!mbuf.truncate(11) && !mbuf.trim_front(11));
    assert!(mbuf.prepend(mbuf.headroom() + 1).is_none());
    assert!(mbuf.append(mbuf.tailroom() + 1).is_none());
    mbuf.data_mut().unwrap().fill(7);
    assert_eq!(mbuf.data(), [7; 10]);
    let room = mbuf.tailroom();
    assert_eq!(mbuf.append(room).unwrap().len(), room);
    assert!(mbuf.trim_front(mbuf.len()) && mbuf.is_empty());
}

#[test]
fn kept_bytes_do_not_change() {
    let pool = pool("kept", 7);
    let mut mbuf = pool.copy_of(&frame(3)).unwrap();
    let mut kept = mbuf.keep();
    assert!(!mbuf.is_writable());
    assert!(mbuf.data_mut().is_none() && mbuf.prepend(1).is_none() && mbuf.append(1).is_none());
    assert!(mbuf.trim_front(10), "taking off is allowed");
    assert!(mbuf.truncate(20));
    assert_eq!(kept.data(), frame(3));
    kept.skip(60);
    kept.truncate(3);
    assert_eq!(kept.as_ref(), &frame(3)[60..63]);
    kept.skip(9);
    assert!(kept.data().is_empty());
    drop(kept);
    // Writable again, and what was trimmed is headroom now.
    mbuf.prepend(10).unwrap().fill(0);
    assert_eq!(&mbuf.data()[10..], &frame(3)[10..30]);
}

#[test]
fn kept_bytes_outlive_their_packet() {
    let pool = pool("outlive", 7);
    let mbuf = pool.copy_of(&frame(5)).unwrap();
    let (first, second) = (mbuf.keep(), mbuf.keep());
    drop(mbuf);
    drop(first);
    assert_eq!(pool.available(), 6);
    let seen = std::thread::spawn(move || second.data().to_vec()).join().unwrap();
    assert_eq!(seen, frame(5));
    assert_eq!(pool.available(), 7);
}

#[test]
fn a_receiver_cannot_write_what_the_sender_keeps() {
    let pool = pool("across", 63);
    let (west, east) = joined(eal(), "across", 32, &pool, 1).unwrap();
    let mut burst: Burst = [pool.copy_of(&frame(1)).unwrap()].into_iter().collect();
    let kept = burst[0].keep();
    west.tx_queue(0).unwrap().burst(&mut burst);
    east.rx_queue(0).unwrap().burst(&mut burst);
    assert!(burst[0].data_mut().is_none());
    assert!(burst[0].trim_front(14));
    assert_eq!(kept.data(), frame(1));
    drop(kept);
    assert_eq!(burst[0].data_mut().unwrap().len(), 50);
}

#[test]
fn an_exhausted_pool_says_so() {
    let pool = pool("short", 20);
    let mut burst = Burst::new();
    assert!(pool.alloc_bulk(&mut burst, 15));
    assert!(!pool.alloc_bulk(&mut burst, 6), "all or none");
    assert_eq!((burst.len(), pool.available()), (15, 5));
    let rest: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!(rest.len(), 5);
    assert!(pool.copy_of(b"x").is_none());
    mbuf::free(&mut burst);
    assert_eq!((burst.len(), pool.available()), (0, 15));
    assert!(!pool.alloc_bulk(&mut burst, BURST + 1));
    drop(rest);
    assert!(pool.copy_of(&[0; DEFAULT_DATA_ROOM as usize]).is_none());
    assert_eq!(pool.available(), 20);
}

#[test]
fn pools_say_what_is_wrong() {
    let kept = pool("taken", 15);
    let attempt = |name: &str, count, room| Mempool::new(eal(), name, count, room).err().unwrap();
    assert!(matches!(attempt("taken", 15, 2048), PoolError::Exists { .. }));
    assert!(matches!(attempt("a b", 15, 2048), PoolError::Name { .. }));
    assert!(matches!(attempt(&"x".repeat(26), 15, 2048), PoolError::Name { .. }));
    assert!(matches!(attempt("none", 0, 2048), PoolError::Empty { .. }));
    assert!(matches!(attempt("flat", 15, 128), PoolError::DataRoom { .. }));
    let huge = attempt("huge", 1 << 20, 10_368);
    assert!(matches!(huge, PoolError::NoMemory { .. }), "{huge}");
    let estimate = mempool::estimated_bytes(15, DEFAULT_DATA_ROOM, false);
    assert_eq!(estimate, 15 * 4096, "a page each");
    assert!((estimate..2 * estimate).contains(&kept.memory_bytes()), "{}", kept.memory_bytes());
    Mempool::new(eal(), &"x".repeat(25), 1, 256).unwrap();
}

#[test]
fn a_pool_waits_for_its_packets() {
    let first = pool("waits", 15);
    let mbuf = first.copy_of(&frame(9)).unwrap();
    drop(first);
    assert_eq!(mbuf.data(), frame(9));
    assert!(matches!(Mempool::new(eal(), "waits", 15, 2048), Err(PoolError::Exists { .. })));
    drop(mbuf);
    // Other tests' registered threads may put the moment off: their going brings it about.
    for _ in 0..1000 {
        drop(eal().register_thread().unwrap());
        if Mempool::new(eal(), "waits", 15, 2048).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the pool was not freed");
}

#[test]
fn registered_threads_share_packets_through_caches() {
    let pool = pool("caches", 2047);
    let (west, east) = joined(eal(), "caches", 256, &pool, 1).unwrap();
    let (mut transmit, mut receive) = (west.tx_queue(0).unwrap(), east.rx_queue(0).unwrap());
    const PACKETS: u32 = 100_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _registered = eal().register_thread().unwrap();
            let (mut burst, mut sent) = (Burst::new(), 0);
            let mut kept = std::collections::VecDeque::new();
            while sent < PACKETS || !burst.is_empty() {
                while sent < PACKETS && !burst.is_full() {
                    let Some(mbuf) = pool.copy_of(&sent.to_be_bytes()) else { break };
                    kept.push_back((sent, mbuf.keep()));
                    burst.push(mbuf);
                    sent += 1;
                }
                if transmit.burst(&mut burst) == 0 {
                    std::thread::yield_now();
                }
                while kept.len() > 300 {
                    let (number, bytes) = kept.pop_front().unwrap();
                    assert_eq!(bytes.data(), u32::to_be_bytes(number));
                }
            }
        });
        scope.spawn(|| {
            let _registered = eal().register_thread().unwrap();
            let (mut burst, mut expected) = (Burst::new(), 0u32);
            while expected < PACKETS {
                if receive.burst(&mut burst) == 0 {
                    std::thread::yield_now();
                }
                for mut mbuf in burst.drain(..) {
                    assert_eq!(mbuf.data(), expected.to_be_bytes());
                    if let Some(bytes) = mbuf.data_mut() {
                        bytes.fill(0xff);
                    }
                    expected += 1;
                }
            }
        });
    });
    drop((transmit, receive, west, east));
    assert_eq!(pool.available(), pool.count());
}
