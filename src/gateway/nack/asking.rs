//! `recover`'s part: has its channel's holes asked for, and hands on what the peer asks for.

use super::Letter;
use crate::control::counters::RecoverCounters;
use crate::gateway::post::Sender;
use crate::link::holes::Holes;
use crate::link::measure::Fates;
use crate::link::replay::Replay;
use crate::wire::control::{self, Type};
use crate::wire::nack::{Missing, Nack};
use crate::wire::shim::{Shim, is_later};

/// How long the peer's nacks must be silent before those of an earlier epoch are believed: see
/// [`crate::link::supervisor`].
const SILENCE: u64 = 1_000_000_000;

/// See the module's head.
pub struct Asking {
    holes: Holes,
    outbox: Outbox,
    /// The rooms that protect, by their channels.
    rooms: Vec<(u8, Sender<Letter>)>,
    /// The peer's epoch as its nacks say, when it was last heard of, and which of them were here.
    peer: Option<(u32, u64)>,
    replay: Replay,
}

/// Nacks on their way to the room that sends them.
struct Outbox {
    through: Sender<Letter>,
    nack: Nack,
    posted: usize,
    lost: u64,
    asked: u64,
    again: u64,
}

impl Outbox {
    fn ask(&mut self, run: Missing, again: bool) {
        self.asked += u64::from(run.count);
        self.again += if again { u64::from(run.count) } else { 0 };
        // What is asked for again lies before what is not, and is told apart by its own nack.
        let ascends = self.nack.runs.last().is_none_or(|last| last.end() <= run.first);
        if !ascends || !self.nack.push(run) {
            self.post();
            self.nack.push(run);
        }
    }

    fn post(&mut self) {
        if self.nack.runs.is_empty() {
            return;
        }
        let posted = self.through.send(Letter::Ask(self.nack.clone()));
        self.posted += usize::from(posted);
        self.lost += u64::from(!posted);
        self.nack.runs.clear();
    }
}

impl Asking {
    /// Asks by way of `through`, and hands on to `rooms` what their channels are asked for.
    pub fn new(holes: Holes, through: Sender<Letter>, rooms: Vec<(u8, Sender<Letter>)>) -> Asking {
        let nack = Nack::default();
        let outbox = Outbox { through, nack, posted: 0, lost: 0, asked: 0, again: 0 };
        Asking { holes, outbox, rooms, peer: None, replay: Replay::default() }
    }

    /// What is known of holes.
    pub fn holes_mut(&mut self) -> &mut Holes {
        &mut self.holes
    }

    /// The same, to look at.
    pub fn holes(&self) -> &Holes {
        &self.holes
    }

    /// The channel's epoch begins.
    pub fn restart(&mut self, channel: u8, epoch: u32) {
        self.outbox.post();
        self.holes.restart();
        (self.outbox.nack.channel, self.outbox.nack.epoch) = (channel, epoch);
    }

    /// To be called after every burst.
    #[inline]
    pub fn follow(&mut self, now: u64, fates: &impl Fates, counters: &RecoverCounters) {
        let Asking { holes, outbox, .. } = self;
        holes.follow(now, fates, &mut |run, again| outbox.ask(run, again));
        if !outbox.nack.runs.is_empty() {
            outbox.post();
        }
        counters.asked.set(outbox.asked);
        counters.asked_again.set(outbox.again);
        counters.nack_unsent.set(outbox.lost);
        counters.given_up.set(holes.given_up());
    }

    /// The decoder is about to jump.
    pub fn jump(&mut self, now: u64, to: u64, fates: &impl Fates) {
        let Asking { holes, outbox, .. } = self;
        holes.jump(now, to, fates, &mut |run, again| outbox.ask(run, again));
    }

    /// How many nacks were posted since this was last asked.
    pub fn take_posted(&mut self) -> usize {
        std::mem::take(&mut self.outbox.posted)
    }

    /// Hands a nack on, from a control packet with this shim and verified body. False if it is none, is
    /// old, or of another channel than ours; or if the room is behind.
    pub fn hear(&mut self, at: u64, shim: &Shim, body: &[u8]) -> bool {
        let Ok((Type::Nack, fields)) = control::parse(body) else { return false };
        let Ok(nack) = Nack::parse(fields) else { return false };
        let room = self.rooms.iter().position(|(channel, _)| *channel == nack.channel);
        let Some(room) = room.filter(|_| self.is_fresh(at, shim)) else { return false };
        self.rooms.get(room).is_some_and(|(_, room)| room.send(Letter::Asked(nack)))
    }

    fn is_fresh(&mut self, at: u64, shim: &Shim) -> bool {
        match self.peer {
            Some((present, _)) if present == shim.epoch => {}
            Some((present, heard)) if !is_later(shim.epoch, present) && at < heard + SILENCE => {
                return false;
            }
            _ => self.replay = Replay::default(),
        }
        self.peer = Some((shim.epoch, at));
        self.replay.admit(shim.seq)
    }
}
