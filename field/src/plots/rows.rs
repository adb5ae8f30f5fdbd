//! Tables as pictures need them: rows whose fields have names.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::error::{Context, Result};

/// A table that was read.
pub struct Rows(Vec<HashMap<String, String>>);

impl Rows {
    /// Reads it; lines that begin with # are none of it.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read(path: &Path) -> Result<Rows> {
        let text = fs::read_to_string(path).context(path.display())?;
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let row = |line: &str| {
            let pairs = columns.iter().zip(line.split('\t'));
            pairs.map(|(&name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        Ok(Rows(lines.map(row).collect()))
    }

    /// The points (x, y) of the rows that have all of these values, in the order of x.
    pub fn points(&self, having: &[(&str, &str)], x: &str, y: &str) -> Vec<(f64, f64)> {
        let is = |row: &HashMap<String, String>, (name, value): &(&str, &str)| {
            row.get(*name).is_some_and(|known| known == value)
        };
        let rows = self.0.iter().filter(|row| having.iter().all(|one| is(row, one)));
        let number = |row: &HashMap<String, String>, name: &str| row.get(name)?.parse::<f64>().ok();
        let mut points: Vec<(f64, f64)> =
            rows.filter_map(|row| Some((number(row, x)?, number(row, y)?))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    }

    /// The WAN's rate, as titles have it, and in Mb/s. Rows of several rates are drawn up to the highest.
    pub fn rate(&self) -> (String, f64) {
        let rates = self.values("rate_mbps");
        let mut rates: Vec<f64> = rates.iter().filter_map(|rate| rate.parse().ok()).collect();
        rates.sort_by(f64::total_cmp);
        let text = |&rate: &f64| match rate {
            1000.0.. => format!("{} Gb/s", rate / 1000.0),
            _ => format!("{rate} Mb/s"),
        };
        let texts: Vec<String> = rates.iter().map(text).collect();
        (texts.join(" and "), rates.last().copied().unwrap_or(1000.0))
    }

    /// The distinct values of a column, in the order of the rows.
    pub fn values(&self, column: &str) -> Vec<String> {
        let mut values: Vec<String> = Vec::new();
        for value in self.0.iter().filter_map(|row| row.get(column)) {
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_rows() {
        let rows = |rates: &[&str]| {
            let row = |rate: &&str| HashMap::from([("rate_mbps".to_owned(), rate.to_string())]);
            Rows(rates.iter().map(row).collect())
        };
        assert_eq!(rows(&["1000", "1000"]).rate(), ("1 Gb/s".to_owned(), 1000.0));
        assert_eq!(rows(&["2500", "500"]).rate(), ("500 Mb/s and 2.5 Gb/s".to_owned(), 2500.0));
        assert_eq!(rows(&[]).rate(), (String::new(), 1000.0));
    }
}
