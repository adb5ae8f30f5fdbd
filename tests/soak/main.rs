//! Everything at once, in virtual time, from one seed: two gateways of the real rooms, a WAN that does
//! what it may, kills, overload, and what must hold all the while.
//!
//! `SEEDS=1000 FROM=1 TRACE=1 JOBS=2` in the environment say what is run; without them it is a bounded
//! number of seeds. See docs/LAB.md.

#[path = "../common/mod.rs"]
mod common;

mod auto;
mod end;
mod frames;
mod keys;
mod ledger;
mod over;
mod ports;
mod run;
mod scenario;
mod summary;
mod traffic;
#[path = "../netsync/truth.rs"]
mod truth;
mod turns;
mod watch;
mod way;

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use maelstrom::dpdk::mempool::DEFAULT_DATA_ROOM;
use maelstrom::dpdk::{Eal, EalConfig, Mempool};

use run::run;
use summary::Summary;

/// Mbufs of each gateway: more than any blueprint of a scenario asks for.
const MBUFS: u32 = 16_383;
/// What those of one thread take without hugepages, and EAL beside them, in MiB.
const THREAD_MIB: u32 = 160;
/// What `make test` runs.
const BOUNDED: u64 = 150;

thread_local! {
    /// What the last panic of this thread said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text:?}: expected a number")))
}

/// A seed that failed, and why.
struct Failure {
    seed: u64,
    why: String,
}

#[derive(Default)]
struct Outcome {
    passed: u64,
    failed: Vec<Failure>,
    frames: Vec<u64>,
    spans: Vec<f64>,
    total: Summary,
}

fn main() -> ExitCode {
    // What cargo passes on: a filter that names other tests.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let lists = std::env::args().any(|argument| argument == "--list");
    if lists || filter.is_some_and(|filter| !"soak".contains(&filter)) {
        return ExitCode::SUCCESS;
    }
    let from = number("FROM").unwrap_or(1);
    let seeds = number("SEEDS").unwrap_or(BOUNDED);
    let trace = number("TRACE").is_some_and(|trace| trace > 0);
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let jobs = number("JOBS").unwrap_or(cores.min(2)).clamp(1, seeds.max(1)) as u32;
    let memory_mib = 64 + jobs * THREAD_MIB;
    let config = EalConfig { hugepages: false, memory_mib, ..EalConfig::default() };
    let eal = Eal::init(&config).expect("an EAL without hugepages");
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line()));
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or(payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic");
        SAID.set(format!("{text}{}", place.unwrap_or_default()));
    }));

    let begun = Instant::now();
    let next = AtomicU64::new(from);
    let outcome = Mutex::new(Outcome::default());
    let progress = std::io::stderr().is_terminal() && !trace;
    thread::scope(|scope| {
        for job in 0..jobs {
            let (eal, next, outcome) = (eal.clone(), &next, &outcome);
            scope.spawn(move || {
                let _registered = eal.register_thread().expect("a place among the lcores");
                let pools = [0, 1].map(|end| {
                    let name = format!("soak-{job}-{end}");
                    Mempool::new(&eal, &name, MBUFS, DEFAULT_DATA_ROOM).expect("a pool")
                });
                loop {
                    // Relaxed: only the number counts.
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from.saturating_add(seeds) {
                        return;
                    }
                    let result = panic::catch_unwind(AssertUnwindSafe(|| run(seed, &pools, trace)));
                    let mut outcome = outcome.lock().expect("no panic holds it");
                    match result {
                        Ok(summary) => {
                            outcome.passed += 1;
                            outcome.frames.push(summary.frames);
                            outcome.spans.push(summary.spans);
                            outcome.total.add(&summary);
                        }
                        Err(_) => {
                            let why = SAID.take();
                            println!("seed {seed} failed: {why}");
                            println!("  replay: make soak SEEDS=1 FROM={seed} TRACE=1");
                            outcome.failed.push(Failure { seed, why });
                        }
                    }
                    let done = outcome.passed + outcome.failed.len() as u64;
                    if progress && done.is_multiple_of(16) {
                        let rate = done as f64 * 60.0 / begun.elapsed().as_secs_f64();
                        eprint!("\r{done} of {seeds} seeds, {rate:.0} a minute ");
                    }
                }
            });
        }
    });
    drop(panic::take_hook());
    let mut outcome = outcome.into_inner().expect("no panic holds it");
    if progress {
        eprintln!();
    }
    outcome.failed.sort_by_key(|failure| failure.seed);
    for Failure { seed, why } in &outcome.failed {
        println!("failed: make soak SEEDS=1 FROM={seed} TRACE=1  # {why}");
    }
    outcome.frames.sort_unstable();
    outcome.spans.sort_by(f64::total_cmp);
    let middle = outcome.frames.len() / 2;
    let rate = seeds as f64 * 60.0 / begun.elapsed().as_secs_f64();
    println!("{}", outcome.total);
    println!(
        "seeds {from} to {}: median run {} frames, {:.0} spans; {rate:.0} seeds a minute",
        from + seeds.max(1) - 1,
        outcome.frames.get(middle).copied().unwrap_or(0),
        outcome.spans.get(middle).copied().unwrap_or(0.0),
    );
    println!("{} passed, {} failed", outcome.passed, outcome.failed.len());
    std::io::stdout().flush().expect("an output");
    if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
