//! Two gateways as they are run, between kernels whose MTU is the WAN's: nothing is added to a packet,
//! so ping and TCP cross with 1500 bytes everywhere.
//!
//! Needs namespaces, as any user may have them (`unshare -Urn`), and taps in them; says so where there
//! are none.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Process, needs, status, wait_until};

const EAST: &str = "10.78.0.2";
const ROLE: &str = "MAELSTROM_TEST_ROLE";
const BYTES: usize = 4 << 20;

fn configuration(side: &str, mtu: u16, wan: &str) -> String {
    format!(
        "[gateway]\nside = \"{side}\"\nhugepages = false\nkeys = \"none\"\nidle = \"rest\"\n[lan]\n\
         port = \"net_tap0,iface=lan\"\nmtu = {mtu}\n[wan]\nport = \"{wan}\"\nmtu = {mtu}\n\
         encapsulation = \"transparent\"\n[code]\nlayers = \"8:21,23,25+g1\"\n\
         [control]\nsocket = \"{side}.ctl\"\n[[worker]]\n\
         rooms = [\"protect\", \"recover\"]\n"
    )
}

/// A gateway in namespaces of its own, whose LAN is this end of a tap.
fn gateway(folder: &Path, side: &str, mtu: u16, address: &str) -> Process {
    let wan = folder.join(format!("{side}.sock"));
    let wan = format!("net_memif0,role=server,id=0,socket={},socket-abstract=no", wan.display());
    let file = folder.join(format!("{side}.toml"));
    fs::write(&file, configuration(side, mtu, &wan)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-Urn", "--", env!("CARGO_BIN_EXE_maelstrom"), "run", "--config"]).arg(&file);
    command.current_dir(folder);
    let mut process = Process::spawn(folder, side, command);
    process.wait_for("running; SIGINT or SIGTERM ends it");
    assert!(process.stderr().contains("without any check"), "{}", process.stderr());
    let up = format!("ip addr add {address}/24 dev lan && ip link set lan up mtu {mtu}");
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
fn role(gateway: &Process, folder: &Path, role: &str) -> Process {
    let this = env::current_exe().unwrap();
    let mut command = inside(gateway, this.to_str().unwrap());
    command.args(["--exact", "run::a_part", "--nocapture", "--ignored"]);
    command.env(ROLE, role).current_dir(folder);
    Process::spawn(folder, role, command)
}

#[test]
#[ignore = "a part of the other test"]
fn a_part() {
    match env::var(ROLE).as_deref() {
        Ok("server") => server(),
        Ok("client") => client(),
        _ => {}
    }
}

/// Byte number `n` of the stream.
fn byte(n: usize) -> u8 {
    (n / 251 + n) as u8
}

/// Sends what it gets back.
fn server() {
    let listener = TcpListener::bind((EAST, 7)).unwrap();
    eprintln!("listening");
    let (mut stream, _) = listener.accept().unwrap();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..count]).unwrap();
    }
}

/// Sends a stream and looks whether it comes back.
fn client() {
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect((EAST, 7)) {
            Ok(stream) => break stream,
            Err(error) if start.elapsed() > PATIENCE => panic!("{error}"),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    };
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let bytes: Vec<u8> = (0..BYTES).map(byte).collect();
        writer.write_all(&bytes).unwrap();
    });
    let mut back = vec![0; BYTES];
    stream.read_exact(&mut back).unwrap();
    sending.join().unwrap();
    assert!(back.iter().enumerate().all(|(n, &b)| b == byte(n)));
    eprintln!("all is back");
}

fn namespaces_are_allowed() -> bool {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    works("unshare", &["-Urn", "--", "ip", "tuntap", "add", "lan", "mode", "tap"])
        && works("nsenter", &["--version"])
}

/// The value of a counter in what a gateway printed; 0 if it counted nothing.
fn counter(stdout: &str, room: &str, name: &str) -> u64 {
    let mut lines = stdout.lines().skip_while(|line| !line.starts_with(room)).skip(1);
    let mut room = lines.by_ref().take_while(|line| line.starts_with("  "));
    let value = room.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

/// What a gateway says of its peer.
fn peer_is_up(folder: &Path, side: &str) -> bool {
    status(folder, side)["peer"]["standing"] == "up"
}

fn cross(mtu: u16, loss: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let west = gateway(path, "west", mtu, "10.78.0.1");
    let east = gateway(path, "east", mtu, EAST);
    let ends = ["west", "east"].map(|side| {
        let n = usize::from(side == "east");
        let socket = path.join(format!("{side}.sock"));
        format!("net_memif{n},role=client,id=0,socket={},socket-abstract=no", socket.display())
    });
    let mtu = mtu.to_string();
    let flags = ["wan", "--west", &ends[0], "--east", &ends[1], "--wan-mtu", &mtu];
    let more = ["--delay", "5ms", "--loss", loss, "--seed", "5"];
    let mut wan = Process::start(path, "wan", &[&flags[..], &more].concat());
    wan.wait_for("running; SIGINT or SIGTERM ends it");
    // As long as the MTU lets them be: IP and ICMP headers take 28 bytes.
    let size = (mtu.parse::<u32>().unwrap() - 28).to_string();
    wait_until("the first answer", || {
        inside(&west, "ping").args(["-c1", "-W1", EAST]).output().unwrap().status.success()
    });
    for side in ["west", "east"] {
        wait_until(&format!("a peer that is up, in the {side}"), || peer_is_up(path, side));
    }
    let ping = ["-c100", "-i0.01", "-W5", "-Mdo", "-s", &size, EAST];
    let ping = inside(&west, "ping").args(ping).output().unwrap();
    let said = String::from_utf8_lossy(&ping.stdout);
    let answers = said.split(" received").next().and_then(|said| said.rsplit(' ').next());
    let answers: u32 =
        answers.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{ping:?}"));
    assert!(answers >= 97, "{ping:?}");
    assert!(!said.contains("DUP!"), "{said}");
    let mut server = role(&east, path, "server");
    server.wait_for("listening");
    let client = role(&west, path, "client");
    let ended = client.end();
    assert!(ended.status == Some(0) && ended.stderr.contains("all is back"), "{ended:?}");
    wan.signal("TERM");
    let wan = wan.end();
    for gateway in [west, east] {
        gateway.signal("TERM");
        let ended = gateway.end();
        let count = |room, name| counter(&ended.stdout, room, name);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(count("protect", "source_sent") > 1000, "{ended:?}");
        assert!(count("protect", "repair_split") > 100, "{ended:?} {wan:?}");
        assert!(count("recover", "recovered") > 10, "{ended:?} {wan:?}");
        assert_eq!(count("recover", "bad_rebuilt"), 0, "{ended:?}");
        assert!(count("recover", "control_heard") > 5, "{ended:?}");
        assert!(!ended.stderr.contains("here,"), "a mismatch: {ended:?}");
    }
}

#[test]
fn kernels_talk_through_a_circuit_of_their_own_mtu() {
    if !namespaces_are_allowed() {
        eprintln!("skipped: needs namespaces (unshare -Urn), ip, nsenter and /dev/net/tun");
        return;
    }
    needs("ping", "iputils-ping");
    cross(1500, "iid:0.01");
}
