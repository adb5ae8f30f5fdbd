//! The Noise part of a handshake: NNpsk0, and what follows from it.
//!
//! NNpsk0 since both ends have one key in common and nothing else: it enters before the first byte, so
//! that already the first message proves that its sender has it, and the ephemeral keys of both ends
//! see to it that who learns it later can't read what was said before. ChaChaPoly, as it is quick and takes
//! the same time for all keys without help from the CPU.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::{Role, Session};
use crate::wire::seal::{Mode, SessionKey, derive};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
const PROLOGUE: &[u8] = b"maelstrom 1";
/// Bytes of an ephemeral key, and of a tag.
const EPHEMERAL: usize = 32;
const TAG: usize = 16;
/// Bytes of what the first message says, and the second.
const PROPOSAL: usize = 18;
const ACCEPTANCE: usize = 13;
/// Bytes of the first message, and of the second.
pub(super) const FIRST: usize = EPHEMERAL + PROPOSAL + TAG;
pub(super) const ANSWER: usize = EPHEMERAL + ACCEPTANCE + TAG;
/// What proves that its sender has a session's keys, or the common one.
pub(super) type Proof = [u8; TAG];

/// What the initiator says in its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) epoch: u32,
    /// Counts the handshakes that this epoch began.
    pub(super) attempt: u32,
    /// The only life of the responder that is meant, if one is.
    pub(super) wanted: Option<Life>,
    pub(super) mode: Mode,
}

/// What tells one life of the responder from all others, also where an epoch comes again.
pub(super) type Life = [u8; 8];

/// A session and the proofs by which both ends know that the other has it.
#[derive(Clone)]
pub(super) struct Agreed {
    pub(super) session: Session,
    pub(super) life: Life,
    pub(super) confirm: Proof,
    pub(super) done: Proof,
}

/// What comes of the common key.
pub(super) struct Common {
    noise: Zeroizing<[u8; 32]>,
    knock: Zeroizing<[u8; 32]>,
    pub(super) mode: Mode,
}

impl Common {
    pub(super) fn new(psk: &[u8; 32], mode: Mode) -> Common {
        Common {
            noise: Zeroizing::new(derive(psk, &[b"maelstrom 1 noise"])),
            knock: Zeroizing::new(derive(psk, &[b"maelstrom 1 knock"])),
            mode,
        }
    }

    /// What proves that a knock comes from somebody with the key.
    pub(super) fn knock(&self, epoch: u32, mode: Mode, life: Life) -> Proof {
        first_half(&derive(&self.knock, &[&epoch.to_be_bytes(), &[mode as u8], &life]))
    }

    fn state(&self, role: Role, seed: [u8; 32]) -> Option<HandshakeState> {
        let builder = Builder::with_resolver(PATTERN.parse().ok()?, Box::new(Seeded(seed)));
        let builder = builder.prologue(PROLOGUE).ok()?.psk(0, &self.noise).ok()?;
        match role {
            Role::Initiator => builder.build_initiator().ok(),
            Role::Responder => builder.build_responder().ok(),
        }
    }

    /// The first message, and what reads its answer. `seed` must never have been used before.
    pub(super) fn propose(
        &self,
        proposal: Proposal,
        seed: [u8; 32],
    ) -> Option<(HandshakeState, [u8; FIRST])> {
        let mut state = self.state(Role::Initiator, seed)?;
        let mut fields = [0; PROPOSAL];
        fields[..4].copy_from_slice(&proposal.epoch.to_be_bytes());
        fields[4..8].copy_from_slice(&proposal.attempt.to_be_bytes());
        fields[8] = u8::from(proposal.wanted.is_some());
        fields[9..17].copy_from_slice(&proposal.wanted.unwrap_or_default());
        fields[17] = proposal.mode as u8;
        let mut first = [0; FIRST];
        state.write_message(&fields, &mut first).ok()?;
        Some((state, first))
    }

