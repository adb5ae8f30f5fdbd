//! What a gateway is made of, how large everything is, and what memory that takes.
//!
//! Both `run` and the laboratory build their gateways from this, so that they are the same.

use std::fmt;

use thiserror::Error;

use super::protect::ProtectConfig;
use super::recover::RecoverConfig;
use super::settings::{Encapsulation, LinkLocal, Outer, Oversize, Side};
use super::transparent;
use crate::dpdk::Kept;
use crate::dpdk::mbuf::BURST;
use crate::dpdk::mempool;
use crate::fec::group::MAX_RUNS;
use crate::fec::named::NamedConfig;
use crate::fec::named::image::EXTRA;
use crate::fec::xor::Engine;
use crate::fec::{Code, DecoderConfig, EncoderConfig, Run, Timing};
use crate::wire::named::{Cut, PART_LEN, longest_filled};
use crate::wire::outer::{MIN_FRAME, OUTER_LEN};
use crate::wire::repair::REPAIR_LEN;
use crate::wire::shim::Integrity;

/// What a repair packet that merges bins has in its header beyond one that does not, at most.
const MORE_RUNS: usize = (MAX_RUNS - 1) * Run::WIRE_LEN;
/// Mbufs in receive and transmit rings and on their way, for two ports and a worker. A ring takes
/// up to 1024. Each worker may have four at the ports and two between workers, but no more than four
/// of these at once beside one for each port; what is left rests in its cache.
const IN_PASSING: usize = 8 * 1024 - 1;
/// What a transparent repair has beside its XOR, up to a hundred names, before it is cut where the WAN's
/// MTU would let more through.
const NAMES_ROOM: usize = 1024;
/// Longer frames than this have several mbufs, and no WAN lets them through.
pub const MAX_PORT_MTU: u16 = 16_000;
/// Two Ethernet VLAN tags, which an MTU doesn't count.
pub const TAGS: usize = 8;

