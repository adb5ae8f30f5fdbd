//! Two gateways as they are run, in network namespaces, through each encapsulation: ping, TCP, UDP and
//! IPv6 of this host's kernel cross, and cross again after either gateway was killed.
//!
//! ```text
//!  namespace  hw ─veth─ gw ─veth─  r  ─veth─ ge ─veth─ he
//!            host    gateway    router    gateway    host
//! ```
//!
//! With `ether` and `transparent`, the gateways' WAN ports are the two ends of one veth. Needs root, and ip, ethtool and
//! ping; says so where it is skipped.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;
#[path = "encapsulations/net.rs"]
mod net;
#[path = "encapsulations/parts.rs"]
mod parts;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use common::{Ended, Process, wait_until};
use net::{HOSTS, Net, Wan, is_possible};

/// One at a time: they are measured.
static ALONE: Mutex<()> = Mutex::new(());

/// One way to set the pair up.
struct Case {
    name: &'static str,
    wan: Wan,
    /// On a circuit: not every kernel has tagged interfaces for a router.
    vlan: Option<u16>,
    /// The MTU of the WAN, and one of the LANs that fits in it.
    mtu: [u16; 2],
    /// Workers of each gateway, each with a channel.
    workers: usize,
    /// More lines of `[wan]`.
    more: &'static str,
    /// What a key does, if they have one.
    key_mode: Option<&'static str>,
}

const PLAIN: Case = Case {
    name: "ether",
    wan: Wan::Circuit,
    vlan: None,
    mtu: [1560, 1500],
    workers: 1,
    more: "",
    key_mode: None,
};

/// Rings of frames that hold these want larger buffers than the LAN's MTU.
const JUMBO: [u16; 2] = [9600, 9000];

fn configuration(case: &Case, side: &str, folder: &Path) -> String {
    let [wan_mtu, lan_mtu] = case.mtu;
    let vlan = case.vlan.map_or(String::new(), |vlan| format!("vlan = {vlan}\n"));
    let link = case.wan.keys(side);
    // The usual frames of a ring are too short for jumbo frames; a block is a whole number of them, and of
    // pages.
    let ring = if lan_mtu > 1500 { ",blocksz=36864,framesz=9216,framecnt=512" } else { "" };
    let port = |n: usize, name: &str| format!("net_af_packet{n},iface={name}{ring}");
    let workers = "[[worker]]\nrooms = [\"protect\", \"recover\"]\n".repeat(case.workers);
    let keys = match case.key_mode {
        None => "keys = \"none\"".to_owned(),
        Some(mode) => {
            let file = folder.join("key");
            format!("key_file = \"{}\"\nkey_mode = \"{mode}\"", file.display())
        }
    };
    format!(
        "[gateway]\nside = \"{side}\"\n{keys}\nhugepages = false\nidle = \"rest\"\n\
         [lan]\nport = \"{}\"\nmtu = {lan_mtu}\n\
         [wan]\nport = \"{}\"\nmtu = {wan_mtu}\n{vlan}{link}{}\
         [code]\nlayers = \"8:21,23,25+g1\"\n{workers}",
        port(0, "lan"),
        port(1, "wan"),
        case.more,
    )
}

/// Starts a gateway; `life` is which of its lives it is.
fn gateway(net: &Net, folder: &Path, side: &str, life: usize) -> Process {
    let mut command = net.inside(&format!("g{}", &side[..1]), env!("CARGO_BIN_EXE_maelstrom"));
    command.args(["run", "--config"]).arg(folder.join(format!("{side}.toml")));
    Process::spawn(folder, &format!("{side}{life}"), command)
}

fn running(process: &mut Process) {
    process.wait_for("running; SIGINT or SIGTERM ends it");
}

