//! What one LAN brings, and when.

use crate::common::Random;
use crate::scenario::Pattern;

/// What one LAN brings.
pub struct Traffic {
    pub pattern: Pattern,
    pub next: u64,
    /// Frames of the train that are still to come.
    pub train: u64,
    pub random: Random,
}

impl Traffic {
    pub fn change(&mut self, now: u64, pattern: Pattern) {
        (self.pattern, self.train) = (pattern, 0);
        self.next = now;
        self.advance();
    }

    pub fn advance(&mut self) {
        let random = &mut self.random;
        self.next += match self.pattern {
            Pattern::Steady { gap } => gap,
            Pattern::Random { gap } => {
                let u = (random.below(1 << 24) + 1) as f64 / f64::from(1 << 24);
                (-u.ln() * gap as f64) as u64
            }
            Pattern::Trains { gap, .. } if self.train > 0 => {
                self.train -= 1;
                gap
            }
            Pattern::Trains { most, pause, .. } => {
                self.train = random.below(most);
                pause / 2 + random.below(pause)
            }
        };
    }
}
