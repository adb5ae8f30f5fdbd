//! The answer to a packet that is too big: ICMP's "fragmentation needed" (RFC 1191) and ICMPv6's "packet
//! too big" (RFC 4443, section 3.2), as a whole frame, back to whoever sent the packet.
//!
//! A bridge has no address to send it from. It comes from the address that the packet was for, at both
//! layers: that one is on the right link, has a route back, is let through by whoever let the packet
//! through, and tells nothing of us. Open vSwitch's and Linux's tunnels do the same for packets that are
//! bridged into them (`iptunnel_pmtud_build_icmp` of Linux). Hosts look at the quoted packet, not at who
//! quotes it (RFC 1122, section 3.2.2; RFC 8201, section 4).
//!
//! Nothing is answered that an ICMP error must not be sent for (RFC 1812, section 4.3.2.7; RFC 4443,
//! section 2.4): an ICMP error, a broadcast or multicast at either layer, a fragment after the first, a
//! source that is not one host.

use arrayvec::ArrayVec;

use super::ip::{Packet, V4_HEADER, V6_HEADER, Version, fold, sum};

/// The longest answer: two tags, and IPv6's minimum MTU (RFC 4443, section 2.4 c).
pub const MAX_ANSWER: usize = 14 + 8 + 1280;
/// The longest answer over IPv4, header included (RFC 1812, section 4.3.2.3).
const V4_ANSWER: usize = 576;
/// The longest over IPv6.
const V6_ANSWER: usize = 1280;
/// ICMP's own header, in both versions.
const ICMP_HEADER: usize = 8;
/// No link that carries IPv6 has a smaller MTU, and no host believes one (RFC 8201, section 4).
pub const V6_LEAST_MTU: usize = 1280;
/// The same for IPv4 (RFC 791).
const V4_LEAST_MTU: usize = 68;
/// ICMP's numbers among the protocols.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// An answer, as a frame.
pub type Answer = ArrayVec<u8, MAX_ANSWER>;

/// A packet that must not be fragmented and does not fit, and may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    packet: Packet,
    /// What fits.
    mtu: usize,
}

impl TooBig {
    /// Of a frame, of which at most `max_frame` bytes fit. `frame` may be its beginning only.
    pub fn parse(frame: &[u8], max_frame: usize) -> Option<TooBig> {
        let packet = Packet::parse(frame)?;
        let mtu = max_frame.checked_sub(packet.start)?;
        // A group's address, or everyone's.
        let (destination, source) = (frame.first()?, frame.get(6)?);
        if (destination | source) & 1 != 0 || packet.len <= mtu || packet.later_fragment {
            return None;
        }
        let icmp = frame.get(packet.payload).copied();
        let answerable = match packet.version {
            Version::V4 { dont_fragment } => {
                let error = packet.protocol == ICMP && icmp.is_none_or(is_v4_error);
                let addresses = frame.get(packet.start + 12..)?.first_chunk::<8>()?;
                let [from, .., to, _, _, _] = *addresses;
                dont_fragment && !error && mtu >= V4_LEAST_MTU && is_host(from) && is_host(to)
            }
            Version::V6 => {
                let error = packet.protocol == ICMPV6 && icmp.is_none_or(|kind| kind < 128);
                let addresses = frame.get(packet.start + 8..)?.first_chunk::<32>()?;
                let unspecified = addresses[..15].iter().all(|byte| *byte == 0);
                let group = addresses[0] == 0xFF || addresses[16] == 0xFF;
                !error && mtu >= V6_LEAST_MTU && !unspecified && !group
            }
        };
        answerable.then_some(TooBig { packet, mtu })
    }

    /// The largest packet that would have fitted.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// The answer to `frame`, which this was parsed from.
    pub fn answer(&self, frame: &[u8]) -> Option<Answer> {
        let Packet { start, .. } = self.packet;
        let mut answer = Answer::new();
        let stations = frame.first_chunk::<12>()?;
        answer.try_extend_from_slice(&stations[6..]).ok()?;
        answer.try_extend_from_slice(&stations[..6]).ok()?;
        answer.try_extend_from_slice(frame.get(12..start)?).ok()?;
        // As much of it as there is, without padding.
        let packet = frame.get(start..)?;
        let packet = &packet[..packet.len().min(self.packet.len)];
        match self.packet.version {
            Version::V4 { .. } => self.emit_v4(packet, &mut answer),
            Version::V6 => self.emit_v6(packet, &mut answer),
        }?;
        Some(answer)
    }

