//! The last packets that were sent, for the far end to ask for again.
//!
//! A ring of bytes, so that its memory is what was configured however long packets are, and a ring of
//! where each packet lies. A packet goes in by being copied; what it takes the place of is gone. Whether
//! a packet is still there follows from where it lies, so that nothing is ever evicted.

/// Packets are shorter on average than this only in floods of tiny ones, of which fewer are kept then.
const LEAST: usize = 128;

#[derive(Clone, Copy, Default)]
struct Slot {
    at: u64,
    len: u16,
}

/// See the module's head.
pub struct Store {
    bytes: Box<[u8]>,
    slots: Box<[Slot]>,
    /// Where the next packet goes, had the ring no end.
    at: u64,
    /// The numbers that went in since it was last empty.
    first: u64,
    next: u64,
}

impl Store {
    /// For this many bytes of packets. All memory is allocated here, and written to, so that none is
    /// found missing later.
    pub fn new(bytes: usize) -> Store {
        let bytes = bytes.max(LEAST);
        let slot = Slot { at: u64::MAX, len: 0 };
        Store {
            bytes: vec![0xFF; bytes].into(),
            slots: vec![slot; Store::packets(bytes)].into(),
            at: 0,
            first: 0,
            next: 0,
        }
    }

    /// How many packets one of so many bytes holds at most.
    pub fn packets(bytes: usize) -> usize {
        (bytes / LEAST).next_power_of_two()
    }

    /// What it takes.
    pub fn memory_bytes(bytes: usize) -> usize {
        bytes + Store::packets(bytes) * size_of::<Slot>()
    }

    /// The packet of this number, which follows the one before: otherwise the store begins anew.
    #[inline]
    pub fn push(&mut self, seq: u64, packet: &[u8]) {
        if seq != self.next {
            (self.first, self.next) = (seq, seq);
        }
        let (size, len) = (self.bytes.len(), packet.len());
        if len > size || len > usize::from(u16::MAX) {
            // The next one begins anew.
            return;
        }
        let mut offset = (self.at % size as u64) as usize;
        if offset + len > size {
            self.at += (size - offset) as u64;
            offset = 0;
        }
        self.bytes[offset..][..len].copy_from_slice(packet);
        let slot = seq as usize & (self.slots.len() - 1);
        self.slots[slot] = Slot { at: self.at, len: len as u16 };
        self.at += len as u64;
        self.next = seq + 1;
    }

    /// Forgets all packets.
    pub fn clear(&mut self) {
        self.first = self.next;
    }

    /// The lowest number that may still be here.
    pub fn oldest(&self) -> u64 {
        self.first.max(self.next.saturating_sub(self.slots.len() as u64))
    }

    /// The number behind the last packet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The packet of this number, if it is still here.
    pub fn get(&self, seq: u64) -> Option<&[u8]> {
        if seq < self.oldest() || seq >= self.next {
            return None;
        }
        let Slot { at, len } = self.slots[seq as usize & (self.slots.len() - 1)];
        let size = self.bytes.len() as u64;
        if at.checked_add(size)? < self.at {
            return None;
        }
        self.bytes.get((at % size) as usize..)?.get(..usize::from(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Whatever is there is what went in; the newest packets that fit twice over are there.
        #[test]
        fn holds_the_last_packets(
            size in 1usize..20_000,
            lens in prop::collection::vec(1usize..1600, 1..200),
            start in 0u64..1 << 60,
            skip in 0usize..200,
        ) {
            let mut store = Store::new(size);
            let size = size.max(LEAST);
            let mut sent: Vec<(u64, Vec<u8>)> = Vec::new();
            let mut seq = start;
            for (n, len) in lens.into_iter().enumerate() {
                if n == skip {
                    seq += 5;
                    sent.clear();
                }
                let packet: Vec<u8> = (0..len).map(|at| (n * 31 + at) as u8).collect();
                store.push(seq, &packet);
                if packet.len() > size {
                    // It holds nothing then.
                    sent.clear();
                } else {
                    sent.push((seq, packet));
                }
                seq += 1;
                let (mut bytes, longest) = (0, 1600);
                for (back, (seq, packet)) in sent.iter().rev().enumerate() {
                    bytes += packet.len();
                    let must = bytes + longest <= size && back < Store::packets(size);
                    match store.get(*seq) {
                        Some(held) => prop_assert!(bytes <= size && held == packet),
                        None => prop_assert!(!must, "{} bytes back of {}", bytes, size),
                    }
                }
                prop_assert_eq!(store.get(seq + 1), None);
                prop_assert_eq!(start.checked_sub(1).and_then(|before| store.get(before)), None);
            }
        }
    }
}
