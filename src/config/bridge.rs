//! What `[lan]` says of the bridge between several LAN ports: whether it is possible.

use super::LanSection;
use crate::gateway::bridge::MAX_PORTS;
use crate::units::show_time;

/// How many addresses may be known.
const ADDRESSES: std::ops::RangeInclusive<usize> = 64..=1 << 20;
/// How long one may be known without a frame: IEEE 802.1Q (table 8-6) has 10 s to 1,000,000 s.
const AGE: std::ops::RangeInclusive<u64> = 1_000_000_000..=1_000_000_000_000_000;

impl LanSection {
    /// What is wrong with it: the key, and why.
    pub(super) fn validate_bridge(&self) -> Result<(), (&'static str, String)> {
        let ports: Vec<&str> = self.ports().map(|port| port.name()).collect();
        for (n, port) in ports.iter().enumerate() {
            if ports[..n].contains(port) {
                let problem = format!("got {port} twice; expected each port once");
                return Err(("lan.more_ports", problem));
            }
        }
        if ports.len() > MAX_PORTS {
            let (got, most) = (ports.len() - 1, MAX_PORTS - 1);
            return Err(("lan.more_ports", format!("got {got} ports, expected at most {most}")));
        }
        let got = self.addresses;
        if !ADDRESSES.contains(&got) || !got.is_power_of_two() {
            let (least, most) = ADDRESSES.into_inner();
            let problem = format!("got {got}, expected a power of two from {least} to {most}");
            return Err(("lan.addresses", problem));
        }
        if !AGE.contains(&self.address_age) {
            let got = show_time(self.address_age);
            return Err(("lan.address_age", format!("got {got}, expected 1s to 1000000s")));
        }
        Ok(())
    }
}
