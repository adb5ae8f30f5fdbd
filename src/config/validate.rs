//! Whether what a file says is possible, and whether its sections fit together.

use std::ops::RangeInclusive;

use super::Config;
use super::encap::CarrierName;
use super::link::{ControlSection, Reliability};
use super::netsync::NetsyncSection;
use super::workers::{MAX_CHANNELS, Split};
use crate::units::show_rate;
use crate::wire::shim::Integrity;

/// The rates that a WAN may have. Slower ones are no link for a gateway; each of 16 channels has its part.
pub const RATES: RangeInclusive<u64> = 1_000_000..=1_000_000_000_000;
/// How long frames may be held behind a hole, in nanoseconds: beyond it, endpoints have long sent again.
const LONGEST_HELD: u64 = 1_000_000_000;
/// How large the queue before it may be, in bytes: some packets at least.
pub const QUEUES: RangeInclusive<u64> = 64 << 10..=1 << 30;

/// The key that is refused; what was got, and what is expected.
type Refusal = (&'static str, String);

impl Config {
    /// What is wrong with it: the key, and why.
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        let bad = |key, problem| Err((key, problem));
        if !(68..=9600).contains(&self.lan.mtu) {
            return bad("lan.mtu", format!("got {}, expected 68 to 9600", self.lan.mtu));
        }
        if !(256..=9600).contains(&self.wan.mtu) {
            return bad("wan.mtu", format!("got {}, expected 256 to 9600", self.wan.mtu));
        }
        self.wan.encapsulation()?;
        if let Some(port) = self.lan.ports().find(|port| port.name() == self.wan.port.name()) {
            let name = port.name();
            return bad("wan.port", format!("got {name}, which is the LAN port; expected another"));
        }
        if let Some(got) = self.wan.rate.filter(|rate| !RATES.contains(rate)) {
            let (got, expected) = (show_rate(Some(got)), "expected 1Mbps to 1Tbps, or unlimited");
            return bad("wan.rate", format!("got {got}, {expected}"));
        }
        if !QUEUES.contains(&self.wan.queue) {
            let got = self.wan.queue;
            return bad("wan.queue", format!("got {got} bytes, expected 64KiB to 1GiB"));
        }
        self.validate_keys()?;
        if self.lan.resequence > LONGEST_HELD {
            let got = self.lan.resequence / 1_000_000;
            return bad("lan.resequence", format!("got {got} ms, expected 0ms to 1s"));
        }
        self.lan.validate_bridge()?;
        self.validate_code()?;
        self.netsync.as_ref().map_or(Ok(()), NetsyncSection::validate)?;
        self.link.validate()?;
        self.control.as_ref().map_or(Ok(()), ControlSection::validate)?;
        let split = self.validate_workers()?;
        self.validate_transparent(&split)?;
        let limit = self.gateway.memory_limit;
        self.blueprint(&split).check(limit).or_else(|error| bad(error.key(), error.to_string()))
    }

    /// Whether frames that cross as they came can be treated as configured.
    fn validate_transparent(&self, split: &Split) -> Result<(), Refusal> {
        if self.wan.encapsulation != CarrierName::Transparent {
            return Ok(());
        }
        if self.code.integrity == Integrity::Off {
            let problem =
                "got \"off\", but transparent repairs name frames by hashes; expected \"check\"";
            return Err(("code.integrity", problem.to_owned()));
        }
        if self.code.auto.is_some() {
            let problem = "got a section, but transparent frames have no numbers, by which the far end \
                           would measure what the link loses; expected none";
            return Err(("code.auto", problem.to_owned()));
        }
        // Frames come without a channel: a second window would take the first one's for missing.
        let (ours, theirs) = (split.protect.len(), split.recover.len());
        if [ours, theirs] != [1, 1] {
            let problem = format!(
                "{ours} protect and the peer has {theirs}, but transparent frames don't say whose they \
                 are; expected one worker that protects at either end"
            );
            return Err(("worker", problem));
        }
        if self.link.reliability == Reliability::FecNack {
            let problem = "got \"fec+nack\", but transparent frames have no numbers to ask for; expected \
                           \"fec\"";
            return Err(("link.reliability", problem.to_owned()));
        }
        if self.gateway.key_mode().is_some() {
            let problem = "got a key, but transparent frames bear nothing that could be verified; expected \
                           keys = \"none\" in its place";
            return Err(("gateway.key_file", problem.to_owned()));
        }
        Ok(())
    }

    fn validate_code(&self) -> Result<(), Refusal> {
        let bad = |key, problem| Err((key, problem));
        let code = &self.code;
        let layers = code.layers.layers().len();
        if code.idle == 0 {
            return bad("code.idle", "got 0, expected a time such as 1ms".to_owned());
        }
        if code.latency < code.idle {
            return bad("code.latency", "less than code.idle; expected more".to_owned());
        }
        if !code.max_age.is_empty() && code.max_age.len() != layers {
            let got = code.max_age.len();
            return bad(
                "code.max_age",
                format!("got {got} times for {layers} layers; expected one each, or none"),
            );
        }
        if code.max_age.contains(&0) {
            return bad("code.max_age", "got 0, expected times such as 10ms".to_owned());
        }
        if let Some(cap) = code.flush_cap.filter(|cap| !(1.0..=64.0).contains(cap)) {
            return bad("code.flush_cap", format!("got {cap}, expected 1 to 64"));
        }
        if let Some(window) = code.window.filter(|window| !(256..=1 << 22).contains(window)) {
            return bad("code.window", format!("got {window}, expected 256 to {}", 1 << 22));
        }
        code.auto.as_ref().map_or(Ok(()), |auto| auto.validate(code))
    }

    fn validate_workers(&self) -> Result<Split, Refusal> {
        let expected = |got| format!("got {got}, expected 1 to {MAX_CHANNELS}");
        let channels = 1..=u16::from(MAX_CHANNELS);
        for (key, got) in [
            ("wan.peer_channels", self.wan.peer_channels.map(u16::from)),
            ("lan.queues", self.lan.queues),
            ("wan.queues", self.wan.queues),
        ] {
            if let Some(got) = got.filter(|got| !channels.contains(got)) {
                return Err((key, expected(got)));
            }
        }
        self.split().map_err(|problem| ("worker", problem))
    }
}
