//! The laboratory leaves nothing behind, whatever ends it, and says in one line what it lacks.
//!
//! As root, and with `maelstrom` built beside it, as `cargo test --workspace` does; else these are skipped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use maelstrom_field::{net, pair, tcp};

const FIELD: &str = env!("CARGO_BIN_EXE_field");
/// Longer than anything takes on a busy machine: reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// One after the other, since each would remove what another has left on purpose.
static TURN: Mutex<()> = Mutex::new(());

/// This test's turn; says why, if it can't be run here.
fn turn() -> Option<MutexGuard<'static, ()>> {
    let possible = net::check().and_then(|()| tcp::check()).and_then(|()| pair::binary().map(drop));
    if let Err(error) = &possible {
        eprintln!("skipped: {error}");
    }
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    possible.ok().map(|()| turn)
}

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("field-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    /// A program made of lines of shell.
    fn script(&self, lines: &str) -> PathBuf {
        let path = self.0.join("script");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a run ended: its process id, status and what it printed.
#[derive(Debug)]
struct Ended {
    id: u32,
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Ended {
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        id,
        status: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn field(arguments: &[&str]) -> Command {
    let mut command = Command::new(FIELD);
    command.args(arguments);
    command
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// What is left of the laboratory with this process id: namespaces, folders, processes.
fn left(id: u32) -> Vec<String> {
    let ours = format!("mstl{id}n");
    let mut left: Vec<String> = [Path::new("/run/netns"), &std::env::temp_dir()]
        .iter()
        .flat_map(|folder| names(folder))
        .filter(|name| name.starts_with(&ours))
        .collect();
    for process in names(Path::new("/proc")) {
        if fs::read_link(format!("/proc/{process}/cwd"))
            .is_ok_and(|folder| folder.to_string_lossy().contains(&ours))
        {
            left.push(format!("process {process}"));
        }
    }
    left
}

/// Whether the WAN of this laboratory runs.
fn is_running(id: u32) -> bool {
    let log = std::env::temp_dir().join(format!("mstl{id}n0/wan.err"));
    fs::read_to_string(log).is_ok_and(|log| log.contains("running;"))
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[test]
fn hosts_reach_each_other_through_two_gateways_and_nothing_is_left() {
    let Some(_turn) = turn() else { return };
    let folder = Folder::new("reach");
    let script = folder.script("ping -c 3 -i 0.2 -W 5 10.77.0.2; cat west.toml");
    for gateways in [&["--code", "8:1,20,40"][..], &["--plain"]] {
        let mut command = field(&["shell", "--delay", "2", "--loss", "0"]);
        let ended = end(start(command.args(gateways).env("SHELL", &script)));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.stdout.contains(" 0% packet loss"), "{ended:?}");
        assert_eq!(
            ended.stdout.contains("layers = \"8:1,20,40\""),
            gateways.len() == 2,
            "{ended:?}"
        );
        assert_eq!(left(ended.id), [""; 0], "{ended:?}");
    }
}

#[test]
fn what_is_wrong_is_said_in_a_line_and_nothing_is_left() {
    let Some(_turn) = turn() else { return };
    for (arguments, expected) in [
        (&["throughput", "--only", "carrier-pigeon"][..], "expected part of one that --list shows"),
        (&["mirror", "--only", "pigeon"], "--only pigeon: no cell's name contains it"),
        (&["disaster", "--runs", "0"], "0 is not in 1..=1000000"),
        (&["shell", "--delay", "-1"], "-1 is not in 1..=1000"),
        (&["shell", "--delay", "0"], "0 is not in 1..=1000"),
        (&["quicker"], "unrecognized subcommand 'quicker'"),
        (&["shell", "--loss", "0.7"], "--loss 0.7: expected 0 or more, below 0.5, e.g. 0.001"),
        (&["shell", "--plain", "--burst", "0.5"], "--burst 0.5: expected a number of packets"),
        (&["latency", "--runs", "3"], "unexpected argument '--runs'"),
        (&["shell", "--plain", "--congestion", "pigeon"], "as root: modprobe tcp_pigeon"),
        (&["shell", "--code", "none"], "plan: "),
    ] {
        let ended = end(start(field(arguments).env("SHELL", "/bin/true")));
        assert_eq!((ended.status, ended.stderr.lines().count()), (Some(2), 1), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
        assert_eq!(left(ended.id), [""; 0], "{ended:?}");
    }
    let ended = end(start(field(&["quick"]).env("PATH", "/nonexistent")));
    assert_eq!(ended.stderr, "error: setpriv: not found; as root: apt-get install util-linux\n");
    assert_eq!((ended.status, left(ended.id)), (Some(2), vec![]));

    // Somebody else, who may run it but is not root.
    let folder = Folder::new("nobody");
    let copy = folder.0.join("field");
    fs::copy(FIELD, &copy).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(&copy);
    let ended = end(start(command.arg("quick").current_dir(&folder.0)));
    assert_eq!(ended.stderr, "error: network namespaces: expected root; run it with sudo\n");
    assert_eq!((ended.status, left(ended.id)), (Some(2), vec![]));
}

#[test]
fn an_interrupt_leaves_nothing() {
    let Some(_turn) = turn() else { return };
    let folder = Folder::new("interrupt");
    for name in ["INT", "TERM"] {
        let child = start(field(&["quick"]).current_dir(&folder.0));
        wait_until("the WAN", || is_running(child.id()));
        // Some way into the measurement, for one of them.
        thread::sleep(Duration::from_millis(if name == "INT" { 1500 } else { 0 }));
        signal(&child, name);
        let ended = end(child);
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(2), "error: interrupted\n"));
        assert_eq!(left(ended.id), [""; 0]);
        assert_eq!(names(&folder.0), [""; 0], "{name}");
    }
}

#[test]
fn what_a_killed_laboratory_leaves_the_next_removes() {
    let Some(_turn) = turn() else { return };
    let folder = Folder::new("killed");
    let script = folder.script("exec sleep 100");
    let mut child =
        start(field(&["shell", "--delay", "2", "--code", "8:1,20,40"]).env("SHELL", &script));
    wait_until("the WAN", || is_running(child.id()));
    let id = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    // The processes go at once, the rest can't.
    wait_until("the processes' end", || !left(id).iter().any(|name| name.contains("process")));
    assert!(left(id).iter().any(|name| name.ends_with('m')), "{:?}", left(id));

    let next = end(start(field(&["shell", "--plain", "--delay", "2"]).env("SHELL", "/bin/true")));
    assert_eq!(next.status, Some(0), "{next:?}");
    assert_eq!(left(id), [""; 0], "{next:?}");
    assert_eq!(left(next.id), [""; 0], "{next:?}");
}
