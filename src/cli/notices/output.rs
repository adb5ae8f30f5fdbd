//! Standard output that never holds the process up: whoever reads it may be slow, stuck or gone.

use std::io::{ErrorKind, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};

use super::line::Line;

/// So much fits whenever a pipe says that it has room, PIPE_BUF.
const CHUNK: usize = 4096;
/// Written when so much has come together, or nothing more comes.
const FULL: usize = 1 << 16;
/// How often it is asked whether to stop, while nobody reads.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub(super) struct Output {
    json: bool,
    /// What text lines' times count from.
    origin_ns: u64,
    pending: Vec<u8>,
    stop: Arc<AtomicBool>,
    gone: bool,
}

impl Output {
    pub(super) fn new(json: bool, stop: Arc<AtomicBool>) -> Output {
        Output { json, origin_ns: netsync::now_ns(), pending: Vec::new(), stop, gone: false }
    }

    /// The user has enough, or nobody reads any more.
    pub(super) fn is_over(&self) -> bool {
        self.gone || self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn line(&mut self, line: &Line<'_>) -> Result<(), String> {
        if self.json {
            let text = serde_json::to_string(line).map_err(|error| error.to_string())?;
            self.pending.extend(text.as_bytes());
        } else {
            self.pending.extend(line.text(self.origin_ns).as_bytes());
        }
        self.pending.push(b'\n');
        if self.pending.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Writes what there is, as fast as it is read.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        let mut written = 0;
        while written < self.pending.len() && !self.gone {
            if !self.has_room(&LOOK)? {
                if self.is_over() {
                    break;
                }
                continue;
            }
            let chunk = &self.pending[written..];
            match write(stdout(), &chunk[..chunk.len().min(CHUNK)]) {
                Ok(bytes) => written += bytes,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::PIPE) => self.gone = true,
                Err(error) => return Err(problem(error)),
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Notices that the reader is gone, also when there is nothing to write.
    pub(super) fn look(&mut self) -> Result<(), String> {
        self.has_room(&AT_ONCE).map(|_| ())
    }

    fn has_room(&mut self, timeout: &Timespec) -> Result<bool, String> {
        let out = stdout();
        let mut fds = [PollFd::new(&out, PollFlags::OUT)];
        match poll(&mut fds, Some(timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(problem(error)),
        }
        let revents = fds[0].revents();
        // A pipe that nobody reads, a terminal that hung up.
        self.gone |= revents.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
        Ok(revents.contains(PollFlags::OUT) && !self.gone)
    }
}

fn problem(error: Errno) -> String {
    let error = std::io::Error::from(error);
    match error.kind() {
        ErrorKind::StorageFull => format!("standard output: {error}; expected room for the lines"),
        _ => format!("standard output: {error}"),
    }
}
