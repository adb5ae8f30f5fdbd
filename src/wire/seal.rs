//! Keyed tags: what confirms a packet where both gateways have a key, and what hides its content.
//!
//! AES-256-GCM, by aws-lc-rs. There are two modes, and both ends are configured alike:
//!
//! * **tag:** everything from the shim to the frame's or the XOR's end is authenticated.
//! * **seal:** the same, and the frame or the XOR is encrypted too.
//!
//! No bit of a packet says which: each mode has keys of its own, so that a packet of the other one
//! does not open. From a session's key in one direction come, by HKDF-SHA256, a key for each purpose
//! (sources, repairs, control) and mode. The nonce is
//!
//! ```text
//!   0         1         2           3   4                          12
//!  +---------+---------+-----------+---+--------------------------+
//!  | purpose | channel | direction | 0 | number, 64 bits          |
//!  +---------+---------+-----------+---+--------------------------+
//! ```
//!
//! with a source packet's sequence number, and a counter of its own for repair packets. A caller
//! never seals two packets under one number: with GCM that would give away the key of the tags.
//! While a tag is computed, its own place holds zeros, so that what is authenticated is one piece.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use zeroize::Zeroize;

use super::Bad;
use super::shim::{Integrity, Kind, SHIM_LEN, Shim};
use crate::fec::decoder::Confirm;

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// Where the tag lies in a packet, from the shim on: in the check's place, and further.
const TAG_AT: usize = SHIM_LEN - size_of::<u64>();
/// Bytes of the shim with a tag.
pub const KEYED_SHIM_LEN: usize = TAG_AT + TAG_LEN;

/// What keys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[cfg_attr(feature = "dpdk", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Packets are authenticated, and can be read by anyone.
    #[default]
    Tag,
    /// Frames and repairs are encrypted too.
    Seal,
}

impl Mode {
    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Tag => "tag",
            Mode::Seal => "seal",
        }
    }
}

/// What a packet is sealed as. Each purpose has a key and numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Source packets, by sequence number.
    Source = 0,
    /// Repair packets, by their counter.
    Repair = 1,
    /// What gateways tell each other.
    Control = 2,
}

/// The key of one session in one direction. It is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// From bytes that nobody can guess and that no other session or direction has.
    pub fn new(bytes: [u8; 32]) -> SessionKey {
        SessionKey(bytes)
    }
}

/// 32 bytes that no other `label` gives, and that tell nothing of `key`: HKDF-Expand with SHA-256.
pub(crate) fn derive(key: &[u8; 32], label: &[&[u8]]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let prk = Prk::new_less_safe(HKDF_SHA256, key);
    let filled = prk.expand(label, Length(bytes.len())).and_then(|okm| okm.fill(&mut bytes));
    assert!(filled.is_ok(), "HKDF gives up to 255 times 32 bytes");
    bytes
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// One key at work.
struct Cipher {
    key: LessSafeKey,
    domain: [u8; 4],
    mode: Mode,
}

impl Cipher {
    fn new(session: &SessionKey, purpose: Purpose, mode: Mode, channel: u8) -> Cipher {
        let name: &[u8] = match purpose {
            Purpose::Source => b"source",
            Purpose::Repair => b"repair",
            Purpose::Control => b"control",
        };
        let mode_name: &[u8] = match mode {
            Mode::Tag => b" tag",
            Mode::Seal => b" seal",
        };
        let mut bytes = derive(&session.0, &[b"maelstrom 1 ", name, mode_name]);
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map(LessSafeKey::new);
        bytes.zeroize();
        let key = key.expect("AES-256-GCM takes 32 bytes");
        Cipher { key, domain: [purpose as u8, channel, channel >> 7, 0], mode }
    }

    #[inline]
    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.domain);
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    /// Where what may be encrypted begins, in a packet of `len` bytes.
    #[inline]
    fn hidden(&self, clear: usize, len: usize) -> usize {
        match self.mode {
            Mode::Tag => len,
            Mode::Seal => clear,
        }
    }
}

/// The first half of a tag: what stands for the check in a repair's sum.
#[inline]
fn check_of(tag: &[u8]) -> u64 {
    tag.first_chunk().map_or(0, |half| u64::from_be_bytes(*half))
}

/// Makes packets that only an [`Opener`] of the same key opens.
pub struct Sealer(Cipher);

impl Sealer {
    /// For packets of one purpose on one channel.
    pub fn new(session: &SessionKey, purpose: Purpose, mode: Mode, channel: u8) -> Sealer {
        Sealer(Cipher::new(session, purpose, mode, channel))
    }

    /// Whether it encrypts.
    pub fn hides(&self) -> bool {
        self.0.mode == Mode::Seal
    }

    /// Writes the tag into `packet`, which begins with a shim, and in mode seal encrypts what lies
    /// behind `clear` bytes. Returns the tag's first 64 bits; `None` if the packet can't be sealed:
    /// it must not be sent then. `number` must be new.
    #[inline]
    pub fn seal(&self, number: u64, packet: &mut [u8], clear: usize) -> Option<u64> {
        packet.get_mut(TAG_AT..KEYED_SHIM_LEN)?.fill(0);
        let hidden = self.0.hidden(clear, packet.len());
        let (open, hidden) = packet.split_at_mut_checked(hidden)?;
        let aad = Aad::from(&*open);
        let tag = self.0.key.seal_in_place_separate_tag(self.0.nonce(number), aad, hidden).ok()?;
        open[TAG_AT..KEYED_SHIM_LEN].copy_from_slice(tag.as_ref());
        Some(check_of(tag.as_ref()))
    }