    fn emit_v4(&self, packet: &[u8], answer: &mut Answer) -> Option<()> {
        let quoted = &packet[..packet.len().min(V4_ANSWER - V4_HEADER - ICMP_HEADER)];
        let len = (V4_HEADER + ICMP_HEADER + quoted.len()) as u16;
        let mut header = [0; V4_HEADER];
        // Internetwork control, as RFC 1812 (section 4.3.2.5) has it.
        header[..2].copy_from_slice(&[0x45, 0xC0]);
        header[2..4].copy_from_slice(&len.to_be_bytes());
        // Don't fragment, and so no identification (RFC 6864).
        header[6] = 0x40;
        header[8..10].copy_from_slice(&[64, ICMP]);
        header[12..16].copy_from_slice(packet.get(16..20)?);
        header[16..].copy_from_slice(packet.get(12..16)?);
        let check = !(fold(sum(&header, 0)) as u16);
        header[10..12].copy_from_slice(&check.to_be_bytes());
        // Destination unreachable, fragmentation needed.
        let [high, low] = (self.mtu.min(usize::from(u16::MAX)) as u16).to_be_bytes();
        let mut icmp = [3, 4, 0, 0, 0, 0, high, low];
        let check = !(fold(sum(quoted, sum(&icmp, 0))) as u16);
        icmp[2..4].copy_from_slice(&check.to_be_bytes());
        extend(answer, [&header, &icmp, quoted])
    }

    fn emit_v6(&self, packet: &[u8], answer: &mut Answer) -> Option<()> {
        let quoted = &packet[..packet.len().min(V6_ANSWER - V6_HEADER - ICMP_HEADER)];
        let len = (ICMP_HEADER + quoted.len()) as u16;
        let mut header = [0; V6_HEADER];
        header[0] = 0x60;
        header[4..6].copy_from_slice(&len.to_be_bytes());
        header[6..8].copy_from_slice(&[ICMPV6, 64]);
        header[8..24].copy_from_slice(packet.get(24..40)?);
        header[24..].copy_from_slice(packet.get(8..24)?);
        let mut icmp = [2, 0, 0, 0, 0, 0, 0, 0];
        icmp[4..].copy_from_slice(&(self.mtu as u32).to_be_bytes());
        // The pseudo-header is part of it (RFC 8200, section 8.1).
        let pseudo = sum(&header[8..], u32::from(len) + u32::from(ICMPV6));
        let check = !(fold(sum(quoted, sum(&icmp, pseudo))) as u16);
        icmp[2..4].copy_from_slice(&check.to_be_bytes());
        extend(answer, [&header, &icmp, quoted])
    }
}

fn extend(answer: &mut Answer, parts: [&[u8]; 3]) -> Option<()> {
    parts.into_iter().try_for_each(|part| answer.try_extend_from_slice(part)).ok()
}

