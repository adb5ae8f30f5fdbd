//! The corpus, which holds every input that ever failed, and a bounded run of new inputs from a
//! seed: the same on every machine. `FUZZ_INPUTS=20` makes it twenty times as long, `FUZZ_SEED=7`
//! another one.

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use maelstrom_fuzz::mutate::Random;
use maelstrom_fuzz::{TARGETS, Target, corpus};

/// libFuzzer's default.
const LONGEST: usize = 4096;

fn run(name: &str) {
    // Those that need libdpdk are not always there.
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else { return };
    let mut paths: Vec<PathBuf> =
        fs::read_dir(corpus(target)).expect("a corpus").map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} has no corpus");
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, input) in paths.iter().zip(&inputs) {
        let passed = catch_unwind(|| (target.check)(input)).is_ok();
        assert!(passed, "{} fails", path.display());
    }
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let mut random = Random(number("FUZZ_SEED").unwrap_or(1));
    for _ in 0..target.inputs * number("FUZZ_INPUTS").unwrap_or(1) {
        let input = random.input(&inputs, LONGEST);
        if catch_unwind(|| (target.check)(&input)).is_err() {
            panic!("{} fails", save(target, &input).display());
        }
    }
}

/// Where the next run finds it first.
fn save(target: &Target, input: &[u8]) -> PathBuf {
    let name = input.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let path = corpus(target).join(format!("crash-{name:016x}"));
    fs::write(&path, input).expect("the failing input can be saved");
    path
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert!(TARGETS.iter().all(|target| run.contains(&target.name)));
        }
    };
}

targets! { wire report named segment code loss units capture config device stream hostile }
