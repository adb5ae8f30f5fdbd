//! `[link]`: how the gateways keep in touch; `[control]`: how operators do.

use std::path::PathBuf;

use netsync::ServerConfig;
use serde::Deserialize;

use super::netsync::{GroupName, octal, server};
use super::values::{optional_size, time};
use crate::gateway::blueprint::PORT_RATE;
use crate::gateway::{LinkSettings, Retransmission};
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
    /// Whether packets are sent again that no repair brings back.
    #[serde(default)]
    pub reliability: Reliability,
    /// The longest round trip that is expected, in nanoseconds.
    #[serde(default = "default_round_trip", deserialize_with = "time")]
    pub round_trip: u64,
    /// How many bytes of packets are kept for that; none is what the WAN's rate asks for.
    #[serde(default, deserialize_with = "optional_size")]
    pub retransmit: Option<u64>,
}

/// What brings lost packets back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
pub enum Reliability {
    /// Repair packets.
    #[default]
    #[serde(rename = "fec")]
    Fec,
    /// These, and for what they can't bring back, asking for it.
    #[serde(rename = "fec+nack")]
    #[value(name = "fec+nack")]
    FecNack,
}

/// How much may be kept to be sent again, in bytes.
const BUFFERS: std::ops::RangeInclusive<u64> = 64 << 10..=64 << 30;

impl Default for LinkSection {
    fn default() -> LinkSection {
        LinkSection {
            hello: default_hello(),
            peer_down: PeerDown::default(),
            reliability: Reliability::default(),
            round_trip: default_round_trip(),
            retransmit: None,
        }
    }
}

impl LinkSection {
    /// The key that is out of its range, and what is expected.
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        if !(20_000_000..=10_000_000_000).contains(&self.hello) {
            let got = self.hello / 1_000_000;
            let problem = format!("got {got} ms, expected 20ms to 10s, such as 100ms");
            return Err(("link.hello", problem));
        }
        if !(100_000..=5_000_000_000).contains(&self.round_trip) {
            let got = self.round_trip / 1_000;
            let problem = format!("got {got} us, expected 100us to 5s, such as 100ms");
            return Err(("link.round_trip", problem));
        }
        match self.retransmit.filter(|size| !BUFFERS.contains(size)) {
            None => Ok(()),
            Some(got) => {
                Err(("link.retransmit", format!("got {got} bytes, expected 64KiB to 64GiB")))
            }
        }
    }

    /// How packets are sent again over a WAN of this rate, if they are. Each of `channels` has its share.
    pub(super) fn retransmission(&self, rate: Option<u64>, channels: u8) -> Option<Retransmission> {
        let LinkSection { round_trip, retransmit, .. } = *self;
        let derived = || Retransmission::buffer_for(rate.unwrap_or(PORT_RATE), round_trip);
        let all = retransmit.map_or_else(derived, |size| size as usize);
        let buffer = (all / usize::from(channels.max(1))).max(*BUFFERS.start() as usize);
        (self.reliability == Reliability::FecNack).then_some(Retransmission { buffer, round_trip })
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

fn default_round_trip() -> u64 {
    100_000_000
}

fn default_mode() -> u32 {
    0o600
}
