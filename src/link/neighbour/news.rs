//! What an operator should know of the address, the next hop and the way to the peer.

use std::fmt;
use std::net::IpAddr;

/// What an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The next hop was found, or has moved.
    Found {
        /// Its address.
        hop: IpAddr,
        /// Where it is.
        mac: [u8; 6],
    },
    /// It does not answer.
    Silent {
        /// Its address.
        hop: IpAddr,
    },
    /// Two stations answer for one address.
    Twice {
        /// The address.
        hop: IpAddr,
        /// Who answered first, and is believed.
        first: [u8; 6],
        /// Who answered too.
        second: [u8; 6],
    },
    /// Another station has our address.
    Claimed {
        /// The address.
        ours: IpAddr,
        /// Who.
        mac: [u8; 6],
    },
    /// A router on the way can't pass our packets on.
    TooBig {
        /// What it could.
        mtu: u32,
    },
}

impl News {
    /// Whether it is trouble.
    pub fn is_bad(&self) -> bool {
        !matches!(self, News::Found { .. })
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |mac: &[u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        match self {
            News::Found { hop, mac } => write!(f, "next hop {hop} is at {}", text(mac)),
            News::Silent { hop } => write!(
                f,
                "next hop {hop} does not answer; expected a station with this address on the WAN: see \
                 wan.gateway, wan.peer and wan.vlan"
            ),
            News::Twice { hop, first, second } => write!(
                f,
                "two stations answer for next hop {hop}: {}, which is used, and {}; expected one",
                text(first),
                text(second)
            ),
            News::Claimed { ours, mac } => write!(
                f,
                "{} has this gateway's address {ours} too; expected no other station with it",
                text(mac)
            ),
            News::TooBig { mtu } => write!(
                f,
                "a router on the way to the peer carries packets of up to {mtu} bytes; expected a wan.mtu \
                 that is no larger"
            ),
        }
    }
}
