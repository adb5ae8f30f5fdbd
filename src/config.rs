//! The configuration file of `maelstrom run`: parsed, validated, every limit named.
//!
//! config/gateway-west.toml is a complete one that explains each key.

mod auto;
mod bridge;
pub mod changes;
mod encap;
pub mod keys;
mod link;
mod netsync;
mod values;
pub mod workers;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::dpdk::Device;
use crate::fec::code::MAX_LAYERS;
use crate::fec::{Code, Timing};
use crate::gateway::blueprint::TAGS;
use crate::gateway::{Blueprint, Idle, Limit, LinkLocal, Overload, Oversize, Side, TooBig};
use crate::units::show_rate;
use crate::wire::outer::OUTER_LEN;
use crate::wire::seal::Mode;
use crate::wire::shim::Integrity;

pub use auto::AutoSection;
pub use encap::{Address, CarrierName, DscpValue, Host};
pub use keys::NoKeys;
pub use link::{ControlSection, LinkSection, Reliability};
pub use netsync::{GroupName, NetsyncSection, TrackSection};
pub use values::{Mac, Sparse};
use values::{
    default_address_age, default_addresses, default_idle, default_lan_mtu, default_latency,
    default_memory_limit, default_mss_clamp, default_peer, default_queue, device, devices, rate,
    size, text, time, times,
};
use workers::MAX_CHANNELS;
pub use workers::{RoomName, Split, WorkerSection};

/// Why a configuration is refused. One line: file, place, what was got, what is expected.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error(
        "{path}: {error}; expected a readable configuration file, such as config/gateway-west.toml"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is not what is expected, at a place.
    #[error("{path}:{line}: {problem}, at \"{text}\"")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// The line's text.
        text: String,
    },
    /// A value is out of its range, or does not fit another.
    #[error("{path}: {key}: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What was got, and what is expected.
        problem: String,
    },
}

/// A gateway as configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which of the two, and what it may take.
    pub gateway: GatewaySection,
    /// The LAN port.
    pub lan: LanSection,
    /// The WAN port.
    pub wan: WanSection,
    /// The code.
    pub code: CodeSection,
    /// What storage processes are told; none is nothing.
    #[serde(default)]
    pub netsync: Option<NetsyncSection>,
    /// How it keeps in touch with its peer.
    #[serde(default)]
    pub link: LinkSection,
    /// Where operators reach it; none is nowhere.
    #[serde(default)]
    pub control: Option<ControlSection>,
    /// Cores and their rooms.
    #[serde(rename = "worker")]
    pub workers: Vec<WorkerSection>,
    /// All of it, as it was read.
    #[serde(skip)]
    pub text: String,
}

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

/// The rates that a WAN may have. Slower ones are no link for a gateway; each of 16 channels has its part.
pub const RATES: RangeInclusive<u64> = 1_000_000..=1_000_000_000_000;
/// How long frames may be held behind a hole, in nanoseconds: beyond it, endpoints have long sent again.
const LONGEST_HELD: u64 = 1_000_000_000;
/// How large the queue before it may be, in bytes: some packets at least.
pub const QUEUES: RangeInclusive<u64> = 64 << 10..=1 << 30;

impl WanSection {
    fn limit(&self) -> Option<Limit> {
        let WanSection { overload, queue, .. } = *self;
        self.rate.map(|rate| Limit { rate, overload, queue: queue as usize })
    }
}

