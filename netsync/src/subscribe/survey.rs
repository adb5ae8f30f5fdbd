//! All that a gateway says, for whoever watches it: an operator, not a storage process.
//!
//! Numbers are as the gateway has them: nothing is anchored, and nothing here is to be waited by.

use std::sync::Arc;

use super::attachment::Attachment;
use super::{Subscriber, WaitError};
use crate::entry::{Entry, entry};
use crate::layout::{BEAT, CLASSES, MAX_LEVELS, STATE};
use crate::{FlowKey, State};

/// A gateway, at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Another whenever it was restarted.
    pub epoch: u64,
    /// Its process id, as itself sees it.
    pub pid: u64,
    /// How many workers it has, each with a ring of notices and a table of flows.
    pub workers: usize,
    /// Notices of a ring.
    pub ring: usize,
    /// Flows of a worker's table.
    pub flows: usize,
    /// In which state it protects.
    pub state: State,
    /// How often that has changed.
    pub transitions: u64,
    /// When it did so last; 0 when never.
    pub since_ns: u64,
    /// When it last said that it lives.
    pub heartbeat_ns: u64,
    /// Once that is longer ago, it is dead.
    pub heartbeat_timeout_ns: u64,
}

/// A tracked flow, at one instant. Offsets count from the first byte behind its SYN, or, of an
/// unanchored one, from an arbitrary byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStatus {
    /// In whose table it is.
    pub worker: usize,
    /// Which entry of that table, as notices name it.
    pub slot: u32,
    /// Of the flow, as notices name it.
    pub generation: u64,
    /// Its two ends.
    pub key: FlowKey,
    /// It was picked up in mid-stream.
    pub unanchored: bool,
    /// An RST was seen.
    pub reset: bool,
    /// A FIN or an RST was seen.
    pub ended: bool,
    /// When it was first seen.
    pub opened_ns: u64,
    /// Bytes below this offset have left.
    pub sent: u64,
    /// Packets of it that are in flight.
    pub in_flight: u64,
    /// Bytes below this offset are acknowledged; none before the first acknowledgement.
    pub acked: Option<u64>,
    /// For level 1, 2, … 8: bytes below this offset are covered by so many repairs that have left.
    pub levels: [u64; MAX_LEVELS],
    /// For each [`crate::Class`] of repairs: up to where any of them cover bytes.
    pub class_to: [u64; CLASSES],
}

/// The flows that a gateway tracks, table by table: a look at each as the iterator gets there.
#[derive(Debug)]
pub struct Flows {
    attachment: Arc<Attachment>,
    next: (usize, usize),
}

impl Subscriber {
    /// What the gateway says of itself.
    pub fn status(&self) -> Result<Status, WaitError> {
        let attachment = self.attachment()?;
        let header = attachment.header();
        let [beat, state] = [BEAT, STATE].map(|line| &attachment.memory().lines()[line].0);
        Ok(Status {
            epoch: header.epoch,
            pid: header.pid,
            workers: header.geometry.workers,
            ring: header.geometry.ring,
            flows: header.geometry.flows,
            state: attachment.state(),
            transitions: attachment.transitions(),
            since_ns: state[2].get(),
            heartbeat_ns: beat[0].get(),
            heartbeat_timeout_ns: header.heartbeat_timeout_ns,
        })
    }

    /// All flows in its tables, ended ones too as long as no other has taken their place.
    pub fn flows(&self) -> Result<Flows, WaitError> {
        Ok(Flows { attachment: self.attachment()?, next: (0, 0) })
    }

    /// The flow in an entry, if there is one; for whoever has read a notice of it.
    pub fn flow_at(&self, worker: usize, slot: u32) -> Result<Option<FlowStatus>, WaitError> {
        Ok(look(&*self.attachment()?, worker, slot as usize))
    }
}

impl Iterator for Flows {
    type Item = FlowStatus;

    fn next(&mut self) -> Option<FlowStatus> {
        let geometry = self.attachment.header().geometry;
        while self.next.0 < geometry.workers {
            let (worker, slot) = self.next;
            self.next =
                if slot + 1 < geometry.flows { (worker, slot + 1) } else { (worker + 1, 0) };
            if let Some(flow) = look(&self.attachment, worker, slot) {
                return Some(flow);
            }
        }
        None
    }
}

/// Looks at an entry that its writer comes to between two looks, at most.
const LOOKS: u32 = 100;

fn look(attachment: &Attachment, worker: usize, slot: usize) -> Option<FlowStatus> {
    let geometry = &attachment.header().geometry;
    if worker >= geometry.workers || slot >= geometry.flows {
        return None;
    }
    let entry = entry(attachment.memory(), geometry, worker, slot);
    for _ in 0..LOOKS {
        if entry.generation().get() == 0 {
            return None;
        }
        if let Some(flow) = read(&entry, worker, slot) {
            return Some(flow);
        }
        std::hint::spin_loop();
    }
    None
}

