//! Which code a link gets: the planner's choice, as `maelstrom plan` gives it to an operator.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Context, Error, Result};
use crate::pair::{Gateways, Loss, Wan};
use crate::process::{command, reason, run};

/// The share of packets that may never be recovered, as `maelstrom plan` has it by default.
const RESIDUAL: f64 = 1e-7;

/// The part of a plan that is used here.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    /// As `code.layers`.
    pub code: String,
    /// Repairs per source packet.
    pub overhead: f64,
    /// How many source packets lie between a group's first and its repair.
    pub span_packets: u64,
}

impl Plan {
    /// What gateways do with it. `code.latency` is three spans of a full link: a shorter code takes over below a third
    /// of the rate, and not while that code's own repairs keep sources at half of it.
    pub fn gateways(&self, wan: &Wan) -> Gateways {
        let span_us = self.span_packets * u64::from(wan.host_mtu) * 8 / u64::from(wan.rate_mbps);
        Gateways {
            code: self.code.clone(),
            coding: String::new(),
            latency: Duration::from_micros(3 * span_us).max(Duration::from_millis(50)),
            resequence: Duration::ZERO,
            more: Default::default(),
        }
    }
}

/// The budget that codes are planned for: a quarter of the round trip, as `maelstrom plan --rtt` has it, and no less
/// than 10 ms.
fn budget(wan: &Wan) -> Duration {
    (wan.delay / 2).max(Duration::from_millis(10))
}

/// What the planner recommends for a link that is full of packets of its MTU.
///
/// # Errors
/// No code does what is wanted, or as [`crate::interrupt::check`].
pub fn plan(binary: &Path, wan: &Wan) -> Result<Plan> {
    let mut command = ask(binary, wan);
    let output = command.args(["--residual", &RESIDUAL.to_string()]).output().context("plan")?;
    // Status 1 with plans: none does all that is wanted, and the first is one that recovers enough, later.
    match output.status.code() {
        Some(0 | 1) => first(&String::from_utf8_lossy(&output.stdout)),
        _ => Err(Error::new(format!("plan: {}", reason(&output.stderr)))),
    }
}

/// What a given code costs there.
///
/// # Errors
/// It is no code.
pub fn explain(binary: &Path, wan: &Wan, code: &str) -> Result<Plan> {
    let mut command = ask(binary, wan);
    command.args(["--explain", code]);
    first(&run("plan", &mut command)?)
}

fn ask(binary: &Path, wan: &Wan) -> std::process::Command {
    let mut command = command(&binary.to_string_lossy());
    command.args(["plan", "--json", "--loss", &wan.loss.rate().max(1e-6).to_string()]);
    if let Loss::Bursts(_, mean) = wan.loss {
        command.args(["--burst", &mean.to_string()]);
    }
    command.args(["--rate", &format!("{}Mbps", wan.rate_mbps)]);
    command.args(["--packet", &wan.host_mtu.to_string()]);
    command.args(["--latency", &format!("{}us", budget(wan).as_micros())]);
    command
}

fn first(text: &str) -> Result<Plan> {
    let plans: Vec<Plan> = serde_json::from_str(text).context("plan")?;
    plans.into_iter().next().ok_or_else(|| Error::new("plan: no code does what is wanted"))
}
