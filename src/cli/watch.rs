//! What the main thread of `maelstrom run` does each time that it looks: the link, and what storage
//! processes are told.

use std::time::Instant;

use ::netsync::State;

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

/// What readers are told of the link.
fn link_state(steward: &Steward) -> State {
    let flag = |set, flag| if set { flag } else { State::PROTECTED };
    flag(!steward.supervisor().peer().is_up(), State::PEER_DOWN)
        | flag(steward.is_bypassed(), State::BYPASSED)
}

impl Watch for Control {
    fn look(&mut self) {
        self.steward.step(self.start.elapsed().as_nanos() as u64);
        for event in self.steward.supervisor_mut().take_events() {
            let level = if event.is_bad() { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{event}");
        }
        if let Some(netsync) = &mut self.netsync {
            netsync.set_link(link_state(&self.steward));
            netsync.look();
        }
        // Readers know by now.
        self.steward.direct();
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
