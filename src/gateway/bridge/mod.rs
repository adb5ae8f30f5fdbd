//! Several LAN ports ↔ the WAN: a learning bridge (IEEE 802.1Q, clause 8) before the rooms that code.
//!
//! * **Does:** learn where stations are; send each frame on where its destination is, or, if that is not
//!   known or it is for many, everywhere but back.
//! * **Fed by:** the LAN ports; a queue from each `recover`.
//! * **Feeds:** the LAN ports; a queue to each `protect`, by flow.
//! * **Runs on:** one worker, which owns all LAN ports and the table: nobody else reads either.
//! * **Must not:** send a frame back to where it came from, or twice to one place; send over the WAN what
//!   is for a station on the LAN that is known; let a port that is full hold back the others.
//!
//! With one LAN port there is no bridge: all that comes from it goes over the WAN.
//!
//! What finds a port full is dropped and counted, as in any switch: were it to wait, traffic between LAN
//! ports would stop whenever the WAN is full. The queues behind give it time: a port's own ring, and a
//! thousand packets to each `protect`.
//!
//! A frame that goes to several places is copied for all but one of them: `protect` writes headers in
//! front of it. There is no spanning tree: two LAN ports must not be joined elsewhere.

mod table;

use std::sync::Arc;

use super::io::{Outbox, Queues, Receive, Transmit, fetched};
use super::settings::LinkLocal;
use super::worker::Room;
use crate::control::counters::BridgeCounters;
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{Burst, Mbuf};
use crate::wire::flow;
use crate::wire::outer::Ether;
pub use table::{Address, Learnt, Place, Table};

/// LAN ports of a bridge, at most.
pub const MAX_PORTS: usize = 8;

/// One LAN port.
pub struct LanPort<R, T> {
    rx: Queues<R>,
    tx: Outbox<T>,
}

impl<R: Receive, T: Transmit> LanPort<R, T> {
    /// Of its queues.
    pub fn new(rx: Vec<R>, tx: T) -> LanPort<R, T> {
        LanPort { rx: Queues::new(rx), tx: Outbox::new(tx) }
    }
}

/// The room. See the module's head.
pub struct Bridge<R, T> {
    lan: Vec<LanPort<R, T>>,
    /// From those that recover.
    recovered: Queues<R>,
    /// Bursts in a turn from these: one for each.
    turns: usize,
    /// To those that protect.
    protect: Vec<Outbox<T>>,
    table: Table,
    link_local: LinkLocal,
    /// Where frames are copied.
    pool: Mempool,
    counters: Arc<BridgeCounters>,
}