    /// As [`Sealer::seal`], for a mode that encrypts: `packet` has room for a shim, which is there,
    /// and for `frame`, which stays as it is.
    #[inline]
    pub fn seal_from(&self, number: u64, packet: &mut [u8], frame: &[u8]) -> Option<u64> {
        let (shim, hidden) = packet.split_at_mut_checked(KEYED_SHIM_LEN)?;
        shim[TAG_AT..].fill(0);
        let mut tag = [0; TAG_LEN];
        let aad = Aad::from(&*shim);
        let key = &self.0.key;
        key.seal_out_of_place_scatter(self.0.nonce(number), aad, frame, hidden, &[], &mut tag)
            .ok()?;
        shim[TAG_AT..].copy_from_slice(&tag);
        Some(check_of(&tag))
    }
}

/// Verifies what a [`Sealer`] made, and decrypts it.
pub struct Opener(Cipher);

impl Opener {
    /// For packets of one purpose on one channel.
    pub fn new(session: &SessionKey, purpose: Purpose, mode: Mode, channel: u8) -> Opener {
        Opener(Cipher::new(session, purpose, mode, channel))
    }

    /// Verifies `packet`, which begins with a shim and ends where the frame or the XOR does; in mode
    /// seal decrypts what lies behind `clear` bytes. What does not open is of no use to anybody, nor
    /// is what then lies in `packet`.
    #[inline]
    pub fn open(&self, number: u64, packet: &mut [u8], clear: usize) -> Result<(), Bad> {
        let hidden = self.0.hidden(clear, packet.len());
        let (open, hidden) = packet.split_at_mut_checked(hidden).ok_or(Bad::Truncated)?;
        let place = open.get_mut(TAG_AT..KEYED_SHIM_LEN).ok_or(Bad::Truncated)?;
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(place);
        place.fill(0);
        let aad = Aad::from(&*open);
        match self.0.key.open_in_place_separate_tag(self.0.nonce(number), aad, &tag, hidden) {
            Ok(_) => Ok(()),
            Err(_) => Err(Bad::Tag),
        }
    }
}

/// What a room that sends seals its packets with.
pub struct Sealing {
    /// Source packets.
    pub source: Sealer,
    /// Repair packets.
    pub repair: Sealer,
    /// Nacks.
    pub control: Sealer,
}

impl Sealing {
    /// For one channel, from the session's key of its direction.
    pub fn new(session: &SessionKey, mode: Mode, channel: u8) -> Sealing {
        Sealing {
            source: Sealer::new(session, Purpose::Source, mode, channel),
            repair: Sealer::new(session, Purpose::Repair, mode, channel),
            control: Sealer::new(session, Purpose::Control, mode, channel),
        }
    }
}

/// What a room that receives opens its packets with.
pub struct Opening {
    /// Source packets.
    pub source: Opener,
    /// Repair packets.
    pub repair: Opener,
    /// What the peer tells.
    pub control: Opener,
    /// What is rebuilt.
    pub again: Resealer,
}

impl Opening {
    /// For one channel of the peer in one epoch, from the session's key of its direction. Frames have
    /// at most `max_frame` bytes.
    pub fn new(
        session: &SessionKey,
        mode: Mode,
        channel: u8,
        epoch: u32,
        max_frame: usize,
    ) -> Opening {
        Opening {
            source: Opener::new(session, Purpose::Source, mode, channel),
            repair: Opener::new(session, Purpose::Repair, mode, channel),
            control: Opener::new(session, Purpose::Control, mode, channel),
            again: Resealer {
                sealer: Sealer::new(session, Purpose::Source, mode, channel),
                channel,
                epoch,
                scratch: vec![0; KEYED_SHIM_LEN + max_frame].into(),
            },
        }
    }
}

/// Verifies rebuilt frames: seals them again, and compares the first 64 bits of the tag. What it
/// makes stays in its buffer.
pub struct Resealer {
    sealer: Sealer,
    channel: u8,
    epoch: u32,
    scratch: Box<[u8]>,
}

impl Confirm for Resealer {
    fn confirm(&mut self, seq: u64, frame: &[u8], check: u64) -> bool {
        let Some(packet) = self.scratch.get_mut(..KEYED_SHIM_LEN + frame.len()) else {
            return false;
        };
        let (shim, body) = packet.split_at_mut(KEYED_SHIM_LEN);
        shim[..SHIM_LEN].copy_from_slice(
            &source_shim(self.channel, self.epoch, seq, frame.len() as u16).emit(),
        );
        body.copy_from_slice(frame);
        self.sealer.seal(seq, packet, KEYED_SHIM_LEN).is_some_and(|is| {
            verify_slices_are_equal(&is.to_be_bytes(), &check.to_be_bytes()).is_ok()
        })
    }
}

/// The shim of a keyed source packet before it is sealed.
#[inline]
pub fn source_shim(channel: u8, epoch: u32, seq: u64, length: u16) -> Shim {
    Shim { kind: Kind::Source, integrity: Integrity::Tag, channel, length, epoch, seq, check: 0 }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
