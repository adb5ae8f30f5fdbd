//! One connection, as its storage process sees it: what its entry in the gateway's table says, in the
//! connection's own offsets.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::anchor::{Anchor, Look};
use super::attachment::{Attachment, Found};
use super::{Subscriber, WaitError, WaitMode};
use crate::entry::Sample;
use crate::kernel::Tcp;
use crate::layout::MAX_LEVELS;
use crate::{Code, FlowKey, now_ns};

/// How often the kernel is asked while the gateway's word does not count.
const ASK_OFTEN_NS: u64 = 50_000;
/// How often it is asked otherwise, lest an acknowledgement that the gateway missed be waited for.
const ASK_SELDOM_NS: u64 = 10_000_000;

/// A connection whose progress can be asked and waited for. Offsets count the bytes that this process
/// has written to it, from its first.
#[derive(Debug)]
pub struct Flow {
    pub(super) subscriber: Subscriber,
    pub(super) key: FlowKey,
    pub(super) socket: Option<Socket>,
    pub(super) bound: Option<Bound>,
    /// Where it was bound last.
    pub(super) last: Option<(u64, Found)>,
    /// Counts the entries it was bound to.
    pub(super) binding: u64,
    /// The TCP sequence number of its first byte, once known.
    pub(super) first_seq: Option<u32>,
    /// Why it will never be bound again.
    pub(super) ended: Option<WaitError>,
    code: Option<Arc<Code>>,
    asked_ns: u64,
    /// What the kernel has seen acknowledged, when it was asked last.
    kernel_acked: u64,
    mode: WaitMode,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) file: OwnedFd,
    counts_syn: Option<bool>,
}

#[derive(Debug)]
pub(super) struct Bound {
    pub(super) attachment: Arc<Attachment>,
    pub(super) found: Found,
    pub(super) anchor: Anchor,
}

/// What the gateway says of the flow at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) sample: Sample,
    /// What is to be added to our offsets to get the gateway's; none while unanchored.
    pub(super) shift: Option<i64>,
}

impl View {
    /// What is acknowledged, in the gateway's offsets. Nobody can acknowledge what was not sent.
    pub(super) fn acked(&self) -> u64 {
        self.sample.acked.unwrap_or(0).min(self.sample.sent)
    }

    /// In the gateway's offsets, of which no number is too small or too large.
    pub(super) fn theirs(&self, ours: u64) -> Option<i128> {
        self.shift.map(|shift| i128::from(ours) + i128::from(shift))
    }

    fn ours(&self, theirs: u64) -> Result<u64, WaitError> {
        let shift = self.shift.ok_or(WaitError::Unanchored)?;
        let ours = i128::from(theirs) - i128::from(shift);
        Ok(ours.clamp(0, u64::MAX.into()) as u64)
    }
}

impl Flow {
    pub(super) fn new(subscriber: Subscriber, key: FlowKey, socket: Option<OwnedFd>) -> Flow {
        Flow {
            subscriber,
            key,
            socket: socket.map(|file| Socket { file, counts_syn: None }),
            bound: None,
            last: None,
            binding: 0,
            first_seq: None,
            ended: None,
            code: None,
            asked_ns: 0,
            kernel_acked: 0,
            mode: WaitMode::Spin,
        }
    }

    /// Its two ends.
    pub fn key(&self) -> &FlowKey {
        &self.key
    }

    /// How [`Flow::wait`] passes the time; [`WaitMode::Spin`] at first.
    pub fn set_mode(&mut self, mode: WaitMode) {
        self.mode = mode;
    }

    pub(super) fn mode(&self) -> WaitMode {
        self.mode
    }

    /// Every byte below this offset is covered by at least `level` repair packets that have left.
    /// It says nothing about whether the gateway still protects.
    pub fn watermark(&mut self, level: usize) -> Result<u64, WaitError> {
        let view = self.view(now_ns())?;
        let levels = self.code()?.levels;
        match level.checked_sub(1).and_then(|index| view.sample.levels.get(index)) {
            Some(&offset) if level <= levels => view.ours(offset),
            _ => Err(WaitError::NoSuchLevel { asked: level, levels: levels.min(MAX_LEVELS) }),
        }
    }

    /// Every byte below this offset has left the gateway, once.
    pub fn sent(&mut self) -> Result<u64, WaitError> {
        let view = self.view(now_ns())?;
        view.ours(view.sample.sent)
    }

