//! Control's part of the link: what control packets say and what follows from them.
//!
//! A pure state machine, stepped by whoever owns the clock: [`Supervisor::handle`] for what rooms
//! heard, [`Supervisor::poll`] for what is to be sent, [`Supervisor::next_deadline`] for when to poll
//! at the latest. Each subject has a file of its own and a few lines here.

use super::accounts::{Accounts, Summary};
use super::event::Event;
use super::handshake::Handshake;
use super::heard::{Heard, What};
use super::hello::{HelloConfig, Hellos};
use super::keys::Keys;
use super::peer::Peer;
use super::probe::Path;
use super::replay::Replay;
use super::strangers::{Strangers, Traffic};
use crate::wire::control::{self, Sender, Type};
use crate::wire::outer::OUTER_LEN;
use crate::wire::parcel::Parcel;
use crate::wire::shim::{Shim, is_later};
use crate::wire::{Bad, Report};

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
    /// Refused: of a handshake, and it proves nothing.
    pub unproved: u64,
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
    keys: Option<Keys>,
    /// The number of the keys that its last packet was opened with.
    heard_under: u32,
    /// Handshakes that came though we have no key.
    handshakes: u64,
    hellos: Hellos,
    strangers: Strangers,
    accounts: Accounts,
    events: Vec<Event>,
}

impl Supervisor {
    /// Nobody has been heard yet.
    pub fn new(config: SupervisorConfig) -> Supervisor {
        Supervisor {
            hellos: Hellos::new(config.hello, config.sender.epoch),
            strangers: Strangers::default(),
            accounts: Accounts::new(config.sender.channel, config.sender.epoch),
            events: Vec::new(),
            config,
            tally: Tally::default(),
            peer_epoch: None,
            heard_at: 0,
            replay: Replay::default(),
            keys: None,
            heard_under: 0,
            handshakes: 0,
        }
    }

    /// Believes only what opens with keys that this agrees upon, and says nothing else without them: to
    /// be called before the first step.
    pub fn use_keys(&mut self, handshake: Handshake) {
        self.keys = Some(Keys::new(handshake));
    }

    /// What is agreed upon, if there are to be keys.
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
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

    /// What both ends have counted of the link.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The same, for who hands up what rooms have counted.
    pub fn accounts_mut(&mut self) -> &mut Accounts {
        &mut self.accounts
    }

