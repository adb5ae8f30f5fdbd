//! The mirrored log store of `examples/mirror/` across the link: its processes, and what they say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mirror_store::store::{contents, missing};
use serde::Deserialize;

use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::net::{HOSTS, Net, Place};
use crate::pair::Gateways;
use crate::process::Process;

/// What the processes say when they can be used.
const RUNNING: &str = "running";
const PATIENCE: Duration = Duration::from_secs(20);
/// The mirrors' ports, from this on; the gateway tracks all of them.
const PORT: u16 = 7000;
/// Mirrors at once.
pub const MIRRORS: u16 = 8;

/// The policies, as `primary --policy` takes them, from the fastest to the safest.
pub const POLICIES: [&str; 6] =
    ["local", "semi", "network-sync:1e-2", "network-sync:1e-3", "network-sync:1e-6", "remote"];

/// What a gateway is configured with for the store: netsync.
#[derive(Clone, Debug)]
pub struct Promises {
    /// As `netsync.link`.
    pub link: String,
    /// As `netsync.exit_delay`: what the WAN's port hands packets to is another process of this host, which rests
    /// for 50 us at a time.
    pub exit: Duration,
    /// As `netsync.idle`.
    pub idle: Option<Duration>,
}

impl Promises {
    /// The same gateways with it.
    pub fn of(&self, gateways: Gateways) -> Gateways {
        let mut text = format!(
            "[netsync]\nsocket = \"west.netsync\"\nmode = \"0600\"\nexit_delay = \"{}us\"\n\
             link = \"{}\"\n",
            self.exit.as_micros(),
            self.link
        );
        if let Some(idle) = self.idle {
            text += &format!("idle = \"{}us\"\n", idle.as_micros());
        }
        for port in PORT..PORT + MIRRORS {
            text += &format!("[[netsync.track]]\nport = {port}\n");
        }
        let [west, east] = gateways.more.clone();
        Gateways { more: [west + &text, east], ..gateways }
    }
}

/// The store's programs.
#[derive(Clone, Debug)]
pub struct Programs {
    primary: PathBuf,
    mirror: PathBuf,
    clients: PathBuf,
}

impl Programs {
    /// Those beside the built `maelstrom`.
    ///
    /// # Errors
    /// They are not there.
    pub fn beside(binary: &Path) -> Result<Programs> {
        let find = |name: &str| {
            let path = binary.with_file_name(name);
            let missing = || {
                Error::new(format!(
                    "{}: not built; run: cargo build --release -p mirror-store",
                    path.display()
                ))
            };
            path.is_file().then(|| path.clone()).ok_or_else(missing)
        };
        Ok(Programs {
            primary: find("primary")?,
            mirror: find("mirror")?,
            clients: find("clients")?,
        })
    }
}

/// One primary with its mirror. Dropped, they end.
pub struct Store {
    /// Ends first.
    pub primary: Process,
    /// In the east.
    pub mirror: Process,
    name: String,
}

/// The load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many clients.
    pub clients: u32,
    /// Records a second, or a closed loop.
    pub rate: Option<f64>,
    /// Bytes of a record.
    pub size: u32,
    /// How long it counts, in seconds, and how long it runs before.
    pub seconds: f64,
    /// Not counted.
    pub warm_up: f64,
}

/// What clients have seen.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Seen {
    /// Records that they were told of.
    pub told: u64,
    /// Of those, what counts a second.
    pub per_second: f64,
    /// Latency.
    pub median_us: f64,
    /// At 99 %.
    pub p99_us: f64,
}

/// By what clients were told, as the primary says.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct By {
    /// By level.
    pub by_level: Vec<u64>,
    /// By the far kernel's acknowledgement.
    pub by_ack: u64,
    /// By the mirror's answer.
    pub by_mirror: u64,
    /// How often the gateway said no more.
    pub blind: u64,
}

