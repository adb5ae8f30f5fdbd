//! The planner: from a link, a residual and a latency budget to the cheapest code.
//!
//! Codes come in families: a number of layers of one group size, perhaps with a fast layer in
//! front. Within a family large groups are cheap, and small ones leave less and are sooner done, so
//! the largest that will do is found by bisection. Interleaves are neighbouring primes. Long ones
//! recover from bursts and take long, so a group size is judged by the longest that the latency
//! budget holds; the winner then gets the shortest that will do. What a formula rules out is not
//! simulated, and simulations are short until a code is printed.

use std::sync::Mutex;

use super::choice::Limits;
use super::link::Loss;
use super::peel::simulate;
use super::plan::{Goal, Plan, explain, late_delay};
use super::residual::{all_repairs_lost, estimate, independent};
use crate::fec::Code;

/// How many codes are printed.
const WANTED: usize = 5;
/// Lost source packets in a simulation: to rule out, and to accept for now.
const QUICK: u64 = 1200;
const CAREFUL: u64 = 2500;
const WORSE: u64 = 5_000;
/// How many smaller group sizes are looked at when a code does not hold out.
const SMALLER: usize = 3;
/// The formula for the delay is right within such a factor.
const DELAY_MARGIN: f64 = 0.7;
/// Repairs per source packet beyond which nothing is tried.
const MOST_OVERHEAD: f64 = 2.0;

/// Group sizes.
const GROUPS: [u16; 26] = [
    1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192,
    256,
];
/// Where neighbouring primes begin.
const BASES: [u16; 16] = [1, 2, 5, 11, 19, 31, 47, 67, 97, 149, 211, 307, 449, 701, 1009, 1511];
/// Group sizes of a fast layer of interleave 1; the second is tried if there are too few codes.
const FAST: [u16; 2] = [32, 8];
/// The most layers of a code that is found.
pub const LAYERS: usize = 6;

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Found {
    /// Codes that do what is asked, the cheapest first.
    pub plans: Vec<Plan>,
    /// If there is none: the fastest that leaves little enough, and the one that leaves least in
    /// time, as far as there are such.
    pub faultless: Option<Plan>,
    /// See `faultless`.
    pub in_time: Option<Plan>,
}

/// Looks for codes that do what `goal` asks.
pub fn search(goal: &Goal) -> Found {
    let limits = Limits::NONE;
    let (last, first): (Vec<_>, Vec<_>) =
        families(goal, limits).into_iter().partition(|family| family.fast == Some(FAST[1]));
    let mut found = Vec::new();
    for families in [first, last] {
        if found.len() < WANTED {
            let hopes = in_parallel(families, |family| family.cheapest(goal));
            found.extend(hopes.into_iter().flatten());
        }
    }
    found.sort_by(|a, b| a.shortest.overhead().total_cmp(&b.shortest.overhead()));
    found.truncate(WANTED);
    let plans = in_parallel(found, |hope| hope.fulfil(goal));
    let mut plans: Vec<Plan> = plans.into_iter().flatten().collect();
    plans.sort_by(|a, b| {
        a.overhead.total_cmp(&b.overhead).then(a.recovery_delay_ns.cmp(&b.recovery_delay_ns))
    });
    if !plans.is_empty() {
        return Found { plans, faultless: None, in_time: None };
    }
    let (faultless, in_time) = (fastest(goal), least(goal));
    // What was looked for otherwise may do after all.
    let plans: Vec<Plan> =
        faultless.iter().chain(&in_time).filter(|plan| plan.meets(goal)).cloned().collect();
    match plans.is_empty() {
        true => Found { plans, faultless, in_time },
        false => Found { plans, faultless: None, in_time: None },
    }
}

/// The fastest code that leaves little enough, whatever the latency budget.
fn fastest(goal: &Goal) -> Option<Plan> {
    // Short simulations are hopeful.
    let patient = Goal { latency_ns: u64::MAX, residual: goal.residual / 4.0, ..*goal };
    let families = families(goal, Limits::NONE).into_iter().filter(|family| family.fast.is_none());
    let codes = in_parallel(families.collect(), |family| family.fastest(&patient));
    let plans = explain_all(codes.into_iter().flatten().collect(), goal);
    let faultless = plans.into_iter().filter(|plan| plan.residual <= goal.residual);
    faultless.min_by_key(|plan| plan.recovery_delay_ns)
}