    /// What the peer has reported of our channels, all in one, when there is news.
    pub fn take_summary(&mut self, now: u64) -> Option<Summary> {
        let epoch = self.peer_epoch?;
        self.accounts.take_summary(now, epoch)
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
    pub fn observe(&mut self, now: u64, mut traffic: Traffic) {
        traffic.handshakes = self.handshakes;
        let said_hello = self.hellos.peer().echo(now).is_some();
        if self.strangers.look(now, traffic, said_hello, &mut self.events) && said_hello {
            // Frames and repairs are signs of life as good as a hello.
            self.hellos.peer_mut().alive(now);
        }
    }

    /// A room has heard something.
    pub fn handle(&mut self, now: u64, heard: &Heard) {
        let (shim, fresh) = match heard.what {
            What::Frame => return,
            What::Control(shim) | What::Opened { shim, .. }
                if shim.channel != self.config.peer_channel =>
            {
                return;
            }
            What::Control(_) if self.keys.is_some() => return self.shake_hands(now, heard),
            What::Control(_) if control::is_handshake(heard.bytes.bytes()) => {
                self.handshakes += 1;
                self.tally.unknown += 1;
                return;
            }
            What::Control(shim) => (shim, self.is_fresh(heard.at, &shim)),
            What::Opened { shim, keys } => (shim, self.is_of_session(heard.at, &shim, keys)),
        };
        if !fresh {
            return;
        }
        let len = heard.len.saturating_sub(OUTER_LEN as u16);
        let Supervisor { hellos, accounts, events, .. } = self;
        let outcome = match control::parse(heard.bytes.bytes()) {
            Ok((Type::Hello, fields)) => hellos.hear(heard.at, &shim, len, fields, events),
            Ok((Type::Report, fields)) => accounts.hear(fields),
            Ok((Type::Handshake | Type::Nack, _)) => Err(Bad::Kind),
            Err(bad) => Err(bad),
        };
        match outcome {
            Ok(()) => self.tally.taken += 1,
            Err(_) => self.tally.unknown += 1,
        }
    }

    /// A packet that nobody has opened: it may be part of a handshake, and changes nothing else.
    fn shake_hands(&mut self, now: u64, heard: &Heard) {
        let Some(keys) = &mut self.keys else { return };
        let (sender, up) = (self.config.sender, self.hellos.peer().is_up());
        let proved = match control::parse(heard.bytes.bytes()) {
            Ok((Type::Handshake, message)) => keys.hear(now, sender, message, up, &mut self.events),
            _ => None,
        };
        match proved {
            // The peer shall hear of us at once.
            Some(true) => self.hellos.set_interval(now, self.hello().interval),
            Some(false) => {}
            None => self.tally.unproved += 1,
        }
    }

    /// Hands out what is to be sent by `now`: packets from their shim on.
    pub fn poll(&mut self, now: u64, send: &mut impl FnMut(Parcel)) {
        // If nobody asks, not all is remembered.
        self.events.truncate(256);
        while let Some(message) = self.keys.as_mut().and_then(|keys| keys.poll(now)) {
            let (sender, number) = (self.config.sender, self.tally.sent);
            let parcel = control::emit(sender, number, Type::Handshake, &message);
            self.tally.sent += 1;
            parcel.map(&mut *send);
        }
        if !self.may_talk() {
            return;
        }
        while let Some(saying) = self.hellos.due(now, self.tally.sent, &mut self.events) {
            let overhead = self.config.hello.overhead;
            let Some(parcel) = self.packet(Type::Hello, &saying.hello.emit()) else { return };
            send(parcel.padded_to(saying.size.saturating_sub(overhead).into()));
        }
        while let Some(report) = self.accounts.take_due().map(Report::emit) {
            let Some(parcel) = self.packet(Type::Report, &report) else { return };
            send(parcel);
        }
    }

    /// A control packet from its shim on, with the next number; `None` if the fields are too long.
    fn packet(&mut self, kind: Type, fields: &[u8]) -> Option<Parcel> {
        let (sender, number) = (self.config.sender, self.tally.sent);
        let parcel = match &self.keys {
            None => control::emit(sender, number, kind, fields)?,
            Some(keys) => keys.seal(sender, number, kind, fields)?,
        };
        self.tally.sent += 1;
        Some(parcel)
    }

    /// When [`Supervisor::poll`] next has something to do if nothing is heard.
    pub fn next_deadline(&self) -> Option<u64> {
        let hello = self.may_talk().then(|| self.hellos.next_deadline());
        let handshake = self.keys.as_ref().and_then(Keys::next_deadline);
        [hello, handshake].into_iter().flatten().min()
    }

    /// Whether there is anything to seal with, if that is needed.
    fn may_talk(&self) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.send().is_some())
    }

    /// Whether a packet that was opened is of the peer's present keys, which it may begin, and was not
    /// here before.
    fn is_of_session(&mut self, at: u64, shim: &Shim, number: u32) -> bool {
        if number < self.heard_under {
            self.tally.stale += 1;
            return false;
        }
        if number > self.heard_under {
            // Nobody but the peer can have sent it, and what it sent under other keys is over.
            (self.heard_under, self.peer_epoch) = (number, Some(shim.epoch));
            self.replay = Replay::default();
            // One of the two has begun anew, and with it what it has counted.
            self.accounts.restarted();
            self.hellos.peer_mut().restarted(shim.epoch, &mut self.events);
        }
        self.is_new(at, shim)
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
                self.accounts.restarted();
                self.hellos.peer_mut().restarted(shim.epoch, &mut self.events);
            }
        }
        self.is_new(at, shim)
    }

    fn is_new(&mut self, at: u64, shim: &Shim) -> bool {
        if !self.replay.admit(shim.seq) {
            self.tally.replayed += 1;
            return false;
        }
        self.heard_at = self.heard_at.max(at);
        true
    }
}
