//! What a gateway is made of, how large everything is, and what memory that takes.
//!
//! Both `run` and the laboratory build their gateways from this, so that they are the same.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use super::protect::ProtectConfig;
use super::recover::RecoverConfig;
use super::settings::{LinkLocal, Oversize, Side};
use super::shaper::Limit;
use super::steward::Steward;
use crate::dpdk::Kept;
use crate::dpdk::mbuf::BURST;
use crate::dpdk::mempool;
use crate::fec::group::MAX_RUNS;
use crate::fec::xor::Engine;
use crate::fec::{Code, DecoderConfig, EncoderConfig, Run, Timing};
use crate::link::{Neighbour, NeighbourConfig, Supervisor, SupervisorConfig};
use crate::wire::control::Sender;
use crate::wire::encap::{Encapsulation, MAX_OUTER, Outer, Pattern};
use crate::wire::outer::{MIN_FRAME, OUTER_LEN};
use crate::wire::repair::REPAIR_LEN;
use crate::wire::shim::{Integrity, SHIM_LEN};

/// What a repair packet that merges bins has in its header beyond one that does not, at most.
const MORE_RUNS: usize = (MAX_RUNS - 1) * Run::WIRE_LEN;
/// Mbufs in receive and transmit rings and on their way, for two ports and a worker. A ring takes
/// up to 1024. Each worker may have four at the ports and two between workers, but no more than four
/// of these at once beside one for each port; what is left rests in its cache.
const IN_PASSING: usize = 8 * 1024 - 1;
/// Longer frames than this have several mbufs, and no WAN lets them through.
pub const MAX_PORT_MTU: u16 = 16_000;
const _: () = assert!(MAX_OUTER + SHIM_LEN <= mempool::HEADROOM as usize);
/// Two Ethernet VLAN tags, which an MTU doesn't count.
pub const TAGS: usize = 8;

/// One gateway, in validated values. `epoch` and the MAC addresses come when it is built.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Which of the two.
    pub side: Side,
    /// What confirms packets on the WAN.
    pub integrity: Integrity,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// Frames too large to protect.
    pub oversize: Oversize,
    /// The longest frame that the LAN brings, in bytes, with header and tags, without FCS.
    pub lan_frame: usize,
    /// The WAN's MTU.
    pub wan_mtu: u16,
    /// What surrounds our packets on the WAN.
    pub encapsulation: Encapsulation,
    /// The next hop's address, where the WAN is routed.
    pub next_hop: Option<IpAddr>,
    /// The code for dense traffic.
    pub code: Code,
    /// The code for sparse traffic.
    pub sparse: Option<Code>,
    /// Ages and idle times.
    pub timing: Timing,
    /// Packets in the window; `None` is what suits the code.
    pub window: Option<usize>,
    /// Whether packet memory comes from hugepages; without, it takes more.
    pub hugepages: bool,
    /// What the WAN takes of all channels; `None` is what its port takes.
    pub limit: Option<Limit>,
    /// On how many channels it sends: workers that protect.
    pub channels_out: u8,
    /// How many channels of the peer it recovers.
    pub channels_in: u8,
}

/// Why a gateway can't be built. One line each.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BlueprintError {
    /// No frame fits.
    #[error(
        "a WAN MTU of {mtu} leaves no room for LAN frames behind {headers} bytes of headers; \
         expected at least {least}"
    )]
    MtuTooSmall {
        /// What was given.
        mtu: u16,
        /// What is in front of a repair's bytes.
        headers: usize,
        /// What is needed.
        least: usize,
    },
    /// The code's groups don't fit the window.
    #[error(
        "a window of {window} packets does not hold the span of code {code}, {span} packets; \
         expected at least {span}"
    )]
    WindowTooSmall {
        /// What was given.
        window: usize,
        /// The code.
        code: Code,
        /// Its span.
        span: u64,
    },
    /// It takes too much.
    #[error(
        "code {code} takes {} MiB of memory ({memory}), more than the limit of {} MiB; choose smaller \
         groups or interleaves, a smaller wan.queue, fewer channels, or raise the limit",
        mib(memory.total()), mib(*limit)
    )]
    MemoryLimit {
        /// The code.
        code: Code,
        /// What it takes.
        memory: Memory,
        /// The limit, in bytes.
        limit: u64,
    },
}

