//! Sites die in virtual time: a few of the runs of `examples/disaster`, whose head says what happens in one.
//!
//! A promise that is broken says with which seed: `cargo run --release --example disaster 1 SEED /tmp/rows` shows
//! that run alone, for all losses.
#![cfg(feature = "dpdk")]

#[path = "../examples/disaster/cell.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod cell;
#[path = "../examples/disaster/run.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod run;
#[path = "../examples/disaster/scenes.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod scenes;
#[path = "../examples/disaster/site.rs"]
mod site;
#[path = "../examples/disaster/tcp.rs"]
mod tcp;

use cell::Cell;
use run::{POLICIES, Policy};
use site::Pools;

/// What `make test` runs of each loss.
const RUNS: u64 = 12;
const FIRST: u64 = 80;

#[test]
fn what_clients_were_told_is_at_the_mirror_after_the_site_has_died() {
    let pools = Pools::new();
    let mut lost_by_local = 0;
    for (loss, floor) in scenes::LOSSES {
        let scene = scenes::scene(scenes::CODE, loss, floor);
        let mut cell = Cell::of(&pools, &scene, FIRST, RUNS);
        let rows = cell.rows(false);
        let broken: Vec<String> =
            rows.iter().filter_map(|row| cell::broken(row).unwrap()).collect();
        assert!(broken.is_empty(), "{loss}: {broken:?}");
        assert_eq!(cell.lost > 0, loss != "none", "{loss}: {} packets lost", cell.lost);
        assert!(cell.rebuilt * 10 >= cell.lost, "{loss}: {} of {}", cell.rebuilt, cell.lost);
        for (tally, policy) in cell.tallies.iter().zip(POLICIES) {
            assert!(tally.acknowledged > 30 * RUNS, "{loss}, {policy:?}: {}", tally.acknowledged);
            if policy == Policy::Local {
                lost_by_local += tally.missing;
            }
        }
    }
    // Or else nothing was shown.
    assert!(lost_by_local > 0, "no local commit was ever missing");
    // A seed replays its run.
    let (loss, floor) = scenes::LOSSES[6];
    let scene = scenes::scene(scenes::CODE, loss, floor);
    let [a, b] = [(); 2].map(|()| run::run(&pools, &scene, FIRST));
    let figures = |it: &run::Outcome| (it.lost, it.rebuilt, it.resent);
    assert_eq!(figures(&a), figures(&b));
    let told = |it: &run::Outcome| it.told.each_ref().map(|told| told.took.clone());
    assert_eq!(told(&a), told(&b));
}
