//! Tables of the documents: TSV files that grow row by row, so that a run that was interrupted goes on where it was.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// An open table. The first columns of a row, one or more, are its name.
pub struct Table {
    path: PathBuf,
    file: File,
    known: String,
}

impl Table {
    /// The table at `path`, made if it is not there.
    ///
    /// # Errors
    /// It has other columns, or can't be written.
    pub fn open(path: &Path, columns: &str) -> Result<Table> {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.lines().next().is_some_and(|first| first != columns) {
            return Err(Error::new(format!(
                "{}: has other columns than this version writes; expected {columns:?}; move it away",
                path.display()
            )));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).context(folder.display())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut table =
            Table { path: path.to_owned(), file: file.context(path.display())?, known: text };
        if table.known.is_empty() {
            table.add(columns)?;
        }
        Ok(table)
    }

    /// Whether it has a row of this name.
    pub fn has(&self, name: &str) -> bool {
        let begins = format!("{name}\t");
        self.known.lines().any(|line| line.starts_with(&begins))
    }

    /// Adds a row, which begins with its name.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add(&mut self, row: &str) -> Result<()> {
        // One write, so that a row is there or is not.
        let line = format!("{row}\n");
        self.file.write_all(line.as_bytes()).context(self.path.display())?;
        self.known += &line;
        Ok(())
    }

    /// Measures those of `cells` that are not there yet, telling how far it is.
    ///
    /// # Errors
    /// What `measure` says, which returns a row without its name and what to say of it.
    pub fn fill<C>(
        &mut self,
        cells: &[C],
        name: impl Fn(&C) -> String,
        mut measure: impl FnMut(&C) -> Result<(String, String)>,
    ) -> Result<()> {
        for (n, cell) in cells.iter().enumerate() {
            let name = name(cell);
            let place = format!("{:>3}/{} {name}", n + 1, cells.len());
            if self.has(&name) {
                println!("{place}: is in {}", self.path.display());
                continue;
            }
            let (row, said) = measure(cell)?;
            self.add(&format!("{name}\t{row}"))?;
            println!("{place}: {said}");
        }
        Ok(())
    }
}

/// The machine's load average over the last minute: what else runs beside a measurement.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_measured_once() {
        let folder = std::env::temp_dir().join(format!("mstl-table-{}", std::process::id()));
        let path = folder.join("t.tsv");
        let mut measured = Vec::new();
        for cells in [&["a", "b"][..], &["a", "b", "c"]] {
            let mut table = Table::open(&path, "name\tvalue").unwrap();
            let measure = |cell: &&str| {
                measured.push(cell.to_string());
                Ok(("1".to_owned(), String::new()))
            };
            table.fill(cells, |cell| cell.to_string(), measure).unwrap();
        }
        assert_eq!(measured, ["a", "b", "c"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "name\tvalue\na\t1\nb\t1\nc\t1\n");
        assert!(Table::open(&path, "name\tother").is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
