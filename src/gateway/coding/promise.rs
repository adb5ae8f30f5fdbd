//! What readers are promised: with which link it is reckoned, and of which codes packets are in flight.

use super::{Coding, Stage};
use crate::fec::{Code, EncoderConfig};
use crate::gateway::flows::Worth;
use crate::link::adapt::Adapter;
use crate::safety::confidence::ALPHA;
use crate::safety::estimate::Bursts;
use crate::safety::link::Loss;

/// What readers are promised follows the link no more often than this, in nanoseconds.
const REPUBLISH: u64 = 1_000_000_000;
/// The link is taken to be so much worse than its limit, so that a little more is no news.
const MARGIN: f64 = 1.25;
/// A link so many times as good is news: waits end at each change.
const BETTER: f64 = 2.0;
/// Packets that had left their room before the old code was out have left the gateway so much later,
/// beside the port's own time, in nanoseconds: flows are published, and control looks, some time behind.
const LEAVING: u64 = 1_000_000_000;
/// Bursts or shares that nobody has measured.
const NO_FLOOR: Loss = Loss::Iid { rate: 1e-12 };

/// Who waits for levels.
pub trait Readers {
    /// Puts a code in force for them, with what its levels are worth. All their waits end.
    fn publish(&mut self, code: &Code, worth: &Worth);

    /// Notes what flows have in flight.
    fn mark(&mut self);

    /// Whether all that was noted is acknowledged, or its flow is another's.
    fn is_settled(&mut self) -> bool;
}

/// Nobody.
impl Readers for () {
    fn publish(&mut self, _code: &Code, _worth: &Worth) {}

    fn mark(&mut self) {}

    fn is_settled(&mut self) -> bool {
        true
    }
}

/// What readers are told of, and how soon what was sent has left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promised {
    /// The operator's floor of the link.
    pub floor: Option<Loss>,
    /// What lies between a room and the edge of the site, in nanoseconds.
    pub exit: u64,
}

/// What readers are promised.
pub(super) struct Promise {
    /// Codes whose repairs may be in flight, that in force last; worth that, where it is known.
    pub(super) codes: Vec<(EncoderConfig, Option<Worth>)>,
    floor: Option<Loss>,
    pub(super) link: Option<Loss>,
    /// When the link was last looked at.
    looked_at: u64,
    /// When all older codes were out of the rooms, and whether what was in flight then is noted.
    pub(super) out_at: Option<u64>,
    pub(super) marked: bool,
    /// What was published is not what is known.
    pub(super) is_stale: bool,
}

impl Coding {
    /// Follows the link, and what is in flight, in what readers are promised.
    pub(super) fn follow(&mut self, now: u64, readers: &mut dyn Readers) {
        let exit = LEAVING + self.exit;
        let Some(promise) = &mut self.promise else { return };
        if self.building {
            return;
        }
        let steady = matches!(self.stage, Stage::Steady);
        if steady && promise.codes.len() > 1 && promise.out_at.is_some_and(|at| now >= at + exit) {
            if !promise.marked {
                readers.mark();
                promise.marked = true;
            }
            if readers.is_settled() {
                promise.codes.drain(..promise.codes.len() - 1);
                promise.is_stale = true;
            }
        }
        if now >= promise.looked_at + REPUBLISH {
            promise.looked_at = now;
            promise.reckon(&self.adapter);
        }
    }
}

impl Promise {
    /// Readers have been told of `present` with `floor` as the link.
    pub(super) fn new(present: EncoderConfig, floor: Option<Loss>) -> Promise {
        Promise {
            codes: vec![(present, None)],
            floor,
            link: floor,
            looked_at: 0,
            out_at: None,
            marked: false,
            is_stale: false,
        }
    }

    /// Looks which link to reckon with.
    pub(super) fn reckon(&mut self, adapter: &Adapter) {
        let link = self.look(adapter);
        if link != self.link {
            (self.link, self.is_stale) = (link, true);
            self.codes.iter_mut().for_each(|(_, worth)| *worth = None);
        }
    }

    /// The link to reckon with: the larger of the floor and what was measured, and as before where that
    /// is hardly another one.
    fn look(&self, adapter: &Adapter) -> Option<Loss> {
        let Some(measured) = adapter.measured(ALPHA) else { return self.floor };
        let floor = self.floor.unwrap_or(NO_FLOOR);
        let least = measured.at_least(floor).loss;
        let mut wider = measured;
        wider.high = Bursts {
            rate: (measured.high.rate * MARGIN).min(0.9),
            mean_burst: if measured.high.mean_burst > 1.0 {
                measured.high.mean_burst * MARGIN
            } else {
                1.0
            },
        };
        let wider = wider.at_least(floor).loss;
        let Some(before) = self.link else { return Some(wider) };
        let worse = least.rate() > before.rate() || least.mean_burst() > before.mean_burst();
        let better = wider.rate() * BETTER < before.rate()
            || wider.mean_burst() * BETTER < before.mean_burst();
        Some(if worse || better { wider } else { before })
    }
}
