//! What encrypting a frame costs that the encoder still needs: into another buffer, as `protect` does
//! it, or in place after a copy was made. `cargo run --release --no-default-features --example seal_cost`

use std::hint::black_box;
use std::time::Instant;

use maelstrom::wire::seal::{KEYED_SHIM_LEN, Mode, Purpose, Sealer, SessionKey, source_shim};
use maelstrom::wire::shim::SHIM_LEN;

/// More than a core's own cache.
const FRAMES: usize = 2048;
const PARTS: usize = 9;

fn main() {
    println!(
        "{:>5} {:>16} {:>16} {:>16}  ns a frame, median of {PARTS} (least to most)",
        "bytes", "tag", "elsewhere", "copy, in place"
    );
    for size in [64, 512, 1500, 9000] {
        let stride = (KEYED_SHIM_LEN + size + 128).next_multiple_of(64);
        let mut frames = vec![7u8; FRAMES * stride];
        let mut others = vec![0u8; FRAMES * stride];
        let session = SessionKey::new([7; 32]);
        let tag = Sealer::new(&session, Purpose::Source, Mode::Tag, 0);
        let seal = Sealer::new(&session, Purpose::Source, Mode::Seal, 0);
        // A burst's copies, used again and again.
        let mut copies = vec![0u8; 32 * size];
        let mut seq = 0;
        let mut ways = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..PARTS {
            for (n, way) in ways.iter_mut().enumerate() {
                let start = Instant::now();
                for (at, (frame, other)) in
                    frames.chunks_exact_mut(stride).zip(others.chunks_exact_mut(stride)).enumerate()
                {
                    seq += 1;
                    let shim = source_shim(0, 1, seq, size as u16).emit();
                    let frame = &mut frame[..KEYED_SHIM_LEN + size];
                    let check = match n {
                        0 => {
                            frame[..SHIM_LEN].copy_from_slice(&shim);
                            tag.seal(seq, frame, KEYED_SHIM_LEN)
                        }
                        1 => {
                            let other = &mut other[..KEYED_SHIM_LEN + size];
                            other[..SHIM_LEN].copy_from_slice(&shim);
                            seal.seal_from(seq, other, &frame[KEYED_SHIM_LEN..])
                        }
                        _ => {
                            let copy = &mut copies[at % 32 * size..][..size];
                            copy.copy_from_slice(&frame[KEYED_SHIM_LEN..]);
                            black_box(&*copy);
                            frame[..SHIM_LEN].copy_from_slice(&shim);
                            seal.seal(seq, frame, KEYED_SHIM_LEN)
                        }
                    };
                    black_box(check);
                }
                way.push(start.elapsed().as_secs_f64() * 1e9 / FRAMES as f64);
            }
        }
        let shown = ways.map(|mut way| {
            way.sort_by(f64::total_cmp);
            format!("{:.0} ({:.0} to {:.0})", way[PARTS / 2], way[0], way[PARTS - 1])
        });
        println!("{size:>5} {:>16} {:>16} {:>16}", shown[0], shown[1], shown[2]);
    }
}
