//! The configuration file of `maelstrom run`: parsed, validated, every limit named.
//!
//! config/gateway-west.toml is a complete one that explains each key.

mod netsync;
mod values;
pub mod workers;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::dpdk::Device;
use crate::fec::code::MAX_LAYERS;
use crate::fec::{Code, Timing};
use crate::gateway::blueprint::TAGS;
use crate::gateway::{Blueprint, Encapsulation, Idle, LinkLocal, Oversize, Side};
use crate::wire::outer::OUTER_LEN;
use crate::wire::shim::Integrity;

pub use netsync::{GroupName, NetsyncSection, TrackSection};
pub use values::{Mac, Sparse};
use values::{
    default_ethertype, default_idle, default_lan_mtu, default_latency, default_memory_limit,
    default_peer, device, size, text, time, times,
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
    /// Cores and their rooms.
    #[serde(rename = "worker")]
    pub workers: Vec<WorkerSection>,
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
}

/// `[lan]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanSection {
    /// PCI address or vdev string.
    #[serde(deserialize_with = "device")]
    pub port: Device,
    /// The LAN's MTU.
    #[serde(default = "default_lan_mtu")]
    pub mtu: u16,
    /// Frames for bridges only.
    #[serde(default)]
    pub link_local: LinkLocal,
    /// Queues each way, at most; none is as many as workers need.
    #[serde(default)]
    pub queues: Option<u16>,
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
    /// How packets cross.
    #[serde(default)]
    pub encapsulation: Encapsulation,
    /// Whether routers on a transparent circuit change addresses and TTL.
    #[serde(default)]
    pub routed: bool,
    /// EtherType of our packets.
    #[serde(default = "default_ethertype")]
    pub ethertype: u16,
    /// The peer's address.
    #[serde(default = "default_peer")]
    pub peer_mac: Mac,
    /// Frames too large to protect.
    #[serde(default)]
    pub oversize: Oversize,
    /// On how many channels the peer sends; none is on as many as we do.
    #[serde(default)]
    pub peer_channels: Option<u8>,
    /// Queues each way, at most; none is as many as workers need.
    #[serde(default)]
    pub queues: Option<u16>,
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
        let config: Config = toml::from_str(text).map_err(|error| located(path, text, &error))?;
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
        if self.wan.ethertype < 0x600 {
            let got = self.wan.ethertype;
            return bad("wan.ethertype", format!("got {got:#06x}, expected 0x0600 to 0xffff"));
        }
        if self.lan.port.name() == self.wan.port.name() {
            let name = self.lan.port.name();
            return bad("wan.port", format!("got {name}, which is the LAN port; expected another"));
        }
        self.validate_code(path)?;
        if let Some(Err((key, problem))) = self.netsync.as_ref().map(NetsyncSection::validate) {
            return bad(key, problem);
        }
        let split = self.validate_workers(path)?;
        if let Err((key, problem)) = self.validate_encapsulation(&split) {
            return bad(key, problem);
        }
        let limit = self.gateway.memory_limit;
        self.blueprint(&split).check(limit).or_else(|error| bad("code.layers", error.to_string()))
    }

    /// Whether what is configured is possible with the encapsulation.
    fn validate_encapsulation(&self, split: &Split) -> Result<(), (&'static str, String)> {
        if self.wan.encapsulation != Encapsulation::Transparent {
            return match self.wan.routed {
                true => Err((
                    "wan.routed",
                    "got true, which is for encapsulation = \"transparent\"; expected false"
                        .to_owned(),
                )),
                false => Ok(()),
            };
        }
        if self.code.integrity == Integrity::Off {
            let problem =
                "got \"off\", but transparent repairs name frames by hashes; expected \"check\"";
            return Err(("code.integrity", problem.to_owned()));
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
        if let Some(window) = code.window.filter(|window| !(64..=1 << 22).contains(window)) {
            return bad("code.window", format!("got {window}, expected 64 to {}", 1 << 22));
        }
        Ok(())
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
        Blueprint {
            side: self.gateway.side,
            encapsulation: self.wan.encapsulation,
            routed: self.wan.routed,
            integrity: code.integrity,
            link_local: self.lan.link_local,
            oversize: self.wan.oversize,
            lan_frame: usize::from(self.lan.mtu) + OUTER_LEN + TAGS,
            wan_mtu: self.wan.mtu,
            ethertype: self.wan.ethertype,
            sparse: code.sparse.resolve(&code.layers),
            timing,
            code: code.layers.clone(),
            window: code.window,
            hugepages: self.gateway.hugepages,
            channels_out: split.protect.len() as u8,
            channels_in: split.recover.len() as u8,
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
        assert_eq!(shown.wan.peer_mac, default.wan.peer_mac);
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
            ("#routed", "routed = true", "wan.routed: got true"),
            ("#routed", "routed = \"yes\"", "expected a boolean"),
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
            ("layers", "layers = \"8:\"", "8:"),
            ("layers", "layers = \"8:1,x\"", "interleave"),
            ("layers", "layers = \"1024:16381\"", "code.layers"),
            ("#sparse", "sparse = \"some\"", "or off"),
            ("#latency", "latency = \"1us\"", "code.latency"),
            ("#idle", "idle = \"0ms\"", "code.idle"),
            ("#sparse", "sparse = \"64:101\"\nwindow = 4096", "64:101"),
            ("#max_age", "max_age = [\"10ms\"]", "code.max_age"),
            ("#flush_cap", "flush_cap = 0.5", "code.flush_cap"),
            ("#window", "window = 100", "2060"),
            ("#window", "window = 1", "code.window"),
            ("#integrity", "integrity = \"crc\"", "crc"),
            ("core = 3", "core = 2", "named twice"),
            ("rooms", "rooms = [\"recover\"]", "each at least once"),
            ("#queues", "queues = 0", "lan.queues: got 0, expected 1 to 16"),
            ("#peer_channels", "peer_channels = 17", "wan.peer_channels: got 17"),
            ("#peer_channels", "peer_channels = 300", "300"),
            ("rooms", "rooms = [\"protect\", \"recover\"]", "2 workers recover"),
            ("rooms", "rooms = []", "the first worker has no room"),
            ("rooms", "rooms = [\"kitchen\"]", "kitchen"),
            ("[code]", "[cod]", "cod"),
        ] {
            let error = parse(&with(WEST, from, to)).expect_err(to);
            assert!(error.contains(expected), "{to}: {error}");
            assert!(error.starts_with("gateway.toml:"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Path::new("no/such.toml")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.toml: ") && error.lines().count() == 1, "{error}");
    }
}
