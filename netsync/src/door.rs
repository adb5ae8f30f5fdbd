//! A socket that a gateway listens on, whose mode and group say who may connect.
//!
//! * **Does:** makes the socket, replaces one that a dead gateway left, removes it at the end.
//! * **Fed by:** a gateway's configuration.
//! * **Feeds:** whoever accepts connections on it.
//! * **Runs on:** whichever thread opens it.
//! * **Must not:** remove anything but a socket that nobody listens on, or let anyone connect before group
//!   and mode are set.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use thiserror::Error;

use crate::groups;

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

/// Listens until it is dropped; then the socket is removed.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    /// The socket file's device and inode: another gateway may have taken the path since.
    file: (u64, u64),
}

impl Door {
    /// Listens. A socket that nobody listens on any more is replaced. Connections are accepted on the
    /// descriptor, which does not block.
    pub fn open(config: &ServerConfig) -> Result<(Door, OwnedFd), ServerError> {
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
        let door = Door { path: path.clone(), file: (meta.dev(), meta.ino()) };
        std::os::unix::fs::chown(path, None, gid).map_err(failed("set the socket's group"))?;
        let mode = fs::Permissions::from_mode(config.mode);
        fs::set_permissions(path, mode).map_err(failed("set the socket's mode"))?;
        listen(&socket, 128).map_err(|e| failed("listen")(e.into()))?;
        Ok((door, socket))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let file = fs::symlink_metadata(&self.path).map(|meta| (meta.dev(), meta.ino()));
        if file.is_ok_and(|file| file == self.file) {
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
