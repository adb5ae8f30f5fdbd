//! `maelstrom notices`, as a process beside a stand-in for a gateway.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;
#[path = "../netsync/tests/stand_in/mod.rs"]
mod stand_in;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use netsync::layout::{MAGIC, VERSION};
use netsync::{
    Class, Closed, FlowKey, Group, Notice, Segment, Server, ServerConfig, Slot, State, now_ns,
};
use serde_json::Value;
use tempfile::TempDir;

use common::{Ended, PATIENCE, Process, maelstrom, wait_until};
use stand_in::{LEVELS, Manner, StandIn, bounds, config, server};

/// A gateway that says what a test wants it to.
struct Gateway {
    folder: TempDir,
    segment: Segment,
    _server: Server,
}

impl Gateway {
    fn start() -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config();
        config.heartbeat_timeout = Duration::from_secs(3600);
        let mut segment = Segment::create(&config).unwrap();
        segment.control.publish_code("20:97,101,103+g1", LEVELS, &bounds());
        let file = segment.file.try_clone().unwrap();
        let _server = server(&folder.path().join("socket"), file);
        Gateway { folder, segment, _server }
    }

    fn open(&mut self, local: &str, remote: &str) -> Slot {
        let key = FlowKey::new(local.parse().unwrap(), remote.parse().unwrap());
        self.segment.workers[1].open(&key, 9, false, now_ns()).slot
    }

    fn repair(&mut self, base: u64) {
        self.segment.workers[1].notice(&repair(base));
    }

    fn run(&self, flags: &str) -> Ended {
        run(self.folder.path(), flags)
    }

    /// Starts it, and waits until it has said that it reads.
    fn watch(&self, flags: &str) -> Process {
        let arguments = format!("notices socket {flags}");
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let process = Process::start(self.folder.path(), "watch", &arguments);
        wait_until("the first line", || !self.said().is_empty());
        process
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("watch.out")).unwrap()
    }
}

fn repair(base: u64) -> Notice {
    Notice::Repair {
        code_id: 3,
        layer: 2,
        flushed: true,
        base,
        stride: 97,
        count: 20,
        runs: 1,
        made_ns: 1_000_000,
        left_ns: 3_500_000,
    }
}

