//! What an emulated link is told at start-up, and the check of it.

use thiserror::Error;

use super::pool::CHUNK;
use crate::lab::loss::{LossError, LossModel};
use crate::units::{show_rate, show_time};

/// 68 bytes: the smallest MTU of an IPv4 link (RFC 791, section 3.2).
const MIN_MTU: u16 = 68;
/// Far beyond any port; keeps the rate arithmetic in 64 bits (see `shaper`).
const MAX_RATE_BPS: u64 = 1_000_000_000_000_000;
/// 128 MiB of departure times at most.
const MAX_QUEUE: usize = 1 << 24;
const MAX_DELAY_NS: u64 = 3_600_000_000_000;

/// One direction of an emulated WAN.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// Bits per second of frame, preamble, FCS and gap; None is unlimited, and then nothing
    /// queues.
    pub rate_bps: Option<u64>,
    /// How many frames may wait behind the one that is being sent; further ones are tail-dropped.
    pub queue: usize,
    /// Bytes of the Ethernet payload: frames of up to `mtu + 14` bytes fit, 4 more with one
    /// VLAN tag.
    pub mtu: u16,
    /// How long the wire is.
    pub delay_ns: u64,
    /// Which frames are lost.
    pub loss: LossModel,
    /// (probability, distance): with that probability a frame is held until `distance` later
    /// ones have gone by, or for 10 ms if that comes first. Held frames do not go by.
    pub reorder: Option<(f64, u32)>,
    /// The probability that a second copy follows right behind a frame.
    pub duplicate: f64,
    /// The probability that 1 to 4 bits beyond the Ethernet header are flipped.
    pub corrupt: f64,
    /// The most memory, in bytes, for frames in flight; each takes its length rounded up to 64.
    /// Taken as needed. Holds rate × delay: 10 Gb/s over 50 ms are 63 MB.
    pub buffer: usize,
    /// Fixes, with `direction`, everything that chance decides.
    pub seed: u64,
    /// Which of the WAN's directions this is, so that two with one seed differ.
    pub direction: u8,
}

impl Default for LinkConfig {
    /// A perfect wire: unlimited, no delay, no impairment; MTU 1500, queue 1000, buffer 512 MiB.
    fn default() -> LinkConfig {
        LinkConfig {
            rate_bps: None,
            queue: 1000,
            mtu: 1500,
            delay_ns: 0,
            loss: LossModel::None,
            reorder: None,
            duplicate: 0.0,
            corrupt: 0.0,
            buffer: 512 << 20,
            seed: 0,
            direction: 0,
        }
    }
}

/// Why a link's configuration was refused.
#[derive(Debug, Error)]
pub enum LinkConfigError {
    /// A value out of its range.
    #[error("{key} {got}: expected {expected}, e.g. {example}")]
    Range {
        /// The option of `maelstrom wan` and `lab` that sets it, or the field that none does.
        key: &'static str,
        /// What it was.
        got: String,
        /// What it may be.
        expected: String,
        /// Something that would have been accepted.
        example: &'static str,
    },
    /// The loss model is impossible.
    #[error(transparent)]
    Loss(#[from] LossError),
}

impl LinkConfig {
    /// Whether a link can be built from this.
    ///
    /// # Errors
    /// Names the first value that is out of its range.
    pub fn check(&self) -> Result<(), LinkConfigError> {
        if let Some(rate) = self.rate_bps {
            let show = |rate| show_rate(Some(rate));
            shown("--wan-rate", rate, 1, MAX_RATE_BPS, show, "10Gbps")?;
        }
        within("--queue", self.queue, 0, MAX_QUEUE, "1000")?;
        within("--wan-mtu", self.mtu, MIN_MTU, u16::MAX, "1500")?;
        shown("--delay", self.delay_ns, 0, MAX_DELAY_NS, show_time, "50ms")?;
        within("--duplicate", self.duplicate, 0.0, 1.0, "0.001")?;
        within("--corrupt", self.corrupt, 0.0, 1.0, "0.001")?;
        within("buffer", self.buffer, CHUNK, usize::MAX, "536870912")?;
        if let Some((probability, distance)) = self.reorder {
            // At 1 every frame would be held and none could go by.
            if !(0.0..1.0).contains(&probability) {
                let (got, expected) = (probability.to_string(), "0 or more, below 1".to_owned());
                let key = "--reorder: probability";
                return Err(LinkConfigError::Range { key, got, expected, example: "0.001" });
            }
            within("--reorder: packets", distance, 1, u32::MAX, "5")?;
        }
        Ok(self.loss.check()?)
    }
}

/// Fails for NaN too, which lies within nothing.
fn within<T: PartialOrd + ToString>(
    key: &'static str,
    got: T,
    least: T,
    most: T,
    example: &'static str,
) -> Result<(), LinkConfigError> {
    shown(key, got, least, most, |value| value.to_string(), example)
}

/// The same for what people write in other words than the program.
fn shown<T: PartialOrd>(
    key: &'static str,
    got: T,
    least: T,
    most: T,
    show: impl Fn(T) -> String,
    example: &'static str,
) -> Result<(), LinkConfigError> {
    if got >= least && got <= most {
        return Ok(());
    }
    let expected = format!("{} to {}", show(least), show(most));
    Err(LinkConfigError::Range { key, got: show(got), expected, example })
}
