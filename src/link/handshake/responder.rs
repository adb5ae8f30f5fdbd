//! East's part in a handshake.

use zeroize::Zeroizing;

use super::noise::{self, Agreed, Common, Life, Proof, Proposal};
use super::{
    ANSWER, CONFIRM, Chance, DONE, FIRST, KNOCK, Message, Outcome, RETRY, Session, Timer, is_same,
    message,
};
use crate::wire::seal::derive;
use crate::wire::shim::is_later;

/// How often the newest first message is answered, at most, in nanoseconds.
const AGAIN: u64 = RETRY / 10;
/// How many others are taken up in a second.
const OTHERS: u32 = 8;
/// Over what time those are counted, in nanoseconds.
const COUNTED: u64 = 1_000_000_000;

pub(super) struct Responder {
    epoch: u32,
    life: Life,
    chance: Chance,
    /// From which its part in each handshake follows, until one of them makes a session.
    secret: Zeroizing<[u8; 32]>,
    newest: Option<Newest>,
    /// What the present session began with.
    begun: Option<Begun>,
    timer: Timer,
    others: u32,
    others_since: u64,
}

/// The newest first message, and our part in it.
struct Newest {
    proposal: Proposal,
    first: [u8; noise::FIRST],
    answer: [u8; noise::ANSWER],
    agreed: Agreed,
    answered: u64,
}

struct Begun {
    first: [u8; noise::FIRST],
    confirm: Proof,
    done: Proof,
}

impl Responder {
    pub(super) fn new(epoch: u32, mut chance: Chance) -> Responder {
        Responder {
            epoch,
            life: noise::life(&chance.draw()),
            secret: chance.draw().into(),
            chance,
            newest: None,
            begun: None,
            timer: Timer::default(),
            others: 0,
            others_since: 0,
        }
    }

    pub(super) fn poll(
        &mut self,
        common: &Common,
        session: &Option<Session>,
        now: u64,
    ) -> Option<Message> {
        (session.is_none() && self.timer.is_due(now)).then(|| {
            let proof = common.knock(self.epoch, common.mode, self.life);
            message(KNOCK, &[&self.epoch.to_be_bytes(), &[common.mode as u8], &self.life, &proof])
        })
    }

    pub(super) fn next_deadline(&self, session: &Option<Session>) -> Option<u64> {
        session.is_none().then_some(self.timer.due)
    }

    pub(super) fn handle(
        &mut self,
        common: &Common,
        session: &mut Option<Session>,
        now: u64,
        kind: u8,
        rest: &[u8],
    ) -> (Outcome, Option<Message>) {
        let taken = match (kind, rest.split_first_chunk()) {
            (FIRST, Some((first, []))) => self.first(common, now, first),
            (CONFIRM, Some((first, proof))) => self.confirm(common, session, now, first, proof),
            _ => Err(Outcome::Ignored),
        };
        match taken {
            Ok((outcome, reply)) => (outcome, Some(reply)),
            Err(outcome) => (outcome, None),
        }
    }

    fn first(
        &mut self,
        common: &Common,
        now: u64,
        first: &[u8; noise::FIRST],
    ) -> Result<(Outcome, Message), Outcome> {
        // Who has sent a confirm has our answer.
        if self.begun.as_ref().is_some_and(|begun| begun.first == *first) {
            return Err(Outcome::Ignored);
        }
        if let Some(newest) = self.newest.as_mut().filter(|newest| newest.first == *first) {
            if now.saturating_sub(newest.answered) < AGAIN {
                return Err(Outcome::Ignored);
            }
            newest.answered = now;
            return Ok((Outcome::Taken, message(ANSWER, &[&newest.answer])));
        }
        let newest = self.part_in(common, now, first)?;
        let reply = message(ANSWER, &[&newest.answer]);
        self.keep(newest);
        Ok((Outcome::Taken, reply))
    }

    fn confirm(
        &mut self,
        common: &Common,
        session: &mut Option<Session>,
        now: u64,
        first: &[u8; noise::FIRST],
        proof: &[u8],
    ) -> Result<(Outcome, Message), Outcome> {
        if let Some(begun) = self.begun.as_ref().filter(|begun| begun.first == *first) {
            // Done was lost.
            return match is_same(&begun.confirm, proof) {
                true => Ok((Outcome::Taken, message(DONE, &[&begun.done]))),
                false => Err(Outcome::Ignored),
            };
        }
        let agreed = match self.newest.as_ref().filter(|newest| newest.first == *first) {
            Some(newest) => newest.agreed.clone(),
            None => self.part_in(common, now, first)?.agreed,
        };
        if !is_same(&agreed.confirm, proof) {
            return Err(Outcome::Ignored);
        }
        *session = Some(agreed.session);
        let (confirm, done) = (agreed.confirm, agreed.done);
        self.begun = Some(Begun { first: *first, confirm, done });
        // What was answered up to now can no longer be confirmed.
        self.secret = self.chance.draw().into();
        self.newest = None;
        Ok((Outcome::Established, message(DONE, &[&done])))
    }

    /// Our part in the handshake that a message begins, unless its sender has not the key, or it is not
    /// worth its while.
    fn part_in(
        &mut self,
        common: &Common,
        now: u64,
        first: &[u8; noise::FIRST],
    ) -> Result<Newest, Outcome> {
        let seed = derive(&self.secret, &[b"maelstrom 1 answer", first]);
        let (state, proposal) = common.read(first, seed).ok_or(Outcome::Ignored)?;
        if proposal.wanted.is_some_and(|wanted| wanted != self.life) {
            return Err(Outcome::Ignored);
        }
        if proposal.mode != common.mode {
            return Err(Outcome::OtherMode(proposal.mode));
        }
        if !self.is_newer(&proposal) {
            if now.saturating_sub(self.others_since) >= COUNTED {
                (self.others, self.others_since) = (0, now);
            }
            self.others += 1;
            if self.others > OTHERS {
                return Err(Outcome::Ignored);
            }
        }
        let (answer, agreed) = noise::answer(state, &proposal, self.epoch, common.mode, self.life)
            .ok_or(Outcome::Ignored)?;
        Ok(Newest { proposal, first: *first, answer, agreed, answered: now })
    }

    fn is_newer(&self, proposal: &Proposal) -> bool {
        self.newest.as_ref().is_none_or(|newest| {
            let than = newest.proposal;
            is_later(proposal.epoch, than.epoch)
                || proposal.epoch == than.epoch && proposal.attempt > than.attempt
        })
    }

    fn keep(&mut self, newest: Newest) {
        if self.is_newer(&newest.proposal) {
            self.newest = Some(newest);
        }
    }
}
