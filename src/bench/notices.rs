//! What network-sync costs `protect`, and how soon a reader knows.
//!
//! Two stages with the same frames, TCP segments of as many flows as are tracked: one tells readers, the
//! other doesn't. They take turns round by round, so that whatever else the machine does meets both.
//! A reader spins on another core all the while: on the notices, and on one flow's watermark.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use hdrhistogram::Histogram;
use netsync::{
    Event, Notice, Segment, SegmentConfig, Server, ServerConfig, Subscriber, WorkerWriter, now_ns,
};
use serde::Serialize;

use super::frames::{STREAM_PORT, Size, stream_key};
use super::rows::{Case, Subject};
use super::stage::{Stage, Tally};
use crate::dpdk::{Eal, tsc_hz};
use crate::gateway::flows::{End, Exit, Filter, Publisher, PublisherConfig, Rule};
use crate::wire::shim::Integrity;

/// The code, the frames' size and the flows of all rows.
const CODE: &str = "20:97,101,103+g1";
const SIZE: u16 = 1500;
const FLOWS: u32 = 1000;
/// Parts of the measured time, of which the median counts.
const PARTS: usize = 5;
/// From one notice to the next where the reader's latency is measured: as repairs of two million
/// packets a second come.
const PACE_NS: u64 = 3000;
/// Notices published in a row where the ring alone is measured.
const BATCH: u64 = 1 << 16;

/// One result.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum NoticeRow {
    /// What protect does, with readers told and without.
    Protect {
        /// Frames' size in bytes.
        size: u16,
        /// The code.
        code: &'static str,
        /// Flows that are tracked.
        flows: u32,
        /// Millions of source frames a second without.
        mpps_without: f64,
        /// The same with.
        mpps: f64,
        /// Cycles of the time-stamp counter for each frame without.
        cycles_without: f64,
        /// The same with.
        cycles: f64,
        /// `mpps` over `mpps_without`.
        of_protect: f64,
    },
    /// From a notice's publication to a reader that spins on another core.
    Latency {
        /// Notices that were measured.
        notices: u64,
        /// Half of them took no longer, in nanoseconds.
        p50_ns: u64,
        /// 99 of 100.
        p99_ns: u64,
        /// And the longest.
        max_ns: u64,
        /// Notices that the reader missed.
        missed: u64,
    },
    /// The ring alone.
    Publish {
        /// Millions of notices a second.
        millions_per_second: f64,
    },
}

impl std::fmt::Display for NoticeRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoticeRow::Protect { size, code, flows, mpps_without, mpps, of_protect, .. } => write!(
                f,
                "protect   {size} B, {code}, {flows} tracked flows, a reader: {mpps:.2} Mpps of \
                 {mpps_without:.2} without: {of_protect:.3}"
            ),
            NoticeRow::Latency { notices, p50_ns, p99_ns, max_ns, missed } => write!(
                f,
                "latency   {notices} notices to a reader: p50 {p50_ns} ns, p99 {p99_ns} ns, longest \
                 {max_ns} ns, {missed} missed"
            ),
            NoticeRow::Publish { millions_per_second } => {
                write!(f, "publish   to the ring alone: {millions_per_second:.1} million a second")
            }
        }
    }
}

/// What can't be set up, in one line.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// A segment that readers can connect to.
struct Served {
    writer: WorkerWriter,
    subscriber: Subscriber,
    _rest: (netsync::Control, Server, tempfile::TempDir),
}

impl Served {
    fn new() -> Result<Served, Problem> {
        let mut config = SegmentConfig::new(1, 1);
        // Nobody beats here.
        config.heartbeat_timeout = Duration::from_secs(1 << 20);
        let mut segment = Segment::create(&config)?;
        let writer = segment.workers.pop().ok_or("no writer")?;
        segment.control.publish_code(CODE, 3, &[[1.0; 8]; 4]);
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("socket");
        let config = ServerConfig { path: path.clone(), mode: 0o600, group: None };
        let server = Server::start(&config, segment.file)?;
        let subscriber = Subscriber::connect(path)?;
        Ok(Served { writer, subscriber, _rest: (segment.control, server, folder) })
    }
}

/// Makes all rows: rooms on the first core, the reader on the second, each for so long.
pub fn measure(
    eal: &Eal,
    [core, reader]: [usize; 2],
    time: Duration,
) -> Result<Vec<NoticeRow>, Problem> {
    pin(core)?;
    let _registered = eal.register_thread()?;
    Ok(vec![protect(eal, reader, time)?, latency(reader, time)?, publish(time)?])
}

fn pin(core: usize) -> Result<(), Problem> {
    match core_affinity::set_for_current(CoreId { id: core }) {
        true => Ok(()),
        false => Err(format!("core {core} can't be used; expected one that may run this").into()),
    }
}

/// Runs `read` on the reader's core, over and over, while `work` runs here.
fn beside<R>(
    reader: usize,
    mut read: impl FnMut() + Send,
    work: impl FnOnce() -> R,
) -> Result<R, Problem> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let spinning = scope.spawn(|| {
            pin(reader)?;
            // Relaxed: it guards nothing.
            while !stop.load(Ordering::Relaxed) {
                read();
                std::hint::spin_loop();
            }
            Ok(())
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        spinning.join().unwrap_or_else(|_| Err("the reader panicked".into())).map(|()| result)
    })
}

