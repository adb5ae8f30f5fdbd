//! The namespaces and what joins them, made for one test and removed behind it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, id};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::Process;
use crate::parts::ROLE;

/// The hosts' addresses: IPv4 west and east, IPv6 west and east.
pub const HOSTS: [[&str; 2]; 2] = [["10.77.0.1", "10.77.0.2"], ["fd77::1", "fd77::2"]];

/// What lies between the gateways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wan {
    /// A cable.
    Circuit,
    /// A router, and IPv4.
    V4,
    /// A router, and IPv6.
    V6,
}

impl Wan {
    /// The networks at the router: gateway west, router west, router east, gateway east.
    fn addresses(self) -> [&'static str; 4] {
        match self {
            Wan::Circuit => [""; 4],
            Wan::V4 => ["192.0.2.1/24", "192.0.2.254/24", "198.51.100.254/24", "198.51.100.1/24"],
            Wan::V6 => {
                ["2001:db8:1::1/64", "2001:db8:1::254/64", "2001:db8:2::254/64", "2001:db8:2::1/64"]
            }
        }
    }

    /// The gateways' own addresses.
    pub fn gateways(self) -> impl Iterator<Item = &'static str> {
        let [west, .., east] = self.addresses().map(|address| address.split('/').next().unwrap());
        [west, east].into_iter().filter(|address| !address.is_empty())
    }

    /// What `[wan]` of a gateway says.
    pub fn keys(self, side: &str) -> String {
        let mut all = self.addresses();
        if side == "east" {
            all.reverse();
        }
        let bare = |address: &str| address.split('/').next().unwrap().to_owned();
        let [ours, router, _, peer] = all;
        match self {
            Wan::Circuit => String::new(),
            Wan::V4 | Wan::V6 => format!(
                "encapsulation = \"udp\"\naddress = \"{ours}\"\ngateway = \"{}\"\npeer = \"{}\"\n",
                bare(router),
                bare(peer)
            ),
        }
    }
}

/// Whether these tests can be run here. Tried once: two at a time would be in each other's way.
pub fn is_possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(probe)
}

fn probe() -> bool {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let name = format!("mst{}probe", id());
    let root = std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    root && works("ping", &["-V"])
        && works("ethtool", &["--version"])
        && works("ip", &["netns", "add", &name])
        && works("ip", &["netns", "del", &name])
}

/// Namespaces, gone when this is dropped.
pub struct Net {
    prefix: String,
}

const NAMES: [&str; 5] = ["hw", "gw", "r", "ge", "he"];

impl Net {
    pub fn new(wan: Wan, [wan_mtu, lan_mtu]: [u16; 2]) -> Net {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("mst{}n{}", id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let net = Net { prefix };
        for name in NAMES {
            ip(&["netns", "add", &net.name(name)]);
            net.at(name, &["link", "set", "lo", "up"]);
        }
        net.cable(["hw", "lan"], ["gw", "lan"], lan_mtu);
        net.cable(["he", "lan"], ["ge", "lan"], lan_mtu);
        for (host, [v4, v6]) in [("hw", [0, 0]), ("he", [1, 1])] {
            for (address, length) in [(HOSTS[0][v4], 24), (HOSTS[1][v6], 64)] {
                net.address(host, "lan", &format!("{address}/{length}"));
            }
        }
        if wan == Wan::Circuit {
            net.cable(["gw", "wan"], ["ge", "wan"], wan_mtu);
            return net;
        }
        net.cable(["gw", "wan"], ["r", "rw"], wan_mtu);
        net.cable(["ge", "wan"], ["r", "re"], wan_mtu);
        let [_, west, east, _] = wan.addresses();
        net.address("r", "rw", west);
        net.address("r", "re", east);
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward && \
                       echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
        assert!(net.inside("r", "sh").args(["-c", forward]).status().unwrap().success());
        net
    }

    fn name(&self, namespace: &str) -> String {
        format!("{}{namespace}", self.prefix)
    }

    /// `ip` in a namespace.
    fn at(&self, namespace: &str, arguments: &[&str]) {
        ip(&[&["-n", &self.name(namespace)], arguments].concat());
    }

    /// Joins two namespaces. An MTU counts no tag; what a frame's checksum is left to the hardware for
    /// would cross without one, and frames that are joined or cut on the way are not what was sent.
    fn cable(&self, [a, at_a]: [&str; 2], [b, at_b]: [&str; 2], mtu: u16) {
        let (here, there, mtu) = (self.name(a), self.name(b), mtu.to_string());
        ip(&[
            "link", "add", at_a, "netns", &here, "mtu", &mtu, "type", "veth", "peer", "name", at_b,
            "netns", &there, "mtu", &mtu,
        ]);
        for (namespace, interface) in [(a, at_a), (b, at_b)] {
            let mut ethtool = self.inside(namespace, "ethtool");
            ethtool.args(["-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]);
            let output = ethtool.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            if namespace.starts_with('g') {
                // A gateway's ports are its own: the kernel has no address there.
                let off = format!("echo 1 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
                assert!(
                    self.inside(namespace, "sh").args(["-c", &off]).status().unwrap().success()
                );
            }
            self.at(namespace, &["link", "set", interface, "up"]);
        }
    }

    fn address(&self, namespace: &str, interface: &str, address: &str) {
        let mut arguments = vec!["addr", "add", address, "dev", interface];
        if address.contains(':') {
            arguments.push("nodad");
        }
        self.at(namespace, &arguments);
    }

    /// Gives the router another Ethernet address on its western side, of which it tells nobody.
    pub fn move_router(&self) {
        self.at("r", &["link", "set", "dev", "rw", "address", "02:00:00:00:77:01"]);
    }

    /// A command in a namespace, which takes the command's place.
    pub fn inside(&self, namespace: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(namespace), program]);
        command
    }

    /// This program as something else.
    pub fn part(&self, folder: &Path, namespace: &str, role: &str) -> Process {
        let this = std::env::current_exe().unwrap();
        let mut command = self.inside(namespace, this.to_str().unwrap());
        command.args(["--exact", "parts::a_part", "--nocapture", "--ignored"]);
        Process::spawn(folder, role, {
            command.env(ROLE, role);
            command
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in NAMES {
            let _ = Command::new("ip").args(["netns", "del", &self.name(name)]).output();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}
