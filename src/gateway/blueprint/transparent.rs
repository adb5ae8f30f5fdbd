//! A gateway on a circuit where nothing may be added to a packet.

use super::lengths::{MORE_RUNS, TAGS};
use super::{Blueprint, BlueprintError};
use crate::fec::EncoderConfig;
use crate::fec::named::NamedConfig;
use crate::fec::named::image::EXTRA;
use crate::fec::xor::Engine;
use crate::gateway::transparent::{ProtectConfig, RecoverConfig};
use crate::wire::encap::{Carrier, Outer, Pattern};
use crate::wire::named::{Cut, PART_LEN, longest_filled};
use crate::wire::outer::OUTER_LEN;

/// What a repair has beside its XOR, up to a hundred names, before it is cut where the WAN's MTU would let
/// more through.
const NAMES_ROOM: usize = 1024;

impl Blueprint {
    pub(super) fn check_transparent(&self) -> Result<(), BlueprintError> {
        if self.keys.is_some() {
            return Err(BlueprintError::KeysOnTransparent);
        }
        match Cut::new(self.longest_filled(), self.part_room().into()) {
            Some(_) => Ok(()),
            None => {
                Err(BlueprintError::TooManyParts { mtu: self.wan_mtu, code: self.code.clone() })
            }
        }
    }

    /// What an operator should know; `told` says who hears of frames that are too long.
    pub(super) fn transparent_warnings(&self, told: &str) -> impl Iterator<Item = String> {
        let (ip, lan) = (self.max_ip(), self.lan_frame - OUTER_LEN - TAGS);
        let too_long = (ip < lan).then(|| {
            format!(
                "the LAN's MTU is {lan}, and transparent frames cross a WAN MTU of {} as they are: {told} \
                 will be dropped where they are longer; a WAN MTU of {lan} would carry them",
                self.wan_mtu
            )
        });
        let trusts = "encapsulation is transparent: frames from the WAN are delivered without any check, \
                      and doubled ones twice";
        std::iter::once(trusts.to_owned()).chain(too_long)
    }

    /// The longest message of a filled group's repair.
    fn longest_filled(&self) -> usize {
        let codes = [Some(&self.code), self.sparse.as_ref(), self.largest.as_ref()];
        let layers = codes.into_iter().flatten().flat_map(|code| code.layers());
        let group = layers.map(|layer| usize::from(layer.group)).max().unwrap_or(1);
        longest_filled(group, self.max_transparent() + EXTRA)
    }

    /// How long the parts of repairs may be, from the shim on. The peer, whose code may be another, must
    /// expect no longer ones.
    fn part_room(&self) -> u16 {
        let usual = self.max_transparent() + EXTRA + NAMES_ROOM + PART_LEN;
        usual.min(usize::from(self.wan_mtu)) as u16
    }

    /// The longest frame that is protected: whatever crosses.
    pub(super) fn max_transparent(&self) -> usize {
        (usize::from(self.wan_mtu) + OUTER_LEN + TAGS).min(self.lan_frame)
    }

    /// Nothing is added to frames, so a SYN asks for too much only where the LAN's MTU is larger.
    pub(super) fn clamp_transparent(&self) -> Option<usize> {
        let mtu = usize::from(self.wan_mtu);
        (self.mss_clamp && mtu < self.lan_frame - OUTER_LEN - TAGS).then_some(mtu + OUTER_LEN)
    }

    pub(super) fn transparent_wan_port_mtu(&self) -> u16 {
        let frame = self.lan_frame - OUTER_LEN;
        usize::from(self.part_room()).max(frame).min(usize::from(self.wan_mtu)) as u16
    }

    /// What the rooms allocate beside the encoder and the queues before the WAN, and the window.
    pub(super) fn transparent_memory(&self) -> (usize, usize) {
        let protect = self.protect_transparent(0, 0, [0; 6], [0; 6]);
        (protect.memory_bytes(), self.recover_transparent(0).memory_bytes())
    }

