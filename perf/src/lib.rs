//! What is measured in small, and how measurements are shown.
//!
//! * **Does:** what the benchmarks in `benches/` share, and the pictures and tables of perf/RESULTS.md.
//! * **Fed by:** `cargo bench -p maelstrom-perf`, and the JSON of `maelstrom bench`.
//! * **Feeds:** perf/RESULTS.md and the pictures beside it, by way of `make bench`.
//! * **Runs on:** one thread.
//! * **Must not:** be part of the product: what it needs (criterion, ISA-L) nobody else does.

pub mod buffer;
pub mod chart;
pub mod figures;
#[cfg(feature = "isal")]
pub mod isal;
