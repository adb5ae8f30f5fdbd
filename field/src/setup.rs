//! What the cells of a table have in common, and may be asked for otherwise.

use std::path::PathBuf;

use crate::error::Result;
use crate::tcp::Course;
use crate::{net, pair};

/// What they are measured on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The built `maelstrom`.
    pub binary: PathBuf,
    /// The WAN's rate, in Mb/s.
    pub rate_mbps: u32,
    /// The hosts' MTU.
    pub host_mtu: u16,
}

impl Setup {
    /// The one of the documents, at this rate.
    ///
    /// # Errors
    /// A laboratory can't be had here: as [`net::check`] and [`pair::binary`].
    pub fn new(rate_mbps: u32) -> Result<Setup> {
        net::check()?;
        Ok(Setup { binary: pair::binary()?, rate_mbps, host_mtu: 1500 })
    }
}

/// How often and how long TCP flows.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// How often, each time with fresh processes and another seed.
    pub runs: u32,
    /// How long each counts, in seconds.
    pub seconds: u32,
    /// How long each runs before it counts, in seconds.
    pub omit: u32,
}

impl Runs {
    /// One of them.
    pub fn course(&self, flows: u32) -> Course {
        Course { flows, omit: self.omit, seconds: self.seconds }
    }
}
