//! What is measured, and how it is shown.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Serialize;

use super::frames::Size;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// LAN to WAN.
    Protect,
    /// The same with a WAN rate that is never reached, under `reserve`: what keeping to it costs.
    Reserve,
    /// The same under `source-first`.
    SourceFirst,
    /// WAN to LAN.
    Recover,
    /// Both on one core: each packet goes through both.
    Both,
    /// LAN to coding cores, for ports that can't spread flows: see [`super::handing`].
    Dispatch,
    /// Yardstick: receive and send over the same ports.
    Forward,
    /// Yardstick: one memcpy of each packet into a buffer that is in cache.
    Memcpy,
}

/// One measurement to make.
#[derive(Clone, Debug)]
pub struct Case {
    /// Which room or yardstick.
    pub subject: Subject,
    /// How long frames are.
    pub size: Size,
    /// The code, for rooms.
    pub code: Option<crate::fec::Code>,
    /// Share of wire packets lost, independently, for `recover` and `both`.
    pub loss: f64,
    /// Flows that the frames are spread over; `None` gives each mbuf its own.
    pub flows: Option<u32>,
    /// Frames are TCP segments, each flow's bytes in order; they are spread over flows then.
    pub streams: bool,
}

/// One result.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which room or yardstick.
    pub room: Subject,
    /// Bytes of a frame, or `"imix"`.
    pub size: Size,
    /// The code; empty for yardsticks.
    pub code: String,
    /// Share of wire packets lost.
    pub loss: f64,
    /// Flows that the frames were spread over, if that was asked for.
    pub flows: Option<u32>,
    /// How many workers ran at once, each on its own core and ports.
    pub workers: usize,
    /// Millions of source frames a second, all workers together.
    pub mpps: f64,
    /// Gigabits of source frames a second.
    pub gbps: f64,
    /// Cycles of the time-stamp counter for each source frame and worker.
    pub cycles_per_packet: f64,
    /// What the room allocates, its packets included, for each worker.
    pub memory_bytes: u64,
    /// Its packets a second over those of `forward`, of this size and number of workers.
    pub of_forward: f64,
    /// Its bits a second over those of `memcpy`, likewise.
    pub of_memcpy: f64,
}

impl Row {
    /// Fills in the ratios from the yardsticks among `rows`, which include this row if it is one.
    pub fn compare(&mut self, rows: &[Row]) {
        let yardstick = |room| {
            let fits = |row: &&Row| {
                row.room == room && row.size == self.size && row.workers == self.workers
            };
            rows.iter().find(fits)
        };
        let forward = yardstick(Subject::Forward).map_or(self.mpps, |row| row.mpps);
        let memcpy = yardstick(Subject::Memcpy).map_or(self.gbps, |row| row.gbps);
        self.of_forward = self.mpps / forward;
        self.of_memcpy = self.gbps / memcpy;
    }
}

/// The heading above rows that are printed.
pub const HEADING: &str = "room     size  code                     loss  workers    Mpps    Gb/s  \
                           cycles  MiB  of forward  of memcpy";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = self.room.to_possible_value();
        let room = room.as_ref().map_or("", |value| value.get_name());
        let code = if self.code.is_empty() { "-" } else { &self.code };
        write!(
            f,
            "{room:<8} {:<5} {code:<23} {:>4}% {:>8} {:>7.2} {:>7.1} {:>7.1} {:>4}  {:>10.3}  {:>9.3}",
            self.size.to_string(),
            self.loss * 100.0,
            self.workers,
            self.mpps,
            self.gbps,
            self.cycles_per_packet,
            self.memory_bytes >> 20,
            self.of_forward,
            self.of_memcpy,
        )
    }
}

/// A share, given as such.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        match text.parse() {
            Ok(share) if (0.0..0.5).contains(&share) => Ok(Share(share)),
            _ => Err(format!("loss {text:?}: expected 0 to 0.5, e.g. 0.01")),
        }
    }
}
