//! The laboratory: an emulated WAN, captures in and out, virtual time.
//!
//! * **Does:** emulates a WAN, for `maelstrom wan` in real time and for `maelstrom lab` in virtual
//!   time; plays a capture through a pair of gateways and measures what comes out.
//! * **Fed by:** the command line, capture files, the gateways' WAN ports.
//! * **Feeds:** capture files, reports.
//! * **Runs on:** one thread.
//! * **Must not:** let the wall clock or chance into a run: the seed decides everything.

pub mod adaptive;
#[cfg(feature = "dpdk")]
pub mod arrivals;
pub mod capture;
pub mod compare;
mod dice;
pub mod link;
pub mod loss;
#[cfg(feature = "dpdk")]
pub mod measure;
#[cfg(feature = "dpdk")]
pub mod report;
#[cfg(feature = "dpdk")]
pub mod simulate;
#[cfg(feature = "dpdk")]
mod told;
#[cfg(feature = "dpdk")]
pub mod wan;
