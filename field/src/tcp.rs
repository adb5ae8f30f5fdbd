//! What kernel TCP gets across: iperf3 from west to east.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::net::{HOSTS, Net, Place, needs};
use crate::process::Process;
use crate::table::load_average;

/// How long connecting, ending and telling the result may take beyond the measurement, on a path that loses much.
const PATIENCE: Duration = Duration::from_secs(60);

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// How many connections at once.
    pub flows: u32,
    /// How long they run before it counts: slow start, and until the window is what the path holds.
    pub omit: u32,
    /// How long it counts, in seconds.
    pub seconds: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What the receiver got, in Mb/s of payload.
    pub goodput_mbps: f64,
    /// Segments that the senders sent again.
    pub retransmits: u64,
    /// The share of the machine's time in which its cores had work of whatever kind.
    pub busy: f64,
    /// The machine's load average when it began.
    pub load: f64,
}

/// Whether iperf3 is there.
///
/// # Errors
/// What to install.
pub fn check() -> Result<()> {
    needs("iperf3", "iperf3")
}

/// Runs a measurement to `server`: the eastern host, or where a tunnel begins that ends at its iperf3.
///
/// # Errors
/// iperf3 does not get through; or as [`interrupt::check`].
pub fn measure(net: &Net, server: &str, course: &Course) -> Result<Outcome> {
    let mut command = net.inside(Place::East, "iperf3");
    command.args(["--server", "--one-off", "--forceflush"]);
    let listener = Process::start(net.folder(), "iperf3-server", command)?;
    if !interrupt::wait(PATIENCE, || Ok(listener.stdout().contains("listening")))? {
        return Err(Error::new("iperf3: does not listen"));
    }
    let mut command = net.inside(Place::West, "iperf3");
    command.args(["--client", server, "--json"]);
    for (flag, value) in
        [("--parallel", course.flows), ("--omit", course.omit), ("--time", course.seconds)]
    {
        command.args([flag, &value.to_string()]);
    }
    let (load, before) = (load_average(), times()?);
    let mut client = Process::start(net.folder(), "iperf3", command)?;
    client.wait(PATIENCE + Duration::from_secs(u64::from(course.omit + course.seconds)))?;
    let after = times()?;
    let result: Value = serde_json::from_str(&client.stdout()).context("iperf3")?;
    if let Some(error) = result["error"].as_str() {
        return Err(Error::new(format!("iperf3: {error}")));
    }
    let end = &result["end"];
    let goodput = end["sum_received"]["bits_per_second"].as_f64();
    let [busy, all] = [0, 1].map(|n| after[n].saturating_sub(before[n]) as f64);
    Ok(Outcome {
        goodput_mbps: goodput.ok_or_else(|| Error::new("iperf3: no result"))? / 1e6,
        retransmits: end["sum_sent"]["retransmits"].as_u64().unwrap_or_default(),
        busy: busy / all.max(1.0),
        load,
    })
}

/// Where the eastern host's iperf3 is reached without a tunnel.
pub const EAST: &str = HOSTS[1];

/// The machine's busy time and all of it, in ticks.
fn times() -> Result<[u64; 2]> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // The fourth and fifth are idle time; from the ninth on, guests', which the first two contain.
    let all: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok([all - idle, all])
}
