//! The burst guarantee: the second table of the code's definition, from the real encoder.

use std::collections::BTreeSet;

use maelstrom::fec::{Code, DecoderConfig};

use crate::burst::{Peeler, Stream, guaranteed};
use crate::channel::{How, Packet, Random, Receiver, code, frame_of};
use crate::committed;

/// Code, and what the definition says for no guard, g = 0.5, 1 and 2.
const REFERENCE: [(&str, [usize; 4]); 9] = [
    ("8:1,10,100", [3, 62, 125, 137]),
    ("8:1,20,40", [3, 26, 48, 51]),
    ("8:1,19,41", [3, 26, 53, 72]),
    ("8:11,19,41", [3, 25, 52, 76]),
    ("8:19,41,43", [3, 25, 53, 111]),
    ("16:11,13", [2, 8, 15, 24]),
    ("20:97,101", [2, 53, 106, 207]),
    ("40:97,101", [2, 53, 106, 201]),
    ("1:50", [1, 51, 101, 200]),
];
const GUARDS: [&str; 4] = ["0", "0.5", "1", "2"];

/// How far from the reference a figure may be: 3 %, and one packet where repairs that are due
/// behind the same source packet were ordered otherwise, and one more where a guard is half of an
/// odd interleave: ours holds back one packet more than the simulation, which rounded down.
fn tolerance(figure: usize, guard: &str) -> usize {
    figure * 3 / 100 + 1 + usize::from(guard == "0.5")
}

#[test]
fn every_burst_of_the_guaranteed_length_is_recovered() {
    let mut table = String::from("code\tguard\treference\tours\n");
    let mut wrong = Vec::new();
    for (name, figures) in REFERENCE {
        for (guard, figure) in GUARDS.into_iter().zip(figures) {
            let code = code(&format!("{name}+g{guard}"));
            let stream = Stream::new(&code);
            let (length, worst_start) = guaranteed(&stream);
            table += &format!("{name}\t{guard}\t{figure}\t{length}\n");
            if length.abs_diff(figure) > tolerance(figure, guard) {
                wrong.push(format!("{code}: {length} instead of {figure}"));
            }
            let longest = code.layers().iter().map(|l| usize::from(l.interleave)).max();
            if guard == "1" && length < longest.unwrap_or(0) {
                wrong.push(format!("{code}: {length} is less than its longest interleave"));
            }
            confirm(&code, &stream, length, worst_start);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    committed::compare("burst_table.tsv", &table);
}

/// The real decoder agrees: at `length` from some starts, and at one more from the worst.
fn confirm(code: &Code, stream: &Stream, length: usize, worst_start: usize) {
    let mut random = Random::new(42);
    for _ in 0..20 {
        let start = stream.period.start + random.below(stream.period.len() as u64) as usize;
        assert!(decodes(code, stream, start, length), "{code}: {length} from {start}");
        // One packet more may be too much or not, but both decoders must say the same.
        let expected = Peeler::new(stream).recovers(start, length + 1);
        assert_eq!(decodes(code, stream, start, length + 1), expected);
    }
    assert!(decodes(code, stream, worst_start, length));
    assert!(!decodes(code, stream, worst_start, length + 1), "{code}: {} too", length + 1);
}

fn decodes(code: &Code, stream: &Stream, start: usize, length: usize) -> bool {
    let burst = start..start + length;
    // All that shares a group with the burst, and a little more.
    let around = (f64::from(code.span() as u32 + 64) * (1.0 + code.overhead())) as usize;
    let around = start.saturating_sub(around)..(burst.end + around).min(stream.wire.len());
    let mut lost: BTreeSet<u64> = stream.wire[burst.clone()]
        .iter()
        .filter_map(|packet| match packet {
            Packet::Source { seq, .. } => Some(*seq),
            Packet::Repair(_) => None,
        })
        .collect();
    let mut receiver = Receiver::new(DecoderConfig::window_for(code.span()));
    for at in around.filter(|at| !burst.contains(at)) {
        receiver.burst([stream.wire[at].clone()], |seq, frame, how| {
            if how == How::Rebuilt {
                assert_eq!(frame, &*frame_of(seq));
                // Nothing else is missing, but for what was before the decoder's time.
                lost.remove(&seq);
            }
            true
        });
    }
    lost.is_empty()
}

/// With a guard of one interleave, any code recovers every burst of its longest interleave.
#[test]
fn a_guard_of_one_carries_a_burst_of_the_longest_interleave() {
    let mut random = Random::new(7);
    for _ in 0..60 {
        let layers: Vec<String> = (0..1 + random.below(3))
            .map(|_| format!("{}x{}", 1 + random.below(12), 1 + random.below(13)))
            .collect();
        let code = code(&format!("{}+g1", layers.join("/")));
        let longest = code.layers().iter().map(|l| l.interleave).max().unwrap_or(0);
        let mut stream = Stream::new(&code);
        stream.period.end = stream.period.end.min(stream.period.start + 20_000);
        let (length, _) = guaranteed(&stream);
        assert!(length >= usize::from(longest), "{code}: {length}");
    }
}
