//! The rooms of `maelstrom run`, the queues between them and the ports, and who polls what.

use std::sync::Arc;

use super::bridged::Bridged;
use super::ledger::Rooms;
use super::netsync::Netsync;
use super::service::{Station, open_port, print_counters, print_port};
use crate::config::workers::Server;
use crate::config::{Config, NetsyncSection, Split};
use crate::control::counters::{DispatchCounters, ProtectCounters, RecoverCounters};
use crate::dpdk::{Device, Eal, Mempool, Port, PortError, RxQueue, TxQueue, joined};
use crate::gateway::fit::{self, Teller};
use crate::gateway::flows::{Acks, Exit, Publisher, PublisherConfig};
use crate::gateway::rooms::{protect_room, recover_room};
use crate::gateway::{
    Blueprint, Dispatch, Gather, ProtectRoom, Queues, RecoverRoom, Room, Spread, Steward, TooBig,
};
use crate::wire::encap::Pattern;

/// How many packets may be on their way from one worker to another: enough for a core that rests.
pub(super) const DEPTH: u32 = 1023;

/// A port, and who serves it where it has not a queue for each room.
struct Berth {
    port: Port,
    server: Server,
    dispatch: Option<Dispatch<Queues<RxQueue>, TxQueue>>,
    gather: Option<Gather<RxQueue, TxQueue>>,
    /// The ends of the queues to and from other workers: the server's, and theirs.
    joined: Option<(Port, Port)>,
}

/// What the rooms at a port poll, one each.
pub(super) struct Queued {
    pub(super) rx: Vec<RxQueue>,
    pub(super) tx: Vec<TxQueue>,
}

/// A port as configured, and what is wanted of it.
struct Wanted<'a> {
    /// "lan" or "wan".
    name: &'static str,
    device: &'a Device,
    mtu: u16,
    /// Queues to open, each way.
    queues: [u16; 2],
    /// Rooms that receive from it.
    readers: usize,
    /// Rooms that send through it.
    writers: usize,
    spread: Spread,
    server: Server,
}

/// A room that codes, and the worker that polls it. Its place among others is its channel's number.
struct Coder<R, C> {
    room: R,
    counters: Arc<C>,
    worker: usize,
}

/// A gateway's ports and rooms.
pub(super) struct Crew {
    /// The LAN port, or several.
    lan: Option<Berth>,
    bridged: Option<Bridged>,
    wan: Berth,
    protect: Vec<Coder<Box<dyn ProtectRoom>, ProtectCounters>>,
    recover: Vec<Coder<Box<dyn RecoverRoom>, RecoverCounters>>,
}

