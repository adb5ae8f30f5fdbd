//! Other hosts' traffic: datagrams at even times from west to east, which nobody answers.

use crate::error::Result;
use crate::net::{HOSTS, Net, Place};
use crate::process::Process;
use crate::talk::part;

/// Where they go.
const PORT: u16 = 9;
/// Bytes of each.
const SIZE: usize = 1000;

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
        let at = format!("{}:{PORT}", HOSTS[1]);
        let [rate, size, seconds] = [rate as usize, SIZE, u32::MAX as usize].map(|n| n.to_string());
        let sink = part(net, Place::East, "sink", &["take", &at])?;
        let source = part(net, Place::West, "source", &["send", &at, &rate, &size, &seconds])?;
        Ok(Traffic { _ends: [sink, source] })
    }
}
