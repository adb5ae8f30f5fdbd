//! What a room is told when it is made, in plain values that the configuration has validated.

use zerocopy::byteorder::network_endian::U16;

use crate::wire::outer::{Ether, OUTER_LEN};
use crate::wire::repair::REPAIR_LEN;

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

/// How packets cross the WAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encapsulation {
    /// Behind an Ethernet header of our own and the shim.
    #[default]
    Ether,
    /// Source frames as they are; repairs name them: [`super::transparent`].
    Transparent,
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

/// The outer header, and what fits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Put in front of every packet for the WAN.
    pub ether: Ether,
    /// The WAN's MTU: bytes behind the outer header.
    pub mtu: u16,
}

impl Outer {
    /// From `source` to `destination`.
    pub fn new(source: [u8; 6], destination: [u8; 6], ethertype: u16, mtu: u16) -> Outer {
        Outer { ether: Ether { destination, source, ethertype: U16::new(ethertype) }, mtu }
    }

    /// The longest LAN frame that fits in a source packet and whose repairs fit too.
    pub fn max_protected(&self) -> usize {
        usize::from(self.mtu).saturating_sub(REPAIR_LEN)
    }

    /// The longest LAN frame with this header that crosses as it is. An MTU does not count a VLAN
    /// tag.
    pub fn max_bypassed(&self, ether: &Ether) -> usize {
        let tag = if ether.is_tagged() { 4 } else { 0 };
        usize::from(self.mtu) + OUTER_LEN + tag
    }
}
