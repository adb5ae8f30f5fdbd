//! What can be checked before EAL is asked, because EAL only logs and cannot be asked twice.
//!
//! * What this room does: looks for hugepages, plugins, interfaces, files and PCI drivers.
//! * Who feeds it: `eal`, with the configuration, and `port`, with devices named later.
//! * Whom it feeds: the operator, with errors that name the mending command.
//! * Which thread runs it: control threads, at start.
//! * What it must not do: change anything on the machine, or refuse what it does not know.

use super::{
    device::Device,
    error::{DeviceError, EalError},
};
use std::{
    ffi::CStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Virtual drivers and the plugins they live in. A device's name begins with its driver's.
const DRIVERS: [(&str, &str); 14] = [
    ("net_af_packet", "net_af_packet"),
    ("net_af_xdp", "net_af_xdp"),
    ("net_bonding", "net_bond"),
    ("net_failsafe", "net_failsafe"),
    ("net_memif", "net_memif"),
    ("net_null", "net_null"),
    ("net_pcap", "net_pcap"),
    ("net_ring", "net_ring"),
    ("net_softnic", "net_softnic"),
    ("net_tap", "net_tap"),
    ("net_tun", "net_tap"),
    ("net_vdev_netvsc", "net_vdev_netvsc"),
    ("net_vhost", "net_vhost"),
    ("net_virtio_user", "net_virtio"),
];

/// Kernel drivers that hand a device to DPDK, or share it with DPDK (Mellanox).
const USABLE: [&str; 6] =
    ["vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mlx4_core", "uio_hv_generic"];

/// The least memory EAL, its drivers' plugins and a small pool get along with.
const LEAST_MEMORY_MIB: u32 = 16;

/// Where to look; tests look elsewhere.
pub(super) struct Host {
    /// The root of the file system, for /sys, /dev and /proc.
    pub root: PathBuf,
    /// Where EAL loads its plugins from.
    pub plugins: PathBuf,
}

impl Host {
    pub fn this() -> Host {
        let plugins = CStr::from_bytes_until_nul(dpdk_sys::RTE_EAL_PMD_PATH).unwrap_or_default();
        Host { root: "/".into(), plugins: std::ffi::OsStr::from_bytes(plugins.to_bytes()).into() }
    }

    /// Whether the memory asked for is there.
    pub fn memory(&self, hugepages: bool, wanted_mib: u32) -> Result<(), EalError> {
        if wanted_mib < LEAST_MEMORY_MIB {
            return Err(EalError::Memory { got: wanted_mib, least: LEAST_MEMORY_MIB });
        }
        if !hugepages {
            return Ok(());
        }
        let free_kib: u64 = files(&self.root.join("sys/kernel/mm/hugepages"))
            .filter_map(|folder| {
                let name = folder.file_name()?.to_str()?;
                let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
                Some(kib * number(&folder.join("free_hugepages"))?)
            })
            .sum();
        let free_mib = free_kib / 1024;
        if free_mib >= u64::from(wanted_mib) {
            return Ok(());
        }
        // Reserved in units of 2 MiB, on top of what others have taken already.
        let reserved = number(&self.root.join("proc/sys/vm/nr_hugepages")).unwrap_or(0);
        let missing = (u64::from(wanted_mib) - free_mib).div_ceil(2);
        Err(EalError::NoHugepages { free_mib, wanted_mib, pages: reserved + missing })
    }

    /// Whether the device can be expected to come up.
    pub fn device(&self, device: &Device) -> Result<(), DeviceError> {
        match device {
            Device::Vdev(_) => self.vdev(device),
            Device::Pci(_) => self.pci(device.name()),
        }
    }

    fn vdev(&self, device: &Device) -> Result<(), DeviceError> {
        let known = DRIVERS.iter().find(|(driver, _)| device.name().starts_with(driver));
        match known {
            Some((_, plugin)) => self.plugin(device, plugin)?,
            None => self.unknown_driver(device)?,
        }
        let driver = known.map_or("", |(driver, _)| driver);
        match driver {
            "net_af_packet" | "net_af_xdp" => {
                if device.values("iface").next().is_none() {
                    let expected = "iface=<network interface>";
                    return Err(DeviceError::MissingArgument { device: shown(device), expected });
                }
                self.interfaces(device, &["iface"])
            }
            // The driver takes the value for a pointer and follows it.
            "net_ring" if device.values("internal").next().is_some() => {
                Err(DeviceError::Syntax { got: device.text().to_owned() })
            }
            "net_tap" => self.interfaces(device, &["remote"]),
            "net_pcap" => {
                self.interfaces(device, &["iface", "rx_iface", "rx_iface_in", "tx_iface"])?;
                self.readable(device, "rx_pcap")?;
                self.creatable(device, "tx_pcap")
            }
            "net_vhost" => self.creatable(device, "iface"),
            "net_virtio_user" => {
                if device.values("path").next().is_none() {
                    let expected = "path=<vhost-user socket or /dev/vhost-net>";
                    return Err(DeviceError::MissingArgument { device: shown(device), expected });
                }
                // The socket itself may be made by a net_vhost that is probed before this one.
                self.creatable(device, "path")
            }
            _ => Ok(()),
        }
    }

    /// A driver that is not in the table is taken if a plugin of its name is there.
    fn unknown_driver(&self, device: &Device) -> Result<(), DeviceError> {
        let driver = device.name().trim_end_matches(|c: char| c.is_ascii_digit());
        if driver.starts_with("net_") && self.plugin(device, driver).is_ok() {
            return Ok(());
        }
        let known = DRIVERS.map(|(driver, _)| driver).join(" ");
        Err(DeviceError::UnknownDriver { device: shown(device), known })
    }

    fn plugin(&self, device: &Device, plugin: &str) -> Result<(), DeviceError> {
        let wanted = format!("librte_{plugin}.so");
        // No such folder: EAL was built otherwise, perhaps with its drivers linked in.
        let found = files(&self.plugins)
            .any(|file| file.file_name().is_some_and(|name| has_prefix(name, &wanted)));
        if found || !self.plugins.is_dir() {
            return Ok(());
        }
        Err(DeviceError::MissingPlugin {
            device: shown(device),
            plugin: plugin.to_owned(),
            folder: self.plugins.display().to_string(),
            package: self.package(plugin),
        })
    }

    /// Debian's name for a plugin's package: `librte-net-pcap23`, the number being the ABI's.
    fn package(&self, plugin: &str) -> String {
        let folder = self.plugins.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let abi = folder.strip_prefix("pmds-").and_then(|abi| abi.split('.').next()).unwrap_or("*");
        format!("librte-{}{abi}", plugin.replace('_', "-"))
    }

    fn interfaces(&self, device: &Device, keys: &[&str]) -> Result<(), DeviceError> {
        // Not /sys/class/net: that shows the namespace it was mounted in, which after `unshare -n`
        // is another one. Nothing to read means nothing to know.
        let Ok(table) = fs::read_to_string(self.root.join("proc/thread-self/net/dev")) else {
            return Ok(());
        };
        let is_there = |wanted: &str| {
            let names = table.lines().filter_map(|line| line.split_once(':'));
            names.map(|(name, _)| name.trim()).any(|name| name == wanted)
        };
        for key in keys {
            if let Some(interface) = device.values(key).find(|name| !is_there(name)) {
                let (device, interface) = (shown(device), interface.to_owned());
                let key = (*key).to_owned();
                return Err(DeviceError::MissingInterface { device, key, interface });
            }
        }
        Ok(())
    }

    fn readable(&self, device: &Device, key: &str) -> Result<(), DeviceError> {
        each_path(device, key, |path| fs::File::open(path).map(drop))
    }

    /// The file is the driver's to make; its folder must be there.
    fn creatable(&self, device: &Device, key: &str) -> Result<(), DeviceError> {
        each_path(device, key, |path| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            match fs::metadata(folder.unwrap_or(Path::new(".")))?.is_dir() {
                true => Ok(()),
                false => Err(io::ErrorKind::NotADirectory.into()),
            }
        })
    }

    fn pci(&self, address: &str) -> Result<(), DeviceError> {
        let folder = self.root.join("sys/bus/pci/devices").join(address);
        let address = address.to_owned();
        if !folder.exists() {
            return Err(DeviceError::PciMissing { address });
        }
        let Ok(driver) = fs::read_link(folder.join("driver")) else {
            return Err(DeviceError::PciUnbound { address });
        };
        let driver = driver.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !USABLE.contains(&driver.as_str()) {
            return Err(DeviceError::PciKernelDriver { address, driver });
        }
        if driver == "vfio-pci" {
            self.vfio(&address, &folder)?;
        }
        Ok(())
    }

    /// Whether this user may open the group's file. It is not opened: a group opens once.
    fn vfio(&self, address: &str, folder: &Path) -> Result<(), DeviceError> {
        let Ok(group) = fs::read_link(folder.join("iommu_group")) else { return Ok(()) };
        let container = self.root.join("dev/vfio/vfio");
        let group = self.root.join("dev/vfio").join(group.file_name().unwrap_or_default());
        let failed = |path: &Path, error: io::Error| DeviceError::Permission {
            device: address.to_owned(),
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        fs::File::options()
            .read(true)
            .write(true)
            .open(&container)
            .map_err(|error| failed(&container, error))?;
        fs::metadata(&group).map(drop).map_err(|error| failed(&group, error))
    }
}

fn shown(device: &Device) -> String {
    device.name().to_owned()
}

/// Checks each path that the device's argument names.
fn each_path(
    device: &Device,
    key: &str,
    check: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), DeviceError> {
    device.values(key).try_for_each(|path| {
        check(Path::new(path)).map_err(|error| DeviceError::File {
            device: shown(device),
            key: key.to_owned(),
            path: path.to_owned(),
            reason: error.to_string(),
        })
    })
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn has_prefix(name: &std::ffi::OsStr, prefix: &str) -> bool {
    name.as_bytes().starts_with(prefix.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::fs::symlink,
        sync::atomic::{AtomicU32, Ordering},
    };

    /// A machine made of files, removed when dropped.
    struct Machine(Host);

    impl Machine {
        fn new() -> Machine {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("maelstrom-host-{}-{number}", std::process::id());
            let root = std::env::temp_dir().join(name);
            Machine(Host { plugins: root.join("lib/pmds-23.0"), root })
        }

        fn file(&self, path: &str, text: &str) -> &Machine {
            let path = self.0.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn link(&self, path: &str, target: &str) -> &Machine {
            let path = self.0.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
            self
        }

        fn device(&self, text: &str) -> String {
            let result = self.0.device(&Device::parse(text).unwrap());
            result.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.root);
        }
    }

    #[test]
    fn hugepages_of_all_sizes_count() {
        let machine = Machine::new();
        machine
            .file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "10\n")
            .file("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n")
            .file("proc/sys/vm/nr_hugepages", "12\n");
        assert!(machine.0.memory(true, 1044).is_ok());
        let error = machine.0.memory(true, 1101).unwrap_err().to_string();
        let expected = "1044 MiB of hugepages are free, 1101 MiB are wanted; \
                        run: echo 41 > /proc/sys/vm/nr_hugepages (or do without: hugepages = false, no --hugepages)";
        assert_eq!(error, expected);
        assert!(machine.0.memory(false, 1101).is_ok());
    }

    #[test]
    fn pci_devices_must_be_bound() {
        let machine = Machine::new();
        let address = |number| format!("sys/bus/pci/devices/0000:03:00.{number}");
        machine.file(&format!("{}/vendor", address(0)), "");
        for (number, driver) in [(1, "ixgbe"), (2, "mlx5_core"), (3, "vfio-pci")] {
            machine.link(&format!("{}/driver", address(number)), &format!("../drivers/{driver}"));
        }
        machine.link(&format!("{}/iommu_group", address(3)), "../iommu_groups/17");
        assert!(machine.device("03:00.0").contains("bound to no driver"));
        let kernel = machine.device("03:00.1");
        assert!(kernel.contains("bound to the kernel driver ixgbe"), "{kernel}");
        assert!(kernel.ends_with("run: dpdk-devbind.py --bind=vfio-pci 0000:03:00.1"), "{kernel}");
        assert_eq!(machine.device("03:00.2"), "ok");
        assert!(machine.device("03:00.3").contains("dev/vfio/vfio"), "no vfio container");
        machine.file("dev/vfio/vfio", "").file("dev/vfio/17", "");
        assert_eq!(machine.device("03:00.3"), "ok");
        assert!(machine.device("03:00.4").contains("there is no such PCI device"));
    }

    #[test]
    fn plugins_must_be_installed() {
        let machine = Machine::new();
        assert_eq!(machine.device("net_null0"), "ok", "no folder, nothing to know");
        machine.file("lib/pmds-23.0/librte_net_null.so.23", "");
        machine.file("lib/pmds-23.0/librte_net_new.so.23", "");
        assert_eq!(machine.device("net_null0"), "ok");
        assert_eq!(machine.device("net_new0"), "ok", "a driver that the table does not know");
        let error = machine.device("net_af_packet0,iface=lo");
        assert!(error.contains("apt-get install librte-net-af-packet23"), "{error}");
        assert!(machine.device("eth_null0").contains("no such driver"));
    }

    #[test]
    fn every_interface_and_file_is_looked_at() {
        let machine = Machine::new();
        let table = "Inter-|   Receive\n face |bytes\n  lo: 0\nveth0: 0 0\n";
        machine.file("proc/thread-self/net/dev", table).file("in.pcap", "");
        let file = machine.0.root.join("in.pcap").display().to_string();
        assert_eq!(machine.device("net_af_packet0,iface=veth0"), "ok");
        assert!(machine.device("net_af_packet0,iface=veth").contains("no such network"));
        assert!(machine.device("net_af_packet0,iface=").contains("no such network"));
        assert!(machine.device("net_tap0,iface=new0,remote=veth1").contains("remote=veth1"));
        let two = format!("net_pcap0,rx_pcap={file},rx_pcap=nosuch");
        assert!(machine.device(&two).contains("rx_pcap=nosuch: No such file"));
        assert_eq!(machine.device(&format!("net_pcap0,rx_pcap={file},tx_pcap={file}2")), "ok");
        assert!(machine.device(&format!("net_pcap0,tx_pcap={file}/x")).contains("tx_pcap="));
        assert!(machine.device("net_ring0,internal=0x10").contains("expected"));
        assert!(machine.device("net_virtio_user0").contains("the driver needs path="));
        assert!(machine.device("net_virtio_user0,path=nosuch/s").contains("path=nosuch/s"));
        assert_eq!(machine.device(&format!("net_vhost0,iface={file}.sock,queues=1")), "ok");
    }
}