fn protect(eal: &Eal, reader: usize, time: Duration) -> Result<NoticeRow, Problem> {
    let case = Case {
        subject: Subject::Protect,
        size: Size::Fixed(SIZE),
        code: Some(CODE.parse()?),
        loss: 0.0,
        flows: Some(FLOWS),
        streams: true,
    };
    let served = Served::new()?;
    let mut without = Stage::new(eal, 0, &case, Integrity::Check)?;
    let mut with = Stage::new(eal, 1, &case, Integrity::Check)?;
    let filter =
        Filter::new(&[Rule { port: Some(STREAM_PORT), end: End::Remote, ..Rule::default() }]);
    let config = PublisherConfig {
        filter,
        flows: SegmentConfig::new(1, 1).geometry.flows,
        levels: 3,
        span: case.code.as_ref().map_or(0, |code| code.span()),
        exit: Exit::default(),
        idle: None,
        clock: now_ns(),
        told: Arc::default(),
    };
    with.tell(Publisher::new(config, served.writer));
    let mut notices = served.subscriber.notices(0)?.ok_or("no ring")?;
    let mut flow = served.subscriber.flow_by(stream_key(7));
    let read = move || {
        let _ = notices.poll();
        let _ = flow.watermark(1);
    };
    let parts = beside(reader, read, || {
        for _ in 0..3 {
            without.round();
            with.round();
        }
        let mut parts: Vec<[Tally; 2]> = Vec::new();
        for _ in 0..PARTS {
            let start = Instant::now();
            let mut tallies = [Tally::default(); 2];
            while start.elapsed() < time / PARTS as u32 {
                tallies[0].add(without.round());
                tallies[1].add(with.round());
            }
            parts.push(tallies);
        }
        parts
    })?;
    let rate = |tally: &Tally| tally.packets as f64 / tally.elapsed.as_secs_f64();
    let mut rates: Vec<[f64; 2]> = parts.iter().map(|part| part.each_ref().map(rate)).collect();
    rates.sort_by(|a, b| (a[1] / a[0]).total_cmp(&(b[1] / b[0])));
    let [without, with] = rates[PARTS / 2];
    Ok(NoticeRow::Protect {
        size: SIZE,
        code: CODE,
        flows: FLOWS,
        mpps_without: without / 1e6,
        mpps: with / 1e6,
        cycles_without: tsc_hz() as f64 / without,
        cycles: tsc_hz() as f64 / with,
        of_protect: with / without,
    })
}

/// A notice such as a repair's, of now.
fn notice(number: u64) -> Notice {
    let now = now_ns();
    Notice::Repair {
        code_id: 0,
        layer: 0,
        flushed: false,
        base: number,
        stride: 97,
        count: 20,
        runs: 0,
        made_ns: now,
        left_ns: now,
    }
}

/// How far the reader's clock is ahead of ours, in nanoseconds: cores of a virtual machine may differ by
/// more than a notice takes. As NTP has it, from the quickest of many answers.
fn clock_difference(reader: usize, time: Duration) -> Result<i64, Problem> {
    let (asked, answered, at) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let read = || {
        // Acquire and release: who sees the number sees the time that belongs to it.
        let question = asked.load(Ordering::Acquire);
        if question != answered.load(Ordering::Relaxed) {
            at.store(now_ns(), Ordering::Relaxed);
            answered.store(question, Ordering::Release);
        }
    };
    beside(reader, read, || {
        let start = Instant::now();
        let mut best = (u64::MAX, 0);
        for question in 1..=20_000 {
            let before = now_ns();
            asked.store(question, Ordering::Release);
            while answered.load(Ordering::Acquire) != question {
                std::hint::spin_loop();
            }
            let after = now_ns();
            let there = at.load(Ordering::Relaxed);
            let middle = before + (after - before) / 2;
            best = best.min((after - before, there as i64 - middle as i64));
            if start.elapsed() > time / 4 {
                break;
            }
        }
        best.1
    })
}

fn latency(reader: usize, time: Duration) -> Result<NoticeRow, Problem> {
    let ahead = clock_difference(reader, time)?;
    let Served { mut writer, subscriber, _rest } = Served::new()?;
    let mut notices = subscriber.notices(0)?.ok_or("no ring")?;
    // Up to a minute.
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
    let mut missed = 0;
    let read = || match notices.poll() {
        Some(Event::Notice(Notice::Repair { left_ns, .. })) => {
            let took = now_ns() as i64 - ahead - left_ns as i64;
            histogram.saturating_record(took.max(1) as u64);
        }
        Some(Event::Missed(count)) => missed += count,
        _ => {}
    };
    beside(reader, read, || {
        let start = now_ns();
        let mut next = start;
        for number in 0.. {
            if next - start > time.as_nanos() as u64 {
                break;
            }
            while now_ns() < next {
                std::hint::spin_loop();
            }
            writer.notice(&notice(number));
            next += PACE_NS;
        }
    })?;
    Ok(NoticeRow::Latency {
        notices: histogram.len(),
        p50_ns: histogram.value_at_quantile(0.5),
        p99_ns: histogram.value_at_quantile(0.99),
        max_ns: histogram.max(),
        missed,
    })
}

fn publish(time: Duration) -> Result<NoticeRow, Problem> {
    let mut served = Served::new()?;
    let mut notice = notice(0);
    let mut rates: Vec<f64> = (0..PARTS)
        .map(|_| {
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < time / PARTS as u32 {
                for number in count..count + BATCH {
                    if let Notice::Repair { base, .. } = &mut notice {
                        *base = number;
                    }
                    served.writer.notice(&notice);
                }
                count += BATCH;
            }
            count as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    Ok(NoticeRow::Publish { millions_per_second: rates[PARTS / 2] / 1e6 })
}
