//! Tables that are filled row by row: what an interrupted run has done is not done again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// A TSV file. The first columns, joined by tabs, are a row's name.
pub struct Table {
    file: File,
    path: PathBuf,
    known: String,
}

impl Table {
    /// Opens it, or begins it with a line of column names.
    ///
    /// # Errors
    /// It can't be written.
    pub fn open(path: &Path, columns: &str) -> Result<Table> {
        let known = fs::read_to_string(path).unwrap_or_default();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).context(folder.display())?;
        }
        let file = File::options().create(true).append(true).open(path);
        let file = file.context(path.display())?;
        let mut table = Table { file, path: path.to_owned(), known };
        if table.known.is_empty() {
            table.add(columns)?;
        }
        Ok(table)
    }

    /// Whether there was a row of this name when it was opened.
    pub fn has(&self, name: &str) -> bool {
        let begins = format!("{name}\t");
        self.known.lines().any(|line| line.starts_with(&begins))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// It can't be written.
    pub fn add(&mut self, row: &str) -> Result<()> {
        writeln!(self.file, "{row}").context(self.path.display())
    }
}

/// The machine's load average over the last minute: what else runs beside a measurement.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
