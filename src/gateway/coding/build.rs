//! What takes too long for control's thread: a code made ready for the rooms, and what its levels are worth.

use crate::fec::{Codes, EncoderConfig};
use crate::gateway::flows::{UNKNOWN_LINK, Worth, bounds, mixed};
use crate::safety::link::Loss;

/// With more codes in flight than this, nothing is promised until some are out.
const MOST_CODES: usize = 6;

/// What is to be found for readers: what levels are worth on a link, with packets of these codes in flight.
#[derive(Clone, Debug)]
pub(super) struct Price {
    pub(super) codes: Vec<(EncoderConfig, Option<Worth>)>,
    pub(super) link: Option<Loss>,
}

/// What is to be done aside: a code made ready, or a price found, or both.
#[derive(Clone, Debug)]
pub struct Build {
    /// The code, and for how many rooms.
    pub(super) code: Option<(EncoderConfig, usize)>,
    pub(super) price: Option<Price>,
}

/// What came of it.
pub struct Built {
    pub(super) build: Build,
    #[allow(clippy::vec_box, reason = "rooms are given boxes")]
    pub(super) codes: Vec<Box<Codes>>,
}

impl Build {
    /// Takes up to some hundred milliseconds; on any thread.
    pub fn run(mut self) -> Built {
        if let Some(Price { codes, link }) = &mut self.price
            && codes.len() <= MOST_CODES
        {
            for (code, worth) in codes {
                let price =
                    || bounds(&code.code, code.sparse.as_ref(), code.timing.flush_cap, *link);
                worth.get_or_insert_with(price);
            }
        }
        let new = |(config, rooms): &(EncoderConfig, usize)| -> Vec<Box<Codes>> {
            (0..*rooms).map(|_| Box::new(Codes::new(config))).collect()
        };
        let codes = self.code.as_ref().map(new).unwrap_or_default();
        Built { build: self, codes }
    }
}

impl Price {
    /// What readers are told.
    pub(super) fn worth(&self) -> Worth {
        let known: Option<Vec<Worth>> = self.codes.iter().map(|(_, worth)| *worth).collect();
        known.map_or(UNKNOWN_LINK, |known| mixed(&known))
    }
}
