//! The recent source packets of one channel, and which of them are missing.
//!
//! A ring indexed by sequence number. It covers `[tail, head)`, at most its size; when the head moves
//! on, what leaves at the tail is dropped. What is missing has a list of the repairs that wait for
//! it, by the number of the first link ([`super::pending`]).

use super::short::{SHORT, copy_short};
use super::xor::fetch;

/// The end of a list of links.
pub(super) const NO_LINK: u32 = u32::MAX;

/// Where a packet's frame is.
enum Held<P> {
    Nowhere,
    /// In the copy of the same number, so many bytes.
    Copied(u8),
    Packet(P),
}

struct Slot<P> {
    held: Held<P>,
    check: u64,
    /// The first link of the repairs that wait for this packet.
    waiting: u32,
}

pub(super) struct Window<P> {
    slots: Box<[Slot<P>]>,
    copies: Box<[[u8; SHORT]]>,
    /// One bit a slot: the packet has been delivered. Ahead of `Slot::held` within a burst.
    seen: Box<[u64]>,
    /// The same for those that were rebuilt rather than received. The word that the head is in and the next one hold
    /// nothing of a window ago: see [`Window::clear_ahead`].
    rebuilt: Box<[u64]>,
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
        let empty = |_| Slot { held: Held::Nowhere, check: 0, waiting: NO_LINK };
        Window {
            slots: (0..size).map(empty).collect(),
            copies: vec![[0; SHORT]; size].into(),
            seen: vec![0; size / 64].into(),
            rebuilt: vec![0; size / 64].into(),
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
        size * (size_of::<Slot<P>>() + SHORT) + 2 * size / 8
    }

    pub(super) fn size(&self) -> u64 {
        self.mask + 1
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn tail(&self) -> u64 {
        self.tail
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
            slot.held = Held::Nowhere;
            slot.waiting = NO_LINK;
        }
        self.seen.fill(0);
        self.rebuilt.fill(0);
        self.head = head;
        self.tail = tail.max(head.saturating_sub(self.size()));
    }

    /// Moves the head one further, as [`Window::advance`] does; the new packet is marked as seen.
    #[inline]
    pub(super) fn step(&mut self, depart: impl FnOnce(P), drop_link: impl FnOnce(u32)) {
        let index = (self.head & self.mask) as usize;
        let slot = &mut self.slots[index];
        if !matches!(slot.held, Held::Nowhere)
            && let Held::Packet(packet) = std::mem::replace(&mut slot.held, Held::Nowhere)
        {
            depart(packet);
        }
        if slot.waiting != NO_LINK {
            drop_link(std::mem::replace(&mut slot.waiting, NO_LINK));
        }
        self.seen[index / 64] |= 1 << (index % 64);
        self.head += 1;
        self.tail = self.tail.max(self.head.saturating_sub(self.size()));
    }

