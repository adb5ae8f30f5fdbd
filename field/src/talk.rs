//! Programs of our own that talk across the link: a stream of datagrams whose delay is measured, and short requests
//! over a TCP connection each.
//!
//! They are run in the hosts' namespaces as `field part …`, and print what they found as JSON. Both hosts are
//! namespaces of one machine, so that the clock that stamps a datagram is the one that reads the stamp.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use netsync::now_ns;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::net::{Net, Place};
use crate::process::Process;

/// What a datagram begins with: its number and when it was sent, in nanoseconds.
const STAMP: usize = 16;
/// A number that counts as none: before a stream, for so many milliseconds, one each, until hosts know each other's
/// addresses. What waits for that in a host's kernel may be dropped there.
const WARMING: (u64, u32) = (u64::MAX, 500);
/// Nobody sends more at once when a core was busy with something else.
const BEHIND: u32 = 100;
/// Without a datagram for so long, the stream has ended.
const SILENCE: Duration = Duration::from_secs(3);
/// A request, and the answer that it gets: some ten packets.
const REQUEST: usize = 100;
const ANSWER: usize = 16 * 1024;
/// A connection that does not get through in this time is given up, and counts as that.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// What came of a stream, or of requests. Of those that were lost nothing is in `ns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Datagrams sent, as far as their receiver can tell; requests made.
    pub sent: u64,
    /// How long each took that arrived, ascending, in nanoseconds.
    pub ns: Vec<u64>,
}

impl Times {
    /// By when a share `quantile` of all that were sent had arrived, in nanoseconds; `None` if so many never did.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = (quantile * self.sent as f64).ceil().max(1.0) as usize;
        self.ns.get(rank - 1).copied()
    }

    /// How many never arrived.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.ns.len() as u64)
    }
}

/// Sends `rate` datagrams of `size` bytes a second to `to`, at even times, for so long.
///
/// # Errors
/// There is no socket to be had.
pub fn send(to: SocketAddr, rate: u32, size: usize, seconds: u32) -> Result<()> {
    send_behind(WARMING.1, to, rate, size, seconds)
}

/// As [`send`], behind so many datagrams that count as none.
fn send_behind(warming: u32, to: SocketAddr, rate: u32, size: usize, seconds: u32) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).context("datagrams")?;
    let mut datagram = vec![0x5A; size.max(STAMP)];
    let count = u64::from(rate) * u64::from(seconds);
    datagram[..8].copy_from_slice(&WARMING.0.to_le_bytes());
    for _ in 0..warming {
        let _ = socket.send_to(&datagram, to);
        thread::sleep(Duration::from_millis(1));
    }
    let gap = Duration::from_secs(1) / rate.max(1);
    let mut due = Instant::now();
    for number in 0..count {
        let now_is = Instant::now();
        due = due.max(now_is.checked_sub(gap * BEHIND).unwrap_or(now_is));
        thread::sleep(due.saturating_duration_since(now_is));
        due += gap;
        datagram[..8].copy_from_slice(&number.to_le_bytes());
        datagram[8..STAMP].copy_from_slice(&now_ns().to_le_bytes());
        // Nobody listens any more, or the host's own queue is full: it is lost, and counted as that.
        let _ = socket.send_to(&datagram, to);
    }
    Ok(())
}

/// Takes such datagrams at `at` until `count` were sent or none comes any more; the first copy of each counts.
///
/// # Errors
/// The address is taken.
pub fn receive(at: SocketAddr, count: u64) -> Result<Times> {
    let socket = UdpSocket::bind(at).context(at)?;
    eprintln!("listening");
    take_times(&socket, count).context(at)
}

