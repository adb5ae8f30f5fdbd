//! EAL, DPDK's environment: memory, plugins, devices, lcore ids.
//!
//! * What this room does: starts EAL once, and registers worker threads. It stays up until the process is gone.
//! * Who feeds it: the configuration.
//! * Whom it feeds: pools and ports, each of which holds an [`Eal`].
//! * Which thread runs it: control threads; `register_thread` on each worker, once it is pinned.
//! * What it must not do: pin or name the caller, write to stderr, be called per packet.
//!
//! `rte_eal_init` pins its thread and makes it lcore 0, with caches of its own. It is therefore
//! run in a short-lived thread: the caller's affinity stays, and so every thread that owns a
//! mempool cache is one that [`Eal::register_thread`] has counted. Freeing pools relies on that.

use super::{
    device::Device,
    eal_log, eal_start,
    error::{self, DeviceError, EalError},
    mempool::DeadPool,
    preflight::Host,
};
use std::{
    ffi::{CStr, CString},
    marker::PhantomData,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// What EAL is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EalConfig {
    /// Packet memory from hugepages: faster, but root has to reserve them.
    pub hugepages: bool,
    /// Packet memory in MiB.
    pub memory_mib: u32,
    /// Probed at start. PCI devices must be named here, virtual ones may come with `Port::open`.
    pub devices: Vec<Device>,
    /// EAL's `--lcores`. `None` is one lcore on all CPUs that this process may use.
    pub lcores: Option<String>,
}

impl Default for EalConfig {
    fn default() -> EalConfig {
        EalConfig { hugepages: true, memory_mib: 512, devices: Vec::new(), lcores: None }
    }
}

/// The running EAL. A handle: clones share it, and the last one (pools and ports hold one each) says which
/// packets are still out. DPDK starts once in a process, so there is no second one afterwards.
#[derive(Clone)]
pub struct Eal(Arc<Inner>);

struct Inner {
    hugepages: bool,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Threads that have an lcore id, and so a cache in each pool.
    registered: usize,
    /// Pools without an owner whose packets are, or may be, still out.
    dead_pools: Vec<DeadPool>,
    /// Ids of the ports that have an owner.
    pub open_ports: Vec<u16>,
}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Starts EAL and probes the devices.
    ///
    /// What can be checked is checked first, so that most mistakes leave EAL untouched and the
    /// call may be repeated. Once EAL itself has been asked, it may not, even if it failed.
    pub fn init(config: &EalConfig) -> Result<Eal, EalError> {
        let host = Host::this();
        let arguments = eal_start::arguments(config)?;
        for device in &config.devices {
            host.device(device)?;
        }
        if STARTED.load(Ordering::Relaxed) {
            return Err(EalError::AlreadyInitialised);
        }
        host.memory(config.hugepages, config.memory_mib)?;
        if STARTED.swap(true, Ordering::Relaxed) {
            return Err(EalError::AlreadyInitialised);
        }
        if !eal_log::install() {
            log::warn!(target: eal_log::TARGET, "no log stream: EAL will write to stderr");
        }
        eal_log::forget_errors();
        eal_start::start(arguments)?;
        // Some releases choose a stream of their own during rte_eal_init.
        eal_log::install();
        let eal = Eal(Arc::new(Inner { hugepages: config.hugepages, state: Mutex::default() }));
        for device in &config.devices {
            eal.probe(device)?;
        }
        Ok(eal)
    }

    /// Gives the calling thread an lcore id, and with it a cache in each mempool: without one,
    /// each packet's allocation and release costs 5 ns more. Call it after pinning.
    pub fn register_thread(&self) -> Result<RegisteredThread, EalError> {
        let mut state = self.state();
        if is_registered() {
            return Err(EalError::AlreadyRegistered);
        }
        eal_log::forget_errors();
        // SAFETY: EAL is running (self) and this thread has no lcore id yet.
        if unsafe { dpdk_sys::rte_thread_register() } != 0 {
            let reason = error::reason(error::errno());
            return Err(EalError::TooManyThreads { reason, most: dpdk_sys::RTE_MAX_LCORE });
        }
        state.registered += 1;
        drop(state);
        Ok(RegisteredThread { eal: self.clone(), _not_send: PhantomData })
    }

    /// The DPDK release that runs, such as `DPDK 22.11.11`.
    pub fn version(&self) -> &'static str {
        // SAFETY: returns a pointer to a static NUL-terminated string.
        let version = unsafe { CStr::from_ptr(dpdk_sys::rte_version()) };
        version.to_str().unwrap_or("DPDK")
    }

    /// Whether packet memory comes from hugepages.
    pub fn has_hugepages(&self) -> bool {
        self.0.hugepages
    }

    /// Also the lock of DPDK's control calls on ports, which must not run at the same time.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port of a device, which is probed if EAL does not know it yet.
    pub(super) fn probe(&self, device: &Device) -> Result<u16, DeviceError> {
        if let Some(port) = port_id(device.name()) {
            return Ok(port);
        }
        if let Device::Pci(_) = device {
            let device = device.name().to_owned();
            return Err(DeviceError::NotConfigured { device });
        }
        Host::this().device(device)?;
        eal_log::forget_errors();
        let [name, arguments] = [device.name(), device.arguments()].map(c_string);
        let control = self.state();
        let result = eal_log::captured(|| {
            // SAFETY: EAL is running; three NUL-terminated strings, which EAL copies.
            unsafe {
                dpdk_sys::rte_eal_hotplug_add(c"vdev".as_ptr(), name.as_ptr(), arguments.as_ptr())
            }
        });
        drop(control);
        match port_id(device.name()) {
            Some(port) if result == 0 => Ok(port),
            _ => Err(probe_error(device, result.saturating_neg())),
        }
    }

    /// Forgets a virtual device whose port is closed, so that its name can be used again.
    /// The caller holds the state.
    pub(super) fn unplug(&self, name: &str) {
        let name = c_string(name);
        // SAFETY: EAL is running; two NUL-terminated strings, only read.
        let result = unsafe { dpdk_sys::rte_eal_hotplug_remove(c"vdev".as_ptr(), name.as_ptr()) };
        if result != 0 {
            log::debug!(target: eal_log::TARGET, "{name:?} stays plugged: {result}");
        }
    }

    /// Takes a pool that has lost its last owner, to be freed when its packets are back.
    pub(super) fn bury(&self, pool: DeadPool) {
        let mut state = self.state();
        state.dead_pools.push(pool);
        state.reap();
    }
}

