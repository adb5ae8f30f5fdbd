//! One queue → several workers: receives from a port and hands each packet to the worker of its
//! flow or channel.
//!
//! * **Does:** receive, decide whose a packet is, hand over; hold back while a worker is full.
//! * **Fed by:** a port's receive queues: the LAN's, where RSS does not spread flows over as many
//!   queues as there are `protect`s; the WAN's, where RSS can't, since it does not know our packets.
//! * **Feeds:** a queue to each `protect` or `recover`, with one sender and one receiver.
//! * **Runs on:** one worker, alone or beside other rooms.
//! * **Must not:** verify, change or reorder what it hands over: one flow, or one channel, goes one
//!   way and stays in order.
//!
//! A worker whose queue is full holds everything back: the port's own queue builds up, and what that
//! has no room for is dropped and counted there, as if the port had fed the worker directly. So the
//! slowest worker sets the pace (`held_back` counts the turns), and nothing is lost to a pause. But a
//! worker that takes nothing for [`STALL`], since its way out is shut, must not shut the others'
//! too: then what is for it is dropped and counted, as long as there is one that does take.

use std::sync::Arc;

use super::io::{Outbox, Receive, Transmit, fetched};
use super::settings::Side;
use super::worker::Room;
use crate::control::counters::DispatchCounters;
use crate::dpdk::mbuf::Burst;
use crate::wire::encap::{Arrival, Pattern};
use crate::wire::{flow, shim};

/// How long a worker may take nothing before others stop waiting for it, in nanoseconds: longer than
/// any pause of a core that is shared, and than a peer takes to be started again.
pub const STALL: u64 = 10_000_000_000;

/// How packets are spread over workers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one for each port")]
pub enum Spread {
    /// By flow: frames from a LAN.
    Flows,
    /// By the channel of whoever sent them: packets from the WAN. A packet of a channel that there is
    /// no worker for goes to the first worker, who counts and rejects it. Frames that cross the WAN
    /// unprotected go by flow, as they did where they were sent; those for a gateway with an address go
    /// to the first worker.
    Channels {
        /// Who sent them.
        from: Side,
        /// What their packets' outer headers look like.
        pattern: Pattern,
    },
}

impl Spread {
    /// Whose of `n` workers a frame is.
    #[inline]
    fn target(&self, frame: &[u8], n: usize) -> usize {
        if let Spread::Channels { from, pattern } = self {
            match pattern.strip(frame) {
                Arrival::Packet(packet) => {
                    let channel = shim::channel_of(packet).unwrap_or(from.channel(0));
                    let number = usize::from(channel.wrapping_sub(from.channel(0)));
                    return if number < n { number } else { 0 };
                }
                _ if pattern.is_routed() => return 0,
                _ => {}
            }
        }
        flow::share(flow::hash(frame), n)
    }
}

/// The queue to one worker.
struct Target<T> {
    outbox: Outbox<T>,
    /// Since when it has taken nothing of what waits.
    stuck_since: Option<u64>,
}

impl<T: Transmit> Target<T> {
    /// Hands over what waits. False if some of it still waits.
    #[inline]
    fn send(&mut self, now: u64) -> bool {
        let before = self.outbox.len();
        if before == 0 {
            return true;
        }
        self.outbox.send(now);
        let left = self.outbox.len();
        if left == 0 || left < before {
            self.stuck_since = None;
        } else {
            self.stuck_since.get_or_insert(now);
        }
        left == 0
    }

    fn is_stalled(&self, now: u64) -> bool {
        self.stuck_since.is_some_and(|since| now - since >= STALL)
    }
}

/// The room. See the module's head.
pub struct Dispatch<R, T> {
    port: R,
    targets: Vec<Target<T>>,
    spread: Spread,
    received: Burst,
    counters: Arc<DispatchCounters>,
}

