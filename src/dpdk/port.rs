//! A network port that DPDK drives.
//!
//! * What this room does: configures, starts, stops and closes ports, and reads their state.
//! * Who feeds it: the configuration.
//! * Whom it feeds: workers, with one [`RxQueue`] and [`TxQueue`] each; control, with statistics.
//! * Which thread runs it: control threads.
//! * What it must not do: touch packets, or enable the offload that frees mbufs without looking
//!   at their reference counts (MBUF_FAST_FREE): our packets are shared.

use super::{
    device::Device,
    eal::Eal,
    error::{self, PortError},
    mempool::{HEADROOM, Mempool},
    queue::{RxQueue, TxQueue},
    ring::Rings,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// How a port is set up. Counts are clamped to what the driver takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConfig {
    /// Receive queues, between which the driver spreads flows by hash.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of each receive queue; 0 is the driver's own choice.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue; 0 is the driver's own choice.
    pub tx_descriptors: u16,
    /// Largest payload of a frame in bytes; `None` leaves it as it is.
    pub mtu: Option<u16>,
    /// Receive frames for other stations too, as a bump in the wire must.
    pub promiscuous: bool,
}

impl Default for PortConfig {
    fn default() -> PortConfig {
        PortConfig {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: None,
            promiscuous: true,
        }
    }
}

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
    id: u16,
    name: String,
    is_virtual: bool,
    started: bool,
    tx_descriptors: u16,
    rx_taken: Vec<AtomicBool>,
    tx_taken: Vec<AtomicBool>,
    /// What the driver fills on reception.
    _pool: Option<Mempool>,
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
        Inner::claim(eal, id, device.name(), is_virtual, None)?.start(config, pool)
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
        Inner::claim(eal, id, name, true, Some(rings))?.start(config, pool)
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
        // SAFETY: the port is open.
        unsafe { dpdk_sys::shim_link_up(self.0.id) == 1 }
    }

    /// The driver's counters; zeros where it has none. May cost a register read each.
    pub fn stats(&self) -> PortStats {
        // SAFETY: all zeros are counters.
        let mut stats: dpdk_sys::rte_eth_stats = unsafe { std::mem::zeroed() };
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
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn tx_descriptors(&self) -> u16 {
        self.tx_descriptors
    }

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
            rx_taken: Vec::new(),
            tx_taken: Vec::new(),
            _pool: None,
            _rings: rings,
            eal: eal.clone(),
        })
    }

    fn start(mut self, config: &PortConfig, pool: &Mempool) -> Result<Port, PortError> {
        // Before the first queue is set up with it.
        self._pool = Some(pool.clone());
        let id = self.id;
        let info = self.info()?;
        let rx_queues = self.clamped("receive", config.rx_queues, info.max_rx_queues);
        let tx_queues = self.clamped("transmit", config.tx_queues, info.max_tx_queues);
        let setup = port_conf(config, &info, rx_queues);
        // SAFETY: the port is ours and stopped; `setup` is read during the call.
        let result = unsafe { dpdk_sys::rte_eth_dev_configure(id, rx_queues, tx_queues, &setup) };
        self.check("rte_eth_dev_configure", result)?;
        self.set_mtu(config, &info, pool)?;
        self.set_up_queues(config, pool, rx_queues, tx_queues)?;
        // SAFETY: the port is ours, configured, and all its queues are set up.
        self.check("rte_eth_dev_start", unsafe { dpdk_sys::rte_eth_dev_start(id) })?;
        self.started = true;
        if config.promiscuous {
            // SAFETY: the port is ours.
            let result = unsafe { dpdk_sys::rte_eth_promiscuous_enable(id) };
            if result != 0 {
                // virtio_user answers ENOTSUP, and receives everything anyhow.
                log::info!("port {}: promiscuous mode: {}", self.name, error::text(-result));
            }
        }
        self.rx_taken = (0..rx_queues).map(|_| AtomicBool::new(false)).collect();
        self.tx_taken = (0..tx_queues).map(|_| AtomicBool::new(false)).collect();
        Ok(Port(Arc::new(self)))
    }

    fn info(&self) -> Result<dpdk_sys::rte_eth_dev_info, PortError> {
        // SAFETY: plain numbers and pointers, for which zero is a value.
        let mut info: dpdk_sys::rte_eth_dev_info = unsafe { std::mem::zeroed() };
        // SAFETY: the port is ours; `info` is written.
        let result = unsafe { dpdk_sys::rte_eth_dev_info_get(self.id, &mut info) };
        self.check("rte_eth_dev_info_get", result).map(|()| info)
    }

    fn set_up_queues(
        &mut self,
        config: &PortConfig,
        pool: &Mempool,
        rx_queues: u16,
        tx_queues: u16,
    ) -> Result<(), PortError> {
        let id = self.id;
        let (mut rx, mut tx) = (config.rx_descriptors, config.tx_descriptors);
        // SAFETY: the port is ours; both numbers are read and written.
        let result = unsafe { dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &mut rx, &mut tx) };
        self.check("rte_eth_dev_adjust_nb_rx_tx_desc", result)?;
        self.tx_descriptors = tx;
        // SAFETY: reads a number. Virtual ports are on no node: -1, for which node 0 serves.
        let node = unsafe { dpdk_sys::rte_eth_dev_socket_id(id) }.max(0) as u32;
        let default = std::ptr::null();
        for queue in 0..rx_queues {
            // SAFETY: the port is ours and stopped; no setup means the driver's default; the
            // pool lives until the port is closed (`_pool`).
            let result = unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(id, queue, rx, node, default, pool.as_ptr())
            };
            self.check("rte_eth_rx_queue_setup", result)?;
        }
        for queue in 0..tx_queues {
            // SAFETY: as above.
            let result =
                unsafe { dpdk_sys::rte_eth_tx_queue_setup(id, queue, tx, node, std::ptr::null()) };
            self.check("rte_eth_tx_queue_setup", result)?;
        }
        Ok(())
    }

    fn set_mtu(
        &self,
        config: &PortConfig,
        info: &dpdk_sys::rte_eth_dev_info,
        pool: &Mempool,
    ) -> Result<(), PortError> {
        let Some(mtu) = config.mtu else { return Ok(()) };
        let port = self.name.clone();
        let most = if info.max_mtu == 0 { u16::MAX } else { info.max_mtu };
        if mtu < info.min_mtu || mtu > most {
            return Err(PortError::Mtu { port, got: mtu, least: info.min_mtu, most });
        }
        // Ethernet header, two VLAN tags and the checksum that some hardware leaves.
        const FRAMING: u32 = 14 + 2 * 4 + 4;
        let needed = u32::from(mtu) + FRAMING;
        let room = u32::from(pool.data_room() - HEADROOM);
        if needed > room {
            let data_room = needed + u32::from(HEADROOM);
            return Err(PortError::MbufTooSmall { port, mtu, needed, room, data_room });
        }
        // SAFETY: the port is ours.
        match unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.id, mtu) } {
            // Most virtual drivers have no such call, and pass any frame that fits an mbuf.
            ENOTSUP => log::info!("port {port}: the driver has no MTU to set"),
            result => self.check("rte_eth_dev_set_mtu", result)?,
        }
        Ok(())
    }

    fn clamped(&self, side: &str, wanted: u16, most: u16) -> u16 {
        let got = wanted.clamp(1, most.max(1));
        if got != wanted {
            log::warn!("port {}: {got} {side} queues instead of {wanted}", self.name);
        }
        got
    }

    fn check(&self, step: &'static str, result: i32) -> Result<(), PortError> {
        if result < 0 { Err(PortError::setup(&self.name, step, result)) } else { Ok(()) }
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

const ENOTSUP: i32 = -95;

/// What the port is configured with: no offloads, and flows spread over the receive queues.
fn port_conf(
    config: &PortConfig,
    info: &dpdk_sys::rte_eth_dev_info,
    rx_queues: u16,
) -> dpdk_sys::rte_eth_conf {
    // SAFETY: plain numbers and pointers, for which zero is DPDK's default.
    let mut conf: dpdk_sys::rte_eth_conf = unsafe { std::mem::zeroed() };
    conf.rxmode.mtu = config.mtu.filter(|mtu| *mtu <= info.max_mtu).map_or(0, u32::from);
    let flows = info.flow_type_rss_offloads & dpdk_sys::SHIM_RSS_FLOWS;
    if rx_queues > 1 && flows != 0 {
        conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = flows;
    }
    conf
}

impl Drop for Inner {
    fn drop(&mut self) {
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
