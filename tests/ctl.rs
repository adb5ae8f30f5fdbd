//! Two gateways as they are run, and what operators ask of them: hellos, states, `maelstrom ctl`.
//!
//! Needs neither root nor hugepages: west's and east's WAN ports are joined by memif. What needs a link
//! that both ends can leave and join again runs in namespaces that anyone may make.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;
#[path = "ctl/process.rs"]
mod process;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use common::{Ended, Process, distinct, maelstrom, wait_until, write_capture};

/// A gateway's file: its LAN and WAN ports, and lines in front of `[[worker]]`.
fn configuration(side: &str, lan: &str, wan: &str, more: &str) -> String {
    format!(
        "[gateway]\nside = \"{side}\"\nhugepages = false\nidle = \"rest\"\n[lan]\nport = \"{lan}\"\n\
         [wan]\nport = \"{wan}\"\nmtu = 1900\n[code]\nlayers = \"8:21,23,25+g1\"\n\
         [control]\nsocket = \"{side}.ctl\"\n{more}[[worker]]\nrooms = [\"protect\", \"recover\"]\n"
    )
}

fn gateway(folder: &Path, side: &str, text: &str) -> Process {
    let file = format!("{side}.toml");
    fs::write(folder.join(&file), text).unwrap();
    let mut process = Process::start(folder, side, &["run", "--config", &file]);
    process.wait_for("running; SIGINT or SIGTERM ends it");
    process
}

/// One end of the WAN between them. The server is to be started first.
fn memif(folder: &Path, role: &str) -> String {
    let socket = folder.join("wan.sock");
    format!("net_memif0,role={role},id=0,socket={},socket-abstract=no", socket.display())
}

/// West, whose LAN plays a capture again and again, and east, whose LAN takes everything.
fn pair(folder: &Path, east: impl Fn(String) -> String) -> [Process; 2] {
    write_capture(&folder.join("in.pcap"), &distinct(3, 500));
    let lan = "net_pcap0,rx_pcap=in.pcap,infinite_rx=1";
    let west = configuration("west", lan, &memif(folder, "server"), "");
    let west = gateway(folder, "west", &west);
    let text = configuration("east", "net_null0,no-rx=1", &memif(folder, "client"), "");
    [west, gateway(folder, "east", &east(text))]
}

fn ctl(folder: &Path, side: &str, verb: &[&str]) -> Ended {
    let socket = format!("{side}.ctl");
    maelstrom(folder, &[&["ctl", "--socket", &socket], verb].concat())
}

/// What a verb says that is done.
fn told(folder: &Path, side: &str, verb: &[&str]) -> String {
    let ended = ctl(folder, side, verb);
    assert_eq!(ended.status, Some(0), "{verb:?}: {ended:?}");
    ended.stdout.trim().to_owned()
}

/// What a verb that is refused says, in a line.
fn refused(folder: &Path, side: &str, verb: &[&str]) -> String {
    let ended = ctl(folder, side, verb);
    assert_eq!(ended.status, Some(2), "{verb:?}: {ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{verb:?}: {ended:?}");
    ended.stderr
}

fn status(folder: &Path, side: &str) -> Value {
    serde_json::from_str(&told(folder, side, &["status", "--json"])).unwrap()
}

fn standing(folder: &Path, side: &str) -> String {
    status(folder, side)["peer"]["standing"].as_str().unwrap().to_owned()
}

fn count(status: &Value, room: &str, name: &str) -> u64 {
    status["counters"][room][name].as_u64().unwrap_or_else(|| panic!("{room}, {name}: {status}"))
}

fn up(folder: &Path) {
    for side in ["west", "east"] {
        wait_until(&format!("{side} to have a peer"), || standing(folder, side) == "up");
    }
}

fn end(gateways: [Process; 2]) {
    for gateway in gateways {
        gateway.signal("TERM");
        let ended = gateway.end();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    }
}