impl<R: Receive, T: Transmit> Dispatch<R, T> {
    /// From `port` to `targets`, of which there is one at least.
    pub fn new(spread: Spread, port: R, targets: Vec<T>) -> Dispatch<R, T> {
        let target = |port| Target { outbox: Outbox::new(port), stuck_since: None };
        Dispatch {
            port,
            targets: targets.into_iter().map(target).collect(),
            spread,
            received: Burst::new(),
            counters: Arc::default(),
        }
    }

    /// What it receives from.
    pub fn port_mut(&mut self) -> &mut R {
        &mut self.port
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<DispatchCounters> {
        Arc::clone(&self.counters)
    }

    /// Hands over what waits. False if some of it still waits, and everyone must.
    fn send(&mut self, now: u64) -> bool {
        let mut waiting = 0;
        for target in &mut self.targets {
            waiting += usize::from(!target.send(now));
        }
        waiting == 0 || (waiting < self.targets.len() && self.leave_behind(now))
    }

    /// Drops what is for workers that have stalled. False if a worker that has not still waits.
    #[cold]
    fn leave_behind(&mut self, now: u64) -> bool {
        let mut all_free = true;
        for target in &mut self.targets {
            if target.is_stalled(now) {
                self.counters.worker_stalled.add(target.outbox.discard() as u64);
            }
            all_free &= target.outbox.is_empty();
        }
        all_free
    }

    /// Receives a burst, for which every outbox has room: they are empty.
    fn receive(&mut self, now: u64) -> usize {
        self.port.receive(now, &mut self.received);
        let count = self.received.len();
        let n = self.targets.len();
        for mbuf in fetched(std::mem::take(&mut self.received), 0, |_| true) {
            let target = self.spread.target(mbuf.data(), n);
            if let Some(target) = self.targets.get_mut(target) {
                target.outbox.push(now, mbuf);
            }
        }
        count
    }
}

impl<R: Receive, T: Transmit> Room for Dispatch<R, T> {
    fn poll(&mut self, now: u64) -> usize {
        if !self.send(now) {
            self.counters.held_back.add(1);
            return 0;
        }
        let mut count = 0;
        // As many bursts as there are workers, so that each may have a whole one in a turn.
        for _ in 0..self.targets.len() {
            let burst = self.receive(now);
            count += burst;
            if !self.send(now) || burst == 0 {
                break;
            }
        }
        self.counters.received.add(count as u64);
        count
    }

