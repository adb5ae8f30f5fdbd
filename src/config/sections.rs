//! What `[gateway]`, `[lan]`, `[wan]` and `[code]` say, key by key.

use std::path::PathBuf;

use serde::Deserialize;

use super::auto::AutoSection;
use super::encap::{Address, CarrierName, DscpValue, Host};
use super::keys::NoKeys;
use super::values::{
    Mac, Sparse, default_address_age, default_addresses, default_idle, default_lan_mtu,
    default_latency, default_memory_limit, default_mss_clamp, default_peer, default_queue, device,
    devices, rate, size, text, time, times,
};
use crate::dpdk::Device;
use crate::fec::Code;
use crate::gateway::{Idle, Limit, LinkLocal, Overload, Oversize, Side, TooBig};
use crate::wire::seal::Mode;
use crate::wire::shim::Integrity;

/// `[gateway]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySection {
    /// West or east.
    pub side: Side,
    /// Packet memory from hugepages.
    pub hugepages: bool,
    /// The most memory, in bytes.
    #[serde(default = "default_memory_limit", deserialize_with = "size")]
    pub memory_limit: u64,
    /// What idle workers do.
    #[serde(default)]
    pub idle: Idle,
    /// The file with the key that both gateways have.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// What the key is used for.
    #[serde(default)]
    pub key_mode: Option<Mode>,
    /// That there is no key, in so many words.
    #[serde(default)]
    pub keys: Option<NoKeys>,
}

/// `[lan]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanSection {
    /// PCI address or vdev string.
    #[serde(deserialize_with = "device")]
    pub port: Device,
    /// How long frames are held behind a hole, in nanoseconds.
    #[serde(default, deserialize_with = "time")]
    pub resequence: u64,
    /// The LAN's MTU.
    #[serde(default = "default_lan_mtu")]
    pub mtu: u16,
    /// Frames for bridges only.
    #[serde(default)]
    pub link_local: LinkLocal,
    /// Queues each way, at most; none is as many as workers need.
    #[serde(default)]
    pub queues: Option<u16>,
    /// IP packets too large to protect that must not be fragmented.
    #[serde(default)]
    pub too_big: TooBig,
    /// Further LAN ports, between all of which the gateway is a bridge.
    #[serde(default, deserialize_with = "devices")]
    pub more_ports: Vec<Device>,
    /// How many addresses the bridge knows at most.
    #[serde(default = "default_addresses")]
    pub addresses: usize,
    /// After how long without a frame it forgets one, in nanoseconds.
    #[serde(default = "default_address_age", deserialize_with = "time")]
    pub address_age: u64,
}

impl LanSection {
    /// All LAN ports.
    pub fn ports(&self) -> impl Iterator<Item = &Device> {
        [&self.port].into_iter().chain(&self.more_ports)
    }
}

/// `[wan]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WanSection {
    /// PCI address or vdev string.
    #[serde(deserialize_with = "device")]
    pub port: Device,
    /// The WAN's MTU.
    pub mtu: u16,
    /// What carries our packets.
    #[serde(default)]
    pub encapsulation: CarrierName,
    /// Whether routers on a transparent circuit change addresses and TTL; none is no.
    #[serde(default)]
    pub routed: Option<bool>,
    /// The VLAN of all that we send and take.
    #[serde(default)]
    pub vlan: Option<u16>,
    /// EtherType of our packets; none is 0x88B5.
    #[serde(default)]
    pub ethertype: Option<u16>,
    /// The Ethernet address of the peer's port; none is everyone.
    #[serde(default)]
    pub peer_mac: Option<Mac>,
    /// Our own address, in a routed WAN.
    #[serde(default)]
    pub address: Option<Address>,
    /// The router that leads to the peer; none is the peer itself.
    #[serde(default)]
    pub gateway: Option<Host>,
    /// The peer's address, in a routed WAN.
    #[serde(default)]
    pub peer: Option<Host>,
    /// Where both receive; none is 8147.
    #[serde(default)]
    pub udp_port: Option<u16>,
    /// Whether UDP checksums are computed; none is no.
    #[serde(default)]
    pub udp_checksum: Option<bool>,
    /// The traffic class; none is each frame's own.
    #[serde(default)]
    pub dscp: Option<DscpValue>,
    /// Frames too large to protect; none is what the encapsulation allows.
    #[serde(default)]
    pub oversize: Option<Oversize>,
    /// What the link or its contract takes, in bits per second; none is what the port takes.
    #[serde(default, deserialize_with = "rate")]
    pub rate: Option<u64>,
    /// Who goes first when there is more.
    #[serde(default)]
    pub overload: Overload,
    /// How many bytes wait then, at most, for each worker that protects.
    #[serde(default = "default_queue", deserialize_with = "size")]
    pub queue: u64,
    /// Whether SYNs are made to ask for no larger segments than are protected.
    #[serde(default = "default_mss_clamp")]
    pub mss_clamp: bool,
    /// On how many channels the peer sends; none is on as many as we do.
    #[serde(default)]
    pub peer_channels: Option<u8>,
    /// Queues each way, at most; none is as many as workers need.
    #[serde(default)]
    pub queues: Option<u16>,
}

impl WanSection {
    /// The Ethernet address of the peer's port, where that is not asked for.
    pub fn peer_mac(&self) -> [u8; 6] {
        self.peer_mac.unwrap_or_else(default_peer).0
    }

    pub(super) fn limit(&self) -> Option<Limit> {
        let WanSection { overload, queue, .. } = *self;
        self.rate.map(|rate| Limit { rate, overload, queue: queue as usize })
    }
}

/// `[code]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSection {
    /// The code for dense traffic.
    #[serde(deserialize_with = "text")]
    pub layers: Code,
    /// The code for sparse traffic.
    #[serde(default, deserialize_with = "text")]
    pub sparse: Sparse,
    /// The latency budget.
    #[serde(default = "default_latency", deserialize_with = "time")]
    pub latency: u64,
    /// Idle time of the first layer.
    #[serde(default = "default_idle", deserialize_with = "time")]
    pub idle: u64,
    /// Maximum age of a layer's groups, one for each layer; none is automatic.
    #[serde(default, deserialize_with = "times")]
    pub max_age: Vec<u64>,
    /// Flush repairs per source packet; none is the number of layers.
    #[serde(default)]
    pub flush_cap: Option<f64>,
    /// Packets in the window; none is automatic.
    #[serde(default)]
    pub window: Option<usize>,
    /// What confirms packets.
    #[serde(default)]
    pub integrity: Integrity,
    /// How the code follows the link; none is not at all.
    #[serde(default)]
    pub auto: Option<AutoSection>,
}
