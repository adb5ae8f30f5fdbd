//! A million packets through the rooms, over real ports joined in memory, with network-sync on.

use std::sync::{Arc, OnceLock};

use maelstrom::dpdk::mbuf::{BURST, Burst};
use maelstrom::dpdk::mempool::DEFAULT_DATA_ROOM;
use maelstrom::dpdk::{Eal, EalConfig, Mempool, RxQueue, TxQueue, joined};
use maelstrom::fec::Codes;
use maelstrom::gateway::flows::{Acks, Exit, Filter, Publisher, PublisherConfig, Rule, Told};
use maelstrom::gateway::post::{
    CodeNews, Heard, Mode, Obeyed, Parcel, ProtectOrder, Receiver, RecoverOrder, Sender, mailbox,
};
use maelstrom::gateway::{
    Blueprint, Limit, Overload, Protect, Recover, Retransmission, Room, Side,
};
use maelstrom::lab::loss::LossProcess;
use maelstrom::wire::Report;
use maelstrom::wire::control::{self, Type};
use maelstrom::wire::encap::{Carrier, Dscp, Encapsulation, Tunnel};
use netsync::{Segment, SegmentConfig};

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
    /// Control's ends of the post.
    orders: (Sender<ProtectOrder>, Sender<RecoverOrder>),
    heard: Receiver<Heard>,
    news: Receiver<CodeNews>,
    reports: Receiver<Report>,
    /// Codes that are no room's at present, and how many changes have come to their end.
    #[allow(clippy::vec_box, reason = "rooms are given boxes")]
    codes: Vec<Box<Codes>>,
    changes: u64,
    reported: u64,
    parcel: Parcel,
    turns: u64,
    /// A packet that the others of its burst overtake.
    burst: Burst,
    now: u64,
    sent: u64,
    received: u64,
}

