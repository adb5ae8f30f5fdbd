//! XOR 32 bytes at a time.
#![allow(unsafe_code)] // intrinsics: loads and stores of unaligned vectors

use std::arch::x86_64::{
    __m256i, _mm256_loadu_si256, _mm256_setzero_si256, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::portable;

const WIDTH: usize = size_of::<__m256i>();

/// Whether this CPU has AVX2.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// See [`super::Engine::scatter`]. Only called when [`is_available`].
#[inline]
pub(super) fn scatter<const N: usize>(into: [&mut [u8]; N], from: &[u8]) {
    // SAFETY: an engine of this set is only made after `is_available` said yes.
    unsafe { scatter_avx2(into, from) }
}

#[target_feature(enable = "avx2")]
fn scatter_avx2<const N: usize>(mut into: [&mut [u8]; N], from: &[u8]) {
    let whole = from.len() - from.len() % WIDTH;
    for at in (0..whole).step_by(WIDTH) {
        // SAFETY: `at + WIDTH` is at most the length of `from`, which is that of each of `into`
        // (asserted by the caller); the `u` forms need no alignment.
        unsafe {
            let bytes = _mm256_loadu_si256(from.as_ptr().add(at).cast());
            for into in &mut into {
                let place = into.as_mut_ptr().add(at).cast::<__m256i>();
                _mm256_storeu_si256(place, _mm256_xor_si256(_mm256_loadu_si256(place), bytes));
            }
        }
    }
    portable::scatter(into.map(|into| &mut into[whole..]), &from[whole..]);
}

/// Vectors of the result that are summed at a time, in registers: half of those there are.
const BLOCK: usize = 8;

/// See [`super::gather`]. Only called when [`is_available`], and when every one of `from` reaches to
/// `at + into.len()` at least.
#[inline]
pub(super) fn gather(into: &mut [u8], from: &[&[u8]], at: usize, add: bool) {
    // SAFETY: an engine of this set is only made after `is_available` said yes; the caller vouches
    // for the lengths.
    unsafe { gather_avx2(into, from, at, add) }
}

/// # Safety
/// Every one of `from` has `at + into.len()` bytes.
#[target_feature(enable = "avx2")]
unsafe fn gather_avx2(into: &mut [u8], from: &[&[u8]], at: usize, add: bool) {
    let mut done = 0;
    // SAFETY: what is summed ends at `into.len()` at most, and every source has as many bytes from
    // `at` on.
    unsafe {
        while done + BLOCK * WIDTH <= into.len() {
            sum::<BLOCK>(into.as_mut_ptr().add(done), from, at + done, add);
            done += BLOCK * WIDTH;
        }
        while done + WIDTH <= into.len() {
            sum::<1>(into.as_mut_ptr().add(done), from, at + done, add);
            done += WIDTH;
        }
    }
    portable::gather(&mut into[done..], from, at + done, add);
}

/// # Safety
/// `N` vectors at `into`, and at `at` in every one of `from`, are there to be written and read.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn sum<const N: usize>(into: *mut u8, from: &[&[u8]], at: usize, add: bool) {
    let into = into.cast::<__m256i>();
    let mut sums = [_mm256_setzero_si256(); N];
    // SAFETY: as the caller vouches; the `u` forms need no alignment.
    unsafe {
        if add {
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_loadu_si256(into.add(n));
            }
        }
        for from in from {
            let from = from.as_ptr().add(at).cast::<__m256i>();
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_xor_si256(*sum, _mm256_loadu_si256(from.add(n)));
            }
        }
        for (n, sum) in sums.iter().enumerate() {
            _mm256_storeu_si256(into.add(n), *sum);
        }
    }
}
