//! Parsers and checks, in cache; a time is that of one packet.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use maelstrom::fec::{CheckKey, Members, Repair};
use maelstrom::wire::repair::{self, REPAIR_LEN, repair_key};
use maelstrom::wire::shim::{Integrity, Kind, SHIM_LEN, Shim, source_key};
use maelstrom::wire::{Ether, OUTER_LEN, RepairHeader, flow};
use maelstrom_perf::buffer::{Buffer, LONG};

const SIZES: [usize; 2] = [64, LONG];

/// A source packet as it comes from the WAN.
fn source(size: usize) -> Vec<u8> {
    let shim = Shim {
        kind: Kind::Source,
        integrity: Integrity::Check,
        channel: 1,
        length: size as u16,
        epoch: 7,
        seq: 1_000_000,
        check: 0,
    };
    let mut packet = vec![2; OUTER_LEN];
    packet.extend(shim.emit());
    packet.extend(Buffer::new(1).frame(size));
    packet
}

fn parser(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parser");
    let packet = source(64);
    group.bench_function("source packet: outer header, shim, length", |bencher| {
        bencher.iter(|| {
            let (ether, rest) = Ether::parse(black_box(&packet)).expect("a header");
            let (shim, rest) = Shim::parse(rest).expect("a shim");
            let frame = shim.frame(rest).expect("a frame");
            black_box((ether.ethertype, shim, frame));
        });
    });
    let bytes = Buffer::new(2);
    let packet = repair_packet(&bytes, 64, None);
    group.bench_function("repair packet: shim, header, members", |bencher| {
        bencher.iter(|| {
            let (shim, rest) = Shim::parse(black_box(&packet)).expect("a shim");
            black_box(RepairHeader::parse(&shim, rest, None).expect("a repair"));
        });
    });
    let mut frame = source(64).split_off(OUTER_LEN + SHIM_LEN);
    frame[12..15].copy_from_slice(&[8, 0, 0x45]);
    frame[20..22].fill(0);
    frame[23] = 17;
    group.bench_function("flow of a UDP frame", |bencher| {
        bencher.iter(|| flow::hash(black_box(&frame)));
    });
    group.finish();
}

fn repair_packet(bytes: &Buffer, size: usize, key: Option<CheckKey>) -> Vec<u8> {
    let repair = Repair {
        members: &Members::single(1000, 97, 20).expect("members"),
        layer: 1,
        code_id: 0,
        flushed: false,
        lengths: size as u16,
        checks: 9,
        bytes: bytes.frame(size),
    };
    let mut packet = vec![0; repair::packet_len(&repair)];
    repair::emit(&repair, 1, 7, key, &mut packet);
    packet
}

fn check(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check");
    let bytes = Buffer::new(3);
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let key = source_key(1, 7);
        group.bench_function(BenchmarkId::new("frame", size), |bencher| {
            bencher.iter(|| key.check(black_box(5), black_box(bytes.frame(size))));
        });
        let key = Some(repair_key(1, 7));
        let packet = repair_packet(&bytes, size, key);
        assert_eq!(packet.len(), REPAIR_LEN + size);
        group.bench_function(
            BenchmarkId::new("repair packet, parsed and checked", size),
            |bencher| {
                bencher.iter(|| {
                    let (shim, rest) = Shim::parse(black_box(&packet)).expect("a shim");
                    black_box(RepairHeader::parse(&shim, rest, key).expect("a repair"));
                });
            },
        );
        let mut into = [0; LONG];
        group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
            bencher.iter(|| {
                into[..size].copy_from_slice(black_box(bytes.frame(size)));
                black_box(&mut into);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = wire;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = parser, check
}
criterion_main!(wire);