    /// Moves the head to `head`, which is ahead; what leaves at the tail is handed to `depart`, and
    /// the repairs that wait for it to `drop_link`.
    #[inline]
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
            if let Held::Packet(packet) = std::mem::replace(&mut slot.held, Held::Nowhere) {
                depart(packet);
            }
            if slot.waiting != NO_LINK {
                drop_link(std::mem::replace(&mut slot.waiting, NO_LINK));
            }
            if index.is_multiple_of(64) {
                self.rebuilt[index / 64] = 0;
            }
            self.seen[index / 64] &= !(1 << (index % 64));
        }
        self.head = head;
        self.tail = self.tail.max(head.saturating_sub(self.size()));
        self.clear_ahead();
    }

    /// Makes room for marks of what is next: to be called before [`Window::step`] has gone on for more than 64 packets.
    pub(super) fn clear_ahead(&mut self) {
        // The head may be at the beginning of a word, in which nothing is marked yet.
        for seq in [self.head + 63, self.head + 64] {
            self.rebuilt[((seq & self.mask) / 64) as usize] = 0;
        }
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

    /// As [`Window::mark`], of a packet that was rebuilt.
    pub(super) fn mark_rebuilt(&mut self, seq: u64) {
        self.mark(seq);
        let index = (seq & self.mask) as usize;
        self.rebuilt[index / 64] |= 1 << (index % 64);
    }

    /// One bit for each of the 64 packets from number `64 * word` on: which were delivered, and which
    /// of those were rebuilt. They are within the window, at least 128 from its end.
    pub(super) fn fates(&self, word: u64) -> (u64, u64) {
        let index = (word & (self.mask / 64)) as usize;
        (self.seen[index], self.rebuilt[index])
    }

    /// Keeps a packet that lies within. Returns the first link of the repairs that wait for it,
    /// whose list is the caller's now.
    #[inline]
    pub(super) fn keep(&mut self, seq: u64, check: u64, packet: P) -> u32 {
        self.put(seq, check, Held::Packet(packet))
    }

    /// The same for a frame of up to [`SHORT`] bytes, of a longer one the first so many.
    #[inline]
    pub(super) fn keep_copy(&mut self, seq: u64, check: u64, frame: &[u8]) -> u32 {
        let copied = copy_short(frame, &mut self.copies[(seq & self.mask) as usize]);
        self.put(seq, check, Held::Copied(copied))
    }

    #[inline]
    fn put(&mut self, seq: u64, check: u64, held: Held<P>) -> u32 {
        let slot = &mut self.slots[(seq & self.mask) as usize];
        slot.held = held;
        slot.check = check;
        std::mem::replace(&mut slot.waiting, NO_LINK)
    }

    /// The list of the repairs that wait for a packet, which lies within.
    pub(super) fn waiting(&mut self, seq: u64) -> &mut u32 {
        &mut self.slots[(seq & self.mask) as usize].waiting
    }
}

impl<P: AsRef<[u8]>> Window<P> {
    /// The frame of a packet that lies within, and its check, if it is here.
    #[inline]
    pub(super) fn get(&self, seq: u64) -> Option<(&[u8], u64)> {
        let index = (seq & self.mask) as usize;
        let slot = &self.slots[index];
        match &slot.held {
            Held::Nowhere => None,
            Held::Copied(len) => Some((&self.copies[index][..usize::from(*len)], slot.check)),
            Held::Packet(packet) => Some((packet.as_ref(), slot.check)),
        }
    }

    /// Has a packet's bytes fetched, if it is here.
    #[inline]
    pub(super) fn fetch(&self, seq: u64) {
        if let Some((frame, _)) = self.get(seq) {
            fetch(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 256;

    /// What was rebuilt a window ago is not what is rebuilt now, wherever the head stood in between.
    #[test]
    fn marks_are_of_one_lap() {
        for begin in [0, 1, 10, 63, 64, 1000] {
            for step in 1..=2 * SIZE {
                let mut window = Window::<Vec<u8>>::new(SIZE as usize);
                window.reset(begin, begin);
                let mut head = begin;
                let mut marked = Vec::new();
                for turn in 0..20 {
                    match turn % 3 {
                        0 => {
                            (0..=step % 64).for_each(|_| window.step(drop, drop));
                            window.clear_ahead();
                        }
                        _ => window.advance(head + step, drop, drop),
                    }
                    head = window.head();
                    // Some that are new, and one that is old.
                    for seq in [head - 1, head.saturating_sub(3), head.saturating_sub(100)] {
                        if seq >= window.tail() && seq >= begin {
                            window.mark_rebuilt(seq);
                            marked.push(seq);
                        }
                    }
                    for word in window.tail().div_ceil(64) + 2..head / 64 {
                        let rebuilt = window.fates(word).1;
                        let truth = (0..64).filter(|bit| marked.contains(&(64 * word + bit)));
                        let truth = truth.fold(0, |bits: u64, bit| bits | 1 << bit);
                        assert_eq!(rebuilt, truth, "from {begin} by {step}: {word} of {head}");
                    }
                }
            }
        }
    }
}
