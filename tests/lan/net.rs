//! Network namespaces, joined by veths.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Ended, Process};

/// A network namespace, and whatever lives in it.
pub struct Net {
    /// Keeps it there.
    keeper: Process,
}

impl Net {
    /// The first, in a user namespace of its own. `None`, and said, where that can't be had.
    pub fn first(folder: &Path) -> Option<Net> {
        let possible =
            ["true", "test -c /dev/net/tun", "ip link add type veth", "ethtool --version"];
        for probe in possible {
            let mut command = Command::new("unshare");
            let output = command.args(["-Urn", "--", "sh", "-c", probe]).output();
            if !output.is_ok_and(|output| output.status.success()) {
                eprintln!("skipped: `{probe}` is not possible in a namespace of one's own");
                return None;
            }
        }
        let mut command = Command::new("unshare");
        command.args(["-Urn", "--", "sleep", "600"]);
        Some(Net::keep(folder, "first", command))
    }

    /// A further one in the same user namespace.
    pub fn next(&self, folder: &Path, name: &str) -> Net {
        let mut command = self.inside("unshare");
        command.args(["-n", "--", "sleep", "600"]);
        Net::keep(folder, name, command)
    }

    fn keep(folder: &Path, name: &str, command: Command) -> Net {
        let keeper = Process::spawn(folder, &format!("net-{name}"), command);
        let ours = fs::read_link("/proc/self/ns/net").unwrap();
        let path = format!("/proc/{}/ns/net", keeper.id());
        let comm = format!("/proc/{}/comm", keeper.id());
        crate::common::wait_until("a namespace", || {
            fs::read_link(&path).is_ok_and(|theirs| theirs != ours)
                && fs::read_to_string(&comm).is_ok_and(|comm| comm.trim() == "sleep")
        });
        let net = Net { keeper };
        net.run("ip link set lo up");
        net
    }

    /// A command in it.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.keeper.id().to_string();
        command.args(["-t", &target, "-U", "-n", "--preserve-credentials", "--", program]);
        command
    }

    /// Runs lines of shell.
    pub fn run(&self, script: &str) {
        let output = self.inside("sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// A veth from `here` to `there`: a gateway's ends, silent and without offloads. `there` may be a
    /// host's, and then has addresses.
    pub fn veth(&self, mtu: u16, here: &str, net: &Net, there: &str, host: Option<u8>) {
        let pid = net.keeper.id();
        self.run(&format!(
            "ip link add {here} mtu {mtu} type veth peer name {there} mtu {mtu} netns {pid}"
        ));
        self.up(here, None);
        net.up(there, host);
    }

    /// Moves an interface to another.
    pub fn give(&self, interface: &str, net: &Net) {
        self.run(&format!("ip link set {interface} netns {}", net.keeper.id()));
    }

    /// Sets an interface up, as host number so and so or as a gateway's.
    pub fn up(&self, interface: &str, host: Option<u8>) {
        let silent = format!("echo 1 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
        let address = match host {
            Some(host) => format!(
                "ip addr add 10.77.0.{host}/24 brd + dev {interface}
                 ip addr add fd77::{host}/64 dev {interface} nodad"
            ),
            None => silent,
        };
        // Else checksums are missing and frames too long.
        self.run(&format!(
            "ethtool -K {interface} tx off tso off gso off gro off sg off >&2 || true
             {address}
             ip link set {interface} up"
        ));
    }

    /// `maelstrom run` in it, with this configuration.
    pub fn gateway(&self, folder: &Path, side: &str, configuration: &str) -> Process {
        let file = folder.join(format!("{side}.toml"));
        fs::write(&file, configuration).unwrap();
        let mut command = self.inside(env!("CARGO_BIN_EXE_maelstrom"));
        command.args(["run", "--config"]).arg(&file).current_dir(folder);
        let mut process = Process::spawn(folder, side, command);
        process.wait_for("running; SIGINT or SIGTERM ends it");
        process
    }
}

/// Ends a gateway, which ends well.
pub fn end(gateway: Process) -> Ended {
    gateway.signal("TERM");
    let ended = gateway.end();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("error") && !ended.stderr.contains("panicked"), "{ended:?}");
    ended
}

/// The value of a counter that was printed under a heading; 0 if it counted nothing.
pub fn count(ended: &Ended, heading: &str, name: &str) -> u64 {
    let mut lines = ended.stdout.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    let mut room = lines.by_ref().take_while(|line| line.starts_with("  "));
    let value = room.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.trim().parse().unwrap())
}
