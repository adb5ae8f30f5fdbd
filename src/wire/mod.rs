//! Bytes and meaning: one format a file, one parser and one emitter each.
//!
//! * **Does:** turns what arrives on a WAN port into plain values, and back. docs/WIRE.md shows the
//!   same formats as pictures.
//! * **Fed by:** `gateway`, `lab`.
//! * **Feeds:** the same; a parser's result borrows the packet.
//! * **Runs on:** any thread.
//! * **Must not:** trust a byte. No input panics; every number is checked before it is handed on,
//!   and what does not fit is refused under one [`Bad`] reason.

pub mod arp;
pub mod assembly;
pub mod checksum;
pub mod control;
pub mod encap;
pub mod flow;
pub mod hello;
pub mod icmp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod mss;
pub mod nack;
pub mod named;
pub mod node;
pub mod outer;
pub mod parcel;
pub mod repair;
pub mod report;
pub mod seal;
pub mod shim;
pub mod tcp;
pub mod udp;

pub use encap::{Carrier, Encapsulation, Outer};
pub use outer::{Ether, OUTER_LEN};
pub use repair::RepairHeader;
pub use report::Report;
pub use shim::{Kind, Shim};

/// Why a packet from the WAN is refused. Each has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Shorter than its headers.
    Truncated,
    /// Another wire version.
    Version,
    /// A kind of packet that this version does not have, or with reserved bits set.
    Kind,
    /// Protected by other means than this gateway is configured for.
    Integrity,
    /// Its length field names more bytes than there are, or too few for a frame.
    Length,
    /// A sequence number beyond the limit.
    Sequence,
    /// A group without members, beyond the limits, or with a member twice.
    Members,
    /// The check does not confirm the packet.
    Check,
    /// No key opens the packet.
    Tag,
}
