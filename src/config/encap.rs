//! The keys of `[wan]` that say what surrounds packets between the gateways.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::WanSection;
use crate::gateway::Oversize;
use crate::wire::encap::{Carrier, Dscp, Encapsulation, Tunnel};
use crate::wire::seal::Mode;

/// Where both gateways receive unless configured: a port that nobody has registered.
const PORT: u16 = 8147;
/// What every link that carries IPv6 carries (RFC 8200, section 5).
const IPV6_MTU: u16 = 1280;

/// What carries packets, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CarrierName {
    /// A circuit.
    #[default]
    Ether,
    /// Routers.
    Udp,
}

/// An address and the length of its network's prefix, written 192.0.2.1/24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// How many of its bits are the network's.
    pub length: u8,
}

impl Address {
    /// Whether an address is in the same network.
    fn reaches(&self, other: IpAddr) -> bool {
        let ([ours, theirs], bits) = match (self.ip, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => ([a, b].map(|ip| u128::from(ip.to_bits())), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => ([a, b].map(Ipv6Addr::to_bits), 128),
            _ => return false,
        };
        (ours ^ theirs).checked_shr(bits - u32::from(self.length)).unwrap_or(0) == 0
    }

    /// Whether it is the address of all stations of its network, or of the network itself.
    fn is_everyones(&self) -> bool {
        let IpAddr::V4(ip) = self.ip else { return false };
        let host = u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
        self.length < 31 && [0, host].contains(&(ip.to_bits() & host))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let parsed = text.split_once('/').and_then(|(ip, length)| {
            let (ip, length): (IpAddr, u8) = (ip.parse().ok()?, length.parse().ok()?);
            let most = if ip.is_ipv4() { 32 } else { 128 };
            (1..=most).contains(&length).then_some(Address { ip, length })
        });
        parsed.ok_or_else(|| {
            format!(
                "address \"{text}\": expected an IP address and its network's length, such as \
                 192.0.2.1/24 or 2001:db8::1/64"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        super::values::text(deserializer)
    }
}

/// An IP address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(pub IpAddr);

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Host, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Host).map_err(|_| {
            let expected = "expected an IP address such as 198.51.100.1 or 2001:db8::1";
            serde::de::Error::custom(format!("address \"{text}\": {expected}"))
        })
    }
}

/// `"copy"`, or 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DscpValue(pub Dscp);

impl<'de> Deserialize<'de> for DscpValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DscpValue, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) if text == "copy" => Ok(DscpValue(Dscp::Copy)),
            toml::Value::Integer(dscp @ 0..=63) => Ok(DscpValue(Dscp::Set(dscp as u8))),
            other => {
                let problem = format!("dscp {other}: expected \"copy\" or a number from 0 to 63");
                Err(serde::de::Error::custom(problem))
            }
        }
    }
}

