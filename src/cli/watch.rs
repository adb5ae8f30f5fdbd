//! What the main thread of `maelstrom run` does each time that it looks: the link, what storage processes
//! are told, what operators ask.

use std::path::PathBuf;
use std::time::Instant;

use ::netsync::State;

use super::aside::Aside;
use super::ledger::Ledger;
use super::netsync::Netsync;
use super::service::Watch;
use crate::config::changes::Keys;
use crate::control::request::{LONGEST, Request, refusal};
use crate::control::server::Server;
use crate::dpdk::Port;
use crate::gateway::coding::{Build, Built};
use crate::gateway::{Blueprint, Coding, Readers, Steward};
use crate::link::adapt::Answer;

/// What all has left must be older than, beside the port's own time to drain, in nanoseconds: a worker that
/// sends for others may rest.
const LEAVING: u64 = 20_000_000;

/// Everything that is stepped by the main thread.
pub(super) struct Control {
    pub(super) steward: Steward,
    pub(super) coding: Coding,
    pub(super) planner: Aside<Answer>,
    pub(super) builder: Aside<Built>,
    pub(super) netsync: Option<Netsync>,
    pub(super) ledger: Ledger,
    pub(super) server: Option<Server>,
    pub(super) blueprint: Blueprint,
    pub(super) epoch: u32,
    /// When the rooms' time began.
    pub(super) start: Instant,
    /// The configuration file, and what of it is in force.
    pub(super) file: PathBuf,
    pub(super) keys: Keys,
    /// How long the WAN port takes to drain.
    pub(super) drain_ns: u64,
    /// Since when the rooms have nothing left.
    pub(super) drained_since: Option<u64>,
}

impl Control {
    /// In the rooms' time.
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// The gateway's state, as readers are told.
    pub(super) fn state(&self) -> State {
        self.netsync.as_ref().map_or(self.link_state(), Netsync::state)
    }

    fn link_state(&self) -> State {
        let flag = |set, flag| if set { flag } else { State::PROTECTED };
        flag(!self.steward.supervisor().peer().is_up(), State::PEER_DOWN)
            | flag(self.steward.is_bypassed(), State::BYPASSED)
    }

    /// Tells readers, then the rooms, what shall become of frames.
    pub(super) fn apply(&mut self) {
        let state = self.link_state();
        if let Some(netsync) = &mut self.netsync {
            netsync.set_link(state);
            netsync.look();
        }
        self.steward.direct();
    }

    /// Whether nothing that was taken in is in this gateway any more.
    pub(super) fn has_drained(&self, now: u64) -> bool {
        // Twice: a queue to a worker that sends for others, and the port's.
        self.drained_since.is_some_and(|since| now >= since + 2 * self.drain_ns + LEAVING)
    }

    /// Steps the code and what readers are promised, and what is done aside for them.
    fn follow(&mut self, now: u64) {
        let Control { steward, coding, planner, builder, netsync, .. } = self;
        let mut nobody = ();
        let readers: &mut dyn Readers = match netsync {
            Some(netsync) => {
                coding.set_exit(netsync.exit());
                netsync
            }
            None => &mut nobody,
        };
        coding.step(now, steward, readers);
        if let Some(answer) = planner.take() {
            coding.answered(now, answer);
        }
        if let Some(question) = coding.take_question(now)
            && !planner.begin(|| question.answer())
        {
            coding.answered(now, None);
        }
        match builder.take() {
            Some(Some(built)) => coding.built(built, readers),
            Some(None) => coding.failed(),
            None => {}
        }
        if let Some(build) = coding.take_build(steward)
            && !builder.begin(|| Build::run(build))
        {
            coding.failed();
        }
    }

    fn serve(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        server.poll(|line| {
            let request = match line {
                Some(line) => Request::parse(line),
                None => {
                    Err(format!("request: expected a line of UTF-8 up to {LONGEST} bytes long"))
                }
            };
            match request {
                Ok(request) => self.answer(request),
                Err(error) => refusal(&error),
            }
            .to_string()
        });
        self.server = Some(server);
    }
}

impl Watch for Control {
    fn look(&mut self) {
        let now = self.now();
        self.steward.step(now);
        for event in self.steward.supervisor_mut().take_events() {
            let level = if event.is_bad() { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{event}");
        }
        self.apply();
        self.follow(now);
        self.drained_since = match self.steward.is_drained() {
            true => self.drained_since.or(Some(now)),
            false => None,
        };
        self.ledger.look(now);
        self.serve();
    }

    fn look_at_ports(&mut self, ports: &[&Port]) {
        self.ledger.look_at_ports(ports);
        // The WAN port is the last.
        if let Some(wan) = ports.last() {
            self.drain_ns = wan.drain_ns(self.blueprint.longest_packet());
        }
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