/// The code that leaves least within the latency budget.
fn least(goal: &Goal) -> Option<Plan> {
    let plans = explain_all(strongest(goal, Limits::NONE), goal);
    let in_time = plans.into_iter().filter(|plan| plan.recovery_delay_ns <= goal.latency_ns);
    in_time.min_by(|a, b| a.residual.total_cmp(&b.residual))
}

/// Of each number of layers the code that leaves least within the latency budget.
pub(super) fn strongest(goal: &Goal, limits: Limits) -> Vec<Code> {
    let lenient = Goal { residual: 1.0, ..*goal };
    let families = families(&lenient, limits).into_iter().filter(|family| family.fast.is_none());
    let codes = in_parallel(families.collect(), |family| family.least(goal));
    codes.into_iter().flatten().collect()
}

/// In the order of what they promise to cost, groups of codes, of each of which the first that holds
/// out is to be taken; and the least that one of the group costs.
pub(super) fn candidates(goal: &Goal, limits: Limits) -> Vec<(f64, Vec<Code>)> {
    let plain = families(goal, limits).into_iter().filter(|family| family.fast.is_none());
    let hopes = in_parallel(plain.collect(), |family| family.cheapest(goal));
    let mut hopes: Vec<Hope> = hopes.into_iter().flatten().collect();
    hopes.sort_by(|a, b| a.shortest.overhead().total_cmp(&b.shortest.overhead()));
    hopes.into_iter().map(|hope| (hope.shortest.overhead(), hope.codes(goal).collect())).collect()
}

/// The published code, and every packet twice, the copy behind a few mean bursts or as late as the
/// latency budget allows.
pub fn yardsticks(goal: &Goal) -> Vec<Plan> {
    let apart = (5.0 * goal.loss.mean_burst()).min(goal.budget()).clamp(1.0, 16_000.0) as u16;
    let codes = ["8:1,20,40".to_owned(), format!("1:{apart}+g1")];
    explain_all(codes.iter().filter_map(|code| code.parse().ok()).collect(), goal)
}

fn explain_all(codes: Vec<Code>, goal: &Goal) -> Vec<Plan> {
    in_parallel(codes, |code| explain(&code, goal))
}

