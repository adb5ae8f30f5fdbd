//! One code for a link, chosen again and again while traffic flows: what adaptation asks.
//!
//! The same search as `maelstrom plan` makes, without what is only printed, and within what the
//! gateway has room for. It takes some 0.1 to 1 s on two cores (`cargo run --release
//! --no-default-features --example adapt time`), so a gateway's control thread has it done
//! beside.

use super::plan::{Goal, Short, assess};
use super::planner::{candidates, in_parallel, strongest};
use crate::fec::Code;
use crate::fec::codes::sums;

/// What a code may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Repairs per source packet, at least.
    pub least: f64,
    /// And at most.
    pub overhead: f64,
    /// Packets from the first of a group to its repair's departure: what the far end's window holds.
    pub span: u64,
    /// Sums of the encoder, which are its memory: for dense traffic alone, since a gateway may be without a code for
    /// sparse traffic, and with those for sparse traffic.
    pub sums: [usize; 2],
}

impl Limits {
    /// Anything goes.
    pub const NONE: Limits =
        Limits { least: 0.0, overhead: f64::INFINITY, span: u64::MAX, sums: [usize::MAX; 2] };

    /// Codes that cost so many repairs per source packet at most, and take no more room than
    /// `largest`.
    pub fn new(overhead: f64, largest: &Code) -> Limits {
        Limits { least: 0.0, overhead, span: largest.span(), sums: both_sums(largest) }
    }

    /// Only codes whose span fits the latency budget, so that the encoder counts the traffic as dense,
    /// whatever it did before ([`crate::fec::Timing::latency`]).
    pub fn dense(self, goal: &Goal) -> Limits {
        Limits { span: self.span.min((goal.budget() / 1.25) as u64), ..self }
    }

    /// Whether a code is within them.
    pub fn hold(&self, code: &Code) -> bool {
        self.hold_cost(code.overhead()) && self.hold_size(code)
    }

    pub(super) fn hold_cost(&self, overhead: f64) -> bool {
        // Sums of fractions are not exact.
        overhead >= self.least - 1e-9 && overhead <= self.overhead + 1e-9
    }

    pub(super) fn hold_size(&self, code: &Code) -> bool {
        let fit = both_sums(code).iter().zip(&self.sums).all(|(needed, limit)| needed <= limit);
        code.span() <= self.span && fit
    }
}

/// Sums of a code, and of it and that for sparse traffic beside it, which has as many layers.
fn both_sums(code: &Code) -> [usize; 2] {
    [sums(code), sums(code) + sums(&code.short())]
}

/// What was chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The code.
    pub code: Code,
    /// What it leaves, and how soon it is done.
    pub figures: Short,
    /// Whether that is what was asked. If not, nothing within the limits is, and this leaves least.
    pub meets: bool,
}

/// The cheapest code that does what `goal` asks: `floor` if it does, else what is found within
/// `limits` and costs no less. Where nothing does it, the one within the limits that leaves least in time, and
/// `floor` if none is in time.
pub fn choose(goal: &Goal, floor: &Code, limits: Limits) -> Choice {
    let figures = assess(floor, goal);
    let meets = figures.meets(goal) && limits.hold_size(floor);
    let least = Choice { code: floor.clone(), meets, figures };
    if least.meets {
        return least;
    }
    let limits = Limits { least: floor.overhead().min(limits.overhead), ..limits };
    let mut best: Option<Choice> = None;
    for (promised, codes) in candidates(goal, limits) {
        if best.as_ref().is_some_and(|best| best.code.overhead() <= promised) {
            break;
        }
        let found = codes.into_iter().find_map(|code| {
            let figures = assess(&code, goal);
            figures.meets(goal).then_some(Choice { code, figures, meets: true })
        });
        let cheaper = |a: &Choice, b: &Choice| a.code.overhead() < b.code.overhead();
        if let Some(found) = found.filter(|f| best.as_ref().is_none_or(|best| cheaper(f, best))) {
            best = Some(found);
        }
    }
    best.unwrap_or_else(|| {
        let codes = in_parallel(strongest(goal, limits), |code| {
            let figures = assess(&code, goal);
            Choice { code, figures, meets: figures.meets(goal) }
        });
        // The floor is among them, if it is in time.
        let all = codes.into_iter().chain([least.clone()]);
        let in_time = all.filter(|choice| choice.figures.recovery_delay_ns <= goal.latency_ns);
        let residual = |choice: &Choice| choice.figures.residual;
        in_time.min_by(|a, b| residual(a).total_cmp(&residual(b))).unwrap_or(least)
    })
}

#[cfg(test)]
mod tests {
    use super::super::link::Loss;
    use super::*;

    fn goal(loss: Loss) -> Goal {
        let (packets_per_second, latency_ns) = (50_000.0, 50_000_000);
        Goal { loss, packets_per_second, residual: 1e-5, latency_ns, update: 1 }
    }

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    #[test]
    fn the_floor_stands_where_it_does_and_else_the_cheapest_within_the_limits() {
        let (floor, largest) = (code("32:31,37+g1"), code("24:307,311,313,317,331,337+g1"));
        let limits = Limits::new(0.3, &largest);
        assert!(limits.hold(&floor));
        let calm = choose(&goal(Loss::Iid { rate: 1e-5 }), &floor, limits);
        assert!(calm.meets && calm.code == floor);
        let bursty = goal(Loss::Ge { rate: 0.01, mean_burst: 10.0 });
        let found = choose(&bursty, &floor, limits);
        assert!(found.meets && limits.hold(&found.code) && found.figures.residual <= 1e-5);
        let searched = super::super::planner::search(&bursty).plans[0].overhead;
        assert!(found.code.overhead() <= searched * 1.05, "{} and {searched}", found.code);
    }

    #[test]
    fn the_code_for_sparse_traffic_fits_beside_what_is_chosen() {
        // More and shorter layers than the largest code has take less for dense traffic alone.
        let (floor, largest) = (code("20:17+g1"), code("20:17,27+g2"));
        let limits = Limits::new(2.0, &largest);
        let found = choose(&goal(Loss::Iid { rate: 0.02 }), &floor, limits).code;
        let all = |code: &Code| both_sums(code)[1];
        assert!(all(&found) <= all(&largest), "{found}");
        let many = code("5:2,3,5+g1");
        assert!(sums(&many) <= sums(&largest) && !limits.hold(&many));
        // One long layer has a short one beside it, where two are as long as their short ones.
        let (long, largest) = (code("1:47+g1"), code("8x15/8x14"));
        assert!(all(&long) <= all(&largest) && sums(&long) > sums(&largest));
        assert!(!Limits::new(2.0, &largest).hold(&long));
    }

    #[test]
    fn where_nothing_will_do_the_strongest_within_the_limits_is_taken() {
        let (floor, largest) = (code("32:31,37+g1"), code("24:307,311,313+g1"));
        let heavy = goal(Loss::Ge { rate: 0.1, mean_burst: 40.0 });
        let limits = Limits::new(0.2, &largest);
        let found = choose(&heavy, &floor, limits);
        assert!(!found.meets && limits.hold(&found.code), "{found:?}");
        assert!(found.figures.residual < assess(&floor, &heavy).residual);
        assert!(found.code.overhead() > 0.15, "{}", found.code);
    }
}
