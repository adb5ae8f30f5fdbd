//! What hosts do: answer, and ask. Each part is this program again, in a namespace.

use std::collections::HashMap;
use std::env;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Process, Random};
use crate::net::Net;

const PORT: u16 = 7000;
const PART: &str = "MAELSTROM_TEST_PART";
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a host that answers whatever comes, by TCP and UDP.
pub fn answer(net: &Net, folder: &Path, name: &str) -> Process {
    let mut process = start(net, folder, name, "answer");
    process.wait_for("answering");
    process
}

/// Has a host ask, and waits until it has been answered. `what` is a word and its arguments.
pub fn ask(net: &Net, folder: &Path, what: &str) {
    let name = format!("ask-{}", what.replace([' ', ':', '.'], "-"));
    let ended = start(net, folder, &name, what).end();
    assert_eq!(ended.status, Some(0), "{what}: {ended:?}");
}

fn start(net: &Net, folder: &Path, name: &str, part: &str) -> Process {
    let this = env::current_exe().unwrap();
    let mut command = net.inside(this.to_str().unwrap());
    command.args(["--exact", "hosts::a_part", "--nocapture", "--ignored"]);
    command.env(PART, part).current_dir(folder);
    Process::spawn(folder, name, command)
}

#[test]
#[ignore = "a part of the other tests"]
fn a_part() {
    let part = env::var(PART).unwrap_or_default();
    match part.split(' ').collect::<Vec<_>>()[..] {
        ["answer"] => answering(),
        ["stream", to, bytes] => stream(to.parse().unwrap(), bytes.parse().unwrap()),
        ["datagram", to, bytes] => datagram(to.parse().unwrap(), bytes.parse().unwrap()),
        ["everyone", answers] => everyone(answers.parse().unwrap()),
        _ => {}
    }
}

fn answering() {
    // It takes IPv4 too.
    let socket = UdpSocket::bind(("::", PORT)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        loop {
            // What a datagram that was too big is told may come as an error.
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
            let _ = socket.send_to(&buffer[..len], from);
        }
    });
    let listener = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
    eprintln!("answering");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(len) = stream.read(&mut buffer)
                && len > 0
                && stream.write_all(&buffer[..len]).is_ok()
            {}
        });
    }
}

/// Sends bytes and reads just these.
fn stream(to: IpAddr, bytes: usize) {
    let mut sent = vec![0; bytes];
    Random(bytes as u64).fill(&mut sent);
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect_timeout(&(to, PORT).into(), Duration::from_secs(5)) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{to}: {error}"),
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = thread::spawn(move || writer.write_all(&copy).unwrap());
    let mut received = vec![0; bytes];
    stream.read_exact(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "other bytes came back");
}

/// Sends a datagram of so many bytes until it comes back.
fn datagram(to: IpAddr, bytes: usize) {
    let any: IpAddr = if to.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.connect((to, PORT)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let sent = vec![7; bytes];
    let mut buffer = [0; 1 << 16];
    let start = Instant::now();
    loop {
        // It fails once when the host has learnt that it is too big, and is fragmented from then on.
        let _ = socket.send(&sent);
        if socket.recv(&mut buffer).is_ok_and(|len| buffer[..len] == sent) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "no answer from {to}");
    }
}

/// Asks everyone many times: so many answer, who asks among them, and nobody twice.
fn everyone(answers: usize) {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut seen: HashMap<(SocketAddr, u32), u32> = HashMap::new();
    let mut buffer = [0; 64];
    let mut listen =
        |seen: &mut HashMap<(SocketAddr, u32), u32>| match socket.recv_from(&mut buffer) {
            Ok((4, from)) => {
                let number = u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
                *seen.entry((from, number)).or_default() += 1;
                true
            }
            _ => false,
        };
    let start = Instant::now();
    let mut number = 0u32;
    // Until all have answered twenty: the first ones wait for addresses to be resolved.
    loop {
        socket.send_to(&number.to_be_bytes(), ("10.77.0.255", PORT)).unwrap();
        number += 1;
        while listen(&mut seen) {}
        let mut by_host: HashMap<IpAddr, u32> = HashMap::new();
        seen.keys().for_each(|(from, _)| *by_host.entry(from.ip()).or_default() += 1);
        if by_host.len() == answers && by_host.values().all(|count| *count >= 20) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{by_host:?}");
    }
    assert!(seen.values().all(|count| *count == 1), "twice: {seen:?}");
}