/// One gateway, in validated values. `epoch` and the MAC addresses come when it is built.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Which of the two.
    pub side: Side,
    /// How packets cross the WAN.
    pub encapsulation: Encapsulation,
    /// Whether routers on a transparent circuit change addresses and TTL.
    pub routed: bool,
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
    /// The EtherType of our packets on the WAN.
    pub ethertype: u16,
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
        "a WAN MTU of {mtu} leaves no room for LAN frames behind {REPAIR_LEN} bytes of headers; \
         expected at least {least}"
    )]
    MtuTooSmall {
        /// What was given.
        mtu: u16,
        /// What is needed.
        least: usize,
    },
    /// A filled group's repair would need too many parts.
    #[error(
        "a WAN MTU of {mtu} would cut the repairs of code {code} into too many parts; expected smaller \
         groups, or a larger MTU"
    )]
    TooManyParts {
        /// The WAN's MTU.
        mtu: u16,
        /// The code.
        code: Code,
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
         groups or interleaves, fewer channels, or raise the limit",
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
    /// The encoder's open groups.
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
            encapsulation: Encapsulation::default(),
            routed: false,
            integrity: Integrity::default(),
            link_local: LinkLocal::default(),
            oversize: Oversize::default(),
            lan_frame: 1500 + OUTER_LEN + TAGS,
            wan_mtu: 9000,
            ethertype: crate::wire::outer::ETHERTYPE,
            sparse: Some(code.short()),
            timing: Timing::new(&code),
            code,
            window: None,
            hugepages: false,
            channels_out: 1,
            channels_in: 1,
        }
    }

    /// Whether it can be built within `limit` bytes.
    pub fn check(&self, limit: u64) -> Result<(), BlueprintError> {
        let mtu = self.wan_mtu;
        let least = REPAIR_LEN + MIN_FRAME + MORE_RUNS;
        if usize::from(mtu) < least {
            return Err(BlueprintError::MtuTooSmall { mtu, least });
        }
        if self.is_transparent()
            && Cut::new(self.longest_filled(), self.part_room().into()).is_none()
        {
            return Err(BlueprintError::TooManyParts { mtu, code: self.code.clone() });
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
        if self.is_transparent() {
            warnings.extend(self.transparent_warnings());
        } else if protected < lan {
            let fate = match self.oversize {
                Oversize::Bypass => "sent unprotected if they fit as they are, else dropped",
                Oversize::Drop => "dropped",
            };
            warnings.push(format!(
                "LAN frames of {} to {lan} bytes do not fit the WAN MTU of {} with their headers: they \
                 will be {fate}; a WAN MTU of {} would protect them",
                protected + 1,
                self.wan_mtu,
                lan + REPAIR_LEN,
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

    fn transparent_warnings(&self) -> impl Iterator<Item = String> {
        let carried = usize::from(self.wan_mtu) + OUTER_LEN + TAGS;
        let too_long = (carried < self.lan_frame).then(|| {
            format!(
                "the LAN's frames may have {} bytes, and the WAN's MTU of {} carries {carried}: longer \
                 ones are dropped",
                self.lan_frame, self.wan_mtu
            )
        });
        let trusts = "encapsulation is transparent: frames from the WAN are delivered without any check, \
                      and doubled ones twice";
        std::iter::once(trusts.to_owned()).chain(too_long)
    }

    fn is_transparent(&self) -> bool {
        self.encapsulation == Encapsulation::Transparent
    }

    /// The longest message of a filled group's repair, if frames are transparent.
    fn longest_filled(&self) -> usize {
        let codes = [Some(&self.code), self.sparse.as_ref()];
        let layers = codes.into_iter().flatten().flat_map(|code| code.layers());
        let group = layers.map(|layer| usize::from(layer.group)).max().unwrap_or(1);
        longest_filled(group, self.max_protected() + EXTRA)
    }

    /// How long the parts of repairs may be, from the shim on. The peer, whose code may be another, must
    /// expect no longer ones.
    fn part_room(&self) -> u16 {
        let usual = self.max_protected() + EXTRA + NAMES_ROOM + PART_LEN;
        usual.min(usize::from(self.wan_mtu)) as u16
    }

    /// The longest frame that is protected, in bytes.
    pub fn max_protected(&self) -> usize {
        if self.is_transparent() {
            return (usize::from(self.wan_mtu) + OUTER_LEN + TAGS).min(self.lan_frame);
        }
        usize::from(self.wan_mtu).saturating_sub(REPAIR_LEN).min(self.lan_frame)
    }

    /// The MTU that the LAN port needs.
    pub fn lan_port_mtu(&self) -> u16 {
        (self.lan_frame.saturating_sub(OUTER_LEN + TAGS)).min(usize::from(MAX_PORT_MTU)) as u16
    }

    /// The MTU that the WAN port needs: no more than our own packets, if the WAN's is larger.
    pub fn wan_port_mtu(&self) -> u16 {
        if self.is_transparent() {
            let frame = self.lan_frame - OUTER_LEN;
            return usize::from(self.part_room()).max(frame).min(usize::from(self.wan_mtu)) as u16;
        }
        let largest = REPAIR_LEN + MORE_RUNS + self.max_protected();
        largest.max(self.lan_frame).min(usize::from(self.wan_mtu)) as u16
    }

    /// How large an mbuf's buffer must be, headroom included.
    pub fn data_room(&self) -> u16 {
        mempool::data_room_for(self.wan_port_mtu().max(self.lan_port_mtu()))
    }

    /// How many mbufs the receiver keeps at most: its windows, and repairs that wait.
    pub fn kept(&self) -> u32 {
        let each = match self.encapsulation {
            Encapsulation::Ether => self.decoder().packets_held(),
            Encapsulation::Transparent => self.named().packets_held(),
        };
        let each = each.min(u32::MAX as usize) as u32;
        each.saturating_mul(u32::from(self.channels_in))
    }

    /// How many mbufs a gateway holds at most: what it keeps, and those in passing.
    pub fn mbufs(&self) -> u32 {
        let workers = u32::from(self.channels_out.max(self.channels_in));
        self.kept().saturating_add((IN_PASSING + BURST) as u32 * workers)
    }

    /// What it allocates.
    pub fn memory(&self) -> Memory {
        let (groups, window) = match self.encapsulation {
            Encapsulation::Ether => {
                (self.encoder().memory_bytes(), self.decoder().memory_bytes::<Kept>())
            }
            Encapsulation::Transparent => {
                let protect = self.protect_transparent(0, 0, [0; 6], [0; 6]);
                let groups = self.encoder().memory_bytes() + protect.memory_bytes();
                (groups, self.recover_transparent(0).memory_bytes())
            }
        };
        Memory {
            groups: groups as u64 * u64::from(self.channels_out),
            window: window as u64 * u64::from(self.channels_in),
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
        let (max_frame, repair_room) = match self.encapsulation {
            Encapsulation::Ether => {
                let max_frame = self.max_protected();
                let room = usize::from(self.wan_mtu).saturating_sub(REPAIR_LEN);
                (max_frame, room.min(max_frame + MORE_RUNS))
            }
            Encapsulation::Transparent => {
                let image = self.max_protected() + EXTRA;
                (image, image + MORE_RUNS)
            }
        };
        EncoderConfig {
            code: self.code.clone(),
            sparse: self.sparse.clone(),
            timing: self.timing.clone(),
            max_frame,
            repair_room,
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

    fn named(&self) -> NamedConfig {
        NamedConfig {
            window: self.decoder().window,
            max_frame: self.max_protected(),
            routed: self.routed,
            engine: Engine::detect(),
        }
    }

    /// The transparent `protect` of worker number `worker`; its repairs go from `source` to
    /// `destination`.
    pub fn protect_transparent(
        &self,
        worker: u8,
        epoch: u32,
        source: [u8; 6],
        destination: [u8; 6],
    ) -> transparent::ProtectConfig {
        transparent::ProtectConfig {
            channel: self.side.channel(worker),
            epoch,
            outer: Outer::new(source, destination, self.ethertype, self.part_room()),
            wan_mtu: self.wan_mtu,
            link_local: self.link_local,
            encoder: self.encoder(),
        }
    }

    /// The transparent `recover` for the peer's worker number `worker`.
    pub fn recover_transparent(&self, worker: u8) -> transparent::RecoverConfig {
        transparent::RecoverConfig {
            channel: self.side.other().channel(worker),
            ethertype: self.ethertype,
            link_local: self.link_local,
            decoder: self.named(),
        }
    }

    /// `protect` of worker number `worker`, sending from `source` to `destination`.
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
            outer: Outer::new(source, destination, self.ethertype, self.wan_mtu),
            link_local: self.link_local,
            oversize: self.oversize,
            encoder: self.encoder(),
        }
    }

    /// `recover` for the peer's worker number `worker`.
    pub fn recover(&self, worker: u8) -> RecoverConfig {
        RecoverConfig {
            channel: self.side.other().channel(worker),
            integrity: self.integrity,
            ethertype: self.ethertype,
            oversize: self.oversize,
            decoder: self.decoder(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_transparent_gateway_protects_what_the_wan_carries() {
        let ether = Blueprint { wan_mtu: 1500, ..blueprint("20:97,101,103+g1") };
        let transparent = Blueprint { encapsulation: Encapsulation::Transparent, ..ether.clone() };
        assert_eq!((ether.max_protected(), transparent.max_protected()), (1458, 1522));
        assert_eq!(transparent.check(1 << 30), Ok(()));
        assert_eq!(transparent.warnings().len(), 1);
        assert_eq!(transparent.protect_transparent(0, 1, [0; 6], [0; 6]).outer.mtu, 1500);
        // Where a repair fits, no packet is longer than it.
        let wide = Blueprint { wan_mtu: 9000, ..transparent.clone() };
        let mtu = wide.protect_transparent(0, 1, [0; 6], [0; 6]).outer.mtu;
        assert_eq!(mtu, 32 + 1024 + 1526);
        assert_eq!(wide.wan_port_mtu(), mtu);
        let long = Blueprint { lan_frame: 9022, ..transparent.clone() };
        assert!(long.warnings()[1].contains("carries 1522"), "{:?}", long.warnings());
        let code = "1024:101+g1".parse().unwrap();
        let narrow = Blueprint { wan_mtu: 256, code, sparse: None, ..transparent };
        assert!(narrow.check(1 << 30).unwrap_err().to_string().contains("too many parts"));
    }

    #[test]
    fn whatever_is_protected_fits_the_wan_with_its_repairs() {
        for wan_mtu in [300, 1500, 9000] {
            let blueprint = Blueprint { wan_mtu, ..blueprint("20:97,101+g1") };
            let encoder = blueprint.encoder();
            assert!(encoder.repair_room >= encoder.max_frame);
            assert!(encoder.repair_room + REPAIR_LEN <= usize::from(wan_mtu));
            let longest = OUTER_LEN + REPAIR_LEN + encoder.repair_room;
            assert!(longest + usize::from(mempool::HEADROOM) <= usize::from(blueprint.data_room()));
            assert!(REPAIR_LEN + encoder.repair_room <= usize::from(blueprint.wan_port_mtu()));
        }
    }
}
