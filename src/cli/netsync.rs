//! What `maelstrom run` does for network-sync, beside what its rooms do: the segment and its socket, the
//! heartbeat, the gateway's state.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netsync::{
    AckWriter, Control, InFlight, Segment, SegmentConfig, Server, State, WorkerWriter, now_ns,
};

use super::service::Watch;
use crate::config::NetsyncSection;
use crate::control::counters::{Counter, ProtectCounters};
use crate::dpdk::Port;
use crate::fec::Code;
use crate::gateway::coding::Promised;
use crate::gateway::flows::{Told, Worth, bounds};
use crate::gateway::{Blueprint, Readers};
use crate::safety::link::Loss;

/// How long the gateway stays degraded after the last repair that was shed.
const DEGRADED: Duration = Duration::from_secs(1);

/// What the main thread has of it. Dropped, readers are told that the gateway is gone.
pub(super) struct Netsync {
    control: Control,
    _server: Server,
    told: Arc<Told>,
    /// How long the WAN port takes to drain, for the rooms that protect.
    drain: Arc<Counter>,
    /// The longest packet that it sends.
    longest: usize,
    rooms: Vec<Arc<ProtectCounters>>,
    state: State,
    /// What is to be said of the link.
    link: State,
    shed: u64,
    shed_last: Option<Instant>,
    /// The operator's floor of the link, and what lies behind the WAN port.
    floor: Option<Loss>,
    exit_delay: u64,
    /// What was in flight when the last change of the code was over.
    marked: Vec<InFlight>,
}

/// What the rooms get of it, one each.
pub(super) struct Writers {
    pub(super) protect: Vec<WorkerWriter>,
    pub(super) recover: Vec<AckWriter>,
}

impl Netsync {
    /// Makes the segment, puts the code in force and lets readers connect.
    pub(super) fn start(
        section: &NetsyncSection,
        blueprint: &Blueprint,
        wan: &Port,
        rooms: Vec<Arc<ProtectCounters>>,
    ) -> Result<(Netsync, Writers), Box<dyn Error>> {
        let workers = [blueprint.channels_out, blueprint.channels_in].map(usize::from);
        let mut config = SegmentConfig::new(workers[0], workers[1]);
        (config.geometry.flows, config.geometry.ring) = (section.flows, section.ring);
        let Segment { file, mut control, workers: protect, acks: recover } =
            Segment::create(&config)?;
        let (code, sparse) = (&blueprint.code, blueprint.sparse.as_ref());
        let told = Arc::new(Told::default());
        let levels = levels(blueprint);
        let worth = bounds(code, sparse, blueprint.timing.flush_cap, section.link);
        told.code(control.publish_code(&code.to_string(), levels, &worth));
        // Until a hello says otherwise.
        control.set_state(State::PEER_DOWN, now_ns());
        told.state(State::PEER_DOWN);
        let server = Server::start(&section.server(), file)?;
        log::info!(
            "netsync on {}: levels 1 to {levels}, tracked flows up to {} for each worker",
            section.socket.display(),
            section.flows,
        );
        if section.link.is_none() {
            log::warn!(
                "netsync promises no probability before enough was measured: there is no netsync.link"
            );
        }
        if section.tracks.is_empty() {
            log::warn!("netsync tracks no flow: there is no [[netsync.track]]");
        }
        let mut netsync = Netsync {
            control,
            _server: server,
            told,
            drain: Arc::default(),
            longest: blueprint.longest_packet(),
            rooms,
            state: State::PEER_DOWN,
            link: State::PEER_DOWN,
            shed: 0,
            shed_last: None,
            floor: section.link,
            exit_delay: section.exit_delay,
            marked: Vec::new(),
        };
        netsync.measure_drain(wan);
        Ok((netsync, Writers { protect, recover }))
    }

    /// What readers are promised, as far as it is known beforehand.
    pub(super) fn promised(&self) -> Promised {
        Promised { floor: self.floor, exit: self.exit() }
    }

    /// How long a packet takes to the edge of the site: rings twice, where another worker sends.
    pub(super) fn exit(&self) -> u64 {
        2 * self.drain.get() + self.exit_delay
    }

    pub(super) fn told(&self) -> &Arc<Told> {
        &self.told
    }

    pub(super) fn drain(&self) -> &Arc<Counter> {
        &self.drain
    }

    /// The gateway's state, as readers were told.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// What is to be said of the link from now on.
    pub(super) fn set_link(&mut self, state: State) {
        self.link = state;
    }

    fn measure_drain(&mut self, wan: &Port) {
        let drain = wan.drain_ns(self.longest);
        if drain != self.drain.get() {
            log::info!(
                "netsync: packets count as gone {} us after port {} has taken them",
                drain / 1000,
                wan.name()
            );
            self.drain.set(drain);
        }
    }

    /// Says which state the gateway is in, if it is another than before.
    fn enter(&mut self, state: State) {
        if state == self.state {
            return;
        }
        self.control.set_state(state, now_ns());
        self.told.state(state);
        log::info!("netsync: {state}");
        self.state = state;
    }
}

/// How many levels readers may ask for: one for each layer, as far as there are words for them.
fn levels(blueprint: &Blueprint) -> usize {
    blueprint.code.layers().len()
}

impl Readers for Netsync {
    fn publish(&mut self, code: &Code, worth: &Worth) {
        let (text, levels) = (code.to_string(), code.layers().len());
        self.told.code(self.control.publish_code(&text, levels, worth));
    }

    fn mark(&mut self) {
        self.marked = self.control.in_flight();
    }

    fn is_settled(&mut self) -> bool {
        while self.marked.last().is_some_and(|flow| self.control.is_over(flow)) {
            self.marked.pop();
        }
        self.marked.is_empty()
    }
}

impl Watch for Netsync {
    fn look(&mut self) {
        self.control.heartbeat(now_ns());
        let lost = |room: &Arc<ProtectCounters>| {
            room.repair_shed.get() + room.repair_no_mbuf.get() + room.repair_untold.get()
        };
        let shed = self.rooms.iter().map(lost).sum();
        if shed != self.shed {
            (self.shed, self.shed_last) = (shed, Some(Instant::now()));
        }
        let degraded = self.shed_last.is_some_and(|last| last.elapsed() < DEGRADED);
        let shedding = if degraded { State::DEGRADED } else { State::PROTECTED };
        self.enter(self.link | shedding);
    }

    fn look_at_ports(&mut self, ports: &[&Port]) {
        // The WAN port is the last.
        if let Some(wan) = ports.last() {
            self.measure_drain(wan);
        }
    }

    fn stopping(&mut self) {
        self.enter(self.state | State::STOPPING);
    }
}