impl Crew {
    /// Opens the ports and builds the rooms.
    pub(super) fn new(
        eal: &Eal,
        config: &Config,
        split: &Split,
        blueprint: &Blueprint,
        epoch: u32,
    ) -> Result<Crew, Box<dyn std::error::Error>> {
        let pool = Mempool::new(eal, "packets", blueprint.mbufs(), blueprint.data_room())?;
        let (ours, theirs) = (split.protect.len(), split.recover.len());
        let lan = Wanted {
            name: "lan",
            device: &config.lan.port,
            mtu: blueprint.lan_port_mtu(),
            queues: queues(&config.lan.port, config.lan.queues, [ours, theirs]),
            readers: ours,
            writers: theirs,
            spread: Spread::Flows,
            server: split.lan,
        };
        // A NIC does not know our packets and puts them all into one queue. A virtual port may have
        // a queue for each queue that the peer sends through.
        let wan_rx = if matches!(config.wan.port, Device::Pci(_)) { 1 } else { theirs };
        let wan = Wanted {
            name: "wan",
            device: &config.wan.port,
            mtu: blueprint.wan_port_mtu(),
            queues: queues(&config.wan.port, config.wan.queues, [wan_rx, ours]),
            readers: theirs,
            writers: ours,
            spread: Spread::Channels {
                from: blueprint.side.other(),
                pattern: Pattern::new(&blueprint.encapsulation),
            },
            server: split.wan,
        };
        let (lan, bridged, lan_ends) = match config.lan.more_ports.is_empty() {
            true => {
                let (berth, ends) = Berth::open(eal, lan, &pool)?;
                (Some(berth), None, ends)
            }
            false => {
                let (bridged, ends) = Bridged::open(eal, config, split, blueprint, &pool)?;
                (None, Some(bridged), ends)
            }
        };
        let (wan, wan_ends) = Berth::open(eal, wan, &pool)?;
        let ends = [wan.port.mac(), config.wan.peer_mac()];
        let numbered = || 0u8..;
        let mut answers = Vec::new();
        let protect = numbered().zip(&split.protect).zip(lan_ends.rx.into_iter().zip(wan_ends.tx));
        let protect = protect.map(|((channel, &worker), queues)| {
            let mut room = protect_room(blueprint, channel, epoch, ends, queues, pool.clone());
            if blueprint.too_big == TooBig::Icmp {
                let (sender, receiver) = fit::mailbox();
                room.answer(Teller::new(sender));
                answers.push(receiver);
            }
            Coder { counters: room.counters(), room, worker }
        });
        let mut protect: Vec<_> = protect.collect();
        let recover = numbered().zip(&split.recover).zip(wan_ends.rx.into_iter().zip(lan_ends.tx));
        let recover = recover.map(|((channel, &worker), queues)| {
            let room = recover_room(blueprint, channel, queues, pool.clone());
            Coder { counters: room.counters(), room, worker }
        });
        let mut recover: Vec<_> = recover.collect();
        if let Some(first) = recover.first_mut() {
            first.room.answer_from(answers);
        }
        blueprint.retransmit(
            protect.iter_mut().map(|coder| &mut *coder.room),
            recover.iter_mut().map(|coder| &mut *coder.room),
        );
        Ok(Crew { protect, recover, lan, bridged, wan })
    }

    /// Has storage processes told, from the first turn on. `clock` is the segment's time at the rooms'
    /// time 0, or a little later.
    pub(super) fn tell(
        &mut self,
        section: &NetsyncSection,
        blueprint: &Blueprint,
        clock: u64,
    ) -> Result<Netsync, Box<dyn std::error::Error>> {
        let counters = self.protect.iter().map(|coder| Arc::clone(&coder.counters)).collect();
        let (netsync, writers) = Netsync::start(section, blueprint, &self.wan.port, counters)?;
        let handed = self.wan.gather.as_ref().map(Gather::handed);
        for (n, (coder, writer)) in self.protect.iter_mut().zip(writers.protect).enumerate() {
            let config = PublisherConfig {
                filter: section.filter(),
                flows: section.flows,
                levels: blueprint.levels(),
                span: blueprint.span(),
                exit: Exit {
                    handed: handed.and_then(|handed| handed.get(n)).cloned(),
                    drain: Arc::clone(netsync.drain()),
                    delay: section.exit_delay,
                },
                idle: section.idle,
                clock,
                told: Arc::clone(netsync.told()),
            };
            coder.room.tell(Publisher::new(config, writer));
        }
        for (coder, writer) in self.recover.iter_mut().zip(writers.recover) {
            coder.room.read_acks(Acks::new(section.filter(), writer));
        }
        Ok(netsync)
    }

    /// Puts the rooms under control.
    pub(super) fn obey(&mut self, steward: &mut Steward) {
        self.protect.iter_mut().for_each(|coder| steward.take_on_protect(&mut *coder.room));
        self.recover.iter_mut().for_each(|coder| steward.take_on_recover(&mut *coder.room));
    }

