//! What adaptation does on a link that changes. Without DPDK:
//!
//! * `adapt draw FILE.tsv FILE.svg`: one course, as figures and as a picture (`make plots`);
//! * `adapt seeds FROM TO`: what comes of further seeds, with every change and its reason;
//! * `adapt time`: how long the planner takes;
//! * `adapt cost`: what the measurement takes of a packet's time.

mod cost;
mod plot;

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::time::Instant;

use maelstrom::lab::adaptive::{Course, Trial, run};
use maelstrom::safety::{Choice, Loss};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["draw", tsv, svg] => draw(tsv, svg),
        ["seeds", from, to] => seeds(from.parse()?, to.parse()?),
        ["time"] => time(),
        ["cost"] => {
            cost::print();
            Ok(())
        }
        _ => Err("expected: draw FILE.tsv FILE.svg | seeds FROM TO | time | cost".into()),
    }
}

fn draw(tsv: &str, svg: &str) -> Result<(), Box<dyn Error>> {
    let trial = Trial::standard(1);
    let course = run(&trial);
    let mut text = "second\tsources\trepairs\tlost\tmissing\tcode\n".to_owned();
    for row in &course.rows {
        let (at, code) = (row.at, &row.code);
        let counts = [row.sources, row.repairs, row.lost, row.missing].map(|n| n.to_string());
        writeln!(text, "{at}\t{}\t{code}", counts.join("\t"))?;
    }
    for (at, line) in &course.log {
        println!("{at:6.2} s: {line}");
        writeln!(text, "# {at:.2} s: {line}")?;
    }
    fs::write(tsv, text).map_err(|error| format!("{tsv}: {error}"))?;
    let best: Vec<Choice> = losses(&trial).map(|(_, loss)| trial.best(loss)).collect();
    let picture = plot::picture(&course, &best);
    fs::write(svg, picture).map_err(|error| format!("{svg}: {error}"))?;
    Ok(())
}

/// When each phase begins, and how it loses.
fn losses(trial: &Trial) -> impl Iterator<Item = (f64, Loss)> {
    let phases = (0..).map(|n| 30.0 * f64::from(n)).zip(&trial.phases);
    phases.filter_map(|(begin, (model, _))| Some((begin, model.in_general()?)))
}

fn seeds(from: u64, to: u64) -> Result<(), Box<dyn Error>> {
    let best: Vec<Choice> =
        losses(&Trial::standard(0)).map(|(_, loss)| Trial::standard(0).best(loss)).collect();
    let (mut passed, mut failed) = (0, 0);
    for seed in from..=to {
        let trial = Trial::standard(seed);
        let course = run(&trial);
        println!("seed {seed}");
        for (at, line) in &course.log {
            println!("{at:7.2} s: {line}");
        }
        let mut good = true;
        for ((begin, loss), best) in losses(&trial).zip(&best) {
            good &= phase(&trial, &course, begin, loss, best);
        }
        (passed, failed) = (passed + u32::from(good), failed + u32::from(!good));
    }
    println!("{passed} passed, {failed} failed");
    Ok(())
}

/// Prints what came of a phase; says whether it is what is wanted.
fn phase(trial: &Trial, course: &Course, begin: f64, loss: Loss, best: &Choice) -> bool {
    let [sources, _, missing] = course.between(begin + 5.0, begin + 30.0);
    let [_, _, early] = course.between(begin, begin + 5.0);
    let residual = missing as f64 / sources as f64;
    let overhead = |second: i32| {
        let [sources, repairs, _] =
            course.between(begin + f64::from(second), begin + f64::from(second + 1));
        repairs as f64 / sources as f64
    };
    let highest = (5..30).map(overhead).fold(0.0, f64::max);
    let cost = best.code.overhead();
    let is_floor = best.code == trial.policy.floor;
    let most = if is_floor { cost + 0.05 } else { 1.5 * cost };
    println!(
        "        {loss:?}: {residual:.1e} missing from second 5 on ({early} packets before), overhead up \
         to {highest:.3}; best fixed code {} {cost:.3}",
        best.code
    );
    residual <= trial.policy.residual && highest <= most
}

fn time() -> Result<(), Box<dyn Error>> {
    let trial = Trial::standard(0);
    let ge = |rate, mean_burst| Loss::Ge { rate, mean_burst };
    let links = [ge(1e-4, 3.0), ge(1e-3, 10.0), ge(0.01, 10.0), ge(0.02, 20.0), ge(0.05, 40.0)];
    for loss in links.into_iter().chain([1e-3, 0.01, 0.05, 0.1].map(|rate| Loss::Iid { rate })) {
        let start = Instant::now();
        let choice = trial.best(loss);
        let meets = if choice.meets { "meets" } else { "misses" };
        println!("{:4} ms  {loss:?}: {} {meets}", start.elapsed().as_millis(), choice.code);
    }
    Ok(())
}
