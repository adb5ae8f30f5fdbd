//! Latency under loss: a stream of 1,000 datagrams a second, and short requests over a TCP connection each, with
//! gateways and without.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::cells::Help;
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::net::{HOSTS, Hosts, Net, Place};
use crate::pair::{Gateways, Loss, Pair, Wan};
use crate::plan::plan;
use crate::setup::Setup;
use crate::table::Table;
use crate::talk::{Times, part};
use crate::traffic::Traffic;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Datagrams, one way.
    Datagrams,
    /// Requests, from connecting to the answer's last byte.
    Requests,
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// What is timed.
    pub kind: Kind,
    /// What the WAN loses.
    pub loss: Loss,
    /// Whether 10,000 other packets a second cross beside.
    pub busy: bool,
    /// What helps: nothing, or gateways with the planner's code.
    pub help: Help,
}

/// One way, in ms.
const DELAY_MS: u64 = 50;
/// Datagrams a second, and their bytes.
const STREAM: (u32, u32) = (1000, 200);
/// The other traffic's packets a second, and how long it flows before anything is timed.
const OTHER: u32 = 10_000;
const SETTLED: Duration = Duration::from_secs(1);
/// How many ask at once.
const CLIENTS: u32 = 10;
const PORTS: [u16; 2] = [7001, 7002];
const PATIENCE: Duration = Duration::from_secs(60);
const QUANTILES: [f64; 6] = [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0];
/// Columns of the table. Times in ms; "lost" where so many never arrived.
const COLUMNS: &str = "cell\tkind\tdelay_ms\tloss\tmean_burst\tbusy\thelp\tcode\toverhead\trate_mbps\tseconds\t\
                       sent\tlost\tp50\tp90\tp99\tp999\tp9999\tmost";

impl Cell {
    /// Such as `requests-iid-1-busy-planned`.
    pub fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Datagrams => "datagrams",
            Kind::Requests => "requests",
        };
        let busy = if self.busy { "busy" } else { "alone" };
        format!("{kind}-{}-{busy}-{}", self.loss.name(), self.help.name())
    }
}

/// All cells, in the order in which they are measured.
pub fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (kind, busy) in [
        (Kind::Datagrams, false),
        (Kind::Datagrams, true),
        (Kind::Requests, true),
        (Kind::Requests, false),
    ] {
        for loss in [
            Loss::Iid(0.0),
            Loss::Iid(0.001),
            Loss::Bursts(0.001, 10.0),
            Loss::Iid(0.01),
            Loss::Bursts(0.01, 10.0),
        ] {
            cells.extend([Help::Plain, Help::Planned].map(|help| Cell { kind, loss, busy, help }));
        }
    }
    cells
}

/// Measures those of `cells` that the table does not have yet, each for so many seconds.
///
/// # Errors
/// What could not be had; or as [`interrupt::check`].
pub fn fill(table: &Path, cells: &[Cell], setup: &Setup, seconds: u32) -> Result<()> {
    let mut table = Table::open(table, COLUMNS)?;
    table.insist("rate_mbps", setup.rate_mbps)?;
    table.fill(cells, Cell::name, |cell| measure(cell, setup, seconds))
}

fn measure(cell: &Cell, setup: &Setup, seconds: u32) -> Result<(String, String)> {
    let wan = Wan {
        rate_mbps: setup.rate_mbps,
        delay: Duration::from_millis(DELAY_MS),
        loss: cell.loss,
        seed: 1,
        host_mtu: setup.host_mtu,
    };
    let plan = match cell.help {
        Help::Planned => Some(plan(&setup.binary, &wan.supposed())?),
        _ => None,
    };
    let gateways = plan.as_ref().map(|plan| plan.gateways(&wan));
    let times = timed(cell, setup, seconds, &wan, gateways.as_ref())?;
    let (code, overhead) = plan.as_ref().map_or(("-", 0.0), |plan| (&plan.code, plan.overhead));
    let mean_burst = cell.loss.mean_burst();
    let mut row = format!(
        "{}\t{DELAY_MS}\t{}\t{mean_burst}\t{}\t{}\t{code}\t{overhead:.4}\t{}\t{}\t{}\t{}",
        if cell.kind == Kind::Datagrams { "datagrams" } else { "requests" },
        cell.loss.rate(),
        if cell.busy { OTHER } else { 0 },
        cell.help.name(),
        setup.rate_mbps,
        seconds,
        times.sent,
        times.lost(),
    );
    let mut said = format!("{} of {} lost; ms", times.lost(), times.sent);
    for quantile in QUANTILES {
        let text = match times.quantile(quantile) {
            Some(ns) => format!("{:.2}", ns as f64 / 1e6),
            None => "lost".to_owned(),
        };
        let _ = write!(row, "\t{text}");
        let _ = write!(said, " {text}");
    }
    Ok((row, said))
}

/// Runs one cell.
fn timed(
    cell: &Cell,
    setup: &Setup,
    seconds: u32,
    wan: &Wan,
    gateways: Option<&Gateways>,
) -> Result<Times> {
    let in_flight = wan.in_flight() + wan.queue();
    let hosts = Hosts { mtu: wan.host_mtu, in_flight, congestion: "cubic".to_owned() };
    let net = Net::new(&hosts)?;
    let _pair = Pair::start(&net, &setup.binary, wan, gateways)?;
    let most = PATIENCE + Duration::from_secs(seconds.into());
    let east = |port| format!("{}:{port}", HOSTS[1]);
    let [to, server] = PORTS.map(east);
    let _other = match cell.busy {
        true => Some(Traffic::start(&net, OTHER)?),
        false => None,
    };
    interrupt::sleep(SETTLED)?;
    let (rate, size) = STREAM;
    let time = seconds.to_string();
    let mut result = match cell.kind {
        Kind::Datagrams => {
            let count = (rate * seconds).to_string();
            let mut receiver = part(&net, Place::East, "receive", &["receive", &to, &count])?;
            receiver.wait_for("listening", PATIENCE)?;
            let words = ["send", &to, &rate.to_string(), &size.to_string(), &time];
            let mut sender = part(&net, Place::West, "send", &words)?;
            sender.wait(most)?;
            receiver
        }
        Kind::Requests => {
            let mut answers = part(&net, Place::East, "serve", &["serve", &server])?;
            answers.wait_for("listening", PATIENCE)?;
            let words = ["ask", &server, &CLIENTS.to_string(), &time];
            let mut asking = part(&net, Place::West, "ask", &words)?;
            asking.wait(most)?;
            asking
        }
    };
    if !result.wait(PATIENCE)?.success() {
        return Err(Error::new(result.stderr()));
    }
    serde_json::from_str(&result.stdout()).context("what was timed")
}
