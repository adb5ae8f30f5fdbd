//! Clients of the store: see the library's head.
//!
//! In a closed loop each sends its next record when it was told of the last one; at a rate they send at even times, told
//! or not, and a commit counts from when it should have been sent. What they were told of is written to a file, a line
//! each: the record's number, when it was sent and when told, in nanoseconds of CLOCK_MONOTONIC. The file is whole
//! when this process ends, which it does when the time is over or the primary is gone.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use mirror_store::protocol::{Address, Stream, answer, ask};
use mirror_store::record::LONGEST;
use mirror_store::{Context, Error, Result, trouble};
use netsync::now_ns;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Sends records to a primary, and measures how long they take to be safe
#[derive(Parser)]
struct Arguments {
    /// The primary: unix:PATH or HOST:PORT
    #[arg(long)]
    connect: Address,
    /// How many clients
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    clients: u32,
    /// Bytes of a record
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(0..=LONGEST as i64))]
    size: u32,
    /// Records a second of all clients together [default: a closed loop]
    #[arg(long)]
    rate: Option<f64>,
    /// For how long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// What comes within so many seconds of the beginning is not measured
    #[arg(long, default_value_t = 0.0)]
    warm_up: f64,
    /// Where to write which records were told, and when
    #[arg(long)]
    log: Option<PathBuf>,
}

/// A record that was told.
struct Told {
    number: u64,
    sent_ns: u64,
    told_ns: u64,
}

/// When a client stops.
struct Course {
    begin_ns: u64,
    end_ns: u64,
    stop: Arc<AtomicBool>,
}

impl Course {
    fn is_over(&self, now: u64) -> bool {
        now >= self.end_ns || self.stop.load(Ordering::Relaxed)
    }
}

fn main() -> ExitCode {
    trouble::end(load(&Arguments::parse()))
}

fn load(arguments: &Arguments) -> Result<()> {
    let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(Error::new(format!("--{name} {value}: expected more than 0"))),
    };
    let seconds = positive("seconds", arguments.seconds)?;
    let rate = arguments.rate.map(|rate| positive("rate", rate)).transpose()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("signals")?;
    }
    let log = arguments.log.as_ref().map(|path| File::create(path).context(path.display()));
    let mut log = log.transpose()?.map(BufWriter::new);
    let streams: Result<Vec<Stream>> =
        (0..arguments.clients).map(|_| Stream::connect(&arguments.connect)).collect();
    let streams = streams?;
    let begin_ns = now_ns();
    let course = Arc::new(Course {
        begin_ns,
        end_ns: begin_ns.saturating_add((seconds * 1e9) as u64),
        stop,
    });
    let (report, told) = channel();
    for (which, stream) in streams.into_iter().enumerate() {
        let (report, course) = (report.clone(), Arc::clone(&course));
        let payload = vec![which as u8; arguments.size as usize];
        let gap = rate.map(|rate| (f64::from(arguments.clients) * 1e9 / rate) as u64);
        let first = gap.unwrap_or(0) / u64::from(arguments.clients) * which as u64;
        match gap {
            None => drop(thread::spawn(move || closed(stream, &payload, &course, &report))),
            Some(gap) => {
                let answers = stream.again().context("a client")?;
                let (hurry, sent) = channel();
                let beside = Arc::clone(&course);
                thread::spawn(move || send(stream, &payload, &beside, (first, gap), &hurry));
                thread::spawn(move || hear(answers, &sent, &report));
            }
        }
    }
    drop(report);
    let from_ns = begin_ns.saturating_add((arguments.warm_up * 1e9) as u64);
    // Up to ten minutes, in nanoseconds.
    let mut took = Histogram::<u64>::new_with_bounds(1, 600_000_000_000, 3).map_err(Error::new)?;
    let (mut count, mut last_ns) = (0, from_ns);
    let began = Instant::now();
    for Told { number, sent_ns, told_ns } in told {
        count += 1;
        if let Some(log) = &mut log {
            writeln!(log, "{number}\t{sent_ns}\t{told_ns}").context("the log")?;
        }
        if sent_ns >= from_ns {
            took.saturating_record(told_ns.saturating_sub(sent_ns));
            last_ns = last_ns.max(told_ns);
        }
    }
    if let Some(log) = &mut log {
        log.flush().context("the log")?;
    }
    let measured = (last_ns - from_ns) as f64 / 1e9;
    let us = |ns: u64| ns as f64 / 1e3;
    let quantile = |q: f64| us(took.value_at_quantile(q));
    let early = began.elapsed().as_secs_f64() < seconds && !course.stop.load(Ordering::Relaxed);
    println!(
        "{}",
        serde_json::json!({
            "clients": arguments.clients,
            "told": count,
            "measured": took.len(),
            "per_second": if measured > 0.0 { took.len() as f64 / measured } else { 0.0 },
            "median_us": quantile(0.5),
            "p90_us": quantile(0.9),
            "p99_us": quantile(0.99),
            "max_us": us(took.max()),
            "primary_gone": early,
        })
    );
    Ok(())
}

/// One record after the other.
fn closed(mut stream: Stream, payload: &[u8], course: &Course, report: &Sender<Told>) {
    loop {
        let sent_ns = now_ns();
        if course.is_over(sent_ns) || ask(&mut stream, payload).is_err() {
            return;
        }
        let Ok(number) = answer(&mut stream) else { return };
        if report.send(Told { number, sent_ns, told_ns: now_ns() }).is_err() {
            return;
        }
    }
}

/// Records at even times.
fn send(
    mut stream: Stream,
    payload: &[u8],
    course: &Course,
    (first, gap): (u64, u64),
    sent: &Sender<u64>,
) {
    let mut due = course.begin_ns.saturating_add(first);
    loop {
        let now = now_ns();
        if course.is_over(now) {
            break;
        }
        if due > now {
            thread::sleep(Duration::from_nanos((due - now).min(10_000_000)));
            continue;
        }
        if sent.send(due).is_err() || ask(&mut stream, payload).is_err() {
            break;
        }
        due = due.saturating_add(gap);
    }
    // What is not told within a second of the end is given up.
    thread::sleep(Duration::from_secs(1));
    stream.close();
}

fn hear(mut answers: Stream, sent: &Receiver<u64>, report: &Sender<Told>) {
    while let Ok(number) = answer(&mut answers) {
        let Ok(sent_ns) = sent.recv() else { return };
        if report.send(Told { number, sent_ns, told_ns: now_ns() }).is_err() {
            return;
        }
    }
}
