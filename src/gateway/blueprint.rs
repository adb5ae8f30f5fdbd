//! What a gateway is made of, how large everything is, and what memory that takes.
//!
//! Both `run` and the laboratory build their gateways from this, so that they are the same.

mod transparent;

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use super::nack::{self, Retransmission};
use super::protect::ProtectConfig;
use super::recover::RecoverConfig;
use super::resequence::Resequencer;
use super::rooms::{ProtectRoom, RecoverRoom};
use super::settings::{LinkLocal, LinkSettings, Oversize, Side, TooBig};
use super::shaper::Limit;
use super::steward::Steward;
use crate::dpdk::Kept;
use crate::dpdk::mbuf::BURST;
use crate::dpdk::mempool;
use crate::fec::group::MAX_RUNS;
use crate::fec::xor::Engine;
use crate::fec::{Code, DecoderConfig, EncoderConfig, Run, Timing};
use crate::link::handshake::{Handshake, Role};
use crate::link::{HelloConfig, Neighbour, NeighbourConfig, Supervisor, SupervisorConfig};
use crate::safety::planner::LAYERS as MOST_LAYERS;
use crate::wire::control::Sender;
use crate::wire::encap::{Encapsulation, MAX_OUTER, Outer, Pattern};
use crate::wire::hello::{self, Facts};
use crate::wire::icmp::V6_LEAST_MTU;
use crate::wire::outer::{MIN_FRAME, OUTER_LEN};
use crate::wire::repair::{KEYED_REPAIR_LEN, REPAIR_LEN};
use crate::wire::seal::{KEYED_SHIM_LEN, Mode};
use crate::wire::shim::Integrity;

/// What a repair packet that merges bins has in its header beyond one that does not, at most.
const MORE_RUNS: usize = (MAX_RUNS - 1) * Run::WIRE_LEN;
/// Mbufs in receive and transmit rings and on their way, for two ports and a worker. A ring takes
/// up to 1024. Each worker may have four at the ports and two between workers, but no more than four
/// of these at once beside one for each port; what is left rests in its cache.
const IN_PASSING: usize = 8 * 1024 - 1;
/// The same for each further LAN port: its rings, and what waits on both sides of the bridge.
const AT_A_PORT: u32 = 4 * 1024;
/// Longer frames than this have several mbufs, and no WAN lets them through.
pub const MAX_PORT_MTU: u16 = 16_000;
const _: () = assert!(MAX_OUTER + KEYED_SHIM_LEN <= mempool::HEADROOM as usize);
/// What a frame that is held takes beside its buffer: the frame, and how it came.
type Held = (crate::dpdk::Mbuf, u8);
/// Where the WAN has no rate, memory is made for this one, in bits a second.
pub const PORT_RATE: u64 = 10_000_000_000;
/// Bytes of a frame on average, about, where it matters how many there are; and how many are held at least
/// and at most.
const USUAL_FRAME: u128 = 1000;
const LEAST_HELD: usize = 256;
const MOST_HELD: usize = 1 << 17;
/// Two Ethernet VLAN tags, which an MTU doesn't count.
pub const TAGS: usize = 8;

/// One gateway, in validated values. `epoch` and the MAC addresses come when it is built.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Which of the two.
    pub side: Side,
    /// What confirms packets on the WAN, unless there are keys.
    pub integrity: Integrity,
    /// What keys do, if there are any. Nothing crosses unprotected then, whatever `oversize` says.
    pub keys: Option<Mode>,
    /// Frames for bridges only.
    pub link_local: LinkLocal,
    /// Frames too large to protect.
    pub oversize: Oversize,
    /// IP packets too large to protect that must not be fragmented.
    pub too_big: TooBig,
    /// Whether SYNs are made to ask for no larger segments than are protected.
    pub mss_clamp: bool,
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
    /// The largest code that may take its place, if it is ever changed.
    pub largest: Option<Code>,
    /// Packets in the window; `None` is what suits the code.
    pub window: Option<usize>,
    /// Whether packet memory comes from hugepages; without, it takes more.
    pub hugepages: bool,
    /// What the WAN takes of all channels; `None` is what its port takes.
    pub limit: Option<Limit>,
    /// How packets are sent again that no repair brings back, if they are.
    pub retransmission: Option<Retransmission>,
    /// How long frames are held behind a hole, in nanoseconds; 0 is not at all.
    pub resequence: u64,
    /// On how many channels it sends: workers that protect.
    pub channels_out: u8,
    /// How many channels of the peer it recovers.
    pub channels_in: u8,
    /// How many LAN ports it has.
    pub lan_ports: u8,
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
    /// Frames that cross as they came can't be authenticated.
    #[error(
        "got \"transparent\" and keys, but a frame that crosses as it came has no room for a tag, and can't \
         be told from a forged one; expected \"ether\" or \"udp\", or no keys"
    )]
    KeysOnTransparent,
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
         groups or interleaves, a smaller wan.queue or link.retransmit, fewer channels, or raise the limit",
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

