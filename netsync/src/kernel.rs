//! What this host's kernel says of a TCP connection of our own.
//!
//! The C library's names for it end with Linux 4.2's; the offsets are the kernel's own, of
//! `struct tcp_info` in `linux/tcp.h`, which only ever grows.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// Bytes of the structure up to what is read of it, there since Linux 4.19.
const LEN: usize = 216;

/// Where a connection's own stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    /// It is connected, and our own end is not closed.
    pub(crate) open: bool,
    /// The connection has ended, in whatever way.
    pub(crate) closed: bool,
    /// Bytes acknowledged, a SYN or FIN of ours counted as one.
    pub(crate) acked: u64,
    /// Bytes handed to the kernel that were not yet sent.
    unsent: u32,
    /// Bytes sent, retransmissions counted again.
    sent: u64,
    retransmitted: u64,
}

impl Tcp {
    /// Bytes sent at least once.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.saturating_sub(self.retransmitted)
    }

    /// Bytes of data acknowledged; `syn` as [`Tcp::counts_syn`] told, or true: that errs on the safe
    /// side.
    pub(crate) fn data_acked(&self, syn: bool) -> u64 {
        self.acked.saturating_sub(syn.into())
    }

    /// Whether all that was handed to the kernel is acknowledged.
    pub(crate) fn is_idle(&self, syn: bool) -> bool {
        self.open && self.unsent == 0 && self.data_acked(syn) == self.sent()
    }

    /// Asks the kernel.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Result<Tcp, Errno> {
        let mut info = [0; LEN];
        let mut len = LEN as libc::socklen_t;
        // SAFETY: `info` is `len` bytes long, of which the kernel writes no more than that.
        let status = unsafe {
            let info = info.as_mut_ptr().cast();
            libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info, &mut len)
        };
        errno(status)?;
        if (len as usize) < LEN {
            return Err(Errno::NOPROTOOPT);
        }
        let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| info[at + i]));
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| info[at + i]));
        Ok(Tcp {
            // ESTABLISHED, CLOSE_WAIT: the only states in which no FIN of ours was sent.
            open: matches!(info[0], 1 | 8),
            closed: info[0] == 7,
            acked: long(120),
            unsent: word(144),
            sent: long(200),
            retransmitted: long(208),
        })
    }

    /// Whether `acked` counts our SYN too. It does at the end that connected, not at the one that
    /// accepted. None when it can't be told right now.
    pub(crate) fn counts_syn(socket: BorrowedFd<'_>) -> Result<Option<bool>, Errno> {
        let before = Tcp::of(socket)?;
        let mut queued: libc::c_int = 0;
        // SAFETY: the kernel writes one int, to where there is one.
        let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &mut queued) };
        errno(status)?;
        let after = Tcp::of(socket)?;
        if before != after || !before.open {
            return Ok(None);
        }
        // All that was handed to the kernel, less what it still keeps, is what was acknowledged.
        let written = before.sent() + u64::from(before.unsent);
        let data = written.checked_sub(queued as u64);
        Ok(match data.and_then(|data| before.acked.checked_sub(data)) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        })
    }
}

fn errno(status: libc::c_int) -> Result<(), Errno> {
    if status == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    /// As soon as it can be told.
    fn counts_syn(stream: &TcpStream) -> bool {
        loop {
            if let Some(syn) = Tcp::counts_syn(stream.as_fd()).unwrap() {
                return syn;
            }
            std::thread::yield_now();
        }
    }

    fn acked(stream: &TcpStream) -> u64 {
        let syn = counts_syn(stream);
        Tcp::of(stream.as_fd()).unwrap().acked - u64::from(syn)
    }

    /// Both ends, since their kernels count differently.
    #[test]
    fn bytes_are_counted_without_the_syn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut accepted = listener.accept().unwrap().0;
        for stream in [&connected, &accepted] {
            assert_eq!(acked(stream), 0);
        }
        assert!(counts_syn(&connected) && !counts_syn(&accepted));
        connected.write_all(&[1; 1000]).unwrap();
        accepted.read_exact(&mut [0; 1000]).unwrap();
        accepted.write_all(&[1; 77]).unwrap();
        connected.read_exact(&mut [0; 77]).unwrap();
        // Loopback acknowledges within the delayed acknowledgement's 40 ms; nothing depends on it.
        while acked(&connected) < 1000 || acked(&accepted) < 77 {
            std::thread::yield_now();
        }
        assert_eq!((acked(&connected), acked(&accepted)), (1000, 77));
        assert_eq!(Tcp::of(connected.as_fd()).unwrap().sent(), 1000);
    }

    /// A window that is full, so that much is queued and some was probed.
    #[test]
    fn what_is_queued_is_not_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut mirror = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(bytes) = stream.write(&[0; 65536]) {
            written += bytes;
        }
        assert!(counts_syn(&stream));
        assert!(acked(&stream) < written as u64);
        let reader = std::thread::spawn(move || mirror.read_exact(&mut vec![0; written]));
        reader.join().unwrap().unwrap();
        // The mirror's kernel acknowledges what was read, now or when it is next asked.
        while Tcp::of(stream.as_fd()).unwrap().acked < written as u64 + 1 {
            std::thread::yield_now();
        }
        assert_eq!(acked(&stream), written as u64);
    }

    #[test]
    fn what_is_no_tcp_socket_says_so() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Tcp::of(socket.as_fd()).is_err());
    }
}