impl Config {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// If it can't be read, is not TOML, has a key too many, lacks one, or a value is not possible.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let read = |error| ConfigError::Read { path: path.to_owned(), error };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let config = Config::parse(path, &text)?;
        config.check_machine(path)?;
        Ok(config)
    }

    /// Whether this machine has the cores.
    fn check_machine(&self, path: &Path) -> Result<(), ConfigError> {
        // A CPU that this process may not use is not listed, but isolated ones are not either: a
        // larger limit is all that can be checked before pinning.
        let core = self.workers.iter().filter_map(|worker| worker.core).max();
        match (core, last_cpu()) {
            (Some(core), Some(last)) if core > last => Err(ConfigError::Value {
                path: path.to_owned(),
                key: "worker",
                problem: format!("core {core} does not exist; expected 0 to {last}"),
            }),
            _ => Ok(()),
        }
    }

    /// As [`Config::load`], of a text that came from `path`, for whatever machine.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let mut config: Config =
            toml::from_str(text).map_err(|error| located(path, text, &error))?;
        config.text = text.to_owned();
        config.validate(path)?;
        Ok(config)
    }

    fn validate(&self, path: &Path) -> Result<(), ConfigError> {
        let bad = |key, problem| Err(ConfigError::Value { path: path.to_owned(), key, problem });
        if !(68..=9600).contains(&self.lan.mtu) {
            return bad("lan.mtu", format!("got {}, expected 68 to 9600", self.lan.mtu));
        }
        if !(256..=9600).contains(&self.wan.mtu) {
            return bad("wan.mtu", format!("got {}, expected 256 to 9600", self.wan.mtu));
        }
        if let Err((key, problem)) = self.wan.encapsulation() {
            return bad(key, problem);
        }
        if let Some(port) = self.lan.ports().find(|port| port.name() == self.wan.port.name()) {
            let name = port.name();
            return bad("wan.port", format!("got {name}, which is the LAN port; expected another"));
        }
        if let Some(got) = self.wan.rate.filter(|rate| !RATES.contains(rate)) {
            let (got, expected) = (show_rate(Some(got)), "expected 1Mbps to 1Tbps, or unlimited");
            return bad("wan.rate", format!("got {got}, {expected}"));
        }
        if !QUEUES.contains(&self.wan.queue) {
            let got = self.wan.queue;
            return bad("wan.queue", format!("got {got} bytes, expected 64KiB to 1GiB"));
        }
        if let Err((key, problem)) = self.validate_keys() {
            return bad(key, problem);
        }
        if self.lan.resequence > LONGEST_HELD {
            let got = self.lan.resequence / 1_000_000;
            return bad("lan.resequence", format!("got {got} ms, expected 0ms to 1s"));
        }
        if let Err((key, problem)) = self.lan.validate_bridge() {
            return bad(key, problem);
        }
        self.validate_code(path)?;
        if let Some(Err((key, problem))) = self.netsync.as_ref().map(NetsyncSection::validate) {
            return bad(key, problem);
        }
        if let Err((key, problem)) = self.link.validate() {
            return bad(key, problem);
        }
        if let Some(Err((key, problem))) = self.control.as_ref().map(ControlSection::validate) {
            return bad(key, problem);
        }
        let split = self.validate_workers(path)?;
        if let Err((key, problem)) = self.validate_transparent(&split) {
            return bad(key, problem);
        }
        let limit = self.gateway.memory_limit;
        self.blueprint(&split).check(limit).or_else(|error| bad(error.key(), error.to_string()))
    }

    /// Whether frames that cross as they came can be treated as configured.
    fn validate_transparent(&self, split: &Split) -> Result<(), (&'static str, String)> {
        if self.wan.encapsulation != CarrierName::Transparent {
            return Ok(());
        }
        if self.code.integrity == Integrity::Off {
            let problem =
                "got \"off\", but transparent repairs name frames by hashes; expected \"check\"";
            return Err(("code.integrity", problem.to_owned()));
        }
        if self.code.auto.is_some() {
            let problem = "got a section, but transparent frames have no numbers, by which the far end \
                           would measure what the link loses; expected none";
            return Err(("code.auto", problem.to_owned()));
        }
        // Frames come without a channel: a second window would take the first one's for missing.
        let (ours, theirs) = (split.protect.len(), split.recover.len());
        if [ours, theirs] != [1, 1] {
            let problem = format!(
                "{ours} protect and the peer has {theirs}, but transparent frames don't say whose they \
                 are; expected one worker that protects at either end"
            );
            return Err(("worker", problem));
        }
        if self.link.reliability == Reliability::FecNack {
            let problem = "got \"fec+nack\", but transparent frames have no numbers to ask for; expected \
                           \"fec\"";
            return Err(("link.reliability", problem.to_owned()));
        }
        if self.gateway.key_mode().is_some() {
            let problem = "got a key, but transparent frames bear nothing that could be verified; expected \
                           keys = \"none\" in its place";
            return Err(("gateway.key_file", problem.to_owned()));
        }
        Ok(())
    }

    fn validate_code(&self, path: &Path) -> Result<(), ConfigError> {
        let bad = |key, problem| Err(ConfigError::Value { path: path.to_owned(), key, problem });
        let code = &self.code;
        let layers = code.layers.layers().len();
        if code.idle == 0 {
            return bad("code.idle", "got 0, expected a time such as 1ms".to_owned());
        }
        if code.latency < code.idle {
            return bad("code.latency", "less than code.idle; expected more".to_owned());
        }
        if !code.max_age.is_empty() && code.max_age.len() != layers {
            let got = code.max_age.len();
            return bad(
                "code.max_age",
                format!("got {got} times for {layers} layers; expected one each, or none"),
            );
        }
        if code.max_age.contains(&0) {
            return bad("code.max_age", "got 0, expected times such as 10ms".to_owned());
        }
        if let Some(cap) = code.flush_cap.filter(|cap| !(1.0..=64.0).contains(cap)) {
            return bad("code.flush_cap", format!("got {cap}, expected 1 to 64"));
        }
        if let Some(window) = code.window.filter(|window| !(256..=1 << 22).contains(window)) {
            return bad("code.window", format!("got {window}, expected 256 to {}", 1 << 22));
        }
        match code.auto.as_ref().map(|auto| auto.validate(code)) {
            Some(Err((key, problem))) => bad(key, problem),
            _ => Ok(()),
        }
    }

    fn validate_workers(&self, path: &Path) -> Result<Split, ConfigError> {
        let bad = |key, problem| ConfigError::Value { path: path.to_owned(), key, problem };
        let expected = |got| format!("got {got}, expected 1 to {MAX_CHANNELS}");
        let channels = 1..=u16::from(MAX_CHANNELS);
        for (key, got) in [
            ("wan.peer_channels", self.wan.peer_channels.map(u16::from)),
            ("lan.queues", self.lan.queues),
            ("wan.queues", self.wan.queues),
        ] {
            if let Some(got) = got.filter(|got| !channels.contains(got)) {
                return Err(bad(key, expected(got)));
            }
        }
        let split = Split::new(&self.workers, self.wan.peer_channels);
        split.map_err(|problem| bad("worker", problem))
    }

    /// Which worker does what.
    ///
    /// # Errors
    /// If the workers don't fit together, in one line. [`Config::load`] has made sure that they do.
    pub fn split(&self) -> Result<Split, String> {
        Split::new(&self.workers, self.wan.peer_channels)
    }

    /// The gateway that this describes, when workers are split so.
    pub fn blueprint(&self, split: &Split) -> Blueprint {
        let code = &self.code;
        let mut timing = Timing::with_idle(&code.layers, code.idle);
        timing.latency = code.latency;
        for (age, &configured) in timing.age.iter_mut().zip(&code.max_age) {
            *age = Some(configured);
        }
        if let Some(cap) = code.flush_cap {
            timing.flush_cap = cap;
        }
        debug_assert!(code.max_age.len() <= MAX_LAYERS);
        // It was validated.
        let (encapsulation, next_hop) = self.wan.encapsulation().unwrap_or_default();
        Blueprint {
            side: self.gateway.side,
            integrity: code.integrity,
            keys: self.gateway.key_mode(),
            link_local: self.lan.link_local,
            oversize: self.wan.oversize(self.gateway.key_mode()),
            too_big: self.lan.too_big,
            mss_clamp: self.wan.mss_clamp,
            lan_frame: usize::from(self.lan.mtu) + OUTER_LEN + TAGS,
            wan_mtu: self.wan.mtu,
            encapsulation,
            next_hop,
            sparse: code.sparse.resolve(&code.layers),
            timing,
            code: code.layers.clone(),
            largest: code.auto.as_ref().map(|auto| auto.largest.clone()),
            window: code.window,
            hugepages: self.gateway.hugepages,
            limit: self.wan.limit(),
            retransmission: self.link.retransmission(self.wan.rate, split.protect.len() as u8),
            resequence: self.lan.resequence,
            channels_out: split.protect.len() as u8,
            channels_in: split.recover.len() as u8,
            lan_ports: self.lan.ports().count() as u8,
        }
    }
}