    /// Whose counters are read.
    pub(super) fn counted(&self) -> Rooms {
        let dispatch =
            |name, berth: Option<&Berth>| Some((name, berth?.dispatch.as_ref()?.counters()));
        Rooms {
            protect: self.protect.iter().map(|coder| Arc::clone(&coder.counters)).collect(),
            recover: self.recover.iter().map(|coder| Arc::clone(&coder.counters)).collect(),
            dispatch: [dispatch("lan", self.lan.as_ref()), dispatch("wan", Some(&self.wan))]
                .into_iter()
                .flatten()
                .collect(),
        }
    }

    /// The WAN port's address.
    pub(super) fn wan_mac(&self) -> [u8; 6] {
        self.wan.port.mac()
    }

    /// The ports, and each worker with its rooms: those that receive for others first, those that send for others
    /// last, so that a packet that stays on its core goes all the way in one turn.
    pub(super) fn stations(&mut self, config: &Config) -> (Vec<&Port>, Vec<Station<'_>>) {
        let station = |core| Station { core, rooms: Vec::new() };
        let mut stations: Vec<Station<'_>> =
            config.workers.iter().map(|worker| station(worker.core)).collect();
        let mut give = |worker: usize, room| {
            if let Some(station) = stations.get_mut(worker) {
                station.rooms.push(room);
            }
        };
        let mut gathers = Vec::new();
        let mut ports = Vec::new();
        if let Some(bridged) = &mut self.bridged {
            let worker = bridged.worker;
            let (several, room) = bridged.parts();
            give(worker, room);
            ports.extend(several);
        }
        ports.extend(self.lan.iter_mut().chain([&mut self.wan]).map(|berth| {
            let Berth { port, server, dispatch, gather, .. } = berth;
            if let Some(room) = dispatch {
                give(server.worker, room as &mut dyn Room);
            }
            gathers.extend(gather.as_mut().map(|room| (server.worker, room)));
            &*port
        }));
        self.protect.iter_mut().for_each(|Coder { room, worker, .. }| give(*worker, &mut **room));
        self.recover.iter_mut().for_each(|Coder { room, worker, .. }| give(*worker, &mut **room));
        gathers.into_iter().for_each(|(worker, room)| give(worker, room));
        (ports, stations)
    }

    /// Prints what the rooms and ports have counted.
    pub(super) fn print(&self) -> Result<(), String> {
        let protect = self.protect.iter().map(|coder| (coder.worker, coder.counters.each()));
        print_rooms("protect", "(LAN to WAN)", protect)?;
        let recover = self.recover.iter().map(|coder| (coder.worker, coder.counters.each()));
        print_rooms("recover", "(WAN to LAN)", recover)?;
        self.bridged.as_ref().map_or(Ok(()), Bridged::print)?;
        self.lan.as_ref().map_or(Ok(()), |lan| lan.print("lan"))?;
        self.wan.print("wan")
    }
}

