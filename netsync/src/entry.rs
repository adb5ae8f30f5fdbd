//! One flow's lines: how they are written and read. The picture is in [`crate::layout`].
//!
//! Lines A, B and C have one writer, the room that protects, and one seqlock: the generation. Within a
//! generation their words only grow, one by one. The order in which they are written makes
//! whatever a reader sees too late err on the safe side: what a watermark is worth is put first, the
//! watermark is published behind it.
//!
//! Each line D has a writer of its own, on another thread, and is a small seqlock of its own that
//! carries the flow's generation: an acknowledgement can't be taken for another flow's.

use crate::FlowKey;
use crate::layout::{CLASSES, ENTRY, Geometry, MAX_LEVELS};
use crate::memory::Memory;
use crate::sync::{Line, Word};

/// The flow's SYN was not seen: base seq is arbitrary.
const UNANCHORED: u64 = 1;
const FIN: u64 = 2;
const RST: u64 = 4;

/// What line A says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Even, and never 0.
    pub(crate) generation: u64,
    pub(crate) key: FlowKey,
    /// The TCP sequence number of offset 0.
    pub(crate) base_seq: u32,
    pub(crate) unanchored: bool,
    pub(crate) opened_ns: u64,
}

/// What a reader saw of a flow, all of one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// As the far end has acknowledged; none before its first word.
    pub(crate) acked: Option<u64>,
    pub(crate) levels: [u64; MAX_LEVELS],
    pub(crate) sent: u64,
    pub(crate) in_flight: u64,
    pub(crate) class_to: [u64; CLASSES],
    pub(crate) reset: bool,
    /// By FIN or RST.
    pub(crate) ended: bool,
}

/// Three lines, and one for each ack writer.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a>(&'a [Line]);

