//! What the main thread of `maelstrom run` does each time that it looks: the link, and what storage
//! processes are told.

use std::time::Instant;

use super::netsync::Netsync;
use super::service::Watch;
use crate::dpdk::Port;
use crate::gateway::Steward;

/// Everything that is stepped by the main thread.
pub(super) struct Control {
    pub(super) steward: Steward,
    pub(super) netsync: Option<Netsync>,
    /// When the rooms' time began.
    pub(super) start: Instant,
}

impl Watch for Control {
    fn look(&mut self) {
        self.steward.step(self.start.elapsed().as_nanos() as u64);
        if let Some(netsync) = &mut self.netsync {
            netsync.look();
        }
    }

    fn look_at_ports(&mut self, ports: &[&Port]) {
        if let Some(netsync) = &mut self.netsync {
            netsync.look_at_ports(ports);
        }
    }

    fn stopping(&mut self) {
        if let Some(netsync) = &mut self.netsync {
            netsync.stopping();
        }
    }
}
