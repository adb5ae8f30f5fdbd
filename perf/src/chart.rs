//! Pictures of measurements as SVG: panels in rows of two, a logarithmic axis upwards.
//!
//! By hand, as it is little: text, lines and marks, in one font and few colours, which also those tell
//! apart who see fewer of them.

use std::fmt::Write;

/// A picture.
pub struct Figure {
    /// Its heading.
    pub title: String,
    /// What a reader must know, in smaller letters.
    pub subtitle: String,
    /// The lines' names, in the order of [`Line::name`].
    pub names: Vec<String>,
    /// From left to right, row by row; those of a row have one axis upwards.
    pub rows: Vec<[Panel; 2]>,
}

/// A coordinate system.
pub struct Panel {
    /// Its heading.
    pub title: String,
    /// What goes to the right, with its unit.
    pub x: String,
    /// What goes upwards, with its unit.
    pub y: String,
    /// Where on the axis, from 0 to 1, what is written.
    pub ticks: Vec<(f64, String)>,
    /// What is drawn, the first at the back.
    pub lines: Vec<Line>,
}

/// Points that belong together.
pub struct Line {
    /// Which of the figure's names.
    pub name: usize,
    /// A yardstick is grey and dashed, and its name stands beside it.
    pub yardstick: bool,
    /// Place on the axis to the right, 0 to 1, and value, above 0.
    pub points: Vec<(f64, f64)>,
}

/// Wong, Nature Methods 8, 441 (2011): for all eyes.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];
const GREY: &str = "#6b7280";
const WIDTH: f64 = 1020.0;
const TOP: f64 = 140.0;
/// A panel's frame, and what lies between it and the next one's.
const PANEL: (f64, f64) = (400.0, 250.0);
const GAP: (f64, f64) = (100.0, 100.0);
const LEFT: f64 = 84.0;
/// How far the first and last points keep from the frame.
const INSET: f64 = 24.0;

/// The values at which lines are drawn: 1, 2 and 5 of each decade, from `low` to `high`.
fn steps(low: f64, high: f64) -> impl Iterator<Item = f64> {
    (-6..9)
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(decade)))
        .filter(move |step| (low..=high).contains(step))
}

/// The steps around all values of a row.
fn range(row: &[Panel]) -> (f64, f64) {
    let values = row.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
    let (low, high) =
        values.fold((f64::MAX, 0f64), |(low, high), &(_, value)| (low.min(value), high.max(value)));
    let below = steps(0.0, low * 0.95).last().unwrap_or(low);
    let above = steps(high * 1.05, f64::MAX).next().unwrap_or(high);
    if below < above { (below, above) } else { (1.0, 10.0) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Text around `x`, `anchor` being start, middle or end.
fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
    );
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="{colour}" fill="none"/>"#
    );
}

