//! The largest segment that a TCP asks for (RFC 9293, section 3.7.1), made no larger than what fits.
//!
//! Only a SYN says it, so one look at a flag is what any other frame costs. The option is changed in its
//! place and the checksum with it (RFC 1624, equation 3), so a segment whose checksum was wrong stays
//! wrong. An absent option stays absent: it means 536 bytes over IPv4 and 1,220 over IPv6, which fit any
//! WAN that one should use.

use super::ip::{Packet, TCP, V4_HEADER, V6_HEADER, Version, fold, short};

/// A TCP header without options.
const TCP_HEADER: usize = 20;
/// The bit in its flags.
const SYN: u8 = 2;
/// The option's kind and length.
const OPTION: [u8; 2] = [2, 4];

/// Whether a frame may be a SYN: false for nearly every other, by a look or three. Extension headers are
/// left to [`clamp`].
#[inline]
pub fn may_be_syn(frame: &[u8]) -> bool {
    // Where the EtherType is: behind up to two tags.
    let mut at = 12;
    let ethertype = loop {
        match frame.get(at..) {
            Some([0x81, 0x00, ..] | [0x88, 0xA8, ..]) if at < 20 => at += 4,
            Some([a, b, ..]) => break [*a, *b],
            _ => return false,
        }
    };
    let start = at + 2;
    let Some(header) = frame.get(start..start + V4_HEADER) else { return false };
    let has_syn = |len: usize| frame.get(start + len + 13).is_some_and(|flags| flags & SYN != 0);
    match ethertype {
        [0x08, 0x00] => header[9] == TCP && has_syn(usize::from(header[0] & 0xF) * 4),
        [0x86, 0xDD] => match header[6] {
            TCP => has_syn(V6_HEADER),
            protocol => matches!(protocol, 0 | 43 | 60),
        },
        _ => false,
    }
}

/// Where the options of a SYN are that ask for more than a frame of `max_frame` bytes carries, and what
/// is to stand there.
fn excess(frame: &[u8], max_frame: usize) -> Option<(Packet, usize, u16)> {
    let packet = Packet::parse(frame)?;
    let segment = frame.get(packet.payload..)?;
    let header = segment.first_chunk::<TCP_HEADER>()?;
    if packet.protocol != TCP || packet.fragment || header[13] & SYN == 0 {
        return None;
    }
    let ip = match packet.version {
        Version::V4 { .. } => V4_HEADER,
        Version::V6 => V6_HEADER,
    };
    // RFC 6691: what an IP packet holds, less the fixed headers; options are the sender's to subtract.
    let most = max_frame.checked_sub(packet.start + ip + TCP_HEADER)?;
    let most = u16::try_from(most).ok().filter(|most| *most > 0)?;
    let options = segment.get(..usize::from(header[12] >> 4) * 4)?;
    let mut at = TCP_HEADER;
    loop {
        match *options.get(at..)? {
            // End of options, no operation.
            [0, ..] => return None,
            [1, ..] => at += 1,
            [kind, len, ..] if [kind, len] == OPTION => {
                let asked = short(options, at + 2)?;
                return (asked > most).then_some((packet, packet.payload + at + 2, most));
            }
            [_, len, ..] if len >= 2 => at += usize::from(len),
            _ => return None,
        }
    }
}

/// Whether [`clamp`] would change a frame.
pub fn asks_too_much(frame: &[u8], max_frame: usize) -> bool {
    excess(frame, max_frame).is_some()
}

