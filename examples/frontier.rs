//! What redundancy buys: the least overhead at which the planner finds a code, for each residual and
//! several latency budgets, as a drawing.
//!
//! `cargo run --release --no-default-features --example frontier docs/frontier.svg`

use std::fmt::Write;

use maelstrom::safety::Loss;
use maelstrom::safety::plan::{Goal, Plan};
use maelstrom::safety::planner::{search, yardsticks};

/// 1500 bytes each, at 10 Gb/s.
const PACKETS_PER_SECOND: f64 = 833_333.0;
const RESIDUALS: [f64; 7] = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9];
/// In nanoseconds, with a colour each, from dark to light: the longer, the more can be had.
const LATENCIES: [(u64, &str, &str); 4] = [
    (500_000, "0.5 ms", "#b5403a"),
    (2_000_000, "2 ms", "#d98b2b"),
    (10_000_000, "10 ms", "#2f8f6b"),
    (50_000_000, "50 ms", "#2b5c9e"),
];
const PANELS: [(&str, Loss); 2] = [
    ("1 % lost, independently", Loss::Iid { rate: 0.01 }),
    ("1 % lost, in bursts of 20 on average", Loss::Ge { rate: 0.01, mean_burst: 20.0 }),
];

/// The panels' sizes and places, in pixels.
const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 92.0;
const APART: f64 = 60.0;
/// The axes, in powers of ten: overhead to the right, residual downwards.
const OVERHEADS: (f64, f64) = (-2.1, 0.35);
const SHARES: (f64, f64) = (-2.2, -9.3);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("expected the name of the SVG file to write")?;
    let mut svg = heading();
    for (n, (title, loss)) in PANELS.iter().enumerate() {
        let left = LEFT + n as f64 * (WIDTH + APART);
        axes(&mut svg, left, title, n == 0);
        least(&mut svg, left, loss.rate());
        let goal = |residual, latency_ns| Goal {
            loss: *loss,
            packets_per_second: PACKETS_PER_SECOND,
            residual,
            latency_ns,
            update: 1,
        };
        // The longest first and widest, so that what lies upon it does not hide it.
        for (n, (latency, name, colour)) in LATENCIES.into_iter().enumerate().rev() {
            let cheapest = |residual| {
                Some((residual, search(&goal(residual, latency)).plans.into_iter().next()?))
            };
            let found: Vec<(f64, Plan)> = RESIDUALS.into_iter().filter_map(cheapest).collect();
            for (residual, plan) in &found {
                println!(
                    "{title}, {name}, {residual:e}: {}, {:.1} %",
                    plan.code,
                    100.0 * plan.overhead
                );
            }
            let points: Vec<(f64, f64)> = frontier(&found);
            curve(&mut svg, left, &points, colour, 2.0 + 1.6 * n as f64);
        }
        for (plan, name) in
            yardsticks(&goal(1e-7, 10_000_000)).iter().zip(["8:1,20,40", "all twice"])
        {
            println!("{title}, {}: {:.1e}", plan.code, plan.residual);
            yardstick(&mut svg, left, plan, name);
        }
    }
    legend(&mut svg);
    svg += "</svg>\n";
    std::fs::write(&path, svg).map_err(|error| format!("{path}: {error}"))?;
    Ok(())
}

/// What leaves less does not leave more: a code found for a smaller residual counts for a larger.
fn frontier(found: &[(f64, Plan)]) -> Vec<(f64, f64)> {
    let mut least = f64::INFINITY;
    let mut points: Vec<(f64, f64)> = found
        .iter()
        .rev()
        .map(|(residual, plan)| {
            least = least.min(plan.overhead);
            (least, *residual)
        })
        .collect();
    points.reverse();
    points
}

fn x(left: f64, overhead: f64) -> f64 {
    left + WIDTH * (overhead.log10() - OVERHEADS.0) / (OVERHEADS.1 - OVERHEADS.0)
}

fn y(share: f64) -> f64 {
    let log = share.log10().clamp(SHARES.1, SHARES.0);
    TOP + HEIGHT * (log - SHARES.0) / (SHARES.1 - SHARES.0)
}

