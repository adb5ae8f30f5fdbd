//! `field shell`: the link that is asked for.

use std::time::Duration;

use clap::Args;

use maelstrom_field::net::{Hosts, Net};
use maelstrom_field::pair::{Gateways, Loss, Pair, Wan};
use maelstrom_field::plan::{explain, plan};
use maelstrom_field::setup::Setup;
use maelstrom_field::shell::shell;
use maelstrom_field::{Error, Result};

use super::RATE_MBPS;

/// The WAN, and what the gateways do.
#[derive(Args)]
pub struct Link {
    /// Rate of the WAN, in Mb/s
    #[arg(long, default_value_t = RATE_MBPS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
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
    #[arg(long, default_value_t = 0, conflicts_with = "plain", value_parser = clap::value_parser!(u64).range(0..=1000))]
    resequence: u64,
    /// No gateways, just the WAN
    #[arg(long)]
    plain: bool,
    /// The gateways' code [default: the planner's choice]
    #[arg(long, conflicts_with = "plain")]
    code: Option<String>,
}

impl Link {
    fn wan(&self) -> Result<Wan> {
        if !(0.0..0.5).contains(&self.loss) {
            let loss = self.loss;
            return Err(Error::new(format!(
                "--loss {loss}: expected 0 or more, below 0.5, e.g. 0.001"
            )));
        }
        // As `maelstrom plan` has it, which is not asked with --plain or --code.
        if let Some(burst) = self.burst.filter(|burst| !(1.0..=10_000.0).contains(burst)) {
            return Err(Error::new(format!(
                "--burst {burst}: expected a number of packets from 1 to 10000, e.g. 10"
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

    /// Runs a shell on each side of it.
    ///
    /// # Errors
    /// What can't be had, or was not meant.
    pub fn play(&self) -> Result<()> {
        let wan = self.wan()?;
        let Setup { binary, .. } = Setup::new(self.rate)?;
        let plan = match (&self.code, self.plain) {
            (_, true) => None,
            (Some(code), _) => Some(explain(&binary, &wan, code)?),
            (None, _) => Some(plan(&binary, &wan)?),
        };
        let resequence = Duration::from_millis(self.resequence);
        let gateways = plan.map(|plan| Gateways { resequence, ..plan.gateways(&wan) });
        let hosts = Hosts {
            mtu: wan.host_mtu,
            in_flight: wan.in_flight() + wan.queue(),
            congestion: self.congestion.clone(),
        };
        let net = Net::new(&hosts)?;
        let _pair = Pair::start(&net, &binary, &wan, gateways.as_ref())?;
        shell(&net)
    }
}
