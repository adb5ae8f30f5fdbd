//! `maelstrom compare`: what became of the frames of one capture in another.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Outcome, print};
use crate::lab::compare::compare;

#[derive(Args)]
pub(super) struct CompareArguments {
    /// The capture that was sent
    sent: PathBuf,
    /// The capture that was received
    received: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Exit status 1 when something was received that was not sent, or not so often.
pub(super) fn run(arguments: &CompareArguments) -> Outcome {
    let comparison = compare(&arguments.sent, &arguments.received)?;
    if arguments.json {
        print(serde_json::to_string_pretty(&comparison)?)?;
    } else {
        print(&comparison)?;
    }
    Ok(ExitCode::from(u8::from(comparison.foreign > 0)))
}
