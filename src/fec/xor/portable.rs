//! XOR eight bytes at a time, which compilers turn into whatever the baseline CPU offers.

/// See [`super::Engine::scatter`].
pub(super) fn scatter<const N: usize>(into: [&mut [u8]; N], from: &[u8]) {
    into.into_iter().for_each(|into| xor(into, from));
}

/// See [`super::Engine::enter`].
pub(super) fn enter<const N: usize>(
    sums: &mut [u8],
    size: usize,
    layers: [&[u32]; N],
    frames: &[&[u8]],
) {
    for (n, frame) in frames.iter().enumerate() {
        for layer in layers {
            let slot = &mut sums[layer[n] as usize * size..][..size];
            xor(&mut slot[..frame.len()], frame);
        }
    }
}

/// XORs `from` into `into`, which is as long.
pub(super) fn xor(into: &mut [u8], from: &[u8]) {
    let (into_words, into_rest) = into.as_chunks_mut::<8>();
    let (from_words, from_rest) = from.as_chunks::<8>();
    for (a, b) in into_words.iter_mut().zip(from_words) {
        *a = (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)).to_ne_bytes();
    }
    for (a, b) in into_rest.iter_mut().zip(from_rest) {
        *a ^= b;
    }
}

/// Bytes of the result that are summed at a time: they stay in the first cache.
const BLOCK: usize = 512;

/// See [`super::gather`].
pub(super) fn gather(into: &mut [u8], from: &[&[u8]], at: usize, add: bool) {
    for (n, into) in into.chunks_mut(BLOCK).enumerate() {
        let start = at + n * BLOCK;
        let end = start + into.len();
        let mut from = from.iter().map(|from| &from[start..end]);
        match (add, from.next()) {
            (false, Some(first)) => into.copy_from_slice(first),
            (false, None) => into.fill(0),
            (true, Some(first)) => scatter([into], first),
            (true, None) => {}
        }
        from.for_each(|from| scatter([into], from));
    }
}
