//! What is known of the gateway at the other end: whether it is there, hears us, and fits.

use super::event::Event;
use super::mismatch::mismatch;
use super::round_trip::RoundTrip;
use crate::wire::hello::{Echo, Facts, Hello};

/// How many hellos in a row must be missed until the peer is down.
const MISSED: u64 = 3;
/// What the control threads at both ends may be late by, in nanoseconds: each looks every 10 ms.
const LATE: u64 = 20_000_000;

/// Whether packets pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is heard of the peer: it is down, or the way from it is cut.
    #[default]
    Silent,
    /// It is heard, but says that it does not hear us: the way to it is cut.
    OneWay,
    /// Each hears the other.
    Up,
}

impl Standing {
    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Silent => "down",
            Standing::OneWay => "one-way",
            Standing::Up => "up",
        }
    }
}

/// The last hello of the peer's present epoch.
#[derive(Clone, Copy, Debug)]
struct Last {
    number: u64,
    time: u64,
    at: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct Peer {
    ours: Facts,
    /// Our epoch.
    epoch: u32,
    /// Of our hellos, in nanoseconds.
    interval: u64,
    standing: Standing,
    /// Since when it stands so.
    since: u64,
    /// Its epoch.
    epoch_there: Option<u32>,
    facts: Option<Facts>,
    /// Of its hellos, in nanoseconds.
    interval_there: u64,
    /// When anything of it was last heard, and since when that has gone on without a pause.
    heard: Option<(u64, u64)>,
    last: Option<Last>,
    /// Number and size of the last large hello.
    large: (u64, u16),
    /// Our time, in the last echo.
    echoed: Option<u64>,
    round_trip: Option<RoundTrip>,
    mismatch: Option<String>,
}

impl Peer {
    /// Unheard of, by a gateway of these facts and this epoch, whose hellos are `interval` apart.
    pub fn new(ours: Facts, epoch: u32, interval: u64) -> Peer {
        Peer {
            ours,
            epoch,
            interval,
            standing: Standing::Silent,
            since: 0,
            epoch_there: None,
            facts: None,
            interval_there: interval,
            heard: None,
            last: None,
            large: (0, 0),
            echoed: None,
            round_trip: None,
            mismatch: None,
        }
    }

    /// Whether packets pass.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Since when they do or do not, in the rooms' time.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Whether it is there and hears us.
    pub fn is_up(&self) -> bool {
        self.standing == Standing::Up
    }

    /// How it is configured, as far as it has said.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// What does not fit.
    pub fn mismatch(&self) -> Option<&str> {
        self.mismatch.as_deref()
    }

    /// How long packets take to it and back.
    pub fn round_trip(&self) -> Option<&RoundTrip> {
        self.round_trip.as_ref()
    }

    /// Between its hellos, in nanoseconds.
    pub fn interval_there(&self) -> u64 {
        self.interval_there
    }

    /// For how long nothing was heard of it; since ever if nothing was.
    pub fn quiet(&self, now: u64) -> u64 {
        self.heard.map_or(u64::MAX, |(last, _)| now.saturating_sub(last))
    }

    /// What our hello says of its last one.
    pub fn echo(&self, now: u64) -> Option<Echo> {
        let last = self.last?;
        Some(Echo {
            epoch: self.epoch_there?,
            time: last.time,
            held: now.saturating_sub(last.at),
            large: self.large,
        })
    }

    /// Hellos of our own are so far apart from now on.
    pub fn set_interval(&mut self, interval: u64) {
        self.interval = interval;
    }

    /// Its packets are of another epoch from now on.
    pub fn restarted(&mut self, epoch: u32, events: &mut Vec<Event>) {
        if let Some(before) = self.epoch_there.replace(epoch) {
            events.push(Event::Restarted { before, epoch });
        }
        (self.last, self.large, self.round_trip) = (None, (0, 0), None);
        // It can't have heard us yet. Until it has, it is as good as down.
        (self.heard, self.standing, self.echoed) = (None, Standing::Silent, None);
    }

    /// Anything of its present epoch was heard at `at`.
    pub fn alive(&mut self, at: u64) {
        let limit = patience(self.interval_there);
        self.heard = Some(match self.heard {
            Some((last, since)) if at < last.saturating_add(limit) => (last.max(at), since),
            _ => (at, at),
        });
    }

    /// A hello of its present epoch, with this number and length behind the Ethernet header.
    pub fn hello(
        &mut self,
        at: u64,
        number: u64,
        len: u16,
        hello: &Hello,
        events: &mut Vec<Event>,
    ) {
        self.alive(at);
        if hello.size > 0 && len >= hello.size && number >= self.large.0 {
            self.large = (number, hello.size);
        }
        // One that was overtaken says nothing new.
        if self.last.is_some_and(|last| number < last.number) {
            return;
        }
        self.last = Some(Last { number, time: hello.time, at });
        self.interval_there = u64::from(hello.interval) * 1000;
        if self.facts != Some(hello.facts) {
            self.facts = Some(hello.facts);
            let found = mismatch(&self.ours, &hello.facts);
            if found != self.mismatch {
                events.push(found.clone().map_or(Event::Fits, Event::Mismatch));
                self.mismatch = found;
            }
        }
        let echo = hello.echo.filter(|echo| echo.epoch == self.epoch);
        if let Some(echo) = echo
            && self.echoed.is_none_or(|before| echo.time > before)
            && echo.time <= at
        {
            self.echoed = Some(echo.time);
            if let Some(sample) = at.checked_sub(echo.time).and_then(|t| t.checked_sub(echo.held)) {
                RoundTrip::add(&mut self.round_trip, sample);
            }
        }
        let hears_us = u64::from(hello.quiet) * 1000 <= patience(self.interval);
        if echo.is_some() && hears_us {
            self.stand(at, Standing::Up, events);
        } else if self.is_up() || self.has_waited(at) {
            self.stand(at, Standing::OneWay, events);
        }
    }

    /// Whether it has been heard for so long that it should have heard us.
    fn has_waited(&self, at: u64) -> bool {
        let both = patience(self.interval) + patience(self.interval_there);
        self.heard.is_some_and(|(_, since)| at >= since + both)
    }

    /// Notices silence.
    pub fn look(&mut self, now: u64, events: &mut Vec<Event>) {
        if self.silent_at().is_some_and(|at| now >= at) {
            self.stand(now, Standing::Silent, events);
        }
    }

    /// When silence would be noticed.
    pub fn silent_at(&self) -> Option<u64> {
        let (last, _) = self.heard.filter(|_| self.standing != Standing::Silent)?;
        Some(last + patience(self.interval_there))
    }

    fn stand(&mut self, now: u64, standing: Standing, events: &mut Vec<Event>) {
        if standing == self.standing {
            return;
        }
        (self.standing, self.since) = (standing, now);
        events.push(match standing {
            Standing::Up => Event::Up {
                epoch: self.epoch_there.unwrap_or_default(),
                round_trip: self.round_trip,
            },
            Standing::OneWay => Event::OneWay,
            Standing::Silent => {
                // Whatever comes next is a new beginning.
                (self.last, self.round_trip, self.echoed) = (None, None, None);
                Event::Down { quiet: self.quiet(now) }
            }
        });
    }
}

/// How long nothing may be heard of who says hello this often.
fn patience(interval: u64) -> u64 {
    MISSED * interval + interval / 4 + LATE
}
