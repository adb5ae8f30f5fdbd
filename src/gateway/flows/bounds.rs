//! What a code's levels are worth on a link.

use netsync::layout::{CLASSES, MAX_LEVELS};

use crate::fec::Code;
use crate::safety::link::{Link, Loss};
use crate::safety::model::Bounds;

/// For each class of repairs and each level, the probability, at most, that a packet in flight of
/// which so many repairs have left is never recovered.
pub type Worth = [[f64; MAX_LEVELS]; CLASSES];

/// Nothing can be promised: readers may wait for levels and acknowledgements, and no probability is
/// ever reached but by acknowledgement.
pub const UNKNOWN_LINK: Worth = [[1.0; MAX_LEVELS]; CLASSES];

/// What the levels of a pair of codes are worth on a link that loses no more than `link`; nothing,
/// where that is not known. Takes up to some hundred milliseconds.
///
/// What a flush sends is modelled as it is when `flush_cap` lets every layer flush; below that, nothing
/// is promised of it.
pub fn bounds(dense: &Code, sparse: Option<&Code>, flush_cap: f64, link: Option<Loss>) -> Worth {
    let Some(loss) = link else { return UNKNOWN_LINK };
    let mut worth = Bounds::new(dense, sparse, &Link::new(loss)).per_packet;
    let layers = [Some(dense), sparse].into_iter().flatten().map(|code| code.layers().len()).max();
    if layers.is_some_and(|layers| flush_cap < layers as f64) {
        let [_, _, dense_flushed, sparse_flushed] = &mut worth;
        (*dense_flushed, *sparse_flushed) = ([1.0; MAX_LEVELS], [1.0; MAX_LEVELS]);
    }
    worth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_levels_are_worth_more_and_an_unknown_link_nothing() {
        let code: Code = "20:97,101,103+g1".parse().unwrap();
        let short = code.short();
        let loss = Some(Loss::Iid { rate: 1e-4 });
        assert_eq!(bounds(&code, Some(&short), 3.0, None), UNKNOWN_LINK);
        let worth = bounds(&code, Some(&short), 3.0, loss);
        assert!(
            worth[0][0] < 1e-5 && worth[0][2] < 1e-10 && worth[0][2] < worth[0][0],
            "{worth:?}"
        );
        let capped = bounds(&code, Some(&short), 2.0, loss);
        assert_eq!(capped[..2], worth[..2]);
        assert_eq!(capped[2..], UNKNOWN_LINK[2..]);
    }
}
