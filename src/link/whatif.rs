//! What `maelstrom link` says of a link: what it did, what came back, and which cheaper or stronger
//! code would have done.

use std::fmt;

use serde::{Serialize, Serializer};

use super::report::Interval;
use crate::fec::Code;
use crate::safety::choice::{Limits, choose};
use crate::safety::confidence::ALPHA;
use crate::safety::estimate::LinkEstimate;
use crate::safety::plan::{Goal, assess};

/// What is wanted of a code, and what it may cost.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The largest share of packets that may never be recovered.
    pub residual: f64,
    /// The latency budget, in nanoseconds.
    pub latency_ns: u64,
    /// What a code may cost, and how large it may be.
    pub limits: Limits,
}

/// Everything that is printed; its fields are those of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct LinkView {
    /// The first packet that was judged, and how many.
    pub first: u64,
    /// See `first`.
    pub packets: u64,
    /// Packets that did not come, and in how many runs.
    pub lost: u64,
    /// See `lost`.
    pub runs: u64,
    /// Packets that the numbers jumped over.
    pub skipped: u64,
    /// The share lost of all packets on the wire, and the mean run: what fits best.
    pub loss: f64,
    /// See `loss`.
    pub mean_burst: f64,
    /// Between what the two lie, each limit passed with a probability of 0.1 %.
    pub loss_least: f64,
    /// See `loss_least`.
    pub loss_limit: f64,
    /// See `loss_least`.
    pub mean_burst_least: f64,
    /// See `loss_least`.
    pub mean_burst_limit: f64,
    /// Runs by the power of two of their length.
    pub run_lengths: Vec<u32>,
    /// Packets out of order, by the power of two of how many had overtaken them.
    pub displaced: Vec<u32>,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets rebuilt, by layer.
    pub recovered: Vec<u32>,
    /// How many are missing for good, and their share.
    pub missing: u64,
    /// See `missing`.
    pub residual: f64,
    /// Half of the recoveries were done within so many nanoseconds, and 99 % of them.
    pub recovery_median_ns: Option<u64>,
    /// See `recovery_median_ns`.
    pub recovery_late_ns: Option<u64>,
    /// The code in force, as it should do on this link, if this end knows it.
    pub code: Option<Priced>,
    /// The cheapest that would have done, or, if none would, the one that leaves least.
    pub instead: Option<Priced>,
    /// What was wanted.
    pub wanted_residual: Option<f64>,
}

/// A code and what is expected of it.
#[derive(Clone, Debug, Serialize)]
pub struct Priced {
    /// The code.
    #[serde(serialize_with = "as_text")]
    pub code: Code,
    /// Repairs per source packet.
    pub overhead: f64,
    /// What it leaves.
    pub residual: f64,
    /// Whether that is what is wanted, in time.
    pub meets: bool,
}

fn as_text<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(code)
}

/// Looks at what happened between two reports, with `code` in force; a part of a second's work. The
/// codes are judged for the link that fits best. `instead` is `None` when too little was lost to
/// say, or the clock stood still. Where the interval is the sum of several channels', each has its
/// part of the packets.
pub fn look(interval: &Interval, channels: usize, code: &Code, wanted: &Wanted) -> LinkView {
    let overhead = code.overhead();
    let packets = interval.counts.sent as f64 / channels.max(1) as f64;
    let packets_per_second = packets * 1e9 / interval.time_ns.max(1) as f64;
    let (residual, latency_ns) = (wanted.residual, wanted.latency_ns);
    let loss = LinkEstimate::new(interval.counts, ALPHA).on_wire(overhead).fit.loss();
    let goal = Goal { loss, packets_per_second, residual, latency_ns, update: 1 };
    let known = interval.counts.lost > 0 && interval.time_ns > 0;
    let figures = known.then(|| assess(code, &goal));
    let instead = known.then(|| {
        // What is cheapest, without a floor.
        let choice = choose(&goal, &cheapest(), wanted.limits.dense(&goal));
        let (overhead, residual) = (choice.code.overhead(), choice.figures.residual);
        Priced { code: choice.code, overhead, residual, meets: choice.meets }
    });
    let mut view = seen(interval, overhead);
    view.recovered = trimmed(&interval.recovered);
    view.recovered.resize(view.recovered.len().max(code.layers().len()), 0);
    view.code = Some(Priced {
        code: code.clone(),
        overhead,
        residual: figures.map_or(0.0, |figures| figures.residual),
        meets: figures.is_none_or(|figures| figures.meets(&goal)),
    });
    (view.instead, view.wanted_residual) = (instead, Some(residual));
    view
}

