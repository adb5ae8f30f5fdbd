//! What operators want: another code, or another configuration, if there is room for it here and at the
//! far end.

use super::{Coding, fixed, window};
use crate::fec::{Code, EncoderConfig};
use crate::gateway::blueprint::Blueprint;
use crate::gateway::steward::Steward;
use crate::link::adapt::Policy;

impl Coding {
    /// An operator wants another code.
    ///
    /// # Errors
    /// In a line, why it can't be had.
    pub fn order(&mut self, now: u64, code: &Code, steward: &Steward) -> Result<String, String> {
        if self.auto {
            return Err(format!(
                "code {code}: refused, since code.auto chooses the code; take [code.auto] out of the \
                 configuration and reload first"
            ));
        }
        if code == self.code() {
            return Ok(format!("code {code} is in force already"));
        }
        let config = self.blueprint.encoder_for(code);
        self.check(&config, steward)?;
        let line = format!("code {} -> {code}: an operator wants it", self.code());
        self.adapter.overruled(now, code.clone());
        self.want(config, line);
        Ok(format!(
            "code {code} protects from now on; groups of the old one are filled to their end"
        ))
    }

    /// The configuration has changed: another `[code]`, and perhaps another `policy` or none.
    ///
    /// # Errors
    /// In a line, why it can't be had; nothing is changed then.
    pub fn configure(
        &mut self,
        now: u64,
        blueprint: &Blueprint,
        policy: Option<Policy>,
        steward: &Steward,
    ) -> Result<(), String> {
        let auto = policy.is_some();
        // What follows the link goes on from where it is.
        let config = match auto && self.auto {
            true => blueprint.encoder_for(self.code()),
            false => blueprint.encoder(),
        };
        self.check(&config, steward)?;
        let before = self.wanted.as_ref().unwrap_or(&self.present).clone();
        self.blueprint = Blueprint {
            code: blueprint.code.clone(),
            sparse: blueprint.sparse.clone(),
            timing: blueprint.timing.clone(),
            ..self.blueprint.clone()
        };
        self.adapter.set_policy(policy.unwrap_or_else(|| fixed(blueprint)));
        (self.auto, self.stale) = (auto, true);
        let same = (&before.code, &before.sparse, &before.timing)
            == (&config.code, &config.sparse, &config.timing);
        if !same {
            let line =
                format!("code {} -> {}: the configuration has changed", before.code, config.code);
            if before.code != config.code {
                self.adapter.overruled(now, config.code.clone());
            }
            self.want(config, line);
        }
        Ok(())
    }

    /// Whether there is room for a code, here and at the far end.
    fn check(&self, config: &EncoderConfig, steward: &Steward) -> Result<(), String> {
        let code = &config.code;
        let room = self.blueprint.room();
        let span = config.sparse.iter().map(Code::span).fold(code.span(), u64::max);
        let layers = code.layers().len();
        let too_much = |what: String, there: String| {
            Err(format!(
                "code {code}: {what}, and this gateway has room for {there}; expected one no larger than \
                 {}, or set code.auto.largest or code.layers and restart",
                room.code
            ))
        };
        if span > room.span {
            return too_much(format!("a span of {span} packets"), room.span.to_string());
        }
        if layers > room.levels {
            return too_much(format!("{layers} layers"), room.levels.to_string());
        }
        let bytes = config.memory_bytes();
        if bytes > room.bytes {
            return too_much(format!("{} KiB", bytes >> 10), format!("{} KiB", room.bytes >> 10));
        }
        let there = steward.supervisor().peer().facts().map_or(u64::MAX, |f| window(f.window));
        if span > there {
            return Err(format!(
                "code {code}: a span of {span} packets, and the peer's window holds {there}; expected a \
                 shorter one, or set the peer's code.window"
            ));
        }
        Ok(())
    }
}
