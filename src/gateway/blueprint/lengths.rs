//! How long frames and packets may be: on the LAN, on the WAN with what surrounds them, and in memory.

use super::Blueprint;
use crate::dpdk::mempool;
use crate::fec::Run;
use crate::fec::group::MAX_RUNS;
use crate::wire::encap::MAX_OUTER;
use crate::wire::outer::OUTER_LEN;
use crate::wire::repair::{KEYED_REPAIR_LEN, REPAIR_LEN};
use crate::wire::seal::KEYED_SHIM_LEN;

/// What a repair packet that merges bins has in its header beyond one that does not, at most.
pub(super) const MORE_RUNS: usize = (MAX_RUNS - 1) * Run::WIRE_LEN;
/// Longer frames than this have several mbufs, and no WAN lets them through.
pub const MAX_PORT_MTU: u16 = 16_000;
/// Two Ethernet VLAN tags, which an MTU doesn't count.
pub const TAGS: usize = 8;
const _: () = assert!(MAX_OUTER + KEYED_SHIM_LEN <= mempool::HEADROOM as usize);

impl Blueprint {
    /// What a repair packet has in front of its bytes, of what the WAN's MTU counts.
    pub(super) fn repair_headers(&self) -> usize {
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

    /// The largest IP packet that is protected, in a frame without tags.
    pub fn max_ip(&self) -> usize {
        if self.encapsulation.is_transparent() {
            return usize::from(self.wan_mtu).min(self.lan_frame - OUTER_LEN - TAGS);
        }
        (self.max_protected() - OUTER_LEN).min(self.lan_frame - OUTER_LEN - TAGS)
    }

    /// The length of the frames that SYNs may ask for, if it is less than what the LAN sends anyhow.
    pub(super) fn clamp(&self) -> Option<usize> {
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

    /// The longest packet that leaves through the WAN port, in bytes.
    pub fn longest_packet(&self) -> usize {
        usize::from(self.wan_port_mtu()) + OUTER_LEN + TAGS
    }
}
