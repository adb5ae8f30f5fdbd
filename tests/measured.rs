//! Two gateways as they are run, over a WAN that loses 1 % in bursts: what `maelstrom link` says of it, and
//! codes that are changed under traffic.
//!
//! Needs neither root nor hugepages: the LAN ports are captures, the WAN is two memifs.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::path::Path;

use serde_json::Value;

use common::{Process, distinct, maelstrom, wait_until, write_capture};

const CODE: &str = "8:41,43,45,47+g1";

fn configuration(side: &str, lan: &str, wan: &str, more: &str) -> String {
    format!(
        "[gateway]\nside = \"{side}\"\nhugepages = false\nkeys = \"none\"\nidle = \"rest\"\n[lan]\nport = \"{lan}\"\n\
         [wan]\nport = \"{wan}\"\nmtu = 1900\nrate = \"60Mbps\"\n[code]\nlayers = \"{CODE}\"\n{more}\
         [control]\nsocket = \"{side}.ctl\"\n[[worker]]\nrooms = [\"protect\", \"recover\"]\n"
    )
}

fn memif(folder: &Path, n: usize, role: &str, side: &str) -> String {
    let socket = folder.join(format!("{side}.sock"));
    format!("net_memif{n},role={role},id=0,socket={},socket-abstract=no", socket.display())
}

/// West, whose LAN plays a capture again and again, east, whose LAN takes everything, and the WAN.
fn start(folder: &Path, more: &str, flags: &[&str]) -> [Process; 3] {
    write_capture(&folder.join("in.pcap"), &distinct(3, 500));
    let lans = [("west", "net_pcap0,rx_pcap=in.pcap,infinite_rx=1"), ("east", "net_null0,no-rx=1")];
    let [west, east] = lans.map(|(side, lan)| {
        let file = format!("{side}.toml");
        let text = configuration(side, lan, &memif(folder, 0, "server", side), more);
        fs::write(folder.join(&file), text).unwrap();
        let mut gateway = Process::start(folder, side, &["run", "--config", &file]);
        gateway.wait_for("running; SIGINT or SIGTERM ends it");
        gateway
    });
    let ends = [(0, "west"), (1, "east")].map(|(n, side)| memif(folder, n, "client", side));
    let arguments = ["wan", "--west", &ends[0], "--east", &ends[1], "--wan-mtu", "1900"];
    let mut wan = Process::start(folder, "wan", &[&arguments, flags].concat());
    wan.wait_for("running; SIGINT or SIGTERM ends it");
    [west, east, wan]
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let ended = maelstrom(folder, arguments);
    assert_eq!(ended.status, Some(0), "{arguments:?}: {ended:?}");
    ended.stdout.trim().to_owned()
}

fn link(folder: &Path, side: &str) -> Value {
    let socket = format!("{side}.ctl");
    serde_json::from_str(&done(folder, &["link", "--socket", &socket, "--json"])).unwrap()
}

fn status(folder: &Path, side: &str) -> Value {
    let socket = format!("{side}.ctl");
    serde_json::from_str(&done(folder, &["ctl", "--socket", &socket, "status", "--json"])).unwrap()
}

fn count(folder: &Path, side: &str, room: &str, name: &str) -> u64 {
    status(folder, side)["counters"][room][name].as_u64().unwrap()
}

fn end(processes: [Process; 3]) {
    for process in processes {
        process.signal("TERM");
        let ended = process.end();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    }
}

