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
    // SAFETY: an engine of this set is only made after `is_available` said yes.
    unsafe { scatter_avx512(into, from) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn scatter_avx512<const N: usize>(mut into: [&mut [u8]; N], from: &[u8]) {
    let rest = from.len() % WIDTH;
    let whole = from.len() - rest;
    for at in (0..whole).step_by(WIDTH) {
        // SAFETY: `at + WIDTH` is at most the length of `from`, which is that of each of `into`
        // (asserted by the caller); the `u` forms need no alignment.
        unsafe {
            let bytes = _mm512_loadu_si512(from.as_ptr().add(at).cast());
            for into in &mut into {
                let place = into.as_mut_ptr().add(at).cast::<__m512i>();
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
            for into in &mut into {
                let place = into.as_mut_ptr().add(whole).cast::<i8>();
                let sum = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, place), bytes);
                _mm512_mask_storeu_epi8(place, mask, sum);
            }
        }
    }
}
