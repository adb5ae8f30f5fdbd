//! What a gateway is made of, how large everything is, and what memory that takes.
//!
//! Both `run` and the laboratory build their gateways from this, so that they are the same.

mod check;
mod codes;
mod lengths;
mod memory;
mod rooms;
#[cfg(test)]
mod tests;
mod transparent;

use std::net::IpAddr;

use super::nack::Retransmission;
use super::settings::{LinkLocal, Oversize, Side, TooBig};
use super::shaper::Limit;
use crate::fec::{Code, Timing};
use crate::wire::encap::Encapsulation;
use crate::wire::outer::OUTER_LEN;
use crate::wire::seal::Mode;
use crate::wire::shim::Integrity;

pub use check::BlueprintError;
pub use codes::CodeRoom;
pub use lengths::{MAX_PORT_MTU, TAGS};
pub use memory::{Memory, PORT_RATE, mib};

/// One gateway, in validated values. `epoch` and the MAC addresses come when it is built.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Which of the two.
    pub side: Side,
    /// What confirms packets on the WAN, unless there are keys.
    pub integrity: Integrity,
    /// What keys do, if there are any. Nothing crosses unprotected then, whatever `oversize` says.
    pub keys: Option<Mode>,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// Frames too large to protect.
    pub oversize: Oversize,
    /// IP packets too large to protect that must not be fragmented.
    pub too_big: TooBig,
    /// Whether SYNs are made to ask for no larger segments than are protected.
    pub mss_clamp: bool,
    /// The longest frame that the LAN brings, in bytes, with header and tags, without FCS.
    pub lan_frame: usize,
    /// The WAN's MTU.
    pub wan_mtu: u16,
    /// What surrounds our packets on the WAN.
    pub encapsulation: Encapsulation,
    /// The next hop's address, where the WAN is routed.
    pub next_hop: Option<IpAddr>,
    /// The code for dense traffic.
    pub code: Code,
    /// The code for sparse traffic.
    pub sparse: Option<Code>,
    /// Ages and idle times.
    pub timing: Timing,
    /// The largest code that may take its place, if it is ever changed.
    pub largest: Option<Code>,
    /// Packets in the window; `None` is what suits the code.
    pub window: Option<usize>,
    /// Whether packet memory comes from hugepages; without, it takes more.
    pub hugepages: bool,
    /// What the WAN takes of all channels; `None` is what its port takes.
    pub limit: Option<Limit>,
    /// How packets are sent again that no repair brings back, if they are.
    pub retransmission: Option<Retransmission>,
    /// How long frames are held behind a hole, in nanoseconds; 0 is not at all.
    pub resequence: u64,
    /// On how many channels it sends: workers that protect.
    pub channels_out: u8,
    /// How many channels of the peer it recovers.
    pub channels_in: u8,
    /// How many LAN ports it has.
    pub lan_ports: u8,
}

impl Blueprint {
    /// A gateway with the defaults of everything but the code.
    pub fn new(side: Side, code: Code) -> Blueprint {
        Blueprint {
            side,
            integrity: Integrity::default(),
            keys: None,
            link_local: LinkLocal::default(),
            oversize: Oversize::default(),
            // What goes in comes out, to the byte, unless a configuration wants otherwise.
            too_big: TooBig::Oversize,
            mss_clamp: false,
            lan_frame: 1500 + OUTER_LEN + TAGS,
            wan_mtu: 9000,
            encapsulation: Encapsulation::default(),
            next_hop: None,
            sparse: Some(code.short()),
            timing: Timing::new(&code),
            code,
            largest: None,
            window: None,
            hugepages: false,
            limit: None,
            retransmission: None,
            resequence: 0,
            channels_out: 1,
            channels_in: 1,
            lan_ports: 1,
        }
    }
}
