//! What adaptation does on a link that changes: `adapt FILE.tsv FILE.svg` writes what docs/SAFETY.md
//! shows, `adapt --time` says how long the planner takes.

use std::error::Error;
use std::time::Instant;

use maelstrom::fec::Code;
use maelstrom::lab::adaptive::{Trial, run};
use maelstrom::lab::loss::LossModel;
use maelstrom::link::adapt::Policy;
use maelstrom::safety::Loss;
use maelstrom::safety::choice::{Limits, choose};
use maelstrom::safety::plan::Goal;

fn main() -> Result<(), Box<dyn Error>> {
    let floor: Code = "64:11,13+g1".parse()?;
    let policy = Policy {
        residual: 1e-5,
        latency_ns: 50_000_000,
        overhead_limit: 0.5,
        floor: floor.clone(),
        largest: "24:307,311,313,317,331,337+g1".parse()?,
        quiet_ns: 3_000_000_000,
        gain: 0.1,
    };
    let pps = 50_000;
    let phases: Vec<(LossModel, u64)> = ["none", "ge:0.01,10", "iid:0.05", "iid:0.001"]
        .iter()
        .map(|text| Ok((text.parse()?, 30)))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let seeds: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    for seed in 1..=seeds {
        let trial = Trial {
            phases: phases.clone(),
            packets_per_second: pps,
            policy: policy.clone(),
            code: floor.clone(),
            adapts: true,
            report_delay: 50_000_000,
            planning: 300_000_000,
            seed,
        };
        let t = Instant::now();
        let course = run(&trial);
        println!("seed {seed} took {:?}", t.elapsed());
        for (at, line) in &course.log {
            println!("{at:7.2} {line}");
        }
        for (n, (model, _)) in phases.iter().enumerate() {
            let from = 30.0 * n as f64;
            let [s, r, m] = course.between(from + 5.0, from + 30.0);
            let mut limits = Limits::new(0.5, &policy.largest);
            limits.span = limits.span.min((pps as f64 * 0.05 / 1.25) as u64);
            let loss = model.in_general().unwrap();
            let best = if loss.rate() == 0.0 {
                floor.clone()
            } else {
                choose(
                    &Goal {
                        loss,
                        packets_per_second: pps as f64,
                        residual: 1e-5,
                        latency_ns: 50_000_000,
                        update: 1,
                    },
                    &floor,
                    limits,
                )
                .code
            };
            let worst = (5..30)
                .map(|s| {
                    let [a, b, _] = course.between(from + s as f64, from + s as f64 + 1.0);
                    b as f64 / a as f64
                })
                .fold(0.0, f64::max);
            let [_, _, early] = course.between(from, from + 5.0);
            println!(
                "{model:?}: residual {:.1e} overhead {:.4} worst second {:.4}, best {} {:.4}; missing first 5 s {early}",
                m as f64 / s as f64,
                r as f64 / s as f64,
                worst,
                best,
                best.overhead()
            );
        }
        let _ = Loss::Iid { rate: 0.0 };
    }
    Ok(())
}
