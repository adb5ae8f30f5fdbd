//! `maelstrom notices`: what a running gateway tells storage processes, for an operator's eyes.
//!
//! It reads as any storage process does: it needs no DPDK and no root, only what the socket's mode and
//! group ask for, and the gateway does not know that it is there. docs/NETSYNC.md explains the lines.

mod line;
mod output;
mod text;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use netsync::Subscriber;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Outcome;
use output::Output;
use watch::{Limits, Show, Watch};

/// Without --state or --flows: state, code and flows, then all that comes, until interrupted.
#[derive(Args)]
pub(super) struct NoticesArguments {
    /// The gateway's socket, netsync.socket in its configuration
    socket: PathBuf,
    /// Print JSON, an object a line; docs/NETSYNC.md names the keys
    #[arg(long)]
    json: bool,
    /// Show the gateway's state, and the code in force with what its levels are worth
    #[arg(long)]
    state: bool,
    /// Show how far the bytes of each tracked flow have come
    #[arg(long)]
    flows: bool,
    /// With --state or --flows: don't end, but show what changes (flows once a second)
    #[arg(long, group = "end")]
    follow: bool,
    /// End after so many notices; with --state or --flows, after so many lines
    #[arg(long, value_name = "N", group = "end", value_parser = count)]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "S", group = "end", value_parser = seconds)]
    seconds: Option<Duration>,
}

fn count(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|&count| count > 0).ok_or("expected a whole number from 1")
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let wrong = "expected seconds, 0 to 1000000000, e.g. 2.5";
    let seconds = text.parse().ok().filter(|seconds| (0.0..=1e9).contains(seconds)).ok_or(wrong)?;
    Ok(Duration::from_secs_f64(seconds))
}

pub(super) fn run(arguments: &NoticesArguments) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let chosen = arguments.state || arguments.flows;
    let show = Show {
        state: arguments.state || !chosen,
        flows: arguments.flows || !chosen,
        notices: !chosen,
    };
    let endless = arguments.follow || arguments.count.is_some() || arguments.seconds.is_some();
    let limits = Limits {
        once: chosen && !endless,
        count: arguments.count.unwrap_or(u64::MAX),
        until: arguments.seconds.and_then(|seconds| Instant::now().checked_add(seconds)),
    };
    let subscriber = Subscriber::connect(&arguments.socket)?;
    // Of a gateway that hangs there is nothing to show, and it can be waited for only by following.
    if limits.once && !subscriber.alive() {
        let path = arguments.socket.display();
        return Err(format!("{path}: a gateway is there, but its heartbeat has stopped").into());
    }
    let output = Output::new(arguments.json, stop);
    Watch::new(subscriber, output, show, limits).run()?;
    Ok(ExitCode::SUCCESS)
}
