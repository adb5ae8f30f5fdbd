//! Tags and encryption, as the rooms use them.

use maelstrom::fec::decoder::Confirm;
use maelstrom::wire::seal::{KEYED_SHIM_LEN, Mode, Opening, Sealing, SessionKey, source_shim};
use maelstrom::wire::shim::SHIM_LEN;

use crate::counting::{Counts, counted};

/// What C allocates is not counted.
#[test]
fn sealing_and_opening_allocate_nothing() {
    for mode in [Mode::Tag, Mode::Seal] {
        let session = SessionKey::new([3; 32]);
        let sealing = Sealing::new(&session, mode, 0);
        let mut opening = Opening::new(&session, mode, 0, 7, 300);
        let (frame, mut packet) = ([5u8; 300], [0u8; KEYED_SHIM_LEN + 300]);
        let counts = counted(|| {
            for seq in 0..10_000 {
                packet[..SHIM_LEN].copy_from_slice(&source_shim(0, 7, seq, 300).emit());
                packet[KEYED_SHIM_LEN..].copy_from_slice(&frame);
                let check = sealing.source.seal(seq, &mut packet, KEYED_SHIM_LEN).unwrap();
                assert!(opening.again.confirm(seq, &frame, check));
                packet[40] ^= 1;
                let mut other = packet;
                assert!(opening.source.open(seq, &mut other, KEYED_SHIM_LEN).is_err());
                packet[40] ^= 1;
                opening.source.open(seq, &mut packet, KEYED_SHIM_LEN).unwrap();
                assert_eq!(packet[KEYED_SHIM_LEN..], frame);
            }
        });
        assert_eq!(counts, Counts::default(), "{mode:?}");
    }
}