impl State {
    /// Frees the dead pools whose packets are all back.
    ///
    /// A thread with a cache raises the cache's count before it stores the packet, so a pool can
    /// look whole in the middle of a `put`. Hence only when no other thread has a cache; the
    /// lock keeps new ones from registering meanwhile. A thread without one puts through the
    /// pool's ring, whose count rises last.
    fn reap(&mut self) {
        if self.registered == usize::from(is_registered()) {
            self.dead_pools.retain(|pool| !pool.free_if_whole());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // No RegisteredThread is left: each holds an Eal.
        state.reap();
        // EAL itself stays up until the process is gone. What it has is memory that is in no file
        // (`--in-memory`, or no hugepages), and threads: `rte_eal_cleanup` would unmap the memory while the
        // interrupt thread, which it does not end, may be reading it (a memif's peer that ends just now).
        for pool in &state.dead_pools {
            // Somebody still owns packets, or a driver lost them.
            log::warn!(target: eal_log::TARGET, "{pool} at shutdown");
        }
    }
}

/// How fast the time-stamp counter counts, as EAL measured it: cycles a second.
pub fn tsc_hz() -> u64 {
    // SAFETY: reads a number, 0 before EAL has started.
    unsafe { dpdk_sys::rte_get_tsc_hz() }
}

/// A thread that has an lcore id. Dropped by the same thread, at its end.
pub struct RegisteredThread {
    eal: Eal,
    /// Registration is the thread's own: neither Send nor Sync.
    _not_send: PhantomData<*const ()>,
}

impl RegisteredThread {
    /// The lcore id, which is no CPU number.
    pub fn lcore_id(&self) -> u32 {
        // SAFETY: reads a thread-local integer.
        unsafe { dpdk_sys::shim_lcore_id() }
    }
}

impl Drop for RegisteredThread {
    fn drop(&mut self) {
        let mut state = self.eal.state();
        // SAFETY: this is the thread that was registered (not Send), and EAL is running.
        unsafe { dpdk_sys::rte_thread_unregister() };
        state.registered -= 1;
        state.reap();
    }
}

fn is_registered() -> bool {
    // SAFETY: reads a thread-local integer.
    unsafe { dpdk_sys::shim_lcore_id() != dpdk_sys::SHIM_LCORE_ID_ANY }
}

fn port_id(name: &str) -> Option<u16> {
    let name = c_string(name);
    let mut port = 0;
    // SAFETY: a NUL-terminated string to read and an integer to write.
    let result = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut port) };
    (result == 0).then_some(port)
}

fn probe_error(device: &Device, errno: i32) -> DeviceError {
    let raw = ["net_af_packet", "net_af_xdp", "net_tap", "net_tun"];
    let hint = if raw.iter().any(|driver| device.name().starts_with(driver)) {
        "check its arguments, and run as root or with cap_net_raw and cap_net_admin"
    } else {
        "check its arguments"
    };
    DeviceError::Probe { device: device.text().to_owned(), reason: error::reason(errno), hint }
}

/// Text without NUL bytes, which `Device` and `Mempool` have made sure of; what follows one that
/// slipped through is cut off, as C would.
pub(super) fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpdk::test_eal;

    #[test]
    fn a_thread_registers_once_at_a_time() {
        let eal = test_eal();
        let thread = eal.register_thread().unwrap();
        assert!(thread.lcore_id() < dpdk_sys::RTE_MAX_LCORE);
        assert!(matches!(eal.register_thread(), Err(EalError::AlreadyRegistered)));
        drop(thread);
        drop(eal.register_thread().unwrap());
    }

    #[test]
    fn a_second_init_is_refused() {
        let _first = test_eal();
        let config = EalConfig { hugepages: false, ..EalConfig::default() };
        assert!(matches!(Eal::init(&config), Err(EalError::AlreadyInitialised)));
    }
}
