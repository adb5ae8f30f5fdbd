//! Memory for one frame, where vectors can be at their best: ISA-L wants it aligned.

/// Bytes of a long frame.
pub const LONG: usize = 1500;

/// Room for a frame.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Buffer(pub [u8; LONG.next_multiple_of(64)]);

impl Buffer {
    /// A long frame, different for each `n`.
    pub fn new(n: usize) -> Buffer {
        let factor = 2_654_435_761usize.wrapping_add(2 * n);
        Buffer(std::array::from_fn(|at| (at.wrapping_mul(factor) >> 13) as u8))
    }

    /// Its first `len` bytes.
    pub fn frame(&self, len: usize) -> &[u8] {
        &self.0[..len]
    }
}
