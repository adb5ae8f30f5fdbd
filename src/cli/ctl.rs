//! `maelstrom ctl`: asks a running gateway, or tells it something.

use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};

use super::{Outcome, print};
use crate::control::request::Request;

/// A gateway that lives answers within 10 ms and a bit.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether all has left.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(super) struct CtlArguments {
    /// The gateway's control.socket
    #[arg(long)]
    socket: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows peer, round trip, states, code, rates and counters
    Status {
        /// As one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Changes the code, e.g. 20:97,101,103+g1
    Code {
        /// As code.layers has it
        code: String,
    },
    /// Lets frames cross unprotected, or protects them again
    Bypass {
        /// Whether to
        switch: Switch,
    },
    /// Takes nothing in from the LAN and waits until all has left, so that the gateway may be stopped; off
    /// takes frames in again
    Drain {
        /// Whether to
        #[arg(default_value = "on")]
        switch: Switch,
        /// How many seconds to wait
        #[arg(long, default_value_t = 10)]
        timeout: u64,
    },
    /// Reads the configuration again and applies what may change under traffic
    Reload,
    /// Counts from 0 again
    ResetCounters,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) fn run(arguments: &CtlArguments) -> Outcome {
    let ask = |request| ask(&arguments.socket, &request);
    let request = match &arguments.verb {
        Verb::Status { json } => {
            let status = ask(Request::Status {})?;
            print(if *json { status.to_string() } else { text(&status) })?;
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Drain { switch: Switch::On, timeout } => {
            print(drain(Duration::from_secs(*timeout), || ask(Request::Drain { on: true }))?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Drain { switch: Switch::Off, .. } => Request::Drain { on: false },
        Verb::Code { code } => Request::Code { code: code.clone() },
        Verb::Bypass { switch } => Request::Bypass { on: *switch == Switch::On },
        Verb::Reload => Request::Reload {},
        Verb::ResetCounters => Request::ResetCounters {},
    };
    print(said(&ask(request)?))?;
    Ok(ExitCode::SUCCESS)
}

fn said(answer: &Value) -> String {
    answer["said"].as_str().unwrap_or_default().to_owned()
}

/// Asks until all has left.
fn drain(
    timeout: Duration,
    ask: impl Fn() -> Result<Value, Box<dyn Error>>,
) -> Result<String, Box<dyn Error>> {
    let start = Instant::now();
    loop {
        let answer = ask()?;
        if answer["drained"] == true {
            return Ok(said(&answer));
        }
        if start.elapsed() > timeout {
            return Err(format!(
                "drain: after {} s not all has left; is the WAN port's link up? `drain off` takes frames \
                 in again",
                timeout.as_secs()
            )
            .into());
        }
        thread::sleep(LOOK);
    }
}

/// One request, one answer.
pub(super) fn ask(socket: &Path, request: &Request) -> Result<Value, Box<dyn Error>> {
    let path = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "{path}: {error}; expected to be let in by control.mode and control.group of the gateway"
        ),
        _ => format!("{path}: {error}; expected control.socket of a gateway that runs"),
    })?;
    let lost = |error| format!("{path}: {error}; expected an answer of a gateway that runs");
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", serde_json::to_string(request)?).map_err(lost)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(lost)?;
    let answer: Value = serde_json::from_str(&line)
        .map_err(|_| format!("{path}: no answer; expected a gateway of this version"))?;
    match answer["ok"] == true {
        true => Ok(answer),
        false => Err(answer["error"].as_str().unwrap_or("refused").to_owned().into()),
    }
}

/// A status for people: a section a paragraph, no counter that is 0.
fn text(status: &Value) -> String {
    let mut lines = Vec::new();
    for section in ["gateway", "peer", "code"] {
        lines.push(section.to_owned());
        lines.extend(entries(&status[section]).map(|(key, value)| line(key, &plain(value))));
    }
    lines.push("rates".to_owned());
    for (name, rate) in entries(&status["rates"]) {
        let bits = rate["bits_per_s"].as_f64().unwrap_or_default() / 1e6;
        let packets = plain(&rate["packets_per_s"]);
        lines.push(line(name, &format!("{packets} packets/s, {bits:.3} Mb/s")));
    }
    let control = [("control", &status["control"])];
    let rooms = entries(&status["counters"]).map(|(name, counters)| (name.as_str(), counters));
    for (name, counters) in rooms.chain(control) {
        lines.push(name.to_owned());
        let counted = entries(counters).filter(|(_, count)| **count != 0);
        lines.extend(counted.map(|(name, count)| line(name, &plain(count))));
    }
    lines.join("\n")
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn line(name: &str, value: &str) -> String {
    format!("  {name:<22} {value}")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
