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
    // SAFETY: an engine of this set is only made after `is_available` said yes; each of `into` is
    // as long as `from` (asserted by the caller).
    unsafe { scatter_avx2(into.map(<[u8]>::as_mut_ptr), from) }
}

/// See [`super::Engine::enter`]. Only called when [`is_available`].
#[inline]
pub(super) fn enter<const N: usize>(
    sums: &mut [u8],
    size: usize,
    layers: [&[u32]; N],
    frames: &[&[u8]],
) {
    // SAFETY: as above.
    unsafe { enter_avx2(sums, size, layers, frames) }
}

#[target_feature(enable = "avx2")]
fn enter_avx2<const N: usize>(sums: &mut [u8], size: usize, layers: [&[u32]; N], frames: &[&[u8]]) {
    let layers = layers.map(|layer| &layer[..frames.len()]);
    let (slots, sums) = (sums.len() / size, sums.as_mut_ptr());
    for (n, frame) in frames.iter().enumerate() {
        let slots_of_frame = layers.map(|layer| layer[n] as usize);
        assert!(slots_of_frame.iter().all(|&slot| slot < slots), "a slot lies within");
        assert!(frame.len() <= size, "a frame is no longer than a slot");
        // SAFETY: within `sums`, which is borrowed mutably and has `slots` times `size` bytes. That
        // two pointers may be the same does no harm, since each is loaded and stored in turn.
        unsafe { scatter_avx2(slots_of_frame.map(|slot| sums.add(slot * size)), frame) };
    }
}

/// # Safety
/// Each of `into` points to as many bytes as `from` has, which may be read and written.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn scatter_avx2<const N: usize>(into: [*mut u8; N], from: &[u8]) {
    let whole = from.len() - from.len() % WIDTH;
    for at in (0..whole).step_by(WIDTH) {
        // SAFETY: `at + WIDTH` is at most the length of `from`, which each of `into` has too; the
        // `u` forms need no alignment.
        unsafe {
            let bytes = _mm256_loadu_si256(from.as_ptr().add(at).cast());
            for into in into {
                let place = into.add(at).cast::<__m256i>();
                _mm256_storeu_si256(place, _mm256_xor_si256(_mm256_loadu_si256(place), bytes));
            }
        }
    }
    for into in into {
        // SAFETY: what is left of it, and no other slice of it exists meanwhile.
        let rest = unsafe { std::slice::from_raw_parts_mut(into.add(whole), from.len() - whole) };
        portable::xor(rest, &from[whole..]);
    }
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
