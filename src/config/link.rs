//! `[link]`: how the gateways keep in touch; `[control]`: how operators do.

use std::path::PathBuf;

use netsync::ServerConfig;
use serde::Deserialize;

use super::netsync::{GroupName, octal, server};
use super::values::time;
use crate::gateway::LinkSettings;
use crate::link::PeerDown;

/// `[link]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSection {
    /// Between two hellos, in nanoseconds.
    #[serde(default = "default_hello", deserialize_with = "time")]
    pub hello: u64,
    /// What happens to frames from the LAN while the peer is down.
    #[serde(default)]
    pub peer_down: PeerDown,
}

impl Default for LinkSection {
    fn default() -> LinkSection {
        LinkSection { hello: default_hello(), peer_down: PeerDown::default() }
    }
}

impl LinkSection {
    /// The key that is out of its range, and what is expected.
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        match self.hello {
            20_000_000..=10_000_000_000 => Ok(()),
            got => {
                let got = got / 1_000_000;
                Err(("link.hello", format!("got {got} ms, expected 20ms to 10s, such as 100ms")))
            }
        }
    }

    /// In plain values.
    pub fn settings(&self) -> LinkSettings {
        LinkSettings { hello: self.hello, peer_down: self.peer_down }
    }
}

/// `[control]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlSection {
    /// Where `maelstrom ctl` connects.
    pub socket: PathBuf,
    /// The socket's permissions.
    #[serde(default = "default_mode", deserialize_with = "octal")]
    pub mode: u32,
    /// The socket's group: a name or a number.
    #[serde(default)]
    pub group: Option<GroupName>,
}

impl ControlSection {
    /// The socket.
    pub fn server(&self) -> ServerConfig {
        server(&self.socket, self.mode, self.group.as_ref())
    }

    /// The key that is out of its range, and what is expected.
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        match self.socket.as_os_str().is_empty() {
            true => Err(("control.socket", "got \"\", expected a path".to_owned())),
            false => Ok(()),
        }
    }
}

fn default_hello() -> u64 {
    100_000_000
}

fn default_mode() -> u32 {
    0o600
}
