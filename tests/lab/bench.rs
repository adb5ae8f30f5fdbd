//! A folder with a capture, and runs of the laboratory in it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Ended, maelstrom, write_capture};

pub struct Bench {
    folder: TempDir,
}

/// What a run left behind.
pub struct Run {
    pub ended: Ended,
    pub report: Value,
    /// The files' common beginning.
    path: PathBuf,
}

impl Bench {
    pub fn new(frames: &[Vec<u8>]) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        write_capture(&folder.path().join("in.pcap"), frames);
        Bench { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Plays the capture with `flags`; output, wan-pcap and report are named after `name`.
    pub fn run(&self, name: &str, flags: &str) -> Run {
        let run = self.try_run(name, flags);
        assert_eq!(run.ended.status, Some(0), "{flags}: {:?}", run.ended);
        run
    }

    /// As [`Bench::run`], whatever its exit status.
    pub fn try_run(&self, name: &str, flags: &str) -> Run {
        let line = format!(
            "lab --input in.pcap --output {name}.pcap --wan-pcap {name}.wan --report {name}.json \
             {flags}"
        );
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let ended = maelstrom(self.folder.path(), &arguments);
        let path = self.file(name);
        let report = fs::read(path.with_extension("json"))
            .unwrap_or_else(|error| panic!("{flags}: {error}: {ended:?}"));
        let report = serde_json::from_slice(&report).unwrap();
        Run { ended, report, path }
    }
}

impl Run {
    pub fn output(&self) -> PathBuf {
        self.path.with_extension("pcap")
    }

    pub fn wire(&self) -> PathBuf {
        self.path.with_extension("wan")
    }

    pub fn json(&self) -> PathBuf {
        self.path.with_extension("json")
    }

    /// A count in the report, named by a JSON pointer without its first slash.
    pub fn count(&self, name: &str) -> u64 {
        self.report
            .pointer(&format!("/{name}"))
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no count {name} in {:#}", self.report))
    }

    pub fn overhead(&self) -> f64 {
        self.report["overhead"].as_f64().unwrap()
    }

    fn sum(&self, name: &str) -> u64 {
        let values = self.report[name].as_object().unwrap().values();
        values.map(|value| value.as_u64().unwrap()).sum()
    }

    /// What must hold after any run with integrity: every frame is accounted for, and no false one
    /// came out.
    pub fn adds_up(&self, flags: &str) {
        let n = |name| self.count(name);
        let report = &self.report;
        assert_eq!(n("mismatched"), 0, "{flags}: {report:#}");
        let dropped = self.sum("dropped");
        assert_eq!(n("lan_in"), n("source_sent") + n("bypassed") + dropped, "{flags}: {report:#}");
        assert_eq!(n("lan_in"), n("comparison/sent"), "{flags}: {report:#}");
        assert_eq!(n("delivered"), n("comparison/received"), "{flags}: {report:#}");
        let entered = n("source_sent") + n("repair_sent") + n("bypassed");
        assert_eq!(n("wan/eastward/entered"), entered, "{flags}: {report:#}");
        let wan = |name: &str| self.count(&format!("wan/eastward/{name}"));
        let gone = wan("lost") + wan("tail_dropped") + wan("oversize") + wan("buffer_full");
        assert_eq!(entered + wan("duplicated"), wan("delivered") + gone, "{flags}: {report:#}");
        assert!(n("source_lost") + n("repair_lost") <= gone, "{flags}: {report:#}");
        if n("bypassed") == 0 {
            assert_eq!(n("source_lost") + n("repair_lost"), gone, "{flags}: {report:#}");
            let delivered = n("source_sent") - n("unrecovered");
            assert_eq!(n("delivered"), delivered, "{flags}: {report:#}");
            assert_eq!(n("comparison/missing"), n("unrecovered") + dropped, "{flags}: {report:#}");
        }
        assert!(n("recovered") <= n("delivered"), "{flags}: {report:#}");
    }
}