impl<R: Receive, T: Transmit> Bridge<R, T> {
    /// Between `lan`, of which there are at most [`MAX_PORTS`], and the queues from those that recover
    /// and to those that protect, one each at least.
    pub fn new(
        lan: Vec<LanPort<R, T>>,
        recovered: Vec<R>,
        protect: Vec<T>,
        table: Table,
        link_local: LinkLocal,
        pool: Mempool,
    ) -> Bridge<R, T> {
        Bridge {
            lan,
            turns: recovered.len(),
            recovered: Queues::new(recovered),
            protect: protect.into_iter().map(Outbox::new).collect(),
            table,
            link_local,
            pool,
            counters: Arc::default(),
        }
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<BridgeCounters> {
        Arc::clone(&self.counters)
    }

    /// The place of the WAN: behind those of the LAN ports.
    fn wan(&self) -> Place {
        self.lan.len() as Place
    }

    /// Sends a frame that has come from a place on.
    fn forward(&mut self, now: u64, from: Place, mbuf: Mbuf) {
        let counters = &self.counters;
        let parsed = Ether::parse(mbuf.data()).filter(|_| mbuf.is_contiguous());
        let Some((ether, rest)) = parsed else {
            return counters.malformed.add(1);
        };
        if self.link_local == LinkLocal::Drop && ether.is_link_local() {
            return counters.link_local_dropped.add(1);
        }
        let vlan = match rest.first_chunk() {
            Some(tag) if ether.is_tagged() => u16::from_be_bytes(*tag),
            _ => 0,
        };
        let source = Address::new(ether.source, vlan);
        if source.is_station() {
            match self.table.learn(now, source, from) {
                Learnt::Moved => counters.moved.add(1),
                Learnt::Evicted => counters.evicted.add(1),
                Learnt::Known | Learnt::New => {}
            }
        }
        let destination = Address::new(ether.destination, vlan);
        let to = destination.is_station().then(|| self.table.find(now, destination)).flatten();
        match to {
            Some(to) if to == from => counters.filtered.add(1),
            Some(to) => self.send_to(now, to, mbuf),
            None => self.flood(now, from, mbuf),
        }
    }

    /// Sends a frame everywhere but back.
    fn flood(&mut self, now: u64, from: Place, mbuf: Mbuf) {
        self.counters.flooded.add(1);
        let mut last = None;
        for place in (0..=self.wan()).filter(|place| *place != from) {
            // The last place has the frame itself.
            let Some(before) = last.replace(place) else { continue };
            match self.pool.copy_of(mbuf.data()) {
                Some(copy) => self.send_to(now, before, copy),
                None => self.counters.no_mbuf.add(1),
            }
        }
        if let Some(place) = last {
            self.send_to(now, place, mbuf);
        }
    }

    #[inline]
    fn send_to(&mut self, now: u64, to: Place, mbuf: Mbuf) {
        let Bridge { lan, protect, counters, .. } = self;
        if let Some(port) = lan.get_mut(usize::from(to)) {
            let taken = port.tx.push(now, mbuf);
            return if taken { &counters.to_lan } else { &counters.lan_full }.add(1);
        }
        let nth = match protect.len() {
            1 => 0,
            n => flow::share(flow::hash(mbuf.data()), n),
        };
        let taken = protect.get_mut(nth).is_some_and(|queue| queue.push(now, mbuf));
        if taken { &counters.to_wan } else { &counters.wan_full }.add(1);
    }

    fn take_from_lan(&mut self, now: u64) -> usize {
        let mut count = 0;
        for place in 0..self.wan() {
            let mut burst = Burst::new();
            if let Some(port) = self.lan.get_mut(usize::from(place)) {
                port.rx.receive(now, &mut burst);
            }
            count += burst.len();
            for mbuf in fetched(burst, 0, |_| false) {
                self.forward(now, place, mbuf);
            }
        }
        self.counters.lan_in.add(count as u64);
        count
    }

    fn take_from_wan(&mut self, now: u64) -> usize {
        let (mut count, wan) = (0, self.wan());
        for _ in 0..self.turns {
            let mut burst = Burst::new();
            self.recovered.receive(now, &mut burst);
            if burst.is_empty() {
                break;
            }
            count += burst.len();
            for mbuf in fetched(burst, 0, |_| false) {
                self.forward(now, wan, mbuf);
            }
        }
        self.counters.wan_in.add(count as u64);
        count
    }

    /// Sends what waits; says whether the LAN ports have taken all of theirs.
    fn send(&mut self, now: u64) -> bool {
        self.protect.iter_mut().for_each(|queue| queue.send(now));
        self.lan.iter_mut().for_each(|port| port.tx.send(now));
        self.lan.iter().all(|port| port.tx.is_empty())
    }
}

impl<R: Receive, T: Transmit> Room for Bridge<R, T> {
    fn poll(&mut self, now: u64) -> usize {
        let count = self.take_from_lan(now) + self.take_from_wan(now);
        self.send(now);
        count
    }

    /// Those that protect receive nothing more; those that recover may still hand over.
    fn finish(&mut self, now: u64) -> bool {
        let count = self.take_from_wan(now);
        for queue in &mut self.protect {
            self.counters.left_at_stop.add(queue.discard() as u64);
        }
        self.send(now) && count == 0
    }
}

#[cfg(test)]
mod tests;