fn run(folder: &Path, flags: &str) -> Ended {
    let line = format!("notices socket {flags}");
    maelstrom(folder, &line.split_whitespace().collect::<Vec<_>>())
}

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'v>(lines: &'v [Value], kind: &str) -> Vec<&'v Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// The words are for people, and may change: what they need is there.
#[test]
fn state_code_and_flows_as_text() {
    let mut gateway = Gateway::start();
    let slot = gateway.open("10.0.0.1:40000", "10.0.0.2:5432");
    gateway.open("[fd00::1]:1", "[fd00::2]:2");
    let worker = &mut gateway.segment.workers[1];
    worker.sent(slot, 4096, 7, now_ns());
    worker.class_to(slot, Class::Dense, 4000);
    worker.level(slot, 1, 4000);
    worker.close(slot, Closed::Fin);
    gateway.segment.control.set_state(State::DEGRADED, now_ns());
    let ended = gateway.run("--state");
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    for text in
        ["degraded for ", "2 workers", "20:97,101,103+g1, generation 1", "level 3", "1.00e-9"]
    {
        assert!(ended.stdout.contains(text), "no {text:?}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("10.0.0.1"), "{}", ended.stdout);
    let ended = gateway.run("--flows");
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    let first = ended.stdout.lines().find(|line| line.contains("10.0.0.1:40000")).unwrap();
    let words: Vec<&str> = first.split_whitespace().skip(1).collect();
    assert_eq!(
        words.join(" "),
        "flow 10.0.0.1:40000 > 10.0.0.2:5432 sent 4096 level 1 4000 level 2 0 level 3 0 \
         acked - in flight 7, closed"
    );
    assert!(ended.stdout.contains("[fd00::1]:1 > [fd00::2]:2"), "{}", ended.stdout);
}

#[test]
fn notices_as_text() {
    let mut gateway = Gateway::start();
    let watch = gateway.watch("--count 4");
    gateway.repair(1234);
    let slot = gateway.open("10.0.0.1:40000", "10.0.0.2:5432");
    gateway.segment.workers[1].close(slot, Closed::Rst);
    let (old, new) = (State::PROTECTED, State::BYPASSED);
    gateway.segment.workers[1].notice(&Notice::State { old, new, at_ns: now_ns() });
    let ended = watch.end();
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    for text in [
        "code 3   layer 2 of   20 from 1234         by 97    left    2.5 ms after its last, and 1 run, \
         flushed",
        "worker 1  10.0.0.1:40000 > 10.0.0.2:5432 opened",
        "worker 1  10.0.0.1:40000 > 10.0.0.2:5432 reset",
        "worker 1  protected -> bypassed",
    ] {
        assert!(ended.stdout.contains(text), "no {text:?}: {}", ended.stdout);
    }
}

/// The keys that docs/NETSYNC.md promises.
#[test]
fn every_kind_of_line_as_json() {
    let mut gateway = Gateway::start();
    let slot = gateway.open("10.0.0.1:40000", "10.0.0.2:5432");
    gateway.segment.workers[1].sent(slot, 100, 2, now_ns());
    let watch = gateway.watch("--json --count 5");
    gateway.repair(1234);
    let new = State::PEER_DOWN;
    let old = gateway.segment.control.set_state(new, 55);
    gateway.segment.workers[0].notice(&Notice::State { old, new, at_ns: 55 });
    let generation = gateway.segment.control.publish_code("8:5,7+g1", 2, &bounds());
    gateway.segment.workers[0].notice(&Notice::Code { generation });
    gateway.segment.workers[1].close(slot, Closed::Fin);
    wait_until("the new code", || gateway.said().contains("8:5,7+g1"));
    wait_until("the new state", || gateway.said().contains("peer down"));
    gateway.repair(1235);
    let ended = watch.end();
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let lines = json(&ended.stdout);
    let keys = |kind: &str| {
        let line = of_kind(&lines, kind)[0].as_object().unwrap();
        let keys: Vec<&str> = line.keys().map(String::as_str).collect();
        keys.join(" ")
    };
    for (kind, expected) in [
        (
            "gateway",
            "epoch heartbeat_ns heartbeat_timeout_ns kind now_ns pid protects since_ns state \
             transitions unix_ns workers",
        ),
        ("code", "bounds code generation kind levels"),
        (
            "flow",
            "acked anchored class_to generation in_flight kind levels local now_ns opened_ns \
             remote sent slot status worker",
        ),
        ("repair", "base code_id count flushed kind layer left_ns made_ns runs stride worker"),
        ("state", "at_ns from kind to worker"),
        ("code_switch", "generation kind worker"),
        ("flow_event", "event generation kind local remote slot worker"),
    ] {
        assert_eq!(keys(kind), expected, "{kind}");
    }
    let states: Vec<_> = of_kind(&lines, "gateway").iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["protected", "peer down"]);
    assert_eq!(of_kind(&lines, "gateway")[1]["protects"], false);
    let codes: Vec<_> = of_kind(&lines, "code").iter().map(|it| it["levels"].clone()).collect();
    assert_eq!(codes, [3, 2]);
    let bound = of_kind(&lines, "code")[1]["bounds"]["sparse"][1].as_f64().unwrap();
    assert!((bound / bounds()[1][1] - 1.0).abs() < 1e-9, "{bound}");
    let flow = of_kind(&lines, "flow")[0];
    assert_eq!((&flow["sent"], &flow["status"]), (&100.into(), &"open".into()));
    assert_eq!((&flow["acked"], &flow["anchored"]), (&Value::Null, &true.into()));
    assert_eq!(flow["levels"].as_array().unwrap().len(), 3);
    let event = of_kind(&lines, "flow_event")[0];
    assert_eq!((&event["event"], &event["local"]), (&"closed".into(), &"10.0.0.1:40000".into()));
    assert_eq!(of_kind(&lines, "repair")[1]["base"], 1235);
}

#[test]
fn watermarks_are_followed() {
    let mut gateway = Gateway::start();
    let slot = gateway.open("10.0.0.1:40000", "10.0.0.2:5432");
    let watch = gateway.watch("--flows --json --count 2");
    gateway.segment.workers[1].level(slot, 1, 77);
    let ended = watch.end();
    let levels: Vec<_> =
        json(&ended.stdout).iter().map(|line| line["levels"].to_string()).collect();
    assert_eq!(levels, ["[0,0,0]", "[77,0,0]"]);
}

#[test]
fn it_ends_after_its_time_or_when_told_to() {
    let mut gateway = Gateway::start();
    for flags in ["--seconds 0.2", "--seconds 0", "--state --seconds 0.1 --json", "--state --flows"]
    {
        let ended = gateway.run(flags);
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{flags}");
        assert!(ended.stdout.contains("20:97,101,103+g1"), "{flags}: {}", ended.stdout);
    }
    for (signal, flags) in [("INT", ""), ("TERM", "--json"), ("HUP", "--state --follow")] {
        let watch = gateway.watch(flags);
        gateway.repair(1);
        watch.signal(signal);
        let ended = watch.end();
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{signal}");
    }
}

/// As it is started below `sh` and in front of `head`.
fn piped(gateway: &Gateway, flags: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maelstrom"));
    command.args(["notices", "socket"]).args(flags.split_whitespace());
    command.current_dir(gateway.folder.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ends(mut child: Child) -> Ended {
    let pause = Duration::from_millis(5);
    let mut rounds = PATIENCE.as_millis() / pause.as_millis();
    while child.try_wait().unwrap().is_none() {
        rounds -= 1;
        if rounds == 0 {
            child.kill().unwrap();
        }
        thread::sleep(pause);
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Ended { status: output.status.code(), stdout, stderr }
}

#[test]
fn it_ends_when_nobody_reads_what_it_prints() {
    let gateway = Gateway::start();
    let mut child = piped(&gateway, "");
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("gateway"), "{first}");
    // Nothing more happens: it notices all the same.
    let ended = ends(child);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_is_stuck_does_not_keep_it_from_ending() {
    let mut gateway = Gateway::start();
    let mut child = piped(&gateway, "--json");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    // More than a pipe holds, at a pace that loses little.
    for base in 0..3000 {
        gateway.repair(base);
        if base % 32 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let ended = ends(child);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    drop(out);
}

#[test]
fn a_full_disk_is_said() {
    let gateway = Gateway::start();
    let mut child = Command::new(env!("CARGO_BIN_EXE_maelstrom"));
    child.args(["notices", "socket", "--state"]).current_dir(gateway.folder.path());
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = child.stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.starts_with("error: standard output: ") && said.lines().count() == 1, "{said}");
}

#[test]
fn one_that_was_lapped_says_how_much_it_missed() {
    let mut gateway = Gateway::start();
    let watch = gateway.watch("--json --count 49");
    gateway.repair(0);
    wait_until("the first notice", || gateway.said().contains("repair"));
    watch.signal("STOP");
    // The stand-in's ring has 64: the last three quarters are left.
    (1..=1000).for_each(|base| gateway.repair(base));
    watch.signal("CONT");
    let ended = watch.end();
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let lines = json(&ended.stdout);
    let missed = of_kind(&lines, "missed");
    assert_eq!((missed.len(), &missed[0]["worker"]), (1, &1.into()));
    assert_eq!(missed[0]["notices"], 1000 - 48);
    let repairs = of_kind(&lines, "repair");
    assert_eq!((repairs.len(), &repairs[1]["base"]), (49, &(1001 - 48).into()));
}

/// Not a test: the gateway that another test kills.
#[test]
#[ignore = "started by another test"]
fn other_gateway() {
    let Some(path) = std::env::var_os("NETSYNC_TEST_SOCKET") else { return };
    let _stand_in = StandIn::start(Path::new(&path), Manner::Silent);
    thread::sleep(PATIENCE);
}

#[test]
fn it_outlives_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut first = Command::new(std::env::current_exe().unwrap());
    first.args(["--exact", "other_gateway", "--ignored"]).env("NETSYNC_TEST_SOCKET", &socket);
    let mut first = first.stdout(Stdio::null()).spawn().unwrap();
    // There before it listens.
    wait_until("the gateway", || run(folder.path(), "--state").status == Some(0));
    let watch = Process::start(folder.path(), "watch", &["notices", "socket", "--json"]);
    let said = || fs::read_to_string(folder.path().join("watch.out")).unwrap();
    wait_until("the code", || said().contains("\"code\""));
    first.kill().unwrap();
    first.wait().unwrap();
    wait_until("its end", || said().contains("\"dead\""));
    let ended = run(folder.path(), "--state");
    assert_eq!(ended.status, Some(2));
    assert!(ended.stderr.contains("the gateway that made this socket is gone"), "{ended:?}");

    let second = StandIn::start(&socket, Manner::Anchored);
    wait_until("the next gateway", || said().contains("restarted"));
    let mut stream = TcpStream::connect(second.mirror).unwrap();
    stream.write_all(b"a record").unwrap();
    wait_until("a notice of the next", || said().contains("\"repair\""));
    watch.signal("INT");
    let ended = watch.end();
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    let lines = json(&ended.stdout);
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..6], ["gateway", "code", "dead", "restarted", "gateway", "code"]);
    assert_eq!(lines[3]["epoch"], lines[4]["epoch"]);
    assert_ne!(lines[0]["epoch"], lines[4]["epoch"]);
    let event = of_kind(&lines, "flow_event")[0];
    assert_eq!(event["local"], stream.local_addr().unwrap().to_string());
    drop(second);
}

/// One line, status 2.
fn refused(folder: &Path, flags: &str, expected: &[&str]) {
    let ended = run(folder, flags);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.lines().count() == 1, "{ended:?}");
    for text in expected {
        assert!(ended.stderr.contains(text), "no {text:?}: {ended:?}");
    }
}

