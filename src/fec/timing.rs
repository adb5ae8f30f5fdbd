//! What protects sparse traffic: ages, idle times, the cap on flushes, and the measured rate.
//!
//! A code's spans are counted in packets, so at low rates they grow long in time. Three rules bound
//! the delay, one the cost; docs/ARCHITECTURE.md says what they come to for some typical flows.

use super::code::{Code, MAX_LAYERS};

/// Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Without a source packet for `idle[l]`, what is open in layer `l` is closed. They differ, so
    /// that the copies of a lone packet are spread out in time.
    pub idle: [u64; MAX_LAYERS],
    /// The most that passes from the opening of a group of layer `l` to the departure of its repair,
    /// guard or not, as far as `flush_cap` allows. `None` is 1.5 × the layer's span at the measured
    /// rate, but no more than `latency`; until a rate is measured it is `latency`.
    pub age: [Option<u64>; MAX_LAYERS],
    /// The latency budget: where the code's span takes longer than this at the measured rate, the
    /// short code takes over (from 0.8 times that rate down, and back from 1.25 times it up). Its repairs may be
    /// what keeps the rate low ([`super::Encoder::set_waiting`]): then it does so no longer than the link would have
    /// room for this rate without it.
    pub latency: u64,
    /// How many repair packets flushes may cost per source packet.
    pub flush_cap: f64,
}

impl Timing {
    /// 1 ms of idle time for the first layer, 2 ms for the second and so on; ages by the measured
    /// rate; a latency budget of 50 ms; and, per source packet, as many flush repairs as layers,
    /// which is what a lone packet needs.
    pub fn new(code: &Code) -> Timing {
        Timing::with_idle(code, 1_000_000)
    }

    /// The same with another idle time.
    pub fn with_idle(code: &Code, idle: u64) -> Timing {
        Timing {
            idle: std::array::from_fn(|layer| idle.saturating_mul(layer as u64 + 1)),
            age: [None; MAX_LAYERS],
            latency: 50_000_000,
            flush_cap: code.layers().len() as f64,
        }
    }
}

/// How long a window of the rate measurement is, at least.
const RATE_WINDOW: u64 = 10_000_000;

/// The rate of source packets, smoothed over a few windows.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    since: Option<u64>,
    packets: u64,
    per_second: Option<f64>,
    /// When packets last came, and for how long, of this window and in the one before, others waited.
    last: u64,
    waited: u64,
    waited_mostly: bool,
}

impl RateMeter {
    /// Counts packets, one or more, that came together; says whether there is a new estimate. Windows end with a packet and never
    /// with a look at the clock, so that nothing depends on how often somebody looks. `waiting` says that since the last
    /// call some waited for the link.
    pub(super) fn count(&mut self, now: u64, packets: u64, waiting: bool) -> bool {
        // The first may end a window; the others are in the next one, or in the same.
        let others = packets - 1;
        let last = std::mem::replace(&mut self.last, now);
        if waiting {
            self.waited += now.saturating_sub(last);
        }
        let Some(since) = self.since else {
            self.since = Some(now);
            self.packets = others;
            return false;
        };
        self.packets += 1;
        let elapsed = now.saturating_sub(since);
        if elapsed < RATE_WINDOW {
            self.packets += others;
            return false;
        }
        let rate = self.packets as f64 * 1e9 / elapsed as f64;
        self.per_second = Some(match self.per_second {
            Some(old) => (old + rate) / 2.0,
            None => rate,
        });
        self.since = Some(now);
        self.packets = others;
        self.waited_mostly = std::mem::take(&mut self.waited) > elapsed / 2;
        true
    }

    /// Whether for most of the last window packets waited for the link.
    pub(super) fn waited_mostly(&self) -> bool {
        self.waited_mostly
    }

    /// Source packets a second, once a window has ended.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.per_second
    }
}

/// A token bucket that holds flush repairs, in thousandths.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: i64,
    per_packet: i64,
    depth: i64,
}

impl Budget {
    pub(super) fn new(cap: f64, depth: usize) -> Budget {
        Budget { tokens: 0, per_packet: (cap * 1000.0) as i64, depth: depth as i64 * 1000 }
    }

    /// Another cap and depth; what there is stays, as far as it fits.
    pub(super) fn change(&mut self, cap: f64, depth: usize) {
        let Budget { per_packet, depth, .. } = Budget::new(cap, depth);
        *self = Budget { tokens: self.tokens.min(depth), per_packet, depth };
    }

    #[inline]
    pub(super) fn earn(&mut self, packets: usize) {
        self.tokens = (self.tokens + self.per_packet * packets as i64).min(self.depth);
    }

    /// How many flush repairs may be sent now.
    pub(super) fn available(&self) -> usize {
        usize::try_from(self.tokens / 1000).unwrap_or(0)
    }

    /// May leave a debt, which later packets pay off.
    pub(super) fn spend(&mut self, repairs: usize) {
        self.tokens -= repairs as i64 * 1000;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_traffic() {
        let mut meter = RateMeter::default();
        let mut now = 0;
        for interval in [100_000, 1_000] {
            for _ in 0..100_000 {
                now += interval;
                meter.count(now, 1, false);
            }
            let expected = 1e9 / interval as f64;
            let rate = meter.per_second().unwrap();
            assert!((rate / expected - 1.0).abs() < 0.02, "{rate} instead of {expected}");
        }
    }

    #[test]
    fn the_budget_bounds_what_is_spent() {
        let mut budget = Budget::new(0.5, 10);
        assert_eq!(budget.available(), 0);
        (0..5).for_each(|_| budget.earn(1));
        assert_eq!(budget.available(), 2);
        budget.spend(3);
        assert_eq!(budget.available(), 0);
        (0..1000).for_each(|_| budget.earn(1));
        assert_eq!(budget.available(), 10);
    }
}
