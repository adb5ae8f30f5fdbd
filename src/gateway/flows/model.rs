//! The tracker against a slow model, which knows every byte of every packet and every repair.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use netsync::{AckWriter, Class, FlowKey, Segment, SegmentConfig};
use proptest::prelude::*;

use super::Acks;
use super::filter::{Filter, Rule};
use super::flow::LEVELS;
use super::tracker::{Tracker, TrackerConfig};
use crate::fec::{Members, Run};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// A TCP segment in a frame.
pub(super) fn frame(
    from: &str,
    to: &str,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let [from, to]: [SocketAddr; 2] = [from, to].map(|end| end.parse().unwrap());
    let mut tcp = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    tcp.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    tcp.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    tcp.extend(payload);
    let mut frame = vec![2; 12];
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + tcp.len() as u16).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            frame.extend([from.octets(), to.octets()].concat());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend([0x86, 0xDD, 0x60, 0, 0, 0]);
            frame.extend((tcp.len() as u16).to_be_bytes());
            frame.extend([6, 64]);
            frame.extend([from.octets(), to.octets()].concat());
        }
        _ => panic!("{from} and {to} are of two families"),
    }
    frame.extend(tcp);
    frame
}

/// A packet of a flow.
struct Packet {
    seq: u64,
    start: i64,
    end: i64,
}

/// All that is known of a flow since its SYN, or since it was picked up.
#[derive(Default)]
struct Flow {
    base_seq: u32,
    packets: Vec<Packet>,
    acked: u64,
}

/// What has happened to packets.
#[derive(Default)]
struct Model {
    flows: HashMap<u16, Flow>,
    repairs: HashMap<u64, usize>,
    left: u64,
}

impl Model {
    /// Below this offset, every byte was in some packet that has the level, or is acknowledged.
    fn truth(&self, flow: &Flow, level: usize) -> u64 {
        let has = |packet: &&Packet| match level {
            0 => packet.seq < self.left,
            _ => self.repairs.get(&packet.seq).is_some_and(|&count| count >= level),
        };
        let mut ranges: Vec<(i64, i64)> =
            flow.packets.iter().filter(has).map(|packet| (packet.start, packet.end)).collect();
        ranges.sort_unstable();
        ranges.into_iter().fold(flow.acked as i64, |to, (start, end)| match start <= to {
            true => to.max(end),
            false => to,
        }) as u64
    }
}

struct Bench {
    tracker: Tracker,
    acks: Acks,
    model: Model,
    next: u64,
    now: u64,
    /// What is sent has left with that, if all before it has.
    at_once: bool,
    _rest: Segment,
}

const LEVELS_USED: usize = 3;
const REMOTE: &str = "10.9.0.1:5432";

fn local(port: u16) -> String {
    format!("10.1.0.1:{port}")
}

fn key(port: u16) -> FlowKey {
    FlowKey::new(local(port).parse().unwrap(), REMOTE.parse().unwrap())
}

impl Bench {
    fn new(flows: usize, packets: usize) -> Bench {
        let mut config = SegmentConfig::new(1, 1);
        (config.geometry.flows, config.geometry.ring) = (flows, 64);
        let mut segment = Segment::create(&config).unwrap();
        let filter = Filter::new(&[Rule { port: Some(5432), ..Rule::default() }]);
        let size = TrackerConfig { flows, levels: LEVELS_USED, packets };
        let writer = segment.workers.pop().unwrap();
        let ack: AckWriter = segment.acks.pop().unwrap();
        Bench {
            tracker: Tracker::new(&size, filter.clone(), writer),
            acks: Acks::new(filter, ack),
            model: Model::default(),
            next: 0,
            now: 1,
            at_once: false,
            _rest: segment,
        }
    }

    fn send(&mut self, frame: &[u8]) -> u64 {
        self.tracker.look(self.now, 0, frame);
        let left = self.at_once && self.model.left == self.next;
        self.tracker.sent(1, left);
        self.next += 1;
        self.model.left += u64::from(left);
        self.next - 1
    }

