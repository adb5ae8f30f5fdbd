//! When our hellos leave and what they say.

use super::event::Event;
use super::peer::Peer;
use super::probe::{Path, Probe};
use crate::wire::Bad;
use crate::wire::hello::{Facts, Hello};
use crate::wire::shim::Shim;

/// What an answer may take beyond the round trip, in nanoseconds.
const LATE: u64 = 50_000_000;

/// How hellos are said.
#[derive(Clone, Copy, Debug)]
pub struct HelloConfig {
    /// How this gateway is configured.
    pub facts: Facts,
    /// Between two hellos, in nanoseconds.
    pub interval: u64,
    /// The largest packet that this gateway sends, behind the Ethernet header.
    pub largest: u16,
    /// What the encapsulation puts between the Ethernet header and the shim, in bytes.
    pub overhead: u16,
}

/// See the module's head.
#[derive(Debug)]
pub struct Hellos {
    config: HelloConfig,
    next: u64,
    peer: Peer,
    probe: Probe,
}

/// A hello that is to be sent.
pub struct Saying {
    /// What it says.
    pub hello: Hello,
    /// How large it shall be behind the Ethernet header; 0 as it is.
    pub size: u16,
}

impl Hellos {
    /// The first one leaves at once.
    pub fn new(config: HelloConfig, epoch: u32) -> Hellos {
        let peer = Peer::new(config.facts, epoch, config.interval);
        Hellos { next: 0, peer, probe: Probe::new(config.largest), config }
    }

    /// What is known of the peer.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The same, for who hears other signs of it.
    pub fn peer_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// How large packets may be.
    pub fn path(&self) -> Path {
        self.probe.path()
    }

    /// How it was made.
    pub fn config(&self) -> &HelloConfig {
        &self.config
    }

    /// Hellos are so far apart from now on.
    pub fn set_interval(&mut self, now: u64, interval: u64) {
        (self.config.interval, self.next) = (interval, now);
        self.peer.set_interval(interval);
    }

    /// A fresh control packet of `len` bytes behind the Ethernet header says hello.
    pub fn hear(
        &mut self,
        at: u64,
        shim: &Shim,
        len: u16,
        fields: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Bad> {
        let hello = Hello::parse(fields)?;
        let was_up = self.peer.is_up();
        self.peer.hello(at, shim.seq, len, &hello, events);
        if self.peer.is_up() && !was_up {
            self.probe.restart(at);
        }
        if let Some(echo) = hello.echo.filter(|_| self.peer.is_up()) {
            let before = self.probe.path();
            self.probe.heard(at, echo.large.0, echo.large.1);
            self.say_path(before, events);
        }
        Ok(())
    }

    /// What is to be said by `now`, one at a time. `number` is that of the packet that says it.
    pub fn due(&mut self, now: u64, number: u64, events: &mut Vec<Event>) -> Option<Saying> {
        self.peer.look(now, events);
        if now >= self.next {
            // Those that were missed, such as while the process was stopped, are not made up for.
            let next = self.next + self.config.interval;
            self.next = if next > now { next } else { now + self.config.interval };
            return Some(Saying { hello: self.hello(now, 0), size: 0 });
        }
        if !self.peer.is_up() {
            return None;
        }
        let before = self.probe.path();
        let size = self.probe.due(now);
        self.say_path(before, events);
        let size = size?;
        let trip = self.peer.round_trip().map_or(0, |trip| 2 * trip.mean + 4 * trip.variation);
        let patience = trip + 2 * (self.peer.interval_there() + self.config.interval) + LATE;
        self.probe.sent(now, number, size, patience);
        Some(Saying { hello: self.hello(now, size), size })
    }

    fn hello(&self, now: u64, size: u16) -> Hello {
        Hello {
            facts: self.config.facts,
            size,
            interval: (self.config.interval / 1000).min(u64::from(u32::MAX)) as u32,
            quiet: (self.peer.quiet(now) / 1000).min(u64::from(u32::MAX)) as u32,
            time: now,
            echo: self.peer.echo(now),
        }
    }

    fn say_path(&self, before: Path, events: &mut Vec<Event>) {
        let (path, want) = (self.probe.path(), self.config.largest);
        let news = match (before, path) {
            (before, after) if before == after => false,
            (Path::Unknown, Path::Whole) => false,
            // Where a search ends differs by a little each time.
            (Path::UpTo(before), Path::UpTo(after)) => before.abs_diff(after) > 16,
            _ => true,
        };
        if news {
            events.push(Event::Path { path, want });
        }
    }

    /// When [`Hellos::due`] next has something to do.
    pub fn next_deadline(&self) -> u64 {
        let silence = self.peer.silent_at().unwrap_or(u64::MAX);
        let probe = if self.peer.is_up() { self.probe.next_deadline() } else { u64::MAX };
        self.next.min(silence).min(probe)
    }
}
