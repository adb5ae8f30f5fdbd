//! The control socket: lines in, lines out, without ever waiting for who is at the other end.
//!
//! * **Does:** accepts connections, reads requests, writes answers.
//! * **Fed by:** `maelstrom ctl`, or anything that may connect and writes lines.
//! * **Feeds:** the same, with what it is given to answer.
//! * **Runs on:** control's thread, each time that it looks.
//! * **Must not:** block, keep more than `CONNECTIONS` connections, or a longer line than allowed.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use netsync::{Door, ServerConfig, ServerError};

use super::request::LONGEST;

/// Connections that are kept. When there are more, the oldest is closed.
const CONNECTIONS: usize = 16;
/// Requests of one connection that are answered each time.
const AT_ONCE: usize = 4;

/// See the module's head.
pub struct Server {
    listener: UnixListener,
    connections: VecDeque<Connection>,
    /// Goes last.
    _door: Door,
}

impl Server {
    /// Listens. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// If it can't be made, as its configuration wants it.
    pub fn open(config: &ServerConfig) -> Result<Server, ServerError> {
        let (door, socket): (Door, OwnedFd) = Door::open(config)?;
        let listener = UnixListener::from(socket);
        Ok(Server { listener, connections: VecDeque::new(), _door: door })
    }

    /// Answers what was asked. `answer` gets a request without its end of line, or `None` for one that
    /// is too long or not UTF-8; what it gives has no end of line.
    pub fn poll(&mut self, mut answer: impl FnMut(Option<&str>) -> String) {
        for _ in 0..CONNECTIONS {
            let Ok((stream, _)) = self.listener.accept() else { break };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.connections.len() == CONNECTIONS {
                self.connections.pop_front();
            }
            self.connections.push_back(Connection { stream, asked: Vec::new(), said: Vec::new() });
        }
        self.connections.retain_mut(|connection| connection.poll(&mut answer).is_ok());
    }
}

struct Connection {
    stream: UnixStream,
    asked: Vec<u8>,
    said: Vec<u8>,
}

impl Connection {
    /// An error when the connection is over.
    fn poll(&mut self, answer: &mut impl FnMut(Option<&str>) -> String) -> io::Result<()> {
        self.write()?;
        if !self.said.is_empty() {
            return Ok(());
        }
        let mut buffer = [0; LONGEST];
        // One byte more than the longest line, for its end.
        let room = (LONGEST + 1).saturating_sub(self.asked.len()).min(buffer.len());
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) if room > 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.asked.extend_from_slice(&buffer[..read]),
            Err(error) if would_block(&error) => {}
            Err(error) => return Err(error),
        }
        for _ in 0..AT_ONCE {
            let Some(end) = self.asked.iter().position(|&byte| byte == b'\n') else { break };
            let line: Vec<u8> = self.asked.drain(..=end).collect();
            self.say(&answer(std::str::from_utf8(&line[..end]).ok().map(str::trim_end)));
        }
        if self.asked.len() > LONGEST {
            // Where the next request would begin, nobody knows.
            self.say(&answer(None));
            self.write()?;
            return Err(ErrorKind::InvalidData.into());
        }
        self.write()
    }

    fn say(&mut self, line: &str) {
        self.said.extend_from_slice(line.as_bytes());
        self.said.push(b'\n');
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.said.is_empty() {
            match self.stream.write(&self.said) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.said.drain(..written)),
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn server(folder: &tempfile::TempDir) -> (Server, std::path::PathBuf) {
        let path = folder.path().join("ctl");
        let config = ServerConfig { path: path.clone(), mode: 0o600, group: None };
        (Server::open(&config).unwrap(), path)
    }

    fn echo(line: Option<&str>) -> String {
        line.map_or("bad".to_owned(), |line| format!("<{line}>"))
    }

    #[test]
    fn lines_are_answered_in_order_however_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, path) = server(&folder);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let mut client = UnixStream::connect(&path).unwrap();
        let mut said = [0; 64];
        client.write_all(b"one\ntw").unwrap();
        server.poll(echo);
        assert_eq!(client.read(&mut said).unwrap(), 6);
        assert_eq!(&said[..6], b"<one>\n");
        client.write_all(b"o\r\n\xFF\n").unwrap();
        server.poll(echo);
        assert_eq!(client.read(&mut said).unwrap(), 10);
        assert_eq!(&said[..10], b"<two>\nbad\n");
        drop(client);
        server.poll(echo);
        assert!(server.connections.is_empty());
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn neither_long_lines_nor_many_connections_take_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, path) = server(&folder);
        let mut long = UnixStream::connect(&path).unwrap();
        long.write_all(&[b'x'; 3 * LONGEST]).unwrap();
        for _ in 0..10 {
            server.poll(echo);
        }
        assert!(server.connections.is_empty());
        let mut said = [0; 64];
        assert_eq!(long.read(&mut said).unwrap(), 4);
        let clients: Vec<UnixStream> = (0..3 * CONNECTIONS)
            .map(|_| {
                let client = UnixStream::connect(&path).unwrap();
                server.poll(echo);
                client
            })
            .collect();
        assert_eq!(server.connections.len(), CONNECTIONS);
        // Whoever asks and does not listen is asked no more.
        let mut last = clients.last().unwrap();
        last.set_nonblocking(true).unwrap();
        let mut asked = 0;
        for _ in 0..100_000 {
            asked += last.write(&[b'\n'; LONGEST]).unwrap_or(0);
            server.poll(|_| "y".repeat(1000));
        }
        let kept = server.connections.back().unwrap();
        assert!(asked < 1 << 21 && kept.said.len() <= AT_ONCE * 1001, "{asked}");
    }
}