/// The same without a word on codes, where that in force is not known but for what it costs, if that;
/// without `overhead` the figures are of source packets alone.
pub fn seen(interval: &Interval, overhead: f64) -> LinkView {
    let estimate = LinkEstimate::new(interval.counts, ALPHA).on_wire(overhead);
    let lost = interval.counts.lost;
    LinkView {
        first: interval.first[0],
        packets: interval.counts.sent,
        lost,
        runs: interval.counts.bursts,
        skipped: interval.skipped,
        loss: if lost > 0 { estimate.fit.rate } else { 0.0 },
        mean_burst: estimate.fit.mean_burst,
        loss_least: if lost > 0 { estimate.low.rate } else { 0.0 },
        loss_limit: estimate.high.rate,
        mean_burst_least: estimate.low.mean_burst,
        mean_burst_limit: estimate.high.mean_burst,
        run_lengths: trimmed(&interval.runs),
        displaced: trimmed(&interval.displaced),
        duplicates: interval.duplicates,
        recovered: trimmed(&interval.recovered),
        missing: interval.missing,
        residual: interval.residual(),
        recovery_median_ns: interval.delay(0.5),
        recovery_late_ns: interval.delay(0.99),
        code: None,
        instead: None,
        wanted_residual: None,
    }
}

/// The cheapest code of all.
fn cheapest() -> Code {
    #[allow(clippy::expect_used, reason = "a constant, which a test reads")]
    "256:1".parse().expect("a code")
}

/// Without the zeros at the end.
fn trimmed(table: &[u32]) -> Vec<u32> {
    let end = table.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
    table[..end].to_vec()
}

struct Table<'a>(&'a [u32]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        for (n, (power, count)) in counted.enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            match power {
                0 => write!(f, "{comma}1: {count}")?,
                _ => write!(f, "{comma}{}-{}: {count}", 1u32 << power, (2u32 << power) - 1)?,
            }
        }
        if self.0.is_empty() { write!(f, "none") } else { Ok(()) }
    }
}

impl LinkView {
    /// The line that says which other code would have done.
    pub fn what_if(&self) -> String {
        let LinkView { code: Some(code), instead, wanted_residual: Some(wanted), .. } = self else {
            return "the peer knows its code".to_owned();
        };
        let Some(other) = instead else {
            return "nothing was lost: nothing to compare".to_owned();
        };
        let percent = |priced: &Priced| 100.0 * priced.overhead;
        let (this, cost) = (&code.code, percent(code));
        let (that, price, left) = (&other.code, percent(other), other.residual);
        match (code.meets, other.meets) {
            _ if code.code == other.code => {
                format!("{this} at {cost:.1} % is the cheapest that leaves at most {wanted:.0e}")
            }
            (true, true) if other.overhead < code.overhead => format!(
                "{that} at {price:.1} % would have done instead of {this} at {cost:.1} %: it leaves {left:.0e}"
            ),
            (true, _) => format!("{this} at {cost:.1} % does, and nothing cheaper was found"),
            (false, true) => format!(
                "{this} leaves {:.0e}; {that} at {price:.1} % would have left {left:.0e}",
                code.residual
            ),
            (false, false) => format!(
                "no code within the limits leaves {wanted:.0e} in time; {that} at {price:.1} % leaves {left:.0e}"
            ),
        }
    }
}

