//! Other hosts' traffic: datagrams at even times from west to east, which nobody answers. This program itself sends
//! and takes them, started once more in either namespace.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Context, Result};
use crate::net::{HOSTS, Net, Place};
use crate::process::Process;

/// Where they go.
const PORT: u16 = 9;
/// Bytes of each.
const SIZE: usize = 1000;
/// Nobody sends more at once when a core was busy with something else.
const BEHIND: u32 = 100;

/// The two processes. Dropped, they end.
pub struct Traffic {
    _ends: [Process; 2],
}

impl Traffic {
    /// So many datagrams a second, from now on.
    ///
    /// # Errors
    /// The processes can't be started.
    pub fn start(net: &Net, rate: u32) -> Result<Traffic> {
        let this = std::env::current_exe().context("this program")?;
        let this = this.to_string_lossy();
        let start = |place, name: &str, arguments: &[&str]| {
            let mut command = net.inside(place, &this);
            command.args(arguments);
            Process::start(net.folder(), name, command)
        };
        let sink = start(Place::East, "sink", &["part", "take"])?;
        let source = start(Place::West, "source", &["part", "other", &rate.to_string()])?;
        Ok(Traffic { _ends: [sink, source] })
    }
}

/// Takes datagrams, and does nothing with them.
///
/// # Errors
/// Somebody else does.
pub fn take() -> Result<()> {
    let socket = UdpSocket::bind((HOSTS[1], PORT)).context("datagrams")?;
    let mut buffer = [0; 2 * SIZE];
    loop {
        socket.recv(&mut buffer).context("datagrams")?;
    }
}

/// Sends datagrams at even times.
///
/// # Errors
/// There is no such host.
pub fn send(rate: u32) -> Result<()> {
    let socket = UdpSocket::bind((HOSTS[0], 0)).context("datagrams")?;
    socket.connect((HOSTS[1], PORT)).context("datagrams")?;
    let gap = Duration::from_secs(1) / rate.max(1);
    let mut due = Instant::now();
    loop {
        let now = Instant::now();
        due = due.max(now.checked_sub(gap * BEHIND).unwrap_or(now));
        while due <= now {
            // What the interface does not take is lost, as it would be elsewhere.
            let _ = socket.send(&[0; SIZE]);
            due += gap;
        }
        thread::sleep(due.saturating_duration_since(now));
    }
}
