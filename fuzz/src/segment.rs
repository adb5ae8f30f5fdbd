//! LAN frames, of which TCP segments are followed.

use maelstrom::wire::tcp::{Addresses, Flag, Segment};

/// The input is a frame.
pub fn check(frame: &[u8]) {
    let Some(segment) = Segment::parse(frame) else { return };
    // Ethernet, IP and TCP headers lie before what it carries.
    let headers = match segment.addresses {
        Addresses::V4(..) => 14 + 20 + 20,
        Addresses::V6(..) => 14 + 40 + 20,
    };
    assert!(headers + usize::from(segment.len) <= frame.len(), "{segment:?}");
    let syn = u32::from(segment.has(Flag::Syn));
    assert_eq!(segment.data_seq(), segment.seq.wrapping_add(syn));
    // Padding behind it says nothing.
    let mut padded = frame.to_vec();
    padded.extend([0xA5; 9]);
    assert_eq!(Segment::parse(&padded), Some(segment));
    // A VLAN tag neither, as long as there are no more than two.
    let tagged = [&frame[..12], &[0x81, 0x00, 0x20, 0x05], &frame[12..]].concat();
    assert!(Segment::parse(&tagged).is_none_or(|tagged| tagged == segment));
}
