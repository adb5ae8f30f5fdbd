//! The one import point for atomics, and the four barriers that everything here is built of.
//!
//! Whatever has several words is a *seqlock*: a word that is odd while its writer changes the rest,
//! and never the same twice.
//!
//! ```text
//!   writer                                reader
//!   seq.open(odd)    -- Barrier::Open ----- pairs with ----- Barrier::Check    seq.is_still(even)
//!   words.put(…)                                                               words.get()
//!   seq.publish(even) - Barrier::Publish -- pairs with ----- Barrier::Observe  seq.observe()
//! ```
//!
//! A reader that got a word of a later write synchronizes, at `Check`, with that write's `Open`, and
//! sees that the seq is another. A reader that saw the seq of a write sees all its words, by `Publish`
//! and `Observe`. The same two order a watermark behind what is published before it.
//!
//! Readers load `Relaxed` with a fence behind it, not `Acquire`: their map is read-only, and of
//! atomics on read-only memory Rust allows no other. Loom's tests take each barrier out in turn.

#[cfg(feature = "loom")]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(feature = "loom"))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// What orders one word before or behind others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// Writer: between the odd seq and the words. Pairs with `Check`.
    Open,
    /// Writer: between the words and the even seq. Pairs with `Observe`.
    Publish,
    /// Reader: between the seq and the words. Pairs with `Publish`.
    Observe,
    /// Reader: between the words and the second look at the seq. Pairs with `Open`.
    Check,
}

/// Eight bytes that one writer and any number of readers share.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicU64);

impl Word {
    #[cfg(feature = "loom")]
    pub(crate) fn new() -> Word {
        Word(AtomicU64::new(0))
    }

    /// Of no order with any other word.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// As its only writer.
    #[cfg(not(feature = "loom"))]
    #[inline]
    pub(crate) fn own(&self) -> u64 {
        self.get()
    }

    /// As its only writer. Loom panics if it isn't, and counts this as no access of interest: it
    /// would otherwise forget the readers' accesses before it, and miss orders.
    #[cfg(feature = "loom")]
    #[allow(unsafe_code)]
    pub(crate) fn own(&self) -> u64 {
        // SAFETY: loom checks that no other thread writes at the same time.
        unsafe { self.0.unsync_load() }
    }

    /// Of no order with any other word.
    #[inline]
    pub(crate) fn put(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// As a seq: says that what it guards is about to change.
    #[inline]
    pub(crate) fn open(&self, odd: u64) {
        self.put(odd);
        if holds(Barrier::Open) {
            fence(Ordering::Release);
        }
    }

    /// Whoever observes this value sees all that was put before.
    #[inline]
    pub(crate) fn publish(&self, value: u64) {
        let order = if holds(Barrier::Publish) { Ordering::Release } else { Ordering::Relaxed };
        self.0.store(value, order);
    }

    /// The value, and with it all that was put before it was published.
    #[inline]
    pub(crate) fn observe(&self) -> u64 {
        let value = self.get();
        if holds(Barrier::Observe) {
            fence(Ordering::Acquire);
        }
        value
    }

    /// As a seq: whether all that was got since it was observed belongs to `value`.
    #[inline]
    pub(crate) fn is_still(&self, value: u64) -> bool {
        if holds(Barrier::Check) {
            fence(Ordering::Acquire);
        }
        self.get() == value
    }
}

/// A cache line: what one writer writes and no other.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [Word; 8]);

const _: () = assert!(cfg!(feature = "loom") || size_of::<Line>() == 64);

#[cfg(not(feature = "loom"))]
#[inline(always)]
const fn holds(_: Barrier) -> bool {
    true
}

#[cfg(feature = "loom")]
use without::holds;
#[cfg(all(test, feature = "loom"))]
pub(crate) use without::without;

/// How a model is run with a barrier taken out.
#[cfg(feature = "loom")]
mod without {
    use super::Barrier;
    use std::cell::Cell;

    // Loom runs all threads of a model on the thread that started it.
    std::thread_local!(static OUT: Cell<Option<Barrier>> = const { Cell::new(None) });

    pub(super) fn holds(barrier: Barrier) -> bool {
        OUT.get() != Some(barrier)
    }

    /// Takes a barrier out, for the rest of this thread's life.
    pub(crate) fn without(barrier: Option<Barrier>) {
        OUT.set(barrier);
    }
}
