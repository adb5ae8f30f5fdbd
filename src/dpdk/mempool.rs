//! Packet memory.
//!
//! * What this room does: owns `rte_mempool`s of mbufs and hands mbufs out.
//! * Who feeds it: the configuration, with counts and sizes; dropped mbufs come back by themselves.
//! * Whom it feeds: ports (which fill mbufs on reception) and the rooms that make packets.
//! * Which thread runs it: any may allocate; a registered worker does so from its own cache.
//! * What it must not do: grow. What is not there is refused, and the caller counts it.
//!
//! An [`Mbuf`] has no reference to its pool's owner, for a count per packet would be dear. When
//! the last [`Mempool`] handle goes, the pool is handed to [`Eal`], which frees it once all its
//! packets are back, and never before: a pool that never gets them back stays until exit.

use super::{
    eal::{Eal, c_string},
    eal_log,
    error::{self, PoolError},
    mbuf::{BURST, Burst, Mbuf},
};
use dpdk_sys::{rte_mbuf, rte_mempool};
use std::{ffi::c_void, fmt, os::raw::c_uint, ptr::NonNull, sync::Arc};

/// Bytes that DPDK leaves free in front of a frame, for headers to be put there.
pub const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;
/// What a frame has beyond its MTU: Ethernet header, two VLAN tags and the checksum that some
/// hardware leaves.
pub const FRAMING: u16 = 14 + 2 * 4 + 4;

/// The data room of mbufs that hold any frame of this MTU, in whole cache lines: at least the usual
/// one, which some virtual drivers (af_packet) want whatever the MTU.
pub const fn data_room_for(mtu: u16) -> u16 {
    const LARGEST: u16 = u16::MAX / 64 * 64;
    match (HEADROOM + FRAMING).saturating_add(mtu) {
        ..DEFAULT_DATA_ROOM => DEFAULT_DATA_ROOM,
        LARGEST.. => LARGEST,
        room => room.next_multiple_of(64),
    }
}

/// The buffer of an mbuf, headroom included, that holds any frame of the usual MTU.
pub const DEFAULT_DATA_ROOM: u16 = 2048 + HEADROOM;

/// Mbufs that one worker's cache holds at most are one and a half times this.
const CACHE: u32 = 256;

/// RTE_MEMPOOL_NAMESIZE less its terminating NUL.
const LONGEST_NAME: usize = 25;

/// About how many bytes of memory a pool takes, for plans and messages.
///
/// DPDK lets no mbuf cross a page. Without hugepages a page is 4 KiB, so the usual mbuf of 2.4
/// kB takes 4 KiB: 65,535 of them need 256 MiB, not 152.
pub const fn estimated_bytes(count: u32, data_room: u16, hugepages: bool) -> u64 {
    // The mbuf's two cache lines and one of the pool's own; all in steps of a cache line.
    let mbuf = (data_room as u64 + 192).next_multiple_of(64);
    let page: u64 = if hugepages { 2 << 20 } else { 4096 };
    let in_a_page = page / mbuf;
    match in_a_page {
        0 => count as u64 * mbuf.next_multiple_of(page),
        _ => (count as u64).div_ceil(in_a_page) * page,
    }
}

/// A pool of mbufs of one size. A handle: clones share the pool.
///
/// Up to 384 mbufs (or three sixteenths of a small pool) may rest in the cache of each worker,
/// where other threads do not reach them: make the count larger than the sum.
#[derive(Clone)]
pub struct Mempool(Arc<Inner>);

struct Inner {
    pool: NonNull<rte_mempool>,
    name: String,
    count: u32,
    data_room: u16,
    eal: Eal,
}

