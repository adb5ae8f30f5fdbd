//! Sites die in virtual time, and the mirror's records are compared with what clients were told: makes
//! docs/evaluation/disaster_virtual.tsv.
//!
//! ```text
//! cargo run --release --example disaster [RUNS [FIRST-SEED [FILE [CODE]]]]     1000 runs a cell, from seed 1
//! ```
//!
//! A cell is a loss model; a run is one seed. West's and east's rooms are those of `maelstrom run`, readers are
//! netsync's, the wire is the laboratory's; TCP is modelled (`tcp.rs` says how). All policies look at the same
//! stream in the same run, since none of them has a say in what is sent: records come at random, 100 a second of 4096
//! bytes, three packets each, beside 10,000 packets a second of other traffic, also at random.
//!
//! 1. The connection is made; records flow for a round trip and 150 ms over a WAN of 50 ms without loss.
//! 2. The WAN loses for 500 ms and up to 20 ms more, both ways.
//! 3. West dies: primary, gateway and what lies between it and the WAN (the last 100 us). Nothing leaves it any more.
//! 4. What is on the WAN arrives, and the east makes of it what it can. A record is at the mirror if it and all
//!    before it came whole.
//!
//! Then all of it again with the gateways' repairs taken out of the WAN, which shows what `local` is without them.
//!
//! Cells that the file has are not run again, but judged like the others: the exit status says whether all promises of
//! the table were kept.
//!
//! `netsync.link` is the cell's loss, as an operator who knows the link would have it; without loss `iid:0.0001`.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

mod cell;
mod run;
mod scenes;
mod site;
mod tcp;

use maelstrom::fec::Code;

use cell::Cell;
use site::Pools;

const HEAD: &str = "loss\tgateways\tpolicy\truns\truns_missing\tfraction\tlimit_99\ttarget\tp_value\tacknowledged\t\
    missing\tmost_missing\tmedian_ms\tp99_ms\tfirst_seed";

fn main() -> ExitCode {
    match table() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all promises were kept.
fn table() -> Result<bool, Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| match args.get(at) {
        Some(text) => text.parse().map_err(|_| format!("got {text:?}, expected a number")),
        None => Ok(default),
    };
    let (runs, first) = (number(0, 1000)?.max(1), number(1, 1)?);
    if first.checked_add(runs).is_none() {
        return Err(format!("got seeds from {first} on, expected fewer than 2^64 in all").into());
    }
    let path = args.get(2).map_or("docs/evaluation/disaster_virtual.tsv", String::as_str);
    let code = args.get(3).map_or(scenes::CODE, String::as_str);
    code.parse::<Code>().map_err(|error| error.to_string())?;
    let file = Path::new(path);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let known = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|error| format!("{path}: {error}"))?,
    };
    if !known.is_empty() && (known.lines().next() != Some(HEAD) || !known.ends_with('\n')) {
        return Err(format!(
            "{path}: expected a table that begins with {HEAD:?} and ends with a whole line; move it away"
        )
        .into());
    }
    let table = File::options().create(true).append(true).open(file);
    let mut table = table.map_err(|error| format!("{path}: {error}"))?;
    let mut add = |text: &str| {
        // One write, so that a cell is there or is not.
        table.write_all(text.as_bytes()).map_err(|error| format!("{path}: {error}"))
    };
    if known.is_empty() {
        add(&format!("{HEAD}\n"))?;
    }
    let pools = Pools::new();
    let mut broken = Vec::new();
    for (loss, floor) in scenes::LOSSES {
        for (plain, gateways) in [(false, "fec"), (true, "none")] {
            let began = Instant::now();
            let begins = format!("{loss}\t{gateways}\t");
            let judge = |row: &str| {
                let found = cell::broken(row).map_err(|error| format!("{path}: {error}"))?;
                Ok::<_, String>(found.map(|what| format!("{loss}, {gateways}: {what}")))
            };
            let known: Vec<&str> =
                known.lines().filter_map(|line| line.strip_prefix(&begins)).collect();
            if !known.is_empty() {
                println!("# {loss}, {gateways}: is in {path}");
                for row in known {
                    broken.extend(judge(row)?);
                }
                continue;
            }
            let make = if plain { scenes::plain } else { scenes::scene };
            let mut cell = Cell::of(&pools, &make(code, loss, floor), first, runs);
            let mut rows = String::new();
            for row in cell.rows(plain) {
                broken.extend(judge(&row)?);
                rows += &format!("{begins}{row}\n");
            }
            print!("{rows}");
            add(&rows)?;
            println!(
                "# {loss}: {} packets lost, {} rebuilt, {} sent again by TCP; {:.0} s",
                cell.lost,
                cell.rebuilt,
                cell.resent,
                began.elapsed().as_secs_f64()
            );
        }
    }
    for line in &broken {
        println!("BROKEN {line}");
    }
    Ok(broken.is_empty())
}
