//! XOR 32 bytes at a time.
#![allow(unsafe_code)] // intrinsics: loads and stores of unaligned vectors

use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256};

use super::portable;

/// Whether this CPU has AVX2.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// See [`super::Engine::xor`]. Only called when [`is_available`].
#[inline]
pub(super) fn xor(into: &mut [u8], from: &[u8]) {
    // SAFETY: an engine of this set is only made after `is_available` said yes.
    unsafe { xor_avx2(into, from) }
}

#[target_feature(enable = "avx2")]
fn xor_avx2(into: &mut [u8], from: &[u8]) {
    let len = into.len().min(from.len());
    let (into_vectors, into_rest) = into[..len].as_chunks_mut::<32>();
    let (from_vectors, from_rest) = from[..len].as_chunks::<32>();
    for (a, b) in into_vectors.iter_mut().zip(from_vectors) {
        let (a, b): (*mut __m256i, *const __m256i) = (a.as_mut_ptr().cast(), b.as_ptr().cast());
        // SAFETY: both point to 32 bytes, one borrowed mutably, the other shared; the `u` forms
        // need no alignment.
        unsafe {
            _mm256_storeu_si256(a, _mm256_xor_si256(_mm256_loadu_si256(a), _mm256_loadu_si256(b)))
        }
    }
    portable::xor(into_rest, from_rest);
}
