//! XOR 64 bytes, a cache line, at a time; what is left over with a mask.
#![allow(unsafe_code)] // intrinsics: loads and stores of unaligned vectors

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_storeu_si512, _mm512_xor_si512,
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
