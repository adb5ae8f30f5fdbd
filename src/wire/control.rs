//! The control packet: what the two gateways tell each other, beside frames and repairs.
//!
//! ```text
//!   0                   1                   2                   3
//!   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!  +---------------------------------------------------------------+
//!  |   shim: kind control, the sender's first channel, its epoch,  |  0
//!  |   control packets counted from 0 as the number, 24 bytes      |
//!  +---------------+---------------+-------------------------------+
//!  |     type      |   reserved    |            fields ...         | 24
//!  +---------------+---------------+-------------------------------+
//! ```
//!
//! The shim's length is that of type, reserved and fields; its check covers them. Integrity is never
//! off. What lies behind is padding, of which only the length says something.

use super::Bad;
use super::parcel::{PARCEL, Parcel};
use super::seal::{KEYED_SHIM_LEN, Opener, Sealer};
use super::shim::{Integrity, Kind, SHIM_LEN, Shim};
use crate::fec::CheckKey;

/// Bytes in front of the fields, behind the shim.
pub const CONTROL_LEN: usize = 2;
/// The longest fields: with the longest outer header they fit in a parcel.
pub const MAX_FIELDS: usize = PARCEL - 128 - SHIM_LEN - CONTROL_LEN;

/// What a control packet is about. Each type's fields have a file of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// I am here, and this is what I am.
    Hello = 1,
    /// The handshake that makes keys.
    Handshake = 2,
    /// What the link did.
    Report = 3,
    /// What the sender of this misses, and asks for.
    Nack = 4,
}

/// Who sends control packets: one life of one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its first channel.
    pub channel: u8,
    /// Its epoch.
    pub epoch: u32,
}

/// What confirms a control packet.
pub fn control_key(channel: u8, epoch: u32) -> CheckKey {
    CheckKey::new(Kind::Control as u8, channel, epoch)
}

/// A control packet, from its shim on; `None` if the fields are too long.
pub fn emit(sender: Sender, seq: u64, kind: Type, fields: &[u8]) -> Option<Parcel> {
    let Sender { channel, epoch } = sender;
    if fields.len() > MAX_FIELDS {
        return None;
    }
    let body = Parcel::of(&[&[kind as u8, 0], fields])?;
    let shim = Shim {
        kind: Kind::Control,
        integrity: Integrity::Check,
        channel,
        length: body.len() as u16,
        epoch,
        seq,
        check: control_key(channel, epoch).check(seq, body.bytes()),
    };
    body.behind(&shim.emit())
}

/// The body of a control packet whose check is right, of which `rest` is what follows the shim.
pub fn verify<'a>(shim: &Shim, rest: &'a [u8]) -> Result<&'a [u8], Bad> {
    let length = usize::from(shim.length);
    let body = rest.get(..length).ok_or(Bad::Length)?;
    if !(CONTROL_LEN..=CONTROL_LEN + MAX_FIELDS).contains(&length) {
        return Err(Bad::Length);
    }
    match shim.integrity {
        Integrity::Check => {}
        Integrity::Off | Integrity::Tag => return Err(Bad::Integrity),
    }
    let right = control_key(shim.channel, shim.epoch).check(shim.seq, body) == shim.check;
    if right { Ok(body) } else { Err(Bad::Check) }
}

/// As [`emit`], with a keyed tag: `seq` must be new under the sealer's key.
pub fn emit_sealed(
    sender: Sender,
    seq: u64,
    kind: Type,
    fields: &[u8],
    sealer: &Sealer,
) -> Option<Parcel> {
    let length = CONTROL_LEN + fields.len();
    let mut packet = [0; PARCEL];
    let packet = packet.get_mut(..KEYED_SHIM_LEN + length)?;
    let (shim, body) = packet.split_at_mut(KEYED_SHIM_LEN);
    let Sender { channel, epoch } = sender;
    let (integrity, length) = (Integrity::Tag, length as u16);
    let bare = Shim { kind: Kind::Control, integrity, channel, length, epoch, seq, check: 0 };
    shim[..SHIM_LEN].copy_from_slice(&bare.emit());
    body[0] = kind as u8;
    body[CONTROL_LEN..].copy_from_slice(fields);
    sealer.seal(seq, packet, KEYED_SHIM_LEN)?;
    (fields.len() <= MAX_FIELDS).then(|| Parcel::of(&[packet]))?
}

/// Opens a control packet with a keyed tag, from its shim on, and hands back its body.
pub fn open<'a>(shim: &Shim, packet: &'a mut [u8], opener: &Opener) -> Result<&'a [u8], Bad> {
    let length = usize::from(shim.length);
    if !(CONTROL_LEN..=CONTROL_LEN + MAX_FIELDS).contains(&length) {
        return Err(Bad::Length);
    }
    let packet = packet.get_mut(..KEYED_SHIM_LEN + length).ok_or(Bad::Length)?;
    opener.open(shim.seq, packet, KEYED_SHIM_LEN)?;
    Ok(&packet[KEYED_SHIM_LEN..])
}

