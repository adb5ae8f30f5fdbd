//! A parcel: a few bytes of a packet that control and the rooms hand each other, by value.

use arrayvec::ArrayVec;

/// The most bytes that a parcel holds: a control packet, or a frame that the gateway itself answers,
/// within the MTU of any Ethernet.
pub const PARCEL: usize = 1600;

/// Bytes, and how many zeros follow them: a packet that is padded to try a path's MTU is no larger to
/// hand over than others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    bytes: ArrayVec<u8, PARCEL>,
    padding: u16,
}

impl Parcel {
    /// Of these parts, one after the other; `None` if they are longer than a parcel.
    pub fn of(parts: &[&[u8]]) -> Option<Parcel> {
        let mut parcel = Parcel::default();
        parts.iter().all(|part| parcel.bytes.try_extend_from_slice(part).is_ok()).then_some(parcel)
    }

    /// With zeros behind it, so that it is `len` bytes long in all, unless it is longer.
    #[must_use]
    pub fn padded_to(mut self, len: usize) -> Parcel {
        self.padding = len.saturating_sub(self.bytes.len()).min(usize::from(u16::MAX)) as u16;
        self
    }

    /// With these in front.
    pub fn behind(&self, front: &[u8]) -> Option<Parcel> {
        Some(Parcel { padding: self.padding, ..Parcel::of(&[front, &self.bytes])? })
    }

    /// The bytes, without the zeros.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes it is, zeros included.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.bytes.len() + usize::from(self.padding)
    }

    /// Writes it where there is room for exactly that.
    pub fn write(&self, to: &mut [u8]) {
        debug_assert_eq!(to.len(), self.len());
        let (bytes, padding) = to.split_at_mut(self.bytes.len().min(to.len()));
        bytes.copy_from_slice(&self.bytes[..bytes.len()]);
        padding.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_its_parts_and_zeros() {
        let parcel = Parcel::of(&[&[1, 2], &[3]]).unwrap().padded_to(5);
        assert_eq!((parcel.bytes(), parcel.len()), (&[1, 2, 3][..], 5));
        let mut written = [9; 6];
        parcel.behind(&[7]).unwrap().write(&mut written);
        assert_eq!(written, [7, 1, 2, 3, 0, 0]);
        assert_eq!(parcel.padded_to(2).len(), 3);
        assert_eq!(Parcel::of(&[&[0; PARCEL], &[0]]), None);
    }
}
