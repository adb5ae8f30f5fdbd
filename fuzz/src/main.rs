//! The long run: libFuzzer on the target that `FUZZ_TARGET` names. See `make fuzz`.
#![no_main]

use std::sync::OnceLock;

use maelstrom_fuzz::{TARGETS, Target};

fn target() -> &'static Target {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    TARGETS.iter().find(|target| target.name == name).expect("a target that exists")
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    (TARGET.get_or_init(target).check)(bytes);
});