    /// A SYN, which begins the flow unless it is there already.
    fn syn(&mut self, port: u16, isn: u32) {
        self.send(&frame(&local(port), REMOTE, isn, 0, SYN, &[]));
        let base_seq = isn.wrapping_add(1);
        let flow = self.model.flows.entry(port).or_default();
        if flow.base_seq != base_seq {
            *flow = Flow { base_seq, ..Flow::default() };
        }
    }

    /// Bytes of a flow that has begun: `at` is where, from its base.
    fn data(&mut self, port: u16, at: i64, len: usize, flags: u8) {
        let known = self.tracker.watermarks(&key(port)).map(|(base_seq, _)| base_seq);
        let flow = self.model.flows.entry(port).or_default();
        let mut at = at;
        let seq = flow.base_seq.wrapping_add(at as u32);
        if known != Some(flow.base_seq) {
            // It was evicted meanwhile: whatever comes first is where it begins.
            *flow = Flow { base_seq: seq, ..Flow::default() };
            at = 0;
        }
        let packet = Packet { seq: self.next, start: at, end: at + len as i64 };
        flow.packets.push(packet);
        self.send(&frame(&local(port), REMOTE, seq, 0, ACK | flags, &vec![0; len]));
    }

    fn ack(&mut self, port: u16, offset: u64) {
        let Some(flow) = self.model.flows.get_mut(&port) else { return };
        let ack = flow.base_seq.wrapping_add(offset as u32);
        if self.tracker.watermarks(&key(port)).is_some_and(|(base, _)| base == flow.base_seq) {
            flow.acked = flow.acked.max(offset);
        }
        self.acks.look(&frame(REMOTE, &local(port), 0, ack, ACK, &[]));
    }

    fn leave(&mut self, to: u64) {
        self.model.left = self.model.left.max(to.min(self.next));
        self.tracker.left(self.model.left);
    }

    fn cover(&mut self, members: &Members) {
        members.iter().for_each(|seq| *self.model.repairs.entry(seq).or_default() += 1);
        self.tracker.covered(members, Class::Dense);
    }

    /// Publishes, and compares.
    fn publish(&mut self, exactly: bool) -> Result<(), TestCaseError> {
        self.now += 300_000;
        self.tracker.publish(self.now);
        for (&port, flow) in &self.model.flows {
            let Some((base_seq, levels)) = self.tracker.watermarks(&key(port)) else { continue };
            if base_seq != flow.base_seq {
                continue;
            }
            for (level, &to) in levels.iter().enumerate().take(LEVELS_USED + 1) {
                let truth = self.model.truth(flow, level);
                prop_assert!(to <= truth, "{port} level {level}: {to}, true is {truth}");
                prop_assert!(!exactly || to == truth, "{port} level {level}: {to} lags {truth}");
            }
            prop_assert!(levels[LEVELS_USED + 1..LEVELS].iter().all(|&to| to == 0));
        }
        Ok(())
    }
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Other,
    Syn {
        port: u16,
        isn: u32,
    },
    /// Bytes, this far behind or ahead of where the stream stands.
    Data {
        port: u16,
        off: i64,
        len: u16,
        flags: u8,
    },
    Leave {
        behind: u64,
    },
    Cover {
        back: u64,
        stride: u16,
        count: u16,
        merged: Option<u16>,
    },
    Ack {
        port: u16,
        back: u64,
    },
    Publish,
}

