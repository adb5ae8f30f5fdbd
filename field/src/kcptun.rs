//! What a user would install today instead: kcptun, as Debian has it, which carries TCP connections over UDP with
//! Reed-Solomon repairs and retransmissions of its own.
//!
//! Its defaults, and what its README says for a fast long link: mode fast3, no compression, larger socket and
//! stream buffers, and windows that hold what the path does (window times MTU over round trip is all it carries).

use std::process::Command;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::interrupt;
use crate::net::{HOSTS, Net, Place, needs};
use crate::pair::Wan;
use crate::process::Process;

/// Where the tunnel begins at the western host: iperf3's port, on an address that is not the eastern host's.
pub const ENTRY: &str = "127.0.0.1";

/// iperf3's port, and the tunnel's own, which is kcptun's default.
const PORTS: [u16; 2] = [5201, 29900];
/// Its default, in bytes.
const MTU: u64 = 1350;
const PATIENCE: Duration = Duration::from_secs(10);

/// Both ends of the tunnel. Dropped, they end.
pub struct Tunnel {
    _ends: [Process; 2],
}

/// Whether it is there.
///
/// # Errors
/// What to install.
pub fn check() -> Result<()> {
    ["kcptun-server", "kcptun-client"].iter().try_for_each(|program| needs(program, "kcptun"))
}

impl Tunnel {
    /// Starts both ends, for the eastern host's iperf3.
    ///
    /// # Errors
    /// One of them ends early; or as [`interrupt::check`].
    pub fn start(net: &Net, wan: &Wan) -> Result<Tunnel> {
        let window = wan.in_flight().div_ceil(MTU).max(1024);
        let common = |command: &mut Command| {
            command.args(["--mode", "fast3", "--nocomp", "--sockbuf", "16777217", "--quiet"]);
            command.args(["--smuxbuf", "16777217"]);
            command.args(["--sndwnd", &window.to_string(), "--rcvwnd", &window.to_string()]);
        };
        // Socket buffers are cut to what the system allows, where a namespace has a say in that.
        for place in [Place::West, Place::East] {
            let script = "cd /proc/sys/net/core; for f in rmem_max wmem_max; do
                          [ ! -w $f ] || echo 26214400 >$f; done";
            net.shell(place, script)?;
        }
        let [iperf, tunnel] = PORTS;
        let mut server = net.inside(Place::East, "kcptun-server");
        server.args(["--listen", &format!(":{tunnel}"), "--target", &format!("{ENTRY}:{iperf}")]);
        common(&mut server);
        let mut client = net.inside(Place::West, "kcptun-client");
        client.args(["--localaddr", &format!("{ENTRY}:{iperf}")]);
        client.args(["--remoteaddr", &format!("{}:{tunnel}", HOSTS[1])]);
        common(&mut client);
        let mut ends = [
            Process::start(net.folder(), "kcptun-server", server)?,
            Process::start(net.folder(), "kcptun-client", client)?,
        ];
        let listens = interrupt::wait(PATIENCE, || {
            for end in &mut ends {
                if end.ended()?.is_some() {
                    return Err(Error::new(format!("kcptun: ended early: {}", end.stderr())));
                }
            }
            // In hexadecimal, and in state 10, listening.
            let sockets = net.shell(Place::West, "cat /proc/net/tcp")?;
            Ok(sockets.contains(&format!(":{iperf:04X} 00000000:0000 0A")))
        })?;
        if listens {
            Ok(Tunnel { _ends: ends })
        } else {
            Err(Error::new("kcptun: does not listen"))
        }
    }
}
