//! What a room that recovers sees of tracked flows: the far TCP's acknowledgements.

use netsync::AckWriter;

use super::filter::Filter;
use crate::wire::tcp::{Flag, Segment};

/// Reads acknowledgements out of frames on their way to the LAN.
pub struct Acks {
    filter: Filter,
    writer: AckWriter,
}

impl Acks {
    /// Of the flows that pass `filter`.
    pub fn new(filter: Filter, writer: AckWriter) -> Acks {
        Acks { filter, writer }
    }

    /// Looks at a frame, before it goes out on the LAN: readers rely upon being told before their
    /// kernel is.
    #[inline]
    pub fn look(&mut self, frame: &[u8]) {
        if self.filter.is_empty() {
            return;
        }
        // On its way back, a flow's local port is the destination.
        let segment = Segment::parse_if(frame, |from, to| self.filter.may_fit(to, from));
        let Some(segment) = segment.filter(|segment| segment.has(Flag::Ack)) else { return };
        if let Some(key) = self.filter.inbound(&segment)
            && let Some(place) = self.writer.find(&key)
        {
            self.writer.acknowledge(&place, segment.ack);
        }
    }
}