fn steps(ports: u16, wild: bool) -> impl Strategy<Value = Step> {
    let port = move || 1..=ports;
    let off = if wild {
        prop_oneof![6 => Just(0i64), 3 => -4000..0i64, 2 => 0..3000i64].boxed()
    } else {
        Just(0i64).boxed()
    };
    let flags = prop_oneof![20 => Just(0u8), 1 => Just(FIN), 1 => Just(RST)];
    let flags = if wild { flags.boxed() } else { Just(0).boxed() };
    let isn = prop_oneof![any::<u32>(), u32::MAX - 5000..=u32::MAX];
    prop_oneof![
        4 => Just(Step::Other),
        if wild { 2 } else { 0 } => (port(), isn).prop_map(|(port, isn)| Step::Syn { port, isn }),
        20 => (port(), off, 1..1500u16, flags)
            .prop_map(|(port, off, len, flags)| Step::Data { port, off, len, flags }),
        6 => (0..6u64).prop_map(|behind| Step::Leave { behind }),
        14 => (1..40u64, 1..9u16, 1..8u16, prop::option::of(1..8u16)).prop_map(
            |(back, stride, count, merged)| Step::Cover { back, stride, count, merged }
        ),
        3 => (port(), 0..6000u64).prop_map(|(port, back)| Step::Ack { port, back }),
        8 => Just(Step::Publish),
    ]
}

fn play(bench: &mut Bench, steps: &[Step], exactly: bool) -> Result<(), TestCaseError> {
    let mut ends: HashMap<u16, i64> = HashMap::new();
    for step in steps {
        match *step {
            Step::Other => _ = bench.send(&[0; 60]),
            Step::Syn { port, isn } => {
                let before = bench.model.flows.get(&port).map(|flow| flow.base_seq);
                bench.syn(port, isn);
                if before != Some(isn.wrapping_add(1)) {
                    ends.insert(port, 0);
                }
            }
            Step::Data { port, off, len, flags } => {
                let end = ends.entry(port).or_default();
                let before = bench.model.flows.get(&port).map(|flow| flow.base_seq);
                let at = (*end + off).max(-1000);
                bench.data(port, at, len.into(), flags);
                let after = bench.model.flows.get(&port).map(|flow| flow.base_seq);
                let at = if before == after && before.is_some() { at } else { 0 };
                let end = ends.entry(port).or_default();
                if before != after {
                    *end = 0;
                }
                *end = (*end).max(at + i64::from(len));
            }
            Step::Leave { behind } => bench.leave(bench.next.saturating_sub(behind)),
            Step::Cover { back, stride, count, merged } => {
                // Of what has left alone, as on any queue.
                let Some(base) = bench.model.left.checked_sub(back) else { continue };
                let most = ((back - 1) / u64::from(stride) + 1).min(count.into()) as u16;
                let runs = [
                    Some(Run { base, count: most }),
                    merged.map(|distance| Run {
                        base: base + u64::from(distance % stride),
                        count: 1,
                    }),
                ];
                let runs = runs.into_iter().flatten();
                let members = Members::from_runs(stride, runs.clone())
                    .or_else(|_| Members::from_runs(stride, runs.take(1)));
                if let Ok(members) = members
                    && members.last() < bench.model.left
                {
                    bench.cover(&members);
                }
            }
            Step::Ack { port, back } => {
                let end = ends.get(&port).copied().unwrap_or(0);
                bench.ack(port, (end.max(0) as u64).saturating_sub(back));
            }
            Step::Publish => bench.publish(exactly)?,
        }
    }
    bench.publish(exactly)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Retransmissions, holes, overtaking, reuse of ports, resets, flows that must leave for others, and
    /// packets that are forgotten before their repairs have left.
    #[test]
    fn no_watermark_is_ahead_of_the_truth(
        flows in 1..3u32,
        packets in prop_oneof![Just(32usize), Just(64), Just(4096)],
        steps in prop::collection::vec(steps(6, true), 1..400),
        at_once: bool,
    ) {
        play(&mut Bench { at_once, ..Bench::new(1 << flows, packets) }, &steps, false)?;
    }

    /// In order, with room for everything, watermarks are the truth itself.
    #[test]
    fn in_order_every_watermark_is_the_truth(
        steps in prop::collection::vec(
            steps(4, false).prop_filter("acknowledgements are looked at now and then", |step| {
                !matches!(step, Step::Ack { .. })
            }),
            1..400,
        ),
        at_once: bool,
    ) {
        play(&mut Bench { at_once, ..Bench::new(64, 4096) }, &steps, true)?;
    }
}