/// Unreachable, source quench, redirect, time exceeded, parameter problem (RFC 1122, section 3.2.2).
fn is_v4_error(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// Whether an IPv4 address with this first byte is one host's: not of this network, a loop, a group,
/// reserved or everyone.
fn is_host(first: u8) -> bool {
    !matches!(first, 0 | 127 | 224..)
}

#[cfg(test)]
mod tests {
    use super::super::ip::tests::{frame, nearly_ip, v4, v6};
    use super::*;
    use proptest::prelude::*;

    const DF: u16 = 0x4000;

    fn answered(frame: &[u8], max: usize) -> Option<Vec<u8>> {
        let too_big = TooBig::parse(frame, max)?;
        Some(too_big.answer(frame).unwrap().to_vec())
    }

    fn verify_v6(packet: &[u8]) -> u32 {
        fold(sum(&packet[40..], sum(&packet[8..40], (packet.len() - 40) as u32 + 58)))
    }

    #[test]
    fn fragmentation_needed_quotes_the_packet_and_comes_from_its_destination() {
        for tags in 0..3 {
            let packet = v4(DF, 4, 17, &[7; 1400]);
            let mut big = frame(tags, 0x0800, &packet);
            let start = 14 + 4 * tags;
            let fits = start + packet.len();
            assert_eq!(answered(&big, fits), None);
            big.extend([0; 3]);
            let answer = answered(&big, fits - 1).unwrap();
            assert_eq!(answer[..12], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
            assert_eq!(answer[12..start], big[12..start]);
            let reply = &answer[start..];
            assert_eq!(reply.len(), 576);
            assert_eq!(fold(sum(&reply[..20], 0)), 0xFFFF);
            assert_eq!(fold(sum(&reply[20..], 0)), 0xFFFF);
            assert_eq!(reply[12..20], [10, 0, 0, 2, 10, 0, 0, 1]);
            assert_eq!(reply[20..22], [3, 4]);
            assert_eq!(u16::from_be_bytes([reply[26], reply[27]]) as usize, packet.len() - 1);
            assert_eq!(reply[28..], packet[..548]);
        }
    }

    #[test]
    fn packet_too_big_quotes_the_packet_and_comes_from_its_destination() {
        let packet = v6(17, &[7; 1460]);
        let big = frame(1, 0x86DD, &packet);
        let answer = answered(&big, 18 + 1400).unwrap();
        assert_eq!(answer.len(), 18 + 1280);
        let reply = &answer[18..];
        assert_eq!(verify_v6(reply), 0xFFFF);
        assert_eq!((&reply[8..24], &reply[24..40]), (&packet[24..40], &packet[8..24]));
        assert_eq!(reply[40..42], [2, 0]);
        assert_eq!(reply[44..48], 1400u32.to_be_bytes());
        assert_eq!(reply[48..], packet[..1232]);
        // What is less than any link's has no answer.
        assert_eq!(answered(&big, 18 + 1279), None);
        assert!(answered(&big, 18 + 1280).is_some());
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let good = frame(0, 0x0800, &v4(DF, 0, 17, &[0; 1400]));
        assert!(answered(&good, 1000).is_some());
        let changed = |at: usize, to: u8| {
            let mut bad = good.clone();
            bad[at] = to;
            answered(&bad, 1000)
        };
        assert_eq!(answered(&frame(0, 0x0800, &v4(0, 0, 17, &[0; 1400])), 1000), None, "no DF");
        assert!(answered(&frame(0, 0x0800, &v4(DF | 0x2000, 0, 17, &[0; 1400])), 1000).is_some());
        assert_eq!(answered(&frame(0, 0x0800, &v4(DF | 9, 0, 17, &[0; 1400])), 1000), None);
        assert_eq!(changed(0, 0xFF), None, "everyone");
        assert_eq!(changed(6, 3), None, "a group sends nothing");
        for first in [0, 127, 224, 255] {
            assert_eq!(changed(26, first), None, "from {first}");
            assert_eq!(changed(30, first), None, "to {first}");
        }
        for kind in 0..=255 {
            let icmp = |kind: u8| [&[kind][..], &[0; 1400]].concat();
            let four = answered(&frame(0, 0x0800, &v4(DF, 0, 1, &icmp(kind))), 1300);
            assert_eq!(four.is_none(), is_v4_error(kind), "{kind}");
            let six = answered(&frame(0, 0x86DD, &v6(58, &icmp(kind))), 1300);
            assert_eq!(six.is_none(), kind < 128, "{kind}");
        }
        let mut six = frame(0, 0x86DD, &v6(17, &[0; 1400]));
        assert!(answered(&six, 1300).is_some());
        six[14 + 24] = 0xFF;
        assert_eq!(answered(&six, 1300), None, "to a group");
        six[14 + 24] = 0xFD;
        six[14 + 8..14 + 24].fill(0);
        assert_eq!(answered(&six, 1300), None, "from nobody");
        let later = v6(44, &[&[17, 0, 0, 0x10, 0, 0, 0, 1][..], &[0; 1400]].concat());
        assert_eq!(answered(&frame(0, 0x86DD, &later), 1300), None, "a later fragment");
        assert_eq!(answered(&frame(0, 0x0806, &[0; 1400]), 1000), None, "not IP");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_answers_are_right(bytes in nearly_ip(), max in 0..2000usize) {
            if let Some(too_big) = TooBig::parse(&bytes, max) {
                prop_assert!(too_big.mtu() < too_big.packet.len);
                let answer = too_big.answer(&bytes).unwrap();
                let packet = Packet::parse(&answer).unwrap();
                prop_assert_eq!(packet.start + packet.len, answer.len());
                match packet.version {
                    Version::V4 { .. } => {
                        prop_assert_eq!(fold(sum(&answer[packet.start..packet.payload], 0)), 0xFFFF);
                        prop_assert_eq!(fold(sum(&answer[packet.payload..], 0)), 0xFFFF);
                    }
                    Version::V6 => prop_assert_eq!(verify_v6(&answer[packet.start..]), 0xFFFF),
                }
                // An answer is an error, and has none.
                prop_assert_eq!(TooBig::parse(&answer, 30), None);
            }
        }
    }
}
