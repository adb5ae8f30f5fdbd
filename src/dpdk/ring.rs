//! Two ports joined back to back in memory.
//!
//! * What this room does: makes a pair of real DPDK ports of which one receives what the other
//!   sends, without any wire.
//! * Who feeds it: tests, benchmarks and the laboratory.
//! * Whom it feeds: whoever expects a [`Port`].
//! * Which thread runs it: control threads make it; each queue is polled by one worker.
//! * What it must not do: copy. The receiver gets the very mbuf, which the sender may have kept.

use super::{
    eal::{Eal, c_string},
    eal_log,
    error::{self, PortError},
    mbuf::{BURST, Mbuf},
    mempool::Mempool,
    port::{Port, name_of},
    port_setup::PortConfig,
};
use dpdk_sys::rte_ring;
use std::{
    ptr::{NonNull, null_mut},
    sync::Arc,
};

/// DPDK makes of it a ring's name ("RG_…") and a port's ("net_ring_…"), of 32 bytes at most.
const LONGEST_NAME: usize = 16;

/// The rings between two ports, freed after both are closed.
pub(super) struct Rings {
    /// First half from the first port to the second, second half the other way.
    rings: Vec<NonNull<rte_ring>>,
    /// Rings live in EAL's memory.
    _eal: Eal,
}

// SAFETY: rings are made for use by two threads; here they are only stored and, at last, freed.
unsafe impl Send for Rings {}
// SAFETY: as above.
unsafe impl Sync for Rings {}

/// Two ports with `queues` queues in each direction: what one sends on a queue, the other
/// receives on the queue of the same number. Each direction and queue holds at least `depth`
/// packets; what does not fit stays with the sender.
pub fn joined(
    eal: &Eal,
    name: &str,
    depth: u32,
    pool: &Mempool,
    queues: u16,
) -> Result<(Port, Port), PortError> {
    let bad = |expected| PortError::Joined { name: name.to_owned(), expected };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(allowed) {
        return Err(bad("expected a name of 1 to 16 letters, digits, - or _"));
    }
    // 16 is RTE_PMD_RING_MAX_RX_RINGS, the driver's limit.
    if !(1..=16).contains(&queues) {
        return Err(bad("expected 1 to 16 queues"));
    }
    if !(1..=1 << 24).contains(&depth) {
        return Err(bad("expected a depth of 1 to 16,777,216 packets"));
    }
    eal_log::forget_errors();
    let rings = Arc::new(Rings::new(eal, name, depth, queues)?);
    let (there, back) = rings.rings.split_at(usize::from(queues));
    let config = PortConfig { rx_queues: queues, tx_queues: queues, ..PortConfig::default() };
    let open = |side: char, receive: &[NonNull<rte_ring>], send: &[NonNull<rte_ring>]| {
        let control = eal.state();
        let id = from_rings(&format!("{name}-{side}"), receive, send)?;
        drop(control);
        Port::open_rings(eal, id, &name_of(id), &config, pool, rings.clone())
    };
    let first = open('a', back, there)?;
    let second = open('b', there, back)?;
    Ok((first, second))
}

impl Rings {
    fn new(eal: &Eal, name: &str, depth: u32, queues: u16) -> Result<Rings, PortError> {
        let mut rings = Rings { rings: Vec::new(), _eal: eal.clone() };
        // A ring of 2^n slots holds one packet less.
        let slots = (depth + 1).next_power_of_two();
        for number in 0..2 * queues {
            let ring_name = c_string(&format!("{name}-{number}"));
            // One sender and one receiver: a queue has one owner.
            let flags = dpdk_sys::SHIM_RING_SP_SC;
            // SAFETY: EAL is running; the name is NUL-terminated and copied.
            let ring = unsafe { dpdk_sys::rte_ring_create(ring_name.as_ptr(), slots, 0, flags) };
            let ring = NonNull::new(ring)
                .ok_or_else(|| PortError::setup(name, "rte_ring_create", -error::errno()))?;
            rings.rings.push(ring);
        }
        Ok(rings)
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        for ring in &self.rings {
            let mut left = [null_mut(); BURST];
            loop {
                // SAFETY: both ports are closed (they hold this), so the ring is ours alone;
                // `left` has room for BURST pointers.
                let count = unsafe {
                    dpdk_sys::shim_ring_drain(ring.as_ptr(), left.as_mut_ptr(), BURST as u32)
                };
                if count == 0 {
                    break;
                }
                for mbuf in left.iter().take(count as usize).copied().filter_map(NonNull::new) {
                    // SAFETY: a packet in a ring has no owner but the ring, which gave it up.
                    drop(unsafe { Mbuf::from_raw(mbuf) });
                }
            }
            // SAFETY: empty, and not used after this.
            unsafe { dpdk_sys::rte_ring_free(ring.as_ptr()) };
        }
    }
}

fn from_rings(
    name: &str,
    receive: &[NonNull<rte_ring>],
    send: &[NonNull<rte_ring>],
) -> Result<u16, PortError> {
    let c_name = c_string(name);
    // SAFETY: arrays of as many live rings as said, copied by the driver (NonNull is a
    // transparent pointer); the rings outlive the port (`Rings`).
    let result = unsafe {
        dpdk_sys::rte_eth_from_rings(
            c_name.as_ptr(),
            receive.as_ptr().cast(),
            receive.len() as u32,
            send.as_ptr().cast(),
            send.len() as u32,
            0,
        )
    };
    // rte_errno may be set although all went well: only the result counts.
    u16::try_from(result).map_err(|_| PortError::setup(name, "rte_eth_from_rings", -error::errno()))
}