#[test]
fn a_lossy_link_is_told_of_and_a_code_changed_under_traffic_loses_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let flags = ["--delay", "5ms", "--loss", "ge:0.01,2", "--seed", "3"];
    let processes = start(path, "", &flags);
    wait_until("enough to be judged", || {
        link(path, "west")["sent"]["link"]["packets"].as_u64() > Some(40_000)
    });
    let west = link(path, "west");
    let sent = &west["sent"]["link"];
    // 400 of 40,000, in 200 bursts, give or take seven standard deviations.
    let loss = sent["loss"].as_f64().unwrap();
    assert!((0.005..0.015).contains(&loss), "{west}");
    assert!(sent["loss_least"].as_f64() < Some(loss) && sent["loss_limit"].as_f64() > Some(loss));
    let burst = sent["mean_burst"].as_f64().unwrap();
    assert!((1.3..3.0).contains(&burst), "{west}");
    assert!(west["round_trip_ms"].as_f64() >= Some(10.0), "{west}");
    assert!(sent["recovery_median_ns"].as_u64() > Some(0), "{west}");
    assert!(west["what_if"].as_str().unwrap().contains(CODE), "{west}");
    // Both ends speak of the same packets.
    let channel = &west["sent"]["channels"][0];
    assert!(channel["numbered"].as_u64() >= channel["to"].as_u64(), "{west}");
    let east = link(path, "east");
    let there = &east["heard"]["channels"][0];
    assert!(there["to"].as_u64() >= channel["to"].as_u64(), "{east}");
    assert_eq!((&there["channel"], &there["epoch"]), (&channel["channel"], &channel["epoch"]));
    let text = done(path, &["link", "--socket", "west.ctl", "--all"]);
    for part in ["to the peer, as it reports", "recovered  by layer", "what if    ", "numbered;"] {
        assert!(text.contains(part), "{part} in {text}");
    }

    // Codes under traffic, by an operator and by a file.
    let code = |layers: &str| done(path, &["ctl", "--socket", "west.ctl", "code", layers]);
    let changed = |layers: &str| {
        wait_until("the old code to be out", || {
            let code = &status(path, "west")["code"];
            code["layers"] == layers && code["changing"] == false
        });
    };
    for layers in ["8:21,23,25+g1", "6:31,33,35+g1", CODE] {
        assert!(code(layers).contains("protects from now on"));
        changed(layers);
    }
    let file = path.join("west.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(CODE, "8:21,23,25+g1")).unwrap();
    let said = done(path, &["ctl", "--socket", "west.ctl", "reload"]);
    assert_eq!(said, "applied code.layers");
    changed("8:21,23,25+g1");
    let log = processes[0].stderr();
    for line in [
        "code 8:41,43,45,47+g1 -> 8:21,23,25+g1: an operator wants it",
        "code 8:41,43,45,47+g1 -> 8:21,23,25+g1: the configuration has changed",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
    let refused = maelstrom(path, &["ctl", "--socket", "west.ctl", "code", "8:411,413+g1"]);
    assert_eq!((refused.status, refused.stderr.lines().count()), (Some(2), 1), "{refused:?}");
    assert!(refused.stderr.contains("this gateway has room for"), "{refused:?}");

    done(path, &["ctl", "--socket", "west.ctl", "drain"]);
    wait_until("all to have left", || status(path, "west")["gateway"]["drained"] == true);
    let sent = count(path, "west", "protect", "source_sent");
    wait_until("every frame to be delivered", || {
        count(path, "east", "recover", "delivered") == sent
    });
    assert!(count(path, "east", "recover", "recovered") > 0);
    assert_eq!(count(path, "east", "recover", "bad_rebuilt"), 0);
    end(processes);
}

#[test]
fn a_code_that_follows_the_link_is_changed_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let auto = "[code.auto]\nresidual = 1e-4\noverhead_limit = 1.0\nlargest = \"8:41,43,45,47+g1\"\n\
                quiet = \"1s\"\n";
    let processes = start(path, auto, &["--delay", "2ms", "--loss", "ge:0.05,3", "--seed", "5"]);
    wait_until("a link that is measured", || {
        link(path, "west")["sent"]["link"]["packets"].as_u64() > Some(10_000)
    });
    wait_until("a code for it", || status(path, "west")["code"]["changes"].as_u64() > Some(0));
    let reason = status(path, "west")["code"]["last_change"].as_str().unwrap().to_owned();
    // What the code that was chosen leaves and costs; the limits may hold nothing that is good enough, as
    // a machine that is busy sends less.
    for part in ["code ", " in bursts of ", " leaves ", " costs "] {
        assert!(reason.contains(part), "{part:?} in {reason}");
    }
    let refused = maelstrom(path, &["ctl", "--socket", "west.ctl", "code", "8:21,23+g1"]);
    assert!(refused.stderr.contains("code.auto chooses the code"), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1);
    // Without the section it stays as the file has it.
    let file = path.join("west.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(auto, "")).unwrap();
    let said = done(path, &["ctl", "--socket", "west.ctl", "reload"]);
    assert!(said.starts_with("applied code.auto.largest, code.auto.overhead_limit"), "{said}");
    assert!(!said.contains("restart"), "{said}");
    wait_until("the file's code", || {
        let code = &status(path, "west")["code"];
        code["layers"] == CODE && code["changing"] == false && code["auto"] == false
    });
    let said = done(path, &["ctl", "--socket", "west.ctl", "code", "8:21,23+g1"]);
    assert!(said.contains("protects from now on"), "{said}");
    end(processes);
}

#[test]
fn a_link_that_nobody_can_tell_of_is_said_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (arguments, expected) in [
        (&["link"][..], "--socket"),
        (&["link", "--socket", "none.ctl"], "expected control.socket of a gateway that runs"),
        (&["link", "--socket", "none.ctl", "--since"], "--since"),
    ] {
        let ended = maelstrom(path, arguments);
        assert_eq!((ended.status, ended.stderr.lines().count()), (Some(2), 1), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
    }
    // A gateway without a peer has nothing to tell.
    let text = configuration("west", "net_null0,no-rx=1", "net_null1,no-rx=1", "");
    fs::write(path.join("west.toml"), text).unwrap();
    let mut gateway = Process::start(path, "west", &["run", "--config", "west.toml"]);
    gateway.wait_for("running; SIGINT or SIGTERM ends it");
    let text = done(path, &["link", "--socket", "west.ctl"]);
    assert!(text.contains("peer       down") && text.contains("nothing was judged yet"), "{text}");
    assert_eq!(link(path, "west")["sent"]["link"], Value::Null);
    gateway.signal("TERM");
    assert_eq!(gateway.end().status, Some(0));
}
