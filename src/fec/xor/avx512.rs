//! XOR 64 bytes, a cache line, at a time; what is left over with a mask.
#![allow(unsafe_code)] // intrinsics: loads and stores of unaligned vectors

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_setzero_si512, _mm512_storeu_si512, _mm512_xor_si512,
};

const WIDTH: usize = size_of::<__m512i>();

/// Whether this CPU has AVX-512 with byte masks.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// See [`super::Engine::scatter`]. Only called when [`is_available`].
#[inline]
pub(super) fn scatter<const N: usize>(into: [&mut [u8]; N], from: &[u8]) {
    // SAFETY: an engine of this set is only made after `is_available` said yes; each of `into` is
    // as long as `from` (asserted by the caller).
    unsafe { scatter_avx512(into.map(<[u8]>::as_mut_ptr), from) }
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
    unsafe { enter_avx512(sums, size, layers, frames) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn enter_avx512<const N: usize>(
    sums: &mut [u8],
    size: usize,
    layers: [&[u32]; N],
    frames: &[&[u8]],
) {
    let layers = layers.map(|layer| &layer[..frames.len()]);
    let (slots, sums) = (sums.len() / size, sums.as_mut_ptr());
    for (n, frame) in frames.iter().enumerate() {
        let slots_of_frame = layers.map(|layer| layer[n] as usize);
        assert!(slots_of_frame.iter().all(|&slot| slot < slots), "a slot lies within");
        assert!(frame.len() <= size, "a frame is no longer than a slot");
        // SAFETY: within `sums`, which is borrowed mutably and has `slots` times `size` bytes. That
        // two pointers may be the same does no harm, since each is loaded and stored in turn.
        unsafe { scatter_avx512(slots_of_frame.map(|slot| sums.add(slot * size)), frame) };
    }
}

/// # Safety
/// Each of `into` points to as many bytes as `from` has, which may be read and written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn scatter_avx512<const N: usize>(into: [*mut u8; N], from: &[u8]) {
    let rest = from.len() % WIDTH;
    let whole = from.len() - rest;
    for at in (0..whole).step_by(WIDTH) {
        // SAFETY: `at + WIDTH` is at most the length of `from`, which each of `into` has too; the
        // `u` forms need no alignment.
        unsafe {
            let bytes = _mm512_loadu_si512(from.as_ptr().add(at).cast());
            for into in into {
                let place = into.add(at).cast::<__m512i>();
                _mm512_storeu_si512(place, _mm512_xor_si512(_mm512_loadu_si512(place), bytes));
            }
        }
    }
    if rest > 0 {
        let mask = (1u64 << rest) - 1;
        // SAFETY: as above; bytes beyond the mask, which may lie beyond the buffers, are neither
        // read nor written.
        unsafe {
            let bytes = _mm512_maskz_loadu_epi8(mask, from.as_ptr().add(whole).cast());
            for into in into {
                let place = into.add(whole).cast::<i8>();
                let sum = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, place), bytes);
                _mm512_mask_storeu_epi8(place, mask, sum);
            }
        }
    }
}

/// Lines of the result that are summed at a time, in registers. Measured: more gain nothing.
const BLOCK: usize = 4;

/// See [`super::gather`]. Only called when [`is_available`], and when every one of `from` reaches to
/// `at + into.len()` at least.
#[inline]
pub(super) fn gather(into: &mut [u8], from: &[&[u8]], at: usize, add: bool) {
    // SAFETY: an engine of this set is only made after `is_available` said yes; the caller vouches
    // for the lengths.
    unsafe { gather_avx512(into, from, at, add) }
}

/// # Safety
/// Every one of `from` has `at + into.len()` bytes.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn gather_avx512(into: &mut [u8], from: &[&[u8]], at: usize, add: bool) {
    let rest = into.len() % (BLOCK * WIDTH);
    let whole = into.len() - rest;
    // SAFETY: what is summed ends at `into.len()`, the last line by its mask, and every source has
    // as many bytes from `at` on.
    unsafe {
        for done in (0..whole).step_by(BLOCK * WIDTH) {
            sum::<BLOCK>(into.as_mut_ptr().add(done), from, at + done, add, u64::MAX);
        }
        let place = into.as_mut_ptr().add(whole);
        // Of the last line, as many bytes as are left: 1 to 64.
        let mask = u64::MAX >> (rest.wrapping_neg() % WIDTH);
        match rest.div_ceil(WIDTH) {
            0 => {}
            1 => sum::<1>(place, from, at + whole, add, mask),
            2 => sum::<2>(place, from, at + whole, add, mask),
            3 => sum::<3>(place, from, at + whole, add, mask),
            _ => sum::<BLOCK>(place, from, at + whole, add, mask),
        }
    }
}

/// Sums up `N` lines, of the last one the bytes that `mask` names.
///
/// # Safety
/// Those bytes at `into`, and at `at` in every one of `from`, are there to be written and read.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn sum<const N: usize>(into: *mut u8, from: &[&[u8]], at: usize, add: bool, mask: u64) {
    let mut sums = [_mm512_setzero_si512(); N];
    // SAFETY: as the caller vouches; the `u` forms need no alignment, and bytes beyond a mask are
    // neither read nor written.
    unsafe {
        if add {
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = load::<N>(into, n, mask);
            }
        }
        for from in from {
            let from = from.as_ptr().add(at);
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_xor_si512(*sum, load::<N>(from, n, mask));
            }
        }
        for (n, &sum) in sums.iter().enumerate() {
            let place = into.add(n * WIDTH);
            if n + 1 < N {
                _mm512_storeu_si512(place.cast(), sum);
            } else {
                _mm512_mask_storeu_epi8(place.cast(), mask, sum);
            }
        }
    }
}

/// Line `n` of `N`, masked if it is the last.
///
/// # Safety
/// Its bytes, as the mask says, are there to be read.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn load<const N: usize>(from: *const u8, n: usize, mask: u64) -> __m512i {
    // SAFETY: as the caller vouches.
    unsafe {
        let place = from.add(n * WIDTH);
        if n + 1 < N {
            _mm512_loadu_si512(place.cast())
        } else {
            _mm512_maskz_loadu_epi8(mask, place.cast())
        }
    }
}