impl Path {
    fn new(limit: Option<Limit>) -> Path {
        static EAL: OnceLock<Eal> = OnceLock::new();
        let eal = EAL.get_or_init(|| {
            let config = EalConfig { hugepages: false, memory_mib: 256, ..EalConfig::default() };
            Eal::init(&config).expect("an EAL without hugepages")
        });
        // Names of ports and pools are of the whole process.
        let run = limit.map_or(0, |limit| 1 + limit.overload as u8);
        let pool = Mempool::new(eal, &format!("packets-{run}"), 16_383, DEFAULT_DATA_ROOM);
        let pool = pool.expect("a pool");
        let ring =
            |name: &str| joined(eal, &format!("{name}-{run}"), 2047, &pool, 1).expect("two ports");
        let (lan, west_lan) = ring("west-lan");
        let (west_wan, from) = ring("west-wan");
        let (to, east_wan) = ring("east-wan");
        let (east_lan, out) = ring("east-lan");
        let code = "8:21,23,25+g1".parse().expect("a code");
        // The dearest of headers: of what others do, it leaves nothing out.
        let [ours, peer] =
            ["2001:db8::1", "2001:db8::2"].map(|address| address.parse().expect("one"));
        let tunnel = Tunnel { ours, peer, port: 8147, dscp: Dscp::Copy, checksum: true };
        let over = |tunnel| Encapsulation { vlan: Some(7), carrier: Carrier::Udp(tunnel) };
        let encapsulation = over(tunnel);
        let mut west =
            Blueprint { wan_mtu: 1600, limit, encapsulation, ..Blueprint::new(Side::West, code) };
        west.timing.latency = 500_000;
        // Where there is no rate: each of these costs the others some of what they are tested with.
        if limit.is_none() {
            west.retransmission = Some(Retransmission { buffer: 1 << 20, round_trip: 1_000_000 });
            west.resequence = 300_000;
        }
        let encapsulation = over(Tunnel { ours: peer, peer: ours, ..tunnel });
        let east = Blueprint { side: Side::East, encapsulation, ..west.clone() };
        let rx = |port: &maelstrom::dpdk::Port| port.rx_queue(0).expect("its queue");
        let tx = |port: &maelstrom::dpdk::Port| port.tx_queue(0).expect("its queue");
        let sends = west.protect(0, 1, [2; 6], [4; 6]);
        let mut protect = Protect::new(sends, rx(&west_lan), tx(&west_wan), pool.clone());
        let mut recover =
            Recover::new(east.recover(0), rx(&east_wan), tx(&east_lan), pool.clone(), ());
        let mut config = SegmentConfig::new(1, 1);
        (config.geometry.flows, config.geometry.ring) = (16, 1024);
        let mut segment = Segment::create(&config).expect("a segment");
        let filter = Filter::new(&[Rule { port: Some(5432), ..Rule::default() }]);
        let publisher = PublisherConfig {
            filter: filter.clone(),
            flows: 16,
            levels: 3,
            span: west.span(),
            exit: Exit { delay: 20_000, ..Exit::default() },
            idle: Some(100_000),
            clock: 0,
            told: Arc::new(Told::default()),
        };
        protect.tell(Publisher::new(publisher, segment.workers.pop().expect("a writer")));
        recover.read_acks(Acks::new(filter, segment.acks.pop().expect("a writer")));
        // Both rooms are one gateway's here, which asks itself.
        west.retransmit([&mut protect], [&mut recover]);
        let (to_protect, orders) = mailbox(64);
        let (told, news) = mailbox(4);
        protect.obey(orders, Obeyed::default(), told);
        let (to_recover, orders) = mailbox(64);
        let (from_recover, heard) = mailbox(4);
        let (reported, reports) = mailbox(1);
        recover.obey(0, orders, from_recover, reported);
        let sender = control::Sender { channel: 0, epoch: 1 };
        let packet = control::emit(sender, 0, Type::Hello, &[7; 60]).expect("a control packet");
        let outer = west.protect(0, 1, [2; 6], [4; 6]).outer;
        Path {
            orders: (to_protect, to_recover),
            heard,
            news,
            reports,
            codes: vec![Box::new(Codes::new(&west.encoder_for(&west.code)))],
            changes: 0,
            reported: 0,
            parcel: outer.wrap(&packet, 0).expect("room"),
            turns: 0,
            lan: tx(&lan),
            protect,
            wan: (rx(&from), tx(&to)),
            loss: LossProcess::new(&"ge:0.05,12".parse().expect("a loss model"), 1, 0),
            recover,
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
            segment(frame, self.sent);
            self.sent += 1;
        }
        self.lan.burst(&mut self.burst);
        assert!(self.burst.is_empty());
        self.order();
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

    /// Now and then control wants something, and more than a room takes in a turn.
    fn order(&mut self) {
        self.turns += 1;
        if self.turns.is_multiple_of(50) {
            for order in 0..6 {
                let padded = self.parcel.clone().padded_to(100 * order);
                assert!(self.orders.0.send(ProtectOrder::Send(padded)));
                assert!(self.orders.1.send(RecoverOrder::Send(self.parcel.clone())));
            }
            assert!(self.orders.1.send(RecoverOrder::Epoch(1)));
            assert!(self.orders.0.send(ProtectOrder::Mode(Mode::Drain)));
            assert!(self.orders.0.send(ProtectOrder::Mode(Mode::Protect)));
        }
        // One change of the code follows another, and what the link did is asked for.
        if let Some(codes) = self.codes.pop() {
            assert!(self.orders.0.send(ProtectOrder::Code(codes)));
        }
        match self.news.receive() {
            Some(CodeNews::Retired(codes)) => {
                self.codes.push(codes);
                self.changes += 1;
            }
            Some(CodeNews::Refused(_)) => panic!("one change at a time"),
            Some(CodeNews::From(_)) | None => {}
        }
        if self.turns.is_multiple_of(10) {
            assert!(self.orders.1.send(RecoverOrder::Report));
            self.reported += u64::from(self.reports.receive().is_some());
        }
        // At times nobody looks.
        if self.turns.is_multiple_of(75) {
            while self.heard.receive().is_some() {}
        }
    }

    fn until(&mut self, packets: u64) {
        while self.sent < packets {
            self.turn();
        }
    }
}

/// A TCP segment of one of 24 flows, of which 16 can be tracked: now and then it begins anew, or ends,
/// and acknowledges the way back.
fn segment(frame: &mut [u8], n: u64) {
    let (flow, nth) = (n % 24, n / 24);
    frame[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
    let total = frame.len() as u16 - 14;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[18..24].copy_from_slice(&[0, 0, 0x40, 0, 64, 6]);
    frame[26..34].copy_from_slice(&[10, 1, 0, 1, 10, 1, 0, 2]);
    frame[34..36].copy_from_slice(&(40_000 + flow as u16).to_be_bytes());
    frame[36..38].copy_from_slice(&5432u16.to_be_bytes());
    // Some come again, or before their turn.
    let len = u32::from(total) - 40;
    let back = if nth % 7 == 6 { 2 } else { 0 };
    let at = (nth as u32 - back) * len;
    frame[38..42].copy_from_slice(&at.to_be_bytes());
    frame[42..46].copy_from_slice(&at.to_be_bytes());
    let flags = match nth % 500 {
        0 => 2,
        499 => 17,
        250 => 20,
        _ => 16,
    };
    frame[46..48].copy_from_slice(&[0x50, flags]);
}

/// What C allocates is not counted; the rooms call nothing there but bursts and mempools.
#[test]
fn a_million_packets_through_the_rooms_allocate_nothing() {
    let mut path = Path::new(None);
    path.until(WARM_UP);
    let counts = counted(|| path.until(WARM_UP + PACKETS));
    assert_eq!(counts, Counts::default());
    let counters = path.recover.counters();
    let (recovered, delivered) = (counters.recovered.get(), counters.delivered.get());
    assert_eq!(delivered + counters.control_sent.get(), path.received);
    assert!(counters.control_heard.get() > 1000 && counters.control_unheard.get() > 1000);
    assert!(path.changes > 50 && path.reported > 1000, "{} changes", path.changes);
    let [answered, given_up] = [&counters.answered, &counters.given_up].map(|count| count.get());
    assert!(answered > 1000, "{answered} answered, {given_up} given up");
    assert!(counters.hole_skipped.get() > 1000);
    assert!(recovered > PACKETS / 100, "{recovered} of {} rebuilt", path.sent);
    let protect = path.protect.counters();
    assert!(protect.repair_flushed.get() > PACKETS / 100);
    assert_eq!(protect.source_sent.get(), path.sent);
    assert!(protect.flows_evicted.get() > 1000);
}

#[test]
fn a_full_link_allocates_nothing() {
    for overload in [Overload::Reserve, Overload::SourceFirst] {
        let limit = Limit { rate: 500_000_000, overload, queue: 64 << 10 };
        let mut path = Path::new(Some(limit));
        path.until(WARM_UP);
        let counts = counted(|| path.until(WARM_UP + PACKETS / 4));
        assert_eq!(counts, Counts::default(), "{overload:?}");
        let counters = path.protect.counters();
        let (dropped, waiting) = (counters.overload_dropped.get(), counters.overload_waiting.get());
        assert!(dropped > PACKETS / 100, "{overload:?}: {dropped} dropped");
        assert_eq!(counters.source_sent.get() + dropped + waiting, path.sent, "{overload:?}");
        assert!(path.changes > 10, "{overload:?}: {} changes", path.changes);
        let shed = counters.repair_shed.get();
        assert_eq!(shed > 1000, overload == Overload::SourceFirst, "{overload:?}: {shed} shed");
    }
}