    pub(super) fn named_encoder(&self) -> EncoderConfig {
        let image = self.max_transparent() + EXTRA;
        EncoderConfig {
            code: self.code.clone(),
            sparse: self.sparse.clone(),
            timing: self.timing.clone(),
            max_frame: image,
            repair_room: image + MORE_RUNS,
            engine: Engine::detect(),
        }
    }

    pub(super) fn named(&self) -> NamedConfig {
        let routed =
            matches!(self.encapsulation.carrier, Carrier::Transparent { routed: true, .. });
        NamedConfig {
            window: self.decoder().window,
            max_frame: self.max_transparent(),
            routed,
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
    ) -> ProtectConfig {
        let channel = self.side.channel(worker);
        ProtectConfig {
            channel,
            epoch,
            outer: Outer::new(&self.encapsulation, channel, source, destination),
            part_room: self.part_room(),
            wan_mtu: self.wan_mtu,
            link_local: self.link_local,
            limit: self.limit_each(),
            clamp: self.clamp_transparent(),
            span: self.span(),
            encoder: self.named_encoder(),
        }
    }

    /// The transparent `recover` for the peer's worker number `worker`.
    pub fn recover_transparent(&self, worker: u8) -> RecoverConfig {
        RecoverConfig {
            channel: self.side.other().channel(worker),
            pattern: Pattern::new(&self.encapsulation),
            link_local: self.link_local,
            clamp: self.clamp_transparent(),
            decoder: self.named(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Side, TooBig};
    use crate::wire::encap::Encapsulation;
    use crate::wire::outer::ETHERTYPE;
    use crate::wire::seal::Mode;

    fn blueprint(wan_mtu: u16) -> Blueprint {
        let carrier = Carrier::Transparent { ethertype: ETHERTYPE, routed: false };
        let encapsulation = Encapsulation { vlan: None, carrier };
        let code = "20:97,101,103+g1".parse().unwrap();
        Blueprint { wan_mtu, encapsulation, ..Blueprint::new(Side::West, code) }
    }

    #[test]
    fn it_protects_what_the_wan_carries() {
        let same = blueprint(1500);
        assert_eq!((same.max_protected(), same.max_ip()), (1522, 1500));
        assert_eq!((same.check(1 << 30), same.warnings().len()), (Ok(()), 1));
        assert_eq!(same.protect_transparent(0, 1, [0; 6], [0; 6]).part_room, 1500);
        // Where a repair fits, no packet is longer than it.
        let wide = blueprint(9000);
        let room = wide.protect_transparent(0, 1, [0; 6], [0; 6]).part_room;
        assert_eq!((room, wide.wan_port_mtu()), (32 + 1024 + 1526, room));
        let code = "1024:101+g1".parse().unwrap();
        let narrow = Blueprint { wan_mtu: 256, code, sparse: None, ..same.clone() };
        assert!(narrow.check(1 << 30).unwrap_err().to_string().contains("too many parts"));
        let keys = Blueprint { keys: Some(Mode::Seal), ..same };
        let error = keys.check(1 << 30).unwrap_err();
        assert!(error.key() == "wan.encapsulation" && error.to_string().contains("no room"));
    }

    /// Nothing is added to frames, so hosts are told something only where the LAN's MTU is larger.
    #[test]
    fn hosts_are_told_of_a_narrower_wan_alone() {
        let told = Blueprint { mss_clamp: true, too_big: TooBig::Icmp, ..blueprint(1500) };
        assert_eq!((told.clamp(), told.warnings().len()), (None, 1));
        let narrow = Blueprint { lan_frame: 9022, ..told };
        assert_eq!((narrow.clamp(), narrow.max_ip()), (Some(1514), 1500));
        let warning = &narrow.warnings()[1];
        assert!(warning.contains("LAN's MTU is 9000") && warning.contains("a WAN MTU of 9000"));
        assert!(warning.contains("by ICMP; others will be dropped"), "{warning}");
    }
}
