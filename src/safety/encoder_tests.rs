//! The model's schedule and flushes beside those of the real encoder.

use super::flush::Train;
use super::schedule::{Phase, Schedule};
use crate::fec::xor::Engine;
use crate::fec::{Code, Encoder, EncoderConfig, Timing};

const CODES: [&str; 8] = [
    "8:1,20,40",
    "8:1,19,41+g1",
    "5:7,7+g0.5",
    "20:97,101,103+g1",
    "1:9+g2",
    "8x1/64x31/64x37+g1",
    "4:3,5,7,11+g1.5",
    "9:40,41+g0",
];

/// What went over the wire: a source packet, or a repair with its layer and members.
#[derive(Debug, PartialEq)]
enum Sent {
    Source(u64),
    Repair(u8, Vec<u64>),
}

struct Wire {
    encoder: Encoder,
    sent: Vec<Sent>,
}

impl Wire {
    fn new(code: &Code) -> Wire {
        let config = EncoderConfig {
            code: code.clone(),
            sparse: None,
            timing: Timing::new(code),
            max_frame: 8,
            repair_room: 200,
            engine: Engine::PORTABLE,
        };
        Wire { encoder: Encoder::new(&config), sent: Vec::new() }
    }

    fn push(&mut self) {
        let seq = self.encoder.push(0, 0, &[1]).unwrap();
        self.sent.push(Sent::Source(seq));
    }

    fn take(&mut self) {
        while let Some(repair) = self.encoder.take_repair() {
            let mut members: Vec<u64> = repair.members.iter().collect();
            members.sort_unstable();
            self.sent.push(Sent::Repair(repair.layer, members));
        }
    }
}

#[test]
fn repairs_are_where_the_schedule_says() {
    for (text, burst) in CODES.into_iter().flat_map(|code| [(code, 1u64), (code, 32)]) {
        let code: Code = text.parse().unwrap();
        let schedule = Schedule::new(&code);
        let mut wire = Wire::new(&code);
        let packets = (4 * code.span() + 500).next_multiple_of(burst);
        for seq in 0..packets {
            wire.push();
            if seq % burst == burst - 1 {
                wire.take();
            }
        }
        let source_at =
            |seq: u64| wire.sent.iter().position(|sent| *sent == Sent::Source(seq)).unwrap() as i64;
        // In the middle, where all groups are whole.
        for seq in (code.span() + 60..2 * code.span() + 60).step_by(1 + code.span() as usize / 20) {
            let in_burst = (seq % burst) as i64;
            let phase = Phase { burst: burst as i64, in_burst, ..Phase::of_seq(&schedule, seq) };
            let place = |at: i64| at - source_at(seq);
            let origin = phase.source(&schedule, 0);
            for (at, sent) in (0i64..).zip(&wire.sent) {
                let Sent::Repair(layer, members) = sent else { continue };
                if !members.contains(&seq) {
                    continue;
                }
                let layer = usize::from(*layer);
                let due = phase.due(&schedule, layer);
                assert_eq!(phase.repair(&schedule, layer, due) - origin, place(at), "{text} {seq}");
                let (first, last) = phase.group(&schedule, layer);
                let step = schedule.clocks[layer].i as usize;
                let expected: Vec<i64> = (first..=last).step_by(step).collect();
                let got: Vec<i64> = members.iter().map(|&m| m as i64 - seq as i64).collect();
                assert_eq!(got, expected, "{text} {seq}");
                for member in expected {
                    let expected = place(source_at((seq as i64 + member) as u64));
                    assert_eq!(phase.source(&schedule, member) - origin, expected);
                }
            }
        }
    }
}

#[test]
fn trains_end_as_the_encoder_ends_them() {
    for text in CODES {
        let code: Code = text.parse().unwrap();
        let schedule = Schedule::new(&code);
        for (start, length) in [
            (0u64, 1i64),
            (0, 2),
            (3, 5),
            (17, 12),
            (100, 40),
            (5, 97),
            (41, 150),
            (77, 1200),
            (8, 3000),
        ] {
            let mut wire = Wire::new(&code);
            // Everything before is closed when the train begins.
            (0..start).for_each(|_| wire.push());
            wire.encoder.flush();
            wire.take();
            wire.sent.clear();
            for _ in 0..length {
                wire.push();
                wire.take();
            }
            for layer in 1..=code.layers().len() as u64 {
                wire.encoder.poll(layer * 1_000_000);
                wire.take();
            }
            let expected: Vec<Sent> = wire.sent;
            let train = Train::new(&schedule, start, length);
            let mut got: Vec<(i64, Sent)> = train
                .sources
                .iter()
                .zip(start..)
                .map(|(&at, seq)| (at, Sent::Source(seq)))
                .collect();
            got.extend(train.groups.iter().map(|group| {
                let mut members: Vec<u64> =
                    group.members.iter().map(|&m| start + m as u64).collect();
                members.sort_unstable();
                (group.at, Sent::Repair(group.layer as u8, members))
            }));
            got.sort_unstable_by_key(|(at, _)| *at);
            let got: Vec<Sent> = got.into_iter().map(|(_, sent)| sent).collect();
            assert!(
                got == expected,
                "{text}: {length} packets from {start}\n{got:?}\n{expected:?}"
            );
        }
    }
}
