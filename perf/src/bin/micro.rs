//! What criterion has measured, as a table: `micro FOLDER`, the folder being criterion's own.
//!
//! A time is the median; where one measurement does several things, that of one of them. In a group
//! with a yardstick, `xor_gen` before memcpy, the last column is the speed in units of it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Of criterion's benchmark.json, what is shown.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
enum Throughput {
    Bytes(u64),
    Elements(u64),
    #[serde(other)]
    Other,
}

/// Of criterion's estimates.json.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// A measurement.
struct Time {
    name: String,
    value: String,
    nanoseconds: f64,
    bytes: Option<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        env::args_os().nth(1).ok_or("expected criterion's folder, e.g. target/criterion")?;
    let mut groups = BTreeMap::<String, Vec<Time>>::new();
    collect(folder.as_ref(), &mut groups)?;
    println!("{:<53} {:>8} {:>7}  of yardstick", "", "ns", "GB/s");
    for (group, times) in &mut groups {
        println!("{group}");
        times.sort_by(|a, b| (rank(&a.value), &a.name).cmp(&(rank(&b.value), &b.name)));
        for time in &*times {
            println!("{}", row(time, times));
        }
    }
    Ok(())
}

/// Sizes in order of their values.
fn rank(value: &str) -> (u64, &str) {
    (value.parse().unwrap_or(0), value)
}

/// Finds what was measured last, in whatever folders there are.
fn collect(folder: &Path, groups: &mut BTreeMap<String, Vec<Time>>) -> Result<(), Box<dyn Error>> {
    let about = folder.join("new/benchmark.json");
    if about.exists() {
        let benchmark: Benchmark = read(&about)?;
        let estimates: Estimates = read(&folder.join("new/estimates.json"))?;
        let (each, bytes) = match benchmark.throughput {
            Some(Throughput::Elements(count)) => (count, None),
            Some(Throughput::Bytes(bytes)) => (1, Some(bytes)),
            _ => (1, None),
        };
        groups.entry(benchmark.group_id).or_default().push(Time {
            name: benchmark.function_id.unwrap_or_default(),
            value: benchmark.value_str.unwrap_or_default(),
            nanoseconds: estimates.median.point_estimate / each as f64,
            bytes,
        });
        return Ok(());
    }
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, groups)?;
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn row(time: &Time, group: &[Time]) -> String {
    let name = format!("  {} {}", time.name, time.value);
    let speed = time.bytes.map(|bytes| format!("{:.1}", bytes as f64 / time.nanoseconds));
    let named = |name| group.iter().find(|other| other.name == name && other.value == time.value);
    let yardstick = named("xor_gen").or_else(|| named("memcpy"));
    let ratio = yardstick.map(|yard| format!("{:.2}", yard.nanoseconds / time.nanoseconds));
    let row = format!(
        "{name:<53} {:>8.1} {:>7}  {:>12}",
        time.nanoseconds,
        speed.unwrap_or_default(),
        ratio.unwrap_or_default()
    );
    row.trim_end().to_owned()
}
