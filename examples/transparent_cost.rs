//! What frames without shims cost: the code's work at either end, in nanoseconds a frame, the median of
//! several runs and their range. Ports and their queues come on top, as with shims.
//!
//! `cargo run --release --no-default-features --example transparent_cost`

use std::hint::black_box;
use std::time::Instant;

use maelstrom::fec::decoder::RepairFate;
use maelstrom::fec::encoder::BATCH;
use maelstrom::fec::named::image::{EXTRA, write_image};
use maelstrom::fec::named::{NameKey, NamedConfig, NamedDecoder, NamedRepair};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, DecoderConfig, Encoder, EncoderConfig, Members, Timing};

const FRAMES: usize = 200_000;
const RUNS: usize = 9;

/// A repair, copied out of the encoder.
struct Repair {
    next: u64,
    members: Members,
    names: Vec<[u8; 8]>,
    lengths: u16,
    checks: u64,
    xor: Vec<u8>,
}

/// Frames of one length, all different, in a pool that is larger than the window.
struct Traffic {
    len: usize,
    pool: Vec<Box<[u8]>>,
}

impl Traffic {
    fn new(len: usize) -> Traffic {
        let frame = |n: usize| {
            let mut frame = vec![n as u8; len];
            frame[12..15].copy_from_slice(&[8, 0, 0x45]);
            frame.into()
        };
        Traffic { len, pool: (0..1 << 14).map(frame).collect() }
    }

    fn frame(&mut self, n: usize) -> &[u8] {
        let at = n % self.pool.len();
        let frame = &mut self.pool[at];
        frame[self.len - 8..].copy_from_slice(&n.to_le_bytes());
        frame
    }
}

fn encode(code: &Code, traffic: &mut Traffic, repairs: &mut Vec<(usize, Repair)>) -> f64 {
    let max = traffic.len + EXTRA;
    let mut encoder = Encoder::new(&EncoderConfig {
        code: code.clone(),
        sparse: None,
        timing: Timing::new(code),
        max_frame: max,
        repair_room: max + 66,
        engine: Engine::detect(),
    });
    let key = NameKey::new(0, 1);
    let mut names = vec![0; 1 << 14];
    let mut images = vec![0; max * BATCH as usize];
    repairs.clear();
    let mut busy = 0;
    for first in (0..FRAMES).step_by(BATCH as usize) {
        let mut start = Instant::now();
        let mut checks = [0; BATCH as usize];
        for (n, image) in images.chunks_exact_mut(max).enumerate() {
            let frame = traffic.frame(first + n);
            let name = key.name(frame);
            names[(first + n) % (1 << 14)] = name.name;
            checks[n] = name.check;
            write_image(frame, image);
        }
        let images: Vec<&[u8]> = images.chunks_exact(max).collect();
        encoder.push_batch(0, &images, &checks);
        let next = encoder.next_seq();
        while let Some(repair) = encoder.take_repair() {
            // The copy is this program's.
            busy += start.elapsed().as_nanos() as u64;
            let of = repair.members.iter().map(|n| names[n as usize % (1 << 14)].to_be_bytes());
            let (lengths, checks) = (repair.lengths, repair.checks);
            let (members, names, xor) =
                (repair.members.clone(), of.collect(), repair.bytes.to_vec());
            repairs.push((first, Repair { next, members, names, lengths, checks, xor }));
            start = Instant::now();
        }
        busy += start.elapsed().as_nanos() as u64;
    }
    busy as f64 / FRAMES as f64
}

/// Every `lost`-th frame does not arrive.
fn decode(code: &Code, traffic: &mut Traffic, repairs: &[(usize, Repair)], lost: usize) -> f64 {
    let config = NamedConfig {
        window: DecoderConfig::window_for(code.span()),
        max_frame: traffic.len,
        routed: false,
        engine: Engine::detect(),
    };
    let mut decoder = NamedDecoder::<Box<[u8]>>::new(&config, NameKey::new(0, 1));
    let mut repairs = repairs.iter().peekable();
    let (mut busy, mut rebuilt) = (0, 0);
    for first in (0..FRAMES).step_by(BATCH as usize) {
        // To hold on to a packet costs nothing here: the copy is made outside.
        let frames: Vec<Box<[u8]>> =
            (first..first + BATCH as usize).map(|n| traffic.frame(n).into()).collect();
        let start = Instant::now();
        for (n, frame) in (first..).zip(frames) {
            if n % lost == lost - 1 {
                continue;
            }
            if let Some(place) = decoder.admit(&frame) {
                decoder.keep(place, frame);
            }
        }
        let mut deliver = |frame: &[u8]| {
            rebuilt += 1;
            Some(frame.into())
        };
        decoder.settle(|rebuilt| deliver(rebuilt.frame));
        while let Some((_, repair)) = repairs.next_if(|(at, _)| *at == first) {
            let Repair { next, members, names, lengths, checks, xor } = repair;
            let (next, lengths, checks) = (*next, *lengths, *checks);
            let repair = NamedRepair { next, members, names, lengths, checks, xor, layer: 0 };
            let fate = decoder.repair(&repair, |rebuilt| deliver(rebuilt.frame));
            black_box(fate == RepairFate::Used);
        }
        busy += start.elapsed().as_nanos() as u64;
        decoder.take_departed().for_each(drop);
    }
    let gone = FRAMES / lost;
    assert!(rebuilt >= gone * 95 / 100, "{rebuilt} of {gone} rebuilt");
    busy as f64 / FRAMES as f64
}

fn main() {
    let code: Code = "20:97,101,103+g1".parse().expect("a code");
    println!(
        "{:>6} {:>22} {:>22} {:>22}",
        "bytes", "protect", "recover, no loss", "recover, 1 % lost"
    );
    for len in [64, 512, 1514] {
        let mut traffic = Traffic::new(len);
        let mut figures: [Vec<f64>; 3] = Default::default();
        let mut repairs = Vec::new();
        for _ in 0..RUNS {
            figures[0].push(encode(&code, &mut traffic, &mut repairs));
            figures[1].push(decode(&code, &mut traffic, &repairs, FRAMES));
            figures[2].push(decode(&code, &mut traffic, &repairs, 100));
        }
        let texts = figures.map(|mut runs| {
            runs.sort_by(f64::total_cmp);
            format!("{:.0} ({:.0} to {:.0})", runs[RUNS / 2], runs[0], runs[RUNS - 1])
        });
        println!("{len:>6} {:>22} {:>22} {:>22}", texts[0], texts[1], texts[2]);
    }
}
