//! How two gateways with a common key agree on a session's keys.
//!
//! A pure state machine, for the control packets of type handshake: [`Handshake::handle`] for what
//! comes, [`Handshake::poll`] for what is to be sent, [`Handshake::next_deadline`] for when to poll at
//! the latest. Time and chance are passed in. West initiates, east responds:
//!
//! ```text
//!   west                                   east
//!                            <-- knock     no session: here I am, in this epoch
//!   first   -->                            Noise NNpsk0, message 1
//!                           <-- answer     Noise NNpsk0, message 2
//!   confirm -->                            message 1 again, and a proof under the new keys
//!                             <-- done     a proof under the new keys
//! ```
//!
//! * **A stranger gets no answer.** All of these prove that their sender has the common key.
//! * **A replay leaves nothing behind.** The responder's part in a handshake follows from its secret
//!   and the first message, so it needs to keep none: it has a session when a confirm proves that the
//!   initiator of now has its keys. Then the secret changes, so that no old confirm is one again.
//! * **A replay costs little.** Of first messages, only newer ones than all before are worth the
//!   arithmetic at once; others, which a peer whose clock was set back sends too, are taken up a few
//!   times a second.
//! * **A session stays until the next one is proved.** The initiator expects packets under the new keys
//!   from the answer on, and sends under them from done on; the responder does both from confirm on.

mod initiator;
mod noise;
mod responder;
#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;

use crate::wire::seal::{Mode, SessionKey, derive};
use initiator::Initiator;
use noise::Common;
use responder::Responder;

/// The first interval between two messages that say the same, in nanoseconds.
const RETRY: u64 = 250_000_000;
/// The interval after some of those: a pair is up again within a second after a link that let nothing through.
const LATER: u64 = 500_000_000;
/// How many come at the first interval.
const SOON: u32 = 8;

/// A message: what a control packet of type handshake has as its fields.
pub type Message = ArrayVec<u8, 128>;

/// What a message is, in its first byte.
const KNOCK: u8 = 0;
const FIRST: u8 = 1;
const ANSWER: u8 = 2;
const CONFIRM: u8 = 3;
const DONE: u8 = 4;

/// Who of the two a gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// West.
    Initiator,
    /// East.
    Responder,
}

/// Keys for one life of each gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Our epoch.
    pub our_epoch: u32,
    /// The peer's epoch.
    pub peer_epoch: u32,
    /// What we seal with.
    pub send: SessionKey,
    /// What the peer seals with.
    pub receive: SessionKey,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is of no use: forged, damaged, old, or for somebody else. Nobody gets an answer.
    Ignored,
    /// It was taken in, and changes nothing yet.
    Taken,
    /// Packets may come under the keys of [`Handshake::expected`].
    Expected,
    /// [`Handshake::session`] is a new one.
    Established,
    /// The peer has the common key, and is configured for this mode: there will be no session.
    OtherMode(Mode),
}

/// See the module's head.
pub struct Handshake {
    common: Common,
    state: State,
    session: Option<Session>,
    replies: ArrayVec<Message, 1>,
}

#[allow(clippy::large_enum_variant, reason = "there is one in a gateway")]
enum State {
    Initiator(Initiator),
    Responder(Responder),
}

impl Handshake {
    /// For one life of a gateway. `entropy` is of this life alone, and nobody can guess it.
    pub fn new(role: Role, psk: &[u8; 32], epoch: u32, mode: Mode, entropy: [u8; 32]) -> Handshake {
        let chance = Chance { seed: entropy.into(), count: 0 };
        let state = match role {
            Role::Initiator => State::Initiator(Initiator::new(epoch, chance)),
            Role::Responder => State::Responder(Responder::new(epoch, chance)),
        };
        let common = Common::new(psk, mode);
        Handshake { common, state, session: None, replies: ArrayVec::new() }
    }

    /// What keys do.
    pub fn mode(&self) -> Mode {
        self.common.mode
    }

    /// A message has come.
    pub fn handle(&mut self, now: u64, message: &[u8]) -> Outcome {
        let Handshake { common, state, session, replies } = self;
        let (outcome, reply) = match (state, message) {
            (State::Initiator(initiator), [kind, rest @ ..]) => {
                initiator.handle(common, session, now, *kind, rest)
            }
            (State::Responder(responder), [kind, rest @ ..]) => {
                responder.handle(common, session, now, *kind, rest)
            }
            (_, []) => (Outcome::Ignored, None),
        };
        if let Some(reply) = reply {
            // The latest is what matters: whoever waits for an earlier one asks again.
            replies.clear();
            replies.push(reply);
        }
        outcome
    }

    /// The next message that is to be sent by `now`; to be called until there is none.
    pub fn poll(&mut self, now: u64) -> Option<Message> {
        if let Some(reply) = self.replies.pop() {
            return Some(reply);
        }
        match &mut self.state {
            State::Initiator(initiator) => initiator.poll(&self.common, &self.session, now),
            State::Responder(responder) => responder.poll(&self.common, &self.session, now),
        }
    }

    /// When [`Handshake::poll`] next has something to do if nothing comes.
    pub fn next_deadline(&self) -> Option<u64> {
        match &self.state {
            _ if !self.replies.is_empty() => Some(0),
            State::Initiator(initiator) => initiator.next_deadline(&self.session),
            State::Responder(responder) => responder.next_deadline(&self.session),
        }
    }

    /// The session that we send under, and receive.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// One that the peer may send under already, and we do not yet.
    pub fn expected(&self) -> Option<&Session> {
        match &self.state {
            State::Initiator(initiator) => initiator.expected(),
            State::Responder(_) => None,
        }
    }
}

/// Seeds, each used once.
struct Chance {
    seed: zeroize::Zeroizing<[u8; 32]>,
    count: u64,
}

impl Chance {
    fn draw(&mut self) -> [u8; 32] {
        self.count += 1;
        derive(&self.seed, &[b"maelstrom 1 seed", &self.count.to_be_bytes()])
    }
}

/// When to say something again.
#[derive(Clone, Copy, Debug, Default)]
struct Timer {
    due: u64,
    sent: u32,
}

impl Timer {
    /// Whether it is time to; if so, it is set anew.
    fn is_due(&mut self, now: u64) -> bool {
        let due = now >= self.due;
        if due {
            self.sent = self.sent.saturating_add(1);
            self.due = now + if self.sent < SOON { RETRY } else { LATER };
        }
        due
    }
}

fn message(kind: u8, parts: &[&[u8]]) -> Message {
    let mut message = Message::new();
    message.push(kind);
    for part in parts {
        let fits = message.try_extend_from_slice(part).is_ok();
        debug_assert!(fits, "the longest has 83 bytes");
    }
    message
}

fn is_same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
