//! What became of each frame of one direction, and what may become of it.

mod close;
mod cover;
mod peek;
mod receiver;
mod sender;

use cover::Cover;
use peek::Peek;
pub use receiver::Receiver;
pub use sender::Sender;

use crate::frames::{Class, LanFrame, Tcp};

/// Where a frame was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits at the LAN port.
    Waits,
    /// There was no gateway, or its LAN port was full.
    Missed,
    /// The gateway has taken it.
    Taken,
    /// The gateway dropped it.
    Dropped,
    /// The gateway died with it.
    Died,
    /// It went into the WAN.
    Sent,
}

/// A frame of the LAN.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub frame: LanFrame,
    /// When the LAN brought it, for whoever reads why a run failed.
    #[allow(dead_code, reason = "printed")]
    pub entered: u64,
    pub fate: Fate,
    pub seq: u64,
    /// The life of the gateway that delivered it last, counted from 1.
    pub delivered_by: u16,
    pub rebuilt: bool,
    /// It crossed as it came.
    pub bare: bool,
}

/// Every frame of a direction, by its number.
#[derive(Default)]
pub struct Ledger {
    pub records: Vec<Record>,
    /// From which frame on all are to be delivered.
    pub well: Option<usize>,
}

impl Ledger {
    pub fn enter(&mut self, now: u64, len: u16, class: Class, tcp: Option<Tcp>) -> LanFrame {
        let frame = LanFrame { n: self.records.len() as u32, len, class, tcp };
        self.records.push(Record {
            frame,
            entered: now,
            fate: Fate::Waits,
            seq: u64::MAX,
            delivered_by: 0,
            rebuilt: false,
            bare: false,
        });
        frame
    }

    /// From now on nothing goes wrong any more.
    pub fn all_is_well(&mut self) {
        self.well = Some(self.records.len());
    }

    pub fn at(&mut self, n: u32) -> &mut Record {
        &mut self.records[n as usize]
    }
}
