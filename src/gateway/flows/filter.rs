//! Which flows are tracked: rules from the configuration, of which one must fit.

use std::net::IpAddr;
use std::str::FromStr;

use netsync::FlowKey;

use crate::wire::tcp::{Addresses, Segment};

/// Which end of a flow a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The one on this gateway's LAN, a storage process.
    Local,
    /// The one beyond the WAN, its mirror.
    Remote,
    /// Either of them.
    #[default]
    Either,
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// IPv4 mapped into IPv6, zeros beyond the prefix.
    bits: u128,
    mask: u128,
    v4: bool,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let problem = |what: &str| {
            format!("prefix {text:?}: {what}; expected one such as 10.1.0.0/16 or fd00:1::/32")
        };
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| problem(&format!("{address:?} is no IP address")))?;
        let (bits, most, v4) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), 32, true),
            IpAddr::V6(address) => (address.to_bits(), 128, false),
        };
        let len = match len {
            None => most,
            Some(len) => match len.parse::<u32>() {
                Ok(len) if len <= most => len,
                _ => return Err(problem(&format!("{len:?} is no length from 0 to {most}"))),
            },
        };
        let mask = !u128::MAX.checked_shr(128 - most + len).unwrap_or(0);
        if bits & !mask != 0 {
            return Err(problem(&format!("bits beyond the first {len} are set")));
        }
        Ok(Prefix { bits, mask, v4 })
    }
}

/// One `[[netsync.track]]`: an end of the flow has an address of this prefix, and this port. What is
/// not given fits any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rule {
    /// Where the end is.
    pub prefix: Option<Prefix>,
    /// Its port.
    pub port: Option<u16>,
    /// Which end.
    pub end: End,
}

/// An end of a flow.
#[derive(Clone, Copy)]
struct Station {
    address: u128,
    v4: bool,
    port: u16,
}

impl Rule {
    #[inline]
    fn fits(&self, station: Station) -> bool {
        self.port.is_none_or(|port| port == station.port)
            && self.prefix.is_none_or(|prefix| {
                prefix.v4 == station.v4 && station.address & prefix.mask == prefix.bits
            })
    }
}

/// What a rule asks of both ports at once, the local one in the upper half.
#[derive(Clone, Copy, Debug)]
struct Ports {
    mask: u32,
    bits: u32,
}

/// All rules. Of none, no flow is tracked.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    rules: Box<[Rule]>,
    /// Ports of which one must fit for a rule to fit, whatever the addresses are.
    ports: Box<[Ports]>,
    /// Ports alone don't decide.
    prefixes: bool,
}

impl Filter {
    /// A flow is tracked that any of these rules fits.
    pub fn new(rules: &[Rule]) -> Filter {
        let ports = rules.iter().flat_map(|rule| {
            let Some(port) = rule.port.map(u32::from) else {
                return vec![Ports { mask: 0, bits: 0 }];
            };
            let local = Ports { mask: 0xFFFF << 16, bits: port << 16 };
            let remote = Ports { mask: 0xFFFF, bits: port };
            match rule.end {
                End::Local => vec![local],
                End::Remote => vec![remote],
                End::Either => vec![local, remote],
            }
        });
        Filter {
            rules: rules.into(),
            ports: ports.collect(),
            prefixes: rules.iter().any(|rule| rule.prefix.is_some()),
        }
    }

    /// Whether nothing is tracked.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any rule may fit a flow with these ports: quicker to ask than whether one does.
    #[inline]
    pub fn may_fit(&self, local: u16, remote: u16) -> bool {
        let both = u32::from(local) << 16 | u32::from(remote);
        self.ports.iter().any(|ports| both & ports.mask == ports.bits)
    }

    /// The flow of a segment that leaves the LAN, if it is to be tracked.
    #[inline]
    pub fn outbound(&self, segment: &Segment) -> Option<FlowKey> {
        let (source, destination) = stations(segment);
        self.any(source, destination).then(|| match segment.addresses {
            Addresses::V4(from, to) => {
                FlowKey::v4(from, segment.source_port, to, segment.destination_port)
            }
            Addresses::V6(from, to) => {
                FlowKey::v6(from, segment.source_port, to, segment.destination_port)
            }
        })
    }

