//! What the measurement costs a decoder that only admits and keeps packets: an upper bound of its share,
//! since a room does more.

use std::hint::black_box;
use std::time::Instant;

use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Decoder, DecoderConfig};
use maelstrom::link::measure::Measure;

/// Short rounds: some are not disturbed by what else the machine does.
const PACKETS: u64 = 200_000;
const ROUNDS: usize = 200;

/// Nanoseconds a packet, of which one in `lost` does not come.
fn run(measured: bool, lost: u64) -> f64 {
    let engine = Engine::detect();
    let config = DecoderConfig { window: 8192, max_frame: 128, check: None, engine };
    let mut decoder: Decoder<Vec<u8>> = Decoder::new(&config);
    let mut measure = Measure::new(decoder.window());
    let frame = [7; 64];
    let start = Instant::now();
    for first in (0..PACKETS).step_by(32) {
        let burst = || (first..first + 32).filter(|seq| seq % lost != lost - 1);
        for seq in burst() {
            black_box(decoder.admit(seq));
        }
        for seq in burst() {
            decoder.keep_copy(seq, seq, black_box(&frame), |_| None);
        }
        if measured {
            measure.follow(first, &mut decoder);
        }
    }
    let time = start.elapsed().as_nanos() as f64 / PACKETS as f64;
    assert_eq!(measure.totals().before.judged > 0, measured);
    time
}

/// Prints the fastest of the rounds, and the middle half of them, with and without in turn.
pub fn print() {
    for (what, lost) in [("no loss", u64::MAX), ("1 % lost", 100), ("5 % lost", 20)] {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..2 * ROUNDS {
            let measured = round % 2;
            times[measured].push(run(measured == 1, lost));
        }
        for (name, times) in ["without", "with"].iter().zip(&mut times) {
            times.sort_by(f64::total_cmp);
            let [low, median, high] = [1, 2, 3].map(|quarter| times[quarter * ROUNDS / 4]);
            let least = times[0];
            println!(
                "{what}, {name}: {least:.2} ns/packet at least, {median:.2} ({low:.2} to {high:.2})"
            );
        }
    }
}
