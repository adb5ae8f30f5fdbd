//! `field quick`: a little of everything, so that the laboratory keeps working.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cells::{Cell, Help};
use crate::error::{Context, Result};
use crate::pair::Loss;
use crate::throughput::{self, Settings};
use crate::{disaster, mirror};

/// What is found out, by its key in the file.
type Findings = Map<String, Value>;

/// Runs the parts, each of which adds its findings, and writes them to `file` as JSON.
///
/// # Errors
/// The first that a part says.
pub fn quick(file: &Path, settings: &Settings) -> Result<()> {
    // In the order in which they are run; each is independent of the others.
    let parts: [fn(&Settings) -> Result<Findings>; 3] = [goodputs, mirror::quick, disaster::quick];
    let mut findings = Findings::new();
    for part in parts {
        findings.extend(part(settings)?);
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).context(folder.display())?;
    }
    let text = serde_json::to_string_pretty(&Value::Object(findings)).context(file.display())?;
    fs::write(file, format!("{text}\n")).context(file.display())?;
    println!("{text}");
    Ok(())
}

/// One flow over 50 ms: what it gets without loss, with 0.1 %, and with 0.1 % and the planner's code.
fn goodputs(settings: &Settings) -> Result<Findings> {
    let cell = |loss, help| Cell { control: "cubic", delay_ms: 50, loss, flows: 1, help };
    let (none, some) = (Loss::Iid(0.0), Loss::Iid(0.001));
    let mut findings = Findings::new();
    for (key, cell) in [
        ("goodput_lossless_mbps", cell(none, Help::Plain)),
        ("goodput_plain_mbps", cell(some, Help::Plain)),
        ("goodput_fec_mbps", cell(some, Help::Planned)),
    ] {
        let row = throughput::run(&cell, settings)?;
        findings.insert(key.to_owned(), json!((10.0 * row.goodput()).round() / 10.0));
        if let Some(plan) = row.plan {
            findings.insert("code".to_owned(), json!(plan.code));
            findings.insert("code_overhead".to_owned(), json!(plan.overhead));
        }
    }
    Ok(findings)
}
