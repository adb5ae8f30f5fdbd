//! What the laboratory measures from outside the gateways: on the WAN, and at the far LAN.
//!
//! It reads the wire packets as anyone could who taps the WAN, and is told which source packet
//! each delivered frame was. No gateway's counter enters into it.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::capture::{CaptureError, CaptureWriter};
use super::link::Fate;
use super::wan::{Direction, Witness};
use crate::fec::code::MAX_LAYERS;
use crate::gateway::Observer;
use crate::wire::outer::{ETHERTYPE, Ether};
use crate::wire::{Kind, RepairHeader, Shim};

/// A distribution of times in nanoseconds, within 0.1 %.
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Times {
        // Three significant digits are always possible.
        Times(Histogram::new(3).expect("3 is a valid precision"))
    }
}

/// The figures of a distribution, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Maximum.
    pub max: u64,
}

impl Times {
    pub(super) fn record(&mut self, time: u64) {
        // An automatically resizing histogram takes any value.
        let _ = self.0.record(time);
    }

    /// The figures; zeros when nothing was measured.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.0.len(),
            p50: self.0.value_at_quantile(0.5),
            p99: self.0.value_at_quantile(0.99),
            p999: self.0.value_at_quantile(0.999),
            max: self.0.max(),
        }
    }
}

/// What is known of one source packet.
#[derive(Clone, Copy)]
struct Sent {
    /// When it was sent: in virtual time, when it arrived on the LAN, or as soon as the gateway's rate
    /// let it go.
    at: u64,
    /// When it leaves the WAN, or would have, had it not been lost; when it was sent, if it never
    /// got onto the wire (queue full, over the MTU).
    exit: u64,
    /// How many repairs that cover it have been sent.
    level: u8,
    delivered: bool,
}

/// The eastward traffic, as seen on the WAN.
#[derive(Default)]
pub struct Measurements {
    sent: Vec<Sent>,
    /// Source packets that entered the WAN.
    pub source_sent: u64,
    /// Repair packets that entered the WAN.
    pub repair_sent: u64,
    /// Of the source packets, those that the WAN lost, for any reason.
    pub source_lost: u64,
    /// Of the repair packets, those that the WAN lost, for any reason.
    pub repair_lost: u64,
    /// Source packets that were delivered.
    pub source_delivered: u64,
    /// Of rebuilt packets: from when they would have arrived to their delivery; from their sending,
    /// for those that never got onto the wire.
    pub recovery_delay: Times,
    /// From a packet's arrival to the departure of each of its repairs.
    pub repair_departure: Times,
    /// The same for its first repair, its second and so on.
    pub level: [Times; MAX_LAYERS],
    /// Where the WAN's packets are written, and what went wrong there.
    pub capture: Option<CaptureWriter>,
    /// Added to virtual times in the capture.
    pub epoch_ns: u64,
    /// The first error in writing it.
    pub capture_error: Option<CaptureError>,
}

impl Measurements {
    /// None yet; `capture` gets the packets that enter, stamped with virtual time from
    /// `epoch_ns` on.
    pub fn new(capture: Option<CaptureWriter>, epoch_ns: u64) -> Measurements {
        Measurements { capture, epoch_ns, ..Measurements::default() }
    }

    /// Source packet `seq` was delivered.
    pub fn delivered(&mut self, now: u64, seq: u64, rebuilt: bool) {
        let Some(sent) = self.sent.get_mut(seq as usize) else { return };
        self.source_delivered += u64::from(!sent.delivered);
        sent.delivered = true;
        if rebuilt {
            self.recovery_delay.record(now.saturating_sub(sent.exit));
        }
    }

    fn source(&mut self, now: u64, seq: u64, fate: &Fate) {
        if seq < self.sent.len() as u64 {
            // Sent again: it was counted.
            return;
        }
        self.source_sent += 1;
        self.source_lost += u64::from(fate.dropped.is_some());
        // Numbers begin at 0 and enter the WAN in order.
        debug_assert_eq!(seq, self.sent.len() as u64);
        let exit = fate.exit_ns.unwrap_or(now);
        self.sent.push(Sent { at: now, exit, level: 0, delivered: false });
    }

    fn repair(&mut self, now: u64, header: &RepairHeader, fate: &Fate) {
        self.repair_sent += 1;
        self.repair_lost += u64::from(fate.dropped.is_some());
        for seq in header.members.iter() {
            let Some(sent) = self.sent.get_mut(seq as usize) else { continue };
            self.repair_departure.record(now - sent.at);
            if let Some(level) = self.level.get_mut(usize::from(sent.level)) {
                level.record(now - sent.at);
            }
            sent.level = sent.level.saturating_add(1);
        }
    }
}

impl Witness for Measurements {
    fn entered(&mut self, now: u64, direction: Direction, frame: &[u8], fate: &Fate) {
        if direction == Direction::Westward {
            return;
        }
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.write(self.epoch_ns + now, frame)
        {
            self.capture_error = Some(error);
            self.capture = None;
        }
        // What crosses unprotected has no shim, whatever its bytes look like.
        let ours = |(ether, _): &(&Ether, &[u8])| ether.ethertype.get() == ETHERTYPE;
        let Some((_, packet)) = Ether::parse(frame).filter(ours) else { return };
        let Ok((shim, rest)) = Shim::parse(packet) else { return };
        match shim.kind {
            Kind::Source => self.source(now, shim.seq, fate),
            Kind::Repair => {
                if let Ok((header, _)) = RepairHeader::parse(&shim, rest, None) {
                    self.repair(now, &header, fate);
                }
            }
            // Its pairs of gateways are not transparent.
            Kind::Control | Kind::Named => {}
        }
    }
}

/// Deliveries that are yet to be entered into the measurements.
#[derive(Default)]
pub struct Deliveries(Vec<(u64, u64, bool)>);

impl Deliveries {
    /// Takes out what has come in: time, number, whether it was rebuilt.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, u64, bool)> + '_ {
        self.0.drain(..)
    }
}

impl Observer for Deliveries {
    fn delivered(&mut self, now: u64, seq: u64, rebuilt: bool) {
        self.0.push((now, seq, rebuilt));
    }
}
