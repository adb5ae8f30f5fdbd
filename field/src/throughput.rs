//! The throughput table: cells are run several times each, and become rows of a TSV file as they are done, so that
//! a run that was interrupted goes on where it was.

use std::path::Path;

use crate::cells::{Cell, Help, PUBLISHED};
use crate::error::Result;
use crate::kcptun::{self, Tunnel};
use crate::net::{Hosts, Net};
use crate::pair::{Gateways, Pair};
use crate::plan::{Plan, explain, plan};
use crate::setup::{Runs, Setup};
use crate::table::Table;
use crate::tcp::{self, Outcome};

/// How cells are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// On what.
    pub setup: Setup,
    /// How often, and how long.
    pub runs: Runs,
    /// As `lan.resequence` of the gateways, in ms.
    pub resequence_ms: u64,
}

/// Columns of the table. Goodput in Mb/s; `retransmits` is the median; `busy` and `load` say what else the machine
/// did: the cores' busy share in percent, this laboratory included, and the load average before, at most.
const COLUMNS: &str = "cell\tcontrol\tdelay_ms\tloss\tmean_burst\tflows\thelp\tcode\toverhead\tresequence_ms\t\
                       rate_mbps\tmtu\tseconds\truns\tgoodput_median\tgoodput_min\tgoodput_max\tretransmits\t\
                       busy\tload";

/// What a cell came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// The code that its gateways used, if there were any.
    pub plan: Option<Plan>,
    /// One for each run, by goodput.
    pub outcomes: Vec<Outcome>,
}

impl Row {
    /// The median goodput, in Mb/s.
    pub fn goodput(&self) -> f64 {
        median(self.outcomes.iter().map(|outcome| outcome.goodput_mbps))
    }

    fn line(&self, cell: &Cell, settings: &Settings) -> String {
        let mean_burst = cell.loss.mean_burst();
        let (code, overhead) = match &self.plan {
            Some(plan) => (plan.code.as_str(), plan.overhead),
            None => ("-", 0.0),
        };
        let most = |of: fn(&Outcome) -> f64| self.outcomes.iter().map(of).fold(0.0, f64::max);
        let least = self.outcomes.first().map_or(0.0, |outcome| outcome.goodput_mbps);
        let greatest = self.outcomes.last().map_or(0.0, |outcome| outcome.goodput_mbps);
        format!(
            "{}\t{}\t{}\t{mean_burst}\t{}\t{}\t{code}\t{overhead:.4}\t{}\t{}\t{}\t{}\t{}\t{:.1}\t{least:.1}\t\
             {greatest:.1}\t{:.0}\t{:.0}\t{:.1}",
            cell.control,
            cell.delay_ms,
            cell.loss.rate(),
            cell.flows,
            cell.help.name(),
            if self.plan.is_some() { settings.resequence_ms } else { 0 },
            settings.setup.rate_mbps,
            settings.setup.host_mtu,
            settings.runs.seconds,
            self.outcomes.len(),
            self.goodput(),
            median(self.outcomes.iter().map(|outcome| outcome.retransmits as f64)),
            100.0 * most(|outcome| outcome.busy),
            most(|outcome| outcome.load),
        )
    }
}

/// Runs a cell as often as settings say, each time with fresh processes and another seed.
///
/// # Errors
/// What could not be had; or as [`crate::interrupt::check`].
pub fn run(cell: &Cell, settings: &Settings) -> Result<Row> {
    tcp::check()?;
    if cell.help == Help::Kcptun {
        kcptun::check()?;
    }
    let Settings { setup, runs, resequence_ms } = settings;
    let [_, supposed] = cell.wans(setup, 1);
    let plan = match cell.help {
        Help::Plain | Help::Kcptun => None,
        Help::Published => Some(explain(&setup.binary, &supposed, PUBLISHED)?),
        Help::Planned => Some(plan(&setup.binary, &supposed)?),
    };
    let gateways = plan.as_ref().map(|plan| Gateways {
        resequence: std::time::Duration::from_millis(*resequence_ms),
        ..plan.gateways(&supposed)
    });
    let course = runs.course(cell.flows);
    let mut outcomes = Vec::new();
    for seed in 1..=runs.runs {
        let [wan, _] = cell.wans(setup, u64::from(seed));
        let in_flight = wan.in_flight() + wan.queue();
        let hosts = Hosts { mtu: wan.host_mtu, in_flight, congestion: cell.control.to_owned() };
        let net = Net::new(&hosts)?;
        let _pair = Pair::start(&net, &setup.binary, &wan, gateways.as_ref())?;
        outcomes.push(match cell.help {
            Help::Kcptun => {
                let _tunnel = Tunnel::start(&net, &wan)?;
                tcp::measure(&net, kcptun::ENTRY, &course)?
            }
            _ => tcp::measure(&net, tcp::EAST, &course)?,
        });
    }
    outcomes.sort_by(|a, b| a.goodput_mbps.total_cmp(&b.goodput_mbps));
    Ok(Row { plan, outcomes })
}

/// Runs those of `cells` that the table does not have yet, and adds a row for each.
///
/// # Errors
/// As [`run`], or the table can't be written.
pub fn fill(table: &Path, cells: &[Cell], settings: &Settings) -> Result<()> {
    let mut table = Table::open(table, COLUMNS)?;
    table.insist("rate_mbps", settings.setup.rate_mbps)?;
    table.fill(cells, Cell::name, |cell| {
        let row = run(cell, settings)?;
        let each: Vec<String> =
            row.outcomes.iter().map(|outcome| format!("{:.1}", outcome.goodput_mbps)).collect();
        let code = row.plan.as_ref().map_or("", |plan| plan.code.as_str());
        let said = format!("{:.1} Mb/s ({}) {code}", row.goodput(), each.join(" "));
        Ok((row.line(cell, settings), said))
    })
}

/// The middle one, or the mean of the middle two; 0 of none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells;

    #[test]
    fn a_row_has_all_columns_and_the_medians() {
        let outcome =
            |mbps, retransmits| Outcome { goodput_mbps: mbps, retransmits, busy: 0.5, load: 1.25 };
        let row =
            Row { plan: None, outcomes: vec![outcome(1.0, 9), outcome(2.0, 1), outcome(4.0, 5)] };
        let settings = Settings {
            setup: Setup { binary: "maelstrom".into(), rate_mbps: 500, host_mtu: 1500 },
            runs: Runs { runs: 3, seconds: 20, omit: 5 },
            resequence_ms: 0,
        };
        let line = row.line(&cells::all()[0], &settings);
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields.len(), COLUMNS.split('\t').count() - 1, "{line}");
        assert_eq!(fields[13..], ["2.0", "1.0", "4.0", "5", "50", "1.2"], "{line}");
        assert_eq!(median([].into_iter()), 0.0);
        assert_eq!(median([3.0, 1.0].into_iter()), 2.0);
    }
}
