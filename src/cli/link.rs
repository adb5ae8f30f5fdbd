//! The arguments that describe an emulated WAN, for `wan` and `lab` alike.

use std::str::FromStr;

use clap::Args;

use crate::lab::link::LinkConfig;
use crate::lab::loss::LossModel;
use crate::units::{parse_rate, parse_time};

#[derive(Args, Clone, Debug)]
pub(super) struct LinkArguments {
    /// Rate of the WAN, e.g. 10Gbps, or unlimited
    #[arg(long, default_value = "unlimited", value_parser = Rate::from_str)]
    pub(super) wan_rate: Rate,
    /// How many packets wait for a WAN that is busy before further ones are dropped
    #[arg(long, default_value_t = 1000, value_parser = whole::<usize>)]
    queue: usize,
    /// MTU of the WAN, in bytes
    #[arg(long, default_value_t = 9000)]
    pub(super) wan_mtu: u16,
    /// Delay of the WAN, one way
    #[arg(long, default_value = "50ms", value_parser = parse_time)]
    pub(super) delay: u64,
    /// What is lost: none, iid:RATE, ge:RATE,MEANBURST, drop:FILE (a wire packet index per line),
    /// burst:START,LENGTH
    #[arg(long, default_value = "none", value_parser = LossModel::from_str)]
    pub(super) loss: LossModel,
    /// With this probability a packet lets this many others go first, e.g. 0.001,5
    #[arg(long, value_name = "PROBABILITY,PACKETS", value_parser = reorder)]
    reorder: Option<(f64, u32)>,
    /// Probability that a packet comes twice
    #[arg(long, default_value_t = 0.0, value_parser = probability)]
    duplicate: f64,
    /// Probability that a packet is damaged
    #[arg(long, default_value_t = 0.0, value_parser = probability)]
    corrupt: f64,
    /// Decides everything that chance decides
    #[arg(long, default_value_t = 1, value_parser = whole::<u64>)]
    seed: u64,
}

/// Bits per second; `None` is unlimited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate(pub(super) Option<u64>);

impl FromStr for Rate {
    type Err = crate::units::UnitError;

    fn from_str(text: &str) -> Result<Rate, Self::Err> {
        parse_rate(text).map(Rate)
    }
}

fn reorder(text: &str) -> Result<(f64, u32), String> {
    let parts = text.split_once(',').and_then(|(p, n)| Some((p.parse().ok()?, n.parse().ok()?)));
    parts.ok_or_else(|| {
        format!("expected a probability and a number of packets, e.g. 0.001,5; got {text}")
    })
}

fn whole<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "expected a whole number, 0 or more")
}

fn probability(text: &str) -> Result<f64, &'static str> {
    text.parse().map_err(|_| "expected a probability, 0 to 1, e.g. 0.001")
}

impl LinkArguments {
    /// One direction of the WAN.
    pub(super) fn config(&self, direction: u8) -> LinkConfig {
        LinkConfig {
            rate_bps: self.wan_rate.0,
            queue: self.queue,
            mtu: self.wan_mtu,
            delay_ns: self.delay,
            loss: self.loss.clone(),
            reorder: self.reorder,
            duplicate: self.duplicate,
            corrupt: self.corrupt,
            seed: self.seed,
            direction,
            ..LinkConfig::default()
        }
    }
}