impl Store {
    /// Number `which` of the stores that run at once. Their local logs are durable when the kernel has them: what is
    /// measured is the network, and a machine that keeps running.
    ///
    /// # Errors
    /// What a process said before it ended.
    pub fn start(net: &Net, programs: &Programs, which: u16, policy: &str) -> Result<Store> {
        let (name, port) = (format!("store{which}"), PORT + which % MIRRORS);
        let at = format!("{}:{port}", HOSTS[1]);
        let mut command = net.inside(Place::East, &programs.mirror.to_string_lossy());
        command.args(["serve", "--listen", &at, "--file", &format!("{name}.mirror")]);
        let mut mirror = Process::start(net.folder(), &format!("{name}-mirror"), command)?;
        mirror.wait_for(RUNNING, PATIENCE)?;
        let mut command = net.inside(Place::West, &programs.primary.to_string_lossy());
        command.args(["--mirror", &at, "--policy", policy, "--durable", "kernel"]);
        command.args(["--netsync", "west.netsync", "--file", &format!("{name}.primary")]);
        command.args(["--listen", &format!("unix:{name}.sock")]);
        let mut primary = Process::start(net.folder(), &format!("{name}-primary"), command)?;
        primary.wait_for(RUNNING, PATIENCE)?;
        Ok(Store { primary, mirror, name })
    }

    /// Starts clients.
    ///
    /// # Errors
    /// They can't be started.
    pub fn load(&self, net: &Net, programs: &Programs, load: &Load) -> Result<Process> {
        let name = &self.name;
        let mut command = net.inside(Place::West, &programs.clients.to_string_lossy());
        command.args(["--connect", &format!("unix:{name}.sock"), "--log", &format!("{name}.told")]);
        command.args(["--clients", &load.clients.to_string(), "--size", &load.size.to_string()]);
        command.args(["--seconds", &(load.warm_up + load.seconds).to_string()]);
        command.args(["--warm-up", &load.warm_up.to_string()]);
        if let Some(rate) = load.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        Process::start(net.folder(), &format!("{name}-clients"), command)
    }

    /// Lets clients run to their end; what they saw, and by what they were told.
    ///
    /// # Errors
    /// A process ends otherwise; or as [`interrupt::check`].
    pub fn measure(mut self, net: &Net, programs: &Programs, load: &Load) -> Result<(Seen, By)> {
        let mut clients = self.load(net, programs, load)?;
        let most = Duration::from_secs_f64(load.warm_up + load.seconds) + PATIENCE;
        if !clients.wait(most)?.success() {
            return Err(Error::new(format!("clients: {}", clients.stderr())));
        }
        self.primary.stop();
        let by = serde_json::from_str(&self.primary.stdout()).context(self.primary.stderr())?;
        Ok((seen(&clients)?, by))
    }

    /// Bytes of the mirror's log, so far.
    pub fn mirrored(&self, net: &Net) -> u64 {
        let log = net.folder().join(format!("{}.mirror", self.name));
        std::fs::metadata(log).map_or(0, |log| log.len())
    }

    /// How many of the records that clients were told of the mirror's log has not, and how many they were told of;
    /// once both ends have come to rest.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn missing(&self, net: &Net) -> Result<(u64, u64)> {
        let path = |kind: &str| net.folder().join(format!("{}.{kind}", self.name));
        missing(&contents(&path("mirror"))?, &path("told"))
    }
}

/// What clients that have ended have seen.
///
/// # Errors
/// They have said nothing.
pub fn seen(clients: &Process) -> Result<Seen> {
    serde_json::from_str(&clients.stdout()).context("clients")
}

/// Waits until a gateway says in its shared memory that it protects.
///
/// # Errors
/// It does not; or as [`interrupt::check`].
pub fn wait_for_netsync(net: &Net) -> Result<()> {
    let path = net.folder().join("west.netsync");
    let there = interrupt::wait(PATIENCE, || {
        let gateway = netsync::Subscriber::connect(&path);
        Ok(gateway.is_ok_and(|gateway| gateway.state().is_ok_and(|state| state.protects())))
    })?;
    if there { Ok(()) } else { Err(Error::new("west.netsync: the gateway does not protect")) }
}