#[test]
fn what_can_t_be_had_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    refused(folder.path(), "", &["socket: no such socket", "is the gateway running"]);
    fs::write(&socket, "a file").unwrap();
    refused(folder.path(), "", &["socket: "]);
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let greet = |words: &[u64], expected: &str| {
        let hello: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(&hello).unwrap());
            refused(folder.path(), "", &[expected]);
        });
    };
    greet(&[7, 7, 7], "what listens there is not a gateway's netsync");
    greet(&[MAGIC, VERSION + 1, 0], &format!("the gateway speaks version {}", VERSION + 1));
    greet(&[MAGIC, VERSION, 1], "as many readers as it takes");
    // Dropping it is not enough: children that other tests are starting hold it too.
    UnixStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both).unwrap();
    refused(folder.path(), "", &["socket: the gateway that made this socket is gone"]);
    for (flags, expected) in [
        ("--count 0", &["--count", "expected a whole number from 1"][..]),
        ("--seconds -1", &["-1"]),
        ("--seconds nan", &["--seconds", "expected seconds"]),
        ("--count 1 --seconds 1", &["--count", "--seconds"]),
        ("--follow --count 1", &["--follow", "--count"]),
        ("twice", &["twice"]),
    ] {
        refused(folder.path(), flags, expected);
    }
}

