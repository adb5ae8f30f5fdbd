//! What a run of the laboratory came to: for programs as JSON, for people as a few lines.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::compare::Comparison;
use super::link::LinkCounters;
use super::measure::Percentiles;
use crate::units::show_time;

/// The report. Every figure is of the direction from west to east. See docs/LAB.md for each key.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The code for dense traffic.
    pub code: String,
    /// The code for sparse traffic, if any.
    pub sparse_code: Option<String>,
    /// The WAN, as configured.
    pub wan: WanReport,
    /// Repair packets per source packet, measured.
    pub overhead: f64,
    /// How long the run took in virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// Frames from west's LAN.
    pub lan_in: u64,
    /// Of those, frames that were too large to protect and were sent as they are.
    pub bypassed: u64,
    /// Frames that the western gateway dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Source packets sent.
    pub source_sent: u64,
    /// Repair packets sent.
    pub repair_sent: u64,
    /// Of those, repairs of groups that a flush or their age cut short.
    pub repair_flushed: u64,
    /// Repair packets that the western gateway shed, to keep to its rate.
    pub repair_shed: u64,
    /// The same by layer.
    pub repair_shed_by_layer: Vec<u64>,
    /// Source packets that the WAN lost.
    pub source_lost: u64,
    /// Repair packets that the WAN lost.
    pub repair_lost: u64,
    /// Frames out on east's LAN.
    pub delivered: u64,
    /// Of those, frames that were rebuilt.
    pub recovered: u64,
    /// Source packets that were never delivered.
    pub unrecovered: u64,
    /// Source packets that came more than once, or after they had been rebuilt.
    pub duplicates_suppressed: u64,
    /// Packets that the eastern gateway rejected, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Frames out on east's LAN that were never sent, or sent fewer times, by their content. Must
    /// be 0.
    pub mismatched: u64,
    /// Of rebuilt packets: from when they would have arrived to their delivery; from their sending,
    /// for those that never got onto the wire (queue full, over the MTU).
    pub recovery_delay_ns: Percentiles,
    /// From a packet's arrival on the LAN to the departure of each of its repairs.
    pub repair_departure_ns: Percentiles,
    /// The same for its first repair, its second and so on.
    pub time_to_level_ns: Vec<Percentiles>,
    /// From the arrival of a tracked flow's packet until a reader of network-sync saw its bytes at each
    /// level; `null` without one.
    pub told_to_level_ns: Option<Vec<Percentiles>>,
    /// The files, compared frame by frame.
    pub comparison: Comparison,
}

/// The emulated WAN, as configured, and what it did to the packets from west.
#[derive(Debug, Serialize)]
pub struct WanReport {
    /// In bits per second; `null` is unlimited.
    pub rate_bps: Option<u64>,
    /// In nanoseconds, one way.
    pub delay_ns: u64,
    /// In bytes.
    pub mtu: u16,
    /// The loss model.
    pub loss: String,
    /// What decided everything that chance decides.
    pub seed: u64,
    /// Counts of wire packets from west.
    pub eastward: LinkCounters,
}

impl Report {
    /// The share of `count` in the source packets sent, in percent.
    fn percent(&self, count: u64) -> f64 {
        100.0 * count as f64 / self.source_sent.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loss =
            |count| format!("{count} of {} ({:.4} %)", self.source_sent, self.percent(count));
        writeln!(f, "code            {}, {:.2} % overhead", self.code, 100.0 * self.overhead)?;
        writeln!(
            f,
            "wan             {} one way, loss {}, seed {}",
            show_time(self.wan.delay_ns),
            self.wan.loss,
            self.wan.seed
        )?;
        writeln!(f, "frames in       {} on west's LAN", self.lan_in)?;
        if self.bypassed > 0 {
            writeln!(f, "bypassed        {} too large to protect", self.bypassed)?;
        }
        for (reason, count) in self.dropped.iter().filter(|&(_, &count)| count > 0) {
            writeln!(f, "dropped         {count} {reason}")?;
        }
        if self.repair_shed > 0 {
            writeln!(
                f,
                "repairs shed    {} of {}, by layer {:?}",
                self.repair_shed,
                self.repair_shed + self.repair_sent,
                self.repair_shed_by_layer
            )?;
        }
        writeln!(f, "lost before     {} source packets", loss(self.source_lost))?;
        writeln!(f, "lost after      {} source packets", loss(self.unrecovered))?;
        writeln!(f, "delivered       {}, of which {} rebuilt", self.delivered, self.recovered)?;
        for (reason, count) in self.rejected.iter().filter(|&(_, &count)| count > 0) {
            writeln!(f, "rejected        {count} {reason}")?;
        }
        writeln!(f, "mismatched      {}", self.mismatched)?;
        if self.recovery_delay_ns.count > 0 {
            writeln!(f, "recovery delay  {}", times(&self.recovery_delay_ns))?;
        }
        for (level, time) in (1..).zip(&self.time_to_level_ns) {
            writeln!(f, "to level {level}      {}", times(time))?;
        }
        for (level, time) in (1..).zip(self.told_to_level_ns.iter().flatten()) {
            let Percentiles { count, .. } = *time;
            writeln!(f, "told level {level}    {} ({count} packets)", times(time))?;
        }
        write!(f, "virtual time    {}", rounded(self.virtual_ns))
    }
}

fn times(times: &Percentiles) -> String {
    let Percentiles { p50, p99, max, .. } = *times;
    format!("median {}, 99 % {}, maximum {}", rounded(p50), rounded(p99), rounded(max))
}

/// A time for reading, not for reckoning.
fn rounded(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}
