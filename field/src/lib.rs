//! The real-time laboratory: kernel TCP, real programs and real files across a pair of gateways.
//!
//! * **Does:** makes two hosts and a WAN out of network namespaces ([`net`]), runs `maelstrom` between them
//!   ([`pair`]), lets programs talk across, and notes what came of it.
//! * **Fed by:** the built `maelstrom` and Debian's iproute2, ethtool, iperf3 and kcptun.
//! * **Feeds:** `docs/evaluation/` and `target/lab/quick.json`.
//! * **Runs on:** its own process, as root; whoever reads a figure wants little else to run beside it.
//! * **Must not:** leave anything behind, whatever ends it: no namespace, no process, no file.

pub mod cells;
pub mod chart;
pub mod disaster;
pub mod interrupt;
pub mod kcptun;
pub mod latency;
pub mod mirror;
pub mod net;
pub mod pair;
pub mod plan;
pub mod plots;
pub mod process;
pub mod quick;
pub mod reordering;
pub mod say;
pub mod setup;
pub mod shell;
pub mod store;
pub mod table;
pub mod talk;
pub mod tcp;
pub mod throughput;
pub mod traffic;

pub use error::{Error, Result};
/// What goes wrong, said in one line, as the store that is measured here has it.
pub use mirror_store::trouble as error;
