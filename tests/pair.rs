//! Two gateways as they are run, joined by memif through an emulated WAN, in real time.
//!
//! Needs neither root nor hugepages: the LAN ports are captures.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use maelstrom::lab::compare::{Comparison, compare};

use common::{
    Ended, Process, distinct, maelstrom, read_capture, wait_for_delivery, wait_until, write_capture,
};

/// West and east, up and waiting for a WAN. Their files are named after them.
struct Pair {
    west: Process,
    east: Process,
}

const SIDES: [&str; 2] = ["west", "east"];

fn configuration(side: &str, lan: &str, wan: &str) -> String {
    format!(
        "[gateway]\nside = \"{side}\"\nkeys = \"none\"\nhugepages = false\nidle = \"rest\"\n[lan]\nport = \"{lan}\"\n\
         [wan]\nport = \"{wan}\"\nmtu = 1900\n[code]\nlayers = \"20:97,101,103+g1\"\n\
         [control]\nsocket = \"{side}.ctl\"\n[[worker]]\nrooms = [\"protect\", \"recover\"]\n"
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
    /// `west-in.pcap` and `east-in.pcap` are what their LANs bring; `playing` says how, to the PMD.
    fn start(folder: &Path, playing: &str) -> Pair {
        let [west, east] = SIDES.map(|side| {
            let lan = format!("net_pcap0,rx_pcap={side}-in.pcap,tx_pcap={side}-out.pcap{playing}");
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

    /// Waits until both say that their WAN port's link is `up` or `down`, and that was their last
    /// word on it.
    fn links_are(&mut self, state: &str) {
        for gateway in [&mut self.west, &mut self.east] {
            let said = format!("link {state}");
            wait_until(&format!("{said} from both gateways"), || {
                assert!(gateway.is_running(), "ended: {}", gateway.stderr());
                let log = gateway.stderr();
                log.lines()
                    .rfind(|line| line.contains("net_memif0: link"))
                    .is_some_and(|line| line.ends_with(&said))
            });
        }
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
    let mut pair = Pair::start(path, "");
    let wan = pair.wan(path, &["--delay", "5ms", "--loss", "iid:0.01", "--seed", "3"]);
    wait_for_delivery(path, &mut [("west", &mut pair.west), ("east", &mut pair.east)], 20_000);
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
        let control = counter(&ended, "protect", "control_sent");
        assert_eq!(wire, sent + repairs + control, "{ended:?}");
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
        write_capture(&path.join(format!("{side}-in.pcap")), &distinct(seed, 1000));
    }
    // The captures over and over, faster than the WAN is.
    let mut pair = Pair::start(path, ",infinite_rx=1");
    let flags = ["--delay", "1ms", "--wan-rate", "50Mbps", "--loss", "iid:0.01"];
    let outputs = SIDES.map(|side| path.join(format!("{side}-out.pcap")));
    for _ in 0..2 {
        let before = outputs.each_ref().map(|output| size(output));
        let mut wan = pair.wan(path, &flags);
        let more = |n: usize| size(&outputs[n]) > before[n] + 100_000;
        wait_until("traffic both ways", || more(0) && more(1));
        pair.links_are("up");
        assert!(wan.is_running());
        wan.signal("KILL");
        assert_eq!(wan.end().status, None);
        pair.links_are("down");
    }
    for ended in pair.end() {
        ended_well(&ended);
        assert!(counter(&ended, "recover", "recovered") > 0, "{ended:?}");
    }
    // Much is missing, but what came out is what went in.
    for (from, output) in [("east", &outputs[0]), ("west", &outputs[1])] {
        let sent: HashSet<Vec<u8>> =
            read_capture(&path.join(format!("{from}-in.pcap"))).into_iter().map(|f| f.1).collect();
        let received = read_capture(output);
        assert!(received.iter().all(|(_, frame)| sent.contains(frame)), "to {output:?}");
    }
}
