//! One gateway, as long as it lives: its segment and the connection it was handed out over.

use std::io::{self, ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recv, recvmsg,
};

use super::ConnectError;
use crate::code::CodeLines;
use crate::entry::{self, Entry, Identity};
use crate::handover::{FULL, HELLO};
use crate::layout::{BEAT, CONSTANTS, HEADER, Header, LayoutError, MAGIC, STATE, VERSION};
use crate::memory::Memory;
use crate::{Code, FlowKey, State, groups, now_ns};

/// A gateway that does not greet within this time is stuck, for whoever connects for the first time: that one
/// loses nothing by waiting until a busy machine has a core for the thread that greets.
pub(super) const FIRST: Duration = Duration::from_secs(2);
/// The same for a reader that looks for its gateway's successor, in the middle of its work.
pub(super) const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Attachment {
    memory: Arc<Memory>,
    header: Header,
    link: OwnedFd,
    /// Seen dead once: it stays so, and the next call looks for another.
    dead: AtomicBool,
    code: Mutex<Option<Arc<Code>>>,
}

/// A flow's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) worker: usize,
    pub(super) slot: usize,
    pub(super) identity: Identity,
}

impl Attachment {
    /// To the gateway at `path`, if it takes the connection, and greets, within `patience` each.
    pub(super) fn connect(path: &Path, patience: Duration) -> Result<Attachment, ConnectError> {
        let io = |source: io::Error| ConnectError::Io { path: path.to_owned(), source };
        let link = dial(path, patience).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ConnectError::Missing(path.to_owned()),
            ErrorKind::ConnectionRefused => ConnectError::Gone(path.to_owned()),
            ErrorKind::PermissionDenied => {
                ConnectError::Denied { path: path.to_owned(), needed: needed(path) }
            }
            _ => io(error),
        })?;
        link.set_read_timeout(Some(patience)).map_err(io)?;
        let link = OwnedFd::from(link);
        let file = greeted(&link, path)?;
        let attached = Memory::attach(&file).map_err(|error| io(error.into()))?;
        let (memory, bytes) = attached.ok_or_else(|| ConnectError::Unsealed(path.to_owned()))?;
        let header = header(&memory, bytes)
            .map_err(|error| ConnectError::Layout { path: path.to_owned(), error })?;
        Ok(Attachment {
            memory: Arc::new(memory),
            header,
            link,
            dead: AtomicBool::new(false),
            code: Mutex::new(None),
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Whether the gateway's heartbeat is fresh at `now`. Once it was not, never again.
    #[inline]
    pub(super) fn lives(&self, now: u64) -> bool {
        if self.dead.load(Ordering::Relaxed) {
            return false;
        }
        let beat = || self.memory.lines()[BEAT].0[0].get();
        let timeout = self.header.heartbeat_timeout_ns;
        // A beat from the future is none of this host's clock, or `now` is long past.
        let fresh = now.abs_diff(beat()) <= timeout || {
            let beat = beat();
            now_ns().abs_diff(beat) <= timeout
        };
        if !fresh {
            self.dead.store(true, Ordering::Relaxed);
        }
        fresh
    }

    /// Whether the gateway's process still holds its end of the connection: it is told at once that
    /// a process died, where the heartbeat takes a while. A call into the kernel.
    pub(super) fn is_connected(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let connected = recv(&self.link, &mut [0; 1], flags) == Err(Errno::AGAIN);
        if !connected {
            self.dead.store(true, Ordering::Relaxed);
        }
        connected
    }

    /// What was read of watermarks before is of this state or an older one.
    #[inline]
    pub(super) fn state(&self) -> State {
        State(self.memory.lines()[STATE].0[0].observe())
    }

    /// How often the state has changed.
    pub(super) fn transitions(&self) -> u64 {
        self.memory.lines()[STATE].0[1].observe()
    }

    #[inline]
    pub(super) fn code_generation(&self) -> Option<u64> {
        CodeLines(&self.memory).generation()
    }

    /// The code in force; none while it is being changed.
    pub(super) fn code(&self) -> Option<Arc<Code>> {
        let generation = self.code_generation()?;
        let mut known = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|code| code.generation != generation) {
            *known = Some(Arc::new(CodeLines(&self.memory).read()?));
        }
        known.clone()
    }

    pub(super) fn find(&self, key: &FlowKey) -> Option<Found> {
        let hash = key.hash(self.header.hash_seed);
        let found = entry::search(&self.memory, &self.header.geometry, hash, key);
        found.map(|(worker, slot, identity)| Found { worker, slot, identity })
    }

    #[inline]
    pub(super) fn entry(&self, found: &Found) -> Entry<'_> {
        entry::entry(&self.memory, &self.header.geometry, found.worker, found.slot)
    }
}

/// Connects, but does not wait for long for a listener that is stuck with a full backlog.
fn dial(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?;
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(Some(patience))?;
    rustix::net::connect(&stream, &rustix::net::SocketAddrUnix::new(path)?)?;
    Ok(stream)
}

/// Receives the hello and the file beside it.
fn greeted(link: &OwnedFd, path: &Path) -> Result<OwnedFd, ConnectError> {
    let mut hello = [0; HELLO];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(link, &mut [IoSliceMut::new(&mut hello)], &mut beside, RecvFlags::CMSG_CLOEXEC)
            .map_err(|error| ConnectError::Io { path: path.to_owned(), source: error.into() })?;
    let foreign = || ConnectError::Foreign(path.to_owned());
    let file = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| hello[8 * at + i]));
    if received.bytes != HELLO || word(0) != MAGIC {
        return Err(foreign());
    }
    if word(1) != VERSION {
        return Err(ConnectError::Version { path: path.to_owned(), theirs: word(1) });
    }
    match (word(2), file) {
        (0, Some(file)) => Ok(file),
        (FULL, _) => Err(ConnectError::Full(path.to_owned())),
        _ => Err(foreign()),
    }
}

fn header(memory: &Memory, bytes: u64) -> Result<Header, LayoutError> {
    let lines = memory.lines();
    if lines.len() < HEADER {
        let described = (HEADER * crate::layout::LINE) as u64;
        return Err(LayoutError::Size { file: bytes, described });
    }
    let mut words = [0; CONSTANTS];
    let constants = lines[..2].iter().flat_map(|line| &line.0);
    words.iter_mut().zip(constants).for_each(|(into, word)| *into = word.get());
    Header::parse(&words, bytes)
}

/// What it takes to connect, as far as this process may see.
fn needed(path: &Path) -> String {
    let mut at = PathBuf::from(path);
    loop {
        if let Ok(meta) = std::fs::metadata(&at) {
            let group = groups::name(meta.gid());
            let mode = meta.mode() & 0o777;
            return if at == path && mode & 0o020 != 0 {
                format!("it takes membership of group {group}")
            } else {
                let at = at.display();
                format!("{at} belongs to user {} and group {group}, mode {mode:03o}", meta.uid())
            };
        }
        if !at.pop() {
            return "its directory can't be read".into();
        }
    }
}
