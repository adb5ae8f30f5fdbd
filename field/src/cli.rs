//! What can be asked of the laboratory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use maelstrom_field::cells::{self, Cell};
use maelstrom_field::net::{self, Hosts, Net};
use maelstrom_field::pair::{self, Gateways, Loss, Pair, Wan};
use maelstrom_field::plan::{RESIDUAL, explain, plan};
use maelstrom_field::quick::quick;
use maelstrom_field::shell::shell;
use maelstrom_field::throughput::{self, Settings};
use maelstrom_field::{
    Error, Result, disaster, interrupt, latency, mirror, plots, reordering, talk, traffic,
};

/// The real-time laboratory: kernel TCP across a pair of gateways, in network namespaces, as root
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The whole evaluation
    All(Course),
    /// TCP's goodput across the link, cell by cell, as rows of a table
    Throughput {
        #[command(flatten)]
        course: Course,
        #[command(flatten)]
        choice: Choice,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = THROUGHPUT)]
        table: PathBuf,
    },
    /// Delays of datagrams and of short requests, cell by cell, as rows of a table
    Latency {
        #[command(flatten)]
        course: Course,
        #[command(flatten)]
        choice: Choice,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = LATENCY)]
        table: PathBuf,
    },
    /// What late packets do to TCP, with the resequencer and without, as rows of a table
    Reordering {
        #[command(flatten)]
        course: Course,
        #[command(flatten)]
        choice: Choice,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = REORDERING)]
        table: PathBuf,
    },
    /// Draws the pictures of the tables
    Plots {
        /// Where the tables are, and the pictures go
        #[arg(long, default_value = "docs/evaluation")]
        folder: PathBuf,
    },
    /// A program that talks across the link, as the laboratory runs it on the hosts
    #[command(hide = true, subcommand)]
    Part(Part),
    /// How long commits of the mirrored log store take, by policy, as rows of a table
    Mirror {
        #[command(flatten)]
        course: Course,
        /// Only rows whose first columns, with - between them, contain this; may be repeated
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = MIRROR)]
        table: PathBuf,
    },
    /// What is missing at the mirror after the west has died, by policy, as rows of a table
    Disaster {
        /// How often for each loss
        #[arg(long, default_value_t = DEATHS, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        runs: u32,
        /// The table; runs that it has are not done again
        #[arg(long, default_value = DISASTER)]
        table: PathBuf,
    },
    /// A little of everything, in a minute or two
    Quick {
        /// Where the findings go, as JSON
        #[arg(long, default_value = "target/lab/quick.json")]
        output: PathBuf,
    },
    /// A shell on each side of the link, to play with
    #[command(allow_negative_numbers = true)]
    Shell(Link),
}

/// Which cells.
#[derive(Args)]
struct Choice {
    /// Only cells whose name contains this; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Say which cells there are, and measure none
    #[arg(long)]
    list: bool,
}

#[derive(Subcommand)]
enum Part {
    Send { to: SocketAddr, rate: u32, size: usize, seconds: u32 },
    Receive { at: SocketAddr, count: u64 },
    Serve { at: SocketAddr },
    Ask { to: SocketAddr, clients: u32, seconds: u32 },
    Take,
    Other { rate: u32 },
}

/// How the cells of a table are measured.
#[derive(Args)]
struct Course {
    /// How often each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How many seconds count
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// How many seconds go before, while windows grow
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=60))]
    omit: u32,
    /// Rate of the WAN, in Mb/s
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// The hosts' MTU
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..=8900))]
    mtu: u16,
    /// How long gateways hold frames behind a missing one, in ms
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1000))]
    resequence: u64,
}

/// The WAN, and what the gateways do.
#[derive(Args)]
struct Link {
    /// Rate of the WAN, in Mb/s
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Delay of the WAN one way, in ms
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    delay: u32,
    /// The share of packets that the WAN loses
    #[arg(long, default_value_t = 0.001)]
    loss: f64,
    /// In bursts of this many on average [default: independently]
    #[arg(long)]
    burst: Option<f64>,
    /// The hosts' MTU
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..=8900))]
    mtu: u16,
    /// The hosts' congestion control
    #[arg(long, default_value = "cubic")]
    congestion: String,
    /// How long frames are held behind a missing one, in ms
    #[arg(long, default_value_t = 0)]
    resequence: u32,
    /// No gateways, just the WAN
    #[arg(long)]
    plain: bool,
    /// The gateways' code [default: the planner's choice]
    #[arg(long, conflicts_with = "plain")]
    code: Option<String>,
}

/// Where the tables of the documents are.
const THROUGHPUT: &str = "docs/evaluation/throughput.tsv";
const LATENCY: &str = "docs/evaluation/latency.tsv";
const REORDERING: &str = "docs/evaluation/reordering.tsv";
const MIRROR: &str = "docs/evaluation/mirror.tsv";
const DISASTER: &str = "docs/evaluation/disaster.tsv";
/// How often a site dies for each loss.
const DEATHS: u32 = 20;

/// Long enough for slow start over 50 ms, and short enough for every day.
const QUICK: Course = Course { runs: 1, seconds: 8, omit: 6, rate: 500, mtu: 1500, resequence: 0 };

