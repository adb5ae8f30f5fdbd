//! How a port is set up.
//!
//! * What this room does: turns a [`PortConfig`] into the calls that configure and start a port,
//!   within the limits that its driver has.
//! * Who feeds it: the configuration, through [`Port::open`](super::Port::open).
//! * Whom it feeds: `port`, with a started port.
//! * Which thread runs it: control threads.
//! * What it must not do: enable offloads. Above all not the one that frees mbufs without looking
//!   at their reference counts (MBUF_FAST_FREE): our packets are shared.

use super::{
    eal_log,
    error::{self, PortError},
    mempool::{FRAMING, HEADROOM, Mempool},
    port::Inner,
};
use std::sync::atomic::AtomicBool;

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

/// Drivers whose transmit descriptor status counts packets that are outstanding, so that it is never
/// *done* too soon. Those of Intel's NICs round to the next descriptor that the NIC reports on, and may
/// answer for a packet just taken with what a lap ago was. Read in the sources of DPDK 22.11 and 24.11
/// (`*_tx_descriptor_status`); what is not here was not read, and counts as unable to tell.
const TELLING_DRIVERS: [&[u8]; 3] = [b"mlx5_pci", b"net_bnxt", b"net_sfc_efx"];

fn tells_when_sent(info: &dpdk_sys::rte_eth_dev_info) -> bool {
    if info.driver_name.is_null() {
        return false;
    }
    // SAFETY: a driver's name is a C string that lives as long as the driver.
    let name = unsafe { std::ffi::CStr::from_ptr(info.driver_name) };
    TELLING_DRIVERS.contains(&name.to_bytes())
}

impl Inner {
    /// Configures and starts the port.
    pub(super) fn start(&mut self, config: &PortConfig, pool: &Mempool) -> Result<(), PortError> {
        eal_log::forget_errors();
        // Before the first queue is set up with it.
        self.pool = Some(pool.clone());
        let id = self.id;
        let info = self.info()?;
        // Without RSS, a NIC would put everything into the first queue.
        let spreads =
            self.is_virtual || info.flow_type_rss_offloads & dpdk_sys::SHIM_RSS_FLOWS != 0;
        let most = if spreads { info.max_rx_queues } else { 1 };
        let rx_queues = self.clamped("receive", config.rx_queues, most);
        let tx_queues = self.clamped("transmit", config.tx_queues, info.max_tx_queues);
        self.tells_when_sent = tells_when_sent(&info);
        self.check_mtu(config, &info, pool)?;
        let mtu = self.settable_mtu(config, &info);
        let setup = port_conf(mtu, &info, rx_queues);
        // SAFETY: the port is ours and stopped; `setup` is read during the call.
        let result = unsafe { dpdk_sys::rte_eth_dev_configure(id, rx_queues, tx_queues, &setup) };
        self.check("rte_eth_dev_configure", result)?;
        self.set_mtu(mtu)?;
        self.set_up_queues(config, &info, pool, [rx_queues, tx_queues])?;
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
        Ok(())
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
        info: &dpdk_sys::rte_eth_dev_info,
        pool: &Mempool,
        [rx_queues, tx_queues]: [u16; 2],
    ) -> Result<(), PortError> {
        let id = self.id;
        let or_default = |wanted: u16, default: u16| match (wanted, default) {
            // RTE_ETH_DEV_FALLBACK_RX_RINGSIZE, where the driver has no opinion either.
            (0, 0) => 512,
            (0, default) => default,
            _ => wanted,
        };
        let mut rx = or_default(config.rx_descriptors, info.default_rxportconf.ring_size);
        let mut tx = or_default(config.tx_descriptors, info.default_txportconf.ring_size);
        // SAFETY: the port is ours; both numbers are read and written.
        let result = unsafe { dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &mut rx, &mut tx) };
        self.check("rte_eth_dev_adjust_nb_rx_tx_desc", result)?;
        self.tx_descriptors = tx;
        // SAFETY: reads a number. Virtual ports are on no node: -1, for which node 0 serves.
        let node = unsafe { dpdk_sys::rte_eth_dev_socket_id(id) }.max(0) as u32;
        let default = std::ptr::null();
        for queue in 0..rx_queues {
            // SAFETY: the port is ours and stopped; no setup means the driver's default; the
            // pool lives until the port is closed (`pool`).
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

    fn check_mtu(
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
        let needed = u32::from(mtu) + u32::from(FRAMING);
        let room = u32::from(pool.data_room() - HEADROOM);
        if needed > room {
            let data_room = needed + u32::from(HEADROOM);
            return Err(PortError::MbufTooSmall { port, mtu, needed, room, data_room });
        }
        Ok(())
    }

    /// The MTU to ask the driver for. Some virtual drivers (memif) name the length of a standard
    /// frame as their limit, but pass any frame that fits their buffers.
    fn settable_mtu(&self, config: &PortConfig, info: &dpdk_sys::rte_eth_dev_info) -> Option<u16> {
        // What ethdev adds to an MTU for a driver that does not say: header and checksum.
        const ETHERNET: u32 = 14 + 4;
        let mtu = config.mtu?;
        if self.is_virtual && u32::from(mtu) + ETHERNET > info.max_rx_pktlen {
            log::info!("port {}: the driver can't be told of an MTU of {mtu}", self.name);
            return None;
        }
        Some(mtu)
    }

    fn set_mtu(&self, mtu: Option<u16>) -> Result<(), PortError> {
        let Some(mtu) = mtu else { return Ok(()) };
        // SAFETY: the port is ours.
        match unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.id, mtu) } {
            // Most virtual drivers have no such call, and pass any frame that fits an mbuf.
            ENOTSUP => log::info!("port {}: the driver has no MTU to set", self.name),
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
}

const ENOTSUP: i32 = -95;

/// What the port is configured with: no offloads, and flows spread over the receive queues.
fn port_conf(
    mtu: Option<u16>,
    info: &dpdk_sys::rte_eth_dev_info,
    rx_queues: u16,
) -> dpdk_sys::rte_eth_conf {
    // SAFETY: plain numbers and pointers, for which zero is DPDK's default.
    let mut conf: dpdk_sys::rte_eth_conf = unsafe { std::mem::zeroed() };
    conf.rxmode.mtu = mtu.filter(|mtu| *mtu <= info.max_mtu).map_or(0, u32::from);
    let flows = info.flow_type_rss_offloads & dpdk_sys::SHIM_RSS_FLOWS;
    if rx_queues > 1 && flows != 0 {
        conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = flows;
    }
    conf
}
