//! What `protect` does when the LAN brings more than the WAN takes: the rate, the queue, the policy.
//!
//! * **Does:** let packets go at the WAN's rate, keep sources that have to wait, drop what finds no
//!   room, and decide whether sources or repairs go first.
//! * **Fed by:** `protect`, with what it received and what it is about to send; and the time.
//! * **Feeds:** the same.
//! * **Runs on:** its worker. Of several that protect, each has an equal share of the rate.
//! * **Must not:** allocate after its start, drop without counting, or send: it only says who may.
//!
//! A byte is a byte of the link: outer header, shim and frame, or the whole repair packet, padded to
//! Ethernet's 60, and 24 more for preamble, FCS and gap. So 10 Gb/s is what a 10G port carries.
//!
//! **`reserve`.** A repair that is due goes before any source that is not sent yet; sources go when none
//! is due, in the order in which they came, and wait in a queue meanwhile. Three things follow.
//! *The rate is kept*, since whatever leaves is paid for from one `Bucket`, when it leaves and by its length then.
//! *No protection fails.* A repair that is due waits for the bucket alone, and behind no more than the
//! burst of sources that made it due and the repairs before it: no source follows until they are gone.
//! So the encoder never gets more than a burst between two times that its repairs are taken, which is
//! all that its memory asks for, and it sheds nothing. *Sources get the rest*, wan_rate / (1 + overhead), where the overhead is that of the
//! bytes which were sent as repairs, flushes included: nothing has to be estimated beforehand, since
//! what repairs take, sources wait for. The queue is bounded: what finds no room in it is dropped.
//!
//! **`source-first`.** Sources go when the bucket lets them, and repairs, which wait in a
//! `Backlog`, when no source waits and the bucket is half full, so that sources that come at once
//! find something in it. What finds no room in the backlog is shed, longest layer first.

use std::collections::VecDeque;

use super::backlog::{Backlog, Waiting};
use super::bucket::{Bucket, Line, wire_bytes};
use crate::control::counters::ProtectCounters;
use crate::dpdk::Mbuf;
use crate::dpdk::mbuf::{BURST, Burst};
use crate::fec::EncoderConfig;

/// Who goes first when there is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Overload {
    /// Repairs: sources have to leave them room.
    #[default]
    Reserve,
    /// Sources: repairs are shed.
    SourceFirst,
}

/// What the WAN takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In bits a second.
    pub rate: u64,
    /// Who goes first.
    pub overload: Overload,
    /// How many bytes may wait, in each channel: of sources, and under `source-first` of repairs too.
    pub queue: usize,
}

/// What a packet that waits counts for at least, in bytes: it bounds how many do.
pub(super) const LEAST_FOOTPRINT: usize = 512;

/// What a packet of `len` bytes that waits counts for.
#[inline]
pub(super) fn footprint(len: usize) -> usize {
    (wire_bytes(len) as usize).max(LEAST_FOOTPRINT)
}

impl Limit {
    /// How many packets may wait in each channel.
    pub fn packets(&self) -> u32 {
        let queues = match self.overload {
            Overload::Reserve => 1,
            Overload::SourceFirst => 2,
        };
        u32::try_from(queues * self.queue / LEAST_FOOTPRINT).unwrap_or(u32::MAX)
    }

    /// What it takes in each channel, beside the packets, with so many layers.
    pub fn memory_bytes(&self, layers: usize) -> usize {
        let sources = self.queue / LEAST_FOOTPRINT * size_of::<Mbuf>();
        match self.overload {
            Overload::Reserve => sources,
            Overload::SourceFirst => sources + Backlog::memory_bytes(self.queue, layers),
        }
    }
}

/// See the module's head.
pub(super) struct Shaper {
    bucket: Bucket,
    /// Frames as the LAN brought them, until they may go.
    queue: VecDeque<Mbuf>,
    queued: usize,
    size: usize,
    /// Bytes in front of a frame that is sent.
    headers: usize,
    /// Repairs, under `source-first`.
    backlog: Option<Backlog>,
}

