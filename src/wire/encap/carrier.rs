//! What carries packets between gateways, as it is configured, before it becomes a header.

use std::net::IpAddr;

use crate::wire::ipv4::{self, IPV4_LEN};
use crate::wire::ipv6::{self, IPV6_LEN};
use crate::wire::outer;
use crate::wire::udp::UDP_LEN;

/// The traffic class of packets between gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dscp {
    /// Each source packet has that of its frame, a repair packet that of the last source packet
    /// before it.
    #[default]
    Copy,
    /// All packets have this one, 0 to 63.
    Set(u8),
}

/// Two gateways' addresses in a routed WAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Ours. Both are of the same family.
    pub ours: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
    /// Where both receive.
    pub port: u16,
    /// The traffic class.
    pub dscp: Dscp,
    /// Whether UDP checksums are computed.
    pub checksum: bool,
}

/// What carries packets between gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// An Ethernet header, over a circuit.
    Ether {
        /// Our packets' EtherType.
        ethertype: u16,
    },
    /// UDP, over routers.
    Udp(Tunnel),
    /// Nothing, over a circuit: source frames cross as they came. Repairs and control packets have an
    /// Ethernet header.
    Transparent {
        /// The EtherType of repairs and control packets.
        ethertype: u16,
        /// Whether there are routers on the circuit, which change addresses and TTL.
        routed: bool,
    },
}

/// What surrounds packets between gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// The VLAN of all that we send and take on the WAN, if it is tagged.
    pub vlan: Option<u16>,
    /// What is behind the tag.
    pub carrier: Carrier,
}

impl Default for Encapsulation {
    fn default() -> Encapsulation {
        Encapsulation { vlan: None, carrier: Carrier::Ether { ethertype: outer::ETHERTYPE } }
    }
}

impl Encapsulation {
    /// How much of the WAN's MTU it takes: an MTU counts neither Ethernet headers nor tags.
    pub fn overhead(&self) -> usize {
        match self.carrier {
            Carrier::Ether { .. } | Carrier::Transparent { .. } => 0,
            Carrier::Udp(Tunnel { ours: IpAddr::V4(_), .. }) => IPV4_LEN + UDP_LEN,
            Carrier::Udp(Tunnel { ours: IpAddr::V6(_), .. }) => IPV6_LEN + UDP_LEN,
        }
    }

    /// The addresses, over routers.
    pub fn tunnel(&self) -> Option<&Tunnel> {
        match &self.carrier {
            Carrier::Ether { .. } | Carrier::Transparent { .. } => None,
            Carrier::Udp(tunnel) => Some(tunnel),
        }
    }

    /// Whether source frames cross as they came.
    pub fn is_transparent(&self) -> bool {
        matches!(self.carrier, Carrier::Transparent { .. })
    }

    /// What the Ethernet header says that follows.
    pub(super) fn ethertype(&self) -> u16 {
        match self.carrier {
            Carrier::Ether { ethertype } | Carrier::Transparent { ethertype, .. } => ethertype,
            Carrier::Udp(Tunnel { ours: IpAddr::V4(_), .. }) => ipv4::ETHERTYPE,
            Carrier::Udp(Tunnel { ours: IpAddr::V6(_), .. }) => ipv6::ETHERTYPE,
        }
    }
}