/// Prints what rooms of one kind have counted: all together, then one by one if there are several.
fn print_rooms<'a>(
    kind: &str,
    way: &str,
    rooms: impl Iterator<Item = (usize, impl Iterator<Item = (&'a str, u64)>)>,
) -> Result<(), String> {
    let rooms: Vec<(usize, Vec<(&str, u64)>)> =
        rooms.map(|(worker, counters)| (worker, counters.collect())).collect();
    let mut sum = rooms.first().map(|(_, counters)| counters.clone()).unwrap_or_default();
    for (_, counters) in rooms.iter().skip(1) {
        sum.iter_mut().zip(counters).for_each(|(sum, counter)| sum.1 += counter.1);
    }
    print_counters(&format!("{kind} {way}"), sum.into_iter())?;
    if rooms.len() > 1 {
        for (number, (worker, counters)) in rooms.into_iter().enumerate() {
            let heading = format!("{kind}, channel {number}, worker {worker}");
            print_counters(&heading, counters.into_iter())?;
        }
    }
    Ok(())
}

/// As many queues as wanted each way, but no more than the operator allows. Where both ends must open
/// equally many, that is just what the operator says.
pub(super) fn queues(device: &Device, limit: Option<u16>, wanted: [usize; 2]) -> [u16; 2] {
    match limit {
        limit if device.hides_its_queues() => [limit.unwrap_or(1); 2],
        limit => wanted.map(|wanted| (wanted as u16).min(limit.unwrap_or(u16::MAX))),
    }
}

impl Berth {
    fn open(eal: &Eal, wanted: Wanted<'_>, pool: &Mempool) -> Result<(Berth, Queued), PortError> {
        let Wanted { name, readers, writers, spread, server, .. } = wanted;
        let port = open_port(eal, wanted.device, wanted.mtu, wanted.queues, pool)?;
        let own_queues = match &spread {
            Spread::Flows => usize::from(port.rx_queues()) == readers,
            Spread::Channels { .. } => [usize::from(port.rx_queues()), readers] == [1, 1],
        };
        let dispatches = server.named || !own_queues;
        let gathers = usize::from(port.tx_queues()) < writers;
        let needed = [(dispatches, readers), (gathers, writers)];
        let needed = needed.into_iter().filter(|(needed, _)| *needed).map(|(_, rooms)| rooms).max();
        let joined = needed
            .map(|queues| joined(eal, &format!("workers-{name}"), DEPTH, pool, queues as u16))
            .transpose()?;

        let rx_of = |port: &Port, n: usize| (0..n as u16).map(|q| port.rx_queue(q)).collect();
        let tx_of = |port: &Port, n: usize| (0..n as u16).map(|q| port.tx_queue(q)).collect();
        let mut dispatch = None;
        let mut gather = None;
        let rx: Result<Vec<RxQueue>, PortError> = match &joined {
            Some((server, workers)) if dispatches => {
                let queues: Result<_, _> = rx_of(&port, usize::from(port.rx_queues()));
                let targets: Result<_, _> = tx_of(server, readers);
                dispatch = Some(Dispatch::new(spread, Queues::new(queues?), targets?));
                rx_of(workers, readers)
            }
            _ => rx_of(&port, readers),
        };
        let tx: Result<Vec<TxQueue>, PortError> = match &joined {
            Some((server, workers)) if gathers => {
                let sources: Result<_, _> = rx_of(server, writers);
                gather = Some(Gather::new(sources?, port.tx_queue(0)?));
                tx_of(workers, writers)
            }
            _ => tx_of(&port, writers),
        };
        let (rx, tx) = (rx?, tx?);
        let berth = Berth { port, server, dispatch, gather, joined };
        berth.describe(readers, writers);
        Ok((berth, Queued { rx, tx }))
    }

    /// Says who serves the port, if anyone does.
    fn describe(&self, readers: usize, writers: usize) {
        let (name, worker) = (self.port.name(), self.server.worker);
        if self.dispatch.is_some() {
            let queues = self.port.rx_queues();
            log::info!(
                "port {name}: worker {worker} receives, receive queues: {queues}, rooms: {readers}"
            );
        }
        if self.gather.is_some() {
            let queues = self.port.tx_queues();
            log::info!(
                "port {name}: worker {worker} sends, transmit queues: {queues}, rooms: {writers}"
            );
        }
    }

    fn print(&self, name: &str) -> Result<(), String> {
        if let Some(room) = &self.dispatch {
            let counters: Arc<DispatchCounters> = room.counters();
            // What was handed over, but not taken.
            let behind = self.joined.as_ref().map_or(0, |(server, workers)| {
                server.stats().opackets.saturating_sub(workers.stats().ipackets)
            });
            let counted = counters.each().map(|(name, count)| match name {
                "left_at_stop" => (name, count + behind),
                _ => (name, count),
            });
            print_counters(&format!("{name}, worker {}", self.server.worker), counted)?;
        }
        print_port(&self.port)
    }
}
