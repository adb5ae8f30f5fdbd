//! Losses drawn for a stretch of wire, if need be around a packet that is known to be lost.

use maelstrom::safety::Loss;

use crate::channel::Random;

/// A chain of two states that steps once a packet; independent losses are one too.
#[derive(Clone, Copy)]
pub struct Chain {
    pub rate: f64,
    enter: f64,
    stay: f64,
}

impl Chain {
    pub fn new(loss: Loss) -> Chain {
        let (rate, burst) = (loss.rate(), loss.mean_burst());
        Chain { rate, enter: rate / ((1.0 - rate) * burst), stay: 1.0 - 1.0 / burst }
    }

    fn step(&self, random: &mut Random, bad: bool) -> bool {
        random.hit(if bad { self.stay } else { self.enter })
    }

    /// Which of `length` packets are lost; the one at `known`, if given, is. A stationary chain of
    /// two states is the same backwards, so losses are drawn from there both ways.
    pub fn draw(&self, random: &mut Random, length: usize, known: Option<usize>) -> Vec<bool> {
        let mut lost = vec![false; length];
        let from = known.unwrap_or(0);
        lost[from] = known.is_some() || random.hit(self.rate);
        for at in from + 1..length {
            lost[at] = self.step(random, lost[at - 1]);
        }
        for at in (0..from).rev() {
            lost[at] = self.step(random, lost[at + 1]);
        }
        lost
    }
}
