//! The loss table: the cells of the code's definition that 10^7 packets can tell, once more with
//! the real encoder and decoder.

use std::sync::atomic::{AtomicUsize, Ordering};

use maelstrom::fec::{Code, DecoderConfig};
use maelstrom::lab::loss::{LossModel, LossProcess};

use crate::channel::{How, Receiver, Sender, code, frame_of};
use crate::committed;

/// Source packets that count, a seed.
const PACKETS: u64 = 500_000;
const SEEDS: usize = 20;

/// Code, loss, and the share of 10^7 packets that the simulation never recovered.
const CELLS: [(&str, &str, f64); 8] = [
    ("8:1,20,40", "ge:0.01,10", 7.4e-4),
    ("8:1,20,40", "ge:0.01,20", 1.8e-3),
    ("8:1,19,41+g1", "ge:0.01,20", 6.2e-4),
    ("40:97,101+g1", "iid:0.01", 9.8e-6),
    ("40:97,101+g1", "iid:0.03", 4.5e-3),
    ("8:97,101,103+g1", "ge:0.01,20", 3.1e-6),
    ("20:97,101,103+g1", "iid:0.01", 1e-7),
    ("64:97,101,103,107+g1", "iid:0.03", 0.0),
];

/// Fewer lost of 10^7 than this, and it is a handful of stuck groups that decides.
const RARE: u64 = 50;
/// How far two runs of 10^7 packets may then differ. A stuck set loses tens of packets at once: 60
/// runs of 8:97,101,103+g1 at GE 20 lost 0 to 43 packets, 5.2 in the mean, and the simulation's 31
/// is one draw of that (`how_much_a_rare_cell_varies` prints it).
const RARE_DIFFERENCE: u64 = 45;

/// The figure lies within the spread of the seeds, and it differs from our mean by no more than
/// four standard errors of the difference of two runs of 10^7 packets: each is off by the seeds'
/// standard deviation / sqrt(20), so the difference by sqrt(2) of that. Both cells that have the
/// same overhead and loss see the same losses, since they have the same seeds.
#[test]
fn the_loss_table_is_that_of_the_definition() {
    let mut table = String::from("code\tloss\treference\tmean\tmin\tmax\tlost\n");
    let mut wrong = Vec::new();
    for ((code, loss, figure), lost) in CELLS.iter().zip(run_all(&CELLS, SEEDS, 0)) {
        let total: u64 = lost.iter().sum();
        let of = |lost: u64, seeds: usize| lost as f64 / (PACKETS as f64 * seeds as f64);
        let mean = of(total, SEEDS);
        let min = of(lost.iter().copied().min().unwrap_or(0), 1);
        let max = of(lost.iter().copied().max().unwrap_or(0), 1);
        table +=
            &format!("{code}\t{loss}\t{figure:e}\t{mean:.2e}\t{min:.1e}\t{max:.1e}\t{total}\n");
        let expected = (figure * PACKETS as f64 * SEEDS as f64).round() as u64;
        let agrees = if expected < RARE {
            total.abs_diff(expected) <= RARE_DIFFERENCE
        } else {
            let square = |&lost: &u64| (of(lost, 1) - mean).powi(2);
            let variance = lost.iter().map(square).sum::<f64>() / (SEEDS - 1) as f64;
            let error = (2.0 * variance / SEEDS as f64).sqrt();
            (min..=max).contains(figure) && (mean - figure).abs() <= 4.0 * error
        };
        if !agrees {
            wrong.push(format!("{code} at {loss}: {mean:e} instead of {figure:e}; {lost:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    committed::compare("loss_table.tsv", &table);
}

#[test]
#[ignore = "takes two minutes; prints what RARE_DIFFERENCE is derived from"]
fn how_much_a_rare_cell_varies() {
    let lost = &run_all(&CELLS[5..6], 60 * SEEDS, 5000)[0];
    let runs: Vec<u64> = lost.chunks(SEEDS).map(|run| run.iter().sum()).collect();
    println!("{} at {}: {runs:?} of 10^7 packets each", CELLS[5].0, CELLS[5].1);
}

/// For each cell and seed how many packets were never recovered.
fn run_all(cells: &[(&str, &str, f64)], seeds: usize, first_seed: u64) -> Vec<Vec<u64>> {
    let jobs = cells.len() * seeds;
    let next = AtomicUsize::new(0);
    let mut lost = vec![vec![0; seeds]; cells.len()];
    let work = || {
        let mut done = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return done;
            }
            let (cell, seed) = (job / seeds, job % seeds);
            let (text, loss, _) = cells[cell];
            let loss = loss.parse().expect("a loss model");
            let count = never_recovered(&code(text), &loss, first_seed + seed as u64);
            done.push((cell, seed, count));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            for (cell, seed, count) in thread.join().expect("a worker") {
                lost[cell][seed] = count;
            }
        }
    });
    lost
}

fn never_recovered(code: &Code, loss: &LossModel, seed: u64) -> u64 {
    let mut sender = Sender::new(code);
    let mut receiver = Receiver::new(DecoderConfig::window_for(code.span()));
    let mut process = LossProcess::new(loss, seed, 0);
    let mut wire = Vec::new();
    let mut delivered = 0;
    // What is sent behind the packets that count lets their repairs come, and those of their
    // groups' other members.
    for _ in 0..PACKETS + 4 * code.span() {
        sender.push(0, &mut wire);
        sender.take(&mut wire);
        let arrives = wire.drain(..).filter(|_| !process.lost());
        receiver.burst(arrives, |seq, frame, how| {
            assert!(how == How::Arrived || frame == &*frame_of(seq));
            delivered += u64::from(seq < PACKETS);
            true
        });
    }
    PACKETS - delivered
}
