//! `maelstrom bench` as programs use it. What it measures is nobody's promise; that it measures is.
#![cfg(feature = "dpdk")]

use std::process::Command;

use serde_json::Value;

fn bench(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_maelstrom"))
        .arg("bench")
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn rows_are_complete_and_sound() {
    let (status, output, errors) = bench(&[
        "--json",
        "--no-hugepages",
        "--seconds",
        "0.05",
        "--size",
        "64",
        "--size",
        "imix",
        "--code",
        "8:5,7+g1",
        "--loss",
        "0",
        "--loss",
        "0.01",
    ]);
    assert_eq!(status, Some(0), "{errors}");
    let rows: Vec<Value> = serde_json::from_str(&output).expect("an array");
    let count = |room: &str, size: Value| {
        rows.iter().filter(|row| row["room"] == room && row["size"] == size).count()
    };
    for size in [Value::from(64), Value::from("imix")] {
        for (room, expected) in [
            ("forward", 1),
            ("memcpy", 1),
            ("dispatch", 1),
            ("protect", 1),
            ("recover", 2),
            ("both", 1),
        ] {
            assert_eq!(count(room, size.clone()), expected, "{room} {size}");
        }
    }
    for row in &rows {
        for key in ["mpps", "gbps", "cycles_per_packet", "of_forward", "of_memcpy"] {
            assert!(row[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {row}");
        }
        assert_eq!(row["workers"], 1);
        assert!(row["memory_bytes"].is_u64() && row["loss"].is_f64() && row["code"].is_string());
    }
}

#[test]
fn rows_are_saved_and_flows_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.json");
    let line = "--no-hugepages --seconds 0.05 --size 64 --room dispatch --flows 1000 --save";
    let mut arguments: Vec<&str> = line.split(' ').collect();
    arguments.push(path.to_str().expect("UTF-8"));
    let (status, output, errors) = bench(&arguments);
    assert_eq!(status, Some(0), "{errors}");
    assert!(output.contains("\ndispatch 64"), "{output}");
    let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(path).expect("saved")).unwrap();
    let rooms: Vec<&Value> = rows.iter().map(|row| &row["room"]).collect();
    assert_eq!(rooms, ["forward", "memcpy", "dispatch"]);
    assert!(rows.iter().all(|row| row["flows"] == 1000));
}

#[test]
fn network_sync_has_rows_of_its_own() {
    // The reader may run on the rooms' core where there is only one.
    let line = "--no-hugepages --seconds 0.1 --notices --cores 0,0 --json";
    let (status, output, errors) = bench(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(status, Some(0), "{errors}");
    let rows: Vec<Value> = serde_json::from_str(&output).expect("an array");
    let kinds: Vec<&Value> = rows.iter().map(|row| &row["row"]).collect();
    assert_eq!(kinds, ["protect", "latency", "publish"]);
    for (row, keys) in rows.iter().zip([
        &["mpps", "mpps_without", "cycles", "cycles_without", "of_protect"][..],
        &["notices", "max_ns"],
        &["millions_per_second"],
    ]) {
        assert!(keys.iter().all(|key| row[key].as_f64() > Some(0.0)), "{row}");
    }
    assert!(rows[1]["p50_ns"].is_u64() && rows[1]["p99_ns"].is_u64());
}

#[test]
fn bad_arguments_are_refused_in_one_line() {
    for (arguments, expected) in [
        (&["--size", "10"][..], "60 to 9000"),
        (&["--loss", "0.9"], "0 to 0.5"),
        (&["--seconds", "0"], "0.05 to 3600"),
        (&["--code", "8:"], "interleave"),
        (&["--room", "kitchen"], "kitchen"),
        (&["--flows", "0"], "0 is not in 1"),
        (&["--cores", "65000", "--no-hugepages"], "65000"),
        (&["--notices", "--room", "protect"], "--room"),
        (&["--notices", "--cores", "0", "--no-hugepages"], "expected two"),
    ] {
        let (status, _, errors) = bench(arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(expected) && errors.lines().count() == 1, "{errors}");
    }
}
