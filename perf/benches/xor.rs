//! The XOR engines, in cache: one frame into the open groups of a code's layers, and eight frames
//! into one; beside ISA-L's `xor_gen` (with `--features isal`) and memcpy of as many bytes.

use std::array;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use maelstrom::fec::xor::Engine;
use maelstrom_perf::buffer::{Buffer, LONG};
#[cfg(feature = "isal")]
use maelstrom_perf::isal;

/// Sources of a sum.
const SOURCES: usize = 8;

fn slices(buffers: &mut [Buffer]) -> impl Iterator<Item = &mut [u8]> {
    buffers.iter_mut().map(|buffer| &mut buffer.0[..LONG])
}

/// One frame into `N` groups.
fn scatter<const N: usize>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("1 frame into {N}"));
    group.throughput(Throughput::Bytes((N * LONG) as u64));
    let from = Buffer::new(0);
    let mut into: [Buffer; N] = array::from_fn(|n| Buffer::new(n + 1));
    for engine in Engine::available() {
        group.bench_function(engine.name(), |bencher| {
            bencher.iter(|| {
                let into = into.each_mut().map(|into| &mut into.0[..LONG]);
                engine.scatter(into, black_box(from.frame(LONG)));
            });
        });
    }
    #[cfg(feature = "isal")]
    group.bench_function("xor_gen", |bencher| {
        bencher.iter(|| into.iter_mut().for_each(|into| isal::add(into, &from, LONG)));
    });
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            let from = black_box(from.frame(LONG));
            slices(&mut into).for_each(|into| into.copy_from_slice(from));
            black_box(&mut into);
        });
    });
    group.finish();
}

/// Eight frames into one.
fn gather(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("{SOURCES} frames into one"));
    group.throughput(Throughput::Bytes((SOURCES * LONG) as u64));
    let mut buffers: Vec<Buffer> = (0..=SOURCES).map(Buffer::new).collect();
    ours(&mut group, &mut buffers);
    #[cfg(feature = "isal")]
    group.bench_function("xor_gen", |bencher| {
        let mut buffers: Vec<&mut Buffer> = buffers.iter_mut().collect();
        bencher.iter(|| isal::gather(black_box(&mut buffers), LONG));
    });
    group.bench_function("memcpy", |bencher| {
        let (into, from) = buffers.split_last_mut().expect("a result");
        bencher.iter(|| {
            for from in black_box(&*from) {
                into.0[..LONG].copy_from_slice(from.frame(LONG));
                black_box(&mut *into);
            }
        });
    });
    group.finish();
}

fn ours(group: &mut BenchmarkGroup<'_, WallTime>, buffers: &mut [Buffer]) {
    let (into, from) = buffers.split_last_mut().expect("a result");
    let into = &mut into.0[..LONG];
    for engine in Engine::available() {
        let mut from: Vec<&[u8]> = from.iter().map(|from| from.frame(LONG)).collect();
        group.bench_function(engine.name(), |bencher| {
            bencher.iter(|| engine.gather(black_box(&mut *into), black_box(&mut from)));
        });
        group.bench_function(format!("{}, one by one", engine.name()), |bencher| {
            bencher.iter(|| {
                let from = black_box(&from);
                into.copy_from_slice(from[0]);
                from[1..].iter().for_each(|from| engine.xor(black_box(&mut *into), from));
            });
        });
    }
}

criterion_group! {
    name = xor;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = scatter::<1>, scatter::<2>, scatter::<3>, scatter::<4>, gather
}
criterion_main!(xor);
