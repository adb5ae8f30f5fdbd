//! An allocator that counts what it is asked for while a thread wants to know.
#![allow(unsafe_code, reason = "an allocator can't be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations and frees of this thread since counting began; `None` while nobody counts.
    static COUNTS: Cell<Option<Counts>> = const { Cell::new(None) };
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub allocations: u64,
    pub frees: u64,
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(note: impl Fn(&mut Counts)) {
    // A thread that ends has no counts any more, and nobody who asks for them.
    let _ = COUNTS.try_with(|counts| {
        if let Some(mut now) = counts.get() {
            note(&mut now);
            counts.set(Some(now));
        }
    });
}

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing, since a
// `const` thread local without a destructor is part of the thread's static memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|counts| counts.allocations += 1);
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(|counts| counts.frees += 1);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(|counts| counts.allocations += 1);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(|counts| counts.allocations += 1);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What `work` asks of the allocator, on this thread.
pub fn counted(work: impl FnOnce()) -> Counts {
    COUNTS.set(Some(Counts::default()));
    work();
    COUNTS.take().unwrap_or_default()
}

#[test]
fn what_allocates_is_counted() {
    let counts = counted(|| drop(std::hint::black_box(Box::new(7))));
    assert_eq!(counts, Counts { allocations: 1, frees: 1 });
    let counts = counted(|| {
        std::hint::black_box(&mut Vec::<u8>::with_capacity(1)).extend([1; 100]);
    });
    assert_eq!(counts, Counts { allocations: 2, frees: 1 });
}
