//! The configuration file of `maelstrom run`: parsed, validated, every limit named.
//!
//! config/gateway-west.toml is a complete one that explains each key.

mod auto;
mod bridge;
pub mod changes;
mod encap;
pub mod keys;
mod link;
mod netsync;
mod sections;
#[cfg(test)]
mod tests;
mod validate;
mod values;
pub mod workers;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::fec::Timing;
use crate::fec::code::MAX_LAYERS;
use crate::gateway::Blueprint;
use crate::gateway::blueprint::TAGS;
use crate::wire::outer::OUTER_LEN;

pub use auto::AutoSection;
pub use encap::{Address, CarrierName, DscpValue, Host};
pub use keys::NoKeys;
pub use link::{ControlSection, LinkSection, Reliability};
pub use netsync::{GroupName, NetsyncSection, TrackSection};
pub use sections::{CodeSection, GatewaySection, LanSection, WanSection};
pub use validate::{QUEUES, RATES};
pub use values::{Mac, Sparse};
pub use workers::{RoomName, Split, WorkerSection};

/// Why a configuration is refused. One line: file, place, what was got, what is expected.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error(
        "{path}: {error}; expected a readable configuration file, such as config/gateway-west.toml"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is not what is expected, at a place.
    #[error("{path}:{line}: {problem}, at \"{text}\"")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// The line's text.
        text: String,
    },
    /// A value is out of its range, or does not fit another.
    #[error("{path}: {key}: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What was got, and what is expected.
        problem: String,
    },
}

/// A gateway as configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which of the two, and what it may take.
    pub gateway: GatewaySection,
    /// The LAN port.
    pub lan: LanSection,
    /// The WAN port.
    pub wan: WanSection,
    /// The code.
    pub code: CodeSection,
    /// What storage processes are told; none is nothing.
    #[serde(default)]
    pub netsync: Option<NetsyncSection>,
    /// How it keeps in touch with its peer.
    #[serde(default)]
    pub link: LinkSection,
    /// Where operators reach it; none is nowhere.
    #[serde(default)]
    pub control: Option<ControlSection>,
    /// Cores and their rooms.
    #[serde(rename = "worker")]
    pub workers: Vec<WorkerSection>,
    /// All of it, as it was read.
    #[serde(skip)]
    pub text: String,
}

impl Config {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// If it can't be read, is not TOML, has a key too many, lacks one, or a value is not possible.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let read = |error| ConfigError::Read { path: path.to_owned(), error };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let config = Config::parse(path, &text)?;
        config.check_machine(path)?;
        Ok(config)
    }

    /// Whether this machine has the cores.
    fn check_machine(&self, path: &Path) -> Result<(), ConfigError> {
        // A CPU that this process may not use is not listed, but isolated ones are not either: a
        // larger limit is all that can be checked before pinning.
        let core = self.workers.iter().filter_map(|worker| worker.core).max();
        match (core, last_cpu()) {
            (Some(core), Some(last)) if core > last => Err(ConfigError::Value {
                path: path.to_owned(),
                key: "worker",
                problem: format!("core {core} does not exist; expected 0 to {last}"),
            }),
            _ => Ok(()),
        }
    }

    /// As [`Config::load`], of a text that came from `path`, for whatever machine.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let mut config: Config =
            toml::from_str(text).map_err(|error| located(path, text, &error))?;
        config.text = text.to_owned();
        match config.validate() {
            Ok(()) => Ok(config),
            Err((key, problem)) => Err(ConfigError::Value { path: path.to_owned(), key, problem }),
        }
    }

    /// Which worker does what.
    ///
    /// # Errors
    /// If the workers don't fit together, in one line. [`Config::load`] has made sure that they do.
    pub fn split(&self) -> Result<Split, String> {
        Split::new(&self.workers, self.wan.peer_channels)
    }

    /// The gateway that this describes, when workers are split so.
    pub fn blueprint(&self, split: &Split) -> Blueprint {
        let code = &self.code;
        let mut timing = Timing::with_idle(&code.layers, code.idle);
        timing.latency = code.latency;
        for (age, &configured) in timing.age.iter_mut().zip(&code.max_age) {
            *age = Some(configured);
        }
        if let Some(cap) = code.flush_cap {
            timing.flush_cap = cap;
        }
        debug_assert!(code.max_age.len() <= MAX_LAYERS);
        // It was validated.
        let (encapsulation, next_hop) = self.wan.encapsulation().unwrap_or_default();
        Blueprint {
            side: self.gateway.side,
            integrity: code.integrity,
            keys: self.gateway.key_mode(),
            link_local: self.lan.link_local,
            oversize: self.wan.oversize(self.gateway.key_mode()),
            too_big: self.lan.too_big,
            mss_clamp: self.wan.mss_clamp,
            lan_frame: usize::from(self.lan.mtu) + OUTER_LEN + TAGS,
            wan_mtu: self.wan.mtu,
            encapsulation,
            next_hop,
            sparse: code.sparse.resolve(&code.layers),
            timing,
            code: code.layers.clone(),
            largest: code.auto.as_ref().map(|auto| auto.largest.clone()),
            window: code.window,
            hugepages: self.gateway.hugepages,
            limit: self.wan.limit(),
            retransmission: self.link.retransmission(self.wan.rate, split.protect.len() as u8),
            resequence: self.lan.resequence,
            channels_out: split.protect.len() as u8,
            channels_in: split.recover.len() as u8,
            lan_ports: self.lan.ports().count() as u8,
        }
    }
}

/// The number of the last CPU that this machine can have, if it says.
pub fn last_cpu() -> Option<usize> {
    let cpus = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    cpus.trim().rsplit(['-', ',']).next()?.parse().ok()
}

/// A parse error in one line, with the line that it is about.
fn located(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
    ConfigError::Line {
        path: path.to_owned(),
        line: line + 1,
        problem: error.message().lines().collect::<Vec<_>>().join(", "),
        text: text.lines().nth(line).unwrap_or("").trim().to_owned(),
    }
}
