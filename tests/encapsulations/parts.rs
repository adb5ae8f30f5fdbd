//! What this program is inside a namespace: the far end, which sends everything back, or the near one.

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Random};
use crate::net::HOSTS;

pub const ROLE: &str = "MAELSTROM_TEST_ROLE";
const PORT: u16 = 7007;
/// What crosses by TCP each way, on each connection.
const STREAM: usize = 2 << 20;
/// A turn of the watch that takes longer is one that it had no core for.
const TURN: Duration = Duration::from_millis(20);
/// Without an echo for so long is a gap.
const GAP: Duration = Duration::from_millis(100);

#[test]
#[ignore = "a part of the other tests"]
fn a_part() {
    match env::var(ROLE).as_deref() {
        Ok("far") => far(),
        Ok("traffic") => traffic(),
        Ok("watch") => watch(),
        _ => {}
    }
}

/// Sends back whatever comes, over IPv4 and IPv6.
fn far() {
    let datagrams = UdpSocket::bind(("::", PORT)).unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok((len, from)) = datagrams.recv_from(&mut buffer) {
            let _ = datagrams.send_to(&buffer[..len], from);
        }
    });
    let listener = TcpListener::bind(("::", PORT)).unwrap();
    eprintln!("listening");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..len]).is_err() {
                    break;
                }
            }
        });
    }
}

fn to_far() -> [SocketAddr; 2] {
    [HOSTS[0][1], HOSTS[1][1]].map(|address| SocketAddr::new(address.parse().unwrap(), PORT))
}

/// Several connections, so that several channels have some, then datagrams of all lengths.
fn traffic() {
    for to in to_far() {
        let connections = [1, 2, 3, 4].map(|seed| thread::spawn(move || stream(to, seed)));
        connections.into_iter().for_each(|connection| connection.join().unwrap());
        for source in 0..4 {
            datagrams(to, source);
        }
    }
    eprintln!("all of it came back");
}

fn connect(to: SocketAddr) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(to) {
            Ok(stream) => return stream,
            Err(error) if start.elapsed() > PATIENCE => panic!("{to}: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn stream(to: SocketAddr, seed: u64) {
    let mut sent = vec![0; STREAM];
    Random(seed).fill(&mut sent);
    let mut stream = connect(to);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut back = vec![0; STREAM];
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).unwrap());
        stream.read_exact(&mut back).unwrap();
    });
    assert!(sent == back, "other bytes came back from {to}");
}

/// A socket to the far end.
fn socket(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(to).unwrap();
    socket
}

/// Each comes back, sent up to ten times: the kernel at either end may drop one.
fn datagrams(to: SocketAddr, seed: u64) {
    let socket = socket(to);
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut random = Random(seed);
    for n in 0..50u64 {
        let mut sent = vec![0; 16 + random.below(1300) as usize];
        random.fill(&mut sent);
        sent[..8].copy_from_slice(&n.to_be_bytes());
        let mut back = vec![0; 2000];
        let came = (0..10).any(|_| {
            socket.send(&sent).is_ok()
                && socket.recv(&mut back).is_ok_and(|len| back[..len] == sent)
        });
        assert!(came, "datagram {n} to {to} did not come back");
    }
}

/// Sends a datagram each few milliseconds, and says after each gap how long no echo came, and for how much of that
/// it had no core itself.
fn watch() {
    let socket = socket(to_far()[0]);
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut last = None::<Instant>;
    let mut buffer = [0; 100];
    let (mut turn, mut absent) = (Instant::now(), Duration::ZERO);
    loop {
        let now = Instant::now();
        absent += Some(now - std::mem::replace(&mut turn, now))
            .filter(|it| *it > TURN)
            .unwrap_or_default();
        // Errors are unreachability that the kernel was told of.
        let _ = socket.send(&[7; 50]);
        if socket.recv(&mut buffer).is_ok() {
            let now = Instant::now();
            match last {
                None => eprintln!("echoes come"),
                Some(last) if now - last > GAP => {
                    let [gap, absent] = [now - last, absent].map(|it| it.as_millis());
                    eprintln!("gap of {gap} ms, absent for {absent} ms")
                }
                _ => {}
            }
            (last, absent) = (Some(now), Duration::ZERO);
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The gaps that a watch has told of, and for how much of each it had no core: in milliseconds.
pub fn gaps(said: &str) -> Vec<[u64; 2]> {
    let gaps = said.lines().filter_map(|line| line.strip_prefix("gap of ")?.strip_suffix(" ms"));
    // A line that is not whole yet has no second part.
    let parts = gaps.filter_map(|gap| gap.split_once(" ms, absent for "));
    parts.map(|(gap, absent)| [gap, absent].map(|it| it.parse().unwrap())).collect()
}