impl Shaper {
    /// All memory is allocated here. A frame that is sent has `headers` bytes in front of it.
    pub(super) fn new(limit: &Limit, encoder: &EncoderConfig, headers: usize) -> Shaper {
        let source_first = limit.overload == Overload::SourceFirst;
        Shaper {
            bucket: Bucket::new(limit.rate),
            queue: VecDeque::with_capacity(limit.queue / LEAST_FOOTPRINT),
            queued: 0,
            size: limit.queue,
            headers,
            backlog: source_first.then(|| Backlog::new(limit.queue, encoder)),
        }
    }

    /// It is `now`.
    #[inline]
    pub(super) fn advance(&mut self, now: u64) {
        self.bucket.advance(now);
    }

    /// Of what waits and then of what was `received`, leaves in `received` what may go now: nothing
    /// while a repair is due. The rest waits, or is dropped. Returns the bytes of what was received.
    pub(super) fn admit(
        &mut self,
        received: &mut Burst,
        repair_due: bool,
        counters: &ProtectCounters,
    ) -> u64 {
        received.iter().for_each(Mbuf::prefetch);
        let mut out = Burst::new();
        let mut planned = 0;
        while !repair_due && !out.is_full() && self.bucket.is_open(Line::Full, planned) {
            let Some(mbuf) = self.queue.pop_front() else { break };
            self.queued -= footprint(packet(&mbuf, self.headers));
            planned += wire_bytes(packet(&mbuf, self.headers));
            out.push(mbuf);
        }
        let mut bytes = 0;
        let mut dropped = 0;
        for mbuf in received.drain(..) {
            bytes += mbuf.len() as u64;
            let need = footprint(packet(&mbuf, self.headers));
            if self.queue.is_empty()
                && !repair_due
                && !out.is_full()
                && self.bucket.is_open(Line::Full, planned)
            {
                planned += wire_bytes(packet(&mbuf, self.headers));
                out.push(mbuf);
            } else if self.queued + need <= self.size {
                self.queued += need;
                self.queue.push_back(mbuf);
            } else {
                dropped += 1;
            }
        }
        counters.overload_dropped.add(dropped);
        counters.overload_waiting.set(self.queue.len() as u64);
        *received = out;
        bytes
    }

    /// A packet of `len` bytes leaves.
    #[inline]
    pub(super) fn spend(&mut self, len: usize) {
        self.bucket.spend(wire_bytes(len));
    }

    /// Whether sources wait.
    pub(super) fn holds_sources(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether sources wait that would have more of the link with fewer repairs.
    pub(super) fn reserves(&self) -> bool {
        self.backlog.is_none() && self.holds_sources()
    }

    /// Whether anything waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.backlog.as_ref().is_none_or(Backlog::is_empty)
    }

    /// Whether the rate lets a packet go at once, sources apart.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.bucket.is_open(Line::Full, 0)
    }

    /// Where repairs wait, if they do.
    #[inline]
    pub(super) fn backlog(&mut self) -> Option<&mut Backlog> {
        self.backlog.as_mut()
    }

    /// The next repair of the backlog, if it may leave, `next` being the next source packet's number.
    pub(super) fn take_repair(&mut self, next: u64) -> Option<Waiting> {
        let may = self.queue.is_empty() && self.bucket.is_open(Line::Half, 0);
        self.backlog.as_mut().filter(|_| may)?.take(next)
    }

    /// How many repairs were shed in all; tells the counters of each layer.
    #[inline]
    pub(super) fn count_shed(&self, counters: &ProtectCounters) -> u64 {
        let Some(backlog) = &self.backlog else { return 0 };
        let shed = backlog.shed_by_layer();
        counters
            .shed_by_layer()
            .into_iter()
            .zip(shed)
            .for_each(|(counter, &shed)| counter.set(shed));
        shed.iter().sum()
    }

    /// When something that waits may leave, if anything does; `repair_due` says whether the encoder has
    /// a repair.
    pub(super) fn next_deadline(&self, repair_due: bool) -> Option<u64> {
        let line = match self.queue.is_empty() && !repair_due {
            true if self.is_empty() => return None,
            true => Line::Half,
            false => Line::Full,
        };
        Some(self.bucket.opens_at(line))
    }
}

/// How long the packet will be that carries a frame.
#[inline]
fn packet(frame: &Mbuf, headers: usize) -> usize {
    frame.len() + headers
}

const _: () = assert!(BURST as u64 <= crate::fec::encoder::BATCH);
