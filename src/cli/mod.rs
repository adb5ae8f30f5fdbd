//! The command line: one file a subcommand.
//!
//! * **Does:** parses arguments, sets up the log, runs the subcommand, turns its result into an exit
//!   status: 0, or 1 when frames came out that were not sent, or not so often, or no code does what is
//!   asked, or 2 with one line on standard error for anything that was given wrongly or can't be had.
//! * **Fed by:** the shell.
//! * **Feeds:** `gateway` and `lab`; of `netsync` the reader's side.
//! * **Runs on:** the main thread.
//! * **Must not:** hold any logic that a test would want to reach without a process.

mod aside;
mod bench;
mod bridged;
mod compare;
mod crew;
mod ctl;
mod key;
mod lab;
mod ledger;
mod link;
mod measured;
mod netsync;
mod notices;
mod plan;
mod run;
mod service;
mod verbs;
mod wan;
mod watch;

use std::error::Error;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
use clap::{Parser, Subcommand};

/// A pair of network gateways that repair a lossy WAN link.
#[derive(Parser)]
#[command(name = "maelstrom", version, max_term_width = 100, arg_required_else_help = false)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one gateway, until SIGINT or SIGTERM
    Run(run::RunArguments),
    /// Asks a running gateway, or tells it something
    Ctl(ctl::CtlArguments),
    /// Shows what a running gateway's link does, and which code would have done
    Link(measured::LinkArguments),
    /// Emulates a WAN between two ports, in real time, until SIGINT or SIGTERM
    Wan(wan::WanArguments),
    /// Plays a capture through a pair of gateways and an emulated WAN, in virtual time
    Lab(lab::LabArguments),
    /// Measures what one core of this machine does
    Bench(bench::BenchArguments),
    /// Writes a new key that two gateways can have in common
    Key(key::KeyArguments),
    /// Finds the cheapest code for a link and a latency budget, or explains one
    Plan(plan::PlanArguments),
    /// Compares two captures, frame by frame
    Compare(compare::CompareArguments),
    /// Shows what a running gateway tells storage processes, until SIGINT or SIGTERM
    Notices(notices::NoticesArguments),
}

/// What a subcommand ends with: an exit status, or one line to say why not.
type Outcome = Result<ExitCode, Box<dyn Error>>;

/// The exit status of anything that was given wrongly or can't be had.
const BAD_INPUT: u8 = 2;

/// Runs the command that the process was given.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,eal=warn"))
        .format_timestamp(None)
        .format_target(false)
        .init();
    let outcome = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Ctl(arguments) => ctl::run(&arguments),
        Command::Link(arguments) => measured::run(&arguments),
        Command::Wan(arguments) => wan::run(&arguments),
        Command::Lab(arguments) => lab::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Notices(arguments) => notices::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        // One line, whatever a file's name holds. A reader of standard error that is gone can't be
        // told.
        let line = error.to_string().replace('\n', "\\n");
        let _ = writeln!(std::io::stderr(), "error: {line}");
        ExitCode::from(BAD_INPUT)
    })
}

/// Prints a result to standard output. A reader that has gone, as `head` does, has what it wanted.
fn print(text: impl Display) -> Result<(), String> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}; expected a place with room for a few lines"))
        }
        _ => Ok(()),
    }
}

/// Help and version as clap prints them; what is wrong with the arguments in one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = match error.kind() {
        // clap would print all of the help.
        DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand
            if std::env::args_os().len() == 1 =>
        {
            "error: no subcommand; expected run, ctl, link, key, wan, lab, bench, plan, compare or notices"
                .to_owned()
        }
        _ => error.to_string(),
    };
    // The first paragraph says what is wrong; the rest is about usage.
    let what: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let _ = writeln!(std::io::stderr(), "{}; see --help", what.join(" "));
    ExitCode::from(BAD_INPUT)
}
