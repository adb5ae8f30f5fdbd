//! Two gateways as they are run, joined by memif through an emulated WAN, in real time.
//!
//! Needs neither root nor hugepages: the LAN ports are captures.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use maelstrom::lab::compare::{Comparison, compare};

use common::{Ended, Process, distinct, maelstrom, read_capture, wait_until, write_capture};

/// West and east, up and waiting for a WAN. Their files are named after them.
struct Pair {
    west: Process,
    east: Process,
}

const SIDES: [&str; 2] = ["west", "east"];

fn configuration(side: &str, lan: &str, wan: &str) -> String {
    format!(
        "[gateway]\nside = \"{side}\"\nhugepages = false\nidle = \"rest\"\n[lan]\nport = \"{lan}\"\n\
         [wan]\nport = \"{wan}\"\nmtu = 1900\n[code]\nlayers = \"20:97,101,103+g1\"\n\
         [[worker]]\nrooms = [\"protect\", \"recover\"]\n"
    )
}

fn gateway(folder: &Path, side: &str, lan: &str, wan: &str) -> Process {
    let file = format!("{side}.toml");
    fs::write(folder.join(&file), configuration(side, lan, wan)).unwrap();
    let mut process = Process::start(folder, side, &["run", "--config", &file]);
    process.wait_for("running; SIGINT or SIGTERM ends it");
    process
}

/// The memif of a gateway's end, or of the WAN's, which is the client: clients don't try again.
fn memif(folder: &Path, n: usize, role: &str, side: &str) -> String {
    let socket = folder.join(format!("{side}.sock"));
    let socket = socket.display();
    format!("net_memif{n},role={role},id=0,socket={socket},socket-abstract=no")
}

impl Pair {
    /// `west-in.pcap` and `east-in.pcap` are what their LANs bring.
    fn start(folder: &Path) -> Pair {
        let [west, east] = SIDES.map(|side| {
            let lan = format!("net_pcap0,rx_pcap={side}-in.pcap,tx_pcap={side}-out.pcap");
            gateway(folder, side, &lan, &memif(folder, 0, "server", side))
        });
        Pair { west, east }
    }

    fn wan(&mut self, folder: &Path, flags: &[&str]) -> Process {
        let [west, east] =
            [(0, "west"), (1, "east")].map(|(n, side)| memif(folder, n, "client", side));
        let arguments = ["wan", "--west", &west, "--east", &east, "--wan-mtu", "1900"];
        let mut wan = Process::start(folder, "wan", &[&arguments, flags].concat());
        wan.wait_for("running; SIGINT or SIGTERM ends it");
        wan
    }

    fn end(self) -> [Ended; 2] {
        self.west.signal("TERM");
        self.east.signal("INT");
        [self.west.end(), self.east.end()]
    }
}

