//! A network port that DPDK drives.
//!
//! * What this room does: opens and closes ports, hands out their queues, and reads their state.
//! * Who feeds it: the configuration.
//! * Whom it feeds: workers, with one [`RxQueue`] and [`TxQueue`] each; control, with statistics.
//! * Which thread runs it: control threads.
//! * What it must not do: touch packets.

use super::{
    device::Device,
    eal::Eal,
    eal_log,
    error::{self, PortError},
    mempool::Mempool,
    port_setup::PortConfig,
    queue::{RxQueue, TxQueue},
    ring::Rings,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Counters of a port since it was opened, as its driver counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "DPDK's own names, as in rte_eth_stats")]
pub struct PortStats {
    pub ipackets: u64,
    pub opackets: u64,
    pub ibytes: u64,
    pub obytes: u64,
    pub imissed: u64,
    pub ierrors: u64,
    pub oerrors: u64,
    pub rx_nombuf: u64,
}

/// A started port. It stops and closes when the `Port` and all its queues are gone.
pub struct Port(Arc<Inner>);

/// What the port and its queues share.
pub(super) struct Inner {
    pub id: u16,
    pub name: String,
    pub(super) is_virtual: bool,
    pub started: bool,
    pub tx_descriptors: u16,
    /// The driver says of each packet whether its descriptor is done, and never too soon.
    pub(super) tells_when_sent: bool,
    pub rx_taken: Vec<AtomicBool>,
    pub tx_taken: Vec<AtomicBool>,
    /// What the driver fills on reception.
    pub pool: Option<Mempool>,
    /// The rings of a joined pair, which the driver does not own.
    _rings: Option<Arc<Rings>>,
    eal: Eal,
}

impl Port {
    /// Opens a device: probes it if need be, configures and starts it.
    pub fn open(
        eal: &Eal,
        device: &Device,
        config: &PortConfig,
        pool: &Mempool,
    ) -> Result<Port, PortError> {
        let id = eal.probe(device)?;
        let is_virtual = matches!(device, Device::Vdev(_));
        Port::start(Inner::claim(eal, id, device.name(), is_virtual, None)?, config, pool)
    }

    /// As `open`, for a port that a driver made of rings.
    pub(super) fn open_rings(
        eal: &Eal,
        id: u16,
        name: &str,
        config: &PortConfig,
        pool: &Mempool,
        rings: Arc<Rings>,
    ) -> Result<Port, PortError> {
        Port::start(Inner::claim(eal, id, name, true, Some(rings))?, config, pool)
    }

    fn start(mut inner: Inner, config: &PortConfig, pool: &Mempool) -> Result<Port, PortError> {
        let eal = inner.eal.clone();
        let control = eal.state();
        let result = eal_log::captured(|| inner.start(config, pool));
        // Before `inner` may be dropped, which takes the lock to close the port.
        drop(control);
        result.map(|()| Port(Arc::new(inner)))
    }

    /// Hands out a receive queue, once.
    pub fn rx_queue(&self, index: u16) -> Result<RxQueue, PortError> {
        self.0.take(&self.0.rx_taken, "receive", index)?;
        Ok(RxQueue::new(self.0.clone(), self.0.id, index))
    }

    /// Hands out a transmit queue, once.
    pub fn tx_queue(&self, index: u16) -> Result<TxQueue, PortError> {
        self.0.take(&self.0.tx_taken, "transmit", index)?;
        Ok(TxQueue::new(self.0.clone(), self.0.id, index))
    }

    /// Receive queues, as clamped to what the driver takes.
    pub fn rx_queues(&self) -> u16 {
        self.0.rx_taken.len() as u16
    }

    /// Transmit queues, as clamped to what the driver takes.
    pub fn tx_queues(&self) -> u16 {
        self.0.tx_taken.len() as u16
    }

    /// DPDK's name of the port.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The port's own address, zeros if it has none.
    pub fn mac(&self) -> [u8; 6] {
        // SAFETY: all zeros is an address.
        let mut mac: dpdk_sys::rte_ether_addr = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open; `mac` is written.
        unsafe { dpdk_sys::rte_eth_macaddr_get(self.0.id, &mut mac) };
        mac.addr_bytes
    }

