//! Tables of the documents: TSV files that grow row by row, so that a run that was interrupted goes on where it was.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::say::say;

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
    /// It has other columns, ends within a row, or can't be read or written.
    pub fn open(path: &Path, columns: &str) -> Result<Table> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.context(path.display())?,
        };
        if text.lines().next().is_some_and(|first| first != columns) {
            return Err(Error::new(format!(
                "{}: has other columns than this version writes; expected {columns:?}; move it away",
                path.display()
            )));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(Error::new(format!(
                "{}: ends within a row, as a full disk leaves it; expected whole ones; remove its last line",
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

    /// Whether all rows have this value in a column, so that figures of one link do not stand among another's.
    ///
    /// # Errors
    /// One has another.
    pub fn insist(&self, column: &str, value: impl Display) -> Result<()> {
        let (path, value) = (self.path.display(), value.to_string());
        let mut rows = self.known.lines().map(|line| line.split('\t'));
        let place = rows.next().and_then(|mut names| names.position(|name| name == column));
        let Some(place) = place else { return Ok(()) };
        match rows.filter_map(|mut row| row.nth(place)).find(|known| *known != value) {
            None => Ok(()),
            Some(known) => Err(Error::new(format!(
                "{path}: has rows with {column} {known}; expected {value} as in those to come; move it away, or name \
                 another --table"
            ))),
        }
    }

    /// Adds a row, which begins with its name, or several, with a line's end between them.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add(&mut self, row: &str) -> Result<()> {
        // One write, so that all of it is there or nothing is.
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
                say(format_args!("{place}: is in {}", self.path.display()));
                continue;
            }
            let (row, said) = measure(cell)?;
            self.add(&format!("{name}\t{row}"))?;
            say(format_args!("{place}: {said}"));
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
        let table = Table::open(&path, "name\tvalue").unwrap();
        table.insist("value", 1).unwrap();
        let said = table.insist("value", 2).unwrap_err().to_string();
        assert!(said.contains("has rows with value 1; expected 2"), "{said}");
        for (text, expected) in
            [(&b"name\tvalue\na\t"[..], "ends within a row"), (b"\xff", "UTF-8")]
        {
            fs::write(&path, text).unwrap();
            let said = Table::open(&path, "name\tvalue").err().unwrap().to_string();
            assert!(said.contains(expected), "{said}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
