//! What identifies a flow.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The two ends of a TCP connection. *Local* is the end on this gateway's LAN, the storage process's;
/// *remote* is the mirror's. VLAN tags don't count.
#[derive(Clone, Copy, Eq)]
pub struct FlowKey {
    /// As they lie in line A: addresses in network order, IPv4 as `::ffff:a.b.c.d`; then family (4
    /// or 6), local port, remote port, at bits 32, 16 and 0.
    words: [u64; FlowKey::WORDS],
}

impl FlowKey {
    pub(crate) const WORDS: usize = 5;

    /// An IPv6 address that stands for an IPv4 one counts as that.
    pub fn new(local: SocketAddr, remote: SocketAddr) -> FlowKey {
        match (local.ip().to_canonical(), remote.ip().to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                FlowKey::v4(a.octets(), local.port(), b.octets(), remote.port())
            }
            (a, b) => {
                let bits = |ip| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                FlowKey::v6(bits(a), local.port(), bits(b), remote.port())
            }
        }
    }

    /// As in an IPv4 header, ports in the host's order.
    #[inline]
    pub fn v4(local: [u8; 4], local_port: u16, remote: [u8; 4], remote_port: u16) -> FlowKey {
        let low = |ip| 0xFFFF << 32 | u64::from(u32::from_be_bytes(ip));
        let ports = u64::from(local_port) << 16 | u64::from(remote_port);
        FlowKey { words: [0, low(local), 0, low(remote), 4 << 32 | ports] }
    }

    /// As in an IPv6 header, ports in the host's order.
    #[inline]
    pub fn v6(local: [u8; 16], local_port: u16, remote: [u8; 16], remote_port: u16) -> FlowKey {
        let [local, remote] = [local, remote].map(u128::from_be_bytes);
        let ports = u64::from(local_port) << 16 | u64::from(remote_port);
        let high = |ip: u128| (ip >> 64) as u64;
        FlowKey { words: [high(local), local as u64, high(remote), remote as u64, 6 << 32 | ports] }
    }

    /// The storage process's end.
    pub fn local(&self) -> SocketAddr {
        self.end(0, 16)
    }

    /// The mirror's end.
    pub fn remote(&self) -> SocketAddr {
        self.end(2, 0)
    }

    fn end(&self, word: usize, shift: u32) -> SocketAddr {
        let bits = u128::from(self.words[word]) << 64 | u128::from(self.words[word + 1]);
        let ip = IpAddr::V6(Ipv6Addr::from_bits(bits));
        let ip = if self.words[4] >> 32 == 4 { ip.to_canonical() } else { ip };
        SocketAddr::new(ip, (self.words[4] >> shift) as u16)
    }

    #[inline]
    pub(crate) fn words(&self) -> [u64; FlowKey::WORDS] {
        self.words
    }

    pub(crate) fn from_words(words: [u64; FlowKey::WORDS]) -> FlowKey {
        FlowKey { words }
    }

    /// Part of the layout: publisher and subscriber compute the same.
    #[inline]
    pub(crate) fn hash(&self, seed: u64) -> u64 {
        // The golden ratio in 64 bits: each word is spread over all bits above it, then back down.
        self.words.iter().fold(seed, |hash, word| {
            let mixed = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ mixed >> 32
        })
    }
}

impl PartialEq for FlowKey {
    /// Without a branch on each word: keys that are compared are nearly always the same.
    #[inline]
    fn eq(&self, other: &FlowKey) -> bool {
        self.words.iter().zip(other.words).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.local(), self.remote())
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(local: &str, remote: &str) -> FlowKey {
        FlowKey::new(local.parse().unwrap(), remote.parse().unwrap())
    }

    #[test]
    fn keys_say_what_they_were_made_of() {
        for (local, remote) in [
            ("10.0.0.1:1", "10.255.0.2:65535"),
            ("[fd00::1]:80", "[2001:db8::9]:443"),
            ("[::ffff:1.2.3.4]:80", "[::1]:1"),
        ] {
            let key = key(local, remote);
            assert_eq!(FlowKey::from_words(key.words()), key);
            assert_eq!(key.remote().to_string(), remote);
        }
        assert_eq!(key("10.0.0.1:1", "10.0.0.2:2").to_string(), "10.0.0.1:1 > 10.0.0.2:2");
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_one() {
        let mapped = key("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:2");
        assert_eq!(mapped, key("10.0.0.1:1", "10.0.0.2:2"));
        assert_eq!(mapped, FlowKey::v4([10, 0, 0, 1], 1, [10, 0, 0, 2], 2));
    }

    #[test]
    fn hashes_spread() {
        // 4096 successive ports into 4096 entries: no run of 16 entries may be crowded.
        let mut entries = vec![0; 4096];
        for port in 0..4096 {
            let key = FlowKey::v4([10, 0, 0, 1], 10_000 + port, [10, 0, 0, 2], 5432);
            entries[key.hash(7) as usize & 4095] += 1;
        }
        let most = entries.windows(16).map(|run| run.iter().sum::<i32>()).max();
        assert!(most < Some(45), "{most:?} of 16 expected");
    }
}