/// None when the entry is being changed.
fn read(entry: &Entry<'_>, worker: usize, slot: usize) -> Option<FlowStatus> {
    let identity = entry.identity()?;
    let sample = entry.sample(identity.generation)?;
    Some(FlowStatus {
        worker,
        slot: slot as u32,
        generation: identity.generation,
        key: identity.key,
        unanchored: identity.unanchored,
        reset: sample.reset,
        ended: sample.ended,
        opened_ns: identity.opened_ns,
        sent: sample.sent,
        in_flight: sample.in_flight,
        acked: sample.acked,
        levels: sample.levels,
        class_to: sample.class_to,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::connect;
    use super::*;
    use crate::layout::Geometry;
    use crate::{Class, Closed, Segment, SegmentConfig, Server, ServerConfig, now_ns};

    fn key(port: u16) -> FlowKey {
        FlowKey::v4([10, 0, 0, 1], port, [10, 0, 0, 2], 5432)
    }

    fn served() -> (tempfile::TempDir, Segment, Server, Subscriber) {
        let dir = tempfile::tempdir().unwrap();
        let geometry = Geometry { workers: 2, ack_writers: 1, ring: 4, flows: 8 };
        let heartbeat_timeout = std::time::Duration::from_secs(3600);
        let segment = Segment::create(&SegmentConfig { geometry, heartbeat_timeout }).unwrap();
        let config = ServerConfig { path: dir.path().join("socket"), mode: 0o600, group: None };
        let server = Server::start(&config, segment.file.try_clone().unwrap()).unwrap();
        let subscriber = connect(&config.path).unwrap();
        (dir, segment, server, subscriber)
    }

    #[test]
    fn a_gateway_says_who_it_is() {
        let (_dir, mut segment, _server, subscriber) = served();
        let status = subscriber.status().unwrap();
        assert_eq!((status.epoch, status.workers), (segment.control.epoch(), 2));
        assert_eq!((status.pid, status.ring, status.flows), (std::process::id().into(), 4, 8));
        assert_eq!((status.state, status.transitions, status.since_ns), (State::PROTECTED, 0, 0));
        assert!(now_ns() - status.heartbeat_ns < status.heartbeat_timeout_ns);
        segment.control.set_state(State::BYPASSED, 77);
        let status = subscriber.status().unwrap();
        assert_eq!((status.state, status.transitions, status.since_ns), (State::BYPASSED, 1, 77));
    }

    #[test]
    fn all_flows_are_found() {
        let (_dir, mut segment, _server, subscriber) = served();
        assert_eq!(subscriber.flows().unwrap().count(), 0);
        let mut slots = Vec::new();
        for port in 1..=6 {
            let worker = usize::from(port % 2);
            let open = segment.workers[worker].open(&key(port), 9, port == 5, port.into());
            slots.push((worker, open.slot));
        }
        let (worker, slot) = slots[2];
        let writer = &mut segment.workers[worker];
        writer.sent(slot, 900, 4, 0);
        writer.class_to(slot, Class::Sparse, 800);
        writer.level(slot, 1, 800);
        writer.level(slot, 2, 700);
        writer.close(slots[0].1, Closed::Rst);
        segment.workers[0].close(slots[1].1, Closed::Fin);
        let place = segment.acks[0].find(&key(3)).unwrap();
        segment.acks[0].acknowledge(&place, 9 + 600);

        let mut flows: Vec<FlowStatus> = subscriber.flows().unwrap().collect();
        flows.sort_by_key(|flow| flow.opened_ns);
        let keys: Vec<_> = flows.iter().map(|flow| flow.key).collect();
        assert_eq!(keys, (1..=6).map(key).collect::<Vec<_>>());
        let told = |flow: &FlowStatus| (flow.reset, flow.ended, flow.unanchored);
        assert_eq!(told(&flows[0]), (true, true, false));
        assert_eq!(told(&flows[1]), (false, true, false));
        assert_eq!(told(&flows[4]), (false, false, true));
        let third = &flows[2];
        assert_eq!((third.sent, third.in_flight, third.acked), (900, 4, Some(600)));
        assert_eq!(
            (third.levels[..3].to_vec(), third.class_to),
            (vec![800, 700, 0], [0, 800, 0, 0])
        );
        assert_eq!((third.slot, third.generation), (slot.index(), slot.generation()));
        assert_eq!(flows[3].acked, None);
        assert_eq!(subscriber.flow_at(worker, third.slot), Ok(Some(third.clone())));
        assert_eq!(subscriber.flow_at(2, 0), Ok(None));
        assert_eq!(subscriber.flow_at(0, u32::MAX), Ok(None));
    }
}
