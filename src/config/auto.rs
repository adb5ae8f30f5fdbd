//! `[code.auto]`: the code follows the link.

use serde::Deserialize;

use super::CodeSection;
use super::values::{Sparse, text, time};
use crate::fec::Code;
use crate::link::adapt::Policy;

/// `[code.auto]`; without it the code stays as it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoSection {
    /// The largest share of packets that may never be recovered.
    #[serde(default = "default_residual")]
    pub residual: f64,
    /// Repairs per source packet, at most.
    #[serde(default = "default_overhead_limit")]
    pub overhead_limit: f64,
    /// What memory and windows are made for.
    #[serde(default = "default_largest", deserialize_with = "text")]
    pub largest: Code,
    /// How long nothing must have changed before the code is made cheaper.
    #[serde(default = "default_quiet", deserialize_with = "time")]
    pub quiet: u64,
    /// How much of the overhead a cheaper code must save.
    #[serde(default = "default_gain")]
    pub gain: f64,
}

fn default_residual() -> f64 {
    1e-6
}

fn default_overhead_limit() -> f64 {
    0.5
}

/// A span of 8,085 packets: 80 ms of 100,000 a second.
fn default_largest() -> Code {
    #[allow(clippy::expect_used, reason = "a constant, which a test reads")]
    "24:307,311,313,317,331,337+g1".parse().expect("a code")
}

fn default_quiet() -> u64 {
    3_000_000_000
}

fn default_gain() -> f64 {
    0.1
}

impl AutoSection {
    /// Whether it fits the rest of `[code]`: else the key, what was got and what is expected.
    pub(super) fn validate(&self, code: &CodeSection) -> Result<(), (&'static str, String)> {
        let bad = |key, problem| Err((key, problem));
        let AutoSection { residual, overhead_limit, ref largest, quiet, gain } = *self;
        if !(1e-12..=0.1).contains(&residual) {
            return bad("code.auto.residual", format!("got {residual}, expected 1e-12 to 0.1"));
        }
        let floor = code.layers.overhead();
        if !(floor..=2.0).contains(&overhead_limit) {
            let problem =
                format!("got {overhead_limit}, expected {floor:.3}, which code.layers costs, to 2");
            return bad("code.auto.overhead_limit", problem);
        }
        let (span, least) = (largest.span(), code.layers.span());
        if span < least {
            let problem = format!(
                "got {largest} with a span of {span} packets, expected at least {least}, that of \
                 code.layers"
            );
            return bad("code.auto.largest", problem);
        }
        if !(500_000_000..=3_600_000_000_000).contains(&quiet) {
            return bad(
                "code.auto.quiet",
                format!("got {} ms, expected 500ms to 3600s", quiet / 1_000_000),
            );
        }
        if !(0.0..=0.9).contains(&gain) {
            return bad("code.auto.gain", format!("got {gain}, expected 0 to 0.9"));
        }
        if !code.max_age.is_empty() {
            let problem = "got times for the layers of one code; expected none with code.auto";
            return bad("code.max_age", problem.to_owned());
        }
        if let Sparse::Code(sparse) = &code.sparse {
            let problem = format!("got {sparse}; expected auto or off with code.auto");
            return bad("code.sparse", problem);
        }
        Ok(())
    }

    /// What adaptation is to do, in a gateway with this `[code]`.
    fn policy(&self, code: &CodeSection) -> Policy {
        Policy {
            residual: self.residual,
            latency_ns: code.latency,
            overhead_limit: self.overhead_limit,
            floor: code.layers.clone(),
            largest: self.largest.clone(),
            quiet_ns: self.quiet,
            gain: self.gain,
        }
    }
}

impl CodeSection {
    /// What adaptation is to do, if the code follows the link.
    pub fn policy(&self) -> Option<Policy> {
        self.auto.as_ref().map(|auto| auto.policy(self))
    }
}
