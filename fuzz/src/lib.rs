//! What must hold of any input, whoever made it up.
//!
//! * **Does:** says for each format that comes from outside, and for the code, what any bytes may
//!   do: a [`Target`] panics if they do more.
//! * **Fed by:** `tests/replay.rs` (the corpus, then a bounded run from a seed: part of `make
//!   test`), and libFuzzer in `main.rs` (`make fuzz`), which mutates what reached new code.
//! * **Feeds:** nobody. A failing input is put into `corpus/`, and replayed first ever after.
//! * **Runs on:** the stable toolchain.
//! * **Must not:** depend on a clock, on chance or on files: an input fails always or never.

mod capture;
mod hostile;
mod input;
pub mod mutate;
mod named;
mod report;
mod segment;
mod stream;
mod texts;
mod wire;

// The sender, the definition of the code and the slow decoder are those of `tests/code`.
#[allow(dead_code, reason = "tests/code uses the rest")]
#[path = "../../tests/code/channel.rs"]
mod channel;
#[allow(dead_code, reason = "tests/code uses the rest")]
#[path = "../../tests/code/naive.rs"]
mod naive;
#[path = "../../tests/code/oracle.rs"]
mod oracle;

use std::path::{Path, PathBuf};

/// Something to be fuzzed.
pub struct Target {
    /// Its name, and its folder's below `corpus/`.
    pub name: &'static str,
    /// Panics if the input shows something wrong.
    pub check: fn(&[u8]),
    /// How many inputs the bounded run makes: about two seconds of them.
    pub inputs: u64,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "wire", check: wire::check, inputs: 400_000 },
    Target { name: "report", check: report::check, inputs: 300_000 },
    Target { name: "named", check: named::check, inputs: 200_000 },
    Target { name: "segment", check: segment::check, inputs: 400_000 },
    Target { name: "code", check: texts::code, inputs: 300_000 },
    Target { name: "loss", check: texts::loss, inputs: 200_000 },
    Target { name: "units", check: texts::units, inputs: 200_000 },
    Target { name: "capture", check: capture::check, inputs: 200_000 },
    #[cfg(feature = "dpdk")]
    Target { name: "config", check: texts::config, inputs: 20_000 },
    #[cfg(feature = "dpdk")]
    Target { name: "device", check: texts::device, inputs: 200_000 },
    Target { name: "stream", check: stream::check, inputs: 10_000 },
    Target { name: "hostile", check: hostile::check, inputs: 20_000 },
];

/// Where a target's inputs are.
pub fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}
