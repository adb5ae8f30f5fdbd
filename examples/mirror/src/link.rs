//! The primary's end of the connection to the mirror, and what the mirror answers on it.
//!
//! At the beginning the mirror says the number of its last record, and gets what it lacks. From then on each of its
//! answers is the number of the last record on its disk.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

use crate::store::Store;
use crate::{Context, Error, Result};

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(10);
/// What `Durable` says once the mirror is gone.
const GONE: u64 = u64::MAX;

/// The connection, for the thread that writes.
pub struct Link {
    stream: TcpStream,
    /// Bytes written to it so far: offsets as netsync has them.
    pub written: u64,
}

/// The last record that is on the mirror's disk; kept up to date by a thread.
#[derive(Clone, Debug, Default)]
pub struct Durable(Arc<AtomicU64>);

impl Link {
    /// Connects, and brings the mirror up to date. `buffer` is what the kernel may hold that is not acknowledged.
    ///
    /// # Errors
    /// There is no mirror, or it has records that this store does not.
    pub fn connect(mirror: &str, store: &mut Store, buffer: usize) -> Result<(Link, Durable)> {
        let address = std::net::ToSocketAddrs::to_socket_addrs(mirror).context(mirror)?.next();
        let address = address.ok_or_else(|| Error::new(format!("{mirror}: no such host")))?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context(mirror)?;
        // A record's tail that waits for an acknowledgement has not been sent.
        stream.set_nodelay(true).context(mirror)?;
        // Beyond the host's limit only root may; less will do.
        if sockopt::set_socket_send_buffer_size_force(&stream, buffer).is_err() {
            let _ = sockopt::set_socket_send_buffer_size(&stream, buffer);
        }
        let mut answers = stream.try_clone().context(mirror)?;
        let has = number(&mut answers).context(mirror)?;
        if has > store.last {
            return Err(Error::new(format!(
                "{mirror}: the mirror has {has} records, this log {}; expected no more",
                store.last
            )));
        }
        let missing = store.behind(has).context("this log")?;
        let mut link = Link { stream, written: 0 };
        link.write(&missing).context(mirror)?;
        let durable = Durable(Arc::new(AtomicU64::new(has)));
        let told = durable.clone();
        thread::spawn(move || {
            while let Ok(last) = number(&mut answers) {
                told.0.fetch_max(last.min(GONE - 1), Ordering::Release);
            }
            told.0.store(GONE, Ordering::Release);
        });
        Ok((link, durable))
    }

    /// The socket, by which a gateway's reader finds the flow.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes whole records.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self, records: &[u8]) -> io::Result<()> {
        self.stream.write_all(records)?;
        self.written += records.len() as u64;
        Ok(())
    }
}

impl Durable {
    /// Whether the mirror's disk has this record; an error once the mirror is gone.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn has(&self, number: u64) -> io::Result<bool> {
        match self.0.load(Ordering::Acquire) {
            GONE => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the mirror is gone")),
            last => Ok(last >= number),
        }
    }
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
