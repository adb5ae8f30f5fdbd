//! What sparse flows pay for their protection, and how soon they have it: repairs per source packet,
//! and the time from a packet to its first, second and third repair.
//!
//! `cargo run --release --example sparse_cost`
//!
//! The encoder is polled at its deadlines, with the default timing, and with the short code of
//! 20:97,101,103+g1 for sparse traffic. The first second is left out: the rate is unknown then.

use maelstrom::fec::xor::Engine;
use maelstrom::fec::{Code, Encoder, EncoderConfig, Timing};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const CODE: &str = "20:97,101,103+g1";
const SECOND: u64 = 1_000_000_000;

fn main() {
    let code: Code = CODE.parse().expect("a code");
    println!("dense {code}, sparse {}; waits in ms, p50 / p99 / max", code.short());
    println!(
        "{:>9} {:<8} {:>8} {:>6} {:>22} {:>22} {:>22}",
        "packets/s", "arrivals", "repairs", "code", "level 1", "level 2", "level 3"
    );
    for rate in [1, 100, 500, 2_000, 10_000, 30_000, 50_000, 100_000] {
        for poisson in [false, true] {
            let flow = run(&code, rate, poisson);
            let [one, two, three] = flow.waits.map(show);
            let arrivals = if poisson { "Poisson" } else { "even" };
            let code = if flow.sparse { "sparse" } else { "dense" };
            let repairs = flow.repairs_per_packet;
            println!(
                "{rate:>9} {arrivals:<8} {repairs:>8.3} {code:>6} {one:>22} {two:>22} {three:>22}"
            );
        }
    }
}

struct Flow {
    repairs_per_packet: f64,
    /// For each level the waits of all packets, in nanoseconds.
    waits: [Vec<u64>; 3],
    sparse: bool,
}

fn show(mut waits: Vec<u64>) -> String {
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize] as f64 / 1e6;
    format!("{:.2} / {:.2} / {:.2}", at(0.5), at(0.99), at(1.0))
}

fn run(code: &Code, rate: u64, poisson: bool) -> Flow {
    let config = EncoderConfig {
        code: code.clone(),
        sparse: Some(code.short()),
        timing: Timing::new(code),
        max_frame: 64,
        repair_room: 256,
        engine: Engine::detect(),
    };
    let mut encoder = Encoder::new(&config);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(42);
    let packets = (rate * 20).max(200);
    let (mut sent, mut repairs) = (Vec::new(), Vec::new());
    let (mut now, mut clock) = (0, 0);
    for _ in 0..packets {
        now += match poisson {
            false => SECOND / rate,
            true => {
                let uniform = ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
                (-uniform.ln() * SECOND as f64 / rate as f64) as u64
            }
        };
        poll_until(&mut encoder, &mut clock, now, &mut repairs);
        encoder.push(now, 0, &[0; 64]);
        sent.push(now);
        take(&mut encoder, now, &mut repairs);
    }
    let sparse = encoder.is_sparse();
    poll_until(&mut encoder, &mut clock, now + SECOND, &mut repairs);
    evaluate(&sent, &repairs, sparse)
}

/// Departure and members of each repair.
type Repairs = Vec<(u64, Vec<u64>)>;

fn poll_until(encoder: &mut Encoder, clock: &mut u64, end: u64, repairs: &mut Repairs) {
    while let Some(at) = encoder.next_deadline().filter(|&at| at < end) {
        *clock = at.max(*clock);
        encoder.poll(*clock);
        take(encoder, *clock, repairs);
    }
    *clock = end;
}

fn take(encoder: &mut Encoder, now: u64, repairs: &mut Repairs) {
    while let Some(repair) = encoder.take_repair() {
        repairs.push((now, repair.members.iter().collect()));
    }
}

fn evaluate(sent: &[u64], repairs: &Repairs, sparse: bool) -> Flow {
    let start = sent[0] + SECOND;
    let first = sent.partition_point(|&at| at < start);
    let mut waits = [const { Vec::new() }; 3];
    let mut levels = vec![0; sent.len()];
    for (at, members) in repairs {
        for &seq in members {
            let level = &mut levels[seq as usize];
            if seq as usize >= first && *level < 3 {
                waits[*level].push(at - sent[seq as usize]);
            }
            *level += 1;
        }
    }
    let counted = repairs.iter().filter(|(at, _)| *at >= start).count();
    Flow { repairs_per_packet: counted as f64 / (sent.len() - first) as f64, waits, sparse }
}
