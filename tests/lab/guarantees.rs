//! What no seed may break.

use crate::bench::Bench;
use crate::common::{distinct, traffic};

const CODE: &str = "--code 20:97,101,103+g1";
const FRAMES: usize = 50_000;

/// Each of the seeds 1 to 20 with `flags`, on two captures.
fn each_seed(flags: &str, check: impl Fn(&crate::bench::Run, &str)) {
    for capture in 0..2 {
        let bench = Bench::new(&traffic(1 + capture, FRAMES, false));
        for seed in 1 + 10 * capture..=10 + 10 * capture {
            let flags = format!("{CODE} {flags} --seed {seed}");
            let run = bench.run("run", &flags);
            run.adds_up(&flags);
            assert_eq!(run.count("lan_in"), FRAMES as u64, "{flags}");
            check(&run, &flags);
        }
    }
}

#[test]
fn independent_loss_is_recovered_whole() {
    each_seed("--loss iid:0.01", |run, flags| {
        // 500 give or take six standard deviations.
        assert!((360..640).contains(&run.count("source_lost")), "{flags}: {:#}", run.report);
        assert_eq!(run.count("recovered"), run.count("source_lost"), "{flags}: {:#}", run.report);
        assert_eq!(run.count("unrecovered"), 0, "{flags}: {:#}", run.report);
        assert_eq!(run.count("comparison/missing"), 0, "{flags}: {:#}", run.report);
    });
}

#[test]
fn a_burst_is_recovered_whole() {
    each_seed("--loss burst:20000,100", |run, flags| {
        let lost = run.count("source_lost") + run.count("repair_lost");
        assert_eq!(lost, 100, "{flags}: {:#}", run.report);
        assert_eq!(run.count("unrecovered"), 0, "{flags}: {:#}", run.report);
        assert_eq!(run.count("comparison/missing"), 0, "{flags}: {:#}", run.report);
    });
}

/// Of equal frames nobody can say which came late, so these are all different.
#[test]
fn frames_that_were_not_lost_keep_their_order() {
    let bench = Bench::new(&distinct(5, FRAMES));
    let run = bench.run("run", "--loss ge:0.02,5");
    run.adds_up("ge:0.02,5");
    assert_eq!(run.count("unrecovered"), 0, "{:#}", run.report);
    let late = run.count("comparison/reordered");
    assert!(0 < late && late <= run.count("recovered"), "{:#}", run.report);
}

/// Everything at once, and a WAN that is a little too slow.
#[test]
fn nothing_false_comes_out_of_the_worst_wan() {
    let wan = "--loss ge:0.01,20 --reorder 0.005,7 --duplicate 0.01 --corrupt 0.005 \
               --wan-rate 10.5Gbps --queue 60";
    each_seed(wan, |run, flags| {
        for name in ["reordered", "duplicated", "corrupted", "lost", "tail_dropped"] {
            assert!(run.count(&format!("wan/eastward/{name}")) > 0, "{flags}: no {name}");
        }
        assert!(run.count("duplicates_suppressed") > 0, "{flags}: {:#}", run.report);
        assert!(run.count("rejected/bad_check") > 0, "{flags}: {:#}", run.report);
        assert!(run.count("recovered") > 0, "{flags}: {:#}", run.report);
    });
}

#[test]
fn jumbo_frames_are_protected_too() {
    let bench = Bench::new(&traffic(3, FRAMES, true));
    for seed in 1..=3 {
        let flags = format!("{CODE} --wan-mtu 9100 --loss ge:0.01,20 --seed {seed}");
        let run = bench.run("run", &flags);
        run.adds_up(&flags);
        assert_eq!(run.count("unrecovered"), 0, "{flags}: {:#}", run.report);
        assert_eq!(run.count("comparison/missing"), 0, "{flags}: {:#}", run.report);
        assert_eq!((run.count("bypassed"), run.ended.stderr.as_str()), (0, ""), "{flags}");
    }
}

#[test]
fn without_integrity_what_is_damaged_is_delivered_and_said() {
    let bench = Bench::new(&traffic(4, 5000, false));
    let off = bench.try_run("off", "--integrity off --corrupt 0.01");
    assert_eq!(off.ended.status, Some(1), "{:?}", off.ended);
    assert!(off.ended.stderr.contains("integrity is off"), "{:?}", off.ended);
    assert!(off.count("mismatched") > 10, "{:#}", off.report);
    let clean = bench.run("clean", "--integrity off --loss iid:0.01");
    clean.adds_up("integrity off");
    assert_eq!(clean.count("unrecovered"), 0, "{:#}", clean.report);
    assert!(clean.count("recovered") > 10, "{:#}", clean.report);
    let on = bench.run("on", "--corrupt 0.01");
    on.adds_up("--corrupt 0.01");
    assert_eq!(on.count("unrecovered"), 0, "{:#}", on.report);
    let refused = on.count("rejected/bad_check");
    assert!(refused > 10, "{:#}", on.report);
}