/// A mark that tells lines apart without their colours.
fn mark(svg: &mut String, line: &Line, (x, y): (f64, f64)) {
    if line.yardstick {
        return;
    }
    let shape = match line.name % 3 {
        0 => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5""#),
        1 => format!(r#"<rect x="{:.1}" y="{:.1}" width="8.4" height="8.4""#, x - 4.2, y - 4.2),
        _ => format!(r#"<path d="M{x:.1} {:.1}l5.4 9.2h-10.8z""#, y - 6.0),
    };
    let _ = writeln!(svg, r##"{shape} fill="{}" stroke="#fff"/>"##, colour(line));
}

fn colour(line: &Line) -> &'static str {
    if line.yardstick { GREY } else { COLOURS[line.name % COLOURS.len()] }
}

fn line(svg: &mut String, line: &Line, points: &[(f64, f64)]) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dashes = if line.yardstick { r#" stroke-dasharray="7 5""# } else { "" };
    let _ = writeln!(
        svg,
        r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2.4" stroke-linejoin="round"{dashes}/>"#,
        points.join(" "),
        colour(line)
    );
}

impl Panel {
    fn draw(
        &self,
        svg: &mut String,
        names: &[String],
        (left, top): (f64, f64),
        (low, high): (f64, f64),
    ) {
        let (right, bottom) = (left + PANEL.0, top + PANEL.1);
        let place = |&(x, value): &(f64, f64)| {
            let up = (value / low).ln() / (high / low).ln();
            (left + INSET + x * (PANEL.0 - 2.0 * INSET), bottom - up * PANEL.1)
        };
        for step in steps(low, high) {
            let (_, y) = place(&(0.0, step));
            rule(svg, (left, y), (right, y), "#e5e7eb");
            text(svg, (left - 9.0, y + 4.5), "end", "tick", &step.to_string());
        }
        for (x, label) in &self.ticks {
            let (x, _) = place(&(*x, low));
            rule(svg, (x, bottom), (x, bottom + 5.0), "#9ca3af");
            text(svg, (x, bottom + 21.0), "middle", "tick", label);
        }
        rule(svg, (left, top), (left, bottom), "#9ca3af");
        rule(svg, (left, bottom), (right, bottom), "#9ca3af");
        text(svg, (left, top - 12.0), "start", "panel", &self.title);
        text(svg, ((left + right) / 2.0, bottom + 43.0), "middle", "axis", &self.x);
        let (x, y) = (left - 50.0, (top + bottom) / 2.0);
        let _ = writeln!(
            svg,
            r#"<text transform="translate({x:.1} {y:.1}) rotate(-90)" text-anchor="middle" class="axis">{}</text>"#,
            escaped(&self.y)
        );
        for of in &self.lines {
            let points: Vec<_> = of.points.iter().map(place).collect();
            line(svg, of, &points);
            if let (true, Some(&(x, y))) = (of.yardstick, points.last()) {
                text(svg, (x, y + 19.0), "end", "small halo", &names[of.name]);
            }
            points.iter().for_each(|&point| mark(svg, of, point));
        }
    }
}

impl Figure {
    /// The picture as the text of an SVG file.
    pub fn svg(&self) -> String {
        let height = TOP + self.rows.len() as f64 * (PANEL.1 + GAP.1) - 36.0;
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif">
<style>text {{ fill: #1f2937 }} .title {{ font-size: 22px; font-weight: 600 }} .panel {{ font-size: 16px; font-weight: 600 }} .axis, .name {{ font-size: 14px }} .tick {{ font-size: 13px; fill: #4b5563 }} .small {{ font-size: 14px; fill: #4b5563 }} .halo {{ stroke: #fff; stroke-width: 5px; paint-order: stroke }}</style>
<rect width="100%" height="100%" fill="#fff"/>
"##
        );
        text(&mut svg, (LEFT - 50.0, 34.0), "start", "title", &self.title);
        text(&mut svg, (LEFT - 50.0, 56.0), "start", "small", &self.subtitle);
        self.legend(&mut svg);
        for (row, panels) in (0..).map(f64::from).zip(&self.rows) {
            let range = range(panels);
            for (column, panel) in (0..).map(f64::from).zip(panels) {
                let left = LEFT + column * (PANEL.0 + GAP.0);
                let top = TOP + row * (PANEL.1 + GAP.1);
                panel.draw(&mut svg, &self.names, (left, top), range);
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let all = || self.rows.iter().flatten().flat_map(|panel| &panel.lines);
        let (mut x, y) = (LEFT - 50.0, 84.0);
        for (number, name) in self.names.iter().enumerate() {
            let of = |line: &&Line| line.name == number && !line.yardstick;
            let Some(of) = all().find(of) else { continue };
            line(svg, of, &[(x, y), (x + 34.0, y)]);
            mark(svg, of, (x + 17.0, y));
            text(svg, (x + 42.0, y + 5.0), "start", "name", name);
            x += 74.0 + 7.8 * name.len() as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_reaches_around_all_values() {
        let line =
            |points: &[(f64, f64)]| Line { name: 0, yardstick: false, points: points.into() };
        let panel = |lines| Panel {
            title: String::new(),
            x: String::new(),
            y: String::new(),
            ticks: Vec::new(),
            lines,
        };
        let lines = |values: &[f64]| {
            panel(vec![line(&values.iter().map(|&v| (0.0, v)).collect::<Vec<_>>())])
        };
        assert_eq!(range(&[lines(&[5.4, 57.0]), lines(&[410.0])]), (5.0, 500.0));
        assert_eq!(range(&[lines(&[1.0, 100.0]), panel(Vec::new())]), (0.5, 200.0));
        assert_eq!(range(&[panel(Vec::new()), panel(Vec::new())]), (1.0, 10.0));
    }
}
