//! Why a reader gets no answer, in one line each.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::State;
use crate::layout::{LayoutError, VERSION};

/// Why there is no connection to a gateway.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// There is no such file.
    #[error("{}: no such socket; is the gateway running, with netsync configured?", .0.display())]
    Missing(PathBuf),
    /// The socket is there, but nobody listens.
    #[error("{}: the gateway that made this socket is gone", .0.display())]
    Gone(PathBuf),
    /// This user may not connect.
    #[error("{}: permission denied; {needed}", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
        /// What it takes: the group, as a rule.
        needed: String,
    },
    /// The gateway has as many readers as it takes.
    #[error("{}: the gateway has as many readers as it takes", .0.display())]
    Full(PathBuf),
    /// Something else listens there.
    #[error("{}: what listens there is not a gateway's netsync", .0.display())]
    Foreign(PathBuf),
    /// A gateway of another version.
    #[error("{}: the gateway speaks version {theirs}, this library version {VERSION}", path.display())]
    Version {
        /// The socket.
        path: PathBuf,
        /// What the gateway speaks.
        theirs: u64,
    },
    /// The segment could shrink or be written by others.
    #[error("{}: the gateway's segment is not a sealed memory file", .0.display())]
    Unsealed(PathBuf),
    /// The segment is not as it says.
    #[error("{}: {error}", path.display())]
    Layout {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        error: LayoutError,
    },
    /// The kernel refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a socket has no flow.
#[derive(Debug, Error)]
pub enum FlowError {
    /// It isn't connected, or not a socket.
    #[error("can't tell the socket's ends: {0}")]
    Socket(#[source] io::Error),
    /// It is not TCP over IP.
    #[error("not a TCP socket")]
    NotTcp,
}

/// Why a wait ended without its target. None of these says that bytes are lost: only that the gateway
/// does not say more about them.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum WaitError {
    /// The target was not reached in time.
    #[error("timed out")]
    Timeout,
    /// The gateway passes frames without protecting them, or is about to stop.
    #[error("the gateway does not protect: {0}")]
    Unprotected(State),
    /// No gateway lives.
    #[error("the gateway is dead")]
    Dead,
    /// The gateway does not track this flow: no filter of its configuration chose it, or, after a
    /// restart, it has not seen a packet of it.
    #[error("the gateway does not track this connection")]
    NotTracked,
    /// The flow's entry has changed during the wait: the gateway was restarted, or has picked the
    /// flow up again. The next wait goes by the new entry.
    #[error("the gateway has begun anew with this connection")]
    Renewed,
    /// The gateway's table was full, and this flow was idle longest. The next wait looks for it again.
    #[error("the gateway's table of connections is full: this one had to leave")]
    Evicted,
    /// The entry belongs to a later connection between the same ends: this flow has ended for good.
    #[error("the ends of this connection are another connection's by now")]
    Reused,
    /// The connection was reset.
    #[error("the connection was reset")]
    Reset,
    /// The flow was picked up in mid-stream, and there is no socket by which to anchor it.
    #[error("the gateway picked the connection up in mid-stream: its offsets are not known yet")]
    Unanchored,
    /// The code in force has no such level.
    #[error("there is no level {asked}: the code in force has {levels}")]
    NoSuchLevel {
        /// By the target.
        asked: usize,
        /// How many there are.
        levels: usize,
    },
    /// Another code came into force during the wait. The next wait goes by that.
    #[error("the gateway has switched its code")]
    CodeSwitched,
    /// A target that is no probability.
    #[error("not a probability between 0 and 1: {0}")]
    NotAProbability(f64),
}
