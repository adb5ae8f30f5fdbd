//! A real encoder, any channel, a real decoder: what comes out is what the slow decoder finds.

use std::collections::{BTreeMap, BTreeSet};

use maelstrom::fec::decoder::RepairIn;
use maelstrom::fec::{Members, Run, Timing, seq};

use crate::channel::{MAX_FRAME, Packet, Receiver, Repair, Sender, code, frame_of, key};
use crate::input::Input;
use crate::naive::assert_is_xor;
use crate::oracle::recoverable;

const CODES: &[&str] = &[
    "1:1",
    "2:1",
    "4:1,3",
    "4:5,7+g1",
    "8:1,20,40",
    "8:5,7,9+g1",
    "3x2/7x11/5x13+g0.5",
    "20:7,11,13+g2",
    "64:3",
    "1:5,9+g16",
];
/// Packets of one stream: within half of the decoder's window, so that none is a jump.
const MOST: u64 = 700;
const WINDOW: usize = 2048;

/// The input says how the encoder is used, then what becomes of each packet.
pub fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let dense = code(input.pick(CODES));
    let sparse = input.hit(64).then(|| code(input.pick(CODES)));
    // The beginning of the numbers, their end, or the end of what counts as their beginning.
    let offset = match input.below(4) {
        0 => 0,
        1 => seq::LIMIT - MOST,
        2 => 1020 + u64::from(input.below(8)),
        _ => (input.u64() >> 2).min(seq::LIMIT - MOST),
    };
    let wire = sent(&mut input, &dense, sparse);
    each_is_in_one_group(&wire);
    let wire: Vec<Packet> = wire.iter().map(|packet| shifted(packet, offset)).collect();
    let bursts = received(&mut input, wire);
    let mut delivered = BTreeSet::new();
    let mut receiver = Receiver::new(WINDOW);
    for burst in &bursts {
        receiver.burst(burst.iter().cloned(), |seq, frame, how| {
            assert_eq!(frame, &*frame_of(seq - offset), "{seq}, {how:?}");
            assert!(delivered.insert(seq), "{seq} twice, {how:?}");
            true
        });
    }
    assert_eq!(delivered, recoverable(bursts.iter().flatten()));
    assert_eq!((receiver.decoder.refused(), receiver.decoder.evicted()), (0, 0));
}

/// Drives the encoder as the input says.
fn sent(
    input: &mut Input<'_>,
    dense: &maelstrom::fec::Code,
    sparse: Option<maelstrom::fec::Code>,
) -> Vec<Packet> {
    let mut timing = Timing::new(dense);
    timing.flush_cap = f64::from(1 + input.below(8));
    let mut sender = Sender::with(dense, sparse, timing);
    let mut wire = Vec::new();
    let mut now = 0;
    let mut untaken = 0;
    for _ in 0..input.u8() {
        match input.below(8) {
            0..=3 => {
                // At full rate, or some microseconds or milliseconds apart.
                let gap = [0, 1000, 100_000, 2_000_000][usize::from(input.below(4))];
                for _ in 0..=input.below(64) {
                    if sender.encoder.next_seq() >= MOST {
                        break;
                    }
                    now += gap;
                    sender.push(now, &mut wire);
                    untaken += 1;
                    if untaken == 32 {
                        sender.take(&mut wire);
                        untaken = 0;
                    }
                }
            }
            4 | 5 => {
                now += u64::from(input.u16()) << input.below(16);
                sender.encoder.poll(now);
                let next = sender.encoder.next_deadline();
                assert!(next.is_none_or(|next| next > now), "polled at {now}, next {next:?}");
            }
            6 => sender.encoder.hurry(u64::from(input.u16()) << 4),
            _ => sender.flush(&mut wire),
        }
        if !input.hit(32) {
            sender.take(&mut wire);
            untaken = 0;
        }
    }
    sender.flush(&mut wire);
    assert_eq!((sender.encoder.shed(), sender.encoder.next_deadline()), (0, None));
    wire
}

/// Every packet is in just one group of each layer, of one code or of both while they change, and
/// every repair is the XOR of its members.
fn each_is_in_one_group(wire: &[Packet]) {
    let mut groups = BTreeMap::new();
    for packet in wire {
        let Packet::Repair(repair) = packet else { continue };
        assert_is_xor(repair);
        for seq in repair.content.members.iter() {
            let twice = groups.insert((repair.code_id, repair.layer, seq), ());
            assert!(twice.is_none(), "{seq} is twice in layer {}", repair.layer);
        }
    }
}

/// The same packet in a stream that began at `offset`. Repairs name their members, so a decoder
/// does not care where groups begin; checks have the number in them.
fn shifted(packet: &Packet, offset: u64) -> Packet {
    let check = |seq: u64| key().check(seq + offset, &frame_of(seq));
    match packet {
        Packet::Source { seq, frame, .. } => {
            Packet::Source { seq: seq + offset, check: check(*seq), frame: frame.clone() }
        }
        Packet::Repair(Repair { layer, code_id, flushed, content }) => {
            let runs = content.members.runs();
            let runs = runs.map(|run| Run { base: run.base + offset, ..run });
            let members = Members::from_runs(content.members.stride(), runs);
            let content = RepairIn {
                members: members.expect("members below the limit"),
                lengths: content.lengths,
                checks: content.members.iter().fold(0, |sum, seq| sum ^ check(seq)),
                payload: content.payload.clone(),
                layer: content.layer,
            };
            assert!(content.payload.len() <= MAX_FRAME);
            Packet::Repair(Repair { layer: *layer, code_id: *code_id, flushed: *flushed, content })
        }
    }
}

/// Loses, repeats and delays packets, and cuts what arrives into bursts. The first one always
/// arrives: what goes before the first that is seen far from 0 is not the decoder's business.
fn received(input: &mut Input<'_>, wire: Vec<Packet>) -> Vec<Vec<Packet>> {
    let (loss, rest) = (input.u8(), input.0);
    let mut fates = Input(rest);
    let mut arriving: Vec<(usize, Packet)> = Vec::new();
    for (at, packet) in wire.into_iter().enumerate() {
        if fates.is_empty() {
            fates = Input(rest);
        }
        // An input shorter than the stream is read again, turned a little.
        let fate = fates.u8().wrapping_add((at / 61) as u8);
        if at > 0 && fate < loss {
            continue;
        }
        let delay = match fate {
            250.. if at > 0 => usize::from(fates.u8()),
            _ => 0,
        };
        if fate % 16 == 7 {
            arriving.push((at + usize::from(fate), packet.clone()));
        }
        arriving.push((at + delay, packet));
    }
    arriving.sort_by_key(|&(at, _)| at);
    let size = 1 + usize::from(loss % 40);
    let mut bursts = Vec::new();
    let mut arriving = arriving.into_iter().map(|(_, packet)| packet).peekable();
    while arriving.peek().is_some() {
        bursts.push(arriving.by_ref().take(size).collect());
    }
    bursts
}