/// The value of a counter that was printed under a heading that begins so; 0 if it counted nothing.
fn counter(ended: &Ended, heading: &str, name: &str) -> u64 {
    let mut lines = ended.stdout.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    let mut room = lines.by_ref().take_while(|line| line.starts_with("  "));
    let value = room.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

/// TCP and UDP, over IPv4 and IPv6, from one host to the other and back.
fn traffic(net: &Net, folder: &Path) {
    let ended = net.part(folder, "hw", "traffic").end();
    assert!(ended.status == Some(0) && ended.stderr.contains("all of it came back"), "{ended:?}");
}

/// Pings from one host to the other, with as much as fits and not a byte more or less.
fn ping(net: &Net, case: &Case) {
    let longest = usize::from(case.mtu[1]);
    for (address, headers) in [(HOSTS[0][1], 28), (HOSTS[1][1], 48)] {
        for length in [8, longest - headers] {
            let mut ping = net.inside("hw", "ping");
            ping.args(["-M", "do", "-c", "3", "-i", "0.1", "-W", "5", "-s", &length.to_string()]);
            let output = ping.arg(address).output().unwrap();
            assert!(output.status.success(), "{}: {length} bytes: {output:?}", case.name);
        }
    }
}

/// The gateways' own addresses answer the routers next to them.
fn ping_gateways(net: &Net, case: &Case) {
    for address in case.wan.gateways() {
        let mut ping = net.inside("r", "ping");
        let output = ping.args(["-c", "3", "-i", "0.1", "-W", "5", "-s", "1200", address]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}: {address}: {output:?}", case.name);
    }
}

fn crosses(case: &Case) {
    if !is_possible() {
        eprintln!("skipped: needs root, network namespaces, ip, ethtool and ping");
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let net = Net::new(case.wan, case.mtu);
    if case.key_mode.is_some() {
        assert_eq!(common::maelstrom(path, &["key", "key"]).status, Some(0));
    }
    for side in ["west", "east"] {
        fs::write(path.join(format!("{side}.toml")), configuration(case, side, path)).unwrap();
    }
    let mut gateways = ["west", "east"].map(|side| gateway(&net, path, side, 0));
    gateways.iter_mut().for_each(running);
    let mut far = net.part(path, "he", "far");
    far.wait_for("listening");
    traffic(&net, path);
    ping(&net, case);
    ping_gateways(&net, case);

    let mut watch = net.part(path, "hw", "watch");
    watch.wait_for("echoes come");
    for (life, n) in [(1, 0), (1, 1), (2, 0)] {
        let side = ["west", "east"][n];
        let before = parts::gaps(&watch.stderr()).len();
        gateways[n].signal("KILL");
        let killed = Instant::now();
        let again = gateway(&net, path, side, life);
        let old = std::mem::replace(&mut gateways[n], again);
        assert_eq!(old.end().status, None);
        running(&mut gateways[n]);
        let started = killed.elapsed();
        wait_until("echoes after a restart", || {
            assert!(gateways.iter_mut().all(Process::is_running), "{}", gateways[n].stderr());
            parts::gaps(&watch.stderr()).len() > before
        });
        let [gap, absent] = parts::gaps(&watch.stderr())[before];
        // It takes a second or so, besides what the machine has no core for.
        let allowed = 5000 + started.as_millis() as u64 + absent;
        assert!(gap < allowed, "{}: {gap} ms of {allowed}", case.name);
        eprintln!(
            "{}: {side} killed and started again: {gap} ms without an echo, of which {} until it ran",
            case.name,
            started.as_millis(),
        );
    }
    if case.wan != Wan::Circuit {
        let before = parts::gaps(&watch.stderr()).len();
        net.move_router();
        wait_until("the router at its new address", || {
            gateways[0].stderr().matches("is at").count() == 2
        });
        // It may be found before it is missed; what crosses below has found it.
        let gap = parts::gaps(&watch.stderr()).get(before).map(|[gap, _]| *gap);
        eprintln!("{}: the router got another MAC address: {gap:?} ms without an echo", case.name);
    }
    drop(watch);
    traffic(&net, path);
    ping(&net, case);
    gateways.iter().for_each(|gateway| gateway.signal("TERM"));
    for ended in gateways.map(Process::end) {
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(counter(&ended, "recover (", "delivered") > 100, "{ended:?}");
        for reason in ["bad_check", "unknown_channel", "too_large", "no_headroom"] {
            assert!(!ended.stdout.contains(reason), "{reason}: {ended:?}");
        }
        if case.workers > 1 {
            for n in 0..case.workers {
                let heading = format!("recover, channel {n},");
                assert!(counter(&ended, &heading, "delivered") > 0, "{heading} {ended:?}");
            }
        }
    }
}

#[test]
fn over_ethernet() {
    crosses(&PLAIN);
}

#[test]
fn over_ethernet_with_keys() {
    let (mtu, key_mode) = ([1600, 1500], Some("tag"));
    crosses(&Case { name: "ether, tags", mtu, key_mode, ..PLAIN });
}

#[test]
fn over_ethernet_jumbo_and_tagged() {
    crosses(&Case { name: "ether 9000, VLAN", vlan: Some(100), mtu: JUMBO, ..PLAIN });
}

/// The WAN's MTU is the LAN's: nothing is added.
#[test]
fn over_a_transparent_circuit() {
    let more = "encapsulation = \"transparent\"\n";
    crosses(&Case { name: "transparent", mtu: [1500, 1500], more, ..PLAIN });
}

#[test]
fn over_a_transparent_circuit_jumbo() {
    let more = "encapsulation = \"transparent\"\n";
    crosses(&Case { name: "transparent, 9000", mtu: JUMBO, more, ..PLAIN });
}

#[test]
fn over_udp_and_ipv4() {
    // What fits in the Internet's usual MTU.
    let (mtu, more) = ([1500, 1400], "dscp = 46\n");
    crosses(&Case { name: "udp, IPv4", wan: Wan::V4, mtu, more, ..PLAIN });
}

#[test]
fn over_udp_and_ipv4_jumbo_sealed_with_two_channels() {
    let (mtu, key_mode) = (JUMBO, Some("seal"));
    crosses(&Case {
        name: "udp, IPv4, 9000, sealed",
        wan: Wan::V4,
        mtu,
        workers: 2,
        key_mode,
        ..PLAIN
    });
}

#[test]
fn over_udp_and_ipv6() {
    crosses(&Case { name: "udp, IPv6", wan: Wan::V6, mtu: [1620, 1500], ..PLAIN });
}

#[test]
fn over_udp_and_ipv6_jumbo_with_checksums() {
    let (mtu, more) = (JUMBO, "udp_checksum = true\n");
    crosses(&Case { name: "udp, IPv6, 9000, checksums", wan: Wan::V6, mtu, more, ..PLAIN });
}
