//! The repairs of transparent circuits: parts, the messages put together from them, and a decoder that
//! is told whatever these say.

use maelstrom::fec::named::{NameKey, NamedConfig, NamedDecoder, NamedRepair};
use maelstrom::fec::xor::Engine;
use maelstrom::wire::assembly::Assembly;
use maelstrom::wire::named::{MAX_PARTS, Message, Part, part_key};
use maelstrom::wire::shim::Shim;

/// The longest frame.
const LONGEST: usize = 200;

/// The input is packets and frames, each behind its length: a byte, whose highest bit says which. The
/// check of a part is made right, which no mutation would do by chance.
pub fn check(mut bytes: &[u8]) {
    let config =
        NamedConfig { window: 64, max_frame: LONGEST, routed: true, engine: Engine::PORTABLE };
    let mut decoder = NamedDecoder::<Vec<u8>>::new(&config, NameKey::new(0, 0));
    let mut assembly = Assembly::new(400);
    while let Some((&first, rest)) = bytes.split_first() {
        let (packet, behind) = rest.split_at(usize::from(first & 0x7F).min(rest.len()));
        bytes = behind;
        if first & 0x80 != 0 {
            if let Some(place) = decoder.admit(packet) {
                decoder.keep(place, packet.to_vec());
            }
            decoder.settle(|rebuilt| Some(rebuilt.frame.to_vec()));
            continue;
        }
        let Ok((mut shim, rest)) = Shim::parse(packet) else {
            // Straight to what a message says.
            take(&mut decoder, packet, 100);
            continue;
        };
        let key = part_key(shim.channel, shim.epoch);
        let covered = (8 + usize::from(shim.length)).min(rest.len());
        shim.check = key.check(shim.seq, &rest[..covered]);
        let Ok((part, bytes)) = Part::parse(&shim, rest, key) else { continue };
        assert!(part.part < part.cut.parts && usize::from(part.cut.parts) <= MAX_PARTS);
        assert_eq!(part.cut.range(part.part).len(), bytes.len());
        if let Some(message) = assembly.take(part, shim.seq, bytes) {
            assert_eq!(message.len(), usize::from(part.cut.total));
            take(&mut decoder, message, shim.seq);
        }
    }
}

fn take(decoder: &mut NamedDecoder<Vec<u8>>, message: &[u8], next: u64) {
    let Ok(message) = Message::parse(message, next) else { return };
    let Message { ref members, lengths, checks, names, xor, layer, .. } = message;
    assert!(members.last() < next && names.len() == members.len());
    let repair = NamedRepair { next, members, names, lengths, checks, xor, layer };
    decoder.repair(&repair, |rebuilt| {
        assert!(rebuilt.frame.len() <= LONGEST);
        Some(rebuilt.frame.to_vec())
    });
    if next.is_multiple_of(7) {
        decoder.jump_to(next);
    }
}
