//! Real TCP of this host's kernel through a pair of gateways, a storage process beside one of them.
//!
//! ```text
//!  user and network namespace A                          namespace B
//!  storage ─ tap ─ west ─ memif ─ [wan] ─ memif ─ east ─ tap ─ mirror
//! ```
//!
//! Needs neither root nor hugepages, but namespaces that anyone may make, and /dev/net/tun. The storage
//! process and the mirror are this program again, told by the environment what to be.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use netsync::{Event, Notice, Reached, Target, WaitError};

use crate::c_example;
use crate::common::{Process, subscribe, wait_until};

const MIRROR: &str = "10.77.0.2:5432";
const ROLE: &str = "MAELSTROM_TEST_ROLE";
const RECORD: usize = 4096;
const RECORDS: u64 = 300;
/// There once the gateway was killed.
const KILLED: &str = "killed";
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn configuration(side: &str, socket: Option<&Path>, wan: &str) -> String {
    let netsync = socket.map_or(String::new(), |socket| {
        format!(
            "[netsync]\nsocket = \"{}\"\nmode = \"0600\"\n[[netsync.track]]\nport = 5432\n\
             end = \"remote\"\n",
            socket.display()
        )
    });
    format!(
        "[gateway]\nside = \"{side}\"\nkeys = \"none\"\nhugepages = false\nidle = \"rest\"\n[lan]\n\
         port = \"net_tap0,iface=lan\"\n[wan]\nport = \"{wan}\"\nmtu = 1900\n[code]\n\
         layers = \"8:21,23,25+g1\"\n[link]\nhello = \"1s\"\n{netsync}[[worker]]\nrooms = [\"protect\", \"recover\"]\n"
    )
}

/// A gateway in namespaces of its own, whose LAN is this end of a tap.
fn gateway(folder: &Path, side: &str, address: &str, socket: Option<&Path>) -> Process {
    let wan = folder.join(format!("{side}.sock"));
    let wan = format!("net_memif0,role=server,id=0,socket={},socket-abstract=no", wan.display());
    let file = folder.join(format!("{side}.toml"));
    fs::write(&file, configuration(side, socket, &wan)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-Urn", "--", env!("CARGO_BIN_EXE_maelstrom"), "run", "--config"]).arg(&file);
    command.current_dir(folder);
    let mut process = Process::spawn(folder, side, command);
    process.wait_for("running; SIGINT or SIGTERM ends it");
    let up = format!("ip addr add {address}/24 dev lan && ip link set lan up");
    let status = inside(&process, "sh").args(["-c", &up]).status().unwrap();
    assert!(status.success(), "{up}");
    process
}

/// A command in a gateway's namespaces.
fn inside(gateway: &Process, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    let target = gateway.id().to_string();
    command.args(["-t", &target, "-U", "-n", "--preserve-credentials", "--", program]);
    command
}

/// This program as something else, beside a gateway.
fn role(gateway: &Process, folder: &Path, role: &str, socket: &Path) -> Process {
    let this = env::current_exe().unwrap();
    let mut command = inside(gateway, this.to_str().unwrap());
    command.args(["--exact", "process::a_part", "--nocapture", "--ignored"]);
    command.env(ROLE, role).env("MAELSTROM_TEST_SOCKET", socket).current_dir(folder);
    Process::spawn(folder, role, command)
}

#[test]
#[ignore = "a part of the other test"]
fn a_part() {
    let socket = env::var_os("MAELSTROM_TEST_SOCKET").unwrap_or_default();
    match env::var(ROLE).as_deref() {
        Ok("storage") => storage(Path::new(&socket)),
        Ok("mirror") => mirror(),
        _ => {}
    }
}

/// Reads whatever comes.
fn mirror() {
    let listener = TcpListener::bind(MIRROR).unwrap();
    eprintln!("listening");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
    }
}

/// Asks again when the gateway seems dead: on a busy machine its heartbeat is late now and then.
fn while_it_lives<T>(mut ask: impl FnMut() -> Result<T, WaitError>) -> Result<T, WaitError> {
    let start = Instant::now();
    loop {
        match ask() {
            Err(WaitError::Dead) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            answer => return answer,
        }
    }
}

