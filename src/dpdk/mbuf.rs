//! A packet in its buffer, owned.
//!
//! * What this room does: gives a frame's bytes, and adds or takes headers at its front.
//! * Who feeds it: reception and the pools.
//! * Whom it feeds: every room that handles frames; transmission takes mbufs back.
//! * Which thread runs it: the worker that owns the mbuf. Mbufs may be sent to another one.
//! * What it must not do: let bytes change while somebody reads them.
//!
//! Why that holds. A buffer has one [`Mbuf`] and any number of [`Kept`]s, and its reference
//! count says how many they are together. The count rises only through `Mbuf::keep`, which
//! borrows the `Mbuf`. So when the `Mbuf`, borrowed mutably, reads a count of 1, nobody else
//! has the buffer and nobody can get it while that borrow lasts; each writer below checks that.
//! The load acquires, and pairs with the releasing decrement of the `Kept` that went last.
//! Taking bytes off (`trim_front`, `truncate`) writes the mbuf's offset and length, which a
//! `Kept` never reads: it has its own copy of pointer and length.
//!
//! (DPDK's own release of the last reference loads the count relaxed, and relies on a control
//! dependency to keep the next owner's writes behind; so does every DPDK program.)
//!
//! A ring port passes the very mbuf on to its receiver, who then is its one `Mbuf`, while the
//! sender may have `Kept`s: the same rules hold, across threads. An mbuf that borrows another's
//! buffer (indirect, external) has a count that says nothing about the bytes: never writable.

use super::kept::Kept;
use dpdk_sys::rte_mbuf;
use std::{
    fmt,
    mem::ManuallyDrop,
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU16, Ordering},
};

/// Packets handled at a time.
pub const BURST: usize = 32;

/// Up to [`BURST`] packets.
pub type Burst = arrayvec::ArrayVec<Mbuf, BURST>;

