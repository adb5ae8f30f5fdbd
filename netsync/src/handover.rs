//! The Unix socket over which readers get the segment.
//!
//! * **Does:** listens on a path whose mode and group say who may read; sends each that connects a
//!   short hello and the sealed file.
//! * **Fed by:** the gateway, once, at its start.
//! * **Feeds:** readers' [`crate::Subscriber::connect`].
//! * **Runs on:** a thread of its own, which sleeps.
//! * **Must not:** touch what the rooms write, or take the path from a gateway that lives.
//!
//! The connection stays open, and says nothing more: when it ends, so has the gateway.
//!
//! ```text
//!   hello, 24 bytes in the machine's order:  magic | version | status
//!   and, if status is 0, one file descriptor beside it (SCM_RIGHTS)
//! ```

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, accept_with, sendmsg,
};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::door::{Door, ServerConfig, ServerError};
use crate::layout::{MAGIC, VERSION};

/// Bytes of a hello.
pub(crate) const HELLO: usize = 24;
/// Status of a hello without a file.
pub(crate) const FULL: u64 = 1;
/// Connections that are kept; each costs the gateway a file descriptor.
const MAX_READERS: usize = 1024;

/// Hands a segment out until it is dropped; then the socket is removed.
#[derive(Debug)]
pub struct Server {
    /// Closing it ends the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// Goes last.
    _door: Door,
}

impl Server {
    /// Listens, and starts the thread. A socket that nobody listens on any more is replaced.
    pub fn start(config: &ServerConfig, segment: OwnedFd) -> Result<Server, ServerError> {
        let path = &config.path;
        let failed = |action| {
            move |source: io::Error| ServerError::Io { path: path.clone(), action, source }
        };
        let (door, socket) = Door::open(config)?;
        // A process started meanwhile must not keep our end of the pipe open.
        let (stopped, stop) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed("make a pipe")(e.into()))?;
        let thread = thread::Builder::new().name("netsync".into());
        let thread = thread
            .spawn(move || serve(&socket, &segment, &stopped))
            .map_err(failed("start a thread"))?;
        Ok(Server { stop: Some(stop), thread: Some(thread), _door: door })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &OwnedFd, segment: &OwnedFd, stopped: &OwnedFd) {
    let mut readers: Vec<OwnedFd> = Vec::new();
    loop {
        let mut fds = vec![PollFd::new(stopped, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        fds.extend(readers.iter().map(|reader| PollFd::new(reader, PollFlags::RDHUP)));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let mut happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if happened[0] {
            return;
        }
        let knocked = happened[1];
        let mut gone = happened.drain(2..);
        // Readers say nothing: what happens on a connection is its end.
        readers.retain(|_| !gone.next().unwrap_or(false));
        drop(gone);
        if !knocked {
            continue;
        }
        match accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(reader) => {
                let status = if readers.len() < MAX_READERS { 0 } else { FULL };
                if greet(&reader, status, segment).is_ok() && status == 0 {
                    readers.push(reader);
                }
            }
            // Out of descriptors, or the reader is gone: not worth a busy loop, nor an end.
            Err(_) => thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
}

fn greet(reader: &OwnedFd, status: u64, segment: &OwnedFd) -> Result<(), Errno> {
    let mut hello = [0; HELLO];
    for (bytes, word) in hello.as_chunks_mut::<8>().0.iter_mut().zip([MAGIC, VERSION, status]) {
        *bytes = word.to_ne_bytes();
    }
    let files = [segment.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if status == 0 {
        beside.push(SendAncillaryMessage::ScmRights(&files));
    }
    sendmsg(reader, &[IoSlice::new(&hello)], &mut beside, SendFlags::NOSIGNAL).map(|_| ())
}
