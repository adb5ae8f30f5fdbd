//! Who has a name: arrivals that no number claims yet, rebuilt frames whose originals may still come,
//! and numbers whose frames are missing. Each in the order in which they came.
//!
//! Frames that repeat byte for byte share a name, so everything here takes the same time however many
//! do: a table of names, and three queues for each.

/// No place.
pub(super) const NIL: u32 = u32::MAX;

/// The ends of a queue. Its links lie with what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) first: u32,
    pub(super) last: u32,
}

const EMPTY: Queue = Queue { first: NIL, last: NIL };

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.first == NIL
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    name: u64,
    /// The next entry of the bucket, or of those that are free.
    next: u32,
    /// Places of arrivals that no number claims.
    pub(super) unclaimed: Queue,
    /// Places of rebuilt frames whose originals have not come.
    pub(super) late: Queue,
    /// Places of numbers that are missing.
    pub(super) wanted: Queue,
    /// How many other arrivals have the name: whose numbers are known, and whose originals need not be
    /// waited for.
    pub(super) claimed: u32,
}

const FREE: Entry =
    Entry { name: 0, next: NIL, unclaimed: EMPTY, late: EMPTY, wanted: EMPTY, claimed: 0 };

pub(super) struct Names {
    buckets: Box<[u32]>,
    entries: Box<[Entry]>,
    free: u32,
}

impl Names {
    /// Room for so many names at a time, a power of two.
    pub(super) fn new(names: usize) -> Names {
        let mut names = Names {
            buckets: vec![NIL; names].into(),
            entries: vec![FREE; names].into(),
            free: NIL,
        };
        names.clear();
        names
    }

    pub(super) fn memory_bytes(names: usize) -> usize {
        names * (size_of::<u32>() + size_of::<Entry>())
    }

    pub(super) fn clear(&mut self) {
        self.buckets.fill(NIL);
        for (entry, next) in self.entries.iter_mut().zip(1..) {
            *entry = Entry { next, ..FREE };
        }
        if let Some(last) = self.entries.last_mut() {
            last.next = NIL;
        }
        self.free = if self.entries.is_empty() { NIL } else { 0 };
    }

    fn bucket(&self, name: u64) -> usize {
        name as usize & (self.buckets.len() - 1)
    }

    /// The entry of a name, if anyone has it.
    #[inline]
    pub(super) fn find(&self, name: u64) -> Option<u32> {
        let mut at = self.buckets[self.bucket(name)];
        while at != NIL {
            let entry = &self.entries[at as usize];
            if entry.name == name {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    /// The same, made if there is none. `None` if there is no room.
    #[inline]
    pub(super) fn find_or_add(&mut self, name: u64) -> Option<u32> {
        if let Some(at) = self.find(name) {
            return Some(at);
        }
        let at = self.free;
        let bucket = self.bucket(name);
        let entry = self.entries.get_mut(at as usize)?;
        self.free = entry.next;
        (entry.name, entry.next) = (name, self.buckets[bucket]);
        self.buckets[bucket] = at;
        Some(at)
    }

    pub(super) fn get(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Entry {
        &mut self.entries[at as usize]
    }

    /// Lets go of an entry if nobody has the name any more.
    #[inline]
    pub(super) fn tidy(&mut self, at: u32) {
        let entry = &self.entries[at as usize];
        let queues = [entry.unclaimed, entry.late, entry.wanted];
        if entry.claimed > 0 || !queues.iter().all(Queue::is_empty) {
            return;
        }
        let (name, next) = (entry.name, entry.next);
        let bucket = self.bucket(name);
        if self.buckets[bucket] == at {
            self.buckets[bucket] = next;
        } else {
            let mut before = self.buckets[bucket];
            while let Some(entry) = self.entries.get_mut(before as usize) {
                if entry.next == at {
                    entry.next = next;
                    break;
                }
                before = entry.next;
            }
        }
        self.entries[at as usize].next = self.free;
        self.free = at;
    }
}
