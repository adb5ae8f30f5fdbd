//! What the tests of the command share: processes that always end, captures made from a seed.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use maelstrom::lab::capture::{CaptureWriter, for_each_frame};
#[cfg(feature = "dpdk")]
use netsync::{ConnectError, Subscriber};
use serde_json::Value;

/// Longer than anything takes on a busy machine: reached only when something hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A `maelstrom` process, which ends with this value at the latest.
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; `None` after a signal.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts `maelstrom` in `folder`; what it prints goes to the files `name`.out and .err there.
    pub fn start(folder: &Path, name: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maelstrom"));
        command.args(arguments).current_dir(folder);
        Process::spawn(folder, name, command)
    }

    /// As [`Process::start`], of any command, wherever that runs.
    pub fn spawn(folder: &Path, name: &str, mut command: Command) -> Process {
        let [stdout, stderr] = ["out", "err"].map(|kind| folder.join(format!("{name}.{kind}")));
        let file = |path: &Path| File::create(path).unwrap();
        command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        let child = command.stdout(file(&stdout)).stderr(file(&stderr)).spawn().unwrap();
        Process { child, stdout, stderr }
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Waits until standard error holds `text`.
    pub fn wait_for(&mut self, text: &str) {
        wait_until(&format!("{text:?} from {}", self.stderr.display()), || {
            assert!(self.is_running(), "ended: {}", self.stderr());
            self.stderr().contains(text)
        });
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal such as `TERM`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "does not end: {}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        };
        let stdout = String::from_utf8_lossy(&fs::read(&self.stdout).unwrap()).into_owned();
        Ended { status: status.code(), stdout, stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `done`, for as long as patience lasts.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs `maelstrom` to its end.
pub fn maelstrom(folder: &Path, arguments: &[&str]) -> Ended {
    // Apart from the folder that a test looks at.
    let log = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maelstrom"));
    command.args(arguments).current_dir(folder);
    Process::spawn(log.path(), "maelstrom", command).end()
}

/// What `maelstrom ctl status` says, by the socket `side`.ctl in `folder`.
pub fn status(folder: &Path, side: &str) -> Value {
    let socket = format!("{side}.ctl");
    let ended = maelstrom(folder, &["ctl", "--socket", &socket, "status", "--json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// Waits until each of these gateways has delivered so many frames. After long patience it goes on all the same:
/// whoever looks at what came says what is missing.
pub fn wait_for_delivery(folder: &Path, gateways: &mut [(&str, &mut Process)], frames: u64) {
    let start = Instant::now();
    for (side, process) in gateways {
        let delivered = || status(folder, side)["counters"]["recover"]["delivered"].as_u64();
        while start.elapsed() < PATIENCE && delivered() < Some(frames) {
            assert!(process.is_running(), "ended: {}", process.stderr());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Subscribes, however long a busy machine keeps the thread that serves readers from its core.
#[cfg(feature = "dpdk")]
pub fn subscribe(path: impl AsRef<Path>) -> Result<Subscriber, ConnectError> {
    let start = Instant::now();
    loop {
        match Subscriber::connect(&path) {
            Err(ConnectError::Io { .. }) if start.elapsed() < PATIENCE => {}
            answer => return answer,
        }
    }
}

/// Fails at once where a program is missing that a test would else call in vain.
pub fn needs(program: &str, package: &str) {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(found, "{program}: not found; as root: apt-get install {package}");
}

/// Random numbers (splitmix64) that a seed replays.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// When the captures that are made here begin: 2023, and not on a whole second.
pub const START: u64 = 1_700_000_000_123_456_789;

/// A frame to one of a few hosts: IPv4, IPv6 or with a VLAN tag in front.
pub fn frame(random: &mut Random, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    random.fill(&mut frame);
    frame[..12].copy_from_slice(&[0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(match random.below(4) {
        0 => &[0x81, 0x00],
        1 => &[0x86, 0xDD],
        _ => &[0x08, 0x00],
    });
    frame
}

/// Traffic of all sizes with many equal frames: ARP requests that repeat, frames sent again.
pub fn traffic(seed: u64, frames: usize, jumbo: bool) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let mut arp = vec![0xFF; 60];
    arp[6..].fill(0);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut all: Vec<Vec<u8>> = Vec::with_capacity(frames);
    for n in 0..frames {
        let next = match random.below(100) {
            0..3 => {
                arp[41] = random.below(4) as u8;
                arp.clone()
            }
            3..10 if n > 0 => all[n - 1 - random.below(n.min(3000) as u64) as usize].clone(),
            10 if jumbo => frame(&mut random, 9000),
            11..20 => frame(&mut random, 1514),
            20..30 => frame(&mut random, 14),
            30..40 => {
                let len = 14 + random.below(1501) as usize;
                frame(&mut random, len)
            }
            _ => {
                let len = 60 + random.below(60) as usize;
                frame(&mut random, len)
            }
        };
        all.push(next);
    }
    all
}

/// Frames of all sizes from 60 bytes up, no two of which are equal.
pub fn distinct(seed: u64, frames: usize) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let lengths = |random: &mut Random| match random.below(10) {
        0 => 1514,
        n => 60 + random.below(40 * n) as usize,
    };
    (0..frames)
        .map(|_| {
            let len = lengths(&mut random);
            frame(&mut random, len)
        })
        .collect()
}

/// Writes a capture whose frames are a microsecond and a bit apart.
pub fn write_capture(path: &Path, frames: &[Vec<u8>]) {
    let mut writer = CaptureWriter::create(path).unwrap();
    for (n, frame) in (0..).zip(frames) {
        writer.write(START + n * 1003, frame).unwrap();
    }
    writer.finish().unwrap();
}

/// A capture's times and frames.
pub fn read_capture(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut frames = Vec::new();
    for_each_frame(path, |time, frame| frames.push((time, frame.to_vec()))).unwrap();
    frames
}
