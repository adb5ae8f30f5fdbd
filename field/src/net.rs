//! Two hosts and what lies between them, as network namespaces of this kernel.
//!
//! ```text
//! west  10.77.0.1 ── lan ╍╍ lanw ─┐                 ┌─ lane ╍╍ lan ── 10.77.0.2  east
//!                                  └─ the middle: WAN ─┘
//! ```
//!
//! The middle has no address: its two interfaces belong to gateways or to the emulated WAN. Everything is gone
//! when [`Net`] is dropped; what a killed laboratory has left is removed by the next.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Context, Error, Result};
use crate::process::{command, run};
use crate::say::say;

/// The hosts' addresses, west and east.
pub const HOSTS: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

/// Where they are.
const NETWORK: &str = "10.77.0.0/24";

/// How names of ours begin; the id of the laboratory's process follows.
const PREFIX: &str = "mstl";

/// A namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The western host.
    West,
    /// Where the WAN and the gateways are.
    Middle,
    /// The eastern host.
    East,
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 3] = [Place::West, Place::Middle, Place::East];
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::West => "w",
            Place::Middle => "m",
            Place::East => "e",
        })
    }
}

/// What the hosts are told about the path.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// The largest IP packet.
    pub mtu: u16,
    /// What the path carries at once: rate times round trip, in bytes. Buffers follow from it.
    pub in_flight: u64,
    /// "cubic", "reno" or "bbr".
    pub congestion: String,
}

/// The namespaces of one laboratory, and a folder for its files.
pub struct Net {
    name: String,
    folder: PathBuf,
}

impl Net {
    /// Makes them, after removing what killed laboratories left.
    ///
    /// # Errors
    /// Not root, a tool that is missing, a name that is taken: nothing is left then.
    pub fn new(hosts: &Hosts) -> Result<Net> {
        check()?;
        remove_leftovers()?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}n{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        DirBuilder::new().mode(0o700).create(&folder).context(folder.display())?;
        let net = Net { name, folder };
        for place in Place::ALL {
            ip(&["netns", "add", &net.namespace(place)])?;
            ip(&["-n", &net.namespace(place), "link", "set", "lo", "up"])?;
        }
        net.cable(Place::West, "lanw", 100, hosts.mtu)?;
        net.cable(Place::East, "lane", 100 + (1 << 14), hosts.mtu)?;
        for (place, address) in [(Place::West, HOSTS[0]), (Place::East, HOSTS[1])] {
            let address = format!("{address}/24");
            ip(&["-n", &net.namespace(place), "addr", "add", &address, "dev", "lan"])?;
        }
        net.tune(hosts)?;
        Ok(net)
    }

    /// A namespace's name, as `ip netns exec` takes it.
    pub fn namespace(&self, place: Place) -> String {
        format!("{}{place}", self.name)
    }

    /// A folder that is gone with the namespaces: configuration files, sockets, logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command in a namespace: its process is the program's own, and ends at the latest with the thread that
    /// started it.
    pub fn inside(&self, place: Place, program: &str) -> Command {
        let mut command = command("ip");
        command.args(["netns", "exec", &self.namespace(place), program]).current_dir(&self.folder);
        command
    }

    /// Lines of shell in a namespace.
    ///
    /// # Errors
    /// The first line that fails.
    pub fn shell(&self, place: Place, script: &str) -> Result<String> {
        run(script, self.inside(place, "sh").args(["-ec", script]))
    }

    /// Tells the hosts about the path, before connections are made.
    ///
    /// # Errors
    /// A congestion control that this kernel does not have.
    pub fn tune(&self, hosts: &Hosts) -> Result<()> {
        let control = &hosts.congestion;
        let known = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
        if !known
            .context("congestion control")?
            .split_whitespace()
            .any(|name| name == control.as_str())
        {
            return Err(Error::new(format!(
                "congestion control {control}: this kernel does not have it; as root: modprobe tcp_{control}"
            )));
        }
        // The kernel counts what a packet takes, which is twice its bytes and more, halves what it announces, and
        // a queue before the WAN holds as much again.
        let most = (8 * hosts.in_flight).clamp(4 << 20, 1 << 30);
        let script = format!(
            "cd /proc/sys/net/ipv4; echo 4096 131072 {most} >tcp_rmem; echo 4096 65536 {most} >tcp_wmem
             echo 1 >tcp_no_metrics_save"
        );
        for (place, address) in [(Place::West, HOSTS[0]), (Place::East, HOSTS[1])] {
            self.shell(place, &script)?;
            // By the route: a namespace's default can only be one that the whole system lets everyone use.
            ip(&[
                "-n",
                &self.namespace(place),
                "route",
                "replace",
                NETWORK,
                "dev",
                "lan",
                "src",
                address,
                "congctl",
                control,
            ])?;
        }
        Ok(())
    }

