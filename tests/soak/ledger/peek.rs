//! Who has the keys of what a gateway sends, and reads it.

use maelstrom::gateway::Blueprint;
use maelstrom::wire::control;
use maelstrom::wire::repair::RepairHeader;
use maelstrom::wire::seal::{KEYED_SHIM_LEN, Mode, Opener, Opening, Purpose, SessionKey};
use maelstrom::wire::shim::{Integrity, Kind, Shim};

/// The keys of a life of a gateway: those that it seals with, and those that it may seal with next.
pub struct Peek {
    mode: Mode,
    channel: u8,
    epoch: u32,
    longest: usize,
    rooms: Vec<(u16, Opening)>,
    /// Control changes over on its own.
    control: Vec<(u16, Opener)>,
    /// The least number that control may seal under, and those of repairs.
    least: u64,
    repairs: Vec<bool>,
    packet: Vec<u8>,
}

impl Peek {
    pub fn new(blueprint: &Blueprint, mode: Mode, epoch: u32) -> Peek {
        Peek {
            mode,
            channel: blueprint.side.channel(0),
            epoch,
            longest: blueprint.longest_packet(),
            rooms: Vec::new(),
            control: Vec::new(),
            least: 0,
            repairs: Vec::new(),
            packet: Vec::new(),
        }
    }

    /// There are these keys too. Says whether there were others.
    pub fn add(&mut self, session: u16, key: &SessionKey) -> bool {
        let Peek { mode, channel, epoch, longest, .. } = *self;
        self.rooms.push((session, Opening::new(key, mode, channel, epoch, longest)));
        self.control.push((session, Opener::new(key, Purpose::Control, mode, channel)));
        self.rooms.len() > 1
    }

    /// Opens a packet, of which no number comes twice. Says under which session it was sealed, and what it
    /// says if it is a repair.
    pub fn open(&mut self, shim: &Shim, packet: &[u8]) -> (u16, Option<RepairHeader>) {
        let Peek { packet: copy, rooms, control, least, repairs, .. } = self;
        let fresh = |copy: &mut Vec<u8>| {
            copy.clear();
            copy.extend_from_slice(packet);
        };
        if shim.kind == Kind::Control {
            assert!(shim.seq >= *least, "control packet {} after {least}", shim.seq);
            *least = shim.seq + 1;
            if shim.integrity == Integrity::Check {
                let body = control::verify(shim, &packet[maelstrom::wire::shim::SHIM_LEN..]);
                assert!(control::is_handshake(body.expect("a good check")), "said in the open");
                return (0, None);
            }
            let at = control.iter().position(|(_, opener)| {
                fresh(copy);
                control::open(shim, copy, opener).is_ok()
            });
            control.drain(..at.expect("a control packet under keys that were agreed upon"));
            return (control[0].0, None);
        }
        let mut header = None;
        // Repairs that waited for the rate were sealed before: the newest is the likeliest, not the only one.
        let (session, _) = rooms
            .iter()
            .rfind(|(_, opening)| {
                fresh(copy);
                if shim.kind == Kind::Repair {
                    header = RepairHeader::open(shim, copy, &opening.repair).ok();
                    return header.is_some();
                }
                let end = (KEYED_SHIM_LEN + usize::from(shim.length)).min(copy.len());
                opening.source.open(shim.seq, &mut copy[..end], KEYED_SHIM_LEN).is_ok()
            })
            .expect("a packet under keys that were agreed upon");
        if header.is_some() {
            let number = RepairHeader::claimed_number(copy).expect("a number");
            let number = usize::try_from(number).expect("a count");
            repairs.resize(repairs.len().max(number + 1), false);
            assert!(!std::mem::replace(&mut repairs[number], true), "{number} was sealed twice");
        }
        (*session, header.map(|(header, _)| header))
    }

    /// The frame of the source packet that was opened last.
    pub fn frame(&self, shim: &Shim) -> &[u8] {
        &self.packet[KEYED_SHIM_LEN..][..shim.length.into()]
    }
}