/// Runs what was asked for; status 2 and one line if it can't be had.
pub fn main() -> ExitCode {
    let verb = match Cli::try_parse() {
        Ok(cli) => cli.verb,
        Err(error) if error.use_stderr() => {
            // Its first paragraph is the matter, the others say how to ask for help.
            let text = error.to_string();
            eprintln!(
                "{}",
                text.lines()
                    .take_while(|line| !line.is_empty())
                    .map(str::trim)
                    .collect::<Vec<_>>()
                    .join(" ")
            );
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    let done = match verb {
        // It is ended by whoever started it.
        Verb::Part(part) => part.run(),
        verb => interrupt::watch().and_then(|()| verb.run()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

impl Course {
    fn settings(&self) -> Result<Settings> {
        net::check()?;
        Ok(Settings {
            binary: pair::binary()?,
            rate_mbps: self.rate,
            host_mtu: self.mtu,
            runs: self.runs,
            seconds: self.seconds,
            omit: self.omit,
            resequence_ms: self.resequence,
        })
    }
}

impl Verb {
    fn run(self) -> Result<()> {
        match self {
            Verb::All(course) => {
                let settings = course.settings()?;
                throughput::fill(Path::new(THROUGHPUT), &cells::all(), &settings)?;
                latency::fill(Path::new(LATENCY), &latency::all(), &settings)?;
                reordering::fill(Path::new(REORDERING), &reordering::all(), &settings)?;
                mirror::fill(Path::new(MIRROR), &[], &settings)?;
                disaster::fill(Path::new(DISASTER), DEATHS, &settings)
            }
            Verb::Throughput { course, choice, table } => {
                choice.fill(cells::all(), Cell::name, |cells| {
                    throughput::fill(&table, cells, &course.settings()?)
                })
            }
            Verb::Latency { course, choice, table } => {
                choice.fill(latency::all(), latency::Cell::name, |cells| {
                    latency::fill(&table, cells, &course.settings()?)
                })
            }
            Verb::Reordering { course, choice, table } => {
                choice.fill(reordering::all(), reordering::Held::name, |cells| {
                    reordering::fill(&table, cells, &course.settings()?)
                })
            }
            Verb::Mirror { course, only, table } => {
                mirror::fill(&table, &only, &course.settings()?)
            }
            Verb::Disaster { runs, table } => disaster::fill(&table, runs, &QUICK.settings()?),
            Verb::Plots { folder } => plots::draw(&folder),
            Verb::Part(part) => part.run(),
            Verb::Quick { output } => quick(&output, &QUICK.settings()?),
            Verb::Shell(link) => play(&link),
        }
    }
}

impl Part {
    fn run(self) -> Result<()> {
        let times = match self {
            Part::Send { to, rate, size, seconds } => {
                return talk::send(to, rate, size, seconds);
            }
            Part::Serve { at } => return talk::serve(at),
            Part::Take => return traffic::take(),
            Part::Other { rate } => return traffic::send(rate),
            Part::Receive { at, count } => talk::receive(at, count)?,
            Part::Ask { to, clients, seconds } => talk::ask(to, clients, seconds)?,
        };
        println!("{}", serde_json::to_string(&times).map_err(Error::new)?);
        Ok(())
    }
}

impl Choice {
    /// Lists the cells that were chosen, or has them measured.
    fn fill<C>(
        &self,
        mut cells: Vec<C>,
        name: impl Fn(&C) -> String,
        measure: impl FnOnce(&[C]) -> Result<()>,
    ) -> Result<()> {
        let unknown = |part: &&String| !cells.iter().any(|cell| name(cell).contains(*part));
        if let Some(unknown) = self.only.iter().find(unknown) {
            return Err(Error::new(format!(
                "--only {unknown}: no cell's name contains it; expected part of one that --list shows"
            )));
        }
        cells.retain(|cell| {
            self.only.is_empty() || self.only.iter().any(|part| name(cell).contains(part))
        });
        if self.list {
            cells.iter().for_each(|cell| println!("{}", name(cell)));
            return Ok(());
        }
        measure(&cells)
    }
}

impl Link {
    fn wan(&self) -> Result<Wan> {
        if !(0.0..0.5).contains(&self.loss) {
            let loss = self.loss;
            return Err(Error::new(format!(
                "--loss {loss}: expected 0 or more, below 0.5, e.g. 0.001"
            )));
        }
        Ok(Wan {
            rate_mbps: self.rate,
            delay: Duration::from_millis(u64::from(self.delay)),
            loss: match self.burst {
                Some(mean) => Loss::Bursts(self.loss, mean),
                None => Loss::Iid(self.loss),
            },
            seed: 1,
            host_mtu: self.mtu,
        })
    }
}

fn play(link: &Link) -> Result<()> {
    let wan = link.wan()?;
    let binary = pair::binary()?;
    let plan = match (&link.code, link.plain) {
        (_, true) => None,
        (Some(code), _) => Some(explain(&binary, &wan, code)?),
        (None, _) => Some(plan(&binary, &wan, RESIDUAL)?),
    };
    let resequence = Duration::from_millis(u64::from(link.resequence));
    let gateways = plan.map(|plan| Gateways { resequence, ..plan.gateways(&wan) });
    let hosts = Hosts {
        mtu: wan.host_mtu,
        in_flight: wan.in_flight() + wan.queue(),
        congestion: link.congestion.clone(),
    };
    let net = Net::new(&hosts)?;
    let _pair = Pair::start(&net, &binary, &wan, gateways.as_ref())?;
    shell(&net)
}
