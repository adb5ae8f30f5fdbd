//! `maelstrom bench`: see [`crate::bench`].

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use core_affinity::CoreId;
use serde::Serialize;

use super::Outcome;
use crate::bench::frames::{SIZES, Size};
use crate::bench::hugepages::Hugepages;
use crate::bench::rows::{Case, HEADING, Row, Share, Subject};
use crate::bench::stage::{Stage, Tally};
use crate::bench::{keys, notices};
use crate::config::last_cpu;
use crate::dpdk::{Eal, EalConfig, tsc_hz};
use crate::fec::Code;
use crate::wire::shim::Integrity;

#[derive(Args)]
pub(super) struct BenchArguments {
    /// What to measure; may be given several times [default: all but reserve and source-first]
    #[arg(long, value_enum)]
    room: Vec<Subject>,
    /// Frame size in bytes, or imix; may be given several times
    #[arg(long)]
    size: Vec<Size>,
    /// Code; may be given several times
    #[arg(long)]
    code: Vec<Code>,
    /// Share of packets lost, for recover; may be given several times
    #[arg(long)]
    loss: Vec<Share>,
    /// Flows that frames are spread over [default: each buffer's frame is one of its own]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    flows: Option<u32>,
    /// CPUs to run on, one worker each; measured are one worker and all [default: 0]
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
    /// How long a row is measured, in seconds; the row is the median of five parts of it
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// What confirms packets
    #[arg(long, value_enum, default_value_t = Integrity::Check)]
    integrity: Integrity,
    /// Packet memory from ordinary pages
    #[arg(long)]
    no_hugepages: bool,
    /// Measure network-sync instead: what tracking 1000 flows costs, how soon a reader knows. The reader
    /// runs on the second of --cores [default: 0,1]
    #[arg(long, conflicts_with_all = ["room", "size", "code", "loss", "flows"])]
    notices: bool,
    /// Measure keys instead: protect and recover with nothing, the check, tags and encryption, by turns
    #[arg(long, conflicts_with_all = ["room", "code", "loss", "flows", "notices"])]
    keys: bool,
    /// Print an array of rows as JSON
    #[arg(long)]
    json: bool,
    /// Write that array to a file, whatever is printed
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

const CODES: [&str; 3] = ["8:1,20,40", "20:97,101,103+g1", "64:97,101,103,107+g1"];
const LOSSES: [f64; 4] = [0.0, 0.001, 0.01, 0.05];
/// Parts of a row's time, of which the median counts.
const PARTS: usize = 5;
/// Packet memory for each worker, in MiB: three rings, two pools, a large window.
const WORKER_MEMORY: u32 = 640;

impl BenchArguments {
    fn cases(&self) -> Result<Vec<Case>, Box<dyn std::error::Error>> {
        let sizes = if self.size.is_empty() { SIZES.to_vec() } else { self.size.clone() };
        let codes = match self.code.is_empty() {
            true => CODES.iter().map(|code| code.parse()).collect::<Result<Vec<Code>, _>>()?,
            false => self.code.clone(),
        };
        let losses = match self.loss.is_empty() {
            true => LOSSES.to_vec(),
            false => self.loss.iter().map(|share| share.0).collect(),
        };
        let policy = |room| matches!(room, Subject::Reserve | Subject::SourceFirst);
        let wanted = |room| self.room.contains(&room) || self.room.is_empty() && !policy(room);
        let mut cases = Vec::new();
        for size in sizes {
            let case = |subject, code: Option<&Code>, loss| Case {
                subject,
                size,
                code: code.cloned(),
                loss,
                flows: self.flows,
                streams: false,
            };
            for yardstick in [Subject::Forward, Subject::Memcpy] {
                cases.push(case(yardstick, None, 0.0));
            }
            cases.push(case(Subject::Dispatch, None, 0.0));
            for code in &codes {
                for room in [Subject::Protect, Subject::Reserve, Subject::SourceFirst] {
                    cases.push(case(room, Some(code), 0.0));
                }
                for &loss in &losses {
                    cases.push(case(Subject::Recover, Some(code), loss));
                }
                cases.push(case(Subject::Both, Some(code), 0.0));
            }
        }
        // The yardsticks belong to every run.
        let yardstick = |room| matches!(room, Subject::Forward | Subject::Memcpy);
        cases.retain(|case| yardstick(case.subject) || wanted(case.subject));
        Ok(cases)
    }
}

pub(super) fn run(arguments: &BenchArguments) -> Outcome {
    if !(0.05..=3600.0).contains(&arguments.seconds) {
        return Err(format!("--seconds {}: expected 0.05 to 3600", arguments.seconds).into());
    }
    let cases = arguments.cases()?;
    let default = if arguments.notices { vec![0, 1] } else { vec![0] };
    let cores = if arguments.cores.is_empty() { default } else { arguments.cores.clone() };
    if let (Some(core), Some(last)) = (cores.iter().max(), last_cpu())
        && *core > last
    {
        return Err(format!("--cores: core {core} does not exist; expected 0 to {last}").into());
    }
    let stages = if arguments.keys { keys::STAGES } else { cores.len() };
    let memory_mib = WORKER_MEMORY * stages as u32;
    let hugepages = match arguments.no_hugepages {
        true => None,
        false => Hugepages::reserve(u64::from(memory_mib) << 20)
            .inspect_err(|problem| log::warn!("without hugepages: {problem}"))
            .ok(),
    };
    let eal = Eal::init(&EalConfig {
        hugepages: hugepages.is_some(),
        memory_mib,
        ..EalConfig::default()
    })?;
    if arguments.notices {
        return notices(&eal, &cores, arguments);
    }
    if arguments.keys {
        return keys(&eal, cores[0], arguments);
    }
    if !arguments.json {
        println!(
            "{}, hugepages {}, integrity {:?}, {} s a row",
            eal.version(),
            if hugepages.is_some() { "on" } else { "off" },
            arguments.integrity,
            arguments.seconds
        );
        println!("{HEADING}");
    }
    let mut workers = vec![1];
    if cores.len() > 1 {
        workers.push(cores.len());
    }
    let mut rows = Vec::new();
    for case in &cases {
        for &workers in &workers {
            let mut row = measure(&eal, case, &cores[..workers], arguments)?;
            // The yardsticks come first for each size.
            row.compare(&rows);
            if !arguments.json {
                println!("{row}");
            }
            rows.push(row);
        }
    }
    let json = serde_json::to_string_pretty(&rows)?;
    if arguments.json {
        println!("{json}");
    }
    if let Some(path) = &arguments.save {
        fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    drop(eal);
    Ok(ExitCode::SUCCESS)
}

/// The rows about network-sync.
fn notices(eal: &Eal, cores: &[usize], arguments: &BenchArguments) -> Outcome {
    let &[core, reader] = cores else {
        return Err(
            format!("--cores: got {} of them, expected two with --notices", cores.len()).into()
        );
    };
    let time = Duration::from_secs_f64(arguments.seconds);
    let measured = thread::scope(|scope| {
        let thread = scope.spawn(|| notices::measure(eal, [core, reader], time));
        thread.join().unwrap_or_else(|_| Err("the measuring thread panicked".into()))
    });
    show(&measured.map_err(|error| error.to_string())?, arguments)
}

/// The rows about keys.
fn keys(eal: &Eal, core: usize, arguments: &BenchArguments) -> Outcome {
    let sizes = match arguments.size.is_empty() {
        true => vec![Size::Fixed(64), Size::Fixed(1500)],
        false => arguments.size.clone(),
    };
    let time = Duration::from_secs_f64(arguments.seconds);
    let measured = thread::scope(|scope| {
        let thread = scope.spawn(|| keys::measure(eal, core, &sizes, time));
        thread.join().unwrap_or_else(|_| Err("the measuring thread panicked".into()))
    });
    show(&measured.map_err(|error| error.to_string())?, arguments)
}

/// Prints and saves rows as asked.
fn show<R: Serialize + Display>(rows: &[R], arguments: &BenchArguments) -> Outcome {
    let json = serde_json::to_string_pretty(rows)?;
    match arguments.json {
        true => println!("{json}"),
        false => rows.iter().for_each(|row| println!("{row}")),
    }
    if let Some(path) = &arguments.save {
        fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures a case with a worker on each of the cores.
fn measure(
    eal: &Eal,
    case: &Case,
    cores: &[usize],
    arguments: &BenchArguments,
) -> Result<Row, Box<dyn std::error::Error>> {
    let barrier = Barrier::new(cores.len());
    let part = Duration::from_secs_f64(arguments.seconds / PARTS as f64);
    let integrity = arguments.integrity;
    let results: Vec<Result<(Vec<Tally>, u64), String>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..)
            .zip(cores)
            .map(|(n, &core)| {
                let barrier = &barrier;
                scope.spawn(move || work(eal, n, core, case, integrity, part, barrier))
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.map(|result| result.unwrap_or_else(|_| Err("a worker panicked".into()))).collect()
    });
    let results = results.into_iter().collect::<Result<Vec<_>, String>>()?;
    // All workers' rates together, part by part.
    let mut parts: Vec<(f64, f64)> = (0..PARTS)
        .map(|part| {
            let rate = |of: fn(&Tally) -> u64| {
                let rates = results.iter().map(|(tallies, _)| {
                    of(&tallies[part]) as f64 / tallies[part].elapsed.as_secs_f64()
                });
                rates.sum::<f64>()
            };
            (rate(|tally| tally.packets), rate(|tally| tally.bytes))
        })
        .collect();
    parts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (packets, bytes) = parts[PARTS / 2];
    Ok(Row {
        room: case.subject,
        size: case.size,
        code: case.code.as_ref().map(ToString::to_string).unwrap_or_default(),
        loss: case.loss,
        flows: case.flows,
        workers: cores.len(),
        mpps: packets / 1e6,
        gbps: bytes * 8.0 / 1e9,
        cycles_per_packet: tsc_hz() as f64 * cores.len() as f64 / packets,
        memory_bytes: results[0].1,
        of_forward: 1.0,
        of_memcpy: 1.0,
    })
}

/// One worker: its own stage, then rounds for each part.
fn work(
    eal: &Eal,
    worker: usize,
    core: usize,
    case: &Case,
    integrity: Integrity,
    part: Duration,
    barrier: &Barrier,
) -> Result<(Vec<Tally>, u64), String> {
    let pinned = core_affinity::set_for_current(CoreId { id: core });
    let registered = eal.register_thread().map_err(|error| error.to_string());
    let stage = Stage::new(eal, worker, case, integrity).map_err(|error| error.to_string());
    // All wait for all, also when one of them can't go on.
    barrier.wait();
    let _registered = registered?;
    let mut stage = stage?;
    if !pinned {
        return Err(format!(
            "core {core} can't be used; expected one that this process may run on"
        ));
    }
    stage.round();
    let tallies = (0..PARTS)
        .map(|_| {
            let start = Instant::now();
            let mut tally = stage.round();
            while start.elapsed() < part {
                tally.add(stage.round());
            }
            tally
        })
        .collect();
    Ok((tallies, stage.memory_bytes))
}
