//! XOR 32 bytes at a time.
#![allow(unsafe_code)] // intrinsics: loads and stores of unaligned vectors

use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256};

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
