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

/// What levels are worth while the code changes from one to another, and until all that is in flight
/// left under the new one: true of packets with repairs of either and of both. Of k repairs at least
/// half are of one code, rounded up, and the others do no harm.
///
/// To be published before the first repair of the new code leaves; what the new code's levels are worth
/// alone may be published once the old one was handed back
/// ([`crate::gateway::Protect::take_retired_code`]) and all that had been sent by then is acknowledged
/// or has left its flow.
pub fn changing(old: &Worth, new: &Worth) -> Worth {
    mixed(&[*old, *new])
}

/// What levels are worth while packets are in flight of several codes, of which no packet has repairs of
/// more than two: see [`changing`]. Of one code alone, what that is worth.
pub fn mixed(codes: &[Worth]) -> Worth {
    if let [only] = codes {
        return *only;
    }
    let worst = |class: usize, level: usize| codes.iter().map(|w| w[class][level]).reduce(f64::max);
    std::array::from_fn(|class| {
        // Level numbers begin at 1: half of level + 1 repairs, rounded up.
        std::array::from_fn(|level| worst(class, level / 2).unwrap_or(1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_promises_no_more_than_either_code_with_half_of_the_repairs() {
        let loss = Some(Loss::Iid { rate: 1e-3 });
        let [old, new] = ["20:97,101,103+g1", "64:97,101,103,107+g1"].map(|text| {
            let code: Code = text.parse().unwrap();
            bounds(&code, Some(&code.short()), 4.0, loss)
        });
        let both = changing(&old, &new);
        for (class, level) in
            (0..CLASSES).flat_map(|class| (0..MAX_LEVELS).map(move |l| (class, l)))
        {
            let [old, new] = [&old, &new].map(|worth| worth[class]);
            assert!(both[class][level] >= old[level].max(new[level]));
            assert_eq!(both[class][level], old[level / 2].max(new[level / 2]));
        }
        assert_eq!(changing(&old, &UNKNOWN_LINK), UNKNOWN_LINK);
        assert_eq!((mixed(&[old]), mixed(&[old, new, old])), (old, both));
    }

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
