//! `field quick`: three cells of throughput, commits at two distances and one death, so that the laboratory keeps
//! working.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cells::{Cell, Help};
use crate::error::{Context, Error, Result};
use crate::pair::Loss;
use crate::say::say;
use crate::setup::{Runs, Setup};
use crate::throughput::{self, Settings};
use crate::{disaster, mirror};

/// Long enough for slow start over 50 ms, and short enough for every day.
const RUNS: Runs = Runs { runs: 1, seconds: 8, omit: 6 };

/// What is found out, by its key in the file.
type Findings = Map<String, Value>;

/// Runs the parts, each of which adds its findings, and writes them to `file` as JSON.
///
/// # Errors
/// The first that a part says.
pub fn quick(file: &Path, setup: &Setup) -> Result<()> {
    // In the order in which they are run; each is independent of the others.
    let parts: [fn(&Setup) -> Result<Findings>; 3] = [goodputs, mirror::quick, disaster::quick];
    let mut findings = Findings::new();
    for part in parts {
        findings.extend(part(setup)?);
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).context(folder.display())?;
    }
    let text = serde_json::to_string_pretty(&Value::Object(findings)).context(file.display())?;
    fs::write(file, format!("{text}\n")).context(file.display())?;
    say(&text);
    plausible(&text)
}

/// Whether the findings are what a laboratory that works finds, on however busy a machine: bounds are generous.
fn plausible(text: &str) -> Result<()> {
    let findings: Value = serde_json::from_str(text).context("findings")?;
    let number = |pointer: &str| {
        let found = findings.pointer(pointer).and_then(Value::as_f64);
        found.ok_or_else(|| Error::new(format!("{pointer}: expected a number among the findings")))
    };
    let (fec, plain) = (number("/goodput_fec_mbps")?, number("/goodput_plain_mbps")?);
    if fec < 4.0 * plain {
        return Err(Error::new(format!(
            "goodput_fec_mbps: got {fec}, expected at least four times goodput_plain_mbps, {plain}"
        )));
    }
    let commit = |policy: &str| number(&format!("/commit_us/100ms/{policy}"));
    let (remote, sync) = (commit("remote")?, commit("network-sync:1e-6")?);
    if remote < 200_000.0 || sync > remote / 4.0 {
        return Err(Error::new(format!(
            "commit_us at 100ms: got {sync} of network-sync and {remote} of remote, expected 200000 or more of \
             remote, and a quarter of that of network-sync"
        )));
    }
    for policy in ["remote", "network-sync:1e-6"] {
        let missing = number(&format!("/missing_acked/{policy}"))?;
        if missing > 0.0 {
            return Err(Error::new(format!(
                "missing_acked of {policy}: got {missing}, expected 0"
            )));
        }
    }
    Ok(())
}

/// One flow over 50 ms: what it gets without loss, with 0.1 %, and with 0.1 % and the planner's code.
fn goodputs(setup: &Setup) -> Result<Findings> {
    let settings = Settings { setup: setup.clone(), runs: RUNS, resequence_ms: 0 };
    let cell = |loss, help| Cell { control: "cubic", delay_ms: 50, loss, flows: 1, help };
    let (none, some) = (Loss::Iid(0.0), Loss::Iid(0.001));
    let mut findings = Findings::new();
    for (key, cell) in [
        ("goodput_lossless_mbps", cell(none, Help::Plain)),
        ("goodput_plain_mbps", cell(some, Help::Plain)),
        ("goodput_fec_mbps", cell(some, Help::Planned)),
    ] {
        let row = throughput::run(&cell, &settings)?;
        findings.insert(key.to_owned(), json!((10.0 * row.goodput()).round() / 10.0));
        if let Some(plan) = row.plan {
            findings.insert("code".to_owned(), json!(plan.code));
            findings.insert("code_overhead".to_owned(), json!(plan.overhead));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_that_can_not_be_are_refused() {
        let findings = |fec: f64, sync: f64, missing: u64| {
            json!({
                "goodput_fec_mbps": fec,
                "goodput_plain_mbps": 6.0,
                "commit_us": {"100ms": {"remote": 202_000.0, "network-sync:1e-6": sync}},
                "missing_acked": {"remote": 0, "network-sync:1e-6": missing, "local": 9},
            })
            .to_string()
        };
        plausible(&findings(400.0, 1000.0, 0)).unwrap();
        for (bad, expected) in [
            (findings(20.0, 1000.0, 0), "goodput_fec_mbps: got 20"),
            (findings(400.0, 202_000.0, 0), "commit_us at 100ms"),
            (findings(400.0, 1000.0, 1), "missing_acked of network-sync:1e-6: got 1"),
            ("{}".to_owned(), "/goodput_fec_mbps: expected a number"),
        ] {
            let said = plausible(&bad).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }
}
