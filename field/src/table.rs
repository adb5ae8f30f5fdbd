//! Tables of the documents: TSV files that grow row by row, so that a run that was interrupted goes on where it was.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// An open table. The first column names the rows.
pub struct Table {
    path: PathBuf,
    file: File,
    known: Vec<String>,
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
        let mut table = Table {
            path: path.to_owned(),
            file: file.context(path.display())?,
            known: text
                .lines()
                .skip(1)
                .filter_map(|row| row.split('\t').next())
                .map(str::to_owned)
                .collect(),
        };
        if text.is_empty() {
            table.write(columns)?;
        }
        Ok(table)
    }

    /// Whether it has a row of this name.
    pub fn has(&self, name: &str) -> bool {
        self.known.iter().any(|known| known == name)
    }

    /// Adds a row, which begins with its name.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add(&mut self, row: &str) -> Result<()> {
        self.known.extend(row.split('\t').next().map(str::to_owned));
        self.write(row)
    }

    /// One write, so that a row is there or is not.
    fn write(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).context(self.path.display())
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
