//! What a device is called, before DPDK has seen it.
//!
//! * What this room does: tells virtual devices from PCI addresses and takes their text apart.
//! * Who feeds it: the configuration and the command line.
//! * Whom it feeds: `preflight` (does it exist?), `eal` (probe it) and `port` (open it).
//! * Which thread runs it: whichever starts the gateway.
//! * What it must not do: touch the system; that is `preflight`'s.

use super::error::DeviceError;
use std::{fmt, str::FromStr};

/// A network device that DPDK is to drive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Device {
    /// A virtual device with its arguments: `net_pcap0,rx_pcap=in.pcap`.
    Vdev(String),
    /// A PCI address, with a driver's arguments if any: `0000:03:00.0`.
    Pci(String),
}

impl Device {
    /// Reads `net_null0,size=64`, `0000:03:00.0` or the short `03:00.0`.
    pub fn parse(text: &str) -> Result<Device, DeviceError> {
        let text = text.trim();
        let (name, arguments) = split(text);
        if let Some(address) = pci_address(name) {
            let comma = if arguments.is_empty() { "" } else { "," };
            return Ok(Device::Pci(format!("{address}{comma}{arguments}")));
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() < dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let has_nul = text.contains('\0');
        if !is_name || has_nul {
            return Err(DeviceError::Syntax { got: text.to_owned() });
        }
        Ok(Device::Vdev(text.to_owned()))
    }

    /// The name DPDK gives the port: all up to the first comma.
    pub fn name(&self) -> &str {
        split(self.text()).0
    }

    /// The driver's arguments: all behind the first comma.
    pub fn arguments(&self) -> &str {
        split(self.text()).1
    }

    /// Whether only the operator knows how many queues it has: both ends of a memif must open equally
    /// many. To one that opens more, each of these looks like the first, so that it receives packets
    /// twice; to one that opens fewer, there is no connection.
    pub fn hides_its_queues(&self) -> bool {
        self.name().starts_with("net_memif")
    }

    /// The values of one argument, such as `rx_pcap`, which may be given once for each queue.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.arguments().split(',').filter_map(|pair| pair.split_once('='));
        pairs.filter(move |(found, _)| *found == key).map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Device::Vdev(text) | Device::Pci(text) => text,
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Device, DeviceError> {
        Device::parse(text)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(',').unwrap_or((text, ""))
}

/// `domain:bus:device.function` in sysfs's form, or `None` if it is no PCI address.
fn pci_address(text: &str) -> Option<String> {
    let hex = |part: &str, digits: usize| {
        let well_formed = part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit());
        well_formed.then(|| part.to_ascii_lowercase())
    };
    let (head, function) = text.split_once('.')?;
    let mut parts = head.rsplit(':');
    let device = hex(parts.next()?, 2)?;
    let bus = hex(parts.next()?, 2)?;
    let domain = match parts.next() {
        Some(domain) => hex(domain, 4)?,
        None => "0000".to_owned(),
    };
    let function = function.parse::<u8>().ok().filter(|function| *function < 8)?;
    parts.next().is_none().then(|| format!("{domain}:{bus}:{device}.{function}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_pci_from_virtual() {
        let table = [
            ("net_pcap0,rx_pcap=F,tx_pcap=G", Device::Vdev("net_pcap0,rx_pcap=F,tx_pcap=G".into())),
            ("net_null0", Device::Vdev("net_null0".into())),
            ("0000:03:00.0", Device::Pci("0000:03:00.0".into())),
            ("3b:0A.1", Device::Pci("0000:3b:0a.1".into())),
            ("0000:03:00.0,mprq_en=0", Device::Pci("0000:03:00.0,mprq_en=0".into())),
        ];
        for (text, device) in table {
            assert_eq!(Device::parse(text).unwrap(), device, "{text}");
        }
        for text in ["", "0000:03:00.9", "zz:00.0", ",x=1", "0:0000:03:00.0", "net null"] {
            assert!(Device::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn takes_arguments_apart() {
        let device = Device::parse("net_af_packet0,iface=veth0,blocksz=20480").unwrap();
        assert_eq!(device.name(), "net_af_packet0");
        assert_eq!(device.arguments(), "iface=veth0,blocksz=20480");
        assert_eq!(device.values("iface").next(), Some("veth0"));
        assert_eq!(device.values("qpairs").count(), 0);
        assert!(!device.hides_its_queues());
        assert!(Device::parse("net_memif1,role=server").unwrap().hides_its_queues());
    }
}