/// A key, and what is wrong with its value.
type Bad = (&'static str, String);

impl WanSection {
    /// What surrounds our packets, and the next hop if the WAN is routed.
    pub(super) fn encapsulation(&self) -> Result<(Encapsulation, Option<IpAddr>), Bad> {
        if let Some(vlan) = self.vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
            return Err(("wan.vlan", format!("got {vlan}, expected 1 to 4094")));
        }
        let (carrier, hop) = match self.encapsulation {
            CarrierName::Ether => (self.ether()?, None),
            CarrierName::Udp => self.udp()?,
        };
        let encapsulation = Encapsulation { vlan: self.vlan, carrier };
        let bypass = self.oversize == Some(Oversize::Bypass);
        if bypass && encapsulation != (Encapsulation { vlan: None, carrier: self.ether()? }) {
            let with = if self.vlan.is_some() { "wan.vlan" } else { "encapsulation = \"udp\"" };
            let problem = format!("got \"bypass\" with {with}; expected \"drop\", or none");
            return Err(("wan.oversize", problem));
        }
        Ok((encapsulation, hop))
    }

    /// What happens to frames that are too large: with a header that all packets need, or with keys, they
    /// can't bypass.
    pub(super) fn oversize(&self, keys: Option<Mode>) -> Oversize {
        let plain =
            self.encapsulation == CarrierName::Ether && self.vlan.is_none() && keys.is_none();
        self.oversize.unwrap_or(if plain { Oversize::Bypass } else { Oversize::Drop })
    }

    fn ether(&self) -> Result<Carrier, Bad> {
        for (key, given) in [
            ("wan.address", self.address.is_some()),
            ("wan.gateway", self.gateway.is_some()),
            ("wan.peer", self.peer.is_some()),
            ("wan.udp_port", self.udp_port.is_some()),
            ("wan.udp_checksum", self.udp_checksum.is_some()),
            ("wan.dscp", self.dscp.is_some()),
        ] {
            if given && self.encapsulation == CarrierName::Ether {
                let expected = "got a value; expected none, or encapsulation = \"udp\"";
                return Err((key, expected.to_owned()));
            }
        }
        let ethertype = self.ethertype.unwrap_or(crate::wire::outer::ETHERTYPE);
        if ethertype < 0x600 {
            let problem = format!("got {ethertype:#06x}, expected 0x0600 to 0xffff");
            return Err(("wan.ethertype", problem));
        }
        Ok(Carrier::Ether { ethertype })
    }

    fn udp(&self) -> Result<(Carrier, Option<IpAddr>), Bad> {
        let none = |key, what: &str| -> Bad {
            (key, format!("got a value, but {what}; expected none with encapsulation = \"udp\""))
        };
        if self.ethertype.is_some() {
            return Err(none("wan.ethertype", "an IP packet has IP's"));
        }
        if self.peer_mac.is_some() {
            return Err(none("wan.peer_mac", "the next hop is asked for its own"));
        }
        let missing = |key, example: &str| -> Bad {
            (key, format!("missing; expected one with encapsulation = \"udp\", such as {example}"))
        };
        let Some(address) = self.address else {
            return Err(missing("wan.address", "\"192.0.2.1/24\""));
        };
        let Some(Host(peer)) = self.peer else {
            return Err(missing("wan.peer", "\"198.51.100.1\""));
        };
        let ours = address.ip;
        let hosts = [("wan.address", Some(ours)), ("wan.peer", Some(peer))];
        let hosts = hosts.into_iter().chain([("wan.gateway", self.gateway.map(|Host(ip)| ip))]);
        for (key, ip) in hosts.filter_map(|(key, ip)| Some((key, ip?))) {
            if !is_host(ip) || (key == "wan.address" && address.is_everyones()) {
                return Err((key, format!("got {ip}, expected the address of one host")));
            }
            if ip.is_ipv4() != ours.is_ipv4() {
                let problem =
                    format!("got {ip}, expected one of the family of {ours}, wan.address");
                return Err((key, problem));
            }
            if key != "wan.address" && ip == ours {
                return Err((key, format!("got {ip}, which is wan.address; expected another")));
            }
        }
        let hop = match self.gateway {
            None if !address.reaches(peer) => {
                let problem = format!(
                    "missing; {peer} is not in the network of {ours}/{}: expected the router that leads \
                     there",
                    address.length
                );
                return Err(("wan.gateway", problem));
            }
            Some(Host(hop)) if !address.reaches(hop) && !is_link_local(hop) => {
                let problem = format!(
                    "got {hop}, expected an address in the network of {ours}/{}",
                    address.length
                );
                return Err(("wan.gateway", problem));
            }
            hop => hop.map_or(peer, |Host(hop)| hop),
        };
        let port = self.udp_port.unwrap_or(PORT);
        if port == 0 {
            return Err(("wan.udp_port", "got 0, expected 1 to 65535".to_owned()));
        }
        if ours.is_ipv6() && self.mtu < IPV6_MTU {
            let problem = format!("got {}, expected at least {IPV6_MTU} for IPv6", self.mtu);
            return Err(("wan.mtu", problem));
        }
        let dscp = self.dscp.map_or(Dscp::Copy, |DscpValue(dscp)| dscp);
        let checksum = self.udp_checksum.unwrap_or(false);
        Ok((Carrier::Udp(Tunnel { ours, peer, port, dscp, checksum }), Some(hop)))
    }
}

/// Whether it is one host's, on a wire.
fn is_host(ip: IpAddr) -> bool {
    let everyone = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || everyone)
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_their_addresses() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        for (ours, other, reaches) in [
            ("192.0.2.1/24", "192.0.2.254", true),
            ("192.0.2.1/24", "192.0.3.1", false),
            ("192.0.2.1/32", "192.0.2.2", false),
            ("192.0.2.0/31", "192.0.2.1", true),
            ("2001:db8::1/64", "2001:db8::ffff:1", true),
            ("2001:db8::1/64", "2001:db8:0:1::1", false),
            ("2001:db8::1/64", "192.0.2.1", false),
        ] {
            assert_eq!(address(ours).reaches(other.parse().unwrap()), reaches, "{ours} {other}");
        }
        assert!(address("192.0.2.255/24").is_everyones() && address("192.0.2.0/24").is_everyones());
        assert!(!address("192.0.2.0/31").is_everyones() && !address("192.0.2.1/32").is_everyones());
        for text in ["192.0.2.1", "192.0.2.1/33", "2001:db8::1/0", "x/24", "2001:db8::1/129", ""] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
