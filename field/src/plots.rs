//! The pictures of docs/EVALUATION.md, drawn from the tables beside them and nothing else.

use std::path::Path;

use crate::chart::{Axis, Chart, Panel, Series};
use crate::error::{Error, Result};
use crate::say::say;

mod rows;

use rows::Rows;

const BLUE: (u8, u8, u8) = (0, 114, 178);
const RED: (u8, u8, u8) = (213, 94, 0);
const GREEN: (u8, u8, u8) = (0, 158, 115);
const PURPLE: (u8, u8, u8) = (148, 82, 160);
const GREY: (u8, u8, u8) = (107, 114, 128);

/// Draws all pictures whose tables are in `folder`, each beside its table.
///
/// # Errors
/// There is no table at all, or a picture can't be written.
pub fn draw(folder: &Path) -> Result<()> {
    type Picture = fn(&Rows) -> Chart;
    let pictures: [(&str, &str, Picture); 6] = [
        ("throughput", "throughput", throughput),
        ("throughput", "throughput-delay", throughput_by_delay),
        ("latency", "latency", latency),
        ("reordering", "reordering", reordering),
        ("mirror", "mirror", mirror),
        ("disaster_virtual", "disaster", disaster),
    ];
    let mut drawn = 0;
    for (table, picture, make) in pictures {
        let path = folder.join(format!("{table}.tsv"));
        if !path.is_file() {
            say(format_args!("{}: not there; its picture is not drawn", path.display()));
            continue;
        }
        let to = folder.join(format!("{picture}.svg"));
        make(&Rows::read(&path)?).draw(&to)?;
        say(to.display());
        drawn += 1;
    }
    match drawn {
        0 => Err(Error::new(format!(
            "{}: no tables; expected those of: field all",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

const HELP: [(&str, &str, (u8, u8, u8)); 4] = [
    ("planned", "Maelstrom, the planner's code", BLUE),
    ("published", "Maelstrom, 8:1,20,40 as published", GREEN),
    ("kcptun", "kcptun", PURPLE),
    ("plain", "TCP alone", RED),
];

fn throughput(rows: &Rows) -> Chart {
    let panel = |title: &str, mean_burst: &str| {
        let series = HELP.map(|(help, name, colour)| {
            let fixed = [("control", "cubic"), ("delay_ms", "50"), ("flows", "1"), ("help", help)];
            let here = [&fixed[..], &[("mean_burst", mean_burst)]].concat();
            let mut points = rows.points(&here, "loss", "goodput_median");
            if mean_burst != "1" {
                let none = [&fixed[..], &[("mean_burst", "1"), ("loss", "0")]].concat();
                points.splice(0..0, rows.points(&none, "loss", "goodput_median"));
            }
            // No loss stands where the axis begins.
            let place =
                |(loss, goodput): (f64, f64)| (if loss == 0.0 { 1e-5 } else { loss }, goodput);
            Series {
                name: name.to_owned(),
                colour,
                points: points.into_iter().map(place).collect(),
            }
        });
        Panel { title: title.to_owned(), series: series.into() }
    };
    let (rate, most) = rows.rate();
    Chart {
        title: "One TCP flow over 100 ms of round trip".to_owned(),
        subtitle: format!("CUBIC on a WAN of {rate}; goodput, median of the runs"),
        x: Axis::log(
            "packets lost",
            &[(1e-5, "none"), (1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %")],
        ),
        y: Axis::up_to("Mb/s", most),
        panels: vec![panel("lost one by one", "1"), panel("lost in bursts of 10", "10")],
    }
}

fn throughput_by_delay(rows: &Rows) -> Chart {
    let panel = |title: &str, loss: &str, mean_burst: &str| {
        let series = HELP.map(|(help, name, colour)| {
            let having = [
                ("control", "cubic"),
                ("flows", "1"),
                ("help", help),
                ("loss", loss),
                ("mean_burst", mean_burst),
            ];
            let points = rows.points(&having, "delay_ms", "goodput_median");
            Series { name: name.to_owned(), colour, points }
        });
        Panel { title: title.to_owned(), series: series.into() }
    };
    let (rate, most) = rows.rate();
    Chart {
        title: "One TCP flow against the distance".to_owned(),
        subtitle: format!("CUBIC on a WAN of {rate}; goodput, median of the runs"),
        x: Axis::log(
            "one-way delay, ms",
            &[(1.0, "1"), (10.0, "10"), (25.0, "25"), (50.0, "50"), (100.0, "100")],
        ),
        y: Axis::up_to("Mb/s", most),
        panels: vec![
            panel("0.1 % lost one by one", "0.001", "1"),
            panel("1 % lost in bursts of 10", "0.01", "10"),
        ],
    }
}

fn latency(rows: &Rows) -> Chart {
    // What share is slower than that.
    const QUANTILES: [(&str, f64); 5] =
        [("p50", 0.5), ("p90", 0.1), ("p99", 0.01), ("p999", 0.001), ("p9999", 0.0001)];
    let panel = |title: &str, kind: &str, busy: &str| {
        let mut series = Vec::new();
        for (help, mean_burst, name, colour) in [
            ("planned", "1", "with gateways, lost one by one", BLUE),
            ("planned", "10", "with gateways, in bursts of 10", GREEN),
            ("plain", "1", "without, lost one by one", RED),
            ("plain", "10", "without, in bursts of 10", PURPLE),
        ] {
            let having = [
                ("kind", kind),
                ("busy", busy),
                ("help", help),
                ("loss", "0.01"),
                ("mean_burst", mean_burst),
            ];
            let at = |(column, slower): (&str, f64)| {
                let points = rows.points(&having, "loss", column);
                points.first().map(|&(_, ms)| (1.0 / slower, ms))
            };
            let points = QUANTILES.into_iter().filter_map(at).collect();
            series.push(Series { name: name.to_owned(), colour, points });
        }
        Panel { title: title.to_owned(), series }
    };
    Chart {
        title: format!("Latency at 1 % of loss, 50 ms one way, {}", rows.rate().0),
        subtitle: "a line that ends: beyond it, datagrams never came; requests ask for 16 KiB over a new connection"
            .to_owned(),
        x: Axis::log(
            "percentile",
            &[(2.0, "50"), (10.0, "90"), (100.0, "99"), (1000.0, "99.9"), (10_000.0, "99.99")],
        ),
        y: Axis::log("ms", &[(40.0, "40"), (50.0, "50"), (100.0, "100"), (200.0, "200"), (500.0, "500"), (1000.0, "1000"), (3000.0, "3000")]),
        panels: vec![
            panel("1,000 datagrams a second, alone", "datagrams", "0"),
            panel("requests, beside 10,000 packets a second", "requests", "10000"),
        ],
    }
}

fn reordering(rows: &Rows) -> Chart {
    let panel = |title: &str, y: &str| {
        let mut series = Vec::new();
        for (delay, loss, mean_burst, name, colour) in [
            ("50", "0.001", "1", "50 ms, 0.1 %", GREEN),
            ("50", "0.01", "1", "50 ms, 1 %", BLUE),
            ("50", "0.01", "10", "50 ms, 1 % in bursts of 10", RED),
            ("10", "0.01", "1", "10 ms, 1 %", PURPLE),
        ] {
            let having = [("delay_ms", delay), ("loss", loss), ("mean_burst", mean_burst)];
            let points = rows.points(&having, "resequence_ms", y);
            // Nothing held stands where the axis begins.
            let place =
                |(ms, value): (f64, f64)| (if ms == 0.0 { 0.3 } else { ms }, value.max(1.0));
            series.push(Series {
                name: name.to_owned(),
                colour,
                points: points.into_iter().map(place).collect(),
            });
        }
        Panel { title: title.to_owned(), series }
    };
    let both = ["goodput_median", "reorderings"].map(|y| rows.points(&[], "resequence_ms", y));
    let most = both.iter().flatten().map(|&(_, value)| value).fold(1.0, f64::max);
    let held = [(0.3, "none"), (1.0, "1"), (5.0, "5"), (20.0, "20"), (50.0, "50")];
    Chart {
        title: "What late packets do to TCP".to_owned(),
        subtitle: format!("one CUBIC flow, the planner's code, {}; medians", rows.rate().0),
        x: Axis::log("packets held behind a missing one for at most, ms", &held),
        y: Axis::decades("", most),
        panels: vec![
            panel("goodput, Mb/s", "goodput_median"),
            panel("times that TCP took late for lost", "reorderings"),
        ],
    }
}

fn mirror(rows: &Rows) -> Chart {
    const COLOURS: [(u8, u8, u8); 5] = [GREY, GREEN, BLUE, PURPLE, RED];
    let policies = rows.values("policy");
    let traffic = rows.values("traffic");
    let panel = |title: &str, traffic: &str| {
        let series = policies.iter().zip(COLOURS).map(|(policy, colour)| {
            let having = [
                ("policy", policy.as_str()),
                ("traffic", traffic),
                ("clients", "1"),
                ("loss", "0.0001"),
                ("mean_burst", "1"),
            ];
            let points = rows.points(&having, "delay_ms", "median_us");
            let points = points.into_iter().map(|(delay, us)| (delay, us / 1000.0)).collect();
            Series { name: policy.clone(), colour, points }
        });
        Panel { title: title.to_owned(), series: series.collect() }
    };
    let title = |traffic: &str| match traffic {
        "idle" => "an idle link",
        _ => "beside 10,000 packets a second",
    };
    Chart {
        title: "A commit's latency, by policy".to_owned(),
        subtitle: "one client, 0.01 % lost one by one; median".to_owned(),
        x: Axis::log(
            "one-way delay, ms",
            &[(1.0, "1"), (10.0, "10"), (25.0, "25"), (50.0, "50"), (100.0, "100")],
        ),
        y: Axis::log(
            "ms",
            &[
                (0.01, "0.01"),
                (0.1, "0.1"),
                (1.0, "1"),
                (10.0, "10"),
                (100.0, "100"),
                (400.0, "400"),
            ],
        ),
        panels: traffic.iter().map(|traffic| panel(title(traffic), traffic)).collect(),
    }
}

fn disaster(rows: &Rows) -> Chart {
    const COLOURS: [(u8, u8, u8); 6] = [RED, PURPLE, GREEN, BLUE, (0, 60, 120), GREY];
    let policies = rows.values("policy");
    let losses = ["none", "0.1 %", "0.5 %", "1 %"];
    let panel = |title: &str, burst: bool| {
        let series = policies.iter().zip(COLOURS).map(|(policy, colour)| {
            let known = rows.values("loss");
            let mut points: Vec<(f64, f64)> = Vec::new();
            for name in known {
                if name != "none" && name.starts_with("ge:") != burst {
                    continue;
                }
                let number =
                    name.split([':', ',']).find_map(|part| part.parse::<f64>().ok()).unwrap_or(0.0);
                let having =
                    [("loss", name.as_str()), ("gateways", "fec"), ("policy", policy.as_str())];
                let found = rows.points(&having, "runs", "fraction");
                let x = match number {
                    0.0 => 0.0,
                    rate if rate < 0.002 => 1.0,
                    rate if rate < 0.007 => 2.0,
                    _ => 3.0,
                };
                points.extend(found.first().map(|&(_, share)| (x, share.max(1e-4))));
            }
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series { name: policy.clone(), colour, points }
        });
        Panel { title: title.to_owned(), series: series.collect() }
    };
    let ticks: Vec<(f64, &str)> = (0..).map(f64::from).zip(losses).collect();
    Chart {
        title: "The western site dies: who was told more than the mirror has?".to_owned(),
        subtitle:
            "share of runs in which an acknowledged record is missing; none is drawn at the bottom"
                .to_owned(),
        x: Axis::ticks("packets lost in the half second before", &ticks),
        y: Axis::log(
            "share of runs",
            &[(1e-4, "none"), (1e-3, "0.001"), (1e-2, "0.01"), (1e-1, "0.1"), (1.0, "1")],
        ),
        panels: vec![panel("lost one by one", false), panel("lost in bursts", true)],
    }
}
