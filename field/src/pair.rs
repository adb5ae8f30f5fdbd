//! What lies between the two hosts: the emulated WAN, alone or with a gateway at each end.
//!
//! * Alone ("plain"), `maelstrom wan` has the hosts' cables as its two ports.
//! * With gateways, these have the cables as LAN ports, and memif joins them to the same WAN.
//!
//! The WAN's rate, delay, loss and queue are the same either way, so that what differs is the gateways. Three
//! processes, which rest when there is nothing to do: two cores carry them and the hosts' TCP.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::net::{Net, Place};
use crate::process::{Process, command, run};

/// What `maelstrom run` and `wan` say when their ports work.
const RUNNING: &str = "running; SIGINT or SIGTERM ends it";
/// How long they may take until then.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a gateway adds to a frame of the hosts' MTU at most: see docs/WIRE.md.
const ADDED: u16 = 64;

/// Which packets the WAN loses, in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each with this probability.
    Iid(f64),
    /// As many, in bursts of this many on average.
    Bursts(f64, f64),
}

impl Loss {
    /// The share of packets that are lost.
    pub fn rate(self) -> f64 {
        match self {
            Loss::Iid(rate) | Loss::Bursts(rate, _) => rate,
        }
    }

    /// How many are lost in a row on average, or one by one.
    pub fn mean_burst(self) -> f64 {
        match self {
            Loss::Iid(_) => 1.0,
            Loss::Bursts(_, mean) => mean,
        }
    }

    /// As it stands in names of cells: in percent.
    pub fn name(self) -> String {
        // Without the noise of binary fractions.
        let percent = (self.rate() * 1e6).round() / 1e4;
        match self {
            Loss::Iid(0.0) => "lossless".to_owned(),
            Loss::Iid(_) => format!("iid-{percent}"),
            Loss::Bursts(..) => format!("burst-{percent}"),
        }
    }

    /// As `maelstrom wan --loss` takes it.
    pub fn argument(self) -> String {
        match self {
            Loss::Iid(0.0) => "none".to_owned(),
            Loss::Iid(rate) => format!("iid:{rate}"),
            Loss::Bursts(rate, mean) => format!("ge:{rate},{mean}"),
        }
    }
}

/// The emulated WAN.
#[derive(Clone, Copy, Debug)]
pub struct Wan {
    /// In Mb/s, with preamble, FCS and gap.
    pub rate_mbps: u32,
    /// One way.
    pub delay: Duration,
    /// Which packets are lost.
    pub loss: Loss,
    /// Decides all that chance decides.
    pub seed: u64,
    /// The hosts' MTU; the WAN's is larger by what gateways add.
    pub host_mtu: u16,
}

impl Wan {
    /// What it carries within a round trip, in bytes.
    pub fn in_flight(&self) -> u64 {
        u64::from(self.rate_mbps) * 125 * 2 * self.delay.as_micros() as u64 / 1000
    }

    /// What may wait before it, in bytes: as much as is in flight, so that a TCP that halves its window keeps it
    /// full, and at least what it carries in 20 ms.
    pub fn queue(&self) -> u64 {
        self.in_flight().max(u64::from(self.rate_mbps) * 125 * 20)
    }

    /// The link that gateways are planned for: this one, or where it loses nothing, one that loses 0.1 %, as they
    /// have to have some code.
    pub fn supposed(&self) -> Wan {
        let loss = if self.loss.rate() == 0.0 { Loss::Iid(0.001) } else { self.loss };
        Wan { loss, ..*self }
    }

    /// The largest packet that it takes.
    pub fn mtu(&self) -> u16 {
        self.host_mtu + ADDED
    }
}

/// What the gateways do.
#[derive(Clone, Debug)]
pub struct Gateways {
    /// As `code.layers`.
    pub code: String,
    /// As `code.latency`: sparser traffic gets a shorter code.
    pub latency: Duration,
    /// Further keys of `[code]`, as TOML.
    pub coding: String,
    /// As `lan.resequence`.
    pub resequence: Duration,
    /// Further sections of the western and the eastern configuration, such as `[netsync]`, as TOML.
    pub more: [String; 2],
}

/// The processes. Dropped, they end.
pub struct Pair {
    /// Ends first, while the gateways are still there.
    pub wan: Process,
    /// West and east, if there are any.
    pub gateways: Option<[Process; 2]>,
    sockets: [PathBuf; 2],
}

impl Pair {
    /// Starts them, and waits until they run and, with gateways, until both say that the peer is up.
    ///
    /// # Errors
    /// What a process said before it ended; or as [`interrupt::check`].
    pub fn start(net: &Net, binary: &Path, wan: &Wan, gateways: Option<&Gateways>) -> Result<Pair> {
        let folder = net.folder();
        let sockets = ["west", "east"].map(|side| folder.join(format!("{side}.ctl")));
        let Some(gateways) = gateways else {
            let ports = ["lanw", "lane"].map(|port| lan_port(port, wan.host_mtu));
            let wan = start_wan(net, binary, wan, &ports)?;
            return Ok(Pair { wan, gateways: None, sockets });
        };
        let [mut west, mut east] = [
            start_gateway(net, binary, wan, gateways, 0)?,
            start_gateway(net, binary, wan, gateways, 1)?,
        ];
        west.wait_for(RUNNING, PATIENCE)?;
        east.wait_for(RUNNING, PATIENCE)?;
        let ends = ["west", "east"].map(|side| memif(folder, "client", side));
        let pair = Pair {
            wan: start_wan(net, binary, wan, &ends)?,
            gateways: Some([west, east]),
            sockets,
        };
        let up = interrupt::wait(PATIENCE, || {
            Ok((0..2).all(|side| {
                pair.status(binary, side).is_ok_and(|status| status["peer"]["standing"] == "up")
            }))
        })?;
        if up { Ok(pair) } else { Err(Error::new("the gateways do not find each other")) }
    }