/// Makes a SYN ask for no larger segments than frames of `max_frame` bytes carry. Says whether it changed;
/// any other frame, and a SYN that asks for no more, stays as it is to the byte.
pub fn clamp(frame: &mut [u8], max_frame: usize) -> bool {
    let Some((packet, at, most)) = excess(frame, max_frame) else { return false };
    let check_at = packet.payload + 16;
    let (Some(asked), Some(check)) = (short(frame, at), short(frame, check_at)) else {
        return false;
    };
    // In a sum of words, a number that straddles two of them counts with its bytes swapped.
    let odd = (at - packet.payload) % 2 == 1;
    let as_summed = |value: u16| if odd { value.swap_bytes() } else { value };
    let sum = u32::from(!check) + u32::from(!as_summed(asked)) + u32::from(as_summed(most));
    let check = !(fold(sum) as u16);
    frame[at..at + 2].copy_from_slice(&most.to_be_bytes());
    frame[check_at..check_at + 2].copy_from_slice(&check.to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::super::ip::sum;
    use super::super::ip::tests::{frame, nearly_ip, v4, v6};
    use super::*;
    use proptest::prelude::*;

    /// A TCP header with these options, padded, and a payload.
    fn tcp(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut segment = vec![0; TCP_HEADER];
        segment[..4].copy_from_slice(&[0x12, 0x34, 0x15, 0x38]);
        segment.extend(options);
        segment.resize(segment.len().next_multiple_of(4), 0);
        segment[12] = (segment.len() * 4) as u8;
        segment[13] = flags;
        segment.extend(payload);
        segment
    }

    /// The sum over pseudo-header and segment: 0xFFFF if the checksum is right.
    fn verify(bytes: &[u8]) -> u32 {
        let packet = Packet::parse(bytes).unwrap();
        let segment = &bytes[packet.payload..packet.start + packet.len];
        let addresses = match packet.version {
            Version::V4 { .. } => &bytes[packet.start + 12..packet.start + 20],
            Version::V6 => &bytes[packet.start + 8..packet.start + 40],
        };
        let pseudo = sum(addresses, u32::from(TCP) + segment.len() as u32);
        fold(sum(segment, pseudo))
    }

    fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
        let at = Packet::parse(&bytes).unwrap().payload + 16;
        let check = !(verify(&bytes) as u16);
        bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    fn mss_at(bytes: &[u8], option: usize) -> u16 {
        short(bytes, Packet::parse(bytes).unwrap().payload + TCP_HEADER + option + 2).unwrap()
    }

    #[test]
    fn a_syn_asks_for_what_fits_and_its_checksum_stays_right() {
        // Alone, behind another option, and at an odd place.
        for (options, at) in [
            (&[2, 4, 5, 0xB4][..], 0),
            (&[4, 2, 2, 4, 5, 0xB4, 3, 3, 7], 2),
            (&[1, 2, 4, 5, 0xB4, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], 1),
        ] {
            for tags in 0..3 {
                for flags in [SYN, SYN | 16] {
                    let segment = tcp(flags, options, b"early");
                    let four = frame(tags, 0x0800, &v4(0x4000, 4 * tags, TCP, &segment));
                    let six = frame(tags, 0x86DD, &v6(TCP, &segment));
                    let options = [&[TCP, 0, 0, 0, 0, 0, 0, 0][..], &segment].concat();
                    let extended = frame(tags, 0x86DD, &v6(60, &options));
                    for (frame, headers) in [(four, 40), (six, 60), (extended, 60)] {
                        let before = with_checksum(frame);
                        let mut after = before.clone();
                        assert!(may_be_syn(&after));
                        assert!(asks_too_much(&after, 1200) && clamp(&mut after, 1200));
                        assert_eq!(verify(&after), 0xFFFF);
                        assert_eq!(mss_at(&after, at), 1200 - 14 - 4 * tags as u16 - headers);
                        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
                        assert!((1..=4).contains(&changed), "{changed} bytes");
                        assert!(!clamp(&mut after, 1200), "once is enough");
                        let mut roomy = before.clone();
                        assert!(!clamp(&mut roomy, 1460 + 82 + 22) && roomy == before);
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_is_no_whole_syn_stays() {
        let option = [2, 4, 5, 0xB4];
        let no_syn = frame(0, 0x0800, &v4(0, 0, TCP, &tcp(16, &option, b"")));
        for tags in 0..4 {
            assert!(!may_be_syn(&frame(tags, 0x0800, &v4(0, 0, TCP, &tcp(16, &option, b"")))));
        }
        let fragment = frame(0, 0x0800, &v4(0x2000, 0, TCP, &tcp(SYN, &option, b"")));
        let udp = frame(0, 0x0800, &v4(0, 0, 17, &tcp(SYN, &option, b"")));
        assert!(!may_be_syn(&udp));
        let ended = frame(0, 0x0800, &v4(0, 0, TCP, &tcp(SYN, &[0, 2, 4, 5, 0xB4], b"")));
        let endless = frame(0, 0x0800, &v4(0, 0, TCP, &tcp(SYN, &[7, 0, 2, 4, 5, 0xB4], b"")));
        let cut = frame(0, 0x0800, &v4(0, 0, TCP, &tcp(SYN, &[1, 1, 2, 4], b"")));
        let small = frame(0, 0x0800, &v4(0, 0, TCP, &tcp(SYN, &[2, 4, 0, 9], b"")));
        for bytes in [no_syn, fragment, udp, ended, endless, cut, small] {
            let mut after = bytes.clone();
            assert!(!clamp(&mut after, 600) && after == bytes);
        }
        let whole = frame(0, 0x0800, &v4(0, 0, TCP, &tcp(SYN, &option, b"")));
        for end in 0..whole.len() {
            let mut cut = whole[..end].to_vec();
            assert!(!clamp(&mut cut, 600) && cut == whole[..end], "cut at {end}");
        }
        // Nothing fits behind such headers.
        assert!(!clamp(&mut whole.clone(), 50));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_only_a_syn_changes(bytes in nearly_ip(), max in 0..3000usize) {
            let mut after = bytes.clone();
            let changed = clamp(&mut after, max);
            prop_assert_eq!(changed, after != bytes);
            prop_assert!(!changed || may_be_syn(&bytes));
        }

        #[test]
        fn the_checksum_is_right_wherever_the_option_is(
            before in prop::collection::vec(prop_oneof![Just(vec![1u8]), Just(vec![4, 2]),
                Just(vec![3, 3, 7]), Just(vec![254, 4, 9, 9])], 0..6),
            asked: u16, max in 100..1600usize, payload in prop::collection::vec(any::<u8>(), 0..40),
            six: bool,
        ) {
            let before = before.concat();
            let options = [&before[..], &[2, 4], &asked.to_be_bytes()].concat();
            let segment = tcp(SYN, &options, &payload);
            let whole = with_checksum(match six {
                true => frame(0, 0x86DD, &v6(TCP, &segment)),
                false => frame(0, 0x0800, &v4(0, 0, TCP, &segment)),
            });
            let mut after = whole;
            clamp(&mut after, max);
            let most = (max - 14 - if six { 60 } else { 40 }) as u16;
            prop_assert_eq!(mss_at(&after, before.len()), asked.min(most));
            // Of the two zeros of ones' complement either may come out; both verify.
            prop_assert_eq!(verify(&after), 0xFFFF);
        }
    }
}