impl fmt::Display for LinkView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinkView { first, packets, lost, runs, skipped, duplicates, missing, .. } = self;
        writeln!(
            f,
            "packets    {packets} from {first} on; {lost} lost in {runs} runs; {skipped} skipped"
        )?;
        writeln!(
            f,
            "link       {:.3} % lost in bursts of {:.1}; between {:.3} and {:.3} % in bursts of {:.1} to {:.1} \
             (99.9 % each)",
            100.0 * self.loss,
            self.mean_burst,
            100.0 * self.loss_least,
            100.0 * self.loss_limit,
            self.mean_burst_least,
            self.mean_burst_limit,
        )?;
        writeln!(f, "runs       {}", Table(&self.run_lengths))?;
        writeln!(f, "overtaken  by {}; {duplicates} came again", Table(&self.displaced))?;
        let layers: Vec<String> = self.recovered.iter().map(u32::to_string).collect();
        write!(
            f,
            "recovered  by layer: {}; {missing} missing, {:.1e}",
            layers.join(", "),
            self.residual
        )?;
        if let (Some(median), Some(late)) = (self.recovery_median_ns, self.recovery_late_ns) {
            let ms = |ns: u64| ns as f64 / 1e6;
            write!(f, "; half within {:.2} ms, 99 % within {:.2} ms", ms(median), ms(late))?;
        }
        match self.code {
            Some(_) => write!(f, "\nwhat if    {}", self.what_if()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Report;

    fn interval(lost: u64, bursts: u64) -> Interval {
        let mut new = Report { at_ns: 20_000_000_000, ..Report::default() };
        (new.before.next, new.before.judged) = (1_000_000, 1_000_000);
        (new.before.lost, new.before.bursts) = (lost, bursts);
        (new.after.next, new.after.judged, new.after.missing) = (990_000, 990_000, 3);
        new.before.runs[0] = 5;
        new.before.runs[3] = bursts as u32;
        new.recovered = [100, 20, 3, 0, 0, 0, 0, 0];
        new.delays[10] = 123;
        Interval::new(&Report::default(), &new).unwrap()
    }

    fn wanted() -> Wanted {
        let largest = "24:307,311,313+g1".parse().unwrap();
        Wanted { residual: 1e-5, latency_ns: 50_000_000, limits: Limits::new(0.5, &largest) }
    }

    #[test]
    fn says_which_code_would_have_done() {
        let code = |text: &str| text.parse::<Code>().unwrap();
        let view = look(&interval(1000, 990), 1, &code("8:31,37,41+g1"), &wanted());
        assert!(
            view.code.as_ref().is_some_and(|code| code.meets)
                && view.instead.as_ref().is_some_and(|other| other.overhead < 0.05)
        );
        assert!(view.what_if().contains("would have done instead of 8:31,37,41+g1 at 37.5 %"));
        let view = look(&interval(10_000, 1000), 1, &code("64:11,13+g1"), &wanted());
        let line = view.what_if();
        assert!(!view.code.as_ref().unwrap().meets && line.contains("would have left"), "{line}");
        let text = view.to_string();
        assert_eq!(text.lines().count(), 6);
        for part in
            ["10000 lost in 1000 runs", "1: 5, 8-15: 1000", "by layer: 100, 20, 3;", "3 missing"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&view).unwrap()).unwrap();
        assert_eq!(json["code"]["code"], "64:11,13+g1");
        assert_eq!((&json["lost"], &json["missing"]), (&10_000.into(), &3.into()));
        let heavy = look(&interval(150_000, 1500), 1, &code("64:11,13+g1"), &wanted());
        assert!(heavy.what_if().contains("no code within the limits"), "{}", heavy.what_if());
        let calm = look(&interval(0, 0), 1, &code("64:11,13+g1"), &wanted());
        let far = seen(&interval(10_000, 1000), 0.0);
        assert_eq!((far.lost, far.to_string().lines().count()), (10_000, 5));
        assert!(far.loss_least < 0.01 && far.loss_limit > 0.01, "{far}");
        assert!(calm.instead.is_none() && calm.loss == 0.0 && calm.code.unwrap().meets);
    }
}