/// Writes records, waits for each level of them; then for the gateway's death.
fn storage(socket: &Path) {
    let subscriber = subscribe(socket).unwrap();
    let mut notices = while_it_lives(|| subscriber.notices(0)).unwrap().unwrap();
    let mut stream = connect();
    stream.set_nodelay(true).unwrap();
    let mut flow = subscriber.flow(&stream).unwrap();
    let (mut offset, mut by_level) = (0, [0; 4]);
    for record in 0..RECORDS {
        stream.write_all(&[record as u8; RECORD]).unwrap();
        offset += RECORD as u64;
        let level = 1 + (record % 3) as usize;
        match while_it_lives(|| flow.wait(offset, Target::Level(level), PATIENCE)) {
            Ok(outcome) => match outcome.reached {
                Reached::Level(reached) => by_level[reached] += 1,
                Reached::Acked | Reached::KernelAcked => by_level[0] += 1,
            },
            Err(error) => panic!("record {record}, level {level}: {error}"),
        }
    }
    let outcome = while_it_lives(|| flow.wait(offset, Target::Acked, PATIENCE)).unwrap();
    let repairs = std::iter::from_fn(|| notices.poll())
        .filter(|event| matches!(event, Event::Notice(Notice::Repair { .. })))
        .count();
    eprintln!("levels {by_level:?}, acked by {:?}, repairs {repairs}", outcome.reached);
    eprintln!("all records are safe");
    // The gateway is killed at some time from now on, and then nothing must be said to be safe.
    let mut killed = None::<Instant>;
    loop {
        if killed.is_none() && Path::new(KILLED).exists() {
            killed = Some(Instant::now());
        }
        let since = killed.map_or(Duration::ZERO, |killed| killed.elapsed());
        assert!(since < PATIENCE, "the gateway's death is not noticed");
        // Without error: the kernel takes the bytes.
        stream.write_all(&[0; 10]).unwrap();
        offset += 10;
        match flow.wait(offset, Target::Level(3), PATIENCE) {
            Err(WaitError::Dead) if killed.is_some() => break,
            // What was on its way when it died, or, before that, a heartbeat that is late.
            Ok(_) | Err(WaitError::Dead) => thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("expected a dead gateway: {error}"),
        }
    }
    eprintln!("the gateway is dead");
}

fn connect() -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(MIRROR) {
            Ok(stream) => return stream,
            Err(error) if start.elapsed() > PATIENCE => panic!("{MIRROR}: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn namespaces_are_allowed() -> bool {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    works("unshare", &["-Urn", "--", "ip", "tuntap", "add", "lan", "mode", "tap"])
        && works("nsenter", &["--version"])
}

#[test]
fn a_storage_process_is_told_by_real_gateways() {
    if !namespaces_are_allowed() {
        eprintln!("skipped: needs namespaces (unshare -Urn), ip, nsenter and /dev/net/tun");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let socket = path.join("netsync.sock");
    let mut west = gateway(path, "west", "10.77.0.1", Some(&socket));
    let east = gateway(path, "east", "10.77.0.2", None);
    let ends = ["west", "east"].map(|side| {
        let n = usize::from(side == "east");
        let socket = path.join(format!("{side}.sock"));
        format!("net_memif{n},role=client,id=0,socket={},socket-abstract=no", socket.display())
    });
    let flags = ["wan", "--west", &ends[0], "--east", &ends[1], "--wan-mtu", "1900"];
    let more = ["--delay", "20ms", "--loss", "iid:0.01", "--seed", "5"];
    let mut wan = Process::start(path, "wan", &[&flags[..], &more].concat());
    wan.wait_for("running; SIGINT or SIGTERM ends it");
    // While the peer is down, no level is promised.
    west.wait_for("peer up");
    let mut mirror = role(&east, path, "mirror", &socket);
    mirror.wait_for("listening");
    // The storage process waits for the gateway's end, and no longer than it has patience.
    let program = c_example::compile(path);
    let mut storage = role(&west, path, "storage", &socket);
    storage.wait_for("all records are safe");
    let said = storage.stderr();
    assert!(said.contains("acked by"), "{said}");
    // Most records were safe before their acknowledgement could be here.
    let levels = said.split_once("levels [").unwrap().1.split_once(']').unwrap().0;
    let levels: Vec<u64> = levels.split(", ").map(|count| count.parse().unwrap()).collect();
    assert_eq!(levels.iter().sum::<u64>(), RECORDS);
    assert!(levels[0] < RECORDS / 2 && levels[1] > 50 && levels[2] > 0, "{levels:?}");

    // A storage process in C has its own connection.
    let (host, port) = MIRROR.split_once(':').unwrap();
    for policy in ["level:2", "acked"] {
        let mut command = inside(&west, program.to_str().unwrap());
        let output = command.arg(&socket).args([host, port, "100", policy]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with("records 100, ") && said.contains("latency"), "{output:?}");
    }

    west.signal("KILL");
    fs::write(path.join(KILLED), "").unwrap();
    // Long before any of its waits ends by itself, which it would take for an error.
    wait_until("the reader notices", || storage.stderr().contains("the gateway is dead"));
    let ended = storage.end();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(west.end().status, None);
}
