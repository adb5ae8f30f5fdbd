//! What a running gateway does when it is asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::watch::Control;
use crate::config::changes::{changed, keys};
use crate::config::{Config, ConfigError};
use crate::control::request::{Request, done, refusal};
use crate::fec::Code;
use crate::gateway::Oversize;
use crate::link::{Mode, Path, Wishes};

/// The keys that a reload puts in force without a restart.
const LIVE: [&str; 2] = ["link.hello", "link.peer_down"];

impl Control {
    /// Does what is asked, at any time.
    pub(super) fn answer(&mut self, request: Request) -> Value {
        match request {
            Request::Status {} => return self.status(),
            Request::Drain { on } => return self.drain(on),
            Request::Code { code } => self.code(&code),
            Request::Bypass { on } => self.bypass(on),
            Request::Reload {} => self.reload().map_err(|error| error.to_string()),
            Request::ResetCounters {} => {
                self.ledger.reset();
                Ok("counters begin at 0 again".to_owned())
            }
        }
        .map_or_else(|error| refusal(&error), |said| done(&said))
    }

    fn code(&mut self, text: &str) -> Result<String, String> {
        let code: Code = text.parse().map_err(|error| format!("code {text}: {error}"))?;
        match code == self.blueprint.code {
            true => Ok(format!("code {code} is in force already")),
            false => Err(format!(
                "code {code}: needs a restart; set code.layers = \"{code}\" and restart the gateway"
            )),
        }
    }

    fn bypass(&mut self, on: bool) -> Result<String, String> {
        if on {
            self.may_bypass()?;
        }
        self.steward.wish(Wishes { bypass: on, ..self.steward.wishes() });
        log::warn!("bypass {} by an operator", if on { "on" } else { "off" });
        self.apply();
        let said = match (on, self.steward.mode()) {
            (true, Mode::Drain) => "frames will cross unprotected once drain is off",
            (true, _) => "frames cross unprotected from now on",
            (false, Mode::Protect) => "frames are protected from now on",
            (false, _) => "bypass is off; what becomes of frames is said by status",
        };
        Ok(said.to_owned())
    }

    /// Whether the far end would deliver what comes unprotected.
    fn may_bypass(&self) -> Result<(), String> {
        if self.blueprint.keys.is_some() {
            return Err(
                "bypass: refused, since this gateway has keys, and with keys nothing crosses \
                        unprotected; see gateway.key_file"
                    .to_owned(),
            );
        }
        if self.blueprint.oversize == Oversize::Drop {
            return Err(
                "bypass: refused, since wan.oversize = \"drop\" is for links that carry nothing \
                        unprotected; set it to \"bypass\" at both ends and restart"
                    .to_owned(),
            );
        }
        match self.steward.supervisor().peer().facts() {
            Some(facts) if !facts.unprotected => Err("bypass: refused, since the peer drops what comes \
                                                      unprotected; set its wan.oversize = \"bypass\""
                .to_owned()),
            _ => Ok(()),
        }
    }

    fn drain(&mut self, on: bool) -> Value {
        let before = self.steward.wishes();
        if before.drain != on {
            self.steward.wish(Wishes { drain: on, ..before });
            log::warn!("drain {} by an operator", if on { "on" } else { "off" });
            self.apply();
        }
        let drained = on && self.has_drained(self.now());
        let said = match (on, drained) {
            (true, true) => "all has left; the gateway may be stopped",
            (true, false) => "nothing is taken in; what was taken in is leaving",
            (false, _) => "frames are taken in",
        };
        json!({"ok": true, "said": said, "drained": drained})
    }

    fn reload(&mut self) -> Result<String, ConfigError> {
        let config = Config::load(&self.file)?;
        let wanted = keys(&config.text);
        let (live, others): (Vec<String>, Vec<String>) =
            changed(&self.keys, &wanted).into_iter().partition(|key| LIVE.contains(&key.as_str()));
        let now = self.now();
        self.steward.set_policy(config.link.peer_down);
        if self.steward.supervisor().hello().interval != config.link.hello {
            self.steward.supervisor_mut().set_interval(now, config.link.hello);
        }
        self.apply();
        for key in &live {
            match wanted.get(key) {
                Some(value) => self.keys.insert(key.clone(), value.clone()),
                None => self.keys.remove(key),
            };
        }
        let mut said = match live.is_empty() {
            true => "nothing to apply".to_owned(),
            false => format!("applied {}", live.join(", ")),
        };
        if !others.is_empty() {
            said.push_str(&format!("; a restart is needed for {}", others.join(", ")));
        }
        log::info!("{} read again: {said}", self.file.display());
        Ok(said)
    }

    fn status(&self) -> Value {
        let now = self.now();
        let (steward, link) = (&self.steward, self.steward.supervisor());
        let (peer, tally, wishes) = (link.peer(), link.tally(), steward.wishes());
        let ms = |ns: u64| json!((ns as f64 / 1e3).round() / 1e3);
        let trip = peer.round_trip();
        let path = match link.path() {
            Path::Unknown => Value::Null,
            Path::Whole => json!(link.hello().largest),
            Path::UpTo(size) => json!(size),
        };
        let blueprint = &self.blueprint;
        json!({
            "ok": true,
            "gateway": {
                "version": env!("CARGO_PKG_VERSION"),
                "side": format!("{:?}", blueprint.side).to_lowercase(),
                "epoch": self.epoch,
                "up_s": now / 1_000_000_000,
                "state": self.state().to_string(),
                "mode": steward.mode().name(),
                "bypass": wishes.bypass,
                "drain": wishes.drain,
                "drained": self.has_drained(now),
                "keys": blueprint.keys.map_or("none", |mode| mode.name()),
            },
            "peer": {
                "standing": peer.standing().name(),
                "since_s": now.saturating_sub(peer.since()) / 1_000_000_000,
                "epoch": link.peer_epoch(),
                "keys_agreed": link.keys().map(|keys| keys.send().is_some()),
                "round_trip_ms": trip.map(|trip| ms(trip.mean)),
                "variation_ms": trip.map(|trip| ms(trip.variation)),
                "least_ms": trip.map(|trip| ms(trip.least)),
                "mismatch": peer.mismatch(),
                "largest_packet": link.hello().largest,
                "largest_heard": path,
            },
            "code": {
                "layers": blueprint.code.to_string(),
                "sparse": blueprint.sparse.as_ref().map(ToString::to_string),
                "overhead": blueprint.code.overhead(),
            },
            "rates": self.ledger.rates(),
            "counters": self.ledger.report(),
            "control": BTreeMap::from([
                ("sent", tally.sent),
                ("taken", tally.taken),
                ("replayed", tally.replayed),
                ("stale", tally.stale),
                ("unproved", tally.unproved),
                ("unknown", tally.unknown),
                ("unposted", steward.unposted()),
            ]),
        })
    }
}
