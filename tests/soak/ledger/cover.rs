//! Which repairs of a packet have left.

/// The layers that a repair of a packet has left of: of the newest code that it has, and the one before,
/// whose groups may have been filled with it.
#[derive(Clone, Copy, Default)]
pub struct Cover {
    code: u8,
    layers: [u8; 2],
}

impl Cover {
    pub fn add(&mut self, code: u8, layer: u8) {
        if self.layers == [0; 2] {
            self.code = code;
        } else if code == self.code + 1 {
            *self = Cover { code, layers: [0, self.layers[0]] };
        }
        let before = self.code.checked_sub(code).expect("a code that is not in force yet");
        self.layers[usize::from(before)] |= 1 << layer;
    }

    /// Whether one of its codes protects it.
    pub fn is_full(&self, codes: &[u32]) -> bool {
        let of = |before: usize| codes.get(usize::from(self.code).wrapping_sub(before));
        let full = |before| of(before).is_some_and(|&c| self.layers[before].count_ones() >= c);
        full(0) || full(1)
    }
}
