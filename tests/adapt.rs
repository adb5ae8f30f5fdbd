//! Adaptation over a link that changes: 0, 1 % in bursts, 5 %, 0.1 %, half a minute each, with the real
//! encoder, decoder, measurement and planner in virtual time. A seed that fails is in the message, and
//! `cargo run --release --no-default-features --example adapt` shows its course.

use maelstrom::lab::adaptive::{Trial, run};
use maelstrom::safety::Loss;

/// The residual target is reached within so many seconds of each change.
const REACHED: f64 = 5.0;
/// How much dearer than the best fixed code, and how much where that is the floor code.
const DEARER: f64 = 1.5;
const ABOVE_FLOOR: f64 = 0.05;

#[test]
fn auto_follows_the_link_and_costs_little_more_than_the_best_fixed_codes() {
    let standard = Trial::standard(0);
    let phases: Vec<(f64, Loss)> = standard
        .phases
        .iter()
        .scan(0, |start, (model, seconds)| {
            let begin = *start as f64;
            *start += seconds;
            model.in_general().map(|loss| (begin, loss))
        })
        .collect();
    let best: Vec<_> = phases.iter().map(|&(_, loss)| standard.best(loss)).collect();
    for (number, best) in best.iter().enumerate() {
        assert!(best.meets, "{best:?}");
        let fixed = run(&standard.fixed(number, best.code.clone()));
        let [sources, repairs, missing] = fixed.between(0.0, 30.0);
        assert!(missing as f64 <= standard.policy.residual * sources as f64, "{best:?}: {missing}");
        let overhead = repairs as f64 / sources as f64;
        assert!((overhead / best.code.overhead() - 1.0).abs() < 0.01, "{best:?}: {overhead}");
    }
    for seed in 1..=3 {
        let course = run(&Trial::standard(seed));
        for (&(begin, loss), best) in phases.iter().zip(&best) {
            let [sources, _, missing] = course.between(begin + REACHED, begin + 30.0);
            let residual = missing as f64 / sources as f64;
            assert!(residual <= standard.policy.residual, "seed {seed}, {loss:?}: {residual:.1e}");
            let is_floor = best.code == standard.policy.floor;
            let best = best.code.overhead();
            let most = if is_floor { best + ABOVE_FLOOR } else { DEARER * best };
            for second in 5..30 {
                let at = begin + f64::from(second);
                let [sources, repairs, _] = course.between(at, at + 1.0);
                let overhead = repairs as f64 / sources as f64;
                assert!(overhead <= most, "seed {seed}, {loss:?}, at {at} s: {overhead:.3}");
            }
        }
        assert!(course.log.len() <= 12, "seed {seed}: {:?}", course.log);
        // Both ends count alike: what reports say is what was.
        let sent: u64 = course.rows.iter().map(|row| row.sources).sum();
        let missing: u64 = course.rows.iter().map(|row| row.missing).sum();
        let after = course.report.after;
        assert!(after.judged == after.next && sent - after.next < 20_000);
        assert!(after.missing.abs_diff(missing) <= missing / 100 + 5, "seed {seed}");
    }
}
