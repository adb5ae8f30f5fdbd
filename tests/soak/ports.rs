//! A gateway's two ports, as queues of bytes: what waits has no mbuf yet, so that a pool has only what
//! the rooms hold.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use maelstrom::dpdk::{Burst, Mempool};
use maelstrom::gateway::{Observer, Receive, Transmit};

use crate::common::Random;
use crate::frames::{self, LanFrame};

/// What a packet on the WAN was made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Source packet `seq` of a sender's life, with frame `n`, under some session's keys, if any.
    Source { n: u32, seq: u64, life: u16, session: u16 },
    /// A repair whose highest member is `last`.
    Repair { last: u64, life: u16, session: u16 },
    /// Frame `n` as it is.
    Bypass { n: u32 },
    /// From control to control.
    Control { life: u16, session: u16 },
    /// Between a gateway and its next hop.
    Router,
    /// Of nobody.
    Forged,
}

impl Tag {
    /// Which life of the sender it is of.
    pub fn life(&self) -> Option<u16> {
        match *self {
            Tag::Source { life, .. } | Tag::Repair { life, .. } | Tag::Control { life, .. } => {
                Some(life)
            }
            Tag::Bypass { .. } | Tag::Router | Tag::Forged => None,
        }
    }
}

/// A packet on the WAN.
#[derive(Clone, Debug)]
pub struct Packet {
    pub bytes: Vec<u8>,
    pub tag: Tag,
    /// Nothing of it that counts was changed.
    pub intact: bool,
}

/// What one room has done since it was last looked at, and what it is yet to be given.
pub struct Ports {
    pub salt: u64,
    /// The direction of what comes from this gateway's LAN.
    pub direction: usize,
    pub pool: Mempool,
    /// What waits at the LAN port.
    pub lan_in: VecDeque<LanFrame>,
    /// What the room has taken of that.
    pub lan_handed: Vec<LanFrame>,
    /// What has left through the WAN port.
    pub wan_out: Vec<Vec<u8>>,
    /// What waits at the WAN port.
    pub wan_in: VecDeque<Packet>,
    /// What the room has taken of that.
    pub wan_handed: Vec<(Tag, bool)>,
    /// What has left through the LAN port.
    pub lan_out: Vec<Vec<u8>>,
    /// What the room says it delivers: number, and whether it was rebuilt.
    pub observed: Vec<(u64, bool)>,
    /// Whether each port takes what it is given, or a few packets at a time.
    pub slow: [bool; 2],
    pub random: Random,
    /// Buffers to be used again.
    pub spare: Vec<Vec<u8>>,
}

/// The port towards the LAN.
pub const LAN: usize = 0;
/// The port towards the WAN.
pub const WAN: usize = 1;

impl Ports {
    pub fn new(salt: u64, direction: usize, pool: Mempool) -> Ports {
        Ports {
            salt,
            direction,
            pool,
            lan_in: VecDeque::new(),
            lan_handed: Vec::new(),
            wan_out: Vec::new(),
            wan_in: VecDeque::new(),
            wan_handed: Vec::new(),
            lan_out: Vec::new(),
            observed: Vec::new(),
            slow: [false; 2],
            random: Random(salt ^ direction as u64),
            spare: Vec::new(),
        }
    }

    fn takes(&mut self, port: usize, count: usize) -> usize {
        if !self.slow[port] {
            return count;
        }
        count.min([0, 0, 0, 1, 3, 40][self.random.below(6) as usize])
    }

    /// Takes a buffer for what leaves.
    fn copy(spare: &mut Vec<Vec<u8>>, data: &[u8]) -> Vec<u8> {
        let mut bytes = spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(data);
        bytes
    }
}

/// Both ends of both ports; clones share them.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Ports>>);

impl Shared {
    pub fn new(ports: Ports) -> Shared {
        Shared(Arc::new(Mutex::new(ports)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Ports> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The LAN port.
pub struct Lan(pub Shared);
/// The WAN port.
pub struct Wan(pub Shared);
/// Who hears what is delivered.
pub struct Ear(pub Shared);

impl Receive for Lan {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let ports = &mut *self.0.lock();
        while !burst.is_full()
            && let Some(&frame) = ports.lan_in.front()
        {
            let Some(mut mbuf) = ports.pool.alloc() else { return };
            let bytes = mbuf.append(frame.len.into()).expect("mbufs hold any frame");
            frames::write(ports.salt, ports.direction, &frame, bytes);
            burst.push(mbuf);
            ports.lan_in.pop_front();
            ports.lan_handed.push(frame);
        }
    }
}

impl Transmit for Lan {
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        let ports = &mut *self.0.lock();
        let count = ports.takes(LAN, burst.len());
        for mbuf in burst.drain(..count) {
            assert!(mbuf.is_contiguous(), "a frame in several buffers came out");
            ports.lan_out.push(Ports::copy(&mut ports.spare, mbuf.data()));
        }
    }
}

impl Receive for Wan {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let ports = &mut *self.0.lock();
        while !burst.is_full() && !ports.wan_in.is_empty() {
            let Some(mut mbuf) = ports.pool.alloc() else { return };
            let Some(packet) = ports.wan_in.pop_front() else { return };
            let bytes = mbuf.append(packet.bytes.len()).expect("mbufs hold any packet");
            bytes.copy_from_slice(&packet.bytes);
            burst.push(mbuf);
            ports.wan_handed.push((packet.tag, packet.intact));
            ports.spare.push(packet.bytes);
        }
    }
}

impl Transmit for Wan {
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        let ports = &mut *self.0.lock();
        let count = ports.takes(WAN, burst.len());
        for mbuf in burst.drain(..count) {
            ports.wan_out.push(Ports::copy(&mut ports.spare, mbuf.data()));
        }
    }
}

impl Observer for Ear {
    fn delivered(&mut self, _now: u64, seq: u64, rebuilt: bool) {
        self.0.lock().observed.push((seq, rebuilt));
    }
}