/// Members of a whole stretch.
fn all(from: u64, to: u64) -> Members {
    Members::single(from, 1, (to - from) as u16).unwrap()
}

#[test]
fn bytes_that_overtook_each_other_count_once_all_are_there() {
    let mut bench = Bench::new(4, 64);
    bench.syn(1, 7);
    for (at, len) in [(2000, 1000), (1000, 1000), (0, 1000), (3000, 10)] {
        bench.data(1, at, len, 0);
    }
    bench.leave(bench.next);
    bench.publish(true).unwrap();
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap().1[..2], [3010, 0]);
    for seq in [1, 2, 4, 3] {
        bench.cover(&all(seq, seq + 1));
        bench.publish(true).unwrap();
    }
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap().1[1], 3010);
}

#[test]
fn a_retransmission_helps_where_a_repair_was_shed() {
    let mut bench = Bench::new(4, 64);
    bench.syn(1, u32::MAX - 500);
    bench.data(1, 0, 1000, 0);
    bench.data(1, 1000, 1000, 0);
    bench.leave(3);
    bench.cover(&all(2, 3));
    bench.data(1, 0, 1000, 0);
    bench.data(1, 2000, 1000, 0);
    bench.leave(5);
    bench.cover(&all(3, 5));
    bench.publish(true).unwrap();
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap().1[..3], [3000, 3000, 0]);
}

#[test]
fn an_acknowledgement_leads_past_what_was_never_seen() {
    let mut bench = Bench::new(4, 64);
    bench.syn(1, 7);
    bench.data(1, 0, 1000, 0);
    // These bytes crossed unprotected.
    bench.data(1, 5000, 1000, 0);
    bench.leave(3);
    bench.cover(&all(1, 3));
    bench.publish(false).unwrap();
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap().1[..2], [1000, 1000]);
    bench.ack(1, 6000);
    bench.data(1, 6000, 10, 0);
    bench.leave(4);
    bench.cover(&all(3, 4));
    bench.publish(true).unwrap();
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap().1[..3], [6010, 6010, 6000]);
}

#[test]
fn a_stream_of_many_gigabytes_goes_on() {
    let mut bench = Bench::new(4, 64);
    bench.syn(1, 0x8000_0000);
    let mut at = 0;
    for _ in 0..200_000u32 {
        bench.data(1, at, 60_000, 0);
        at += 60_000;
        bench.leave(bench.next);
        bench.cover(&all(bench.next - 1, bench.next));
        bench.tracker.publish(bench.now);
        bench.model.flows.get_mut(&1).unwrap().packets.clear();
        bench.model.repairs.clear();
    }
    assert!(at > 10 << 30);
    let to = at as u64;
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap().1[..3], [to, to, 0]);
}

#[test]
fn a_repeated_syn_changes_nothing_and_another_begins_anew() {
    let mut bench = Bench::new(4, 64);
    bench.syn(1, 7);
    bench.data(1, 0, 100, 0);
    bench.leave(2);
    bench.publish(true).unwrap();
    bench.syn(1, 7);
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap(), (8, [100, 0, 0, 0, 0, 0, 0, 0, 0]));
    bench.syn(1, 90_000);
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap(), (90_001, [0; LEVELS]));
    // Repairs of the earlier flow's bytes are none of the new one's.
    bench.data(1, 0, 10, 0);
    bench.leave(5);
    bench.cover(&all(1, 2));
    bench.publish(true).unwrap();
    assert_eq!(bench.tracker.watermarks(&key(1)).unwrap().1[..2], [10, 0]);
}
