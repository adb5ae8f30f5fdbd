//! How many packets a gateway holds at most, and what memory it allocates at start.

use std::fmt;

use super::Blueprint;
use crate::dpdk::mbuf::BURST;
use crate::dpdk::{Kept, Mbuf, mempool};
use crate::gateway::resequence::Resequencer;

/// Mbufs in receive and transmit rings and on their way, for two ports and a worker. A ring takes
/// up to 1024. Each worker may have four at the ports and two between workers, but no more than four
/// of these at once beside one for each port; what is left rests in its cache.
const IN_PASSING: usize = 8 * 1024 - 1;
/// The same for each further LAN port: its rings, and what waits on both sides of the bridge.
const AT_A_PORT: u32 = 4 * 1024;
/// What a frame that is held takes beside its buffer: the frame, and how it came.
type Held = (Mbuf, u8);
/// Where the WAN has no rate, memory is made for this one, in bits a second.
pub const PORT_RATE: u64 = 10_000_000_000;
/// Bytes of a frame on average, about, where it matters how many there are; and how many are held at least
/// and at most.
const USUAL_FRAME: u128 = 1000;
const LEAST_HELD: usize = 256;
const MOST_HELD: usize = 1 << 17;

/// What a gateway allocates at start, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The encoder's open groups, and the queues before a WAN that has a rate.
    pub groups: u64,
    /// The decoder's tables.
    pub window: u64,
    /// Packets that may be sent again, and what asks for them.
    pub retransmit: u64,
    /// The packets themselves.
    pub mbufs: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.groups + self.window + self.retransmit + self.mbufs
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { groups, window, retransmit, mbufs } = self;
        write!(f, "groups {}, window {}", mib(*groups), mib(*window))?;
        if *retransmit > 0 {
            write!(f, ", retransmission {}", mib(*retransmit))?;
        }
        write!(f, ", packets {}", mib(*mbufs))
    }
}

/// In MiB, rounded up.
pub fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

impl Blueprint {
    /// How many mbufs the receiver keeps at most: its windows, and repairs that wait.
    pub fn kept(&self) -> u32 {
        let held = match self.encapsulation.is_transparent() {
            true => self.named().packets_held(),
            false => self.decoder().packets_held(),
        };
        let each = held.min(u32::MAX as usize) as u32;
        each.saturating_mul(u32::from(self.channels_in))
    }

    /// How many mbufs a gateway holds at most: what it keeps, and those in passing.
    pub fn mbufs(&self) -> u32 {
        let workers = u32::from(self.channels_out.max(self.channels_in));
        let more_ports = u32::from(self.lan_ports.saturating_sub(1)) * AT_A_PORT;
        let waiting = self.limit.map_or(0, |limit| limit.packets());
        let waiting = waiting.saturating_mul(u32::from(self.channels_out));
        let passing = (IN_PASSING + BURST) as u32 * workers;
        let held = self.held().map_or(0, |(_, packets)| packets as u32);
        let held = held.saturating_mul(u32::from(self.channels_in));
        let kept = self.kept().saturating_add(held);
        kept.saturating_add(waiting).saturating_add(passing).saturating_add(more_ports)
    }

    /// What it allocates.
    pub fn memory(&self) -> Memory {
        let layers = self.code.layers().len();
        let layers = layers.max(self.sparse.as_ref().map_or(0, |code| code.layers().len()));
        let waiting = self.limit.map_or(0, |limit| limit.memory_bytes(layers));
        let (more, window) = match self.encapsulation.is_transparent() {
            true => self.transparent_memory(),
            false => (0, self.decoder().memory_bytes::<Kept>()),
        };
        Memory {
            groups: (self.groups() + (waiting + more) as u64) * u64::from(self.channels_out),
            window: (window + self.held_bytes()) as u64 * u64::from(self.channels_in),
            retransmit: self.retransmission.map_or(0, |plan| {
                let window = self.decoder().window as u64;
                plan.memory_bytes(self.channels_out, self.channels_in, window)
            }),
            mbufs: mempool::estimated_bytes(self.mbufs(), self.data_room(), self.hugepages),
        }
    }

    /// What holds a channel's frames behind a hole.
    fn held_bytes(&self) -> usize {
        self.held().map_or(0, |(_, packets)| Resequencer::<Held>::memory_bytes(packets))
    }

    /// How long frames are held behind a hole, and how many at most on each channel: what comes meanwhile,
    /// if frames are as long as they are on average.
    pub(super) fn held(&self) -> Option<(u64, usize)> {
        let rate =
            self.limit.map_or(PORT_RATE, |limit| limit.rate) / u64::from(self.channels_in.max(1));
        let bytes = u128::from(rate) * u128::from(self.resequence) / 8_000_000_000;
        let packets = (bytes / USUAL_FRAME) as usize;
        let packets = packets.clamp(LEAST_HELD, MOST_HELD).next_power_of_two();
        (self.resequence > 0).then_some((self.resequence, packets))
    }

    /// How many frames are held behind a hole at most, on each channel.
    pub fn held_packets(&self) -> usize {
        self.held().map_or(0, |(_, packets)| packets)
    }

    /// What an encoder takes: that in force, the one before it and one that was made ready may be the
    /// largest that there is room for.
    fn groups(&self) -> u64 {
        3 * self.room().bytes as u64
    }
}
