//! The example storage process in Rust, run against a stand-in for a gateway.

mod stand_in;

use std::process::Command;

use stand_in::{Manner, StandIn};

#[test]
fn the_example_writes_records_and_waits() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    // Cargo makes examples before it runs tests, unless it is told to run just some.
    let here = std::env::current_exe().unwrap();
    let example = here.ancestors().nth(2).unwrap().join("examples/storage");
    assert!(example.exists(), "run `cargo build --example storage` first");
    let stand_in = StandIn::start(&socket, Manner::Anchored);
    let mirror = stand_in.mirror.to_string();
    for policy in ["level:2", "prob:1e-4", "acked", "level:9"] {
        let arguments = [mirror.as_str(), "100", policy];
        let output = Command::new(&example).arg(&socket).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{policy}: {errors}");
        assert!(said.starts_with("records 100, ") && said.contains("latency median"), "{said}");
        if policy == "level:9" {
            assert!(said.starts_with("records 100, 0 by repairs alone"), "{said}");
            assert!(errors.contains("the mirror instead"), "{errors}");
        }
    }
}
