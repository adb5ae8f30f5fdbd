//! `maelstrom key`: a new common key for two gateways.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::config::keys;

#[derive(Args)]
pub(super) struct KeyArguments {
    /// The new file, which only its owner can read; the other gateway gets a copy
    file: PathBuf,
}

pub(super) fn run(arguments: &KeyArguments) -> Outcome {
    keys::create(&arguments.file)?;
    Ok(ExitCode::SUCCESS)
}