/// What a gateway allocates at start, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The encoder's open groups, and the queues before a WAN that has a rate.
    pub groups: u64,
    /// The decoder's tables.
    pub window: u64,
    /// The packets themselves.
    pub mbufs: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.groups + self.window + self.mbufs
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { groups, window, mbufs } = self;
        write!(f, "groups {}, window {}, packets {}", mib(*groups), mib(*window), mib(*mbufs))
    }
}

/// In MiB, rounded up.
pub fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

impl Blueprint {
    /// A gateway with the defaults of everything but the code.
    pub fn new(side: Side, code: Code) -> Blueprint {
        Blueprint {
            side,
            integrity: Integrity::default(),
            link_local: LinkLocal::default(),
            oversize: Oversize::default(),
            lan_frame: 1500 + OUTER_LEN + TAGS,
            wan_mtu: 9000,
            encapsulation: Encapsulation::default(),
            next_hop: None,
            sparse: Some(code.short()),
            timing: Timing::new(&code),
            code,
            window: None,
            hugepages: false,
            limit: None,
            channels_out: 1,
            channels_in: 1,
        }
    }

    /// Whether it can be built within `limit` bytes.
    pub fn check(&self, limit: u64) -> Result<(), BlueprintError> {
        let mtu = self.wan_mtu;
        let headers = self.repair_headers();
        let least = headers + MIN_FRAME + MORE_RUNS;
        if usize::from(mtu) < least {
            return Err(BlueprintError::MtuTooSmall { mtu, headers, least });
        }
        let window = self.decoder().window;
        let code = self.longest_code().clone();
        let span = code.span();
        if (window as u64) < span {
            return Err(BlueprintError::WindowTooSmall { window, code, span });
        }
        let code = self.code.clone();
        let memory = self.memory();
        if memory.total() > limit {
            return Err(BlueprintError::MemoryLimit { code, memory, limit });
        }
        Ok(())
    }