#[test]
fn every_verb_under_traffic_costs_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let gateways = pair(path, |text| text);
    up(path);
    let before = status(path, "west");
    assert_eq!(
        (&before["gateway"]["mode"], &before["gateway"]["state"]),
        (&"protect".into(), &"protected".into())
    );
    assert!(before["peer"]["round_trip_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{before}");
    assert_eq!(before["peer"]["mismatch"], Value::Null);
    wait_until("the largest packet to be tried", || {
        let peer = &status(path, "west")["peer"];
        peer["largest_heard"] == peer["largest_packet"]
    });
    wait_until("rates", || {
        status(path, "west")["rates"]["lan_in"]["bits_per_s"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0)
    });
    let text = told(path, "west", &["status"]);
    for expected in
        ["standing               up", "layers                 8:21,23,25+g1", "protect\n"]
    {
        assert!(text.contains(expected), "{text}");
    }

    for round in 0..3 {
        let said = told(path, "west", &["bypass", "on"]);
        assert_eq!(said, "frames cross unprotected from now on", "round {round}");
        let bypassed = || count(&status(path, "west"), "protect", "bypassed");
        let start = bypassed();
        wait_until("frames to cross unprotected", || bypassed() > start);
        let state = status(path, "west")["gateway"]["state"].as_str().unwrap().to_owned();
        assert!(state.starts_with("bypassed"), "{state}");
        // Nothing is stamped any more.
        let stamped = |status: &Value| count(status, "protect", "source_sent");
        let first = status(path, "west");
        wait_until("more", || bypassed() > start + 1000);
        assert_eq!(stamped(&first), stamped(&status(path, "west")), "round {round}");
        told(path, "west", &["bypass", "off"]);
        wait_until("frames to be protected", || {
            let status = status(path, "west");
            stamped(&status) > stamped(&first) && status["gateway"]["state"] == "protected"
        });
        let said = told(path, "west", &["reload"]);
        assert_eq!(said, "nothing to apply");
        let code = told(path, "west", &["code", "8:21,23,25+g1"]);
        assert_eq!(code, "code 8:21,23,25+g1 is in force already");
    }

    // What has left is all that was taken in, and it stays so.
    let said = told(path, "west", &["drain"]);
    assert_eq!(said, "all has left; the gateway may be stopped");
    let west = status(path, "west");
    assert_eq!(west["gateway"]["drained"], true);
    let taken_in = count(&west, "protect", "lan_in");
    assert_eq!(
        taken_in,
        count(&west, "protect", "source_sent") + count(&west, "protect", "bypassed")
    );
    wait_until("all of it to be delivered", || {
        count(&status(path, "east"), "recover", "delivered") == taken_in
    });
    wait_until("the peer", || standing(path, "west") == "up");
    told(path, "west", &["drain", "off"]);
    wait_until("frames to be taken in", || {
        count(&status(path, "west"), "protect", "lan_in") > taken_in
    });

    // Counters go on from 0, and what is printed at the end does not care.
    told(path, "west", &["drain"]);
    let all = count(&status(path, "west"), "protect", "lan_in");
    told(path, "west", &["reset-counters"]);
    let west = status(path, "west");
    assert_eq!([count(&west, "protect", "lan_in"), count(&west, "protect", "source_sent")], [0; 2]);
    wait_until("all of it to be delivered", || {
        count(&status(path, "east"), "recover", "delivered") == all
    });
    let [west, east] = gateways;
    west.signal("TERM");
    let ended = west.end();
    let printed = ended.stdout.lines().find_map(|line| line.trim().strip_prefix("lan_in "));
    assert_eq!(printed.unwrap().trim().parse::<u64>().unwrap(), all, "{ended:?}");
    assert!(!path.join("west.ctl").exists());
    east.signal("TERM");
    assert_eq!(east.end().status, Some(0));
}

#[test]
fn ends_that_do_not_fit_say_so_in_a_line() {
    for (from, to, west_says, east_says) in [
        (
            "mtu = 1900",
            "mtu = 1800",
            "WAN MTU: 1900 here, 1800 there; set wan.mtu alike",
            "1800 here",
        ),
        (
            "mtu = 1900",
            "mtu = 1900\npeer_channels = 2",
            "this gateway sends on 1, the peer expects 2; set the peer's wan.peer_channels = 1",
            "the peer sends on 1, this gateway expects 2; set wan.peer_channels = 1",
        ),
        (
            "[control]",
            "integrity = \"off\"\n[control]",
            "check here, off there",
            "off here, check there",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut gateways = pair(path, |text| text.replacen(from, to, 1));
        for (gateway, says) in gateways.iter_mut().zip([west_says, east_says]) {
            gateway.wait_for(says);
        }
        let line = status(path, "west")["peer"]["mismatch"].as_str().unwrap().to_owned();
        assert!(line.contains(west_says), "{line}");
        for gateway in &gateways {
            let said = gateway.stderr();
            let lines = said.lines().filter(|line| line.contains("does not fit"));
            assert_eq!(lines.count(), 1, "{said}");
        }
        end(gateways);
    }
}

#[test]
fn bypass_is_refused_where_nothing_unprotected_may_cross() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let gateways =
        pair(path, |text| text.replacen("mtu = 1900", "mtu = 1900\noversize = \"drop\"", 1));
    up(path);
    assert!(refused(path, "west", &["bypass", "on"]).contains("the peer drops"));
    assert!(refused(path, "east", &["bypass", "on"]).contains("wan.oversize = \"drop\""));
    assert_eq!(status(path, "west")["gateway"]["mode"], "protect");
    end(gateways);
}

