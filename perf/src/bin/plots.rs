//! Draws what `maelstrom bench --json` printed, or saved: `plots BENCH.JSON [FOLDER]` writes size.svg
//! and loss.svg into the folder, perf/ unless another is named.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use maelstrom_perf::figures::{self, Row};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let from = arguments.next().ok_or("expected a file of `maelstrom bench --json`")?;
    let folder = arguments.next().unwrap_or_else(|| "perf".into());
    let text = fs::read_to_string(&from).map_err(|error| format!("{}: {error}", from.display()))?;
    let rows: Vec<Row> =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", from.display()))?;
    for (name, figure) in [("size.svg", figures::size(&rows)), ("loss.svg", figures::loss(&rows))] {
        let path = folder.join(name);
        fs::write(&path, figure.svg()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
