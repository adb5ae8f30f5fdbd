//! Repairs that miss more than one packet, and what they wait for.
//!
//! Each waiting repair counts its missing members and keeps the XOR of their numbers, so that when
//! one is left its number is known. Each missing packet has a list of links to the repairs that wait
//! for it; a link of a repair that is gone is recognised by its generation and freed when its list
//! is next walked, at the latest when the packet leaves the window.

use super::window::{NO_LINK, Window};

/// Where the lists of what waits for a packet begin: the first link, by the packet's number, which
/// lies within the window.
pub(super) trait Lists {
    fn waiting(&mut self, seq: u64) -> &mut u32;
}

impl<P> Lists for Window<P> {
    fn waiting(&mut self, seq: u64) -> &mut u32 {
        Window::waiting(self, seq)
    }
}

struct Waiting<R> {
    repair: R,
    missing: u32,
    missing_xor: u64,
}

struct Entry<R> {
    generation: u32,
    waiting: Option<Waiting<R>>,
}

#[derive(Clone, Copy)]
struct Link {
    entry: u32,
    generation: u32,
    next: u32,
}

/// A waiting repair, as long as it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    entry: u32,
    generation: u32,
}

impl Ticket {
    /// The number of the repair's place.
    pub(super) fn place(self) -> usize {
        self.entry as usize
    }
}

/// Repairs of any kind `R`.
pub(super) struct Pending<R> {
    entries: Box<[Entry<R>]>,
    /// Where the next repair goes; the one that is there, the oldest, makes way.
    next: usize,
    links: Box<[Link]>,
    free_link: u32,
    free_links: usize,
    evicted: u64,
}

impl<R> Pending<R> {
    /// Room for `entries` repairs and `links` missing members of theirs.
    pub(super) fn new(entries: usize, links: usize) -> Pending<R> {
        let empty = |_| Entry { generation: 0, waiting: None };
        let mut pending = Pending {
            entries: (0..entries).map(empty).collect(),
            next: 0,
            links: vec![Link { entry: 0, generation: 0, next: NO_LINK }; links].into(),
            free_link: NO_LINK,
            free_links: 0,
            evicted: 0,
        };
        pending.free_all_links();
        pending
    }

    fn free_all_links(&mut self) {
        for (link, next) in self.links.iter_mut().zip(1..) {
            link.next = next;
        }
        if let Some(last) = self.links.last_mut() {
            last.next = NO_LINK;
        }
        self.free_link = if self.links.is_empty() { NO_LINK } else { 0 };
        self.free_links = self.links.len();
    }

    pub(super) fn memory_bytes(entries: usize, links: usize) -> usize {
        entries * size_of::<Entry<R>>() + links * size_of::<Link>()
    }

    /// How many repairs had to make way for newer ones, or found no room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Keeps a repair that lacks the packets `missing`, all of them within the window. Returns the
    /// number of its place, if there is room.
    pub(super) fn insert(
        &mut self,
        repair: R,
        missing: &[u64],
        lists: &mut impl Lists,
    ) -> Option<usize> {
        if missing.len() > self.free_links || self.entries.is_empty() {
            self.evicted += 1;
            return None;
        }
        let index = self.next;
        self.next = if index + 1 == self.entries.len() { 0 } else { index + 1 };
        let entry = &mut self.entries[index];
        self.evicted += u64::from(entry.waiting.is_some());
        entry.generation = entry.generation.wrapping_add(1);
        let ticket = Ticket { entry: index as u32, generation: entry.generation };
        entry.waiting = Some(Waiting {
            repair,
            missing: missing.len() as u32,
            missing_xor: missing.iter().fold(0, |xor, seq| xor ^ seq),
        });
        for &seq in missing {
            self.link(ticket, lists.waiting(seq));
        }
        Some(index)
    }

    fn link(&mut self, ticket: Ticket, head: &mut u32) {
        let index = self.free_link;
        let link = &mut self.links[index as usize];
        self.free_link = link.next;
        self.free_links -= 1;
        *link = Link { entry: ticket.entry, generation: ticket.generation, next: *head };
        *head = index;
    }

    fn unlink(&mut self, index: u32) -> (Ticket, u32) {
        let Link { entry, generation, next } = self.links[index as usize];
        self.links[index as usize].next = self.free_link;
        self.free_link = index;
        self.free_links += 1;
        (Ticket { entry, generation }, next)
    }

    /// Packet `seq`, whose list begins at `head`, is here. Repairs that now miss just one packet
    /// are handed to `ripe`.
    pub(super) fn arrived(&mut self, seq: u64, mut head: u32, mut ripe: impl FnMut(Ticket)) {
        while head != NO_LINK {
            let (ticket, next) = self.unlink(head);
            head = next;
            let entry = &mut self.entries[ticket.entry as usize];
            let Some(waiting) =
                entry.waiting.as_mut().filter(|_| entry.generation == ticket.generation)
            else {
                continue;
            };
            waiting.missing -= 1;
            waiting.missing_xor ^= seq;
            match waiting.missing {
                0 => entry.waiting = None,
                1 => ripe(ticket),
                _ => {}
            }
        }
    }

    /// A packet has left the window unseen: the repairs in its list, which begins at `head`, can
    /// no longer be of use.
    pub(super) fn abandon(&mut self, mut head: u32) {
        while head != NO_LINK {
            let (ticket, next) = self.unlink(head);
            head = next;
            self.discard(ticket);
        }
    }

    /// The repair and the number of the packet that it lacks, if it still lacks just one. It is no
    /// longer kept then.
    pub(super) fn take_ripe(&mut self, ticket: Ticket) -> Option<(R, u64)> {
        let entry = &mut self.entries[ticket.entry as usize];
        let waiting = entry
            .waiting
            .take_if(|waiting| entry.generation == ticket.generation && waiting.missing == 1)?;
        Some((waiting.repair, waiting.missing_xor))
    }

    /// Forgets everything; lists that packets hold are void then.
    pub(super) fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.waiting = None;
        }
        self.free_all_links();
    }

    pub(super) fn discard(&mut self, ticket: Ticket) {
        let entry = &mut self.entries[ticket.entry as usize];
        if entry.generation == ticket.generation {
            entry.waiting = None;
        }
    }
}
