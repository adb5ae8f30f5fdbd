//! The code alone, without ports: the encoder; the decoder without loss, which is its window; the
//! decoder with loss. Frames are in cache; a time is that of one source packet.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use maelstrom::fec::decoder::RepairIn;
use maelstrom::fec::encoder::BATCH;
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, Decoder, DecoderConfig, Encoder, EncoderConfig, Timing};
use maelstrom::lab::loss::{LossModel, LossProcess};

const CODES: [&str; 3] = ["8:1,20,40", "20:97,101,103+g1", "64:97,101,103,107+g1"];
const SIZES: [usize; 2] = [64, 1500];
/// Different frames: few enough for a core's own cache.
const FRAMES: usize = 128;
/// Source packets that a decoder is played: several windows of the longest code.
const PLAYED: usize = 40_000;
/// Between two packets, in nanoseconds: dense traffic.
const STEP: u64 = 30;

fn frame_bytes(size: usize) -> Vec<Vec<u8>> {
    let byte = |n: usize| (n.wrapping_mul(2_654_435_761) >> 13) as u8;
    (0..FRAMES).map(|n| (0..size).map(|at| byte(at * (n + 1) + n)).collect()).collect()
}

fn check(seq: usize) -> u64 {
    (seq as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn new_encoder(code: &Code, size: usize) -> Encoder {
    Encoder::new(&EncoderConfig {
        code: code.clone(),
        sparse: None,
        timing: Timing::new(code),
        max_frame: size,
        repair_room: size + 100,
        engine: Engine::detect(),
    })
}

fn encoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encoder");
    for size in SIZES {
        let frames = frame_bytes(size);
        for code in CODES {
            let mut encoder = new_encoder(&code.parse().expect("a code"), size);
            group.throughput(Throughput::Elements(BATCH));
            group.bench_function(BenchmarkId::new(code, size), |bencher| {
                bencher.iter(|| {
                    for _ in 0..BATCH {
                        let seq = encoder.next_seq() as usize;
                        encoder.push(seq as u64 * STEP, check(seq), &frames[seq % FRAMES]);
                    }
                    encoder.poll(encoder.next_seq() * STEP);
                    while let Some(repair) = encoder.take_repair() {
                        black_box(repair);
                    }
                });
            });
        }
    }
    group.finish();
}

/// What arrives.
enum Packet {
    Source(usize),
    Repair(Box<RepairIn<Vec<u8>>>),
}

/// What is left of an encoded stream after `loss`.
fn wire(code: &Code, frames: &[Vec<u8>], loss: f64) -> Vec<Packet> {
    let mut encoder = new_encoder(code, frames[0].len());
    let mut process = LossProcess::new(&LossModel::Iid { rate: loss }, 1, 0);
    let mut packets = Vec::new();
    for seq in 0..PLAYED {
        encoder.push(seq as u64 * STEP, check(seq), &frames[seq % FRAMES]);
        packets.push(Packet::Source(seq));
        while let Some(repair) = encoder.take_repair() {
            packets.push(Packet::Repair(Box::new(RepairIn {
                members: repair.members.clone(),
                lengths: repair.lengths,
                checks: repair.checks,
                payload: repair.bytes.to_vec(),
                layer: repair.layer,
            })));
        }
    }
    packets.retain(|_| !process.lost());
    packets
}

/// Plays the packets, and returns how many were rebuilt.
fn play<'a>(
    decoder: &mut Decoder<&'a [u8]>,
    packets: &'a [Packet],
    frames: &'a [Vec<u8>],
) -> usize {
    let mut rebuilt = 0;
    // The frames are known: who keeps what was rebuilt need not copy it.
    let frame = |seq: u64| &frames[seq as usize % FRAMES][..];
    for (n, packet) in packets.iter().enumerate() {
        match packet {
            Packet::Source(seq) => {
                let number = *seq as u64;
                black_box(decoder.admit(number));
                decoder.keep(number, check(*seq), frame(number), |packet| {
                    rebuilt += 1;
                    Some(frame(packet.seq))
                });
            }
            Packet::Repair(repair) => {
                let repair = RepairIn {
                    members: repair.members.clone(),
                    lengths: repair.lengths,
                    checks: repair.checks,
                    payload: &repair.payload[..],
                    layer: repair.layer,
                };
                decoder.repair(repair, |packet| {
                    rebuilt += 1;
                    Some(frame(packet.seq))
                });
            }
        }
        if n % BATCH as usize == 0 {
            decoder.take_departed().for_each(|_| {});
        }
    }
    rebuilt
}

fn decoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decoder");
    group.throughput(Throughput::Elements(PLAYED as u64)).sample_size(10);
    for size in SIZES {
        let frames = frame_bytes(size);
        for code in CODES {
            let parsed: Code = code.parse().expect("a code");
            for loss in [0.0, 0.01] {
                let packets = wire(&parsed, &frames, loss);
                let mut decoder = Decoder::new(&DecoderConfig {
                    window: DecoderConfig::window_for(parsed.span()),
                    max_frame: size,
                    check: None,
                    engine: Engine::detect(),
                });
                let id = BenchmarkId::new(format!("{code} {}% lost", loss * 100.0), size);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|rounds| {
                        let mut elapsed = Duration::ZERO;
                        for _ in 0..rounds {
                            decoder.restart(None);
                            let start = Instant::now();
                            black_box(play(&mut decoder, &packets, &frames));
                            elapsed += start.elapsed();
                        }
                        elapsed
                    });
                });
            }
        }
    }
    group.finish();
}

/// The window alone: packets that arrive in order, none lost, no repairs.
fn window(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    for window in [1024, 32 * 1024] {
        let frame = [7u8; 64];
        let mut decoder = Decoder::new(&DecoderConfig {
            window,
            max_frame: 64,
            check: None,
            engine: Engine::detect(),
        });
        let mut seq = 0;
        group.throughput(Throughput::Elements(BATCH));
        group.bench_function(BenchmarkId::new("packets kept", window), |bencher| {
            bencher.iter(|| {
                for seq in seq..seq + BATCH {
                    black_box(decoder.admit(seq));
                }
                for seq in seq..seq + BATCH {
                    decoder.keep(seq, seq, &frame[..], |_| None);
                }
                decoder.take_departed().for_each(|_| {});
                seq += BATCH;
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = code;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = encoder, decoder, window
}
criterion_main!(code);