fn heading() -> String {
    let width = LEFT + 2.0 * WIDTH + APART + 30.0;
    let height = TOP + HEIGHT + 96.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"13\" \
         fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fdfdfb\"/>\n\
         <text x=\"{LEFT}\" y=\"34\" font-size=\"18\" font-weight=\"bold\">What redundancy buys: the least \
         overhead for each residual</text>\n\
         <text x=\"{LEFT}\" y=\"56\" fill=\"#666\">10 Gb/s of 1500-byte packets; 99 % of recoveries within \
         the latency budget</text>\n"
    )
}

fn axes(svg: &mut String, left: f64, title: &str, named: bool) {
    let (right, bottom) = (left + WIDTH, TOP + HEIGHT);
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{title}</text>",
        TOP - 10.0
    );
    for percent in [1, 2, 5, 10, 20, 50, 100, 200] {
        let x = x(left, f64::from(percent) / 100.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#e4e4df\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{percent} %</text>",
            bottom + 19.0
        );
    }
    for power in 3..=9 {
        let y = y(10f64.powi(-power));
        let _ = write!(
            svg,
            "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#e4e4df\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">10<tspan dy=\"-5\" font-size=\"10\">−{power}</tspan></text>",
            left - 8.0,
            y + 5.0
        );
    }
    let _ = writeln!(
        svg,
        "<rect x=\"{left}\" y=\"{TOP}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#999\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">overhead: repairs per source packet</text>",
        left + WIDTH / 2.0,
        bottom + 41.0
    );
    if named {
        let middle = TOP + HEIGHT / 2.0;
        let _ = writeln!(
            svg,
            "<text transform=\"translate(26 {middle}) rotate(-90)\" text-anchor=\"middle\">residual: share \
             never recovered</text>"
        );
    }
}

/// What nobody can do without: of all that is sent, as much must arrive as there is to say.
fn least(svg: &mut String, left: f64, rate: f64) {
    let x = x(left, rate / (1.0 - rate));
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#777\" \
         stroke-dasharray=\"5 4\"/><text transform=\"translate({:.1} {:.1}) rotate(-90)\" \
         fill=\"#777\" font-size=\"11\">no code costs less</text>",
        TOP + HEIGHT,
        x - 5.0,
        TOP + HEIGHT - 8.0
    );
}

fn curve(svg: &mut String, left: f64, points: &[(f64, f64)], colour: &str, width: f64) {
    let places: Vec<String> = points
        .iter()
        .map(|&(overhead, residual)| format!("{:.1},{:.1}", x(left, overhead), y(residual)))
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
         stroke-linejoin=\"round\"/>",
        places.join(" ")
    );
    for &(overhead, residual) in points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\" fill=\"{colour}\"/>",
            x(left, overhead),
            y(residual),
            width / 2.0 + 2.2
        );
    }
}

fn yardstick(svg: &mut String, left: f64, plan: &Plan, name: &str) {
    let (x, y) = (x(left, plan.overhead), y(plan.residual));
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {y:.1} L{x:.1} {:.1} L{:.1} {y:.1} L{x:.1} {:.1} Z\" fill=\"#555\"/>\
         <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{name}</text>",
        x - 6.0,
        y - 6.0,
        x + 6.0,
        y + 6.0,
        y + 20.0
    );
}

fn legend(svg: &mut String) {
    let y = TOP + HEIGHT + 72.0;
    let mut x = LEFT;
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"#666\">latency budget</text>");
    x += 118.0;
    for (_, name, colour) in LATENCIES {
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{0}\" x2=\"{1}\" y2=\"{0}\" stroke=\"{colour}\" stroke-width=\"2.2\"/>\
             <circle cx=\"{2}\" cy=\"{0}\" r=\"3.4\" fill=\"{colour}\"/><text x=\"{3}\" y=\"{y}\">{name}</text>",
            y - 4.0,
            x + 30.0,
            x + 15.0,
            x + 38.0
        );
        x += 110.0;
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {y1:.1} l6 -6 l6 6 l-6 6 Z\" fill=\"#555\"/><text x=\"{}\" y=\"{y}\">published code; everything twice</text>",
        x,
        x + 20.0,
        y1 = y - 4.0
    );
}