/// One packet. Dropped, it goes back to its pool, unless somebody keeps it.
#[repr(transparent)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: pools and reference counts are made for many threads; the rest is the owner's alone.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// # Safety
    /// The mbuf is live, the caller has a reference to it and gives it up, and no other `Mbuf`
    /// has the same pointer.
    #[inline]
    pub(super) unsafe fn from_raw(mbuf: NonNull<rte_mbuf>) -> Mbuf {
        Mbuf(mbuf)
    }

    /// The bytes of the first segment: the whole frame if it is contiguous.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: data_len bytes at buf_addr + data_off are the frame's; nobody writes them
        // while this borrow lasts (module's head).
        unsafe { slice::from_raw_parts(self.start().as_ptr(), usize::from(self.data_len())) }
    }

    /// Has the packet's own lines fetched, which hold where its bytes are and, in the second one,
    /// where it is freed to.
    #[inline]
    pub fn prefetch(&self) {
        prefetch_lines(self.0);
    }

    /// Has the frame's first two lines fetched, or the one it has, and that of the `headers` bytes
    /// in front of them.
    #[inline]
    pub fn prefetch_front(&self, headers: usize) {
        let start = self.start().as_ptr();
        if headers > 0 {
            prefetch(start.wrapping_sub(headers));
        }
        prefetch(start);
        if self.data_len() > 64 {
            prefetch(start.wrapping_add(64));
        }
    }

    /// Has the lines behind those fetched, all of them: by the time that the hardware has noticed
    /// that they are read in order, most of a frame is over.
    #[inline]
    pub fn prefetch_rest(&self) {
        let start = self.start().as_ptr();
        for line in (128..usize::from(self.data_len())).step_by(64) {
            prefetch_near(start.wrapping_add(line));
        }
    }

    /// Bytes of the whole frame, all segments.
    #[inline]
    pub fn len(&self) -> usize {
        self.get::<u32, { dpdk_sys::SHIM_MBUF_PKT_LEN }>() as usize
    }

    /// Whether there are no bytes at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the frame lies in one segment. Jumbo frames in small mbufs do not.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.get::<u16, { dpdk_sys::SHIM_MBUF_NB_SEGS }>() == 1
    }

    /// Bytes free in front of the frame.
    #[inline]
    pub fn headroom(&self) -> usize {
        usize::from(self.data_off())
    }

    /// Bytes free behind the first segment's.
    #[inline]
    pub fn tailroom(&self) -> usize {
        let used = usize::from(self.data_off()) + usize::from(self.data_len());
        usize::from(self.get::<u16, { dpdk_sys::SHIM_MBUF_BUF_LEN }>()).saturating_sub(used)
    }

    /// The first segment's bytes, to be written, or `None` while somebody keeps them.
    #[inline]
    pub fn data_mut(&mut self) -> Option<&mut [u8]> {
        if !self.is_writable() {
            return None;
        }
        let (start, len) = (self.start(), usize::from(self.data_len()));
        // SAFETY: the frame's bytes, and nobody else has the buffer.
        Some(unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) })
    }

    /// Puts `n` bytes in front of the frame and gives them to be written; what they hold is
    /// old. `None`, and nothing changed, when there is no headroom or somebody keeps the frame.
    #[inline]
    pub fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.headroom() || !self.is_writable() || !self.resize(n as i32) {
            return None;
        }
        self.set::<u16, { dpdk_sys::SHIM_MBUF_DATA_OFF }>(self.data_off() - n as u16);
        // SAFETY: `n` bytes that were headroom of this buffer, and nobody else has it.
        Some(unsafe { slice::from_raw_parts_mut(self.start().as_ptr(), n) })
    }

    /// Takes `n` bytes off the front, also while somebody keeps them. `false`, and nothing
    /// changed, when the first segment has fewer.
    #[inline]
    pub fn trim_front(&mut self, n: usize) -> bool {
        if n > usize::from(self.data_len()) || !self.resize(-(n as i32)) {
            return false;
        }
        self.set::<u16, { dpdk_sys::SHIM_MBUF_DATA_OFF }>(self.data_off() + n as u16);
        true
    }

    /// Puts `n` bytes behind the frame and gives them to be written; what they hold is old.
    /// `None`, and nothing changed, when there is no room, the frame is not contiguous, or
    /// somebody keeps it.
    #[inline]
    pub fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        let old = usize::from(self.data_len());
        let fits = n <= self.tailroom() && self.is_contiguous() && self.is_writable();
        if !fits || !self.resize(n as i32) {
            return None;
        }
        // SAFETY: `n` bytes that were tailroom of this buffer, and nobody else has it.
        Some(unsafe { slice::from_raw_parts_mut(self.start().as_ptr().add(old), n) })
    }

    /// Cuts the frame off behind `len` bytes, also while somebody keeps them. `false`, and
    /// nothing changed, when it is shorter or not contiguous.
    #[inline]
    pub fn truncate(&mut self, len: usize) -> bool {
        let have = usize::from(self.data_len());
        len <= have && self.is_contiguous() && self.resize(-((have - len) as i32))
    }

    /// A further reference to the first segment's bytes as they are now. While it lives, they
    /// cannot be written; later trimming of this mbuf does not change what it sees.
    ///
    /// # Panics
    /// When 32,768 references to one buffer exist, which only a leak can bring about: the count
    /// has 16 bits and must not wrap.
    #[inline]
    pub fn keep(&self) -> Kept {
        assert!(self.references(Ordering::Relaxed) < 1 << 15, "an mbuf is kept 32,768 times");
        // SAFETY: a live mbuf. Each segment's count rises, as each segment is freed by itself.
        unsafe { dpdk_sys::shim_mbuf_keep(self.0.as_ptr()) };
        // SAFETY: the reference just taken is given to the Kept, with the frame's own bytes.
        unsafe { Kept::from_raw(self.0, self.start(), self.data_len()) }
    }

    /// As [`Mbuf::keep`], for who needs the packet itself no longer.
    #[inline]
    pub fn into_kept(self) -> Kept {
        let mbuf = ManuallyDrop::new(self);
        // SAFETY: the reference that the Mbuf was is given to the Kept, with the frame's own bytes.
        unsafe { Kept::from_raw(mbuf.0, mbuf.start(), mbuf.data_len()) }
    }

    /// Whether nobody keeps this frame, so that it may be written.
    #[inline]
    pub fn is_writable(&self) -> bool {
        let flags = self.get::<u64, { dpdk_sys::SHIM_MBUF_OL_FLAGS }>();
        // Acquire: what other owners have read, they have read before we write.
        self.references(Ordering::Acquire) == 1 && flags & dpdk_sys::SHIM_MBUF_NOT_DIRECT == 0
    }

    /// References to the buffer as counted now.
    #[inline]
    fn references(&self, ordering: Ordering) -> u16 {
        // SAFETY: the count is an aligned u16 in a live mbuf, which C accesses atomically
        // whenever more than one owner exists.
        unsafe {
            let count = self.field::<u16, { dpdk_sys::SHIM_MBUF_REFCNT }>();
            AtomicU16::from_ptr(count).load(ordering)
        }
    }

    /// Changes the frame's length at one end of the first segment, if the fields can hold it.
    #[inline]
    fn resize(&mut self, by: i32) -> bool {
        let data = i32::from(self.data_len()) + by;
        let Ok(data) = u16::try_from(data) else { return false };
        let packet = self.get::<u32, { dpdk_sys::SHIM_MBUF_PKT_LEN }>();
        let Some(packet) = packet.checked_add_signed(by) else { return false };
        self.set::<u16, { dpdk_sys::SHIM_MBUF_DATA_LEN }>(data);
        self.set::<u32, { dpdk_sys::SHIM_MBUF_PKT_LEN }>(packet);
        true
    }

    #[inline]
    fn start(&self) -> NonNull<u8> {
        let buffer = self.get::<NonNull<u8>, { dpdk_sys::SHIM_MBUF_BUF_ADDR }>();
        // SAFETY: data_off lies within the buffer.
        unsafe { buffer.add(usize::from(self.data_off())) }
    }

    #[inline]
    fn data_off(&self) -> u16 {
        self.get::<u16, { dpdk_sys::SHIM_MBUF_DATA_OFF }>()
    }

    #[inline]
    fn data_len(&self) -> u16 {
        self.get::<u16, { dpdk_sys::SHIM_MBUF_DATA_LEN }>()
    }

    /// # Safety
    /// `T` is the field's type as declared in `shim.h`. Private, and every call above names one.
    #[inline]
    unsafe fn field<T, const OFFSET: u32>(&self) -> *mut T {
        // SAFETY: the offset comes from the C compiler, for this release's mbuf.
        unsafe { self.0.as_ptr().cast::<u8>().add(OFFSET as usize).cast() }
    }

    #[inline]
    fn get<T: Copy, const OFFSET: u32>(&self) -> T {
        // Volatile: compilers make a 32-bit load of a 16-bit one where alignment allows, and that
        // stalls for a dozen cycles when the field was just written.
        // SAFETY: a field that only the Mbuf's owner, and so nobody meanwhile, writes.
        unsafe { self.field::<T, OFFSET>().read_volatile() }
    }

    #[inline]
    fn set<T: Copy, const OFFSET: u32>(&mut self, value: T) {
        // SAFETY: a field that only the Mbuf's owner accesses, and that is us.
        unsafe { *self.field::<T, OFFSET>() = value }
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: gives up the reference that this Mbuf is.
        unsafe { dpdk_sys::shim_mbuf_free(self.0.as_ptr()) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mbuf({} bytes)", self.len())
    }
}

/// Has an mbuf's own two lines fetched.
#[inline]
pub(super) fn prefetch_lines(mbuf: NonNull<rte_mbuf>) {
    prefetch(mbuf.as_ptr().cast());
    prefetch(mbuf.as_ptr().cast::<u8>().wrapping_add(64));
}

/// Asks for a cache line. Any address will do, as it is only a hint.
#[inline]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing and does not fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for a cache line to come as near as the second cache, which can wait for more lines at a time
/// than the first. Any address will do, as it is only a hint.
#[inline]
fn prefetch_near(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing and does not fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Gives all packets of a burst back to their pools at once: cheaper than one by one.
pub fn free(burst: &mut Burst) {
    let count = burst.len();
    // SAFETY: Mbuf is a transparent pointer; the first `count` are initialised and, the length
    // being set to 0 first, are given up exactly once.
    unsafe {
        burst.set_len(0);
        dpdk_sys::rte_pktmbuf_free_bulk(burst.as_mut_ptr().cast(), count as u32);
    }
}