    /// Largest payload of a frame, in bytes.
    pub fn mtu(&self) -> u16 {
        let mut mtu = 0;
        // SAFETY: the port is open; `mtu` is written.
        unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.0.id, &mut mtu) };
        mtu
    }

    /// Whether the link is up. A driver that cannot tell says it is not.
    pub fn link_up(&self) -> bool {
        let _control = self.0.eal.state();
        // SAFETY: the port is open.
        unsafe { dpdk_sys::shim_link_up(self.0.id) == 1 }
    }

    /// How long the transmit rings take at worst, in nanoseconds, until a packet that they have taken
    /// is gone: all of them full of frames of `frame` bytes, at the link's present speed, or at 1 Gb/s while
    /// that is not known. 0 for a virtual port, which has no ring of its own: what it has taken, somebody else
    /// has.
    pub fn drain_ns(&self, frame: usize) -> u64 {
        // Preamble, FCS, gap.
        const FRAMING: u64 = 24;
        if self.0.is_virtual {
            return 0;
        }
        let _control = self.0.eal.state();
        // SAFETY: the port is open.
        let mbps = u64::from(unsafe { dpdk_sys::shim_link_speed(self.0.id) });
        let mbps = if mbps == 0 { 1000 } else { mbps };
        let packets = u64::from(self.0.tx_descriptors) * u64::from(self.tx_queues());
        packets * (frame as u64 + FRAMING) * 8 * 1000 / mbps
    }

    /// The driver's counters; zeros where it has none. May cost a register read each.
    pub fn stats(&self) -> PortStats {
        // SAFETY: all zeros are counters.
        let mut stats: dpdk_sys::rte_eth_stats = unsafe { std::mem::zeroed() };
        let _control = self.0.eal.state();
        // SAFETY: the port is open; `stats` is written.
        unsafe { dpdk_sys::rte_eth_stats_get(self.0.id, &mut stats) };
        PortStats {
            ipackets: stats.ipackets,
            opackets: stats.opackets,
            ibytes: stats.ibytes,
            obytes: stats.obytes,
            imissed: stats.imissed,
            ierrors: stats.ierrors,
            oerrors: stats.oerrors,
            rx_nombuf: stats.rx_nombuf,
        }
    }
}

impl Inner {
    /// Becomes the one owner of a port; from here on, dropping closes it.
    fn claim(
        eal: &Eal,
        id: u16,
        name: &str,
        is_virtual: bool,
        rings: Option<Arc<Rings>>,
    ) -> Result<Inner, PortError> {
        let mut state = eal.state();
        if state.open_ports.contains(&id) {
            return Err(PortError::AlreadyOpen { port: name.to_owned() });
        }
        state.open_ports.push(id);
        Ok(Inner {
            id,
            name: name.to_owned(),
            is_virtual,
            started: false,
            tx_descriptors: 0,
            tells_when_sent: false,
            rx_taken: Vec::new(),
            tx_taken: Vec::new(),
            pool: None,
            _rings: rings,
            eal: eal.clone(),
        })
    }

    fn take(&self, taken: &[AtomicBool], side: &'static str, queue: u16) -> Result<(), PortError> {
        let port = || self.name.clone();
        let have = taken.len() as u16;
        let taken = taken.get(usize::from(queue)).ok_or_else(|| PortError::NoSuchQueue {
            port: port(),
            side,
            got: queue,
            have,
        })?;
        // Relaxed: the flag guards no data of ours; what the queue was set up with was published
        // with the Arc.
        if taken.swap(true, Ordering::Relaxed) {
            return Err(PortError::QueueTaken { port: port(), side, queue });
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        eal_log::captured(|| self.close());
    }
}

impl Inner {
    fn close(&mut self) {
        // Held throughout: nobody may open the port's number again before it is free.
        let eal = self.eal.clone();
        let mut state = eal.state();
        if self.started {
            // SAFETY: no queue is left (each holds an Arc of this), so nobody polls.
            let result = unsafe { dpdk_sys::rte_eth_dev_stop(self.id) };
            if result != 0 {
                log::warn!("port {}: stop: {}", self.name, error::text(-result));
            }
        }
        // SAFETY: the port is ours and stopped; its number is not used after this.
        let result = unsafe { dpdk_sys::rte_eth_dev_close(self.id) };
        if result != 0 {
            log::warn!("port {}: close: {}", self.name, error::text(-result));
        }
        if self.is_virtual {
            eal.unplug(&self.name);
        }
        state.open_ports.retain(|id| *id != self.id);
    }
}

/// The name that DPDK gave a port.
pub(super) fn name_of(id: u16) -> String {
    let mut name = [0u8; dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize];
    // SAFETY: `name` has the room that the call is documented to need.
    unsafe { dpdk_sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr().cast()) };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..end]).into_owned()
}
