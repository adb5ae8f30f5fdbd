//! The segment as memory: a sealed memfd, mapped once for its writer and read-only for readers.
//!
//! * **Does:** creates, seals and maps; hands out lines.
//! * **Fed by:** a gateway that starts, or a reader with a file it was handed.
//! * **Feeds:** everything else here, which needs no unsafe code for it.
//! * **Runs on:** any thread.
//! * **Must not:** map what could shrink, or what anyone but the gateway could write.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::layout::LINE;
use crate::sync::Line;

/// A map of a segment. It ends with the last user.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<Line>,
    lines: usize,
}

// SAFETY: a map belongs to the process, not to the thread that made it.
unsafe impl Send for Memory {}
// SAFETY: all access goes through `&[Line]`, and lines are made of atomics.
unsafe impl Sync for Memory {}

/// What a reader relies upon: the file can't shrink below its map, nobody maps it for writing, and
/// nobody takes that back.
const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

impl Memory {
    /// Of zeros. The only map of this file that can be written, now or ever.
    pub(crate) fn create(lines: usize) -> Result<(Memory, OwnedFd), Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(c"maelstrom-netsync", flags)?;
        ftruncate(&file, (lines * LINE) as u64)?;
        let memory = Memory::map(&file, lines, ProtFlags::READ | ProtFlags::WRITE)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok((memory, file))
    }

    /// All of a file, read-only. None when it is not sealed as it must be, or not of whole lines.
    pub(crate) fn attach(file: &OwnedFd) -> Result<Option<(Memory, u64)>, Errno> {
        // What is no memfd has no seals to ask for.
        let seals = match fcntl_get_seals(file) {
            Err(Errno::INVAL) => return Ok(None),
            seals => seals?,
        };
        let bytes = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
        let lines = usize::try_from(bytes).unwrap_or(0) / LINE;
        if !seals.contains(SEALS) || lines == 0 || !bytes.is_multiple_of(LINE as u64) {
            return Ok(None);
        }
        Ok(Some((Memory::map(file, lines, ProtFlags::READ)?, bytes)))
    }

    fn map(file: impl AsFd, lines: usize, access: ProtFlags) -> Result<Memory, Errno> {
        // Populated now: no page fault later, on a core that polls.
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new map, at an address that the kernel chooses, overlaps nothing of ours.
        let start = unsafe { mmap(std::ptr::null_mut(), lines * LINE, access, flags, file, 0)? };
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Memory { start, lines })
    }

    #[inline]
    pub(crate) fn lines(&self) -> &[Line] {
        // SAFETY: the map is page-aligned and `lines` long, and lasts as long as `self`; its file is as
        // long, and sealed against shrinking (by `create` behind the map, in `attach` before it). All
        // bit patterns are valid lines. Others, another process too, change it only by atomics.
        // Through a read-only map nothing is stored: only the publisher's types store, and they are
        // made of a map from `create` alone; and atomics are loaded `Relaxed`, which Rust allows there.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.lines) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is the map that `map` made, and no reference to it outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), self.lines * LINE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_the_writer_writes_and_can_t_harm_it() {
        let (memory, file) = Memory::create(4).unwrap();
        let (reader, bytes) = Memory::attach(&file).unwrap().unwrap();
        assert_eq!(bytes, 256);
        memory.lines()[3].0[7].put(9);
        assert_eq!(reader.lines()[3].0[7].get(), 9);
        let writable = Memory::map(&file, 4, ProtFlags::READ | ProtFlags::WRITE);
        assert_eq!(writable.err(), Some(Errno::PERM));
        assert_eq!(rustix::io::write(&file, b"harm"), Err(Errno::PERM));
        assert_eq!(ftruncate(&file, 0), Err(Errno::PERM));
        assert_eq!(fcntl_add_seals(&file, SealFlags::WRITE), Err(Errno::PERM));
    }

    #[test]
    fn what_is_not_sealed_is_refused() {
        let open = rustix::fs::memfd_create(c"open", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&open, 256).unwrap();
        assert!(Memory::attach(&open).unwrap().is_none());
        let file = OwnedFd::from(tempfile::tempfile().unwrap());
        ftruncate(&file, 256).unwrap();
        assert!(Memory::attach(&file).unwrap().is_none());
    }
}