    /// The flow that a segment towards the LAN acknowledges, if it is to be tracked.
    #[inline]
    pub fn inbound(&self, segment: &Segment) -> Option<FlowKey> {
        let (source, destination) = stations(segment);
        self.any(destination, source).then(|| match segment.addresses {
            Addresses::V4(from, to) => {
                FlowKey::v4(to, segment.destination_port, from, segment.source_port)
            }
            Addresses::V6(from, to) => {
                FlowKey::v6(to, segment.destination_port, from, segment.source_port)
            }
        })
    }

    #[inline]
    fn any(&self, local: Station, remote: Station) -> bool {
        match self.prefixes {
            false => self.may_fit(local.port, remote.port),
            true => self.any_in_full(local, remote),
        }
    }

    #[inline(never)]
    fn any_in_full(&self, local: Station, remote: Station) -> bool {
        self.rules.iter().any(|rule| match rule.end {
            End::Local => rule.fits(local),
            End::Remote => rule.fits(remote),
            End::Either => rule.fits(local) || rule.fits(remote),
        })
    }
}

#[inline]
fn stations(segment: &Segment) -> (Station, Station) {
    let (from, to, v4) = match segment.addresses {
        Addresses::V4(from, to) => {
            let mapped = |ip| 0xFFFF << 32 | u128::from(u32::from_be_bytes(ip));
            (mapped(from), mapped(to), true)
        }
        Addresses::V6(from, to) => (u128::from_be_bytes(from), u128::from_be_bytes(to), false),
    };
    let station = |address, port| Station { address, v4, port };
    (station(from, segment.source_port), station(to, segment.destination_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(rule: Rule, local: &str, remote: &str) -> bool {
        let frame = super::super::model::frame(local, remote, 0, 0, 16, &[]);
        let segment = Segment::parse(&frame).unwrap();
        let key = Filter::new(&[rule]).outbound(&segment);
        // The way back is the same flow.
        let frame = super::super::model::frame(remote, local, 0, 0, 16, &[]);
        let back = Segment::parse(&frame).unwrap();
        assert_eq!(Filter::new(&[rule]).inbound(&back), key);
        let expected = FlowKey::new(local.parse().unwrap(), remote.parse().unwrap());
        key.is_some_and(|key| key == expected)
    }

    fn rule(prefix: &str, port: u16, end: End) -> Rule {
        let prefix = (!prefix.is_empty()).then(|| prefix.parse().unwrap());
        Rule { prefix, port: (port > 0).then_some(port), end }
    }

    #[test]
    fn prefix_and_port_are_of_one_end() {
        let (west, east) = ("10.1.2.3:40000", "10.2.0.9:5432");
        for (prefix, port, end, expected) in [
            ("", 0, End::Either, true),
            ("", 5432, End::Either, true),
            ("", 5432, End::Remote, true),
            ("", 5432, End::Local, false),
            ("10.1.0.0/16", 0, End::Local, true),
            ("10.1.0.0/16", 0, End::Remote, false),
            ("10.1.0.0/16", 5432, End::Either, false),
            ("10.2.0.0/16", 5432, End::Either, true),
            ("10.2.0.9", 5432, End::Remote, true),
            ("10.2.0.8/31", 0, End::Remote, true),
            ("10.2.0.8", 0, End::Either, false),
            ("0.0.0.0/0", 0, End::Local, true),
            ("::/0", 0, End::Either, false),
        ] {
            assert_eq!(
                fits(rule(prefix, port, end), west, east),
                expected,
                "{prefix} {port} {end:?}"
            );
        }
        let (west, east) = ("[fd00:1::1]:1", "[fd00:2::1]:2");
        assert!(fits(rule("fd00:2::/32", 2, End::Remote), west, east));
        assert!(fits(rule("::/0", 0, End::Local), west, east));
        assert!(!fits(rule("0.0.0.0/0", 0, End::Either), west, east));
        assert!(!fits(rule("fd00:3::/32", 0, End::Either), west, east));
    }

    #[test]
    fn bad_prefixes_are_named_in_a_line() {
        for (text, expected) in [
            ("10.0.0.0/33", "from 0 to 32"),
            ("fd00::/129", "from 0 to 128"),
            ("10.0.0.1/24", "beyond the first 24"),
            ("ten/8", "no IP address"),
            ("10.0.0.0/", "from 0 to 32"),
            ("", "no IP address"),
        ] {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
    }
}
