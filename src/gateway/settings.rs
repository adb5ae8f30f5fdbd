//! What a room is told when it is made, in plain values that the configuration has validated.

use crate::link::PeerDown;

/// Which of the two gateways this is. It decides the channel numbers, so that a gateway knows its
/// own packets when a loop or a wrong configuration brings them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Sends on channels from 0 up.
    West,
    /// Sends on channels from 128 up.
    East,
}

impl Side {
    /// The channel on which worker number `worker` (0 to 127) of this side sends.
    pub fn channel(self, worker: u8) -> u8 {
        match self {
            Side::West => worker & 0x7F,
            Side::East => worker | 0x80,
        }
    }

    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::West => Side::East,
            Side::East => Side::West,
        }
    }
}

/// What happens to frames that are for a bridge itself (01-80-C2-00-00-0x).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LinkLocal {
    /// They end here, as at any bridge.
    #[default]
    Drop,
    /// They are protected and forwarded like others.
    Pass,
}

/// What happens to frames that are too large to protect within the WAN's MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Oversize {
    /// They cross as they are, unprotected, if the WAN's MTU lets them; and frames that come from
    /// the WAN unprotected are delivered.
    #[default]
    Bypass,
    /// They are dropped, and so is what comes from the WAN unprotected.
    Drop,
}

/// What becomes of IP packets that are too large to protect and must not be fragmented: IPv6, and IPv4
/// with its "don't fragment" bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TooBig {
    /// They are dropped, and whoever sent them is told what fits.
    #[default]
    Icmp,
    /// The same as of any other frame: see [`Oversize`].
    Oversize,
}

/// How a gateway deals with its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Between two hellos, in nanoseconds.
    pub hello: u64,
    /// What happens to frames from the LAN while the peer is down.
    pub peer_down: PeerDown,
}
