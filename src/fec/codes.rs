//! A code made ready for an encoder: what a change of the code takes, and gives back.

use super::code::Code;
use super::encoder::{CodeSet, EncoderConfig};
use super::layer::LayerState;
use super::timing::Timing;

/// The bit of a code's id that is set for the code for sparse traffic. The others count the changes
/// of the code, modulo 128.
pub const SPARSE_ID: u8 = 1;

/// How many sums an encoder keeps for a code at most; nearly all of its memory is these.
pub fn sums(code: &Code) -> usize {
    CodeSet::sums(code)
}

/// The memory of a code and its short code, with nothing in it: built by whoever may allocate,
/// handed to [`super::Encoder::switch`], and handed back by
/// [`super::Encoder::take_retired`] once all of its groups are out.
pub struct Codes {
    /// The code for dense traffic, then that for sparse traffic.
    pub(super) sets: Vec<CodeSet>,
    pub(super) timing: Timing,
    pub(super) max_frame: usize,
}

impl Codes {
    /// All memory is allocated here.
    pub fn new(config: &EncoderConfig) -> Codes {
        let set = |code: &Code| CodeSet::new(code, config.max_frame, config.engine);
        let codes = [Some(&config.code), config.sparse.as_ref()];
        let mut codes = Codes {
            sets: codes.into_iter().flatten().map(set).collect(),
            timing: config.timing.clone(),
            max_frame: config.max_frame,
        };
        codes.number(0);
        codes
    }

    /// Gives the sets their ids: after so many changes of the code.
    pub(super) fn number(&mut self, generation: u8) {
        for (sparse, set) in (0..).zip(&mut self.sets) {
            set.id = generation << 1 | sparse;
        }
    }

    /// The largest span of its codes, in packets.
    pub fn span(&self) -> u64 {
        let layers = self.sets.iter().flat_map(|set| &set.layers);
        layers.map(LayerState::span).max().unwrap_or(0)
    }

    /// The span of each layer of the code for dense traffic, or of that for sparse traffic.
    pub fn layer_spans(&self, sparse: bool) -> impl Iterator<Item = u64> {
        let set = self.sets.get(usize::from(sparse)).or(self.sets.first());
        set.into_iter().flat_map(|set| set.layers.iter().map(LayerState::span))
    }

    /// How many bins there are in all.
    pub(super) fn bins(&self) -> usize {
        self.sets.iter().flat_map(|set| &set.layers).map(LayerState::bins).sum()
    }

    /// Whether nothing is open, held back or yet to be taken.
    pub(super) fn is_out(&mut self) -> bool {
        self.sets.iter_mut().all(|set| set.is_idle() && !set.is_due())
    }
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Codes of {} sums", self.bins())
    }
}
