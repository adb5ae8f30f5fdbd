//! Frames cross as they are, and repairs call them by names that are made of their bytes.
//!
//! * **Does:** classify, pad, name and keep images of frames; cut repairs into packets.
//! * **Fed by:** the room of [`crate::gateway::protect`], whose [`Crossing`] it is.
//! * **Feeds:** its encoder and its port.
//! * **Runs on:** its worker.
//! * **Must not:** change a frame, but for padding that any wire would add, and the MSS of a SYN where the
//!   WAN is narrower than the LAN.

use arrayvec::ArrayVec;

use super::SHORTEST;
use super::cutter::Cutter;
use crate::control::counters::ProtectCounters;
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::{BURST, Mbuf};
use crate::fec::encoder::BATCH;
use crate::fec::named::image::write_image;
use crate::fec::named::{Name, NameKey};
use crate::fec::{Encoder, EncoderConfig};
use crate::gateway::fit;
use crate::gateway::post::Mode;
use crate::gateway::protect::{Crossing, Piece, longest_as_it_is};
use crate::gateway::settings::LinkLocal;
use crate::gateway::shaper::Limit;
use crate::wire::encap::Outer;
use crate::wire::named::longest_message;
use crate::wire::outer::Ether;

/// What it is made of.
#[derive(Clone, Debug)]
pub struct ProtectConfig {
    /// The channel that its repairs are sent on.
    pub channel: u8,
    /// This life of the channel: not one of its earlier ones.
    pub epoch: u32,
    /// The outer header of repairs.
    pub outer: Outer,
    /// How long their parts may be, from the shim on.
    pub part_room: u16,
    /// The WAN's MTU.
    pub wan_mtu: u16,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// What the WAN takes of this channel; `None` is what its port takes.
    pub limit: Option<Limit>,
    /// The length of the frames that SYNs may ask for; none is any.
    pub clamp: Option<usize>,
    /// The largest span of the codes that may be in use, in packets.
    pub span: u64,
    /// The code. Its `max_frame` is the longest image.
    pub encoder: EncoderConfig,
}

impl ProtectConfig {
    /// How many names may be asked for: from a group's first member to its repair's departure.
    pub(super) fn names(&self) -> usize {
        (self.span + 2 * BATCH).next_power_of_two() as usize
    }

    /// What it allocates beside the encoder and what waits for the WAN's rate, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let image = self.encoder.max_frame;
        self.names() * size_of::<u64>() + BURST * image + longest_message(image)
    }
}

/// See the module's head.
pub struct Naming {
    config: ProtectConfig,
    name_key: NameKey,
    cutter: Cutter,
    /// Which of the frames in the outbox are protected.
    named: ArrayVec<u8, BURST>,
    /// The images of these: the frames themselves will belong to the port.
    images: Box<[u8]>,
    lengths: ArrayVec<usize, BURST>,
    checks: ArrayVec<u64, BURST>,
}

impl Naming {
    /// Names frame number `seq`, which will be at place `at` in the outbox, and takes its image. False if it
    /// can't be protected.
    #[inline]
    fn name(&mut self, seq: u64, at: usize, frame: &[u8]) -> bool {
        let nth = self.lengths.len();
        let longest = self.config.encoder.max_frame;
        let Some(len) = write_image(frame, &mut self.images[nth * longest..][..longest]) else {
            return false;
        };
        let Name { name, check } = self.name_key.name(frame);
        self.cutter.remember(seq, name);
        self.named.push(at as u8);
        self.lengths.push(len);
        self.checks.push(check);
        true
    }

    /// Begins the next repair that can be sent. False if there is none.
    fn begin_repair(&mut self, encoder: &mut Encoder, counters: &ProtectCounters) -> bool {
        let next = encoder.next_seq();
        while let Some(repair) = encoder.take_repair() {
            match self.cutter.begin(next, &repair) {
                Some(parts) => {
                    counters.repair_split.add(u64::from(parts > 1));
                    return true;
                }
                None => counters.repair_no_mbuf.add(1),
            }
        }
        false
    }
}

impl Crossing for Naming {
    type Config = ProtectConfig;

    fn new(config: ProtectConfig, pool: Mempool) -> Naming {
        Naming {
            name_key: NameKey::new(config.channel, config.epoch),
            cutter: Cutter::new(&config, pool),
            named: ArrayVec::new(),
            images: vec![0; BURST * config.encoder.max_frame].into(),
            lengths: ArrayVec::new(),
            checks: ArrayVec::new(),
            config,
        }
    }

    fn pool(&self) -> &Mempool {
        self.cutter.pool()
    }

    fn encoder(&self) -> &EncoderConfig {
        &self.config.encoder
    }

    fn limit(&self) -> Option<Limit> {
        self.config.limit
    }

    fn channel(&self) -> u8 {
        self.config.channel
    }

    fn headers(&self) -> usize {
        0
    }

    fn link_local(&self) -> LinkLocal {
        self.config.link_local
    }

    fn is_taken_for_ours(&self, ether: &Ether) -> bool {
        ether.ethertype.get() == self.config.outer.ethertype()
    }

    fn longest(&self, ether: &Ether, _mode: Mode) -> Option<usize> {
        Some(longest_as_it_is(self.config.wan_mtu, ether))
    }

    /// Whatever fits is taken, and what doesn't can't cross.
    fn bypasses(&self, _ether: &Ether, _mbuf: &Mbuf, _mode: Mode) -> bool {
        false
    }

    #[inline]
    fn take(
        &mut self,
        mut mbuf: Mbuf,
        next: u64,
        place: usize,
        mode: Mode,
        counters: &ProtectCounters,
    ) -> Option<(Mbuf, bool)> {
        if let Some(max) = self.config.clamp {
            mbuf = fit::clamp(mbuf, max, self.cutter.pool(), &counters.mss_clamped);
        }
        // What the wire would do, and then the far end would know the frame by another name.
        if mbuf.len() < SHORTEST
            && let Some(padding) = mbuf.append(SHORTEST - mbuf.len())
        {
            padding.fill(0);
        }
        let padded = mbuf.len() >= SHORTEST;
        let seq = next + self.lengths.len() as u64;
        let protected = padded && mode != Mode::Bypass && self.name(seq, place, mbuf.data());
        Some((mbuf, protected))
    }

    fn taken(&self) -> usize {
        self.lengths.len()
    }

    fn frames<'a>(&'a self, waiting: &'a [Mbuf]) -> ArrayVec<&'a [u8], BURST> {
        let frames = self.named.iter().filter_map(|&at| waiting.get(usize::from(at)));
        frames.map(Mbuf::data).collect()
    }

    fn encode(&mut self, now: u64, encoder: &mut Encoder) {
        let longest = self.config.encoder.max_frame.max(1);
        let images = self.images.chunks_exact(longest).zip(&self.lengths);
        let images: ArrayVec<&[u8], BURST> = images.map(|(image, &len)| &image[..len]).collect();
        encoder.push_batch(now, &images, &self.checks);
        self.named.clear();
        self.lengths.clear();
        self.checks.clear();
    }

    fn next_piece(&mut self, encoder: &mut Encoder, counters: &ProtectCounters) -> Option<Piece> {
        if !self.cutter.is_sending() && !self.begin_repair(encoder, counters) {
            return None;
        }
        let piece = self.cutter.cut();
        // It was allocated for packets of this size.
        counters.repair_no_mbuf.add(u64::from(piece.is_none()));
        piece
    }

    fn is_sending(&self) -> bool {
        self.cutter.is_sending()
    }
}