    /// The workers have stopped receiving too, so nothing more can be handed over.
    fn finish(&mut self, _now: u64) -> bool {
        for target in &mut self.targets {
            self.counters.left_at_stop.add(target.outbox.discard() as u64);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};
    use std::sync::Mutex;

    use super::*;
    use crate::dpdk::{Mempool, mempool, test_eal};
    use crate::gateway::Gather;
    use crate::wire::Encapsulation;

    const ETHERTYPE: u16 = crate::wire::outer::ETHERTYPE;

    fn pool(name: &str) -> Mempool {
        Mempool::new(test_eal(), name, 1023, mempool::DEFAULT_DATA_ROOM).unwrap()
    }

    /// A queue of frames, both ends of it, which takes as many more as `takes` says.
    #[derive(Clone)]
    struct Line {
        frames: Arc<Mutex<VecDeque<Vec<u8>>>>,
        takes: Arc<Mutex<usize>>,
        pool: Mempool,
    }

    impl Line {
        fn new(pool: &Mempool) -> Line {
            let takes = Arc::new(Mutex::new(usize::MAX));
            Line { frames: Arc::default(), takes, pool: pool.clone() }
        }

        fn take(&self) -> Vec<Vec<u8>> {
            self.frames.lock().unwrap().drain(..).collect()
        }
    }

    impl Receive for Line {
        fn receive(&mut self, _now: u64, burst: &mut Burst) {
            let mut frames = self.frames.lock().unwrap();
            while !burst.is_full()
                && let Some(frame) = frames.pop_front()
            {
                burst.push(self.pool.copy_of(&frame).expect("a leak: the pool is empty"));
            }
        }
    }

    impl Transmit for Line {
        fn transmit(&mut self, _now: u64, burst: &mut Burst) {
            let mut takes = self.takes.lock().unwrap();
            let taken = burst.len().min(*takes);
            *takes -= taken;
            let frames = burst.drain(..taken).map(|mbuf| mbuf.data().to_vec());
            self.frames.lock().unwrap().extend(frames);
        }
    }

    /// Frame `n` of a flow: UDP over IPv4.
    fn frame(flow: u8, n: u16) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 9, flow, 0, 80, 0, 0, 0, 0]);
        frame.extend(n.to_be_bytes());
        frame.resize(60, 0);
        frame
    }

    fn identity(frame: &[u8]) -> (u8, u16) {
        (frame[35], u16::from_be_bytes([frame[42], frame[43]]))
    }

    fn pattern() -> Pattern {
        Pattern::new(&Encapsulation::default())
    }

    /// A packet of a channel.
    fn packet(channel: u8) -> Vec<u8> {
        let mut packet = vec![2; 12];
        packet.extend(ETHERTYPE.to_be_bytes());
        packet.extend([0x11, channel]);
        packet.resize(60, 0);
        packet
    }

    struct Stage {
        room: Dispatch<Line, Line>,
        port: Line,
        workers: Vec<Line>,
    }

    impl Stage {
        fn new(name: &str, spread: Spread, workers: usize) -> Stage {
            let pool = pool(name);
            let port = Line::new(&pool);
            let workers: Vec<Line> = (0..workers).map(|_| Line::new(&pool)).collect();
            let room = Dispatch::new(spread, port.clone(), workers.clone());
            Stage { room, port, workers }
        }

        fn bring(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
            self.port.frames.lock().unwrap().extend(frames);
        }
    }

    #[test]
    fn a_flow_stays_with_one_worker_and_in_order_though_workers_are_full() {
        let mut stage = Stage::new("flows", Spread::Flows, 3);
        stage.bring((0..200).flat_map(|n| (0..50).map(move |flow| frame(flow, n))));
        let mut got = vec![Vec::new(); 3];
        let mut random = 1u64;
        for now in 0..100_000 {
            stage.room.poll(now);
            for (worker, got) in stage.workers.iter().zip(&mut got) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *worker.takes.lock().unwrap() = (random >> 60) as usize;
                got.extend(worker.take());
            }
            if got.iter().map(Vec::len).sum::<usize>() == 10_000 {
                break;
            }
        }
        let mut next = HashMap::new();
        for (worker, frames) in got.iter().enumerate() {
            assert!(frames.len() > 1000, "worker {worker} got {}", frames.len());
            for (flow, n) in frames.iter().map(|frame| identity(frame)) {
                let (home, expected) = next.entry(flow).or_insert((worker, 0));
                assert_eq!((*home, *expected), (worker, n), "flow {flow}");
                *expected += 1;
            }
        }
        assert!(next.values().all(|&(_, count)| count == 200), "nothing is lost");
        assert!(stage.room.counters.held_back.get() > 0);
        assert_eq!(stage.room.counters.received.get(), 10_000);
        assert_eq!(stage.room.counters.worker_stalled.get(), 0);
    }

    #[test]
    fn a_channel_goes_to_its_worker_and_what_has_none_to_the_first() {
        let spread = Spread::Channels { from: Side::East, pattern: pattern() };
        let mut stage = Stage::new("channels", spread, 3);
        let short = packet(0x82)[..20].to_vec();
        stage.bring([0x80, 0x82, 0x81, 0x83, 0, 1, 0xFF].map(packet));
        stage.bring([short.clone(), packet(0x81)]);
        stage.room.poll(0);
        let got: Vec<Vec<Vec<u8>>> = stage.workers.iter().map(Line::take).collect();
        let mut first: Vec<Vec<u8>> = [0x80, 0x83, 0, 1, 0xFF].map(packet).into();
        first.push(short);
        assert_eq!(got, [first, vec![packet(0x81); 2], vec![packet(0x82)]]);
        // Frames that cross unprotected fall to whom the sender's flows fall to.
        let mut lan = Stage::new("unprotected", Spread::Flows, 3);
        for stage in [&mut stage, &mut lan] {
            stage.bring((0..30).map(|flow| frame(flow, 0)));
            stage.room.poll(0);
        }
        let [wan, lan] = [stage, lan].map(|s| s.workers.iter().map(Line::take).collect::<Vec<_>>());
        assert!(wan == lan && wan.iter().all(|frames| !frames.is_empty()));
    }

    #[test]
    fn a_worker_that_has_stalled_holds_back_others_no_longer() {
        let spread = Spread::Channels { from: Side::West, pattern: pattern() };
        let mut stage = Stage::new("stalled", spread, 2);
        let alternating = || [packet(0), packet(1)].into_iter().cycle();
        *stage.workers[0].takes.lock().unwrap() = 0;
        stage.bring(alternating().take(200));
        for now in [0, 1, STALL - 1] {
            stage.room.poll(now);
        }
        let left = stage.port.frames.lock().unwrap().len();
        assert!(left > 100, "held back: {left}");
        for n in 0..20 {
            stage.room.poll(STALL + n);
        }
        assert_eq!(stage.workers[1].take().len(), 100);
        assert_eq!(stage.room.counters.worker_stalled.get(), 100);
        // It takes again, and has what comes from now on.
        *stage.workers[0].takes.lock().unwrap() = usize::MAX;
        stage.bring(alternating().take(20));
        stage.room.poll(STALL + 30);
        assert_eq!(lens(&stage.workers), [10, 10]);
        assert_eq!(stage.room.counters.worker_stalled.get(), 100);
    }

    #[test]
    fn nothing_is_dropped_while_nobody_takes_anything() {
        let spread = Spread::Channels { from: Side::West, pattern: pattern() };
        let mut stage = Stage::new("shut", spread, 2);
        stage.workers.iter().for_each(|worker| *worker.takes.lock().unwrap() = 0);
        stage.bring([packet(0), packet(1)].into_iter().cycle().take(200));
        for turn in 0..5 {
            stage.room.poll(turn * STALL);
        }
        stage.workers.iter().for_each(|worker| *worker.takes.lock().unwrap() = usize::MAX);
        for turn in 0..10 {
            stage.room.poll(5 * STALL + turn);
        }
        assert_eq!(lens(&stage.workers), [100, 100]);
        assert_eq!(stage.room.counters.worker_stalled.get(), 0);
        // What waits when the gateway stops is counted.
        *stage.workers[1].takes.lock().unwrap() = 0;
        stage.bring(vec![packet(1); 5]);
        stage.room.poll(6 * STALL);
        assert!(stage.room.finish(6 * STALL));
        assert_eq!(stage.room.counters.left_at_stop.get(), 5);
    }

    fn lens(lines: &[Line]) -> Vec<usize> {
        lines.iter().map(|line| line.frames.lock().unwrap().len()).collect()
    }

    #[test]
    fn gathering_keeps_each_workers_order_though_the_port_is_full() {
        let pool = pool("gather");
        let workers: Vec<Line> = (0..3).map(|_| Line::new(&pool)).collect();
        let port = Line::new(&pool);
        for (flow, worker) in (0..).zip(&workers) {
            worker.frames.lock().unwrap().extend((0..1000).map(|n| frame(flow, n)));
        }
        let mut room = Gather::new(workers.clone(), port.clone());
        for now in 0..2000 {
            *port.takes.lock().unwrap() = 7;
            room.poll(now);
        }
        *port.takes.lock().unwrap() = usize::MAX;
        while !room.finish(3000) {}
        let mut next = [0; 3];
        for frame in port.take() {
            let (flow, n) = identity(&frame);
            assert_eq!(n, next[usize::from(flow)]);
            next[usize::from(flow)] += 1;
        }
        assert_eq!(next, [1000; 3]);
    }
}
