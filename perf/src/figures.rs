//! The pictures of perf/RESULTS.md, from the rows of `maelstrom bench --json`.

use serde::Deserialize;
use serde_json::Value;

use crate::chart::{Figure, Line, Panel};

/// Of a row, what is drawn.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    room: String,
    /// Bytes, or `"imix"`.
    size: Value,
    code: String,
    loss: f64,
    workers: u64,
    mpps: f64,
    gbps: f64,
}

impl Row {
    /// Bytes of its frames, if they are of one size.
    fn bytes(&self) -> Option<u64> {
        self.size.as_u64()
    }
}

/// What goes upwards: its name, its value in a row, and the room that is its yardstick.
type Measure = (&'static str, fn(&Row) -> f64, &'static str);

const MEASURES: [Measure; 2] = [
    ("Gb/s of source frames", |row| row.gbps, "memcpy"),
    ("million packets a second", |row| row.mpps, "forward"),
];

const SUBTITLE: &str = "One core, integrity check on. Logarithmic upwards. \
                        Dashed: the yardsticks of the same run.";

/// Rows of one worker whose frames are of one size, and the codes among them.
fn chosen(rows: &[Row]) -> (Vec<&Row>, Vec<String>) {
    let rows: Vec<&Row> = rows.iter().filter(|r| r.workers == 1 && r.bytes().is_some()).collect();
    let mut codes = Vec::new();
    for row in rows.iter().filter(|row| !row.code.is_empty()) {
        if !codes.contains(&row.code) {
            codes.push(row.code.clone());
        }
    }
    (rows, codes)
}

fn distinct<T: PartialOrd>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.dedup_by(|a, b| a == b);
    values
}

/// Names of the lines: the codes, then the yardsticks.
fn names(codes: &[String]) -> Vec<String> {
    let yardsticks = MEASURES.map(|(_, _, yardstick)| yardstick.to_owned());
    codes.iter().cloned().chain(yardsticks).collect()
}

/// What it is to measure, of the rows that `fits` says, where `place` puts them, one line a code.
fn lines(
    rows: &[&Row],
    codes: &[String],
    measure: usize,
    fits: impl Fn(&Row) -> bool,
    place: impl Fn(&Row) -> f64,
) -> Vec<Line> {
    let value = MEASURES[measure].1;
    let of_code = |(name, code): (usize, &String)| {
        let rows = rows.iter().filter(|row| row.code == *code && fits(row));
        let points = rows.map(|row| (place(row), value(row))).collect();
        Line { name, yardstick: false, points }
    };
    codes.iter().enumerate().map(of_code).collect()
}

fn yardstick(codes: &[String], measure: usize, points: Vec<(f64, f64)>) -> Line {
    Line { name: codes.len() + measure, yardstick: true, points }
}

/// Speed against packet size: `protect` on the left, `recover` without loss on the right.
pub fn size(rows: &[Row]) -> Figure {
    let (rows, codes) = chosen(rows);
    let sizes = distinct(rows.iter().filter_map(|row| row.bytes()));
    let log = |bytes: u64| (bytes as f64).ln();
    let (low, high) = (log(*sizes.first().unwrap_or(&64)), log(*sizes.last().unwrap_or(&1500)));
    let place = |bytes: u64| (log(bytes) - low) / (high - low).max(1e-9);
    let place_row = |row: &Row| row.bytes().map_or(0.0, place);
    let panel = |measure: usize, room: &str, title: &str| {
        let (y, value, yard) = MEASURES[measure];
        let yards = rows.iter().filter(|row| row.room == yard);
        let points = yards.map(|row| (place_row(row), value(row))).collect();
        let mut all = vec![yardstick(&codes, measure, points)];
        let fits = |row: &Row| row.room == room && row.loss == 0.0;
        all.extend(lines(&rows, &codes, measure, fits, place_row));
        Panel {
            title: title.to_owned(),
            x: "packet size in bytes".to_owned(),
            y: y.to_owned(),
            ticks: sizes.iter().map(|&bytes| (place(bytes), bytes.to_string())).collect(),
            lines: all,
        }
    };
    let row = |measure| {
        [panel(measure, "protect", "protect"), panel(measure, "recover", "recover, nothing lost")]
    };
    Figure {
        title: "Speed against packet size".to_owned(),
        subtitle: SUBTITLE.to_owned(),
        names: names(&codes),
        rows: vec![row(0), row(1)],
    }
}