/// Whether a body that nothing has verified says that it is a handshake's.
pub fn is_handshake(body: &[u8]) -> bool {
    body.first() == Some(&(Type::Handshake as u8))
}

/// The type and the fields of a verified body.
pub fn parse(body: &[u8]) -> Result<(Type, &[u8]), Bad> {
    match body {
        [1, 0, fields @ ..] => Ok((Type::Hello, fields)),
        [2, 0, fields @ ..] => Ok((Type::Handshake, fields)),
        [3, 0, fields @ ..] => Ok((Type::Report, fields)),
        [4, 0, fields @ ..] => Ok((Type::Nack, fields)),
        [_, _, ..] => Err(Bad::Kind),
        _ => Err(Bad::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seal::{Mode, Purpose, SessionKey};
    use proptest::prelude::*;

    const SENDER: Sender = Sender { channel: 128, epoch: 7 };

    fn taken_in(packet: &[u8]) -> Result<(u64, Type, Vec<u8>), Bad> {
        let (shim, rest) = Shim::parse(packet)?;
        let body = verify(&shim, rest)?;
        let (kind, fields) = parse(body)?;
        Ok((shim.seq, kind, fields.to_vec()))
    }

    #[test]
    fn what_is_emitted_is_verified_and_parsed() {
        for kind in [Type::Hello, Type::Handshake, Type::Report, Type::Nack] {
            let packet = emit(SENDER, 5, kind, &[1, 2, 3]).unwrap().padded_to(60);
            let mut bytes = vec![0; packet.len()];
            packet.write(&mut bytes);
            assert_eq!(taken_in(&bytes), Ok((5, kind, vec![1, 2, 3])));
            // Padding is not covered.
            bytes[40] = 1;
            assert!(taken_in(&bytes).is_ok());
            bytes[28] ^= 1;
            assert_eq!(taken_in(&bytes), Err(Bad::Check));
        }
        assert_eq!(emit(SENDER, 5, Type::Hello, &[0; MAX_FIELDS + 1]), None);
    }

    #[test]
    fn what_is_sealed_opens_with_its_key() {
        let session = SessionKey::new([5; 32]);
        for mode in [Mode::Tag, Mode::Seal] {
            let sealer = Sealer::new(&session, Purpose::Control, mode, SENDER.channel);
            let parcel = emit_sealed(SENDER, 5, Type::Report, &[1, 2, 3], &sealer).unwrap();
            let opens = |bytes: &[u8], channel| {
                let (shim, rest) = Shim::parse(bytes)?;
                assert_eq!(verify(&shim, rest), Err(Bad::Integrity));
                let opener = Opener::new(&session, Purpose::Control, mode, channel);
                let mut bytes = bytes.to_vec();
                bytes.extend([9; 20]);
                open(&shim, &mut bytes, &opener).map(<[u8]>::to_vec)
            };
            assert_eq!(opens(parcel.bytes(), SENDER.channel), Ok(vec![3, 0, 1, 2, 3]));
            assert_eq!(opens(parcel.bytes(), 0), Err(Bad::Tag));
            for at in 8..parcel.len() {
                let mut bytes = parcel.bytes().to_vec();
                bytes[at] ^= 1;
                assert!(opens(&bytes, SENDER.channel).is_err(), "byte {at}");
            }
            assert_eq!(emit_sealed(SENDER, 5, Type::Hello, &[0; MAX_FIELDS + 1], &sealer), None);
        }
    }

    #[test]
    fn bad_bodies_have_their_reason() {
        assert_eq!(parse(&[1]), Err(Bad::Truncated));
        assert_eq!(parse(&[1, 1]), Err(Bad::Kind));
        assert_eq!(parse(&[99, 0]), Err(Bad::Kind));
        let packet = emit(SENDER, 5, Type::Hello, &[1, 2, 3]).unwrap();
        let (shim, rest) = Shim::parse(packet.bytes()).unwrap();
        assert_eq!(verify(&Shim { length: 1, ..shim }, rest), Err(Bad::Length));
        assert_eq!(verify(&Shim { length: 6, ..shim }, rest), Err(Bad::Length));
        assert_eq!(verify(&Shim { integrity: Integrity::Off, ..shim }, rest), Err(Bad::Integrity));
        assert_eq!(verify(&Shim { channel: 0, ..shim }, rest), Err(Bad::Check));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = taken_in(&bytes);
            let _ = parse(&bytes);
        }
    }
}
