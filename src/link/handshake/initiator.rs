//! West's part in a handshake.

use snow::HandshakeState;

use super::noise::{self, Agreed, Common, Life, Proposal};
use super::{
    ANSWER, CONFIRM, Chance, DONE, FIRST, KNOCK, Message, Outcome, Session, Timer, is_same, message,
};
use crate::wire::seal::Mode;
use crate::wire::shim::is_later;

/// How long a handshake may take before it is begun anew, or given up, in nanoseconds.
const PATIENCE: u64 = 10_000_000_000;
/// How long one that is meant for an epoch of the peer goes on before it makes way for an earlier epoch.
const FIRM: u64 = 1_000_000_000;

pub(super) struct Initiator {
    epoch: u32,
    chance: Chance,
    attempts: u32,
    attempt: Option<Attempt>,
    /// An attempt that had its answer made way for a knock: the peer may have changed over.
    unsure: bool,
    /// Whom the session is with.
    peer: Option<(u32, Life)>,
}

/// A handshake that has begun.
struct Attempt {
    since: u64,
    timer: Timer,
    proposal: Proposal,
    wanted: Option<(u32, Life)>,
    first: [u8; noise::FIRST],
    phase: Phase,
}

enum Phase {
    /// Until an answer comes.
    Asked(Box<HandshakeState>),
    /// Until done comes.
    Answered(Agreed),
}

impl Initiator {
    pub(super) fn new(epoch: u32, chance: Chance) -> Initiator {
        Initiator { epoch, chance, attempts: 0, attempt: None, unsure: false, peer: None }
    }

    /// Begins a handshake, with this life of the peer if one is known.
    fn begin(&mut self, common: &Common, now: u64, wanted: Option<(u32, Life)>) {
        self.attempts = self.attempts.saturating_add(1);
        let (epoch, attempt, mode) = (self.epoch, self.attempts, common.mode);
        let proposal = Proposal { epoch, attempt, wanted: wanted.map(|(_, life)| life), mode };
        let begun = common.propose(proposal, self.chance.draw());
        self.attempt = begun.map(|(state, first)| {
            let phase = Phase::Asked(Box::new(state));
            Attempt { since: now, timer: Timer::default(), proposal, wanted, first, phase }
        });
    }

    pub(super) fn poll(
        &mut self,
        common: &Common,
        session: &Option<Session>,
        now: u64,
    ) -> Option<Message> {
        let late = |attempt: &Attempt| now.saturating_sub(attempt.since) > PATIENCE;
        // Who has a session goes on with it: the peer knocks if it needs another one. But who has an
        // answer does not know whether the peer has changed over.
        if self.attempt.as_ref().is_none_or(late) {
            let was = self.attempt.take().map(|attempt| attempt.phase);
            if session.is_none() || self.unsure || matches!(was, Some(Phase::Answered(_))) {
                self.begin(common, now, None);
            }
        }
        let attempt = self.attempt.as_mut()?;
        if !attempt.timer.is_due(now) {
            return None;
        }
        Some(match &attempt.phase {
            Phase::Asked(_) => message(FIRST, &[&attempt.first]),
            Phase::Answered(agreed) => message(CONFIRM, &[&attempt.first, &agreed.confirm]),
        })
    }

    pub(super) fn next_deadline(&self, session: &Option<Session>) -> Option<u64> {
        let begins = session.is_none().then_some(0);
        self.attempt.as_ref().map(|attempt| attempt.timer.due).or(begins)
    }

    pub(super) fn expected(&self) -> Option<&Session> {
        match &self.attempt.as_ref()?.phase {
            Phase::Asked(_) => None,
            Phase::Answered(agreed) => Some(&agreed.session),
        }
    }

    pub(super) fn handle(
        &mut self,
        common: &Common,
        session: &mut Option<Session>,
        now: u64,
        kind: u8,
        rest: &[u8],
    ) -> (Outcome, Option<Message>) {
        let outcome = match kind {
            KNOCK => self.knock(common, session, now, rest),
            ANSWER => self.answer(rest),
            DONE => self.done(session, rest),
            _ => Outcome::Ignored,
        };
        (outcome, None)
    }

    /// The peer has no session.
    fn knock(
        &mut self,
        common: &Common,
        session: &Option<Session>,
        now: u64,
        rest: &[u8],
    ) -> Outcome {
        let Some(knock) = Knock::parse(rest) else { return Outcome::Ignored };
        let Knock { epoch, mode, life, proof } = knock;
        if !is_same(&common.knock(epoch, mode, life), proof) {
            return Outcome::Ignored;
        }
        if mode != common.mode {
            return Outcome::OtherMode(mode);
        }
        // A session with that life, or one that is about to be, needs no other.
        if session.is_some() && self.peer.is_some_and(|(_, peer)| peer == life) {
            return Outcome::Taken;
        }
        let begins = match &self.attempt {
            None => true,
            Some(Attempt { since, phase, wanted, .. }) => {
                let meant = match phase {
                    Phase::Asked(_) => *wanted,
                    Phase::Answered(agreed) => Some((agreed.session.peer_epoch, agreed.life)),
                };
                // A knock of long ago must not interrupt.
                meant.is_some_and(|(than, meant)| {
                    life != meant && (is_later(epoch, than) || now.saturating_sub(*since) > FIRM)
                })
            }
        };
        if begins {
            let answered = |attempt: &Attempt| matches!(attempt.phase, Phase::Answered(_));
            self.unsure |= self.attempt.as_ref().is_some_and(answered);
            // The knock may be of long ago: if there is doubt whom to ask, whoever is there may answer.
            self.begin(common, now, Some((epoch, life)).filter(|_| !self.unsure));
        }
        Outcome::Taken
    }

    fn answer(&mut self, rest: &[u8]) -> Outcome {
        let Some(attempt) = &mut self.attempt else { return Outcome::Ignored };
        let Phase::Asked(state) = &mut attempt.phase else { return Outcome::Ignored };
        let Some(agreed) = noise::read_answer(state, &attempt.proposal, rest) else {
            return Outcome::Ignored;
        };
        attempt.phase = Phase::Answered(agreed);
        attempt.timer = Timer::default();
        Outcome::Expected
    }

    fn done(&mut self, session: &mut Option<Session>, rest: &[u8]) -> Outcome {
        let attempt = self.attempt.take_if(|attempt| match &attempt.phase {
            Phase::Asked(_) => false,
            Phase::Answered(agreed) => is_same(&agreed.done, rest),
        });
        match attempt.map(|attempt| attempt.phase) {
            Some(Phase::Answered(agreed)) => {
                self.peer = Some((agreed.session.peer_epoch, agreed.life));
                self.unsure = false;
                *session = Some(agreed.session);
                Outcome::Established
            }
            _ => Outcome::Ignored,
        }
    }
}

/// What a responder without a session says.
struct Knock<'a> {
    epoch: u32,
    mode: Mode,
    life: Life,
    proof: &'a [u8],
}

impl Knock<'_> {
    fn parse(rest: &[u8]) -> Option<Knock<'_>> {
        let (epoch, rest) = rest.split_first_chunk()?;
        let (mode, rest) = rest.split_first()?;
        let (life, proof) = rest.split_first_chunk()?;
        let epoch = u32::from_be_bytes(*epoch);
        Some(Knock { epoch, mode: noise::mode(*mode)?, life: *life, proof })
    }
}
