//! The recent source packets of one channel, and which of them are missing.
//!
//! A ring indexed by sequence number. It covers `[tail, head)`, at most its size; when the head moves
//! on, what leaves at the tail is dropped. What is missing has a list of the repairs that wait for
//! it, by the number of the first link ([`super::pending`]).

use super::xor::fetch;

/// The end of a list of links.
pub(super) const NO_LINK: u32 = u32::MAX;

pub(super) struct Slot<P> {
    pub(super) packet: Option<P>,
    pub(super) check: u64,
    /// The first link of the repairs that wait for this packet.
    pub(super) waiting: u32,
}

pub(super) struct Window<P> {
    slots: Box<[Slot<P>]>,
    /// One bit a slot: the packet has been delivered. Ahead of `Slot::packet` within a burst.
    seen: Box<[u64]>,
    mask: u64,
    head: u64,
    tail: u64,
}

/// Where a sequence number lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Behind,
    Within,
    Ahead,
}

impl<P> Window<P> {
    /// `size` is rounded up to a power of two, at least 64.
    pub(super) fn new(size: usize) -> Window<P> {
        let size = Window::<P>::rounded(size);
        let empty = |_| Slot { packet: None, check: 0, waiting: NO_LINK };
        Window {
            slots: (0..size).map(empty).collect(),
            seen: vec![0; size / 64].into(),
            mask: size as u64 - 1,
            head: 0,
            tail: 0,
        }
    }

    pub(super) fn rounded(size: usize) -> usize {
        size.next_power_of_two().max(64)
    }

    pub(super) fn memory_bytes(size: usize) -> usize {
        let size = Window::<P>::rounded(size);
        size * size_of::<Slot<P>>() + size / 8
    }

    pub(super) fn size(&self) -> u64 {
        self.mask + 1
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn place(&self, seq: u64) -> Place {
        if seq < self.tail {
            Place::Behind
        } else if seq < self.head {
            Place::Within
        } else {
            Place::Ahead
        }
    }

    /// Empty, with its range at `[tail, head)` or as much of it as fits. Lists of waiting repairs
    /// are forgotten.
    pub(super) fn reset(&mut self, tail: u64, head: u64) {
        for slot in &mut self.slots {
            slot.packet = None;
            slot.waiting = NO_LINK;
        }
        self.seen.fill(0);
        self.head = head;
        self.tail = tail.max(head.saturating_sub(self.size()));
    }

    /// Moves the head to `head`, which is ahead; what leaves at the tail is handed to `depart`, and
    /// the repairs that wait for it to `drop_link`.
    pub(super) fn advance(
        &mut self,
        head: u64,
        mut depart: impl FnMut(P),
        mut drop_link: impl FnMut(u32),
    ) {
        let first = self.head.max(head.saturating_sub(self.size()));
        for seq in first..head {
            let index = (seq & self.mask) as usize;
            let slot = &mut self.slots[index];
            if let Some(packet) = slot.packet.take() {
                depart(packet);
            }
            if slot.waiting != NO_LINK {
                drop_link(std::mem::replace(&mut slot.waiting, NO_LINK));
            }
            self.seen[index / 64] &= !(1 << (index % 64));
        }
        self.head = head;
        self.tail = self.tail.max(head.saturating_sub(self.size()));
    }

    /// Whether the packet, which lies within, was delivered.
    pub(super) fn seen(&self, seq: u64) -> bool {
        let index = (seq & self.mask) as usize;
        self.seen[index / 64] >> (index % 64) & 1 == 1
    }

    pub(super) fn mark(&mut self, seq: u64) {
        let index = (seq & self.mask) as usize;
        self.seen[index / 64] |= 1 << (index % 64);
    }

    /// The slot of a packet that lies within.
    pub(super) fn slot(&mut self, seq: u64) -> &mut Slot<P> {
        &mut self.slots[(seq & self.mask) as usize]
    }
}

impl<P: AsRef<[u8]>> Window<P> {
    /// Has a packet's bytes fetched, if it is here.
    #[inline]
    pub(super) fn fetch(&self, seq: u64) {
        let slot = &self.slots[(seq & self.mask) as usize];
        if let Some(packet) = &slot.packet {
            fetch(packet.as_ref());
        }
    }
}