    /// From a host to the middle. Offloads are off: a frame whose checksum is left to the hardware would cross
    /// without one, and frames that are joined or cut on the way are not what was sent. The middle's
    /// interfaces have numbers that differ in bit 14 alone: DPDK's af_packet mixes them with process ids, and
    /// of two processes that come to the same number one is refused.
    fn cable(&self, host: Place, port: &str, index: u32, mtu: u16) -> Result<()> {
        let (here, there) = (self.namespace(host), self.namespace(Place::Middle));
        // Only the first of the two can be given a number.
        let first = format!("link add {port} index {index} netns {there} mtu {mtu}");
        let second = format!("type veth peer name lan netns {here} mtu {mtu}");
        ip(&format!("{first} {second}").split(' ').collect::<Vec<_>>())?;
        for (place, interface) in [(host, "lan"), (Place::Middle, port)] {
            // There is none where the kernel, or the MTU, knows no IPv6.
            let key = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
            let silent = format!("[ ! -e {key} ] || echo 1 >{key}");
            self.shell(place, &silent)?;
            self.shell(
                place,
                &format!("ethtool -K {interface} tx off tso off gso off gro off sg off"),
            )?;
            ip(&["-n", &self.namespace(place), "link", "set", interface, "up"])?;
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        Place::ALL.iter().for_each(|&place| remove(&self.namespace(place)));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether a laboratory can be had here.
///
/// # Errors
/// One line that says what is missing, and how to get it.
pub fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new("network namespaces: expected root; run it with sudo"));
    }
    for (program, package) in
        [("setpriv", "util-linux"), ("ip", "iproute2"), ("ethtool", "ethtool")]
    {
        needs(program, package)?;
    }
    Ok(())
}

/// Whether a program is there.
///
/// # Errors
/// What to install.
pub fn needs(program: &str, package: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        true => Ok(()),
        false => {
            Err(Error::new(format!("{program}: not found; as root: apt-get install {package}")))
        }
    }
}

/// Removes namespaces and folders of laboratories whose process is gone.
fn remove_leftovers() -> Result<()> {
    let here = process::id();
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    for name in names(Path::new("/run/netns")) {
        if owner(&name).is_some_and(|pid| pid != here && !is_running(pid)) {
            say(format_args!("removing {name}, which a killed laboratory left"));
            remove(&name);
        }
    }
    let temporary = std::env::temp_dir();
    for name in names(&temporary) {
        if owner(&name).is_some_and(|pid| pid != here && !is_running(pid)) {
            let folder = temporary.join(&name);
            // Another laboratory may be doing the same.
            let removed = fs::remove_dir_all(&folder);
            if folder.exists() {
                removed.context(folder.display())?;
            }
        }
    }
    Ok(())
}

/// The process that a name of ours speaks of.
fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(PREFIX)?;
    let (pid, rest) = rest.split_once('n')?;
    let number = rest.strip_suffix(['w', 'm', 'e']).unwrap_or(rest);
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Removes a namespace and whoever is still in it.
fn remove(name: &str) {
    let output = command("ip").args(["netns", "pids", name]).output();
    let pids = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    for pid in pids.unwrap_or_default().split_whitespace() {
        let _ = command("kill").args(["-KILL", pid]).output();
    }
    let _ = command("ip").args(["netns", "del", name]).output();
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(&format!("ip {}", arguments.join(" ")), command("ip").args(arguments)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn only_names_of_ours_are_left_over() {
        for (name, expected) in [
            ("mstl12n0w", Some(12)),
            ("mstl12n34", Some(12)),
            ("mstl12n", None),
            ("mstl12", None),
            ("mst12n0w", None),
            ("mstlxn0", None),
            ("mstl12n0x", None),
        ] {
            assert_eq!(owner(name), expected, "{name}");
        }
    }
}
