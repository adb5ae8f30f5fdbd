//! A storage process's side: connect, find one's flow, wait until its bytes are safe enough.
//!
//! * **Does:** attaches to a gateway's segment, reads watermarks and notices, and answers waits; finds
//!   the gateway again after it was restarted.
//! * **Fed by:** the segment, and this host's kernel, which knows what its own connections have sent.
//! * **Feeds:** the storage process, in Rust or through the C API.
//! * **Runs on:** the caller's threads. A [`Subscriber`] is shared; a [`Flow`] is one thread's at a time.
//! * **Must not:** say that bytes are safe when they may not be; hang when the gateway dies; believe
//!   an index or a size from the segment.

mod anchor;
mod attachment;
mod batch;
mod binding;
mod error;
mod flow;
mod notices;
mod pause;
mod survey;
#[cfg(test)]
mod tests;
mod wait;

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, getpeername, getsockname};

use crate::kernel::Tcp;
use crate::{Code, FlowKey, State, now_ns};
use attachment::{AGAIN, Attachment, FIRST};

pub use batch::{Pending, poll_many, wait_any};
pub use error::{ConnectError, FlowError, WaitError};
pub use flow::Flow;
pub use notices::{Event, Notices};
pub use pause::WaitMode;
pub use survey::{FlowStatus, Flows, Status};
pub use wait::{Outcome, Reached, Target, Wait};

/// How often a gateway that is gone is looked for.
const RETRY_NS: u64 = 10_000_000;

/// A reader of a gateway. Clones share one connection.
#[derive(Clone, Debug)]
pub struct Subscriber(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    current: Mutex<Arc<Attachment>>,
    /// When another gateway was last looked for. Locked by the thread that does.
    sought_ns: Mutex<u64>,
}

impl Subscriber {
    /// Connects to the gateway that listens on `path`, which has two seconds to answer: do so before
    /// anything waits for it. Once connected, a subscriber outlives its gateway: the next call after
    /// another has taken its place finds that one.
    pub fn connect(path: impl AsRef<Path>) -> Result<Subscriber, ConnectError> {
        let path = path.as_ref().to_owned();
        let attachment = Arc::new(Attachment::connect(&path, FIRST)?);
        let current = Mutex::new(attachment);
        Ok(Subscriber(Arc::new(Shared { path, current, sought_ns: Mutex::new(0) })))
    }

    /// The flow of a connected socket of this process; keeps a duplicate of its descriptor, so that it
    /// can ask the kernel. Drop the flow with the socket: TCP closes when both are gone.
    pub fn flow(&self, stream: &TcpStream) -> Result<Flow, FlowError> {
        self.flow_of(stream.as_fd())
    }

    /// As [`Subscriber::flow`], of any descriptor.
    pub fn flow_of(&self, socket: BorrowedFd<'_>) -> Result<Flow, FlowError> {
        let end = |address: Result<SocketAddrAny, Errno>| {
            let address = address.map_err(|error| FlowError::Socket(error.into()))?;
            SocketAddr::try_from(address).map_err(|_| FlowError::NotTcp)
        };
        let local = end(getsockname(socket))?;
        let remote = end(getpeername(socket).and_then(|peer| peer.ok_or(Errno::NOTCONN)))?;
        Tcp::of(socket).map_err(|_| FlowError::NotTcp)?;
        let copy = socket.try_clone_to_owned().map_err(FlowError::Socket)?;
        Ok(Flow::new(self.clone(), FlowKey::new(local, remote), Some(copy)))
    }

    /// A flow by its ends, of which no socket is at hand. It can't be anchored, nor found again once
    /// its entry was another's, and its kernel can't be asked.
    pub fn flow_by(&self, key: FlowKey) -> Flow {
        Flow::new(self.clone(), key, None)
    }

    /// The gateway's state, as long as one lives.
    pub fn state(&self) -> Result<State, WaitError> {
        Ok(self.attachment()?.state())
    }

    /// Whether a gateway lives: its heartbeat is fresh.
    pub fn alive(&self) -> bool {
        self.attachment().is_ok()
    }

    /// The gateway's epoch: another whenever it was restarted.
    pub fn epoch(&self) -> Result<u64, WaitError> {
        Ok(self.attachment()?.header().epoch)
    }

    /// How many workers the gateway has, each with a ring of notices.
    pub fn workers(&self) -> Result<usize, WaitError> {
        Ok(self.attachment()?.header().geometry.workers)
    }

    /// The code in force, and what its levels are worth.
    pub fn code(&self) -> Result<Code, WaitError> {
        Ok(Code::clone(&*self.attachment()?.code().ok_or(WaitError::CodeSwitched)?))
    }

    /// A worker's notices from now on; none when there is no such worker.
    pub fn notices(&self, worker: usize) -> Result<Option<Notices>, WaitError> {
        let attachment = self.attachment()?;
        let exists = worker < attachment.header().geometry.workers;
        Ok(exists.then(|| Notices::new(self.clone(), attachment, worker)))
    }

    /// A gateway that lives, the one there was or its successor.
    fn attachment(&self) -> Result<Arc<Attachment>, WaitError> {
        let current = || self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now_ns();
        let attachment = Arc::clone(&current());
        if attachment.lives(now) {
            return Ok(attachment);
        }
        // One thread looks; the others need not wait for what it finds.
        let Ok(mut sought_ns) = self.0.sought_ns.try_lock() else { return Err(WaitError::Dead) };
        if now.saturating_sub(*sought_ns) < RETRY_NS {
            return Err(WaitError::Dead);
        }
        *sought_ns = now;
        let attachment = Attachment::connect(&self.0.path, AGAIN).map_err(|_| WaitError::Dead)?;
        if !attachment.lives(now_ns()) {
            return Err(WaitError::Dead);
        }
        let attachment = Arc::new(attachment);
        *current() = Arc::clone(&attachment);
        Ok(attachment)
    }
}
