//! Work that takes too long for the main thread of `maelstrom run`: on a thread of its own, one at a time.

use std::thread::{self, JoinHandle};

use core_affinity::CoreId;

/// A place for one piece of work.
pub(super) struct Aside<T> {
    name: &'static str,
    /// Where it is done; none is wherever the kernel likes.
    core: Option<usize>,
    work: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Aside<T> {
    pub(super) fn new(name: &'static str, core: Option<usize>) -> Aside<T> {
        Aside { name, core, work: None }
    }

    /// Begins it. False, and nothing is done, where no thread can be had.
    pub(super) fn begin(&mut self, work: impl FnOnce() -> T + Send + 'static) -> bool {
        let core = self.core;
        let work = move || {
            if let Some(id) = core {
                core_affinity::set_for_current(CoreId { id });
            }
            work()
        };
        self.work = thread::Builder::new().name(self.name.to_owned()).spawn(work).ok();
        self.work.is_some()
    }

    /// What came of it, once it is done: nothing, if it panicked.
    pub(super) fn take(&mut self) -> Option<Option<T>> {
        let done = self.work.take_if(|work| work.is_finished())?;
        Some(done.join().ok())
    }
}

/// A core that no worker is pinned to, if any worker is: the planner would take turns from one that spins.
pub(super) fn free_core(taken: &[Option<usize>]) -> Option<usize> {
    if taken.iter().all(Option::is_none) {
        return None;
    }
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    cores.into_iter().map(|core| core.id).find(|&id| !taken.contains(&Some(id)))
}
