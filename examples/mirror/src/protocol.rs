//! What clients and the primary say to each other, over TCP or a Unix socket: a length and the payload one way, the
//! record's number the other way when it is safe. Answers come in the order of a client's records.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::str::FromStr;

use crate::record::LONGEST;
use crate::{Context, Result};

/// Where a primary listens: `unix:PATH` or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(String),
    /// TCP.
    Tcp(String),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Address, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Address::Unix(path.to_owned())),
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Address::Tcp(text.to_owned()))
            }
            _ => Err("expected unix:PATH or HOST:PORT".to_owned()),
        }
    }
}

/// One connection, of either kind.
pub enum Stream {
    /// A Unix socket.
    Unix(UnixStream),
    /// TCP.
    Tcp(TcpStream),
}

impl Stream {
    /// Connects to a primary.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(address: &Address) -> Result<Stream> {
        match address {
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).context(path)?)),
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).context(address)?;
                stream.set_nodelay(true).context(address)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }

    /// Another handle of the same connection.
    ///
    /// # Errors
    /// Too many are open.
    pub fn again(&self) -> io::Result<Stream> {
        match self {
            Stream::Unix(stream) => stream.try_clone().map(Stream::Unix),
            Stream::Tcp(stream) => stream.try_clone().map(Stream::Tcp),
        }
    }

    /// Ends both directions, for all handles.
    pub fn close(&self) {
        let _ = match self {
            Stream::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
            Stream::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What clients connect to.
pub enum Listener {
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP.
    Tcp(TcpListener),
}

impl Listener {
    /// Listens. What a killed primary left of a Unix socket is replaced.
    ///
    /// # Errors
    /// Somebody else does.
    pub fn bind(address: &Address) -> Result<Listener> {
        match address {
            Address::Unix(path) => {
                if UnixStream::connect(path).is_err() {
                    let _ = std::fs::remove_file(path);
                }
                Ok(Listener::Unix(UnixListener::bind(path).context(path)?))
            }
            Address::Tcp(address) => {
                Ok(Listener::Tcp(TcpListener::bind(address).context(address)?))
            }
        }
    }

    /// The next client.
    ///
    /// # Errors
    /// Too many are open.
    pub fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Unix(listener) => Ok(Stream::Unix(listener.accept()?.0)),
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

/// Sends a record's payload.
///
/// # Errors
/// The primary is gone.
pub fn ask(stream: &mut Stream, payload: &[u8]) -> io::Result<()> {
    let mut request = (payload.len() as u32).to_le_bytes().to_vec();
    request.extend(payload);
    stream.write_all(&request)
}

/// The next payload, or none at the end.
///
/// # Errors
/// The client says too long a length, or leaves in the middle of a record.
pub fn asked(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        let what = format!("a record of {length} bytes; expected at most {LONGEST}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok(Some(payload))
}

/// The number of the record that is safe now.
///
/// # Errors
/// The primary is gone.
pub fn answer(stream: &mut impl Read) -> io::Result<u64> {
    let mut number = [0; 8];
    stream.read_exact(&mut number)?;
    Ok(u64::from_le_bytes(number))
}
