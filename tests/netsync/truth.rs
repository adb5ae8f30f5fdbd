//! The slow model: which byte went into which packet, which packet into which repair, and what has left.

use std::collections::{HashMap, VecDeque};

use maelstrom::fec::SPARSE_ID;
use maelstrom::wire::outer::Ether;
use maelstrom::wire::repair::RepairHeader;
use maelstrom::wire::shim::{Kind, Shim};
use maelstrom::wire::tcp::{Flag, Segment};

/// A flow is known by its local port here.
pub type Port = u16;

/// A source packet of a flow: its number, and the bytes that it carries.
struct Packet {
    seq: u64,
    start: u64,
    end: u64,
    /// None of its bytes was sent before.
    fresh: bool,
}

/// A flow since its last SYN.
#[derive(Default)]
pub struct Flow {
    base_seq: u32,
    packets: Vec<Packet>,
    /// As seen in what was delivered to the LAN.
    pub acked: u64,
}

/// What the wire has shown.
#[derive(Default)]
pub struct Truth {
    pub flows: HashMap<Port, Flow>,
    repairs: HashMap<u64, usize>,
    /// When what was sent is gone, and is yet to count.
    leaving: VecDeque<(u64, Gone)>,
    left: u64,
    /// Repairs seen: of codes for dense traffic, and of those for sparse traffic.
    pub by_code: [u64; 2],
}

enum Gone {
    Source(u64),
    Repair(Vec<u64>),
}

impl Truth {
    /// A packet that west has handed to its WAN port; it has left at `gone`.
    pub fn sent(&mut self, gone: u64, packet: &[u8]) {
        let (_, packet) = Ether::parse(packet).unwrap();
        let (shim, rest) = Shim::parse(packet).unwrap();
        match shim.kind {
            Kind::Source => {
                if let Some(segment) = Segment::parse(shim.frame(rest).unwrap()) {
                    self.segment(shim.seq, &segment);
                }
                self.leaving.push_back((gone, Gone::Source(shim.seq)));
            }
            Kind::Named => panic!("a circuit with shims"),
            Kind::Repair => {
                let (header, _) = RepairHeader::parse(&shim, rest, None).unwrap();
                self.by_code[usize::from(header.code_id & SPARSE_ID)] += 1;
                let members = header.members.iter().collect();
                self.leaving.push_back((gone, Gone::Repair(members)));
            }
            Kind::Control => {}
        }
    }

    fn segment(&mut self, seq: u64, segment: &Segment) {
        let flow = self.flows.entry(segment.source_port).or_default();
        if segment.has(Flag::Syn) {
            *flow = Flow { base_seq: segment.data_seq(), ..Flow::default() };
        }
        // Streams here are short.
        let start = u64::from(segment.data_seq().wrapping_sub(flow.base_seq));
        let end = start + u64::from(segment.len);
        let fresh = flow.packets.iter().all(|before| before.end <= start) && start < end;
        flow.packets.push(Packet { seq, start, end, fresh });
    }

    /// A frame that west has delivered to its LAN.
    pub fn delivered(&mut self, frame: &[u8]) {
        let Some(segment) = Segment::parse(frame) else { return };
        if let Some(flow) = self.flows.get_mut(&segment.destination_port) {
            let more =
                segment.ack.wrapping_sub(flow.base_seq).wrapping_sub(flow.acked as u32) as i32;
            flow.acked += u64::try_from(more).unwrap_or(0);
        }
    }

    /// Time passes.
    pub fn now(&mut self, now: u64) {
        while self.leaving.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, gone)) = self.leaving.pop_front()
        {
            match gone {
                Gone::Source(seq) => self.left = seq + 1,
                Gone::Repair(members) => {
                    members.into_iter().for_each(|seq| *self.repairs.entry(seq).or_default() += 1);
                }
            }
        }
    }

    /// Below this offset, every byte was in some packet that has the level, or is acknowledged.
    pub fn watermark(&self, port: Port, level: usize) -> u64 {
        let flow = &self.flows[&port];
        let has = |packet: &&Packet| match level {
            0 => packet.seq < self.left,
            _ => self.repairs.get(&packet.seq).is_some_and(|&count| count >= level),
        };
        let mut ranges: Vec<(u64, u64)> =
            flow.packets.iter().filter(has).map(|packet| (packet.start, packet.end)).collect();
        ranges.sort_unstable();
        let reach = |to: u64, (start, end): (u64, u64)| if start <= to { to.max(end) } else { to };
        ranges.into_iter().fold(flow.acked, reach)
    }

    /// How many of a flow's packets that lie below `sent` lie beyond what is acknowledged, without those that
    /// repeat bytes.
    pub fn in_flight(&self, port: Port, sent: u64) -> u64 {
        let flow = &self.flows[&port];
        let beyond =
            |packet: &&Packet| packet.fresh && packet.end > flow.acked && packet.end <= sent;
        flow.packets.iter().filter(beyond).count() as u64
    }
}