/// Works on all items, on as many threads as there are processors; in their order.
pub(super) fn in_parallel<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let queue = Mutex::new(items.into_iter().enumerate());
    let next = || queue.lock().ok()?.next();
    let mut done = std::thread::scope(|scope| {
        let worker =
            || std::iter::from_fn(next).map(|(n, item)| (n, work(item))).collect::<Vec<_>>();
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|w| w.join().ok()).flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Codes that differ in group size and interleaves.
#[derive(Clone, Debug)]
struct Family {
    /// The group size of a first layer of interleave 1.
    fast: Option<u16>,
    /// How many layers follow, or are there.
    layers: usize,
    guard: &'static str,
    /// Group sizes at which independent losses of the same rate leave little enough, ascending.
    groups: Vec<u16>,
    limits: Limits,
}

fn families(goal: &Goal, limits: Limits) -> Vec<Family> {
    // Without bursts a guard only delays.
    let guard = if matches!(goal.loss, Loss::Iid { .. }) { "" } else { "+g1" };
    let fasts = [None].into_iter().chain(FAST.map(Some));
    let all = fasts.flat_map(|fast| {
        (1..=LAYERS - usize::from(fast.is_some())).map(move |layers| Family {
            fast,
            layers,
            guard,
            groups: GROUPS.into_iter().filter(|&group| fast.is_none_or(|f| f < group)).collect(),
            limits,
        })
    });
    let bearable = |mut family: Family| {
        let groups = std::mem::take(&mut family.groups);
        family.groups = groups
            .into_iter()
            .filter(|&group| {
                family.code(group, 97).is_some_and(|code| {
                    limits.hold_cost(code.overhead())
                        && code.overhead() <= MOST_OVERHEAD
                        && independent(&code, &goal.loss) <= goal.residual
                })
            })
            .collect();
        (!family.groups.is_empty()).then_some(family)
    };
    all.filter_map(bearable).collect()
}

impl Family {
    /// With the primes from `base` on as interleaves.
    fn code(&self, group: u16, base: u16) -> Option<Code> {
        let fast = self.fast.map(|fast| format!("{fast}x1"));
        // One interleave of 1 is enough.
        let base = if fast.is_some() { base.max(2) } else { base };
        let long = coprime(base).take(self.layers).map(|i| format!("{group}x{i}"));
        let layers: Vec<String> = fast.into_iter().chain(long).collect();
        format!("{}{}", layers.join("/"), self.guard).parse().ok()
    }

    /// The codes of a group size that may be fast enough, those with short interleaves first.
    fn codes(&self, group: u16, goal: &Goal) -> Vec<Code> {
        let codes = BASES.iter().filter_map(|&base| self.code(group, base));
        let mut codes: Vec<Code> = codes.collect();
        let may_be = |code: &Code| {
            self.limits.hold_size(code)
                && DELAY_MARGIN * typical_delay(code, &goal.loss) <= goal.budget()
        };
        codes.truncate(codes.iter().rposition(may_be).map_or(0, |last| last + 1));
        codes
    }

    /// The code of a group size with the longest interleaves that is in time, and the shorter ones.
    fn longest(&self, group: u16, goal: &Goal) -> Option<(Code, Vec<Code>)> {
        let mut codes = self.codes(group, goal);
        while let Some(code) = codes.pop() {
            if is_in_time(&code, goal) {
                return Some((code, codes));
            }
        }
        None
    }

    /// The code with the largest groups that does what is asked, as far as short simulations tell.
    fn cheapest(&self, goal: &Goal) -> Option<Hope> {
        let mut best = None;
        let (mut low, mut high) = (0, self.groups.len());
        while low < high {
            let middle = (low + high) / 2;
            let longest = self.longest(self.groups[middle], goal);
            match longest.filter(|(code, _)| leaves_little(code, goal)) {
                Some((longest, shorter)) => {
                    best = Some((middle, longest, shorter));
                    low = middle + 1;
                }
                None => high = middle,
            }
        }
        let (group, longest, shorter) = best?;
        let good = |code: &Code| is_in_time(code, goal) && leaves_little(code, goal);
        let shortest = shorter.partition_point(|code| !good(code));
        let shortest = shorter.into_iter().nth(shortest).unwrap_or_else(|| longest.clone());
        Some(Hope { family: self.clone(), group, shortest, longest })
    }

    /// Of codes with groups so small that they cost much, and with larger ones, the fastest that
    /// leaves little enough.
    fn fastest(&self, goal: &Goal) -> Option<Code> {
        let of_group = |&group: &u16| {
            let codes = self.codes(group, goal);
            let shortest = codes.partition_point(|code| !leaves_little(code, goal));
            codes.into_iter().nth(shortest)
        };
        let step = self.groups.len().div_ceil(2);
        let codes = self.groups.iter().step_by(step).filter_map(of_group);
        codes.min_by(|a, b| typical_delay(a, &goal.loss).total_cmp(&typical_delay(b, &goal.loss)))
    }

    /// The code with the smallest groups that is in time: it leaves least.
    fn least(&self, goal: &Goal) -> Option<Code> {
        self.groups.iter().find_map(|&group| self.longest(group, goal)).map(|(code, _)| code)
    }
}

/// What short simulations hope for.
struct Hope {
    family: Family,
    /// The number of its group size.
    group: usize,
    /// With the shortest interleaves that may do, and with the longest.
    shortest: Code,
    longest: Code,
}

impl Hope {
    /// What may hold out when it is looked at closely: the code itself, or one with smaller groups.
    fn codes(self, goal: &Goal) -> impl Iterator<Item = Code> {
        let mut codes = vec![self.shortest];
        codes.extend((self.longest != codes[0]).then_some(self.longest));
        let first = self.group.saturating_sub(SMALLER);
        let smaller = (first..self.group).rev();
        let family = self.family;
        let smaller = smaller.filter_map(move |n| family.longest(family.groups[n], goal));
        codes.into_iter().chain(smaller.map(|(code, _)| code))
    }

    /// The first of those that does.
    fn fulfil(self, goal: &Goal) -> Option<Plan> {
        let mut codes = self.codes(goal);
        codes.find_map(|code| Some(explain(&code, goal)).filter(|plan| plan.meets(goal)))
    }
}

fn is_in_time(code: &Code, goal: &Goal) -> bool {
    late_delay(&simulate(code, &goal.loss, QUICK, 6)) <= goal.budget()
}

fn leaves_little(code: &Code, goal: &Goal) -> bool {
    if all_repairs_lost(code, &goal.loss) > goal.residual {
        return false;
    }
    let quick = simulate(code, &goal.loss, QUICK, 6);
    if quick.stuck >= 3 && quick.residual() > 3.0 * goal.residual {
        return false;
    }
    let outcome = simulate(code, &goal.loss, CAREFUL, 7);
    estimate(code, &goal.loss, &outcome, WORSE).share <= goal.residual
}

/// 1 if it begins there, and then primes: all coprime.
fn coprime(base: u16) -> impl Iterator<Item = u16> {
    let is_prime =
        |n: &u16| *n == 1 || (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (base..).filter(is_prime)
}

/// In how many source packets 99 % of recoveries are done, if a packet comes back with the first of
/// its repairs whose group misses nothing else, and layers are independent.
fn typical_delay(code: &Code, loss: &Loss) -> f64 {
    let p = loss.rate();
    let layers: Vec<_> = code
        .layers()
        .iter()
        .map(|&layer| {
            let (r, i) = (f64::from(layer.group), f64::from(layer.interleave));
            (r, i, code.guard(layer) as f64, 1.0 - (1.0 - p).powf(r))
        })
        .collect();
    let never: f64 = layers.iter().map(|layer| layer.3).product();
    let later = |t: f64| -> f64 {
        let of_layer = |&(r, i, guard, useless): &(f64, f64, f64, f64)| {
            let gone = ((t - guard) / i + 1.0).floor().clamp(0.0, r);
            useless + (1.0 - useless) * (1.0 - gone / r)
        };
        (layers.iter().map(of_layer).product::<f64>() - never) / (1.0 - never)
    };
    let (mut low, mut high) = (0.0, code.span() as f64);
    while high - low > 0.5 {
        let middle = (low + high) / 2.0;
        if later(middle) > 0.01 { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURSTS: Loss = Loss::Ge { rate: 0.01, mean_burst: 20.0 };

    fn goal(loss: Loss, packets_per_second: f64, residual: f64, latency_ns: u64) -> Goal {
        Goal { loss, packets_per_second, residual, latency_ns, update: 1 }
    }

    /// What is found does what is asked, comes in the order of its cost, and costs a fraction of
    /// what was published.
    #[test]
    fn finds_codes_that_do_what_is_asked() {
        for goal in [
            goal(BURSTS, 833_333.0, 1e-7, 10_000_000),
            goal(Loss::Iid { rate: 0.001 }, 83_333.0, 1e-6, 1_000_000),
        ] {
            let found = search(&goal);
            assert!(!found.plans.is_empty() && found.faultless.is_none());
            assert!(found.plans.iter().all(|plan| plan.meets(&goal)));
            assert!(found.plans.is_sorted_by(|a, b| a.overhead <= b.overhead));
            assert!(found.plans[0].overhead < 0.1);
            for plan in &found.plans {
                let levels = plan.code.layers().len();
                assert_eq!(plan.time_to_level_ns.len(), levels);
                assert_eq!(plan.update_loss_at_level.len(), levels);
                assert!(plan.time_to_level_ns.is_sorted());
                assert!(plan.update_loss_at_level.is_sorted_by(|a, b| a >= b));
            }
        }
    }

    #[test]
    fn says_what_comes_nearest_when_nothing_fits() {
        // 50 Mb/s and a round trip of 5 ms: five packets of time against bursts of 20.
        let goal = goal(BURSTS, 4166.0, 1e-7, 1_250_000);
        let Found { plans, faultless, in_time } = search(&goal);
        assert!(plans.is_empty());
        let (faultless, in_time) = (faultless.unwrap(), in_time.unwrap());
        assert!(
            faultless.residual <= goal.residual && faultless.recovery_delay_ns > goal.latency_ns
        );
        assert!(in_time.residual > goal.residual && in_time.recovery_delay_ns <= goal.latency_ns);
    }

    #[test]
    fn yardsticks_are_the_published_code_and_copies() {
        let plans = yardsticks(&goal(BURSTS, 833_333.0, 1e-7, 10_000_000));
        assert_eq!(plans[0].code.to_string(), "8:1,20,40");
        assert!((1e-3..2.5e-3).contains(&plans[0].residual) && plans[0].residual_measured);
        assert_eq!((plans[1].overhead, plans[1].code.layers().len()), (1.0, 1));
    }

    #[test]
    fn the_same_question_has_the_same_answer() {
        let goal = goal(Loss::Iid { rate: 0.02 }, 100_000.0, 1e-5, 20_000_000);
        let codes = || search(&goal).plans.iter().map(|p| format!("{p:?}")).collect::<Vec<_>>();
        assert_eq!(codes(), codes());
    }
}