    /// What `maelstrom ctl status --json` says of the western (0) or eastern (1) gateway.
    ///
    /// # Errors
    /// There is none, or it does not answer.
    pub fn status(&self, binary: &Path, side: usize) -> Result<serde_json::Value> {
        let mut command = command(&binary.to_string_lossy());
        command.arg("ctl").arg("--socket").arg(&self.sockets[side]).args(["status", "--json"]);
        serde_json::from_str(&run("status", &mut command)?).context("status")
    }
}

/// The built `maelstrom`: `MAELSTROM` in the environment, or the one beside this very program.
///
/// # Errors
/// It is not there.
pub fn binary() -> Result<PathBuf> {
    let this = std::env::current_exe().context("this program")?;
    // A test's program is one folder further down.
    let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join("maelstrom"));
    let named = std::env::var_os("MAELSTROM").map(PathBuf::from);
    named.into_iter().chain(beside).find(|path| path.is_file()).ok_or_else(|| {
        Error::new("maelstrom: not built beside this program; run: cargo build --release")
    })
}

/// A cable's end as a port. Its ring takes what a host sends while a poller waits for a core: 4,096 frames are
/// 50 ms at 1 Gb/s, as are 1,024 large ones.
fn lan_port(interface: &str, mtu: u16) -> String {
    // Beside the packet, 18 bytes of Ethernet and up to 82 of the ring's own; no more than 150 in all, since a slot
    // has to fit in an mbuf.
    let frame = if mtu <= 1800 { 2048 } else { (u32::from(mtu) + 120).next_multiple_of(16) };
    // DPDK takes slots to follow each other without a gap, so blocks, which are whole pages, hold whole slots.
    let block = 256 * frame;
    let count = if mtu <= 1800 { 4096 } else { 1024 };
    format!(
        "net_af_packet_{interface},iface={interface},blocksz={block},framesz={frame},framecnt={count}"
    )
}

fn memif(folder: &Path, role: &str, side: &str) -> String {
    let socket = folder.join(format!("{side}.sock"));
    format!(
        "net_memif_{side},role={role},id=0,socket={},socket-abstract=no,rsize=12",
        socket.display()
    )
}

fn start_gateway(
    net: &Net,
    binary: &Path,
    wan: &Wan,
    gateways: &Gateways,
    side: usize,
) -> Result<Process> {
    let (name, port) = [("west", "lanw"), ("east", "lane")][side];
    let folder = net.folder();
    let mut text = format!(
        "[gateway]\nside = \"{name}\"\nhugepages = false\nkeys = \"none\"\nidle = \"rest\"\n\
         [lan]\nport = \"{}\"\nmtu = {}\nresequence = \"{}us\"\n\
         [wan]\nport = \"{}\"\nmtu = {}\nrate = \"{}Mbps\"\nqueue = \"{}KiB\"\n\
         [code]\nlayers = \"{}\"\nlatency = \"{}us\"\n{}\n\
         [control]\nsocket = \"{name}.ctl\"\n[[worker]]\nrooms = [\"protect\", \"recover\"]\n",
        lan_port(port, wan.host_mtu),
        wan.host_mtu,
        gateways.resequence.as_micros(),
        memif(folder, "server", name),
        wan.mtu(),
        wan.rate_mbps,
        wan.queue().div_ceil(1024),
        gateways.code,
        gateways.latency.as_micros(),
        gateways.coding,
    );
    let _ = writeln!(text, "{}", gateways.more[side]);
    let file = format!("{name}.toml");
    fs::write(folder.join(&file), text).context(&file)?;
    let mut command = net.inside(Place::Middle, &binary.to_string_lossy());
    command.args(["run", "--config", &file]);
    Process::start(folder, name, command)
}

fn start_wan(net: &Net, binary: &Path, wan: &Wan, ports: &[String; 2]) -> Result<Process> {
    let mut command = net.inside(Place::Middle, &binary.to_string_lossy());
    let frame = u64::from(wan.host_mtu);
    command.args(["wan", "--west", &ports[0], "--east", &ports[1]]);
    command.args(["--wan-rate", &format!("{}Mbps", wan.rate_mbps)]);
    command.args(["--queue", &wan.queue().div_ceil(frame).to_string()]);
    command.args(["--wan-mtu", &wan.mtu().to_string()]);
    command.args(["--delay", &format!("{}us", wan.delay.as_micros())]);
    command.args(["--loss", &wan.loss.argument(), "--seed", &wan.seed.to_string()]);
    let mut process = Process::start(net.folder(), "wan", command)?;
    process.wait_for(RUNNING, PATIENCE)?;
    Ok(process)
}
