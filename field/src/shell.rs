//! `make lab-shell`: a shell on each side of the link.
//!
//! East's runs in a second terminal, by the command that is printed; west's runs here, and when it ends, so does the
//! laboratory.

use std::process::Command;

use crate::error::{Context, Result};
use crate::interrupt;
use crate::net::{HOSTS, Net, Place};
use crate::say::say;

/// Runs a shell in the western host, here, until it ends.
///
/// # Errors
/// It can't be started.
pub fn shell(net: &Net) -> Result<()> {
    say(format_args!(
        "here is west, {}. For a shell in the east, {}, type in another terminal:",
        HOSTS[0], HOSTS[1]
    ));
    say(format_args!("  sudo ip netns exec {} bash", net.namespace(Place::East)));
    say(format_args!(
        "for instance `iperf3 --server` there and `iperf3 --client {}` here.",
        HOSTS[1]
    ));
    say(format_args!(
        "Configurations and logs are in {}; leave this shell to end it all.",
        net.folder().display()
    ));
    // A shell needs the terminal, so it is a child like any other; Ctrl-C in it is its own affair.
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "sh".to_owned());
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "HUP",
        "--",
        "ip",
        "netns",
        "exec",
        &net.namespace(Place::West),
        &shell,
    ]);
    let mut child = command.current_dir(net.folder()).spawn().context(&shell)?;
    let ended = loop {
        if child.try_wait().context(&shell)?.is_some() {
            return Ok(());
        }
        if let Err(interrupted) = interrupt::sleep(interrupt::LOOK) {
            break interrupted;
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    Err(ended)
}
