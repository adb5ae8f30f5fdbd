//! A change of the code and its reason, for a log.

use std::fmt;

use crate::fec::Code;
use crate::safety::link::Loss;

/// Why a code is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The link loses more than the code was chosen for.
    Worse,
    /// It has lost less for long enough.
    Better,
    /// More was left than the model says, so it is not trusted.
    Missed,
    /// There is more or less traffic, and the latency budget holds more or fewer packets.
    Rate,
}

/// A change of the code, with its reason, which reads as a line of a log.
#[derive(Clone, Debug)]
pub struct Change {
    /// The code so far.
    pub from: Code,
    /// The code from now on.
    pub code: Code,
    /// Why.
    pub why: Why,
    /// The link that it was chosen for.
    pub loss: Loss,
    /// What it is expected to leave.
    pub residual: f64,
    /// Whether that is little enough. If not, nothing within the limits is.
    pub meets: bool,
    /// What was wanted.
    pub wanted: f64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { from, code, why, loss, residual, meets, wanted } = self;
        let why = match why {
            Why::Worse => "the link loses more",
            Why::Better => "the link loses less",
            Why::Missed => "more was missing than expected",
            Why::Rate => "the packet rate has changed",
        };
        write!(f, "code {from} -> {code}: {why}: up to {:.2e}", loss.rate())?;
        match loss {
            Loss::Ge { mean_burst, .. } => write!(f, " in bursts of {mean_burst:.1}")?,
            _ => write!(f, ", one by one")?,
        }
        let overhead = 100.0 * code.overhead();
        match meets {
            true => write!(f, "; leaves {residual:.1e}, costs {overhead:.1} %"),
            false => write!(
                f,
                "; nothing within the limits leaves as little as {wanted:.1e}: the strongest leaves \
                 {residual:.1e}, costs {overhead:.1} %"
            ),
        }
    }
}