/// Speed of `recover` against loss: the shortest frames on the left, the longest on the right.
pub fn loss(rows: &[Row]) -> Figure {
    let (rows, codes) = chosen(rows);
    let sizes = distinct(rows.iter().filter_map(|row| row.bytes()));
    let recover = || rows.iter().filter(|row| row.room == "recover");
    let losses = distinct(recover().map(|row| row.loss));
    // Evenly spaced: they are none, few and many.
    let place = |n: usize| n as f64 / (losses.len().max(2) - 1) as f64;
    let place_row = |row: &Row| losses.iter().position(|&loss| loss == row.loss).map_or(0.0, place);
    let panel = |measure: usize, bytes: u64| {
        let (y, value, yard) = MEASURES[measure];
        let yard = rows.iter().find(|row| row.room == yard && row.bytes() == Some(bytes));
        let points = yard.map(|row| vec![(0.0, value(row)), (1.0, value(row))]);
        let mut all = vec![yardstick(&codes, measure, points.unwrap_or_default())];
        let fits = |row: &Row| row.room == "recover" && row.bytes() == Some(bytes);
        all.extend(lines(&rows, &codes, measure, fits, place_row));
        let label = |loss: &f64| format!("{} %", (loss * 1e6).round() / 1e4);
        Panel {
            title: format!("recover, {bytes} bytes"),
            x: "packets lost on the WAN".to_owned(),
            y: y.to_owned(),
            ticks: losses.iter().enumerate().map(|(n, loss)| (place(n), label(loss))).collect(),
            lines: all,
        }
    };
    let (shortest, longest) = (*sizes.first().unwrap_or(&64), *sizes.last().unwrap_or(&1500));
    let row = |measure| [panel(measure, shortest), panel(measure, longest)];
    Figure {
        title: "Speed against loss".to_owned(),
        subtitle: SUBTITLE.to_owned(),
        names: names(&codes),
        rows: vec![row(0), row(1)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(room: &str, size: Value, code: &str, loss: f64) -> Row {
        Row { room: room.into(), size, code: code.into(), loss, workers: 1, mpps: 9.0, gbps: 5.0 }
    }

    #[test]
    fn every_code_has_a_line_with_all_its_points() {
        let mut rows = Vec::new();
        for size in [64, 1500] {
            rows.extend(["forward", "memcpy"].map(|room| row(room, size.into(), "", 0.0)));
            for code in ["8:1,20,40", "20:97,101+g1"] {
                rows.push(row("protect", size.into(), code, 0.0));
                rows.extend([0.0, 0.01, 0.05].map(|loss| row("recover", size.into(), code, loss)));
            }
        }
        rows.push(row("protect", "imix".into(), "8:1,20,40", 0.0));
        let points = |figure: &Figure| -> Vec<Vec<usize>> {
            let lines = |panel: &Panel| panel.lines.iter().map(|line| line.points.len()).collect();
            figure.rows.iter().flatten().map(lines).collect()
        };
        assert_eq!(points(&size(&rows)), vec![vec![2, 2, 2]; 4]);
        assert_eq!(points(&loss(&rows)), vec![vec![2, 3, 3]; 4]);
        for figure in [size(&rows), loss(&rows)] {
            let svg = figure.svg();
            assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        // Nothing to draw is no reason to panic.
        assert!(!size(&[]).svg().contains("NaN") && !loss(&[]).svg().contains("NaN"));
    }
}
