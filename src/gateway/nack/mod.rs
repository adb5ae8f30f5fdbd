//! Retransmission on the link, where `link.reliability` asks for it.
//!
//! ```text
//!    far gateway                                        near gateway
//!    recover --- holes --> protect ~~~~ nack ~~~~> recover --- runs --> protect
//!       ^                                                                  |
//!       '~~~~~~~~~~~~~~~~ the same packet, once more ~~~~~~~~~~~~~~~~~~~~~~'
//! ```
//!
//! * **Does:** ask for what no repair can bring any more ([`asking`]), and send it again ([`resender`]).
//! * **Fed by:** the decoder's bits; nacks that the peer sends.
//! * **Feeds:** the peer, through a room that protects: with nacks, and with packets.
//! * **Runs on:** the rooms' workers. Letters between them go by mailbox, not by control's 10 ms.
//! * **Must not:** send anything that was not asked for, or more than a share of the traffic; deliver
//!   anything twice; take memory after its start.

pub mod asking;
pub mod resender;

use super::post::{Sender, mailbox};
use super::rooms::{ProtectRoom, RecoverRoom};
use crate::link::holes::{Holes, Patience};
use crate::link::store::Store;
use crate::wire::nack::Nack;
use asking::Asking;
use resender::Resender;

/// Letters that a mailbox holds: what comes together after an outage.
const DEPTH: usize = 64;

/// What one room tells another. By value: nothing is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// The peer shall be asked for these.
    Ask(Nack),
    /// The peer asks for these.
    Asked(Nack),
}

/// How packets are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// How many bytes of packets each channel keeps for that.
    pub buffer: usize,
    /// The longest round trip that is expected, in nanoseconds.
    pub round_trip: u64,
}

impl Retransmission {
    /// How many bytes a second's traffic of `rate` bits takes to be asked for twice: each time comes a
    /// round trip after the one before, or after the last repair.
    pub fn buffer_for(rate: u64, round_trip: u64) -> usize {
        let bytes = u128::from(rate) / 8 * u128::from(2 * round_trip) / 1_000_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// How long to wait, for a code of this span and latency.
    pub fn patience(&self, span: u64, latency: u64) -> Patience {
        Patience {
            lag: span + LATE,
            wait: latency + latency / 8,
            answer: answer_within(self.round_trip),
            // More than the far end keeps: what it does not have any more is given up by then.
            memory: (4 * Store::packets(self.buffer) as u64).clamp(1 << 14, 1 << 26),
        }
    }

    /// What the rooms take, in bytes, on so many channels each way, with this window.
    pub fn memory_bytes(&self, out: u8, channels_in: u8, window: u64) -> u64 {
        let memory = self.patience(0, 0).memory;
        let mailbox = (DEPTH * size_of::<Letter>()) as u64;
        (Store::memory_bytes(self.buffer) as u64 + mailbox) * u64::from(out)
            + Holes::memory_bytes(memory, window) * u64::from(channels_in)
    }
}

/// Reordering is rarely worse, in packets; [`crate::link::measure`] thinks so too.
const LATE: u64 = 512;

/// How long an answer may take where a round trip takes so long: nacks wait to be gathered, and
/// retransmissions for their share.
pub fn answer_within(round_trip: u64) -> u64 {
    round_trip + round_trip / 4 + 2_000_000
}

/// Has these rooms of one gateway ask and answer, from their first turn on. `patience` is for the codes
/// of the peer.
pub fn join<'a, P: ProtectRoom + ?Sized + 'a, R: RecoverRoom + ?Sized + 'a>(
    plan: &Retransmission,
    patience: Patience,
    protect: impl IntoIterator<Item = &'a mut P>,
    recover: impl IntoIterator<Item = &'a mut R>,
) {
    let mut to: Vec<(u8, Sender<Letter>)> = Vec::new();
    for room in protect {
        let (sender, letters) = mailbox(DEPTH);
        room.resend_with(Resender::new(plan, letters));
        to.push((room.channel(), sender));
    }
    for (nth, room) in recover.into_iter().enumerate() {
        let Some((_, through)) = to.get(nth % to.len().max(1)) else { return };
        let holes = Holes::new(patience, room.window());
        room.ask_with(Asking::new(holes, through.clone(), to.clone()));
    }
}