/// A gateway without a peer, at a socket of its own.
fn lone(folder: &Path, more: &str) -> Process {
    gateway(folder, "west", &configuration("west", "net_null0,no-rx=1", "net_null1,no-rx=1", more))
}

#[test]
fn what_is_asked_wrongly_gets_a_line_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let gateway = lone(path, "");
    let mode = path.join("west.ctl").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = status(path, "west");
    assert_eq!(before["peer"]["standing"], "down");
    assert_eq!(before["gateway"]["state"], "peer down");

    for (verb, expected) in [
        (&["code", "8:x"][..], "the interleave is \"x\""),
        (&["code", "9:210,230+g1"], "packets, and this gateway has room for"),
        (&["bypass", "maybe"], "maybe"),
        (&["stop"], "stop"),
        (&[], "subcommands: status, code, bypass, drain, reload, reset-counters"),
    ] {
        let line = refused(path, "west", verb);
        assert!(line.contains(expected), "{line}");
    }
    assert!(refused(path, "north", &["status"]).contains("expected control.socket of a gateway"));

    // Nor does anything else that can be written to a socket.
    let mut client = UnixStream::connect(path.join("west.ctl")).unwrap();
    let long = vec![b'x'; 100_000];
    for request in [&b"\n"[..], b"{}\n", b"\xFF\xFE\n", b"{\"verb\":\"stop\"}\n", &long] {
        let _ = client.write_all(request);
    }
    let mut said = String::new();
    let _ = client.read_to_string(&mut said);
    assert!(said.lines().count() >= 4, "{said}");
    for line in said.lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert!(answer["ok"] == false && answer["error"].is_string(), "{line}");
    }
    // Two gateways can't have one socket.
    fs::write(path.join("other.toml"), fs::read(path.join("west.toml")).unwrap()).unwrap();
    let other = maelstrom(path, &["run", "--config", "other.toml"]);
    assert_eq!(other.status, Some(2), "{other:?}");
    assert!(other.stderr.contains("another gateway is listening on this socket"), "{other:?}");
    assert_eq!(status(path, "west")["gateway"]["mode"], "protect");
    gateway.signal("TERM");
    assert_eq!(gateway.end().status, Some(0));
}

#[test]
fn a_file_is_read_again_as_far_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let gateway = lone(path, "mode = \"0660\"\n[link]\nhello = \"100ms\"\n");
    let mode = path.join("west.ctl").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let good = fs::read_to_string(path.join("west.toml")).unwrap();
    let write = |from: &str, to: &str| {
        assert!(good.contains(from));
        fs::write(path.join("west.toml"), good.replacen(from, to, 1)).unwrap();
    };
    write("hello = \"100ms\"", "hello = \"30ms\"\npeer_down = \"drop\"");
    assert_eq!(told(path, "west", &["reload"]), "applied link.hello, link.peer_down");
    assert_eq!(status(path, "west")["gateway"]["mode"], "drop");
    let sent = |status: Value| status["control"]["sent"].as_u64().unwrap();
    let start = sent(status(path, "west"));
    wait_until("hellos", || sent(status(path, "west")) > start + 10);

    // A bad file is refused with the error that it has at a start, and changes nothing.
    for (from, to, expected) in [
        ("mtu = 1900", "mtu = 100", "wan.mtu: got 100, expected 256 to 9600"),
        ("hello = \"100ms\"", "hello = \"1ms\"", "link.hello: got 1 ms"),
        ("[code]", "[cod", "west.toml:"),
    ] {
        write(from, to);
        let line = refused(path, "west", &["reload"]);
        assert!(line.contains(expected), "{line}");
    }
    fs::remove_file(path.join("west.toml")).unwrap();
    assert!(refused(path, "west", &["reload"]).contains("expected a readable configuration file"));
    assert_eq!(status(path, "west")["gateway"]["mode"], "drop");

    // What can't be changed is named, each time, and the rest applied.
    for _ in 0..2 {
        write("mtu = 1900", "mtu = 1800\npeer_channels = 1");
        let said = told(path, "west", &["reload"]);
        assert!(said.ends_with("a restart is needed for wan.mtu, wan.peer_channels"), "{said}");
        assert_eq!(status(path, "west")["gateway"]["mode"], "protect");
    }
    write("mtu = 1900", "mtu = 1900");
    assert_eq!(told(path, "west", &["reload"]), "nothing to apply");
    gateway.signal("TERM");
    assert_eq!(gateway.end().status, Some(0));
}
