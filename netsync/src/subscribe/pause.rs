//! What a wait does between two looks.

use std::time::Duration;

/// How a wait passes the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMode {
    /// Polls without a pause: answers within a microsecond, and takes a core.
    #[default]
    Spin,
    /// Polls with pauses that grow to a millisecond: takes next to no time of a core.
    Block,
}

/// Passes the time between two looks.
pub(super) struct Pause {
    mode: WaitMode,
    timeout_ns: u64,
    began: Option<u64>,
    looks: u32,
    nap_ns: u64,
}

/// Looks before the first nap: most waits are short.
const EAGER: u32 = 100;
const FIRST_NAP_NS: u64 = 20_000;
const LONGEST_NAP_NS: u64 = 1_000_000;

impl Pause {
    pub(super) fn new(mode: WaitMode, timeout: Duration) -> Pause {
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Pause { mode, timeout_ns, began: None, looks: 0, nap_ns: FIRST_NAP_NS }
    }

    /// False when there is none left at `now`.
    pub(super) fn pass(&mut self, now: u64) -> bool {
        let passed = now.saturating_sub(*self.began.get_or_insert(now));
        let Some(left @ 1..) = self.timeout_ns.checked_sub(passed) else { return false };
        self.looks = self.looks.saturating_add(1);
        if self.mode == WaitMode::Spin || self.looks < EAGER {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(Duration::from_nanos(self.nap_ns.min(left)));
            self.nap_ns = (self.nap_ns * 2).min(LONGEST_NAP_NS);
        }
        true
    }
}
