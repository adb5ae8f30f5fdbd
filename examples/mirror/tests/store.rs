//! The three programs on one host, without a gateway: what they keep, what they say, and what they refuse.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mirror_store::store::contents;

const PRIMARY: &str = env!("CARGO_BIN_EXE_primary");
const MIRROR: &str = env!("CARGO_BIN_EXE_mirror");
const CLIENTS: &str = env!("CARGO_BIN_EXE_clients");
const PATIENCE: Duration = Duration::from_secs(60);

/// Held while a child is made, and while a port is looked for: between its fork and its exec a child keeps open
/// all that this process has, the port too.
fn forks() -> MutexGuard<'static, ()> {
    static FORKS: Mutex<()> = Mutex::new(());
    FORKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(command: &mut Command) -> Child {
    let _forks = forks();
    command.spawn().unwrap()
}

struct Running(Child, PathBuf);

impl Running {
    fn start(folder: &Path, name: &str, program: &str, arguments: &str) -> Running {
        let said = folder.join(format!("{name}.err"));
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null());
        let child = spawn(command.stderr(File::create(&said).unwrap()));
        let mut running = Running(child, said);
        running.wait_for("running");
        running
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.1).unwrap()
    }

    fn wait_for(&mut self, text: &str) {
        let begin = Instant::now();
        while !self.said().contains(text) {
            assert!(begin.elapsed() < PATIENCE, "no {text:?}: {}", self.said());
            assert!(self.0.try_wait().unwrap().is_none(), "ended: {}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(folder: &Path, program: &str, arguments: &str) -> Output {
    let arguments = arguments.split(' ').filter(|it| !it.is_empty());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped())).wait_with_output().unwrap()
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let _forks = forks();
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn clients(folder: &Path, arguments: &str) -> serde_json::Value {
    let ended = run(folder, CLIENTS, &format!("--connect unix:clients.sock {arguments}"));
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

#[test]
fn what_was_told_is_there_and_the_mirror_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, port) = (folder.path(), port());
    let serve = format!("serve --listen 127.0.0.1:{port} --file mirror.log --durable kernel");
    let primary = |policy: &str| {
        let arguments = format!(
            "--listen unix:clients.sock --mirror 127.0.0.1:{port} --file primary.log --policy {policy}"
        );
        Running::start(folder, "primary", PRIMARY, &arguments)
    };
    let mirror = Running::start(folder, "mirror", MIRROR, &serve);
    let first = primary("remote");
    let closed = clients(folder, "--clients 8 --seconds 2 --size 700 --log told.tsv");
    let rated = clients(folder, "--clients 3 --rate 300 --seconds 2 --log more.tsv");
    assert!(closed["told"].as_u64().unwrap() > 8, "{closed}");
    assert!(rated["told"].as_u64().unwrap() > 20, "{rated}");
    for seen in [closed, rated] {
        let [median, p99, most] =
            ["median_us", "p99_us", "max_us"].map(|it| seen[it].as_f64().unwrap());
        assert!(0.0 < median && median <= p99 && p99 <= most, "{seen}");
    }
    first.kill();
    for told in ["told.tsv", "more.tsv"] {
        let checked = run(folder, MIRROR, &format!("check mirror.log {told} --with primary.log"));
        let said = String::from_utf8(checked.stdout).unwrap();
        assert!(said.contains("missing 0") && said.contains("torn 0"), "{said}");
    }

    // The mirror dies, local commits go on in the file, and a crash tears the primary's tail.
    let before = contents(&folder.join("mirror.log")).unwrap().records.len();
    let second = primary("local");
    clients(folder, "--seconds 0.1");
    second.kill();
    mirror.kill();
    let mirrored = fs::read(folder.join("mirror.log")).unwrap();
    fs::write(folder.join("mirror.log"), &mirrored[..mirrored.len() - 10]).unwrap();
    let torn = [fs::read(folder.join("primary.log")).unwrap(), b"MREC torn".to_vec()].concat();
    fs::write(folder.join("primary.log"), torn).unwrap();
    let mirror = Running::start(folder, "mirror", MIRROR, &serve);
    assert!(mirror.said().contains("cut off a torn tail of"), "{}", mirror.said());
    let third = primary("remote");
    assert!(third.said().contains("cut off a torn tail of 9 bytes"), "{}", third.said());
    clients(folder, "--seconds 2 --log last.tsv");
    third.kill();
    let [here, there] =
        ["primary.log", "mirror.log"].map(|log| contents(&folder.join(log)).unwrap().records);
    assert!(there.len() > before && here[..there.len()] == there[..]);
    let checked = run(folder, MIRROR, "check mirror.log last.tsv");
    assert!(String::from_utf8(checked.stdout).unwrap().contains("missing 0"));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let base = "--listen unix:c.sock --mirror 127.0.0.1:1 --file log";
    for (program, arguments, expected) in [
        (PRIMARY, format!("{base} --policy network-sync:1e-6"), "expected --netsync as well"),
        (PRIMARY, format!("{base} --policy semi --netsync none.sock"), "none.sock: no such socket"),
        (PRIMARY, format!("{base} --policy remote"), "127.0.0.1:1: "),
        (PRIMARY, format!("{base} --policy network-sync:2"), "network-sync:P with P from 0 to 1"),
        (PRIMARY, format!("{base} --policy local --pause x"), "--pause"),
        (MIRROR, "check none.log".to_owned(), "none.log: "),
        (MIRROR, "serve --listen nowhere --file log".to_owned(), "nowhere: "),
        (CLIENTS, "--connect nowhere".to_owned(), "unix:PATH or HOST:PORT"),
        (CLIENTS, "--connect unix:none.sock".to_owned(), "none.sock: "),
        (CLIENTS, "--connect unix:none.sock --rate 0".to_owned(), "--rate 0"),
    ] {
        let ended = run(folder.path(), program, &arguments);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(expected), "{arguments}: {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{said}");
    }
}
