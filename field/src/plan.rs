//! Which code a link gets: the planner's choice, as `maelstrom plan` gives it to an operator.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Context, Error, Result};
use crate::pair::{Loss, Wan};
use crate::process::{command, run};

/// The part of a plan that is used here.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    /// As `code.layers`.
    pub code: String,
    /// Repairs per source packet.
    pub overhead: f64,
    /// By when 99 % of what is lost is back, in nanoseconds.
    pub recovery_delay_ns: u64,
}

/// What the planner recommends for a link that is full of packets of its MTU.
///
/// # Errors
/// No code does what is wanted, or as [`crate::interrupt::check`].
pub fn plan(binary: &Path, wan: &Wan, latency: Duration, residual: f64) -> Result<Plan> {
    let mut command = ask(binary, wan, latency);
    command.args(["--residual", &residual.to_string()]);
    first(&run("plan", &mut command)?)
}

/// What a given code costs there.
///
/// # Errors
/// It is no code.
pub fn explain(binary: &Path, wan: &Wan, latency: Duration, code: &str) -> Result<Plan> {
    let mut command = ask(binary, wan, latency);
    command.args(["--explain", code]);
    first(&run("plan", &mut command)?)
}

fn ask(binary: &Path, wan: &Wan, latency: Duration) -> std::process::Command {
    let mut command = command(&binary.to_string_lossy());
    command.args(["plan", "--json", "--loss", &wan.loss.rate().max(1e-6).to_string()]);
    if let Loss::Bursts(_, mean) = wan.loss {
        command.args(["--burst", &mean.to_string()]);
    }
    command.args(["--rate", &format!("{}Mbps", wan.rate_mbps)]);
    command.args(["--packet", &wan.host_mtu.to_string()]);
    command.args(["--latency", &format!("{}us", latency.as_micros())]);
    command
}

fn first(text: &str) -> Result<Plan> {
    let plans: Vec<Plan> = serde_json::from_str(text).context("plan")?;
    plans.into_iter().next().ok_or_else(|| Error::new("plan: no code does what is wanted"))
}
