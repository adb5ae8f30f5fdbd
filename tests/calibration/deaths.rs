//! One death: what is on the wire arrives or is lost, and the decoder makes of it what it can.

use std::ops::Range;

use crate::channel::{How, Packet, Random, Receiver, frame_of};
use crate::losses::Chain;
use crate::stream::Stream;

/// Whether the update is whole at the far side when nothing follows wire packet `death`. `known`
/// is a packet of it that is known to be lost. What is more than `reach` packets older than the
/// update plays no part.
pub fn is_whole(
    stream: &Stream,
    update: &Range<usize>,
    death: usize,
    reach: usize,
    chain: &Chain,
    known: Option<usize>,
    random: &mut Random,
) -> bool {
    let start = stream.sources[update.start.saturating_sub(reach)];
    let known = known.map(|packet| stream.sources[packet] - start);
    let lost = chain.draw(random, death + 1 - start, known);
    let mut missing = update.clone().filter(|&p| lost[stream.sources[p] - start]).count();
    if missing == 0 {
        return true;
    }
    let packets = stream.sources.partition_point(|&at| at <= death) - update.start + reach;
    let mut receiver = Receiver::new(2 * packets);
    let arrived = stream.wire[start..=death].iter().zip(&lost).filter(|&(_, &lost)| !lost);
    let arrived: Vec<Packet> = arrived.map(|(packet, _)| packet.clone()).collect();
    for burst in arrived.chunks(32) {
        receiver.burst(burst.iter().cloned(), |seq, frame, how| {
            if how == How::Rebuilt {
                assert_eq!(frame, &*frame_of(seq));
                missing -= usize::from(update.contains(&(seq as usize)));
            }
            true
        });
    }
    missing == 0
}
