//! A gateway that is killed, and started again, and what the other one and its readers learn.
//!
//! ```text
//!  user and network namespace:   west ─ veth ─ east
//! ```

use std::fs;
use std::path::Path;
use std::process::Command;

use netsync::State;

use super::{configuration, count, standing, status};
use crate::common::{Process, subscribe, wait_until};

/// Holds the namespaces while it lives.
fn holder(folder: &Path) -> Option<Process> {
    let link = "ip link add w type veth peer name e && ip link set w up && ip link set e up && \
                echo ready >&2 && exec sleep 600";
    let mut command = Command::new("unshare");
    command.args(["-Urn", "--", "sh", "-c", link]);
    let mut holder = Process::spawn(folder, "holder", command);
    wait_until("namespaces", || !holder.is_running() || holder.stderr().contains("ready"));
    let works = |holder: &Process| {
        inside(holder, "true").output().is_ok_and(|output| output.status.success())
    };
    (holder.is_running() && works(&holder)).then_some(holder)
}

fn inside(holder: &Process, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    let target = holder.id().to_string();
    command.args(["-t", &target, "-U", "-n", "--preserve-credentials", "--", program]);
    command
}

fn gateway(folder: &Path, holder: &Process, side: &str) -> Process {
    let mut command = inside(holder, env!("CARGO_BIN_EXE_maelstrom"));
    command.args(["run", "--config", &format!("{side}.toml")]).current_dir(folder);
    let mut process = Process::spawn(folder, side, command);
    process.wait_for("running; SIGINT or SIGTERM ends it");
    process
}

#[test]
fn a_gateway_that_dies_is_missed_and_one_that_comes_back_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let Some(holder) = holder(path) else {
        eprintln!("skipped: needs namespaces (unshare -Urn), ip and nsenter");
        return;
    };
    for (side, wan) in [("west", "w"), ("east", "e")] {
        let wan = format!("net_af_packet0,iface={wan}");
        let more = format!("[netsync]\nsocket = \"{side}.sock\"\n[link]\npeer_down = \"drop\"\n");
        let text = configuration(side, "net_null0,no-rx=1", &wan, &more);
        fs::write(path.join(format!("{side}.toml")), text).unwrap();
    }
    let mut gateways = ["west", "east"].map(|side| gateway(path, &holder, side));
    let reads = |side: &str| subscribe(path.join(format!("{side}.sock"))).unwrap();
    for side in ["west", "east"] {
        let reader = reads(side);
        wait_until("a peer", || standing(path, side) == "up");
        wait_until("a reader to hear of it", || reader.state() == Ok(State::PROTECTED));
    }
    // Either of them, twice.
    for (dies, lives) in [(1, "west"), (0, "east"), (1, "west"), (0, "east")] {
        let side = ["west", "east"][dies];
        let reader = reads(lives);
        let before = status(path, lives)["peer"]["epoch"].clone();
        gateways[dies].signal("KILL");
        wait_until("its death to be noticed", || standing(path, lives) == "down");
        wait_until("a reader to hear of it", || reader.state() == Ok(State::PEER_DOWN));
        assert_eq!(status(path, lives)["gateway"]["mode"], "drop");
        gateways[dies] = gateway(path, &holder, side);
        wait_until("its return to be noticed", || standing(path, lives) == "up");
        wait_until("a reader to hear of it", || reader.state() == Ok(State::PROTECTED));
        let status = status(path, lives);
        assert_ne!(status["peer"]["epoch"], before);
        assert_eq!(count(&status, "recover", "bad_check"), 0);
        wait_until("the other way too", || standing(path, side) == "up");
    }
    for gateway in gateways {
        gateway.signal("TERM");
        assert_eq!(gateway.end().status, Some(0));
    }
    holder.signal("KILL");
}
