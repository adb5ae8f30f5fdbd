//! What can be asked of the laboratory.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use maelstrom_field::cells::{self, Cell};
use maelstrom_field::quick::quick;
use maelstrom_field::say::say;
use maelstrom_field::setup::{Runs, Setup};
use maelstrom_field::store::Programs;
use maelstrom_field::throughput::{self, Settings};
use maelstrom_field::{
    Error, Result, disaster, error, interrupt, kcptun, latency, mirror, plots, reordering, tcp,
};

mod link;
mod part;

use link::Link;
use part::Part;

/// The real-time laboratory: kernel TCP across a pair of gateways, in network namespaces, as root
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// All tables, one after the other, as they are in docs/evaluation: about two and a half hours
    All,
    /// TCP's goodput across the link, cell by cell, as rows of a table
    Throughput {
        #[command(flatten)]
        course: Course,
        /// Rate of the WAN, in Mb/s: the default is the fastest of which two cores carry 0.8 without loss
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
        /// The hosts' MTU
        #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..=8900))]
        mtu: u16,
        /// How long gateways hold frames behind a missing one, in ms
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1000))]
        resequence: u64,
        #[command(flatten)]
        choice: Choice,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = "docs/evaluation/throughput.tsv")]
        table: PathBuf,
    },
    /// Delays of datagrams and of short requests, cell by cell, as rows of a table
    Latency {
        /// How long each cell takes, in seconds
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
        /// Rate of the WAN, in Mb/s
        #[arg(long, default_value_t = RATE_MBPS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
        #[command(flatten)]
        choice: Choice,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = "docs/evaluation/latency.tsv")]
        table: PathBuf,
    },
    /// What late packets do to TCP, with the resequencer and without, as rows of a table
    Reordering {
        #[command(flatten)]
        course: Course,
        /// Rate of the WAN, in Mb/s
        #[arg(long, default_value_t = RATE_MBPS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
        #[command(flatten)]
        choice: Choice,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = "docs/evaluation/reordering.tsv")]
        table: PathBuf,
    },
    /// How long commits of the mirrored log store take, by policy, as rows of a table
    Mirror {
        /// How many seconds of each row count
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
        #[command(flatten)]
        choice: Choice,
        /// The table; cells that it has are not measured again
        #[arg(long, default_value = "docs/evaluation/mirror.tsv")]
        table: PathBuf,
    },
    /// What is missing at the mirror after the west has died, by policy, as rows of a table
    Disaster {
        /// How often for each loss
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        runs: u32,
        /// The table; runs that it has are not done again
        #[arg(long, default_value = "docs/evaluation/disaster.tsv")]
        table: PathBuf,
    },
    /// Draws the pictures of the tables
    Plots {
        /// Where the tables are, and the pictures go
        #[arg(long, default_value = "docs/evaluation")]
        folder: PathBuf,
    },
    /// Three cells of throughput, commits at 1 and 100 ms and one death, in about eighty seconds
    Quick {
        /// Where the findings go, as JSON
        #[arg(long, default_value = "target/lab/quick.json")]
        output: PathBuf,
    },
    /// A shell on each side of the link, to play with
    #[command(allow_negative_numbers = true)]
    Shell(Link),
    /// A program that talks across the link, as the laboratory runs it on the hosts
    #[command(hide = true, subcommand)]
    Part(Part),
}

/// Those that fill tables, in the order of [`Verb::All`].
const TABLES: [&str; 5] = ["throughput", "latency", "reordering", "mirror", "disaster"];
/// The WAN's rate for all but throughput, in Mb/s.
const RATE_MBPS: u32 = 500;

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

/// How TCP's goodput is measured.
#[derive(Args)]
struct Course {
    /// How often each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How many seconds count
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// How many seconds go before, while windows grow
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=60))]
    omit: u32,
}

/// Runs what was asked for; status 2 and one line if it can't be had.
pub fn main() -> ExitCode {
    let verb = match Cli::try_parse() {
        Ok(cli) => cli.verb,
        // Nothing was asked for: what there is, whole.
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
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
    error::end(verb.run())
}

impl Course {
    fn runs(&self) -> Runs {
        Runs { runs: self.runs, seconds: self.seconds, omit: self.omit }
    }
}

impl Verb {
    fn run(self) -> Result<()> {
        // A part is ended by whoever started it.
        if !matches!(self, Verb::Part(_)) {
            interrupt::watch()?;
        }
        match self {
            Verb::All => all(),
            Verb::Throughput { course, rate, mtu, resequence, choice, table } => {
                choice.fill(cells::all(), Cell::name, |cells| {
                    let setup = Setup { host_mtu: mtu, ..Setup::new(rate)? };
                    let settings =
                        Settings { setup, runs: course.runs(), resequence_ms: resequence };
                    throughput::fill(&table, cells, &settings)
                })
            }
            Verb::Latency { seconds, rate, choice, table } => {
                choice.fill(latency::all(), latency::Cell::name, |cells| {
                    latency::fill(&table, cells, &Setup::new(rate)?, seconds)
                })
            }
            Verb::Reordering { course, rate, choice, table } => {
                choice.fill(reordering::all(), reordering::Held::name, |cells| {
                    reordering::fill(&table, cells, &Setup::new(rate)?, &course.runs())
                })
            }
            Verb::Mirror { seconds, choice, table } => {
                choice.fill(mirror::all(), mirror::Row::name, |rows| {
                    mirror::fill(&table, rows, &Setup::new(RATE_MBPS)?, seconds)
                })
            }
            Verb::Disaster { runs, table } => disaster::fill(&table, runs, &Setup::new(RATE_MBPS)?),
            Verb::Plots { folder } => plots::draw(&folder),
            Verb::Part(part) => part.run(),
            Verb::Quick { output } => quick(&output, &Setup::new(RATE_MBPS)?),
            Verb::Shell(link) => link.play(),
        }
    }
}

/// Each of the verbs that fill tables, as if it had been asked for by its name alone. What one of them would miss is
/// said before the first begins.
fn all() -> Result<()> {
    let setup = Setup::new(RATE_MBPS)?;
    tcp::check()?;
    kcptun::check()?;
    Programs::beside(&setup.binary)?;
    TABLES.iter().try_for_each(|verb| {
        let cli = Cli::try_parse_from(["field", verb]).map_err(Error::new)?;
        cli.verb.run()
    })
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
            cells.iter().for_each(|cell| say(name(cell)));
            return Ok(());
        }
        measure(&cells)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn all_asks_for_verbs_that_need_no_options() {
        Cli::command().debug_assert();
        for verb in TABLES {
            assert!(Cli::try_parse_from(["field", verb]).is_ok(), "{verb}");
        }
        assert!(Cli::try_parse_from(["field", "all", "--runs", "5"]).is_err());
        assert!(Cli::try_parse_from(["field", "latency", "--runs", "5"]).is_err());
    }
}
