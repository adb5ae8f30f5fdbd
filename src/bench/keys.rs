//! What tags and encryption cost the rooms.
//!
//! For each room and size four stages with the same frames: nothing, the check, tags, encryption. They
//! take turns round by round, so that whatever else the machine does meets all of them.

use std::fmt;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use serde::Serialize;

use super::frames::Size;
use super::rows::{Case, Subject};
use super::stage::{Stage, Tally};
use crate::dpdk::{Eal, tsc_hz};
use crate::wire::seal::Mode;
use crate::wire::shim::Integrity;

/// The code of all rows.
const CODE: &str = "20:97,101,103+g1";
/// Wire packets lost before recover.
const LOSS: f64 = 0.01;
/// Parts of the measured time, of which the median counts.
const PARTS: usize = 9;
/// What is compared.
const WAYS: [(&str, Integrity, Option<Mode>); 4] = [
    ("off", Integrity::Off, None),
    ("check", Integrity::Check, None),
    ("tag", Integrity::Check, Some(Mode::Tag)),
    ("seal", Integrity::Check, Some(Mode::Seal)),
];
/// Which of those is the yardstick.
const CHECK: usize = 1;

/// One result.
#[derive(Clone, Debug, Serialize)]
pub struct KeysRow {
    /// Protect or recover.
    pub room: Subject,
    /// Bytes of a frame, or `"imix"`.
    pub size: Size,
    /// The code.
    pub code: &'static str,
    /// Share of wire packets lost before the room.
    pub loss: f64,
    /// `"off"`, `"check"`, `"tag"` or `"seal"`.
    pub mode: &'static str,
    /// Millions of source frames a second.
    pub mpps: f64,
    /// Gigabits of source frames a second: of the parts of the time, the middle one.
    pub gbps: f64,
    /// And the slowest.
    pub gbps_least: f64,
    /// And the fastest.
    pub gbps_most: f64,
    /// Cycles of the time-stamp counter for each source frame.
    pub cycles_per_packet: f64,
    /// Its rate over that of `"check"`, part by part: the middle one.
    pub of_check: f64,
}

impl fmt::Display for KeysRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = format!("{:?}", self.room).to_lowercase();
        write!(
            f,
            "{room:<8} {:<5} {} {:>2}% {:<6} {:>7.2} Mpps {:>6.1} Gb/s ({:.1} to {:.1}) {:>7.1} cycles  \
             of check {:.3}",
            self.size.to_string(),
            self.code,
            self.loss * 100.0,
            self.mode,
            self.mpps,
            self.gbps,
            self.gbps_least,
            self.gbps_most,
            self.cycles_per_packet,
            self.of_check,
        )
    }
}

/// What can't be set up, in one line.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Makes all rows on this core, each four of them in so long a time.
pub fn measure(
    eal: &Eal,
    core: usize,
    sizes: &[Size],
    time: Duration,
) -> Result<Vec<KeysRow>, Problem> {
    if !core_affinity::set_for_current(CoreId { id: core }) {
        return Err(format!("core {core} can't be used; expected one that may run this").into());
    }
    let _registered = eal.register_thread()?;
    let mut rows = Vec::new();
    for &size in sizes {
        for (subject, loss) in [(Subject::Protect, 0.0), (Subject::Recover, LOSS)] {
            let code = Some(CODE.parse()?);
            rows.extend(compare(
                eal,
                &Case { subject, size, code, loss, flows: None, streams: false },
                time,
            )?);
        }
    }
    Ok(rows)
}

fn compare(eal: &Eal, case: &Case, time: Duration) -> Result<Vec<KeysRow>, Problem> {
    let mut stages = Vec::new();
    for (n, (_, integrity, keys)) in WAYS.into_iter().enumerate() {
        stages.push(Stage::confirmed(eal, n, case, integrity, keys)?);
    }
    // The first rounds meet cold caches and an unknown rate.
    for _ in 0..3 {
        for stage in &mut stages {
            stage.round();
        }
    }
    let mut parts = Vec::new();
    for _ in 0..PARTS {
        let start = Instant::now();
        let mut tallies = [Tally::default(); WAYS.len()];
        loop {
            for (stage, tally) in stages.iter_mut().zip(&mut tallies) {
                tally.add(stage.round());
            }
            if start.elapsed() > time / PARTS as u32 {
                break;
            }
        }
        parts.push(tallies);
    }
    let rate = |tally: &Tally| tally.packets as f64 / tally.elapsed.as_secs_f64();
    let gbps = |tally: &Tally| tally.bytes as f64 * 8.0 / tally.elapsed.as_secs_f64() / 1e9;
    let rows = WAYS.iter().enumerate().map(|(n, (mode, ..))| {
        let sorted = |of: &dyn Fn(&[Tally; WAYS.len()]) -> f64| {
            let mut values: Vec<f64> = parts.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let rates = sorted(&|part| rate(&part[n]));
        let bits = sorted(&|part| gbps(&part[n]));
        let ratios = sorted(&|part| rate(&part[n]) / rate(&part[CHECK]));
        KeysRow {
            room: case.subject,
            size: case.size,
            code: CODE,
            loss: case.loss,
            mode,
            mpps: rates[PARTS / 2] / 1e6,
            gbps: bits[PARTS / 2],
            gbps_least: bits[0],
            gbps_most: bits[PARTS - 1],
            cycles_per_packet: tsc_hz() as f64 / rates[PARTS / 2],
            of_check: ratios[PARTS / 2],
        }
    });
    Ok(rows.collect())
}
