//! `[netsync]`: what storage processes on this host are told, and which flows are tracked.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use netsync::{Group, ServerConfig};

use super::values::{text, time};
use crate::gateway::flows::{End, Filter, Prefix, Rule};
use crate::lab::loss::LossModel;
use crate::safety::link::Loss;
use crate::units::parse_time;

/// `[netsync]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetsyncSection {
    /// Where readers connect.
    pub socket: PathBuf,
    /// The socket's permissions.
    #[serde(default = "default_mode", deserialize_with = "octal")]
    pub mode: u32,
    /// The socket's group: a name or a number.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// What lies between the port and the edge of the site, in nanoseconds.
    #[serde(default, deserialize_with = "time")]
    pub exit_delay: u64,
    /// An idle time for tracked flows, in nanoseconds.
    #[serde(default, deserialize_with = "some_time")]
    pub idle: Option<u64>,
    /// The worst that the link is expected to do; unknown, no probability is promised.
    #[serde(default, deserialize_with = "some_loss")]
    pub link: Option<Loss>,
    /// Flows that a worker can track.
    #[serde(default = "default_flows")]
    pub flows: usize,
    /// Notices of a worker's ring.
    #[serde(default = "default_ring")]
    pub ring: usize,
    /// Which flows are tracked.
    #[serde(default, rename = "track")]
    pub tracks: Vec<TrackSection>,
}

/// `[[netsync.track]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackSection {
    /// An end has an address of this prefix.
    #[serde(default, deserialize_with = "some_prefix")]
    pub prefix: Option<Prefix>,
    /// And this port.
    #[serde(default)]
    pub port: Option<u16>,
    /// Which end.
    #[serde(default)]
    pub end: End,
}

/// A group, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum GroupName {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

impl NetsyncSection {
    /// The key that is out of its range, and what is expected.
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        let power = |key, got: usize, least: usize| match got {
            got if got.is_power_of_two() && (least..=1 << 20).contains(&got) => Ok(()),
            got => {
                Err((key, format!("got {got}, expected a power of two from {least} to 1048576")))
            }
        };
        power("netsync.flows", self.flows, 1)?;
        power("netsync.ring", self.ring, 4)?;
        if self.socket.as_os_str().is_empty() {
            return Err(("netsync.socket", "got \"\", expected a path".to_owned()));
        }
        if self.exit_delay > 1_000_000_000 {
            return Err(("netsync.exit_delay", "more than 1s; expected less".to_owned()));
        }
        if self.idle == Some(0) {
            return Err(("netsync.idle", "got 0, expected a time such as 100us".to_owned()));
        }
        match self.tracks.iter().find(|track| track.prefix.is_none() && track.port.is_none()) {
            Some(_) => Err((
                "netsync.track",
                "neither prefix nor port; expected at least one of them, such as port = 5432"
                    .to_owned(),
            )),
            None if self.tracks.len() > MAX_TRACKS => {
                let got = self.tracks.len();
                Err(("netsync.track", format!("got {got} of them, expected at most {MAX_TRACKS}")))
            }
            None => Ok(()),
        }
    }

    /// The flows that are tracked.
    pub fn filter(&self) -> Filter {
        let rule = |track: &TrackSection| {
            let TrackSection { prefix, port, end } = *track;
            Rule { prefix, port, end }
        };
        Filter::new(&self.tracks.iter().map(rule).collect::<Vec<Rule>>())
    }

    /// The socket.
    pub fn server(&self) -> ServerConfig {
        server(&self.socket, self.mode, self.group.as_ref())
    }
}

/// A socket as configured.
pub(super) fn server(path: &Path, mode: u32, group: Option<&GroupName>) -> ServerConfig {
    let group = group.map(|group| match group {
        GroupName::Id(id) => Group::Id(*id),
        GroupName::Name(name) => Group::Name(name.clone()),
    });
    ServerConfig { path: path.to_owned(), mode, group }
}

/// Each TCP segment is compared with all of them.
const MAX_TRACKS: usize = 64;

fn default_mode() -> u32 {
    0o660
}

fn default_flows() -> usize {
    4096
}

fn default_ring() -> usize {
    65536
}

pub(super) fn octal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| {
        let problem = format!("mode {text:?}: expected octal permissions such as \"0660\"");
        serde::de::Error::custom(problem)
    })
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_time(&text).map(Some).map_err(serde::de::Error::custom)
}

fn some_loss<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Loss>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let model = text.parse::<LossModel>().map_err(serde::de::Error::custom)?;
    let loss = model.in_general().filter(|loss| loss.rate() > 0.0);
    loss.map(Some).ok_or_else(|| {
        let expected = "expected losses in general, such as iid:0.001 or ge:0.001,10";
        serde::de::Error::custom(format!("link {text:?}: {expected}"))
    })
}

fn some_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Prefix>, D::Error> {
    text(deserializer).map(Some)
}
