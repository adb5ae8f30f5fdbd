//! The rooms of either encapsulation, as one: what a gateway is put together from.

use std::sync::Arc;

use super::flows::{Acks, Publisher};
use super::io::{Receive, Transmit};
use super::settings::Encapsulation;
use super::worker::Room;
use super::{Blueprint, Protect, Recover, transparent};
use crate::control::counters::{ProtectCounters, RecoverCounters};
use crate::dpdk::Mempool;

/// LAN → WAN.
pub enum ProtectRoom<L, W> {
    /// With a shim in front of each packet.
    Shim(Box<Protect<L, W>>),
    /// With nothing.
    Transparent(Box<transparent::Protect<L, W>>),
}

/// WAN → LAN.
pub enum RecoverRoom<W, L> {
    /// With a shim in front of each packet.
    Shim(Box<Recover<W, L, ()>>),
    /// With nothing.
    Transparent(Box<transparent::Recover<W, L>>),
}

impl<L: Receive, W: Transmit> ProtectRoom<L, W> {
    /// `protect` of worker number `worker`; packets of our own go from and to these `stations`.
    pub fn new(
        blueprint: &Blueprint,
        worker: u8,
        epoch: u32,
        [source, destination]: [[u8; 6]; 2],
        (lan, wan): (L, W),
        pool: Mempool,
    ) -> Self {
        match blueprint.encapsulation {
            Encapsulation::Ether => {
                let config = blueprint.protect(worker, epoch, source, destination);
                ProtectRoom::Shim(Box::new(Protect::new(config, lan, wan, pool)))
            }
            Encapsulation::Transparent => {
                let config = blueprint.protect_transparent(worker, epoch, source, destination);
                let room = transparent::Protect::new(config, lan, wan, pool);
                ProtectRoom::Transparent(Box::new(room))
            }
        }
    }

    /// Has storage processes told of what leaves, from now on: to be called before the first turn.
    pub fn tell(&mut self, publisher: Publisher) {
        match self {
            ProtectRoom::Shim(room) => room.tell(publisher),
            ProtectRoom::Transparent(room) => room.tell(publisher),
        }
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<ProtectCounters> {
        match self {
            ProtectRoom::Shim(room) => room.counters(),
            ProtectRoom::Transparent(room) => room.counters(),
        }
    }
}

impl<W: Receive, L: Transmit> RecoverRoom<W, L> {
    /// `recover` for the peer's worker number `worker`.
    pub fn new(blueprint: &Blueprint, worker: u8, (wan, lan): (W, L), pool: Mempool) -> Self {
        match blueprint.encapsulation {
            Encapsulation::Ether => {
                let room = Recover::new(blueprint.recover(worker), wan, lan, pool, ());
                RecoverRoom::Shim(Box::new(room))
            }
            Encapsulation::Transparent => {
                let config = blueprint.recover_transparent(worker);
                let room = transparent::Recover::new(config, wan, lan, pool);
                RecoverRoom::Transparent(Box::new(room))
            }
        }
    }

    /// Has acknowledgements read in what is delivered, from now on.
    pub fn read_acks(&mut self, acks: Acks) {
        match self {
            RecoverRoom::Shim(room) => room.read_acks(acks),
            RecoverRoom::Transparent(room) => room.read_acks(acks),
        }
    }

    /// Its counters, to be read from anywhere.
    pub fn counters(&self) -> Arc<RecoverCounters> {
        match self {
            RecoverRoom::Shim(room) => room.counters(),
            RecoverRoom::Transparent(room) => room.counters(),
        }
    }
}

impl<L: Receive, W: Transmit> Room for ProtectRoom<L, W> {
    fn poll(&mut self, now: u64) -> usize {
        match self {
            ProtectRoom::Shim(room) => room.poll(now),
            ProtectRoom::Transparent(room) => room.poll(now),
        }
    }

    fn finish(&mut self, now: u64) -> bool {
        match self {
            ProtectRoom::Shim(room) => room.finish(now),
            ProtectRoom::Transparent(room) => room.finish(now),
        }
    }
}

impl<W: Receive, L: Transmit> Room for RecoverRoom<W, L> {
    fn poll(&mut self, now: u64) -> usize {
        match self {
            RecoverRoom::Shim(room) => room.poll(now),
            RecoverRoom::Transparent(room) => room.poll(now),
        }
    }

    fn finish(&mut self, now: u64) -> bool {
        match self {
            RecoverRoom::Shim(room) => room.finish(now),
            RecoverRoom::Transparent(room) => room.finish(now),
        }
    }
}