impl<'a> Entry<'a> {
    #[inline]
    pub(crate) fn generation(&self) -> &'a Word {
        &self.0[0].0[0]
    }

    fn flags(&self) -> &'a Word {
        &self.0[0].0[7]
    }

    fn sent(&self) -> &'a Word {
        &self.0[1].0[0]
    }

    fn in_flight(&self) -> &'a Word {
        &self.0[1].0[1]
    }

    fn class_to(&self, class: usize) -> &'a Word {
        &self.0[1].0[2 + class]
    }

    fn levels(&self) -> &'a [Word] {
        &self.0[2].0[..MAX_LEVELS]
    }

    fn opened_ns(&self) -> &'a Word {
        &self.0[1].0[6]
    }

    /// Protect's: begins a generation, with all watermarks at 0. Returns it.
    pub(crate) fn open(&self, key: &FlowKey, base_seq: u32, unanchored: bool, now_ns: u64) -> u64 {
        let generation = self.generation().own() + 2;
        self.generation().open(generation - 1);
        let [_, fields @ .., base, flags] = &self.0[0].0;
        fields.iter().zip(key.words()).for_each(|(field, word)| field.put(word));
        base.put(u64::from(base_seq));
        flags.put(if unanchored { UNANCHORED } else { 0 });
        (0..CLASSES).for_each(|class| self.class_to(class).put(0));
        self.levels().iter().chain([self.sent(), self.in_flight()]).for_each(|word| word.put(0));
        self.opened_ns().put(now_ns);
        self.generation().publish(generation);
        generation
    }

    /// Protect's: notes that the flow has ended.
    pub(crate) fn close(&self, reset: bool) {
        self.flags().put(self.flags().own() | if reset { RST } else { FIN });
    }

    /// Protect's: bytes below `offset` have left as source packets, `in_flight` packets of them are
    /// not acknowledged.
    #[inline]
    pub(crate) fn send(&self, offset: u64, in_flight: u64) {
        self.in_flight().put(in_flight);
        raise(self.sent(), offset);
    }

    /// Protect's, before it raises the level: bytes below `offset` were covered by such repairs.
    #[inline]
    pub(crate) fn cover(&self, class: usize, offset: u64) {
        raise(self.class_to(class), offset);
    }

    /// Protect's: bytes below `offset` are covered by `level` repairs that have left.
    #[inline]
    pub(crate) fn raise(&self, level: usize, offset: u64) {
        raise(&self.levels()[level - 1], offset);
    }

    /// Protect's: the same of all levels, from 1 on. Which of them are news can't be foreseen, so
    /// nothing branches on it.
    #[inline]
    pub(crate) fn raise_all(&self, offsets: impl Iterator<Item = u64>) {
        for (level, offset) in self.levels().iter().zip(offsets) {
            level.publish(offset.max(level.own()));
        }
    }

    /// An ack writer's, in its own line: bytes below `offset` are acknowledged. What it says of an
    /// older generation than it has said before, it does not say.
    #[inline]
    pub(crate) fn acknowledge(&self, writer: usize, generation: u64, offset: u64) {
        let [lock, acked, ..] = &self.0[ENTRY + writer].0;
        match lock.own() {
            said if said == generation => raise(acked, offset),
            said if said < generation => {
                lock.open(generation - 1);
                acked.put(offset);
                lock.publish(generation);
            }
            _ => {}
        }
    }

    /// What an ack writer has said of this generation; it is the only one to ask.
    #[inline]
    pub(crate) fn acknowledged(&self, writer: usize, generation: u64) -> Option<u64> {
        let [lock, acked, ..] = &self.0[ENTRY + writer].0;
        (lock.own() == generation).then(|| acked.own())
    }

    /// None when the entry is free, or being changed.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let generation = self.generation().observe();
        if generation == 0 || !generation.is_multiple_of(2) {
            return None;
        }
        let [_, fields @ .., base, flags] = &self.0[0].0;
        let mut words = [0; FlowKey::WORDS];
        words.iter_mut().zip(fields).for_each(|(word, field)| *word = field.get());
        let (base, flags, opened_ns) = (base.get(), flags.get(), self.opened_ns().get());
        self.generation().is_still(generation).then(|| Identity {
            generation,
            key: FlowKey::from_words(words),
            base_seq: base as u32,
            unanchored: flags & UNANCHORED != 0,
            opened_ns,
        })
    }

    /// What the entry says of the flow of this generation; none when it is another's by now.
    #[inline]
    pub(crate) fn sample(&self, generation: u64) -> Option<Sample> {
        if self.generation().observe() != generation {
            return None;
        }
        // Acknowledgements first: older ones leave more bytes in flight.
        let mut sample = Sample { acked: self.acked(generation), ..Sample::default() };
        // Then the levels, and what they are worth behind them: what is newer is worth less.
        for (into, level) in sample.levels.iter_mut().zip(self.levels()) {
            *into = level.observe();
        }
        for (class, into) in sample.class_to.iter_mut().enumerate() {
            *into = self.class_to(class).get();
        }
        sample.sent = self.sent().observe();
        sample.in_flight = self.in_flight().get();
        let flags = self.flags().get();
        (sample.reset, sample.ended) = (flags & RST != 0, flags & (FIN | RST) != 0);
        self.generation().is_still(generation).then_some(sample)
    }

    /// The furthest that an ack writer has said of this generation.
    pub(crate) fn acked(&self, generation: u64) -> Option<u64> {
        let said = self.0[ENTRY..].iter().filter_map(|Line([lock, acked, ..])| {
            let mine = lock.observe() == generation;
            let offset = acked.get();
            (mine && lock.is_still(generation)).then_some(offset)
        });
        said.max()
    }
}

/// The lines of an entry that is within the geometry.
#[inline]
pub(crate) fn entry<'a>(
    memory: &'a Memory,
    geometry: &Geometry,
    worker: usize,
    slot: usize,
) -> Entry<'a> {
    Entry(&memory.lines()[geometry.flow(worker, slot)..][..geometry.entry()])
}

/// Looks for a key in the tables of all workers: its worker, slot and identity. Should several have
/// it, the one that was opened last counts.
pub(crate) fn search(
    memory: &Memory,
    geometry: &Geometry,
    hash: u64,
    key: &FlowKey,
) -> Option<(usize, usize, Identity)> {
    let all = (0..geometry.workers).flat_map(|worker| {
        geometry.probes(hash).filter_map(move |slot| {
            let identity = entry(memory, geometry, worker, slot).identity()?;
            (identity.key == *key).then_some((worker, slot, identity))
        })
    });
    all.max_by_key(|(.., identity)| identity.opened_ns)
}

/// Publishes a watermark, unless it is there already.
#[inline]
fn raise(word: &Word, offset: u64) {
    if offset > word.own() {
        word.publish(offset);
    }
}
