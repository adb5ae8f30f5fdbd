//! Many disasters of one kind, and what they come to.

use maelstrom::safety::confidence::{binomial_tail, upper_limit};

use super::run::{Outcome, POLICIES, Policy, Scene, run};
use super::site::Pools;

/// The confidence at which a promise counts as broken: one-sided, 99 %.
pub const ALPHA: f64 = 0.01;

/// One policy's sums over all runs of a cell.
#[derive(Default)]
pub struct Tally {
    pub runs: u64,
    /// Runs after which a record was missing that a client was told of, and the first of their seeds.
    pub bad: u64,
    pub first: Option<u64>,
    pub acknowledged: u64,
    pub missing: u64,
    pub most: u64,
    took: Vec<u64>,
}

impl Tally {
    fn add(&mut self, seed: u64, outcome: &mut Outcome, policy: usize) {
        let told = &mut outcome.told[policy];
        self.runs += 1;
        self.bad += u64::from(told.missing > 0);
        if told.missing > 0 {
            self.first = self.first.or(Some(seed));
        }
        self.acknowledged += told.acknowledged;
        self.missing += told.missing;
        self.most = self.most.max(told.missing);
        self.took.append(&mut told.took);
    }

    /// The time until a client was told, in milliseconds, of a share of the records.
    pub fn took_ms(&mut self, share: f64) -> f64 {
        self.took.sort_unstable();
        let last = self.took.len().saturating_sub(1);
        self.took.get((last as f64 * share) as usize).map_or(f64::NAN, |&ns| ns as f64 / 1e6)
    }

    /// P(so many bad runs or more, if the promise is true).
    pub fn likelihood(&self, target: f64) -> f64 {
        binomial_tail(self.bad, self.runs, target)
    }

    /// The most that the probability of a bad run may be, at 99 % confidence.
    pub fn limit(&self) -> f64 {
        upper_limit(self.bad, self.runs, ALPHA)
    }
}

/// What a policy lets pass: nothing, a share of the runs, or anything.
pub fn target(policy: Policy) -> Option<f64> {
    match policy {
        Policy::Local | Policy::Semi => None,
        Policy::Within(p) => Some(p),
        Policy::Remote => Some(0.0),
    }
}

/// All runs of a cell, and what was counted of the WAN in them.
pub struct Cell {
    pub tallies: [Tally; POLICIES.len()],
    pub lost: u64,
    pub rebuilt: u64,
    pub resent: u64,
}

impl Cell {
    /// Runs of the seeds from `first` on.
    pub fn of(pools: &Pools, scene: &Scene, first: u64, runs: u64) -> Cell {
        let mut cell = Cell { tallies: Default::default(), lost: 0, rebuilt: 0, resent: 0 };
        for seed in first..first + runs {
            let mut outcome = run(pools, scene, seed);
            cell.lost += outcome.lost;
            cell.rebuilt += outcome.rebuilt;
            cell.resent += outcome.resent;
            for (policy, tally) in cell.tallies.iter_mut().enumerate() {
                tally.add(seed, &mut outcome, policy);
            }
        }
        cell
    }

    /// A line for each policy that can be asked for.
    pub fn rows(&mut self, plain: bool) -> Vec<String> {
        let mut rows = Vec::new();
        for (tally, policy) in self.tallies.iter_mut().zip(POLICIES) {
            if plain && !matches!(policy, Policy::Local | Policy::Remote) {
                continue;
            }
            let promise = target(policy).map_or("-\t-".to_owned(), |target| {
                format!("{target:.0e}\t{:.2}", tally.likelihood(target))
            });
            let [median, p99] = [0.5, 0.99].map(|share| tally.took_ms(share));
            let first = tally.first.map_or("-".to_owned(), |seed| seed.to_string());
            rows.push(format!(
                "{}\t{}\t{}\t{:.1e}\t{:.1e}\t{promise}\t{}\t{}\t{}\t{median:.2}\t{p99:.2}\t{first}",
                name(policy),
                tally.runs,
                tally.bad,
                tally.bad as f64 / tally.runs as f64,
                tally.limit(),
                tally.acknowledged,
                tally.missing,
                tally.most,
            ));
        }
        rows
    }
}

/// The promise that a row says was broken, with the seed that shows it.
///
/// # Errors
/// It is no row.
pub fn broken(row: &str) -> Result<Option<String>, String> {
    let fields: Vec<&str> = row.split('\t').collect();
    let [policy, runs, bad, _, _, target, _, .., first] = fields[..] else {
        return Err(format!("{row:?}: too few fields"));
    };
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| format!("{row:?}: got {text:?}, expected a number"))
    };
    let (runs, bad) = (number(runs)?, number(bad)?);
    if target == "-" {
        return Ok(None);
    }
    let target: f64 =
        target.parse().map_err(|_| format!("{row:?}: got {target:?}, expected a probability"))?;
    // With a target of 1e-6 a single one is too many, in 10,000 runs still.
    let is_broken = binomial_tail(bad, runs, target) < ALPHA;
    Ok(is_broken.then(|| format!("{policy}: {bad} of {runs} runs, the first with seed {first}")))
}

/// As it is in the table.
pub fn name(policy: Policy) -> String {
    match policy {
        Policy::Local => "local".to_owned(),
        Policy::Semi => "semi".to_owned(),
        Policy::Within(p) => format!("network-sync {p:.0e}"),
        Policy::Remote => "remote".to_owned(),
    }
}