impl BlueprintError {
    /// The key of the configuration that this is about.
    pub fn key(&self) -> &'static str {
        match self {
            BlueprintError::KeysOnTransparent => "wan.encapsulation",
            _ => "code.layers",
        }
    }
}

/// What a gateway allocates at start, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The encoder's open groups, and the queues before a WAN that has a rate.
    pub groups: u64,
    /// The decoder's tables.
    pub window: u64,
    /// Packets that may be sent again, and what asks for them.
    pub retransmit: u64,
    /// The packets themselves.
    pub mbufs: u64,
}

/// What a code may take that takes another's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRoom {
    /// The largest code that was reckoned with.
    pub code: Code,
    /// In packets.
    pub span: u64,
    /// How many layers.
    pub levels: usize,
    /// What an encoder takes.
    pub bytes: usize,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.groups + self.window + self.retransmit + self.mbufs
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { groups, window, retransmit, mbufs } = self;
        write!(f, "groups {}, window {}", mib(*groups), mib(*window))?;
        if *retransmit > 0 {
            write!(f, ", retransmission {}", mib(*retransmit))?;
        }
        write!(f, ", packets {}", mib(*mbufs))
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
            keys: None,
            link_local: LinkLocal::default(),
            oversize: Oversize::default(),
            // What goes in comes out, to the byte, unless a configuration wants otherwise.
            too_big: TooBig::Oversize,
            mss_clamp: false,
            lan_frame: 1500 + OUTER_LEN + TAGS,
            wan_mtu: 9000,
            encapsulation: Encapsulation::default(),
            next_hop: None,
            sparse: Some(code.short()),
            timing: Timing::new(&code),
            code,
            largest: None,
            window: None,
            hugepages: false,
            limit: None,
            retransmission: None,
            resequence: 0,
            channels_out: 1,
            channels_in: 1,
            lan_ports: 1,
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
        if self.encapsulation.is_transparent() {
            self.check_transparent()?;
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
        let told = match (self.mss_clamp, self.too_big) {
            (true, TooBig::Icmp) => "hosts are told so by TCP's MSS and by ICMP; others",
            (true, TooBig::Oversize) => "hosts are told so by TCP's MSS; they",
            (false, TooBig::Icmp) => "hosts are told so by ICMP; others",
            (false, TooBig::Oversize) => "they",
        };
        if self.encapsulation.is_transparent() {
            warnings.extend(self.transparent_warnings(told));
        } else if protected < lan {
            let fate = match self.oversize() {
                Oversize::Bypass => "sent unprotected if they fit as they are, else dropped",
                Oversize::Drop => "dropped",
            };
            warnings.push(format!(
                "LAN frames of {} to {lan} bytes do not fit the WAN MTU of {} with their headers: {told} \
                 will be {fate}; a WAN MTU of {} would protect them",
                protected + 1,
                self.wan_mtu,
                lan + self.repair_headers(),
            ));
        }
        let (ip, least) = (self.max_ip(), V6_LEAST_MTU);
        if ip < least && protected < lan && !self.encapsulation.is_transparent() {
            warnings.push(format!(
                "IP packets of {ip} bytes fit, and IPv6 needs {least}: larger ones of it will be \
                 unprotected or dropped; a WAN MTU of {} would protect them",
                least + OUTER_LEN + self.repair_headers(),
            ));
        }
        if self.integrity == Integrity::Off && self.keys.is_none() {
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
        let behind = if self.keys.is_some() { KEYED_REPAIR_LEN } else { REPAIR_LEN };
        self.encapsulation.overhead() + behind
    }

    /// The longest frame that is protected, in bytes.
    pub fn max_protected(&self) -> usize {
        if self.encapsulation.is_transparent() {
            return self.max_transparent();
        }
        usize::from(self.wan_mtu).saturating_sub(self.repair_headers()).min(self.lan_frame)
    }

    /// What happens to frames too large to protect: with keys, nothing unauthenticated is believed.
    fn oversize(&self) -> Oversize {
        if self.keys.is_some() { Oversize::Drop } else { self.oversize }
    }

    /// The largest IP packet that is protected, in a frame without tags.
    pub fn max_ip(&self) -> usize {
        if self.encapsulation.is_transparent() {
            return usize::from(self.wan_mtu).min(self.lan_frame - OUTER_LEN - TAGS);
        }
        (self.max_protected() - OUTER_LEN).min(self.lan_frame - OUTER_LEN - TAGS)
    }

    /// The length of the frames that SYNs may ask for, if it is less than what the LAN sends anyhow.
    fn clamp(&self) -> Option<usize> {
        if self.encapsulation.is_transparent() {
            return self.clamp_transparent();
        }
        let max = self.max_protected();
        (self.mss_clamp && max < self.lan_frame).then_some(max)
    }

    /// The MTU that the LAN port needs.
    pub fn lan_port_mtu(&self) -> u16 {
        (self.lan_frame.saturating_sub(OUTER_LEN + TAGS)).min(usize::from(MAX_PORT_MTU)) as u16
    }

    /// The MTU that the WAN port needs: no more than our own packets, if the WAN's is larger.
    pub fn wan_port_mtu(&self) -> u16 {
        if self.encapsulation.is_transparent() {
            return self.transparent_wan_port_mtu();
        }
        let largest = self.repair_headers() + MORE_RUNS + self.max_protected();
        largest.max(self.lan_frame).min(usize::from(self.wan_mtu)) as u16
    }

    /// How large an mbuf's buffer must be, headroom included.
    pub fn data_room(&self) -> u16 {
        mempool::data_room_for(self.wan_port_mtu().max(self.lan_port_mtu()))
    }

    /// How many mbufs the receiver keeps at most: its windows, and repairs that wait.
    pub fn kept(&self) -> u32 {
        let held = match self.encapsulation.is_transparent() {
            true => self.named().packets_held(),
            false => self.decoder().packets_held(),
        };
        let each = held.min(u32::MAX as usize) as u32;
        each.saturating_mul(u32::from(self.channels_in))
    }

    /// How many mbufs a gateway holds at most: what it keeps, and those in passing.
    pub fn mbufs(&self) -> u32 {
        let workers = u32::from(self.channels_out.max(self.channels_in));
        let more_ports = u32::from(self.lan_ports.saturating_sub(1)) * AT_A_PORT;
        let waiting = self.limit.map_or(0, |limit| limit.packets());
        let waiting = waiting.saturating_mul(u32::from(self.channels_out));
        let passing = (IN_PASSING + BURST) as u32 * workers;
        let held = self.held().map_or(0, |(_, packets)| packets as u32);
        let held = held.saturating_mul(u32::from(self.channels_in));
        let kept = self.kept().saturating_add(held);
        kept.saturating_add(waiting).saturating_add(passing).saturating_add(more_ports)
    }

    /// What it allocates.
    pub fn memory(&self) -> Memory {
        let layers = self.code.layers().len();
        let layers = layers.max(self.sparse.as_ref().map_or(0, |code| code.layers().len()));
        let waiting = self.limit.map_or(0, |limit| limit.memory_bytes(layers));
        let (more, window) = match self.encapsulation.is_transparent() {
            true => self.transparent_memory(),
            false => (0, self.decoder().memory_bytes::<Kept>()),
        };
        Memory {
            groups: (self.groups() + (waiting + more) as u64) * u64::from(self.channels_out),
            window: (window + self.held_bytes()) as u64 * u64::from(self.channels_in),
            retransmit: self.retransmission.map_or(0, |plan| {
                let window = self.decoder().window as u64;
                plan.memory_bytes(self.channels_out, self.channels_in, window)
            }),
            mbufs: mempool::estimated_bytes(self.mbufs(), self.data_room(), self.hugepages),
        }
    }

    /// What holds a channel's frames behind a hole.
    fn held_bytes(&self) -> usize {
        self.held().map_or(0, |(_, packets)| Resequencer::<Held>::memory_bytes(packets))
    }

    /// How long frames are held behind a hole, and how many at most on each channel: what comes meanwhile,
    /// if frames are as long as they are on average.
    fn held(&self) -> Option<(u64, usize)> {
        let rate =
            self.limit.map_or(PORT_RATE, |limit| limit.rate) / u64::from(self.channels_in.max(1));
        let bytes = u128::from(rate) * u128::from(self.resequence) / 8_000_000_000;
        let packets = (bytes / USUAL_FRAME) as usize;
        let packets = packets.clamp(LEAST_HELD, MOST_HELD).next_power_of_two();
        (self.resequence > 0).then_some((self.resequence, packets))
    }

    /// How many frames are held behind a hole at most, on each channel.
    pub fn held_packets(&self) -> usize {
        self.held().map_or(0, |(_, packets)| packets)
    }

    /// How packets are sent again: for how long to wait, in nanoseconds, at most, until what no repair
    /// brings back is given up.
    pub fn given_up_after(&self) -> Option<u64> {
        let patience = self.retransmission?.patience(self.span(), self.timing.latency);
        Some(patience.wait + 2 * patience.answer)
    }

    /// Has a gateway's rooms ask and answer, if that is wanted: to be called before their first turn.
    pub fn retransmit<'a, P: ProtectRoom + ?Sized + 'a, R: RecoverRoom + ?Sized + 'a>(
        &self,
        protect: impl IntoIterator<Item = &'a mut P>,
        recover: impl IntoIterator<Item = &'a mut R>,
    ) {
        if let Some(plan) = &self.retransmission {
            let patience = plan.patience(self.span(), self.timing.latency);
            nack::join(plan, patience, protect, recover);
        }
    }

    /// What an encoder takes: that in force, the one before it and one that was made ready may be the
    /// largest that there is room for.
    fn groups(&self) -> u64 {
        3 * self.room().bytes as u64
    }

    /// The most levels that a packet may ever have.
    pub fn levels(&self) -> usize {
        let layers = self.code.layers().len();
        if self.largest.is_some() { layers.max(MOST_LAYERS) } else { layers }
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
        let longest = sparse.unwrap_or(&self.code);
        self.largest.as_ref().filter(|largest| largest.span() > longest.span()).unwrap_or(longest)
    }

    /// An encoder's configuration with another code, for a change to it: see [`crate::fec::Codes`].
    pub fn encoder_for(&self, code: &Code) -> EncoderConfig {
        let [layers, ours] = [code, &self.code].map(|code| code.layers().len() as f64);
        let mut config = self.encoder();
        config.timing.flush_cap *= layers / ours;
        config.sparse = self.sparse.as_ref().map(|_| code.short());
        EncoderConfig { code: code.clone(), ..config }
    }

    /// What there is room for in an encoder, if its code is ever changed.
    pub fn room(&self) -> CodeRoom {
        let code = self.largest.as_ref().unwrap_or(&self.code).clone();
        let bytes = self.encoder_for(&code).memory_bytes().max(self.encoder().memory_bytes());
        CodeRoom { code, span: self.span(), levels: self.levels(), bytes }
    }

    /// An encoder's configuration, with the code that it begins with.
    pub fn encoder(&self) -> EncoderConfig {
        if self.encapsulation.is_transparent() {
            return self.named_encoder();
        }
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
            keys: self.keys,
            outer: Outer::new(&self.encapsulation, self.side.channel(worker), source, destination),
            has_hop: self.next_hop.is_none(),
            wan_mtu: self.wan_mtu,
            link_local: self.link_local,
            oversize: self.oversize(),
            limit: self.limit_each(),
            clamp: self.clamp(),
            encoder: self.encoder(),
        }
    }

    /// What the WAN takes of each channel: they share nothing, so each has its part.
    fn limit_each(&self) -> Option<Limit> {
        let rate = |limit: Limit| limit.rate / u64::from(self.channels_out.max(1));
        self.limit.map(|limit| Limit { rate: rate(limit), ..limit })
    }

    /// What steps the link, sending from `source` to `destination`.
    pub fn steward(
        &self,
        link: &LinkSettings,
        epoch: u32,
        source: [u8; 6],
        destination: [u8; 6],
    ) -> Steward {
        let channel = self.side.channel(0);
        let config = SupervisorConfig {
            sender: Sender { channel, epoch },
            peer_channel: self.side.other().channel(0),
            hello: HelloConfig {
                facts: self.facts(),
                interval: link.hello,
                largest: self.wan_port_mtu(),
                overhead: self.encapsulation.overhead() as u16,
            },
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
        Steward::new(Supervisor::new(config), outer, neighbour, link.peer_down)
    }

    /// What agrees with the peer upon keys, from the common one; none if there are to be none. `entropy` is
    /// of this life alone, and nobody can guess it.
    pub fn handshake(&self, key: &[u8; 32], epoch: u32, entropy: [u8; 32]) -> Option<Handshake> {
        let role = match self.side {
            Side::West => Role::Initiator,
            Side::East => Role::Responder,
        };
        self.keys.map(|mode| Handshake::new(role, key, epoch, mode, entropy))
    }

    /// What the peer must agree with.
    fn facts(&self) -> Facts {
        let encapsulation = match self.encapsulation.tunnel() {
            _ if self.encapsulation.is_transparent() => hello::Encapsulation::TRANSPARENT,
            None => hello::Encapsulation::ETHER,
            Some(tunnel) if tunnel.ours.is_ipv4() => hello::Encapsulation::UDP4,
            Some(_) => hello::Encapsulation::UDP6,
        };
        Facts {
            integrity: self.keys.map_or(self.integrity, |_| Integrity::Tag) as u8,
            encapsulation,
            channels_out: self.channels_out,
            channels_in: self.channels_in,
            wan_mtu: self.wan_mtu,
            max_frame: self.max_protected() as u16,
            unprotected: self.oversize() == Oversize::Bypass,
            window: (self.decoder().window.max(1).ilog2()) as u8,
        }
    }

    /// `recover` for the peer's worker number `worker`.
    pub fn recover(&self, worker: u8) -> RecoverConfig {
        RecoverConfig {
            channel: self.side.other().channel(worker),
            integrity: self.integrity,
            keys: self.keys,
            pattern: Pattern::new(&self.encapsulation),
            oversize: self.oversize(),
            clamp: self.clamp(),
            resequence: self.held(),
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
    fn codes_that_change_have_room_for_the_largest() {
        let fixed = blueprint("20:97,101,103+g1");
        let largest: Code = "24:307,311,313,317,331,337+g1".parse().unwrap();
        let auto = Blueprint { largest: Some(largest.clone()), ..fixed.clone() };
        assert_eq!((fixed.levels(), auto.levels(), auto.span()), (3, 6, largest.span()));
        let encoder = auto.encoder_for(&largest);
        assert_eq!((encoder.timing.flush_cap, &encoder.code), (6.0, &largest));
        assert_eq!(encoder.sparse, Some(largest.short()));
        assert_eq!(auto.memory().groups, 3 * encoder.memory_bytes() as u64);
        let window = auto.decoder().window as u64;
        assert!(window >= 3 * largest.span() && auto.memory().window > fixed.memory().window);
    }

    #[test]
    fn warns_of_what_is_unwise() {
        assert_eq!(blueprint("8:1,20,40").warnings().len(), 1);
        let tight = Blueprint { wan_mtu: 1500, ..blueprint("20:97,101+g1") };
        assert!(tight.warnings()[0].contains("1459 to 1522"), "{:?}", tight.warnings());
        let told = Blueprint { mss_clamp: true, too_big: TooBig::Icmp, ..tight.clone() };
        assert!(told.warnings()[0].contains("TCP's MSS and by ICMP; others will be sent unprot"));
        assert_eq!((told.warnings().len(), told.max_ip()), (1, 1444));
        assert_eq!((told.clamp(), tight.clamp()), (Some(1458), None));
        let roomy = Blueprint { wan_mtu: 1564, ..told.clone() };
        assert_eq!((roomy.clamp(), roomy.max_ip(), roomy.warnings().len()), (None, 1500, 0));
        let narrow = Blueprint { wan_mtu: 1300, ..told };
        assert!(narrow.warnings()[1].contains("IP packets of 1244 bytes fit, and IPv6 needs 1280"));
        assert!(narrow.warnings()[1].contains("a WAN MTU of 1336"));
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
