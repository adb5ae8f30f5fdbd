//! Safe owners over DPDK: the environment, packet memory, ports and their queues.
//!
//! * What this room does: turns DPDK's handles into values that are freed exactly once, in the
//!   right order, and its error numbers into errors that name the command that mends them.
//! * Who feeds it: the configuration (which devices, how much memory) and the drivers.
//! * Whom it feeds: the gateway's rooms and the laboratory, which need no `unsafe`.
//! * Which thread runs it: control threads open and close; a worker owns its [`RxQueue`] and
//!   [`TxQueue`] and polls them, after [`Eal::register_thread`].
//! * What it must not do: look into frames, decide what to drop, block or log per packet.
//!
//! Who keeps whom alive: a queue keeps its [`Port`], a port its [`Mempool`] and its [`Eal`], a
//! pool its [`Eal`]. An [`Mbuf`] keeps nothing: a pool whose packets are still out is not freed
//! until they are back (see [`mempool`]).

// DPDK is C: this is the one room, besides the bindings, where it is called.
#![allow(unsafe_code)]

pub mod device;
pub mod eal;
mod eal_log;
mod eal_start;
pub mod error;
pub mod kept;
pub mod mbuf;
pub mod mempool;
pub mod port;
pub mod port_setup;
mod preflight;
pub mod queue;
pub mod ring;
#[cfg(test)]
mod tests;

pub use device::Device;
pub use eal::{Eal, EalConfig, RegisteredThread, tsc_hz};
pub use error::{DeviceError, EalError, PoolError, PortError};
pub use kept::Kept;
pub use mbuf::{BURST, Burst, Mbuf};
pub use mempool::Mempool;
pub use port::{Port, PortStats};
pub use port_setup::PortConfig;
pub use queue::{DescriptorStatus, RxQueue, TxQueue};
pub use ring::joined;

/// One EAL for all unit tests of the process: a second one is refused by DPDK.
#[cfg(test)]
pub(crate) fn test_eal() -> &'static Eal {
    static EAL: std::sync::OnceLock<Eal> = std::sync::OnceLock::new();
    EAL.get_or_init(|| {
        let config = EalConfig { hugepages: false, memory_mib: 128, ..EalConfig::default() };
        Eal::init(&config).expect("an EAL without hugepages")
    })
}
