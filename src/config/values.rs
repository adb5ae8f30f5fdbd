//! Values of a configuration file: how each kind is written, and the defaults.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::dpdk::Device;
use crate::fec::Code;
use crate::units::{parse_rate, parse_size, parse_time};

/// Which code sparse traffic gets.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Sparse {
    /// [`Code::short`] of the code for dense traffic.
    #[default]
    Auto,
    /// The same as dense traffic.
    Off,
    /// This one.
    Code(Code),
}

impl Sparse {
    /// The code, given that for dense traffic.
    pub fn resolve(&self, dense: &Code) -> Option<Code> {
        match self {
            Sparse::Auto => Some(dense.short()),
            Sparse::Off => None,
            Sparse::Code(code) => Some(code.clone()),
        }
    }
}

impl FromStr for Sparse {
    type Err = String;

    fn from_str(text: &str) -> Result<Sparse, String> {
        match text {
            "auto" => Ok(Sparse::Auto),
            "off" => Ok(Sparse::Off),
            code => match code.parse() {
                Ok(code) => Ok(Sparse::Code(code)),
                Err(error) => Err(format!("{error}, or auto, or off")),
            },
        }
    }
}

/// An Ethernet address, written 02:4d:53:00:00:01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Mac, String> {
        let byte = |part: &str| match part.len() {
            2 => u8::from_str_radix(part, 16).ok(),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let bytes: Option<[u8; 6]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Mac).ok_or_else(|| {
            format!(
                "MAC address \"{text}\": expected six hexadecimal bytes, e.g. 02:4d:53:00:00:01"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
        text(deserializer)
    }
}

pub(super) fn default_memory_limit() -> u64 {
    2 << 30
}

pub(super) fn default_lan_mtu() -> u16 {
    1500
}

/// Everyone: right on any circuit that has just the peer at its other end.
pub(super) fn default_peer() -> Mac {
    Mac([0xFF; 6])
}

/// Enough for the bursts of a few TCP flows at 10 Gb/s: 1.7 ms.
pub(super) fn default_queue() -> u64 {
    2 << 20
}

pub(super) fn default_mss_clamp() -> bool {
    true
}

pub(super) fn default_addresses() -> usize {
    4096
}

/// IEEE 802.1Q's own (table 8-6).
pub(super) fn default_address_age() -> u64 {
    300_000_000_000
}

pub(super) fn default_latency() -> u64 {
    50_000_000
}

pub(super) fn default_idle() -> u64 {
    1_000_000
}

fn parsed<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(serde::de::Error::custom)
}

pub(super) fn text<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error>
where
    T::Err: fmt::Display,
{
    parsed(deserializer, str::parse)
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parsed(deserializer, parse_size)
}

pub(super) fn optional_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

/// None is unlimited.
pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    parsed(deserializer, parse_rate)
}

pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parsed(deserializer, parse_time)
}

pub(super) fn times<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_time(text).map_err(serde::de::Error::custom)).collect()
}

pub(super) fn device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Device, D::Error> {
    parsed(deserializer, Device::parse)
}

pub(super) fn devices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Device>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| Device::parse(text).map_err(serde::de::Error::custom)).collect()
}
