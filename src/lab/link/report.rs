//! What a link tells its caller: a frame's fate, the frame that leaves, and the counts.

use serde::Serialize;

#[cfg(doc)]
use super::LinkConfig;

/// What became of a frame that entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Its wire index: how many entered this link before it.
    pub index: u64,
    /// When it leaves, or would have left had it not been lost. Never decreasing with the index.
    /// None if it never got onto the wire (oversize, queue full). For a [held](Fate::held) frame
    /// this is when it would have left in its place; it leaves then or later.
    pub exit_ns: Option<u64>,
    /// Why it will not leave, if so.
    pub dropped: Option<DropReason>,
    /// Whether it is being held back, to leave out of order.
    pub held: bool,
}

/// Why a frame does not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// Longer than the MTU allows.
    Oversize,
    /// The queue before the wire was full: tail drop.
    QueueFull,
    /// The loss model took it.
    Lost,
    /// The emulator's own memory was full ([`LinkConfig::buffer`]): no property of the WAN, but
    /// a sign that the buffer is too small for rate × delay.
    BufferFull,
}

/// A frame that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The wire index it was given on entering. A duplicate has its original's.
    pub index: u64,
    /// When it leaves: at or before the `now` that was asked for.
    pub exit_ns: u64,
    /// The frame, corrupted or not.
    pub bytes: &'a [u8],
}

/// What a link has done. At any time
/// `entered + duplicated = delivered + lost + tail_dropped + oversize + buffer_full + in flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkCounters {
    /// Frames that entered; also the next wire index.
    pub entered: u64,
    /// Bytes of those, without preamble, FCS and gap.
    pub entered_bytes: u64,
    /// Frames that left, duplicates included.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
    /// Frames that the loss model took.
    pub lost: u64,
    /// Frames that found the queue full.
    pub tail_dropped: u64,
    /// Frames over the MTU.
    pub oversize: u64,
    /// Frames that the emulator had no memory for; see [`DropReason::BufferFull`].
    pub buffer_full: u64,
    /// Frames with flipped bits (a duplicated one counts once).
    pub corrupted: u64,
    /// Extra copies made.
    pub duplicated: u64,
    /// Frames that at least one later frame has overtaken.
    pub reordered: u64,
}

impl LinkCounters {
    /// Every counter's name and value.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("entered", self.entered),
            ("entered_bytes", self.entered_bytes),
            ("delivered", self.delivered),
            ("delivered_bytes", self.delivered_bytes),
            ("lost", self.lost),
            ("tail_dropped", self.tail_dropped),
            ("oversize", self.oversize),
            ("buffer_full", self.buffer_full),
            ("corrupted", self.corrupted),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
        ]
        .into_iter()
    }
}
