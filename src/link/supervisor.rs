//! Control's part of the link: what control packets say and what follows from them.
//!
//! A pure state machine, stepped by whoever owns the clock: [`Supervisor::handle`] for what rooms
//! heard, [`Supervisor::poll`] for what is to be sent, [`Supervisor::next_deadline`] for when to poll
//! at the latest. Each subject has a file of its own and a few lines here.

use super::event::Event;
use super::heard::{Heard, What};
use super::hello::{HelloConfig, Hellos};
use super::peer::Peer;
use super::probe::Path;
use super::replay::Replay;
use super::strangers::{Strangers, Traffic};
use crate::wire::Bad;
use crate::wire::control::{self, Sender, Type};
use crate::wire::outer::OUTER_LEN;
use crate::wire::parcel::Parcel;
use crate::wire::shim::{Shim, is_later};

/// How long the peer must be silent before an epoch that is not later than its last one is believed, in
/// nanoseconds: a peer whose clock was set back must not be shut out.
const SILENCE: u64 = 1_000_000_000;

/// What a supervisor is made of.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    /// Who we are.
    pub sender: Sender,
    /// The peer's first channel.
    pub peer_channel: u8,
    /// How hellos are said.
    pub hello: HelloConfig,
}

/// What became of control packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets that were made.
    pub sent: u64,
    /// Packets that were taken in.
    pub taken: u64,
    /// Refused: here before, or too old to tell.
    pub replayed: u64,
    /// Refused: of an epoch that has ended.
    pub stale: u64,
    /// Refused: of a type that this version does not have, or with fields that are none.
    pub unknown: u64,
}

/// See the module's head.
pub struct Supervisor {
    config: SupervisorConfig,
    tally: Tally,
    peer_epoch: Option<u32>,
    heard_at: u64,
    replay: Replay,
    hellos: Hellos,
    strangers: Strangers,
    events: Vec<Event>,
}

impl Supervisor {
    /// Nobody has been heard yet.
    pub fn new(config: SupervisorConfig) -> Supervisor {
        Supervisor {
            hellos: Hellos::new(config.hello, config.sender.epoch),
            strangers: Strangers::default(),
            events: Vec::new(),
            config,
            tally: Tally::default(),
            peer_epoch: None,
            heard_at: 0,
            replay: Replay::default(),
        }
    }

    /// What became of control packets.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The peer's present epoch, if it was heard.
    pub fn peer_epoch(&self) -> Option<u32> {
        self.peer_epoch
    }

    /// What is known of the peer.
    pub fn peer(&self) -> &Peer {
        self.hellos.peer()
    }

    /// How large packets may be on the WAN.
    pub fn path(&self) -> Path {
        self.hellos.path()
    }

    /// How hellos are said.
    pub fn hello(&self) -> &HelloConfig {
        self.hellos.config()
    }

    /// Hellos are `interval` nanoseconds apart from now on.
    pub fn set_interval(&mut self, now: u64, interval: u64) {
        self.hellos.set_interval(now, interval);
    }

    /// What has happened since this was last asked, for the log.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// What rooms have counted in all by `now`.
    pub fn observe(&mut self, now: u64, traffic: Traffic) {
        let said_hello = self.hellos.peer().echo(now).is_some();
        if self.strangers.look(now, traffic, said_hello, &mut self.events) && said_hello {
            // Frames and repairs are signs of life as good as a hello.
            self.hellos.peer_mut().alive(now);
        }
    }

    /// A room has heard something.
    pub fn handle(&mut self, _now: u64, heard: &Heard) {
        let What::Control(shim) = heard.what else { return };
        if shim.channel != self.config.peer_channel || !self.is_fresh(heard.at, &shim) {
            return;
        }
        let len = heard.len.saturating_sub(OUTER_LEN as u16);
        let Supervisor { hellos, events, .. } = self;
        let outcome = match control::parse(heard.bytes.bytes()) {
            Ok((Type::Hello, fields)) => hellos.hear(heard.at, &shim, len, fields, events),
            Ok((Type::Handshake | Type::Report | Type::Nack, _)) => Err(Bad::Kind),
            Err(bad) => Err(bad),
        };
        match outcome {
            Ok(()) => self.tally.taken += 1,
            Err(_) => self.tally.unknown += 1,
        }
    }

    /// Hands out what is to be sent by `now`: packets from their shim on.
    pub fn poll(&mut self, now: u64, send: &mut impl FnMut(Parcel)) {
        // If nobody asks, not all is remembered.
        self.events.truncate(256);
        while let Some(saying) = self.hellos.due(now, self.tally.sent, &mut self.events) {
            let overhead = self.config.hello.overhead;
            let Some(parcel) = self.packet(Type::Hello, &saying.hello.emit()) else { return };
            send(parcel.padded_to(saying.size.saturating_sub(overhead).into()));
        }
    }

    /// A control packet from its shim on, with the next number; `None` if the fields are too long.
    fn packet(&mut self, kind: Type, fields: &[u8]) -> Option<Parcel> {
        let parcel = control::emit(self.config.sender, self.tally.sent, kind, fields)?;
        self.tally.sent += 1;
        Some(parcel)
    }

    /// When [`Supervisor::poll`] next has something to do if nothing is heard.
    pub fn next_deadline(&self) -> Option<u64> {
        Some(self.hellos.next_deadline())
    }

    /// Whether a packet is of the peer's present epoch, which it may begin, and was not here before.
    fn is_fresh(&mut self, at: u64, shim: &Shim) -> bool {
        match self.peer_epoch {
            Some(present) if present == shim.epoch => {}
            Some(present) if !is_later(shim.epoch, present) && at < self.heard_at + SILENCE => {
                self.tally.stale += 1;
                return false;
            }
            _ => {
                self.peer_epoch = Some(shim.epoch);
                self.replay = Replay::default();
                self.hellos.peer_mut().restarted(shim.epoch, &mut self.events);
            }
        }
        if !self.replay.admit(shim.seq) {
            self.tally.replayed += 1;
            return false;
        }
        self.heard_at = self.heard_at.max(at);
        true
    }
}
