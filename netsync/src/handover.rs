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

use std::fs;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, accept_with, bind, listen, sendmsg, socket_with,
};
use rustix::pipe::{PipeFlags, pipe_with};
use thiserror::Error;

use crate::groups;
use crate::layout::{MAGIC, VERSION};

/// Bytes of a hello.
pub(crate) const HELLO: usize = 24;
/// Status of a hello without a file.
pub(crate) const FULL: u64 = 1;
/// Connections that are kept; each costs the gateway a file descriptor.
const MAX_READERS: usize = 1024;

/// Where readers connect, and which of them may.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The socket's path; its directory exists.
    pub path: PathBuf,
    /// The socket's permissions: who may write to it may connect. 0o660, as a rule.
    pub mode: u32,
    /// The socket's group; none leaves it to the kernel.
    pub group: Option<Group>,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// As in `/etc/group`. Groups from elsewhere are to be given by number.
    Name(String),
    /// Its number.
    Id(u32),
}

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Another gateway answers there.
    #[error("{}: another gateway is listening on this socket", .0.display())]
    InUse(PathBuf),
    /// Something else has that name.
    #[error("{}: exists and is not a socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// There is no such group.
    #[error("{}: there is no group {group:?} in /etc/group", path.display())]
    NoGroup {
        /// The socket.
        path: PathBuf,
        /// As configured.
        group: String,
    },
    /// The kernel refused.
    #[error("{}: can't {action}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Hands a segment out until it is dropped; then the socket is removed.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// The socket file's device and inode: another gateway may have taken the path since.
    file: Option<(u64, u64)>,
    /// Closing it ends the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and starts the thread. A socket that nobody listens on any more is replaced.
    pub fn start(config: &ServerConfig, segment: OwnedFd) -> Result<Server, ServerError> {
        let path = &config.path;
        let failed = |action| {
            move |source: io::Error| ServerError::Io { path: path.clone(), action, source }
        };
        let gid =
            match &config.group {
                None => None,
                Some(Group::Id(gid)) => Some(*gid),
                Some(Group::Name(name)) => Some(groups::number(name).ok_or_else(|| {
                    ServerError::NoGroup { path: path.clone(), group: name.clone() }
                })?),
            };
        make_way(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|e| failed("make a socket")(e.into()))?;
        // On Linux the file gets the socket's mode: nobody may connect before group and mode are set.
        rustix::fs::fchmod(&socket, Mode::empty())
            .map_err(|e| failed("make a socket")(e.into()))?;
        let address = SocketAddrUnix::new(path).map_err(|e| failed("name the socket")(e.into()))?;
        bind(&socket, &address).map_err(|e| failed("bind the socket")(e.into()))?;
        let meta = fs::symlink_metadata(path).map_err(failed("look at the socket"))?;
        // From here on the file is removed with it, whatever fails.
        let file = Some((meta.dev(), meta.ino()));
        let mut server = Server { path: path.clone(), file, stop: None, thread: None };
        std::os::unix::fs::chown(path, None, gid).map_err(failed("set the socket's group"))?;
        let mode = fs::Permissions::from_mode(config.mode);
        fs::set_permissions(path, mode).map_err(failed("set the socket's mode"))?;
        listen(&socket, 128).map_err(|e| failed("listen")(e.into()))?;
        // A process started meanwhile must not keep our end of the pipe open.
        let (stopped, stop) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed("make a pipe")(e.into()))?;
        let thread = thread::Builder::new().name("netsync".into());
        let thread = thread
            .spawn(move || serve(&socket, &segment, &stopped))
            .map_err(failed("start a thread"))?;
        server.stop = Some(stop);
        server.thread = Some(thread);
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let file = fs::symlink_metadata(&self.path).map(|meta| (meta.dev(), meta.ino()));
        if file.ok() == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what a dead gateway left, and nothing else.
fn make_way(path: &Path) -> Result<(), ServerError> {
    let failed = |action, source| ServerError::Io { path: path.to_owned(), action, source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at the socket", error)),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(ServerError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ServerError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| failed("remove a dead gateway's socket", error))
        }
        Err(error) => Err(failed("ask whether the socket is in use", error)),
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
