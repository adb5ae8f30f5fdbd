//! The picture: loss, overhead and code, and what is missing, over time.

use std::fmt::Write;

use maelstrom::lab::adaptive::{Course, Row};
use maelstrom::safety::Choice;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 970.0;
const SECONDS: f64 = 120.0;
/// Panels: top and bottom.
const LOSS: (f64, f64) = (110.0, 230.0);
const COST: (f64, f64) = (290.0, 470.0);
const MISSING: (f64, f64) = (530.0, 650.0);
const HEIGHT: f64 = 720.0;
const BLUE: &str = "#0072b2";
const RED: &str = "#d55e00";
const GREY: &str = "#6b7280";

fn x(second: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * second / SECONDS
}

/// Where a value lies on an axis of ratios.
fn y(value: f64, (low, high): (f64, f64), (top, bottom): (f64, f64)) -> f64 {
    let place = (value.max(low) / low).ln() / (high / low).ln();
    bottom - place.min(1.0) * (bottom - top)
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let (x, y) = at;
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
    );
}

fn line(svg: &mut String, points: &[(f64, f64)], style: &str) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(svg, r#"<polyline points="{}" fill="none" {style}/>"#, points.join(" "));
}

fn axes(
    svg: &mut String,
    panel: (f64, f64),
    range: (f64, f64),
    ticks: &[(f64, &str)],
    title: &str,
) {
    let (top, bottom) = panel;
    for &(value, label) in ticks {
        let y = y(value, range, panel);
        line(svg, &[(LEFT, y), (RIGHT, y)], r##"stroke="#e5e7eb""##);
        text(svg, (LEFT - 9.0, y + 4.5), "end", "tick", label);
    }
    for phase in 0..=4 {
        let x = x(30.0 * f64::from(phase));
        line(svg, &[(x, top), (x, bottom)], r##"stroke="#9ca3af" stroke-dasharray="2 4""##);
        text(svg, (x, bottom + 18.0), "middle", "tick", &(30 * phase).to_string());
    }
    line(svg, &[(LEFT, bottom), (RIGHT, bottom)], r##"stroke="#9ca3af""##);
    text(svg, (LEFT, top - 10.0), "start", "panel", title);
}

/// Steps, a row each; what is 0 lies on the axis.
fn steps(
    rows: &[Row],
    range: (f64, f64),
    panel: (f64, f64),
    of: impl Fn(&Row) -> f64,
) -> Vec<(f64, f64)> {
    let ends = rows.iter().map(|row| row.at).skip(1).chain([SECONDS]);
    let step = |(row, end): (&Row, f64)| {
        let y = y(of(row), range, panel);
        [(x(row.at), y), (x(end), y)]
    };
    rows.iter().zip(ends).flat_map(step).collect()
}

/// Draws a course, and beside it the best fixed code of each phase.
pub fn picture(course: &Course, best: &[Choice]) -> String {
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif">
<style>text {{ fill: #1f2937 }} .title {{ font-size: 21px; font-weight: 600 }} .panel {{ font-size: 15px; font-weight: 600 }} .tick {{ font-size: 13px; fill: #4b5563 }} .small {{ font-size: 14px; fill: #4b5563 }} .code {{ font-size: 12.5px; fill: {BLUE}; stroke: #fff; stroke-width: 4px; paint-order: stroke }} .best {{ font-size: 12.5px; fill: {GREY}; stroke: #fff; stroke-width: 4px; paint-order: stroke }}</style>
<rect width="100%" height="100%" fill="#fff"/>
"##
    );
    text(&mut svg, (LEFT - 50.0, 34.0), "start", "title", "The code follows the link");
    let subtitle = "50,000 packets a second over no loss, 1 % in bursts of 10, 5 % one by one, 0.1 %; \
                    wanted: 1 in 100,000 missing";
    text(&mut svg, (LEFT - 50.0, 57.0), "start", "small", subtitle);

    let rows = &course.rows;
    let range = (1e-4, 0.2);
    let ticks = [(1e-4, "0"), (1e-3, "0.1 %"), (0.01, "1 %"), (0.1, "10 %")];
    axes(&mut svg, LOSS, range, &ticks, "Lost on the wire");
    let lost = |row: &Row| row.lost as f64 / (row.sources + row.repairs) as f64;
    line(
        &mut svg,
        &steps(rows, range, LOSS, lost),
        &format!(r#"stroke="{RED}" stroke-width="1.4""#),
    );

    let range = (0.02, 0.6);
    let ticks = [(0.02, "2 %"), (0.05, "5 %"), (0.1, "10 %"), (0.2, "20 %"), (0.5, "50 %")];
    axes(
        &mut svg,
        COST,
        range,
        &ticks,
        "Repairs per source packet, and the code; dashed: the best fixed code of each phase",
    );
    for (phase, best) in best.iter().enumerate() {
        let (from, y) = (30.0 * phase as f64, y(best.code.overhead(), range, COST));
        let style = format!(r#"stroke="{GREY}" stroke-width="2" stroke-dasharray="7 5""#);
        line(&mut svg, &[(x(from), y), (x(from + 30.0), y)], &style);
        text(&mut svg, (x(from + 29.5), y + 17.0), "end", "best", &best.code.to_string());
    }
    let cost = |row: &Row| row.repairs as f64 / row.sources as f64;
    line(
        &mut svg,
        &steps(rows, range, COST, cost),
        &format!(r#"stroke="{BLUE}" stroke-width="2.2""#),
    );
    let mut held: Vec<(&str, f64, f64)> = Vec::new();
    for row in rows {
        match held.last_mut() {
            Some(last) if last.0 == row.code => last.2 = row.at,
            _ => held.push((&row.code, row.at, row.at)),
        }
    }
    for (code, from, to) in held.into_iter().filter(|(_, from, to)| to - from > 10.0) {
        let row = rows.iter().find(|row| row.at >= f64::midpoint(from, to));
        let height = row.map_or(COST.1, |row| y(cost(row), range, COST));
        text(&mut svg, (x(from + 0.8), height - 9.0), "start", "code", code);
    }

    let range = (1e-6, 1e-1);
    let ticks = [(1e-6, "0"), (1e-5, "1e-5"), (1e-3, "0.1 %"), (0.1, "10 %")];
    axes(&mut svg, MISSING, range, &ticks, "Missing for good, each second; dashed: what is wanted");
    let wanted = y(1e-5, range, MISSING);
    let style = format!(r#"stroke="{GREY}" stroke-width="2" stroke-dasharray="7 5""#);
    line(&mut svg, &[(LEFT, wanted), (RIGHT, wanted)], &style);
    let missing = |row: &Row| {
        let [sources, _, missing] = course.between(row.at.floor(), row.at.floor() + 1.0);
        missing as f64 / sources as f64
    };
    let style = format!(r#"stroke="{RED}" stroke-width="1.8""#);
    line(&mut svg, &steps(rows, range, MISSING, missing), &style);
    text(&mut svg, ((LEFT + RIGHT) / 2.0, MISSING.1 + 42.0), "middle", "small", "seconds");
    svg + "</svg>\n"
}
