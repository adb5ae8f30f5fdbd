//! How fast one direction of the emulated WAN is: frames a second through enter and leave; and
//! how fast a loss process alone.
//!
//! `cargo run --release --example link_speed`

use std::time::Instant;

use maelstrom::lab::link::{Link, LinkConfig};
use maelstrom::lab::loss::{LossModel, LossProcess};

const FRAMES: u64 = 5_000_000;
const BURST: u64 = 32;

fn main() {
    println!("{:>6} {:<28} {:>10} {:>8}", "bytes", "link", "M frames/s", "ns/frame");
    for len in [64, 512, 1500] {
        // Arrivals at the rate of a 10 Gb/s wire that is nearly full.
        let gap_ns = (len as u64 + 24) * 8 / 10 + 1;
        for (name, config) in links() {
            let seconds = run(config, len, gap_ns);
            let per_frame = seconds * 1e9 / FRAMES as f64;
            println!("{len:>6} {name:<28} {:>10.1} {per_frame:>8.1}", 1e3 / per_frame);
        }
    }
    ["iid:0.01", "ge:0.01,20"].into_iter().for_each(run_loss);
}

fn run_loss(spec: &str) {
    let model: LossModel = spec.parse().expect("a loss model");
    let mut process = LossProcess::new(&model, 42, 0);
    let start = Instant::now();
    let lost = (0..10_000_000).filter(|_| process.lost()).count();
    let per_packet = start.elapsed().as_secs_f64() * 1e9 / 1e7;
    println!("loss {spec}: {per_packet:.2} ns/packet, {lost} of 10^7 lost");
}

fn links() -> [(&'static str, LinkConfig); 3] {
    let loss = "ge:0.01,20".parse().expect("a loss model");
    let wan = LinkConfig {
        rate_bps: Some(10_000_000_000),
        delay_ns: 50_000_000,
        loss,
        ..LinkConfig::default()
    };
    let all =
        LinkConfig { reorder: Some((0.001, 5)), duplicate: 0.001, corrupt: 0.001, ..wan.clone() };
    [
        ("perfect wire", LinkConfig::default()),
        ("10G, 50 ms, ge:0.01,20", wan),
        ("… and all else", all),
    ]
}

fn run(config: LinkConfig, len: usize, gap_ns: u64) -> f64 {
    let mut link = Link::new(config);
    let frame = vec![0x5a; len];
    let mut out = vec![0; len];
    // One round trip of warm-up, so that the memory is there.
    let warm_up = 60_000_000 / gap_ns;
    let mut start = Instant::now();
    for i in 0..warm_up + FRAMES {
        if i == warm_up {
            start = Instant::now();
        }
        link.enter(i * gap_ns, &frame);
        if i % BURST == 0 {
            while let Some(left) = link.leave(i * gap_ns) {
                out.copy_from_slice(left.bytes);
            }
        }
    }
    std::hint::black_box(&out);
    start.elapsed().as_secs_f64()
}
