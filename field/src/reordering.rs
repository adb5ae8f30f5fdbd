//! What packets that are recovered late do to TCP: retransmissions that were not needed, and the duplicates that the
//! receiver then tells of (DSACK, RFC 2883), with the far gateway's resequencer and without.

use std::path::Path;
use std::time::Duration;

use crate::cells::{Cell, Help};
use crate::error::{Context, Result};
use crate::net::{Hosts, Net, Place};
use crate::pair::{Gateways, Loss, Pair};
use crate::plan::plan;
use crate::setup::{Runs, Setup};
use crate::table::Table;
use crate::tcp::{self, Outcome};
use crate::throughput::median;

/// How long the resequencer holds what is behind a hole, in ms; 0 is none.
const HELD_MS: [u64; 5] = [0, 1, 5, 20, 50];

/// Counters of the western host's TCP: duplicates that the eastern one told of, and times that it found what it had
/// taken for lost to be late.
const COUNTERS: [&str; 2] = ["TCPDSACKRecv", "TCPSACKReorder"];

/// Columns of the table; medians over runs, goodput in Mb/s.
const COLUMNS: &str = "cell\tdelay_ms\tloss\tmean_burst\tresequence_ms\tcode\toverhead\trate_mbps\tseconds\truns\t\
                       goodput_median\tgoodput_min\tgoodput_max\tretransmits\tdsacks\treorderings";

/// A link, and how long the resequencer holds packets there.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    cell: Cell,
    ms: u64,
}

impl Held {
    /// Such as `50ms-iid-1-held-5ms`.
    pub fn name(&self) -> String {
        let Cell { delay_ms, loss, .. } = self.cell;
        format!("{delay_ms}ms-{}-held-{}ms", loss.name(), self.ms)
    }
}

/// All cells, in the order in which they are measured.
pub fn all() -> Vec<Held> {
    let links = [
        (50, Loss::Iid(0.001)),
        (50, Loss::Iid(0.01)),
        (50, Loss::Bursts(0.01, 10.0)),
        (10, Loss::Iid(0.01)),
    ];
    let cell =
        |(delay_ms, loss)| Cell { control: "cubic", delay_ms, loss, flows: 1, help: Help::Planned };
    links.into_iter().flat_map(|link| HELD_MS.map(|ms| Held { cell: cell(link), ms })).collect()
}

/// Measures those of `cells` that the table does not have yet.
///
/// # Errors
/// What could not be had; or as [`crate::interrupt::check`].
pub fn fill(table: &Path, cells: &[Held], setup: &Setup, runs: &Runs) -> Result<()> {
    tcp::check()?;
    let mut table = Table::open(table, COLUMNS)?;
    table.insist("rate_mbps", setup.rate_mbps)?;
    table.fill(cells, Held::name, |cell| measure(cell, setup, runs))
}

fn measure(held: &Held, setup: &Setup, runs: &Runs) -> Result<(String, String)> {
    let cell = &held.cell;
    let [_, supposed] = cell.wans(setup, 1);
    let plan = plan(&setup.binary, &supposed)?;
    let gateways =
        Gateways { resequence: Duration::from_millis(held.ms), ..plan.gateways(&supposed) };
    let course = runs.course(cell.flows);
    let mut all: Vec<(Outcome, [u64; 2])> = Vec::new();
    for seed in 1..=runs.runs {
        let [wan, _] = cell.wans(setup, u64::from(seed));
        let in_flight = wan.in_flight() + wan.queue();
        let hosts = Hosts { mtu: wan.host_mtu, in_flight, congestion: cell.control.to_owned() };
        let net = Net::new(&hosts)?;
        let _pair = Pair::start(&net, &setup.binary, &wan, Some(&gateways))?;
        let before = counters(&net)?;
        let outcome = tcp::measure(&net, tcp::EAST, &course)?;
        let after = counters(&net)?;
        all.push((outcome, [0, 1].map(|n| after[n].saturating_sub(before[n]))));
    }
    let goodputs = || all.iter().map(|(outcome, _)| outcome.goodput_mbps);
    let middle = |of: fn(&(Outcome, [u64; 2])) -> u64| median(all.iter().map(|run| of(run) as f64));
    let (goodput, retransmits) = (median(goodputs()), middle(|run| run.0.retransmits));
    let [dsacks, reorderings] = [middle(|run| run.1[0]), middle(|run| run.1[1])];
    let row = format!(
        "{}\t{}\t{}\t{}\t{}\t{:.4}\t{}\t{}\t{}\t{goodput:.1}\t{:.1}\t{:.1}\t{retransmits:.0}\t{dsacks:.0}\t\
         {reorderings:.0}",
        cell.delay_ms,
        cell.loss.rate(),
        cell.loss.mean_burst(),
        held.ms,
        plan.code,
        plan.overhead,
        setup.rate_mbps,
        runs.seconds,
        runs.runs,
        goodputs().fold(f64::INFINITY, f64::min),
        goodputs().fold(0.0, f64::max),
    );
    let said = format!(
        "{goodput:.1} Mb/s, {retransmits:.0} segments sent again, {dsacks:.0} of them in vain, {reorderings:.0} \
         times late"
    );
    Ok((row, said))
}

/// The western host's counters. Two lines of names and values for each protocol.
fn counters(net: &Net) -> Result<[u64; 2]> {
    let text = net.shell(Place::West, "cat /proc/net/netstat")?;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let value = |name: &str| {
        lines.chunks(2).find_map(|pair| {
            let place = pair[0].iter().position(|word| *word == name)?;
            pair.get(1)?.get(place)?.parse().ok()
        })
    };
    let missing = |name| format!("/proc/net/netstat: expected {name}");
    let [dsacks, late] =
        COUNTERS.map(|name| value(name).ok_or_else(|| crate::Error::new(missing(name))));
    Ok([dsacks.context("TCP's counters")?, late.context("TCP's counters")?])
}
