//! What a running gateway does when it is asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::measured::{Answer, Wanted};
use super::watch::Control;
use crate::config::changes::{changed, keys};
use crate::config::{Config, ConfigError};
use crate::control::request::{Request, done, refusal};
use crate::fec::Code;
use crate::gateway::Oversize;
use crate::gateway::blueprint::Blueprint;
use crate::link::adapt::Policy;
use crate::link::{Mode, Path, Wishes};

/// The keys that a reload puts in force without a restart.
const LIVE: [&str; 2] = ["link.hello", "link.peer_down"];
/// Those of the code that are put in force by a change of it; those of code.auto too, if it was there at
/// the start.
const CODE: [&str; 6] =
    ["code.layers", "code.sparse", "code.latency", "code.idle", "code.max_age", "code.flush_cap"];
const AUTO: [&str; 4] =
    ["code.auto.residual", "code.auto.overhead_limit", "code.auto.quiet", "code.auto.gain"];

impl Control {
    /// Does what is asked, at any time.
    pub(super) fn answer(&mut self, request: Request) -> Value {
        match request {
            Request::Status {} => return self.status(),
            Request::Drain { on } => return self.drain(on),
            Request::Code { code } => self.code(&code),
            Request::Bypass { on } => self.bypass(on),
            Request::Link {} => return self.link(),
            Request::Reload {} => self.reload(),
            Request::ResetCounters {} => {
                self.ledger.reset();
                Ok("counters begin at 0 again".to_owned())
            }
        }
        .map_or_else(|error| refusal(&error), |said| done(&said))
    }

    fn code(&mut self, text: &str) -> Result<String, String> {
        let code: Code = text.parse().map_err(|error| format!("code {text}: {error}"))?;
        let now = self.now();
        self.coding.order(now, &code, &self.steward)
    }

    /// Puts in force what a file that was read again says of the code, as far as that needs no restart.
    /// Names the keys that it has applied.
    fn recode(&mut self, config: &Config, keys: &[String]) -> Result<Vec<String>, String> {
        let adaptive = self.blueprint.largest.is_some();
        // Whether the code follows the link at all: without a largest code there is no room for others.
        let gone = adaptive && config.code.auto.is_none();
        let is_live = |key: &&String| {
            CODE.contains(&key.as_str())
                || adaptive && AUTO.contains(&key.as_str())
                || gone && *key == "code.auto.largest"
        };
        let live: Vec<String> = keys.iter().filter(is_live).cloned().collect();
        let back = adaptive && config.code.auto.is_some() && !self.coding.is_auto();
        if live.is_empty() && !gone && !back {
            return Ok(live);
        }
        let split = config.split()?;
        let Blueprint { code, sparse, timing, .. } = config.blueprint(&split);
        let blueprint = Blueprint { code, sparse, timing, ..self.blueprint.clone() };
        let policy = config.code.policy().filter(|_| adaptive).map(|policy| Policy {
            // What there is room for was decided at the start.
            largest: self.blueprint.largest.clone().unwrap_or(policy.largest),
            ..policy
        });
        let now = self.now();
        self.coding.configure(now, &blueprint, policy, &self.steward)?;
        Ok(live)
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

    fn reload(&mut self) -> Result<String, String> {
        let config = Config::load(&self.file).map_err(|error: ConfigError| error.to_string())?;
        let wanted = keys(&config.text);
        let changed = changed(&self.keys, &wanted);
        let recoded = self.recode(&config, &changed)?;
        let (live, others): (Vec<String>, Vec<String>) = changed
            .into_iter()
            .partition(|key| LIVE.contains(&key.as_str()) || recoded.contains(key));
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

    /// What both ends have counted, of both directions; who asks reckons with it.
    fn link(&self) -> Value {
        let link = self.steward.supervisor();
        let trip = link.peer().round_trip();
        let policy = self.coding.adapter().policy();
        let accounts = link.accounts();
        let wanted = Wanted {
            residual: policy.residual,
            latency_ns: policy.latency_ns,
            overhead_limit: if self.coding.is_auto() { policy.overhead_limit } else { 2.0 },
            largest: self.blueprint.room().code.to_string(),
        };
        let answer = Answer {
            code: self.coding.code().to_string(),
            standing: link.peer().standing().name().to_owned(),
            round_trip_ns: trip.map(|trip| trip.mean),
            variation_ns: trip.map(|trip| trip.variation),
            wanted,
            sent: accounts.ours().collect(),
            heard: accounts.theirs().collect(),
        };
        match serde_json::to_value(answer) {
            Ok(Value::Object(mut answer)) => {
                answer.insert("ok".to_owned(), true.into());
                Value::Object(answer)
            }
            _ => refusal("link: no answer"),
        }
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
            },
            "peer": {
                "standing": peer.standing().name(),
                "since_s": now.saturating_sub(peer.since()) / 1_000_000_000,
                "epoch": link.peer_epoch(),
                "round_trip_ms": trip.map(|trip| ms(trip.mean)),
                "variation_ms": trip.map(|trip| ms(trip.variation)),
                "least_ms": trip.map(|trip| ms(trip.least)),
                "mismatch": peer.mismatch(),
                "largest_packet": link.hello().largest,
                "largest_heard": path,
            },
            "code": {
                "layers": self.coding.code().to_string(),
                "sparse": self.coding.sparse().map(ToString::to_string),
                "overhead": self.coding.code().overhead(),
                "auto": self.coding.is_auto(),
                "changing": self.coding.is_changing(),
                "changes": self.coding.changes().0,
                "last_change": self.coding.changes().1,
            },
            "rates": self.ledger.rates(),
            "counters": self.ledger.report(),
            "control": BTreeMap::from([
                ("sent", tally.sent),
                ("taken", tally.taken),
                ("replayed", tally.replayed),
                ("stale", tally.stale),
                ("unknown", tally.unknown),
                ("unposted", steward.unposted()),
            ]),
        })
    }
}
