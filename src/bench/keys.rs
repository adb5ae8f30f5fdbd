//! What tags and encryption cost the rooms.
//!
//! For each room and size four stages with the same frames: nothing, the check, tags, encryption. They
//! take turns round by round, and the middle round counts: whatever else the machine does meets all of
//! them, and leaves most rounds alone.

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
/// Rounds to be measured at least.
const LEAST: usize = 9;
/// What is compared.
const WAYS: [(&str, Integrity, Option<Mode>); 4] = [
    ("off", Integrity::Off, None),
    ("check", Integrity::Check, None),
    ("tag", Integrity::Check, Some(Mode::Tag)),
    ("seal", Integrity::Check, Some(Mode::Seal)),
];
/// How many stages' memory is in use at once: the last one's is freed late.
pub const STAGES: usize = WAYS.len() + 1;
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
    /// Gigabits of source frames a second: of all rounds, the middle one.
    pub gbps: f64,
    /// And what a quarter of them fall short of.
    pub gbps_lower: f64,
    /// And what a quarter of them exceed.
    pub gbps_upper: f64,
    /// Cycles of the time-stamp counter for each source frame.
    pub cycles_per_packet: f64,
    /// Its rate over that of `"check"`, round by round: the middle one.
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
            self.gbps_lower,
            self.gbps_upper,
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
            let case = Case { subject, size, code, loss, flows: None, streams: false };
            rows.extend(compare(eal, rows.len(), &case, time)?);
        }
    }
    Ok(rows)
}

/// The rows of a case, whose stages have the numbers from `first` on.
fn compare(eal: &Eal, first: usize, case: &Case, time: Duration) -> Result<Vec<KeysRow>, Problem> {
    let mut stages = Vec::new();
    for (n, (_, integrity, keys)) in WAYS.into_iter().enumerate() {
        stages.push(Stage::confirmed(eal, first + n, case, integrity, keys)?);
    }
    // The first rounds meet cold caches and an unknown rate.
    for _ in 0..3 {
        for stage in &mut stages {
            stage.round();
        }
    }
    let mut rounds = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time || rounds.len() < LEAST {
        let mut tallies = [Tally::default(); WAYS.len()];
        for (stage, tally) in stages.iter_mut().zip(&mut tallies) {
            *tally = stage.round();
        }
        rounds.push(tallies);
    }
    let rate = |tally: &Tally| tally.packets as f64 / tally.elapsed.as_secs_f64();
    let gbps = |tally: &Tally| tally.bytes as f64 * 8.0 / tally.elapsed.as_secs_f64() / 1e9;
    let rows = WAYS.iter().enumerate().map(|(n, (mode, ..))| {
        let sorted = |of: &dyn Fn(&[Tally; WAYS.len()]) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let rates = sorted(&|round| rate(&round[n]));
        let bits = sorted(&|round| gbps(&round[n]));
        let ratios = sorted(&|round| rate(&round[n]) / rate(&round[CHECK]));
        KeysRow {
            room: case.subject,
            size: case.size,
            code: CODE,
            loss: case.loss,
            mode,
            mpps: middle(&rates) / 1e6,
            gbps: middle(&bits),
            gbps_lower: bits[bits.len() / 4],
            gbps_upper: bits[bits.len() * 3 / 4],
            cycles_per_packet: tsc_hz() as f64 / middle(&rates),
            of_check: middle(&ratios),
        }
    });
    Ok(rows.collect())
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