    /// What a first message says, and what answers it. `None` if its sender has another key. This costs
    /// some hashing, and no arithmetic of curves.
    pub(super) fn read(
        &self,
        first: &[u8; FIRST],
        seed: [u8; 32],
    ) -> Option<(HandshakeState, Proposal)> {
        let mut state = self.state(Role::Responder, seed)?;
        let mut fields = [0; FIRST];
        if state.read_message(first, &mut fields).ok()? != PROPOSAL {
            return None;
        }
        let epoch = number(&fields[..4]);
        let wanted = (fields[8] != 0).then(|| life(&fields[9..17]));
        let proposal =
            Proposal { epoch, attempt: number(&fields[4..8]), wanted, mode: mode(fields[17])? };
        Some((state, proposal))
    }
}

/// The answer of `epoch` to a first message, and the session that follows if it arrives.
pub(super) fn answer(
    mut state: HandshakeState,
    proposal: &Proposal,
    epoch: u32,
    mode: Mode,
    life: Life,
) -> Option<([u8; ANSWER], Agreed)> {
    let mut fields = [0; ACCEPTANCE];
    fields[..4].copy_from_slice(&epoch.to_be_bytes());
    fields[4] = mode as u8;
    fields[5..].copy_from_slice(&life);
    let mut answer = [0; ANSWER];
    state.write_message(&fields, &mut answer).ok()?;
    let agreed = agree(&mut state, Role::Responder, proposal.epoch, epoch, life);
    Some((answer, agreed))
}

/// The session that follows from an answer to our first message.
pub(super) fn read_answer(
    state: &mut HandshakeState,
    proposal: &Proposal,
    answer: &[u8],
) -> Option<Agreed> {
    let mut fields = [0; ANSWER];
    if answer.len() != ANSWER || state.read_message(answer, &mut fields).ok()? != ACCEPTANCE {
        return None;
    }
    let epoch = number(&fields[..4]);
    let life = life(&fields[5..ACCEPTANCE]);
    if mode(fields[4]) != Some(proposal.mode) || proposal.wanted.is_some_and(|it| it != life) {
        return None;
    }
    Some(agree(state, Role::Initiator, proposal.epoch, epoch, life))
}

/// Both ends' keys are bound to everything that was said, and to both epochs.
fn agree(
    state: &mut HandshakeState,
    role: Role,
    initiator: u32,
    responder: u32,
    life: Life,
) -> Agreed {
    let (out, back) = state.dangerously_get_raw_split();
    let (out, back) = (Zeroizing::new(out), Zeroizing::new(back));
    let hash = state.get_handshake_hash();
    let epochs = [initiator.to_be_bytes(), responder.to_be_bytes()].concat();
    let session = |key| SessionKey::new(derive(key, &[b"maelstrom 1 session", &epochs, hash]));
    let (out_key, back_key) = (session(&out), session(&back));
    let session = match role {
        Role::Initiator => Session {
            our_epoch: initiator,
            peer_epoch: responder,
            send: out_key,
            receive: back_key,
        },
        Role::Responder => Session {
            our_epoch: responder,
            peer_epoch: initiator,
            send: back_key,
            receive: out_key,
        },
    };
    Agreed {
        session,
        life,
        confirm: first_half(&derive(&out, &[b"maelstrom 1 confirm", hash])),
        done: first_half(&derive(&back, &[b"maelstrom 1 done", hash])),
    }
}

fn first_half(bytes: &[u8; 32]) -> Proof {
    let mut half = [0; TAG];
    half.copy_from_slice(&bytes[..TAG]);
    half
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

pub(super) fn life(bytes: &[u8]) -> Life {
    bytes.first_chunk().copied().unwrap_or_default()
}

pub(super) fn mode(byte: u8) -> Option<Mode> {
    [Mode::Tag, Mode::Seal].into_iter().find(|&mode| mode as u8 == byte)
}

/// Chance as a parameter: what Noise draws comes from a seed.
struct Seeded([u8; 32]);

struct Drawn {
    seed: Zeroizing<[u8; 32]>,
    count: u64,
}

impl Random for Drawn {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        for part in dest.chunks_mut(32) {
            self.count += 1;
            let drawn = derive(&self.seed, &[b"maelstrom 1 draw", &self.count.to_be_bytes()]);
            part.copy_from_slice(&drawn[..part.len()]);
        }
        Ok(())
    }
}

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn { seed: Zeroizing::new(self.0), count: 0 }))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}
