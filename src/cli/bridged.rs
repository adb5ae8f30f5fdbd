//! Several LAN ports of `maelstrom run`: their bridge, and the queues between it and the rooms that code.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::crew::{DEPTH, Queued, queues};
use super::service::{open_port, print_counters, print_port};
use crate::config::{Config, Split};
use crate::control::counters::BridgeCounters;
use crate::dpdk::{Eal, Mempool, Port, PortError, RxQueue, TxQueue, joined};
use crate::gateway::bridge::{Bridge, LanPort, Table};
use crate::gateway::{Blueprint, Room};

/// The LAN ports and who serves them.
pub(super) struct Bridged {
    /// In the file's order.
    pub(super) ports: Vec<Port>,
    /// The worker that polls the bridge.
    pub(super) worker: usize,
    room: Bridge<RxQueue, TxQueue>,
    counters: Arc<BridgeCounters>,
    /// The ends of the queues between the bridge and the rooms that code: its own, and theirs.
    joined: (Port, Port),
}

impl Bridged {
    /// Opens the ports; what the rooms that code poll instead of a port comes with it.
    pub(super) fn open(
        eal: &Eal,
        config: &Config,
        split: &Split,
        blueprint: &Blueprint,
        pool: &Mempool,
    ) -> Result<(Bridged, Queued), PortError> {
        let (readers, writers) = (split.protect.len(), split.recover.len());
        let mut ports = Vec::new();
        let mut ends = Vec::new();
        for device in config.lan.ports() {
            // One room polls them all, so one queue will do, unless the port's other end has more.
            let queues = queues(device, config.lan.queues, [1, 1]);
            let port = open_port(eal, device, blueprint.lan_port_mtu(), queues, pool)?;
            let rx: Result<Vec<RxQueue>, PortError> =
                (0..port.rx_queues()).map(|queue| port.rx_queue(queue)).collect();
            ends.push(LanPort::new(rx?, port.tx_queue(0)?));
            ports.push(port);
        }
        let most = readers.max(writers) as u16;
        let (near, far) = joined(eal, "workers-lan", DEPTH, pool, most)?;
        let rx_of = |port: &Port, n: usize| -> Result<Vec<RxQueue>, PortError> {
            (0..n as u16).map(|queue| port.rx_queue(queue)).collect()
        };
        let tx_of = |port: &Port, n: usize| -> Result<Vec<TxQueue>, PortError> {
            (0..n as u16).map(|queue| port.tx_queue(queue)).collect()
        };
        // Nobody outside knows it, and nothing that is tested depends on it.
        let seed = RandomState::new().hash_one(0);
        let table = Table::new(config.lan.addresses, config.lan.address_age, seed);
        let room = Bridge::new(
            ends,
            rx_of(&near, writers)?,
            tx_of(&near, readers)?,
            table,
            blueprint.link_local,
            pool.clone(),
        );
        let queued = Queued { rx: rx_of(&far, readers)?, tx: tx_of(&far, writers)? };
        let worker = split.lan.worker;
        log::info!("LAN ports: {}, bridged by worker {worker}", ports.len());
        let counters = room.counters();
        Ok((Bridged { ports, worker, room, counters, joined: (near, far) }, queued))
    }

    /// The ports, and the room to be polled.
    pub(super) fn parts(&mut self) -> (&[Port], &mut dyn Room) {
        (&self.ports, &mut self.room)
    }

    /// Prints what it and the ports have counted.
    pub(super) fn print(&self) -> Result<(), String> {
        // What was handed over to be protected, but not taken.
        let (near, far) = &self.joined;
        let behind = near.stats().opackets.saturating_sub(far.stats().ipackets);
        let counted = self.counters.each().map(|(name, count)| match name {
            "left_at_stop" => (name, count + behind),
            _ => (name, count),
        });
        print_counters(&format!("bridge, worker {}", self.worker), counted)?;
        self.ports.iter().try_for_each(print_port)
    }
}
