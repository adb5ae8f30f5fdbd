//! What can be asked of the laboratory.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use maelstrom_field::net::{Hosts, Net};
use maelstrom_field::pair::{self, Gateways, Loss, Pair, Wan};
use maelstrom_field::plan::plan;
use maelstrom_field::shell::shell;
use maelstrom_field::{Error, Result, interrupt};

/// The real-time laboratory: kernel TCP across a pair of gateways, in network namespaces, as root
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// A shell on each side of the link, to play with
    Shell(Link),
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
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..=9000))]
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

/// Runs what was asked for; status 2 and one line if it can't be had.
pub fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let done = interrupt::watch().and_then(|()| match &verb {
        Verb::Shell(link) => play(link),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
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
    let latency = Gateways::latency(&wan);
    let code = match (&link.code, link.plain) {
        (Some(code), _) => code.clone(),
        (None, true) => String::new(),
        (None, false) => plan(&binary, &wan, latency, 1e-7)?.code,
    };
    let gateways = Gateways {
        code,
        latency: 4 * latency,
        resequence: Duration::from_millis(u64::from(link.resequence)),
        more: Default::default(),
    };
    let hosts = Hosts {
        mtu: wan.host_mtu,
        in_flight: wan.in_flight(),
        congestion: link.congestion.clone(),
    };
    let net = Net::new(&hosts)?;
    let _pair = Pair::start(&net, &binary, &wan, (!link.plain).then_some(&gateways))?;
    shell(&net)
}