/// The number of the last CPU that this machine can have, if it says.
pub fn last_cpu() -> Option<usize> {
    let cpus = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    cpus.trim().rsplit(['-', ',']).next()?.parse().ok()
}

/// A parse error in one line, with the line that it is about.
fn located(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
    ConfigError::Line {
        path: path.to_owned(),
        line: line + 1,
        problem: error.message().lines().collect::<Vec<_>>().join(", "),
        text: text.lines().nth(line).unwrap_or("").trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEST: &str = include_str!("../config/gateway-west.toml");
    const EAST: &str = include_str!("../config/gateway-east.toml");

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("gateway.toml"), text).map_err(|error| error.to_string())
    }

    fn blueprint(config: &Config) -> Blueprint {
        config.blueprint(&config.split().unwrap())
    }

    /// `text` with its first line that begins with `from` replaced.
    fn with(text: &str, from: &str, to: &str) -> String {
        let mut found = false;
        let lines = text.lines().map(|line| match line.starts_with(from) && !found {
            true => {
                found = true;
                to
            }
            false => line,
        });
        let changed = lines.collect::<Vec<_>>().join("\n");
        assert!(found, "no line begins with {from}");
        changed
    }

    #[test]
    fn the_shipped_pair_is_a_pair() {
        let (west, east) = (parse(WEST).unwrap(), parse(EAST).unwrap());
        assert_eq!((west.gateway.side, east.gateway.side), (Side::West, Side::East));
        let of_west = Blueprint { side: Side::East, ..blueprint(&west) };
        assert_eq!(format!("{of_west:?}"), format!("{:?}", blueprint(&east)));
        assert!(blueprint(&west).warnings().is_empty());
    }

    /// What the shipped file shows as a default is the default.
    #[test]
    fn commented_defaults_are_the_defaults() {
        let computed = ["#max_age", "#window"];
        let shown: Vec<&str> = WEST
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key)
                    if key.starts_with(|c: char| c.is_ascii_lowercase())
                        && !computed.iter().any(|name| line.starts_with(name)) =>
                {
                    key
                }
                _ => line,
            })
            .collect();
        let shown = shown.join("\n");
        assert!(shown.contains("\nmtu = 1500") && shown.contains("\nflush_cap = 3.0"));
        let (shown, default) = (parse(&shown).unwrap(), parse(WEST).unwrap());
        assert_eq!(format!("{:?}", blueprint(&shown)), format!("{:?}", blueprint(&default)));
        assert_eq!(shown.gateway.memory_limit, default.gateway.memory_limit);
        assert_eq!(shown.wan.peer_mac(), default.wan.peer_mac());
    }

    /// The shipped file's example of a routed WAN, what goes into `[wan]`.
    fn with_udp() -> String {
        let keys = ["address", "peer", "gateway", "udp_port", "dscp", "udp_checksum"];
        let example = WEST
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| keys.contains(&key)));
        let example = ["mtu = 9000\nencapsulation = \"udp\""].into_iter().chain(example);
        with(WEST, "mtu = 9000", &example.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_shipped_example_of_a_routed_wan_is_one() {
        let example = parse(&with_udp()).unwrap();
        let blueprint = blueprint(&example);
        let tunnel = blueprint.encapsulation.tunnel().unwrap();
        assert_eq!((tunnel.ours.to_string(), tunnel.port), ("192.0.2.1".to_owned(), 8147));
        assert_eq!(blueprint.next_hop.unwrap().to_string(), "192.0.2.254");
        assert_eq!(blueprint.oversize, Oversize::Drop);
        // What it shows as defaults are the defaults.
        let fewer = with_udp();
        let fewer: Vec<&str> = fewer
            .lines()
            .filter(|line| {
                !["udp_port", "dscp", "udp_checksum"].iter().any(|key| line.starts_with(key))
            })
            .collect();
        let default = parse(&fewer.join("\n")).unwrap();
        assert_eq!(blueprint.encapsulation, self::blueprint(&default).encapsulation);
    }

    #[test]
    fn what_a_routed_wan_lacks_or_has_too_much_is_named() {
        for (from, to, expected) in [
            ("address", "", &["wan.address", "missing", "192.0.2.1/24"][..]),
            (
                "address",
                "address = \"192.0.2.1\"",
                &["192.0.2.1", "expected an IP address and its"],
            ),
            ("address", "address = \"192.0.2.255/24\"", &["wan.address", "of one host"]),
            ("address", "address = \"2001:db8::1/64\"", &["wan.peer", "family of 2001:db8::1"]),
            ("peer =", "", &["wan.peer", "missing"]),
            ("peer =", "peer = \"here\"", &["here", "expected an IP address"]),
            ("peer =", "peer = \"192.0.2.1\"", &["wan.peer", "which is wan.address"]),
            ("peer =", "peer = \"224.0.0.1\"", &["wan.peer", "of one host"]),
            ("gateway", "", &["wan.gateway", "198.51.100.1 is not in the network of 192.0.2.1/24"]),
            ("gateway", "gateway = \"192.0.3.1\"", &["wan.gateway", "in the network of"]),
            ("udp_port", "udp_port = 0", &["wan.udp_port", "got 0"]),
            ("udp_port", "udp_port = 70000", &["70000"]),
            ("dscp", "dscp = 64", &["dscp 64", "0 to 63"]),
            ("dscp", "dscp = \"low\"", &["low", "\"copy\""]),
            ("udp_checksum", "oversize = \"bypass\"", &["wan.oversize", "\"drop\""]),
            ("udp_checksum", "ethertype = 0x88B5", &["wan.ethertype", "expected none"]),
            (
                "udp_checksum",
                "peer_mac = \"02:00:00:00:00:01\"",
                &["wan.peer_mac", "expected none"],
            ),
            ("udp_checksum", "vlan = 4095", &["wan.vlan", "got 4095, expected 1 to 4094"]),
            (
                "encapsulation",
                "encapsulation = \"ether\"",
                &["wan.address", "encapsulation = \"udp\""],
            ),
            ("encapsulation", "encapsulation = \"gre\"", &["gre", "udp"]),
        ] {
            let error = parse(&with(&with_udp(), from, to)).expect_err(to);
            assert!(expected.iter().all(|part| error.contains(part)), "{to}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let tagged = with(WEST, "mtu = 9000", "mtu = 9000\nvlan = 5\noversize = \"bypass\"");
        assert!(parse(&tagged).unwrap_err().contains("wan.vlan"));
        let v6 = with(&with_udp(), "address", "address = \"2001:db8::1/64\"");
        let v6 = with(&with(&v6, "peer =", "peer = \"2001:db8::2\""), "gateway", "");
        assert!(parse(&v6).is_ok());
        let small = with(&v6, "mtu = 9000", "mtu = 1279");
        assert!(parse(&small).unwrap_err().contains("expected at least 1280 for IPv6"));
    }

    /// The shipped file's example of `[netsync]`.
    fn with_netsync() -> String {
        let example = WEST.lines().skip_while(|line| *line != "# [netsync]");
        let example = example.take_while(|line| line.starts_with("# "));
        let keys = example.filter_map(|line| line.strip_prefix("# ")).filter(|line| {
            line.starts_with('[')
                || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        });
        format!("{WEST}\n{}\n", keys.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_shipped_example_of_netsync_is_one() {
        let netsync = parse(&with_netsync()).unwrap().netsync.unwrap();
        assert_eq!((netsync.flows, netsync.ring, netsync.mode), (4096, 65536, 0o660));
        assert_eq!((netsync.exit_delay, netsync.idle), (0, Some(100_000)));
        assert_eq!(netsync.tracks.len(), 1);
        assert!(parse(WEST).unwrap().netsync.is_none());
        // Its defaults are the defaults.
        let least = format!("{WEST}\n[netsync]\nsocket = \"/run/maelstrom/west.sock\"\n");
        let least = parse(&least).unwrap().netsync.unwrap();
        assert_eq!((least.flows, least.ring, least.mode), (4096, 65536, 0o660));
        assert_eq!((least.exit_delay, least.idle), (0, None));
        assert!(least.filter().is_empty() && least.group.is_none());
    }

    #[test]
    fn bad_values_of_netsync_are_named_in_one_line() {
        for (from, to, expected) in [
            ("socket", "", "missing field `socket`"),
            ("socket", "socket = \"\"", "netsync.socket"),
            ("mode", "mode = \"0999\"", "octal permissions"),
            ("mode", "mode = 660", "expected a string"),
            ("exit_delay", "exit_delay = \"2s\"", "netsync.exit_delay"),
            ("idle = \"100us", "idle = \"0us\"", "netsync.idle: got 0"),
            ("flows", "flows = 1000", "got 1000, expected a power of two from 1 to"),
            ("ring", "ring = 2", "got 2, expected a power of two from 4 to"),
            ("prefix", "prefix = \"10.1.0.0/40\"", "from 0 to 32"),
            ("port = 5432", "port = 70000", "u16"),
            ("end", "end = \"near\"", "near"),
            ("end", "ends = \"local\"", "unknown field `ends`"),
            ("port = 5432", "[[netsync.track]]", "neither prefix nor port"),
        ] {
            let error = parse(&with(&with_netsync(), from, to)).unwrap_err();
            assert!(error.contains(expected), "{to}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn bad_values_are_named_in_one_line() {
        for (from, to, expected) in [
            ("side", "side = \"north\"", "north"),
            ("side", "", "missing field `side`"),
            ("side", "side = \"west\"\nsdie = 1", "unknown field `sdie`"),
            ("hugepages", "hugepages = 7", "expected a boolean"),
            ("#memory_limit", "memory_limit = \"2GB\"", "2GB"),
            ("#memory_limit", "memory_limit = \"1MiB\"", "limit of 1 MiB"),
            ("idle", "idle = \"sleep\"", "sleep"),
            ("port", "port = \"nonsense port\"", "nonsense port"),
            ("#mtu", "mtu = 20", "lan.mtu"),
            ("mtu", "mtu = 100", "wan.mtu"),
            ("mtu", "mtu = 99999", "99999"),
            ("#ethertype", "ethertype = 5", "wan.ethertype"),
            ("#peer_mac", "peer_mac = \"1:2\"", "MAC address"),
            ("#oversize", "oversize = \"split\"", "split"),
            ("#encapsulation", "encapsulation = \"gre\"", "gre"),
            ("# routed", "routed = true", "wan.routed: got a value"),
            ("# routed", "routed = \"yes\"", "expected a boolean"),
            (
                "#peer_channels",
                "encapsulation = \"transparent\"\npeer_channels = 2",
                "worker: 1 protect and the peer has 2",
            ),
            (
                "[code]",
                "encapsulation = \"transparent\"\n[code]\nintegrity = \"off\"",
                "code.integrity: got \"off\"",
            ),
            (
                "#encapsulation",
                "encapsulation = \"transparent\"",
                "gateway.key_file: got a key, but transparent",
            ),
            ("layers", "layers = \"8:\"", "8:"),
            ("layers", "layers = \"8:1,x\"", "interleave"),
            ("layers", "layers = \"1024:16381\"", "code.layers"),
            ("#sparse", "sparse = \"some\"", "or off"),
            ("#latency", "latency = \"1us\"", "code.latency"),
            ("#idle", "idle = \"0ms\"", "code.idle"),
            ("#sparse", "sparse = \"64:101\"\nwindow = 4096", "64:101"),
            ("#max_age", "max_age = [\"10ms\"]", "code.max_age"),
            ("#flush_cap", "flush_cap = 0.5", "code.flush_cap"),
            ("#window", "window = 300", "2060"),
            ("#window", "window = 128", "expected 256 to"),
            ("#integrity", "integrity = \"crc\"", "crc"),
            ("core = 3", "core = 2", "named twice"),
            ("rooms", "rooms = [\"recover\"]", "each at least once"),
            ("#queues", "queues = 0", "lan.queues: got 0, expected 1 to 16"),
            ("#rate", "rate = \"10Gb\"", "10Gb"),
            ("#rate", "rate = 10", "expected a string"),
            ("#rate", "rate = \"0bps\"", "wan.rate: got 0bps, expected 1Mbps to 1Tbps"),
            ("#rate", "rate = \"2Tbps\"", "wan.rate: got 2Tbps"),
            ("#overload", "overload = \"fair\"", "expected `reserve` or `source-first`"),
            ("#queue = \"", "queue = \"1KiB\"", "wan.queue: got 1024 bytes, expected 64KiB to"),
            ("#queue = \"", "queue = \"2GiB\"", "wan.queue"),
            ("#queue = \"", "queue = \"2MB\"", "2MB"),
            ("#rate", "rate = \"1Gbps\"\nqueue = \"1GiB\"", "limit of 2048 MiB"),
            ("#peer_channels", "peer_channels = 17", "wan.peer_channels: got 17"),
            ("#peer_channels", "peer_channels = 300", "300"),
            ("rooms", "rooms = [\"protect\", \"recover\"]", "2 workers recover"),
            ("rooms", "rooms = []", "the first worker has no room"),
            ("rooms", "rooms = [\"kitchen\"]", "kitchen"),
            ("#too_big", "too_big = \"fragment\"", "fragment"),
            (
                "#more_ports",
                "more_ports = [\"0000:03:00.0\"]",
                "lan.more_ports: got 0000:03:00.0 twice",
            ),
            ("#more_ports", "more_ports = [\"0000:03:00.1\"]", "wan.port: got 0000:03:00.1"),
            ("#more_ports", "more_ports = [\"net tap\"]", "net tap"),
            ("#more_ports", "more_ports = \"net_tap0\"", "expected a sequence"),
            ("#addresses", "addresses = 100", "lan.addresses: got 100, expected a power of two"),
            ("#address_age", "address_age = \"1ms\"", "lan.address_age: got 1ms, expected 1s to"),
            ("#mss_clamp", "mss_clamp = \"yes\"", "expected a boolean"),
            ("[code]", "[cod]", "cod"),
            ("#hello", "hello = \"5ms\"", "link.hello: got 5 ms, expected 20ms to 10s"),
            ("#hello", "hello = 100", "expected a string"),
            ("#peer_down", "peer_down = \"stop\"", "stop"),
            ("#peer_down", "peer_up = \"drop\"", "unknown field `peer_up`"),
            ("key_file", "", "gateway.key_file: missing; expected key_file = \"FILE\", a key that"),
            ("key_file", "key_file = \"k\"\nkeys = \"none\"", "gateway.key_file: got both"),
            ("key_file", "keys = \"some\"", "unknown variant `some`, expected `none`"),
            ("key_file", "keys = \"none\"\nkey_mode = \"tag\"", "gateway.key_mode: got a value"),
            ("#key_mode", "key_mode = \"hide\"", "expected `tag` or `seal`"),
            ("#oversize", "oversize = \"bypass\"", "wan.oversize: got \"bypass\" with gateway.key"),
            (
                "#peer_down",
                "peer_down = \"bypass\"",
                "link.peer_down: got \"bypass\" with gateway.",
            ),
            (
                "#integrity",
                "integrity = \"off\"",
                "code.integrity: got \"off\" with gateway.key_file",
            ),
            ("[link]", "[control]\nsocket = \"\"\n[link]", "control.socket: got \"\""),
            ("[link]", "[control]\n[link]", "missing field `socket`"),
            ("[link]", "[control]\nsocket = \"s\"\nmode = \"9\"\n[link]", "octal"),
        ] {
            let error = parse(&with(WEST, from, to)).expect_err(to);
            assert!(error.contains(expected), "{to}: {error}");
            assert!(error.starts_with("gateway.toml:"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn keys_are_asked_for_or_declined() {
        let keyed = blueprint(&parse(WEST).unwrap());
        assert_eq!((keyed.keys, keyed.oversize), (Some(Mode::Tag), Oversize::Drop));
        let sealed = parse(&with(WEST, "#key_mode", "key_mode = \"seal\"")).unwrap();
        assert_eq!(blueprint(&sealed).keys, Some(Mode::Seal));
        let none = parse(&with(WEST, "key_file", "keys = \"none\"")).unwrap();
        assert_eq!((blueprint(&none).keys, blueprint(&none).oversize), (None, Oversize::Bypass));
        assert!(none.gateway.load_key().unwrap().is_none());
    }

    #[test]
    fn a_rate_is_shared_by_channels_and_its_queue_counted() {
        let limited = "rate = \"10Gbps\"\noverload = \"source-first\"\n#peer_channels";
        let config = parse(&with(WEST, "#peer_channels", limited)).unwrap();
        let limit = Limit { rate: 10_000_000_000, overload: Overload::SourceFirst, queue: 2 << 20 };
        assert_eq!(blueprint(&config).limit, Some(limit));
        let two = Blueprint { channels_out: 2, ..blueprint(&config) };
        let share = Some(Limit { rate: 5_000_000_000, ..limit });
        assert_eq!(two.protect(1, 1, [2; 6], [4; 6]).limit, share);
        // Sources and repairs, each of 512 bytes at least.
        let unlimited = Blueprint { limit: None, ..two.clone() };
        assert_eq!(two.mbufs(), unlimited.mbufs() + 2 * 2 * 4096);
        assert!(two.memory().groups > unlimited.memory().groups + 2 * 4096 * 8);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Path::new("no/such.toml")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.toml: ") && error.lines().count() == 1, "{error}");
    }
}