fn take_times(socket: &UdpSocket, count: u64) -> Result<Times> {
    let mut taken = vec![false; count as usize];
    let mut times = Times { sent: count, ns: Vec::with_capacity(count as usize) };
    let mut datagram = [0; 65536];
    // The first may take its time.
    socket.set_read_timeout(Some(GIVEN_UP)).map_err(Error::new)?;
    while times.ns.len() < count as usize {
        let len = match socket.recv(&mut datagram) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => return Err(Error::new(error)),
        };
        let arrived = now_ns();
        socket.set_read_timeout(Some(SILENCE)).map_err(Error::new)?;
        let word =
            |at: usize| datagram[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
        let (number, sent) = (usize::try_from(word(0)).unwrap_or(usize::MAX), word(8));
        if len >= STAMP && number < taken.len() && !std::mem::replace(&mut taken[number], true) {
            times.ns.push(arrived.saturating_sub(sent));
        }
    }
    times.ns.sort_unstable();
    Ok(times)
}

/// Takes datagrams at `at`, and does nothing with them, until the process is ended.
///
/// # Errors
/// The address is taken.
pub fn take(at: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind(at).context(at)?;
    let mut datagram = [0; 65536];
    loop {
        socket.recv(&mut datagram).context(at)?;
    }
}

/// Answers requests at `at` until the process is ended.
///
/// # Errors
/// The address is taken.
pub fn serve(at: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(at).context(at)?;
    eprintln!("listening");
    answer(&listener);
    Ok(())
}

fn answer(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        thread::spawn(move || {
            let mut request = [0; REQUEST];
            // Whoever asked has gone, if not.
            stream.read_exact(&mut request).and_then(|()| stream.write_all(&[0xA5; ANSWER]))
        });
    }
}

/// Asks `to` for so long from `clients` at once, each as soon as it has its answer: from connecting to the answer's
/// last byte.
///
/// # Errors
/// None; what fails counts as lost.
pub fn ask(to: SocketAddr, clients: u32, seconds: u32) -> Result<Times> {
    let end = Instant::now() + Duration::from_secs(u64::from(seconds));
    let all = Mutex::new(Times::default());
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while Instant::now() < end {
                    let begin = Instant::now();
                    let answered = once(to).is_some();
                    let took = begin.elapsed().as_nanos() as u64;
                    let mut times = all.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    times.sent += 1;
                    times.ns.extend(answered.then_some(took));
                }
            });
        }
    });
    let mut times = all.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    times.ns.sort_unstable();
    Ok(times)
}

fn once(to: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect_timeout(&to, GIVEN_UP).ok()?;
    stream.set_read_timeout(Some(GIVEN_UP)).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.write_all(&[1; REQUEST]).ok()?;
    stream.read_exact(&mut [0; ANSWER]).ok()
}

/// This program as one of these, in a namespace; its words are `field part`'s.
///
/// # Errors
/// It can't be started.
pub fn part(net: &Net, place: Place, name: &str, words: &[&str]) -> Result<Process> {
    let this = std::env::current_exe().context("this program")?;
    let mut command = net.inside(place, &this.to_string_lossy());
    command.arg("part").args(words);
    Process::start(net.folder(), name, command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_arrived_is_at_the_slow_end() {
        let times = Times { sent: 10, ns: vec![1, 2, 3, 4, 5, 6, 7, 8] };
        assert_eq!((times.quantile(0.5), times.quantile(0.8)), (Some(5), Some(8)));
        assert_eq!((times.quantile(0.9), times.lost()), (None, 2));
        assert_eq!(times.quantile(0.0), Some(1));
        assert_eq!(Times::default().quantile(0.5), None);
    }

    #[test]
    fn datagrams_and_requests_cross_this_host() {
        let here = ("127.0.0.1", 0);
        let socket = UdpSocket::bind(here).unwrap();
        let to = socket.local_addr().unwrap();
        let receiver = thread::spawn(move || take_times(&socket, 100));
        // No more than the socket has room for, should the receiver get no core meanwhile.
        send_behind(10, to, 100, 100, 1).unwrap();
        let times = receiver.join().unwrap().unwrap();
        assert_eq!((times.sent, times.lost()), (100, 0));
        assert!(times.ns.is_sorted());

        let listener = TcpListener::bind(here).unwrap();
        let to = listener.local_addr().unwrap();
        thread::spawn(move || answer(&listener));
        let times = ask(to, 2, 1).unwrap();
        assert!(times.sent > 2 && times.lost() == 0, "{} of {}", times.lost(), times.sent);
    }
}
