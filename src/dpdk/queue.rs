//! One end of a port that one worker polls.
//!
//! * What this room does: receives and sends packets in bursts.
//! * Who feeds it: the driver's receive ring; the rooms, with packets to send.
//! * Whom it feeds: the rooms, with packets received; the driver's transmit ring.
//! * Which thread runs it: the worker that owns the queue, alone (`&mut self`).
//! * What it must not do: lock, allocate, log, or drop a packet that was not sent.

use super::{mbuf::Burst, port::Inner};
use std::sync::Arc;

/// A receive queue. Has one owner; keeps its port open.
pub struct RxQueue {
    port: Arc<Inner>,
    id: u16,
    index: u16,
}

impl RxQueue {
    pub(super) fn new(port: Arc<Inner>, id: u16, index: u16) -> RxQueue {
        RxQueue { port, id, index }
    }

    /// Appends what has arrived, up to the free room, and says how much.
    ///
    /// Give it an empty burst: some drivers' vector code receives in steps of 4 or 8 only, and
    /// would find nothing for a smaller room, however long one asks.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        let (len, room) = (burst.len(), burst.remaining_capacity() as u16);
        // SAFETY: the port is started (its Arc) and this queue has no other user (`&mut`, handed
        // out once). `room` pointers behind `len` are ours to write, Mbuf is a transparent
        // pointer, and the driver gives each received mbuf, with its one reference, away.
        unsafe {
            let free = burst.as_mut_ptr().add(len).cast();
            let count = usize::from(dpdk_sys::shim_rx_burst(self.id, self.index, free, room));
            burst.set_len(len + count);
            count
        }
    }

    /// The name of the port it belongs to.
    pub fn port_name(&self) -> &str {
        &self.port.name
    }
}

/// A transmit queue. Has one owner; keeps its port open.
pub struct TxQueue {
    port: Arc<Inner>,
    id: u16,
    index: u16,
    /// Whether the driver tells of single descriptors; asked once.
    tells: bool,
}

/// What the driver says about a transmit descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptorStatus {
    /// The packet waits or is being sent.
    Full,
    /// The packet has left, the descriptor is free again.
    Done,
    /// Not usable, or no such descriptor.
    Unavailable,
}

impl TxQueue {
    pub(super) fn new(port: Arc<Inner>, id: u16, index: u16) -> TxQueue {
        let mut queue = TxQueue { port, id, index, tells: false };
        queue.tells = queue.port.tells_when_sent && queue.descriptor_status(0).is_some();
        queue
    }

    /// Sends from the front; removes what the driver took, leaves the rest in order. Returns
    /// how many were taken. What "taken" means for having left: see `descriptor_status`.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        let len = burst.len();
        // SAFETY: the port is started and this queue has no other user, as above. `len` mbufs,
        // of which the driver takes over the first `count`: the rest are moved to the front and
        // the length says so, so that each has one owner.
        unsafe {
            let mbufs = burst.as_mut_ptr();
            let count = dpdk_sys::shim_tx_burst(self.id, self.index, mbufs.cast(), len as u16);
            let count = usize::from(count);
            burst.set_len(len - count);
            if count != 0 && count != len {
                std::ptr::copy(mbufs.add(count), mbufs, len - count);
            }
            count
        }
    }

    /// The state of the descriptor `offset` places behind the next one to be used, or `None`
    /// where the driver cannot tell, as most virtual ones: ask once at start.
    pub fn descriptor_status(&mut self, offset: u16) -> Option<DescriptorStatus> {
        // SAFETY: the port is started and this queue has no other user.
        let status = unsafe { dpdk_sys::shim_tx_descriptor_status(self.id, self.index, offset) };
        match u32::try_from(status) {
            Ok(dpdk_sys::SHIM_DESC_FULL) => Some(DescriptorStatus::Full),
            Ok(dpdk_sys::SHIM_DESC_DONE) => Some(DescriptorStatus::Done),
            Ok(_) => Some(DescriptorStatus::Unavailable),
            Err(_) => None,
        }
    }

    /// Whether the packet that was taken so many packets before the last one is gone: its descriptor is
    /// done. `None` where the driver cannot tell, or may say so too soon.
    #[inline]
    pub fn is_sent(&mut self, behind: u64) -> Option<bool> {
        if !self.tells {
            return None;
        }
        // Each packet has a descriptor or more, so it is no nearer to the next one to be used than
        // this; what is further away than the ring is long has been overwritten.
        let back = behind.saturating_add(1);
        let ring = u64::from(self.descriptors());
        if back > ring {
            return Some(true);
        }
        self.descriptor_status((ring - back) as u16).map(|status| status == DescriptorStatus::Done)
    }

    /// Descriptors in this queue's ring, as clamped to what the driver takes.
    pub fn descriptors(&self) -> u16 {
        self.port.tx_descriptors
    }

    /// The name of the port it belongs to.
    pub fn port_name(&self) -> &str {
        &self.port.name
    }
}
