//! What is worth a line in the log, and the line.

use std::fmt;

use super::probe::Path;
use super::round_trip::RoundTrip;
use crate::wire::seal::Mode;
use crate::wire::shim::VERSION;

/// Something about the link has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer is there and hears us.
    Up {
        /// Its epoch.
        epoch: u32,
        /// As far as it is known.
        round_trip: Option<RoundTrip>,
    },
    /// Nothing is heard of it.
    Down {
        /// For how long, in nanoseconds.
        quiet: u64,
    },
    /// It is heard, but does not hear us.
    OneWay,
    /// It has begun anew.
    Restarted {
        /// Its epoch before.
        before: u32,
        /// And now.
        epoch: u32,
    },
    /// What does not fit.
    Mismatch(String),
    /// What did not fit, fits.
    Fits,
    /// What packets come through.
    Path {
        /// What is known of it.
        path: Path,
        /// The largest that we send, behind the Ethernet header.
        want: u16,
    },
    /// Packets of another wire version come, and no hello.
    OtherVersion,
    /// Packets of our own side come back, and no hello.
    OwnSide,
    /// Source packets come, and no hello.
    NoHello,
    /// Both ends have agreed upon keys.
    Keys {
        /// What they do.
        mode: Mode,
        /// The peer's epoch.
        epoch: u32,
    },
    /// Handshakes come that the key does not prove.
    OtherKey,
    /// The peer has the key, and uses it otherwise.
    OtherMode {
        /// What is configured here.
        here: Mode,
        /// And there.
        there: Mode,
    },
    /// Handshakes come, and there is no key here.
    KeysThere,
    /// Packets without a tag come, and there is a key here.
    NoKeysThere,
}

impl Event {
    /// Whether an operator has something to do.
    pub fn is_bad(&self) -> bool {
        match self {
            Event::Up { .. } | Event::Restarted { .. } | Event::Fits | Event::Keys { .. } => false,
            Event::Path { path, .. } => matches!(path, Path::UpTo(_)),
            _ => true,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Up { epoch, round_trip: None } => write!(f, "peer up: epoch {epoch}"),
            Event::Up { epoch, round_trip: Some(trip) } => {
                write!(f, "peer up: epoch {epoch}, round trip {:.1} ms", trip.mean as f64 / 1e6)
            }
            Event::Down { quiet } => {
                write!(f, "peer down: nothing was heard of it for {} ms", quiet / 1_000_000)
            }
            Event::OneWay => f.write_str(
                "peer one-way: we hear it, but it does not hear us; the way to it is cut, see its WAN \
                 port and what lies between",
            ),
            Event::Restarted { before, epoch } => {
                write!(f, "peer restarted: epoch {before} before, {epoch} now")
            }
            Event::Mismatch(line) => write!(f, "peer does not fit: {line}"),
            Event::Fits => f.write_str("peer fits again"),
            Event::Path { path: Path::UpTo(size), want } => write!(
                f,
                "WAN MTU: packets of up to {size} bytes come through, but this gateway sends {want}; \
                 set wan.mtu = {size} at both ends, or mend the path"
            ),
            Event::Path { want, .. } => write!(f, "WAN MTU: packets of {want} bytes come through"),
            Event::OtherVersion => write!(
                f,
                "packets of another wire version come, and no hello; expected version {VERSION}: run the \
                 same maelstrom at both ends"
            ),
            Event::OwnSide => f.write_str(
                "packets of this gateway's own side come, and no hello; expected gateway.side west at one \
                 end and east at the other, and no loop",
            ),
            Event::NoHello => f.write_str(
                "packets of the peer come, but no hello; its version knows none: run the same maelstrom \
                 at both ends",
            ),
            Event::Keys { mode, epoch } => {
                write!(f, "keys agreed upon with the peer: mode {}, its epoch {epoch}", mode.name())
            }
            Event::OtherKey => f.write_str(
                "handshakes come that this gateway's key does not prove; expected the same key at both \
                 ends: copy gateway.key_file from one to the other, unless a stranger sends these",
            ),
            Event::OtherMode { here, there } => write!(
                f,
                "peer does not fit: key mode {} here, {} there; set gateway.key_mode alike",
                here.name(),
                there.name(),
            ),
            Event::KeysThere => f.write_str(
                "handshakes come, but this gateway has no key, and the peer wants one: set \
                 gateway.key_file here too, or gateway.keys = \"none\" at both ends",
            ),
            Event::NoKeysThere => f.write_str(
                "packets without a tag come, and are refused, as this gateway has a key; set \
                 gateway.key_file at the other end too, unless a stranger sends these",
            ),
        }
    }
}
