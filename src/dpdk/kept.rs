//! Bytes of a packet that stay while the packet moves on.
//!
//! * What this room does: holds a reference to a buffer and a view of its bytes.
//! * Who feeds it: [`Mbuf::keep`](super::Mbuf::keep).
//! * Whom it feeds: the encoder (frames just sent), the window and the repairs that wait to peel.
//! * Which thread runs it: the one that keeps; a kept view may move to another thread.
//! * What it must not do: write, or read the mbuf's own offset and length, which its owner moves.

use super::mbuf::BURST;
use arrayvec::ArrayVec;
use dpdk_sys::rte_mbuf;
use std::{fmt, mem::ManuallyDrop, ptr::NonNull, slice};

/// A read-only view of a packet's bytes, as they were when it was kept. Dropped, it lets go of
/// the buffer, which goes back to its pool when all others have let go too.
pub struct Kept {
    mbuf: NonNull<rte_mbuf>,
    start: NonNull<u8>,
    len: u16,
}

// SAFETY: the reference count is atomic, pools are made for many threads, and the bytes do not
// change while the count is above 1 or no Mbuf exists (head of `mbuf`).
unsafe impl Send for Kept {}

impl Kept {
    /// # Safety
    /// The caller has a reference to the mbuf and gives it up; the bytes lie in its buffer.
    #[inline]
    pub(super) unsafe fn from_raw(mbuf: NonNull<rte_mbuf>, start: NonNull<u8>, len: u16) -> Kept {
        Kept { mbuf, start, len }
    }

    /// The bytes in view.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: the bytes lie in the buffer that our reference keeps, and nobody writes them.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), usize::from(self.len)) }
    }

    /// Has the lines fetched that letting go will touch.
    #[inline]
    pub fn prefetch(&self) {
        super::mbuf::prefetch_lines(self.mbuf);
    }

    /// Narrows the view by its first `n` bytes, or all if it has fewer.
    #[inline]
    pub fn skip(&mut self, n: usize) {
        let n = n.min(usize::from(self.len));
        // SAFETY: within the view.
        self.start = unsafe { self.start.add(n) };
        self.len -= n as u16;
    }

    /// Narrows the view to its first `len` bytes, if it has more.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = usize::from(self.len).min(len) as u16;
    }
}

/// Lets go of all of them at once: cheaper than one by one.
#[inline]
pub fn release(kept: impl Iterator<Item = Kept>) {
    let mut mbufs = ArrayVec::<*mut rte_mbuf, BURST>::new();
    for kept in kept {
        let kept = ManuallyDrop::new(kept);
        mbufs.push(kept.mbuf.as_ptr());
        if mbufs.is_full() {
            free_bulk(&mut mbufs);
        }
    }
    free_bulk(&mut mbufs);
}

fn free_bulk(mbufs: &mut ArrayVec<*mut rte_mbuf, BURST>) {
    // SAFETY: each is a reference that its Kept, forgotten by the caller, has given up.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(mbufs.as_mut_ptr(), mbufs.len() as u32) };
    mbufs.clear();
}

impl AsRef<[u8]> for Kept {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl Drop for Kept {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: gives up the reference that this Kept is.
        unsafe { dpdk_sys::shim_mbuf_free(self.mbuf.as_ptr()) };
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} bytes)", self.len)
    }
}
