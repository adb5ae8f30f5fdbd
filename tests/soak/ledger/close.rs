//! A life is over: what a gateway counted of it is what was seen.

use maelstrom::gateway::Overload;

use super::{Fate, Ledger, Sender};

impl Sender {
    /// The life is over; compares what it counted with what was seen. `all` says that it ended in
    /// peace: whatever was owed has left.
    pub fn close(
        &mut self,
        ledger: &mut Ledger,
        count: impl Fn(&str) -> u64,
        limit: Option<Overload>,
        all: bool,
    ) {
        let [protect, bypass, runt, link_local, too_large] = self.taken;
        let n = &count;
        assert_eq!(n("lan_in"), self.taken.iter().sum::<u64>(), "lan_in");
        // What waits for the rate has not been looked at, and may be of any kind.
        let unseen = n("overload_waiting") + n("overload_dropped") + n("peer_down");
        let unseen = unseen + n("no_next_hop");
        for (name, seen) in
            [("runt", runt), ("link_local_dropped", link_local), ("too_large", too_large)]
        {
            let counted = n(name);
            // What may cross unprotected may do so, or be too large for that.
            let [seen, unseen] = match self.bypasses {
                true => [seen + protect + bypass, unseen + n("bypassed") + protect + bypass],
                false => [seen, unseen],
            };
            assert!(counted <= seen && seen <= counted + unseen, "{name}: {counted} of {seen}");
        }
        let outside = n("source_sent")
            + n("bypassed")
            + n("runt")
            + n("link_local_dropped")
            + n("too_large")
            + n("no_headroom")
            + n("numbers_used_up")
            + n("seal_failed")
            + n("no_keys")
            + n("peer_down");
        let unseen = unseen - n("peer_down");
        assert_eq!(n("lan_in"), outside + unseen, "each frame has one fate");
        assert_eq!(n("no_headroom"), 0, "there was headroom");
        let bare = if self.bypasses { protect + too_large } else { 0 };
        assert!(n("bypassed") <= bypass + bare && n("source_sent") <= protect);
        if all {
            assert_eq!((n("source_sent"), n("bypassed")), (self.sources, self.bypassed), "sent");
            assert_eq!(n("repair_sent"), self.repairs, "repairs sent");
            assert_eq!(n("overload_waiting"), 0, "something still waits");
        }
        if limit != Some(Overload::SourceFirst) {
            assert_eq!(n("repair_shed"), 0, "nothing is to be shed");
        }
        if all {
            self.is_covered(n);
        }
        for frame in self.pending.drain(..) {
            let fate = if all { Fate::Dropped } else { Fate::Died };
            ledger.at(frame.n).fate = fate;
        }
    }
}