// SAFETY: rte_mempool is made for use by many threads at once; the rest is never written.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Mempool {
    /// `count` mbufs with buffers of `data_room` bytes, [`HEADROOM`] included, on any NUMA node.
    /// DPDK uses memory best when `count` is a power of two less one.
    pub fn new(eal: &Eal, name: &str, count: u32, data_room: u16) -> Result<Mempool, PoolError> {
        let owned = name.to_owned();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(allowed) {
            return Err(PoolError::Name { name: owned, most: LONGEST_NAME });
        }
        if count == 0 {
            return Err(PoolError::Empty { name: owned });
        }
        if data_room <= HEADROOM {
            return Err(PoolError::DataRoom { name: owned, got: data_room, headroom: HEADROOM });
        }
        const ANY_NODE: i32 = -1;
        let cache = CACHE.min(count / 8);
        eal_log::forget_errors();
        // SAFETY: EAL is running (`eal`), the name is NUL-terminated and copied.
        let pool = unsafe {
            let name = c_string(name);
            dpdk_sys::rte_pktmbuf_pool_create(name.as_ptr(), count, cache, 0, data_room, ANY_NODE)
        };
        let Some(pool) = NonNull::new(pool) else {
            let wanted = estimated_bytes(count, data_room, eal.has_hugepages());
            return Err(create_error(owned, count, wanted));
        };
        Ok(Mempool(Arc::new(Inner { pool, name: owned, count, data_room, eal: eal.clone() })))
    }

    /// An empty mbuf with full headroom, or `None` when the pool is exhausted.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool lives as long as self; what comes back is a fresh mbuf that nobody
        // else has, with one reference.
        unsafe { NonNull::new(dpdk_sys::shim_mbuf_alloc(self.as_ptr())).map(|m| Mbuf::from_raw(m)) }
    }

    /// Appends `count` empty mbufs to the burst. All or, when the pool or the burst has less
    /// room, none and `false`.
    pub fn alloc_bulk(&self, burst: &mut Burst, count: usize) -> bool {
        if count > burst.remaining_capacity() {
            return false;
        }
        let mut fresh = [std::ptr::null_mut::<rte_mbuf>(); BURST];
        // SAFETY: room for BURST pointers, and count is at most that.
        let result = unsafe {
            dpdk_sys::shim_mbuf_alloc_bulk(self.as_ptr(), fresh.as_mut_ptr(), count as c_uint)
        };
        if result != 0 {
            return false;
        }
        for mbuf in fresh.into_iter().take(count).filter_map(NonNull::new) {
            // SAFETY: a fresh mbuf that nobody else has, with one reference.
            burst.push(unsafe { Mbuf::from_raw(mbuf) });
        }
        true
    }

    /// An mbuf that holds a copy of `bytes`, or `None` when there is none or they do not fit.
    pub fn copy_of(&self, bytes: &[u8]) -> Option<Mbuf> {
        let mut mbuf = self.alloc()?;
        mbuf.append(bytes.len())?.copy_from_slice(bytes);
        Some(mbuf)
    }

    /// Mbufs that are not out, those in workers' caches included. Slow, and an estimate while
    /// others allocate: for counters, not for decisions per packet.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives as long as self.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.as_ptr()) }
    }

    /// Mbufs in all.
    pub fn count(&self) -> u32 {
        self.0.count
    }

    /// Bytes of each mbuf's buffer, headroom included.
    pub fn data_room(&self) -> u16 {
        self.0.data_room
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Memory that the mbufs take up, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        unsafe extern "C" fn add(
            _: *mut rte_mempool,
            sum: *mut c_void,
            chunk: *mut dpdk_sys::rte_mempool_memhdr,
            _: c_uint,
        ) {
            // SAFETY: `sum` is the u64 below, `chunk` a live chunk of the pool.
            unsafe { *sum.cast::<u64>() += (*chunk).len as u64 };
        }
        let mut sum = 0u64;
        // SAFETY: the pool lives as long as self, and `sum` outlives the call.
        unsafe {
            dpdk_sys::rte_mempool_mem_iter(self.as_ptr(), Some(add), (&raw mut sum).cast());
        }
        sum
    }

    pub(super) fn as_ptr(&self) -> *mut rte_mempool {
        self.0.pool.as_ptr()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        self.eal.bury(DeadPool { pool: self.pool, count: self.count, name });
    }
}

/// A pool without an owner: nobody can allocate from it, packets only come back.
pub(super) struct DeadPool {
    pool: NonNull<rte_mempool>,
    count: u32,
    name: String,
}

// SAFETY: as for `Inner`.
unsafe impl Send for DeadPool {}

impl DeadPool {
    fn missing(&self) -> u32 {
        // SAFETY: the pool is freed in `free_if_whole` only, after which self is dropped.
        self.count.saturating_sub(unsafe { dpdk_sys::rte_mempool_avail_count(self.pool.as_ptr()) })
    }

    /// Frees the pool if all packets are back; `true` means that it is gone and self must go.
    /// The caller makes sure that no other thread has a cache in it (`State::reap`).
    pub fn free_if_whole(&self) -> bool {
        if self.missing() > 0 {
            return false;
        }
        // SAFETY: no handle and no packet is left, and no thread is in the middle of a `put`.
        unsafe { dpdk_sys::rte_mempool_free(self.pool.as_ptr()) };
        true
    }
}

impl fmt::Display for DeadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mbufs of mempool {:?} are still out", self.missing(), self.name)
    }
}

fn create_error(name: String, count: u32, wanted: u64) -> PoolError {
    const ENOMEM: i32 = 12;
    const EEXIST: i32 = 17;
    let errno = error::errno();
    match errno {
        EEXIST => PoolError::Exists { name },
        ENOMEM => PoolError::NoMemory { name, count, wanted_mib: wanted.div_ceil(1 << 20) },
        _ => PoolError::Create { name, errno, reason: error::reason(errno) },
    }
}
