//! A hint to the CPU to fetch bytes that will be XORed soon.
#![allow(unsafe_code)] // an intrinsic

/// Has all lines of `bytes` fetched as near as the core's second cache, which can wait for more lines
/// at a time than the first. Does nothing where there is no such hint.
#[inline]
pub fn fetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint, which reads nothing and does not fault; the address is that of a byte
        // that is borrowed.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
