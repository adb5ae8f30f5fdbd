//! What each room is built from, and what speaks with the peer.

use super::Blueprint;
use crate::gateway::nack;
use crate::gateway::protect::ProtectConfig;
use crate::gateway::recover::RecoverConfig;
use crate::gateway::rooms::{ProtectRoom, RecoverRoom};
use crate::gateway::settings::{LinkSettings, Oversize, Side};
use crate::gateway::shaper::Limit;
use crate::gateway::steward::Steward;
use crate::link::handshake::{Handshake, Role};
use crate::link::{HelloConfig, Neighbour, NeighbourConfig, Supervisor, SupervisorConfig};
use crate::wire::control::Sender;
use crate::wire::encap::{Outer, Pattern};
use crate::wire::hello::{self, Facts};
use crate::wire::shim::Integrity;

impl Blueprint {
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

    /// What happens to frames too large to protect: with keys, nothing unauthenticated is believed.
    pub(super) fn oversize(&self) -> Oversize {
        if self.keys.is_some() { Oversize::Drop } else { self.oversize }
    }

    /// What the WAN takes of each channel: they share nothing, so each has its part.
    pub(super) fn limit_each(&self) -> Option<Limit> {
        let rate = |limit: Limit| limit.rate / u64::from(self.channels_out.max(1));
        self.limit.map(|limit| Limit { rate: rate(limit), ..limit })
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
}
