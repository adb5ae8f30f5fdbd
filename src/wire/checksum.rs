//! The Internet checksum: RFC 1071, and RFC 1624 for a header of which only some words change.

/// A one's complement sum that is not yet folded. What is added may be in any order, as long as each
/// piece but the last has an even number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// With these bytes; an odd last one is the upper half of a word (RFC 1071, section 1).
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        // In the machine's own order, which the sum does not mind (RFC 1071, section 2 B), and by
        // 32 bits: 2^32 of them fit, more than any packet has.
        let mut chunks = bytes.chunks_exact(4);
        let mut sum: u64 =
            chunks.by_ref().map(|c| u64::from(u32::from_ne_bytes([c[0], c[1], c[2], c[3]]))).sum();
        let mut last = [0; 4];
        let rest = chunks.remainder();
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_ne_bytes(last));
        self.add(u64::from(u16::from_be(fold(sum))))
    }

    /// With one 16-bit word.
    #[inline]
    pub fn word(self, word: u16) -> Sum {
        self.add(u64::from(word))
    }

    /// What goes into the header: the complement (RFC 1624, equation 3, where the words that do not
    /// change were summed before).
    #[inline]
    pub fn checksum(self) -> u16 {
        !fold(self.0)
    }

    /// Whether what was summed, its checksum included, is as it was sent.
    #[inline]
    pub fn is_whole(self) -> bool {
        self.checksum() == 0
    }

    #[inline]
    fn add(self, more: u64) -> Sum {
        Sum(self.0 + more)
    }
}

#[inline]
fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
    sum = (sum & 0xFFFF) + (sum >> 16 & 0xFFFF) + (sum >> 32);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum as u16
}

/// The sum of the pseudo header that UDP and ICMPv6 count (RFC 768; RFC 8200, section 8.1), of
/// addresses of either length.
#[inline]
pub fn pseudo_header(source: &[u8], destination: &[u8], protocol: u8, length: u16) -> Sum {
    Sum::default().bytes(source).bytes(destination).word(u16::from(protocol)).word(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071, section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let bytes = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7];
        assert_eq!(Sum::default().bytes(&bytes).checksum(), !0xDDF2);
        // RFC 1624, section 4: the checksum of a header whose sum is 0xFFFF is 0.
        assert_eq!(Sum::default().word(0xFFFF).checksum(), 0);
    }

    /// As RFC 1071 says it, word by word.
    fn slow(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from);
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        !(sum as u16)
    }

    proptest! {
        #[test]
        fn sums_as_the_rfc_does(
            bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..150,
        ) {
            let (a, b) = bytes.split_at((cut * 2).min(bytes.len() & !1));
            prop_assert_eq!(Sum::default().bytes(a).bytes(b).checksum(), slow(&bytes));
        }
    }
}
