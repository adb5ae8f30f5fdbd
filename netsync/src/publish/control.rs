//! What the control thread says: that the gateway lives, in which state, and by which code.

use std::sync::Arc;

use crate::State;
use crate::code::CodeLines;
use crate::entry::entry;
use crate::layout::{BEAT, CLASSES, Geometry, Header, MAX_LEVELS, STATE};
use crate::memory::Memory;

/// The lines of the control thread. When it is dropped, readers are told that the gateway stops.
#[derive(Debug)]
pub struct Control {
    memory: Arc<Memory>,
    epoch: u64,
    geometry: Geometry,
}

/// What a flow had sent and nobody had acknowledged when [`Control::in_flight`] was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    worker: usize,
    slot: usize,
    generation: u64,
    sent: u64,
}

impl Control {
    pub(crate) fn new(memory: Arc<Memory>, header: &Header) -> Control {
        Control { memory, epoch: header.epoch, geometry: header.geometry }
    }

    /// The segment's epoch: another for each segment.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Says that the gateway lives at `now` ([`crate::now_ns`]). Due every 10 ms, or ten times within
    /// the configured timeout.
    pub fn heartbeat(&mut self, now_ns: u64) {
        self.memory.lines()[BEAT].0[0].publish(now_ns);
    }

    /// Changes the state; returns what it was. To be called before what it says takes effect. The
    /// workers' rings are to be told too: [`crate::Notice::State`].
    pub fn set_state(&mut self, state: State, now_ns: u64) -> State {
        let [flags, transitions, since, ..] = &self.memory.lines()[STATE].0;
        let old = State(flags.own());
        if state != old {
            since.put(now_ns);
            transitions.publish(transitions.own() + 1);
            flags.publish(state.0);
        }
        old
    }

    /// Puts a code in force, with what its levels are worth: probabilities by class and level, 1
    /// where there is no such level. Returns its generation. To be called before the first repair of
    /// that code leaves: all waits on levels end. The workers' rings are to be told too.
    ///
    /// As long as bytes are in flight that were covered by an older code, the bounds must be true of
    /// those too.
    pub fn publish_code(
        &mut self,
        text: &str,
        levels: usize,
        bounds: &[[f64; MAX_LEVELS]; CLASSES],
    ) -> u64 {
        CodeLines(&self.memory).publish(text, levels, bounds)
    }

    /// What flows have published as sent and is not acknowledged: whoever changes what levels are worth
    /// waits until none of it is in flight any more.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let places = (0..self.geometry.workers)
            .flat_map(|worker| (0..self.geometry.flows).map(move |slot| (worker, slot)));
        places
            .filter_map(|(worker, slot)| {
                let entry = entry(&self.memory, &self.geometry, worker, slot);
                let generation = entry.identity()?.generation;
                let sample = entry.sample(generation)?;
                let flow = InFlight { worker, slot, generation, sent: sample.sent };
                (sample.acked.unwrap_or(0) < sample.sent).then_some(flow)
            })
            .collect()
    }

    /// Whether all of it is acknowledged, or its entry another flow's.
    pub fn is_over(&self, flow: &InFlight) -> bool {
        let &InFlight { worker, slot, generation, sent } = flow;
        let entry = entry(&self.memory, &self.geometry, worker, slot);
        match entry.identity() {
            Some(identity) if identity.generation == generation => {
                entry.sample(generation).is_some_and(|now| now.acked.is_some_and(|to| to >= sent))
            }
            Some(_) => true,
            // It is being changed.
            None => false,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let [flags, transitions, ..] = &self.memory.lines()[STATE].0;
        transitions.publish(transitions.own() + 1);
        flags.publish(flags.own() | State::STOPPING.0);
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use crate::{FlowKey, Segment, SegmentConfig};

    #[test]
    fn what_is_in_flight_is_over_when_it_is_acknowledged_or_another_flows() {
        let mut config = SegmentConfig::new(1, 1);
        config.geometry.flows = 2;
        let mut segment = Segment::create(&config).unwrap();
        let key = |port| FlowKey::v4([10, 0, 0, 1], port, [10, 0, 0, 2], 5432);
        let slots = [1, 2].map(|port| segment.workers[0].open(&key(port), 9, false, 0).slot);
        assert_eq!(segment.control.in_flight(), []);
        slots.iter().for_each(|&slot| segment.workers[0].sent(slot, 900, 4, 0));
        let all = segment.control.in_flight();
        assert_eq!(all.len(), 2);
        // What is sent later is another matter.
        segment.workers[0].sent(slots[0], 1800, 4, 0);
        let over =
            |segment: &Segment| all.iter().filter(|flow| segment.control.is_over(flow)).count();
        let place = segment.acks[0].find(&key(1)).unwrap();
        for (to, expected) in [(899, 0), (900, 1), (1500, 1)] {
            segment.acks[0].acknowledge(&place, 9 + to);
            assert_eq!(over(&segment), expected, "{to}");
        }
        segment.workers[0].open(&key(3), 9, false, 1);
        segment.workers[0].open(&key(4), 9, false, 1);
        assert_eq!(over(&segment), 2);
    }
}
