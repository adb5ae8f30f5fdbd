//! `xor_gen` of Intel's storage acceleration library, the yardstick of XOR engines.
#![allow(unsafe_code)] // a C function

use std::ffi::{c_int, c_void};
use std::ptr::{from_mut, from_ref};

use super::buffer::Buffer;

#[link(name = "isal")]
unsafe extern "C" {
    /// Makes the last of `count` buffers the XOR of the others; not 0 if it can't.
    fn xor_gen(count: c_int, len: c_int, buffers: *mut *mut c_void) -> c_int;
}

/// Makes the last of `buffers` the XOR of the others, `len` bytes of it.
///
/// # Panics
/// If there are fewer than three, or they are shorter than `len`.
#[inline]
pub fn gather(buffers: &mut [&mut Buffer], len: usize) {
    assert!(buffers.len() >= 3 && len <= size_of::<Buffer>(), "three buffers, long enough");
    // SAFETY: references are pointers, to live buffers of `len` bytes at least, which are ours alone.
    let result =
        unsafe { xor_gen(buffers.len() as c_int, len as c_int, buffers.as_mut_ptr().cast()) };
    assert_eq!(result, 0, "xor_gen refuses");
}

/// XORs `len` bytes of `from` into `into`.
///
/// # Panics
/// If they are shorter.
#[inline]
pub fn add(into: &mut Buffer, from: &Buffer, len: usize) {
    assert!(len <= size_of::<Buffer>(), "long enough");
    let into = from_mut(into).cast::<c_void>();
    let from = from_ref(from).cast_mut().cast::<c_void>();
    // SAFETY: as above, and only the last is written; each byte is read before, so that the result may be a
    // source.
    let result = unsafe { xor_gen(3, len as c_int, [into, from, into].as_mut_ptr()) };
    assert_eq!(result, 0, "xor_gen refuses");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_sum() {
        let mut all: Vec<Buffer> = (0..4).map(Buffer::new).collect();
        let before = all.clone();
        gather(&mut all.iter_mut().collect::<Vec<_>>(), 1500);
        for at in 0..1500 {
            assert_eq!(all[3].0[at], before[0].0[at] ^ before[1].0[at] ^ before[2].0[at]);
        }
        let [a, b] = all.get_disjoint_mut([0, 1]).unwrap();
        add(a, b, 1500);
        for at in 0..1500 {
            assert_eq!(all[0].0[at], before[0].0[at] ^ before[1].0[at]);
        }
    }
}