    /// What an operator should know though it is no error. One line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (a, b) in self.code.common_factors() {
            warnings.push(format!(
                "code {}: interleaves {a} and {b} are not coprime: packets that collide in one \
                 layer collide in the other too",
                self.code
            ));
        }
        let (protected, lan) = (self.max_protected(), self.lan_frame);
        if protected < lan {
            let fate = match self.oversize {
                Oversize::Bypass => "sent unprotected if they fit as they are, else dropped",
                Oversize::Drop => "dropped",
            };
            warnings.push(format!(
                "LAN frames of {} to {lan} bytes do not fit the WAN MTU of {} with their headers: they \
                 will be {fate}; a WAN MTU of {} would protect them",
                protected + 1,
                self.wan_mtu,
                lan + self.repair_headers(),
            ));
        }
        if self.integrity == Integrity::Off {
            warnings.push(
                "integrity is off: frames that the WAN damages are delivered damaged; for \
                 measurements only"
                    .to_owned(),
            );
        }
        warnings
    }

    /// What a repair packet has in front of its bytes, of what the WAN's MTU counts.
    fn repair_headers(&self) -> usize {
        self.encapsulation.overhead() + REPAIR_LEN
    }

    /// The longest frame that is protected, in bytes.
    pub fn max_protected(&self) -> usize {
        usize::from(self.wan_mtu).saturating_sub(self.repair_headers()).min(self.lan_frame)
    }

    /// The MTU that the LAN port needs.
    pub fn lan_port_mtu(&self) -> u16 {
        (self.lan_frame.saturating_sub(OUTER_LEN + TAGS)).min(usize::from(MAX_PORT_MTU)) as u16
    }

    /// The MTU that the WAN port needs: no more than our own packets, if the WAN's is larger.
    pub fn wan_port_mtu(&self) -> u16 {
        let largest = self.repair_headers() + MORE_RUNS + self.max_protected();
        largest.max(self.lan_frame).min(usize::from(self.wan_mtu)) as u16
    }

    /// How large an mbuf's buffer must be, headroom included.
    pub fn data_room(&self) -> u16 {
        mempool::data_room_for(self.wan_port_mtu().max(self.lan_port_mtu()))
    }

    /// How many mbufs the receiver keeps at most: its windows, and repairs that wait.
    pub fn kept(&self) -> u32 {
        let each = self.decoder().packets_held().min(u32::MAX as usize) as u32;
        each.saturating_mul(u32::from(self.channels_in))
    }

    /// How many mbufs a gateway holds at most: what it keeps, and those in passing.
    pub fn mbufs(&self) -> u32 {
        let workers = u32::from(self.channels_out.max(self.channels_in));
        let waiting = self.limit.map_or(0, |limit| limit.packets());
        let waiting = waiting.saturating_mul(u32::from(self.channels_out));
        let passing = (IN_PASSING + BURST) as u32 * workers;
        self.kept().saturating_add(waiting).saturating_add(passing)
    }

    /// What it allocates.
    pub fn memory(&self) -> Memory {
        let layers = self.code.layers().len();
        let layers = layers.max(self.sparse.as_ref().map_or(0, |sparse| sparse.layers().len()));
        let waiting = self.limit.map_or(0, |limit| limit.memory_bytes(layers));
        let out = self.encoder().memory_bytes() + waiting;
        Memory {
            groups: out as u64 * u64::from(self.channels_out),
            window: self.decoder().memory_bytes::<Kept>() as u64 * u64::from(self.channels_in),
            mbufs: mempool::estimated_bytes(self.mbufs(), self.data_room(), self.hugepages),
        }
    }

    /// The largest span of the codes in use, in packets.
    pub fn span(&self) -> u64 {
        self.longest_code().span()
    }

    /// The longest packet that leaves through the WAN port, in bytes.
    pub fn longest_packet(&self) -> usize {
        usize::from(self.wan_port_mtu()) + OUTER_LEN + TAGS
    }

    /// The one with the largest span, which need not be that for dense traffic.
    fn longest_code(&self) -> &Code {
        let sparse = self.sparse.as_ref().filter(|sparse| sparse.span() > self.code.span());
        sparse.unwrap_or(&self.code)
    }

    fn encoder(&self) -> EncoderConfig {
        let max_frame = self.max_protected();
        EncoderConfig {
            code: self.code.clone(),
            sparse: self.sparse.clone(),
            timing: self.timing.clone(),
            max_frame,
            repair_room: (usize::from(self.wan_mtu) - self.repair_headers())
                .min(max_frame + MORE_RUNS),
            engine: Engine::detect(),
        }
    }

    fn decoder(&self) -> DecoderConfig {
        let fitting = || DecoderConfig::window_for(self.longest_code().span());
        DecoderConfig {
            window: self.window.unwrap_or_else(fitting),
            max_frame: self.max_protected(),
            check: None,
            engine: Engine::detect(),
        }
    }

    /// `protect` of worker number `worker`, sending from `source` to `destination`, or where control
    /// says if the WAN is routed.
    pub fn protect(
        &self,
        worker: u8,
        epoch: u32,
        source: [u8; 6],
        destination: [u8; 6],
    ) -> ProtectConfig {
        ProtectConfig {
            channel: self.side.channel(worker),
            epoch,
            integrity: self.integrity,
            outer: Outer::new(&self.encapsulation, self.side.channel(worker), source, destination),
            has_hop: self.next_hop.is_none(),
            wan_mtu: self.wan_mtu,
            link_local: self.link_local,
            oversize: self.oversize,
            // Channels share nothing, so each has its part.
            limit: self.limit.map(|limit| Limit {
                rate: limit.rate / u64::from(self.channels_out.max(1)),
                ..limit
            }),
            encoder: self.encoder(),
        }
    }

    /// What steps the link, sending from `source` to `destination`.
    pub fn steward(&self, epoch: u32, source: [u8; 6], destination: [u8; 6]) -> Steward {
        let channel = self.side.channel(0);
        let config = SupervisorConfig {
            sender: Sender { channel, epoch },
            peer_channel: self.side.other().channel(0),
        };
        let outer = Outer::new(&self.encapsulation, channel, source, destination);
        let neighbour = self.encapsulation.tunnel().zip(self.next_hop).map(|(tunnel, hop)| {
            let vlan = self.encapsulation.vlan;
            Neighbour::new(NeighbourConfig {
                mac: source,
                vlan,
                ours: tunnel.ours,
                hop,
                peer: tunnel.peer,
            })
        });
        Steward::new(Supervisor::new(config), outer, neighbour)
    }

    /// `recover` for the peer's worker number `worker`.
    pub fn recover(&self, worker: u8) -> RecoverConfig {
        RecoverConfig {
            channel: self.side.other().channel(worker),
            integrity: self.integrity,
            pattern: Pattern::new(&self.encapsulation),
            oversize: self.oversize,
            decoder: self.decoder(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encap::{Carrier, Dscp, TAG_LEN, Tunnel};

    fn blueprint(code: &str) -> Blueprint {
        Blueprint::new(Side::West, code.parse().unwrap())
    }

    #[test]
    fn says_what_does_not_fit() {
        let good = blueprint("20:97,101,103+g1");
        assert_eq!(good.check(1 << 30), Ok(()));
        assert!(good.warnings().is_empty());
        let error = good.check(1 << 20).unwrap_err().to_string();
        assert!(error.contains("20:97,101,103+g1") && error.contains("limit of 1 MiB"), "{error}");
        let small = Blueprint { wan_mtu: 90, ..good.clone() };
        assert!(small.check(1 << 30).unwrap_err().to_string().contains("MTU of 90"));
        let window = Blueprint { window: Some(1024), ..good.clone() };
        assert!(window.check(1 << 30).unwrap_err().to_string().contains("2060"));
    }

    #[test]
    fn every_channel_takes_its_own() {
        let one = blueprint("20:97,101,103+g1");
        let four = Blueprint { channels_out: 2, channels_in: 4, ..one.clone() };
        assert_eq!(four.memory().groups, 2 * one.memory().groups);
        assert_eq!(four.memory().window, 4 * one.memory().window);
        assert_eq!((four.kept(), four.mbufs()), (4 * one.kept(), 4 * one.mbufs()));
        let limit = one.memory().total();
        assert_eq!(one.check(limit), Ok(()));
        assert!(four.check(limit).unwrap_err().to_string().contains("fewer channels"));
    }

    #[test]
    fn warns_of_what_is_unwise() {
        assert_eq!(blueprint("8:1,20,40").warnings().len(), 1);
        let tight = Blueprint { wan_mtu: 1500, ..blueprint("20:97,101+g1") };
        assert!(tight.warnings()[0].contains("1459 to 1522"), "{:?}", tight.warnings());
        let off = Blueprint { integrity: Integrity::Off, ..blueprint("20:97,101+g1") };
        assert!(off.warnings()[0].contains("integrity"));
    }

    #[test]
    fn whatever_is_protected_fits_the_wan_with_its_repairs() {
        let tunnel = |ours: &str, peer: &str| {
            let [ours, peer] = [ours, peer].map(|address| address.parse().unwrap());
            let (port, dscp, checksum) = (8147, Dscp::Copy, false);
            let carrier = Carrier::Udp(Tunnel { ours, peer, port, dscp, checksum });
            Encapsulation { vlan: Some(100), carrier }
        };
        let v4 = tunnel("192.0.2.1", "198.51.100.1");
        let v6 = tunnel("2001:db8:1::1", "2001:db8:2::1");
        for (encapsulation, longest_at_1500) in
            [(Encapsulation::default(), 1458), (v4, 1430), (v6, 1410)]
        {
            for wan_mtu in [300, 1500, 9000] {
                let blueprint = Blueprint { wan_mtu, encapsulation, ..blueprint("20:97,101+g1") };
                let encoder = blueprint.encoder();
                if wan_mtu == 1500 {
                    assert_eq!(encoder.max_frame, longest_at_1500);
                }
                assert!(encoder.repair_room >= encoder.max_frame);
                let longest = encapsulation.overhead() + REPAIR_LEN + encoder.repair_room;
                assert!(longest <= usize::from(wan_mtu));
                assert!(longest <= usize::from(blueprint.wan_port_mtu()));
                let room = usize::from(blueprint.data_room() - mempool::HEADROOM);
                assert!(OUTER_LEN + TAG_LEN + longest <= room);
            }
        }
    }
}