#[test]
fn a_gateway_that_hangs_is_no_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let segment = Segment::create(&config()).unwrap();
    let _server = server(&folder.path().join("socket"), segment.file.try_clone().unwrap());
    wait_until("its death", || {
        run(folder.path(), "--state").stderr.contains("its heartbeat has stopped")
    });
    refused(folder.path(), "--state", &["its heartbeat has stopped"]);
    let ended = run(folder.path(), "--json --seconds 0.1");
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(json(&ended.stdout)[0]["kind"], "dead");
}

#[test]
fn whoever_may_not_connect_is_told_which_group_may() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root =
        fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    let config = ServerConfig {
        path: folder.path().join("socket"),
        mode: if root { 0o660 } else { 0 },
        group: root.then(|| Group::Name("daemon".into())),
    };
    let segment = Segment::create(&stand_in::config()).unwrap();
    let _server = Server::start(&config, segment.file.try_clone().unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maelstrom"));
    command.args(["notices", "socket"]).current_dir(folder.path());
    if root {
        command.uid(65534).gid(65534);
    }
    let Ok(output) = command.output() else {
        eprintln!("skipped: the binary is not readable by an unprivileged user");
        return;
    };
    let said = String::from_utf8(output.stderr).unwrap();
    let needed = if root { "it takes membership of group daemon" } else { "mode 000" };
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("permission denied") && said.contains(needed), "{said}");
}
