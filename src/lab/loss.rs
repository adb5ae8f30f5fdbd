//! Loss models: which packets the emulated WAN takes.
//!
//! * **What this room does:** reads and writes a loss model's name, and says of each wire packet
//!   in turn whether it is lost.
//! * **Who feeds it:** the command line, the configuration, and tests that rebuild loss tables.
//! * **Whom it feeds:** `lab::link`, and any simulation of a code without a link.
//! * **Which thread runs it:** the parser the main thread, a [`LossProcess`] whichever owns it.
//! * **What it must not do:** look at a packet, a clock or a queue: what is lost depends on the
//!   model, the seed, the direction and the wire index alone. Only the parser of `drop:FILE`
//!   touches a file.

mod parse;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use super::dice::{Chance, Dice, Purpose};
use crate::safety::link::Loss;

pub use parse::LossError;

/// How packets are lost. Written and read as
/// `none | iid:P | ge:RATE,MEANBURST | drop:FILE | burst:START,LENGTH`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LossModel {
    /// Nothing is lost.
    #[default]
    None,
    /// Each packet is lost with probability `rate`, independently.
    Iid {
        /// In 0..1.
        rate: f64,
    },
    /// Gilbert–Elliott: two states, every packet of the bad one is lost and none of the good
    /// one; the chain steps once per wire packet and starts in its stationary distribution.
    Ge {
        /// The share of packets lost in the long run, in 0..1.
        rate: f64,
        /// The mean length of a run of losses, in packets, at least 1; lengths are geometric.
        mean_burst: f64,
    },
    /// Exactly the packets that a file lists are lost.
    Drop {
        /// Where the list came from.
        file: PathBuf,
        /// The wire indices, ascending, each once.
        indices: Arc<[u64]>,
    },
    /// One burst: `length` packets from wire index `start`.
    Burst {
        /// The first packet lost.
        start: u64,
        /// How many are lost.
        length: u64,
    },
}

impl LossModel {
    /// The same as the redundancy model has it, if it says what to expect of any packet.
    pub fn in_general(&self) -> Option<Loss> {
        match *self {
            LossModel::None => Some(Loss::Iid { rate: 0.0 }),
            LossModel::Iid { rate } => Some(Loss::Iid { rate }),
            LossModel::Ge { rate, mean_burst } => Some(Loss::Ge { rate, mean_burst }),
            LossModel::Drop { .. } | LossModel::Burst { .. } => None,
        }
    }
}

/// A loss model at work: asked once for each wire packet, in order, from index 0.
#[derive(Clone, Debug)]
pub struct LossProcess {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    None,
    Iid { dice: Dice, loss: Chance },
    Ge { dice: Dice, bad: bool, enter: Chance, stay: Chance },
    Drop { indices: Arc<[u64]>, index: u64, passed: usize },
    Burst { start: u64, length: u64, index: u64 },
}

impl LossProcess {
    /// Starts `model` at wire index 0.
    ///
    /// The model should have passed [`LossModel::check`]; one that would not is no danger, but
    /// its probabilities are cut to 0..=1.
    pub fn new(model: &LossModel, seed: u64, direction: u8) -> LossProcess {
        let dice = Dice::new(seed, direction, Purpose::Loss);
        let kind = match *model {
            LossModel::None => Kind::None,
            LossModel::Iid { rate } => Kind::Iid { dice, loss: Chance::new(rate) },
            LossModel::Ge { rate, mean_burst } => gilbert_elliott(dice, rate, mean_burst),
            LossModel::Drop { ref indices, .. } => {
                Kind::Drop { indices: Arc::clone(indices), index: 0, passed: 0 }
            }
            LossModel::Burst { start, length } => Kind::Burst { start, length, index: 0 },
        };
        LossProcess { kind }
    }

    /// Whether the next wire packet is lost.
    #[inline]
    pub fn lost(&mut self) -> bool {
        match &mut self.kind {
            Kind::None => false,
            Kind::Iid { dice, loss } => dice.hit(*loss),
            Kind::Ge { dice, bad, enter, stay } => {
                let chance = if *bad { *stay } else { *enter };
                *bad = dice.hit(chance);
                *bad
            }
            Kind::Drop { indices, index, passed } => {
                let lost = indices.get(*passed) == Some(index);
                *passed += usize::from(lost);
                *index += 1;
                lost
            }
            Kind::Burst { start, length, index } => {
                let lost = *index >= *start && *index - *start < *length;
                *index += 1;
                lost
            }
        }
    }
}

/// The chain's transition probabilities from the two numbers that people know.
///
/// In the bad state the chain goes on with probability s and leaves with 1 − s, so a burst's
/// length is geometric with mean B = 1/(1 − s): **1 − s = 1/B**.
/// With e the probability of entering the bad state from the good one, the stationary share of
/// the bad state L satisfies L·(1 − s) = (1 − L)·e: **e = L / ((1 − L)·B)**.
/// For e to be a probability, L ≤ B/(B + 1): mostly-lost links need long bursts.
fn gilbert_elliott(mut dice: Dice, rate: f64, mean_burst: f64) -> Kind {
    // One draw of the stationary distribution; packet 0 is then one step on, which keeps it so.
    let bad = dice.hit(Chance::new(rate));
    let enter = Chance::new(rate / ((1.0 - rate) * mean_burst));
    let stay = Chance::new(1.0 - 1.0 / mean_burst);
    Kind::Ge { dice, bad, enter, stay }
}