    /// Every byte below this offset was acknowledged by the far TCP, as the gateway has seen it.
    pub fn acked(&mut self) -> Result<u64, WaitError> {
        let view = self.view(now_ns())?;
        view.ours(view.acked())
    }

    /// How many packets of it are in flight, as the gateway counts.
    pub fn in_flight(&mut self) -> Result<u64, WaitError> {
        Ok(self.view(now_ns())?.sample.in_flight)
    }

    /// Whether the gateway's offsets are known. If not, waits go by the kernel's acknowledgements
    /// meanwhile.
    pub fn is_anchored(&mut self) -> Result<bool, WaitError> {
        Ok(self.view(now_ns())?.shift.is_some())
    }

    /// The gateway it is bound to; after [`Flow::view`] there is one.
    pub(super) fn attachment(&self) -> Result<&Arc<Attachment>, WaitError> {
        self.bound.as_ref().map(|bound| &bound.attachment).ok_or(WaitError::NotTracked)
    }

    pub(super) fn binding(&self) -> u64 {
        self.binding
    }

    /// The code in force at its gateway.
    pub(super) fn code(&mut self) -> Result<&Code, WaitError> {
        let attachment = self.attachment()?;
        let generation = attachment.code_generation().ok_or(WaitError::CodeSwitched)?;
        if self.code.as_ref().is_none_or(|code| code.generation != generation) {
            self.code = Some(attachment.code().ok_or(WaitError::CodeSwitched)?);
        }
        self.code.as_deref().ok_or(WaitError::CodeSwitched)
    }

    /// Looks at its entry, for which it is looked for, if need be.
    pub(super) fn view(&mut self, now: u64) -> Result<View, WaitError> {
        self.bind(now)?;
        let due = now.saturating_sub(self.asked_ns) >= ASK_OFTEN_NS;
        let anchored = self.bound.as_ref().is_none_or(|bound| bound.anchor.is_final());
        // Before the entry is looked at: see the module `anchor`.
        let kernel = if anchored || !due { None } else { self.ask(now) };
        let Some(bound) = &self.bound else { return Err(WaitError::NotTracked) };
        let Some(sample) =
            bound.attachment.entry(&bound.found).sample(bound.found.identity.generation)
        else {
            return Err(self.lost());
        };
        if let Some((before, ours)) = kernel {
            self.anchor(now, &sample, before, ours);
        }
        let Some(bound) = &self.bound else { return Err(WaitError::NotTracked) };
        // What was sent before the gateway picked it up must be acknowledged first.
        let covered = !bound.found.identity.unanchored || sample.acked.is_some();
        Ok(View { sample, shift: bound.anchor.shift().filter(|_| covered) })
    }

    /// What the kernel has seen acknowledged; it is asked again if it is time, or if it must be.
    pub(super) fn kernel_acked(&mut self, now: u64, blind: bool, at_once: bool) -> u64 {
        let pause = if blind { ASK_OFTEN_NS } else { ASK_SELDOM_NS };
        if at_once || now.saturating_sub(self.asked_ns) >= pause {
            self.ask(now);
        }
        self.kernel_acked
    }

    pub(super) fn has_socket(&self) -> bool {
        self.socket.is_some()
    }

    fn ask(&mut self, now: u64) -> Option<(Tcp, u64)> {
        let socket = self.socket.as_mut()?;
        self.asked_ns = now;
        if socket.counts_syn.is_none() {
            socket.counts_syn = Tcp::counts_syn(socket.file.as_fd()).ok()?;
        }
        let tcp = Tcp::of(socket.file.as_fd()).ok()?;
        let acked = tcp.data_acked(socket.counts_syn.unwrap_or(true));
        self.kernel_acked = self.kernel_acked.max(acked);
        Some((tcp, acked))
    }

    fn anchor(&mut self, now: u64, sample: &Sample, before: Tcp, ours: u64) {
        let (Some(bound), Some(socket)) = (&mut self.bound, &self.socket) else { return };
        let state = bound.attachment.state();
        let idle = before.is_idle(socket.counts_syn.unwrap_or(true))
            && socket.counts_syn.is_some()
            && Tcp::of(socket.file.as_fd()) == Ok(before);
        if before.open {
            bound.anchor.look(&Look {
                now_ns: now,
                ours,
                theirs: sample.acked,
                idle,
                protects: state.protects(),
                transitions: bound.attachment.transitions(),
            });
        }
        if bound.anchor.is_exact()
            && let Some(shift) = bound.anchor.shift()
        {
            self.first_seq = Some(bound.found.identity.base_seq.wrapping_add(shift as u32));
        }
    }
}
