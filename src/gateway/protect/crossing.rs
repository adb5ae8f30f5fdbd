//! How frames cross the WAN, and how repairs speak of them: what sets one encapsulation apart from another
//! in `protect`.

use arrayvec::ArrayVec;

use super::exit::Exit;
use crate::control::counters::ProtectCounters;
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{BURST, Mbuf};
use crate::fec::{Encoder, EncoderConfig};
use crate::gateway::backlog::Outline;
use crate::gateway::io::Transmit;
use crate::gateway::nack::resender::Resender;
use crate::gateway::post::{self, Mode};
use crate::gateway::settings::LinkLocal;
use crate::gateway::shaper::Limit;
use crate::wire::outer::Ether;
use crate::wire::seal::Sealing;

/// A repair's packet, or one of several.
pub struct Piece {
    pub(in crate::gateway) mbuf: Mbuf,
    /// The repair, if this is its last packet.
    pub(in crate::gateway) outline: Option<Outline>,
}

/// See the module's head. Frames are taken, sent and then encoded, a burst at a time.
pub trait Crossing: Send {
    /// What it is made of.
    type Config;

    /// All memory is allocated here; `pool` gives the repair packets.
    fn new(config: Self::Config, pool: Mempool) -> Self;

    /// Where packets are made.
    fn pool(&self) -> &Mempool;

    /// The code, and what it is given.
    fn encoder(&self) -> &EncoderConfig;

    /// What the WAN takes of this channel; `None` is what its port takes.
    fn limit(&self) -> Option<Limit>;

    /// The channel that it sends on.
    fn channel(&self) -> u8;

    /// What a source packet has in front of its frame, in bytes.
    fn headers(&self) -> usize;

    /// What becomes of frames for bridges only.
    fn link_local(&self) -> LinkLocal;

    /// Whether the far end would take any frame with this header for one of our own packets.
    fn is_taken_for_ours(&self, ether: &Ether) -> bool;

    /// How long a frame with this header may be to be taken, if any is in this mode.
    fn longest(&self, ether: &Ether, mode: Mode) -> Option<usize>;

    /// Whether this frame, which is not taken, crosses all the same, without protection. It is in one buffer,
    /// and none for bridges.
    fn bypasses(&self, ether: &Ether, mbuf: &Mbuf, mode: Mode) -> bool;

    /// Takes a frame, which will be at this `place` in the outbox. `next` source packets were encoded before
    /// this burst: those taken of it come on top. Returns the packet that carries it and whether it is protected; `None` if it was dropped, and
    /// counted as that.
    fn take(
        &mut self,
        mbuf: Mbuf,
        next: u64,
        place: usize,
        mode: Mode,
        counters: &ProtectCounters,
    ) -> Option<(Mbuf, bool)>;

    /// How many protected frames were taken of this burst.
    fn taken(&self) -> usize;

    /// These frames, of which the packets are `waiting` to be sent.
    fn frames<'a>(&'a self, waiting: &'a [Mbuf]) -> ArrayVec<&'a [u8], BURST>;

    /// Gives them to the encoder, and begins another burst.
    fn encode(&mut self, now: u64, encoder: &mut Encoder);

    /// Makes the next packet out of the repairs that are due, counting those that can't be sent; `None`
    /// when none can be made now. A repair has at most [`BURST`] packets, and after one that failed midway the
    /// next call begins another.
    fn next_piece(&mut self, encoder: &mut Encoder, counters: &ProtectCounters) -> Option<Piece>;

    /// Whether further packets of the last repair are yet to be made.
    fn is_sending(&self) -> bool {
        false
    }

    /// Whether it is known to whom packets go.
    fn has_next_hop(&self) -> bool {
        true
    }

    /// Packets go here from now on.
    fn set_next_hop(&mut self, _mac: [u8; 6]) {}

    /// Seals with these from the next packet on.
    fn change_keys(&mut self, _keys: Sealing) {}

    /// Gives keys back through this when others have come.
    fn give_back_keys(&mut self, _spent: post::Sender<Sealing>) {}

    /// Sends packets again, from now on.
    fn resend_with(&mut self, _resender: Resender) {}

    /// Whether something could be sent again at once if the WAN's rate lets it.
    fn resends(&self) -> bool {
        false
    }

    /// Sends what is asked for again, as far as port and rate take it.
    fn resend<W: Transmit>(&mut self, _now: u64, _exit: &mut Exit<W>) {}
}
