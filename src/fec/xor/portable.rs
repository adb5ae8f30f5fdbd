//! XOR eight bytes at a time, which compilers turn into whatever the baseline CPU offers.

/// See [`super::Engine::xor`].
pub(super) fn xor(into: &mut [u8], from: &[u8]) {
    let len = into.len().min(from.len());
    let (into_words, into_rest) = into[..len].as_chunks_mut::<8>();
    let (from_words, from_rest) = from[..len].as_chunks::<8>();
    for (a, b) in into_words.iter_mut().zip(from_words) {
        *a = (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)).to_ne_bytes();
    }
    for (a, b) in into_rest.iter_mut().zip(from_rest) {
        *a ^= b;
    }
}