/// The value of a counter that was printed; 0 if it counted nothing.
fn counter(ended: &Ended, room: &str, name: &str) -> u64 {
    let mut lines = ended.stdout.lines().skip_while(|line| !line.starts_with(room)).skip(1);
    let mut room = lines.by_ref().take_while(|line| line.starts_with("  "));
    let value = room.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Nothing that a gateway or a WAN says is an error.
fn ended_well(ended: &Ended) {
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("error") && !ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn every_frame_crosses_a_wan_that_loses_one_in_a_hundred_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (seed, side) in (11..).zip(SIDES) {
        write_capture(&path.join(format!("{side}-in.pcap")), &distinct(seed, 20_000));
    }
    let ways = [("west", "east"), ("east", "west")].map(|(from, to)| {
        (path.join(format!("{from}-in.pcap")), path.join(format!("{to}-out.pcap")))
    });
    let mut pair = Pair::start(path);
    let wan = pair.wan(path, &["--delay", "5ms", "--loss", "iid:0.01", "--seed", "3"]);
    for (sent, received) in &ways {
        // The PMD writes whole blocks; the last one comes when the port closes.
        let whole = size(sent) - 4096;
        wait_until(&format!("{}", received.display()), || size(received) >= whole);
    }
    // And what is in that block has long been on its way.
    thread::sleep(Duration::from_millis(500));
    let gateways = pair.end();
    wan.signal("TERM");
    let wan = wan.end();
    gateways.iter().chain([&wan]).for_each(ended_well);

    for ((sent, received), to) in ways.iter().zip([&gateways[1], &gateways[0]]) {
        let comparison = compare(sent, received).unwrap();
        assert!(comparison.is_whole(), "{comparison} {gateways:?} {wan:?}");
        let Comparison { sent, reordered, .. } = comparison;
        let recovered = counter(to, "recover", "recovered");
        // 200 of 20,000 are lost, give or take seven standard deviations.
        assert!((100..300).contains(&recovered), "{recovered} recovered, {to:?}");
        assert_eq!(counter(to, "recover", "delivered"), sent, "{to:?}");
        assert_eq!(counter(to, "protect", "source_sent"), sent, "{to:?}");
        assert!(reordered <= recovered, "frames that were not lost changed places: {to:?}");
    }
    for way in ["eastward", "westward"] {
        assert!(counter(&wan, way, "lost") > 0, "{wan:?}");
    }
    // The same by the command, as an operator would ask.
    let command = ["compare", "west-in.pcap", "east-out.pcap"];
    let compared = maelstrom(path, &command);
    assert_eq!(compared.status, Some(0), "{compared:?}");
    assert!(compared.stdout.contains("missing none") && compared.stdout.contains("foreign none"));
}

#[test]
fn a_gateway_stops_cleanly_in_the_middle_of_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let frames: Vec<Vec<u8>> = distinct(21, 500);
    write_capture(&path.join("in.pcap"), &frames);
    for signal in ["TERM", "INT"] {
        let lan = "net_pcap0,rx_pcap=in.pcap,infinite_rx=1";
        let mut gateway = gateway(path, "west", lan, "net_pcap1,tx_pcap=wan.pcap");
        wait_until("traffic", || size(&path.join("wan.pcap")) > 1 << 20);
        assert!(gateway.is_running());
        gateway.signal(signal);
        let ended = gateway.end();
        ended_well(&ended);
        assert!(ended.stderr.contains(&format!("stopping on SIG{signal}")), "{ended:?}");
        // The file is whole, and holds just what was counted.
        let wire = read_capture(&path.join("wan.pcap")).len() as u64;
        let sent = counter(&ended, "protect", "source_sent");
        let repairs = counter(&ended, "protect", "repair_sent");
        assert_eq!(wire, sent + repairs, "{ended:?}");
        assert_eq!(counter(&ended, "protect", "lan_in"), sent, "{ended:?}");
        assert_eq!(counter(&ended, "port net_pcap1", "sent"), wire, "{ended:?}");
        assert!(repairs >= sent * 3 / 20, "what was open is flushed at the end: {ended:?}");
    }
}

#[test]
fn gateways_outlive_their_wan_and_take_up_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (seed, side) in (31..).zip(SIDES) {
        write_capture(&path.join(format!("{side}-in.pcap")), &distinct(seed, 100_000));
    }
    let mut pair = Pair::start(path);
    let mut wan = pair.wan(path, &["--delay", "1ms", "--wan-rate", "200Mbps", "--queue", "100000"]);
    wait_until("traffic", || size(&path.join("east-out.pcap")) > 100_000);
    assert!(wan.is_running());
    wan.signal("KILL");
    assert_eq!(wan.end().status, None);
    pair.west.wait_for("port net_memif0: link down");
    pair.east.wait_for("port net_memif0: link down");

    let before = size(&path.join("east-out.pcap"));
    let wan = pair.wan(path, &["--delay", "1ms"]);
    wait_until("traffic again", || size(&path.join("east-out.pcap")) > before + 100_000);
    wan.signal("KILL");
    assert_eq!(wan.end().status, None);
    for ended in pair.end() {
        ended_well(&ended);
        assert!(ended.stdout.starts_with("protect (LAN to WAN)"), "{ended:?}");
    }
    // Some are missing, but nothing is foreign.
    let comparison = compare(&path.join("west-in.pcap"), &path.join("east-out.pcap")).unwrap();
    assert_eq!(comparison.foreign, 0, "{comparison}");
}
