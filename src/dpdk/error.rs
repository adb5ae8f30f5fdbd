//! What can go wrong at start-up, and the command that mends it.
//!
//! * What this room does: names each failure with what was got and what was expected.
//! * Who feeds it: `preflight` and the owners, from return values and `rte_errno`.
//! * Whom it feeds: the operator, through `main`: each error is one line.
//! * Which thread runs it: control threads; nothing on the data path returns an error.
//! * What it must not do: lose the driver's own words, which EAL only logs.

use std::ffi::CStr;

/// Why the environment could not be set up.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant is its documentation")]
pub enum EalError {
    #[error(
        "{free_mib} MiB of hugepages are free, {wanted_mib} MiB are wanted; \
         run: echo {pages} > /proc/sys/vm/nr_hugepages (or do without: hugepages = false, no --hugepages)"
    )]
    NoHugepages { free_mib: u64, wanted_mib: u32, pages: u64 },
    #[error("memory_mib = {got}: at least {least} MiB are needed")]
    Memory { got: u32, least: u32 },
    #[error("DPDK was already initialised in this process, which it allows once; restart it")]
    AlreadyInitialised,
    #[error("EAL has no permission: {reason}; run as root, or give this user the device's files")]
    Permission { reason: String },
    #[error("EAL did not start: {reason} (errno {errno}); run with RUST_LOG=eal=debug for more")]
    Init { errno: i32, reason: String },
    #[error("lcores = {got:?} holds a NUL byte or is empty; expected an EAL map such as 0@(0-3)")]
    Lcores { got: String },
    #[error("this thread is registered with EAL already; register each worker once")]
    AlreadyRegistered,
    #[error("EAL has no lcore id left for this thread: {reason}; it was built for {most} of them")]
    TooManyThreads { reason: String, most: u32 },
    #[error("a helper thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant is its documentation")]
pub enum DeviceError {
    #[error("device {got:?}: expected a PCI address (0000:03:00.0) or net_<driver><n>,<arguments>")]
    Syntax { got: String },
    #[error("device {device}: no such driver; expected one of {known}")]
    UnknownDriver { device: String, known: String },
    #[error(
        "device {device}: its driver's plugin librte_{plugin}.so is not in {folder}; \
         run: apt-get install {package} (or libdpdk-dev, which brings all of them)"
    )]
    MissingPlugin { device: String, plugin: String, folder: String, package: String },
    #[error(
        "device {device}: {key}={interface}: there is no such network interface; \
         run: ip link show (it must be in this network namespace)"
    )]
    MissingInterface { device: String, key: String, interface: String },
    #[error("device {device}: {key}={path}: {reason}; check the path and its permissions")]
    File { device: String, key: String, path: String, reason: String },
    #[error("device {device}: the driver needs {expected}; add it behind a comma")]
    MissingArgument { device: String, expected: &'static str },
    #[error("device {address}: there is no such PCI device; run: lspci -D | grep -i ethernet")]
    PciMissing { address: String },
    #[error(
        "device {address} is bound to the kernel driver {driver}, expected vfio-pci; \
         run: dpdk-devbind.py --bind=vfio-pci {address}"
    )]
    PciKernelDriver { address: String, driver: String },
    #[error(
        "device {address} is bound to no driver, expected vfio-pci; \
         run: modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci {address}"
    )]
    PciUnbound { address: String },
    #[error(
        "device {device}: no permission for {path}: {reason}; \
         run as root, or: chown $USER {path}"
    )]
    Permission { device: String, path: String, reason: String },
    #[error(
        "device {device} is not known to EAL: PCI devices are probed at start only; \
         name it in the configuration's devices"
    )]
    NotConfigured { device: String },
    #[error("device {device} could not be probed: {reason}; {hint}")]
    Probe { device: String, reason: String, hint: &'static str },
}

/// Why there is no packet memory.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant is its documentation")]
pub enum PoolError {
    #[error("mempool {name:?}: expected a name of 1 to {most} letters, digits, - or _")]
    Name { name: String, most: usize },
    #[error("mempool {name:?} exists already; expected a name of its own")]
    Exists { name: String },
    #[error("mempool {name:?}: count = 0; expected at least one mbuf")]
    Empty { name: String },
    #[error("mempool {name:?}: data_room = {got}, expected more than the headroom of {headroom}")]
    DataRoom { name: String, got: u16, headroom: u16 },
    #[error(
        "mempool {name:?}: no memory for {count} mbufs, about {wanted_mib} MiB; \
         raise memory_mib (and nr_hugepages with it) or lower the count"
    )]
    NoMemory { name: String, count: u32, wanted_mib: u64 },
    #[error("mempool {name:?} could not be made: {reason} (errno {errno})")]
    Create { name: String, errno: i32, reason: String },
}

/// Why a port could not be opened, or a queue not be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant is its documentation")]
pub enum PortError {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("port {port} is open already; a device is opened once")]
    AlreadyOpen { port: String },
    #[error("port {port}: {step} failed: {reason} (errno {errno})")]
    Setup { port: String, step: &'static str, errno: i32, reason: String },
    #[error("port {port}: mtu = {got} is outside what the driver takes, {least} to {most}")]
    Mtu { port: String, got: u16, least: u16, most: u16 },
    #[error(
        "port {port}: a frame of MTU {mtu} needs {needed} bytes, the mempool's mbufs hold {room}; \
         raise data_room to {data_room} or lower the MTU"
    )]
    MbufTooSmall { port: String, mtu: u16, needed: u32, room: u32, data_room: u32 },
    #[error("port {port} has {have} {side} queues, {got} was asked for")]
    NoSuchQueue { port: String, side: &'static str, got: u16, have: u16 },
    #[error("port {port}: {side} queue {queue} was handed out already; a queue has one owner")]
    QueueTaken { port: String, side: &'static str, queue: u16 },
    #[error("joined ports {name:?}: {expected}")]
    Joined { name: String, expected: &'static str },
}

impl PortError {
    /// From a DPDK return value, negative errno.
    pub(super) fn setup(port: &str, step: &'static str, result: i32) -> PortError {
        let errno = result.saturating_neg();
        PortError::Setup { port: port.to_owned(), step, errno, reason: reason(errno) }
    }
}

/// `rte_errno` of the calling thread.
pub(super) fn errno() -> i32 {
    // SAFETY: reads a thread-local integer.
    unsafe { dpdk_sys::shim_errno() }
}

/// What EAL or the driver logged first as an error on its way to failing, else the number's text.
pub(super) fn reason(errno: i32) -> String {
    super::eal_log::take_first_error().unwrap_or_else(|| text(errno))
}

/// The text of an error number.
pub(super) fn text(errno: i32) -> String {
    // SAFETY: returns a pointer to a NUL-terminated string, in a thread-local or static buffer,
    // that is valid until this thread's next call; it is copied here.
    let text = unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(errno)) };
    text.to_string_lossy().into_owned()
}
