//! Counters that one thread writes and any thread reads.
//!
//! Every packet that a room drops is counted under its reason; the names here are those that the
//! final report, the JSON and the documentation use.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer. A reader sees some recent value; several counters read one after the
/// other need not add up while the writer runs.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more. Only the owner may call this: two writers would lose counts.
    #[inline]
    pub fn add(&self, n: u64) {
        // Relaxed: nothing else is published with a count. A load and a store, not a locked
        // read-modify-write: there is one writer.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets the count, where something else has counted.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Defines a room's counters: a struct on cache lines of its own, whose `each` goes through names
/// and values in order.
macro_rules! counters {
    ($(#[$room:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$room])*
        #[derive(Debug, Default)]
        #[repr(align(64))]
        pub struct $name {
            $($(#[$doc])* pub $field: Counter,)*
        }

        impl $name {
            /// Every counter's name and value, in the order of their declaration.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$((stringify!($field), self.$field.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// What `protect` counts.
    ProtectCounters {
        /// Frames from the LAN.
        lan_in,
        /// Their bytes.
        lan_in_bytes,
        /// Source packets sent.
        source_sent,
        /// The bytes of their frames.
        source_sent_bytes,
        /// Repair packets sent.
        repair_sent,
        /// Their bytes on the WAN.
        repair_sent_bytes,
        /// Of the repair packets, those whose group or guard was cut short, by an idle time, an age
        /// or the gateway's end.
        repair_flushed,
        /// Frames too large to protect, sent as they are.
        bypassed,
        /// Frames sent for control.
        control_sent,
        /// Frames not sent for control: no buffer was free, or the WAN port was full.
        control_unsent,
        /// Frames for bridges only that were let in, as configured, to be treated as any other.
        link_local_passed,
        /// Dropped: a frame for bridges only.
        link_local_dropped,
        /// Dropped: the peer is down, and `link.peer_down` says so.
        peer_down,
        /// Dropped: shorter than an Ethernet header.
        runt,
        /// Dropped: too large to protect, or in several buffers, and bypassing is off or could not
        /// carry it.
        too_large,
        /// Dropped: an IP packet too large to protect that must not be fragmented, which is answered by
        /// ICMP.
        too_big,
        /// Of those, packets whose sender was told: as many a second as are allowed, while there is room.
        too_big_told,
        /// SYNs that were made to ask for no larger segments than are protected.
        mss_clamped,
        /// Dropped: the buffer had no room for the headers.
        no_headroom,
        /// Dropped: the epoch has no numbers left.
        numbers_used_up,
        /// Dropped: keys are configured, and none were agreed upon yet.
        no_keys,
        /// Dropped: no buffer was free to encrypt it into.
        seal_failed,
        /// Dropped: the next hop on the WAN was not yet found.
        no_next_hop,
        /// Dropped: it bears the EtherType of our own packets, and the encapsulation adds none.
        own_ethertype,
        /// Of the repair packets, those that were sent in parts.
        repair_split,
        /// Repair packets not sent: no buffer was free, or it took too many parts.
        repair_no_mbuf,
        /// Repair packets not sent: `source-first` shed them. And packets that went without a layer's
        /// repair: there was no memory for their group.
        repair_shed,
        /// Of those, what `source-first` shed of layer 1.
        shed_layer_1,
        /// Of layer 2.
        shed_layer_2,
        /// Of layer 3.
        shed_layer_3,
        /// Of layer 4.
        shed_layer_4,
        /// Of layer 5.
        shed_layer_5,
        /// Of layer 6.
        shed_layer_6,
        /// Of layer 7.
        shed_layer_7,
        /// Of layer 8.
        shed_layer_8,
        /// Source packets sent again, as the peer asked for them.
        retransmitted,
        /// Their bytes on the WAN.
        retransmitted_bytes,
        /// Nacks sent to the peer.
        nack_sent,
        /// Nacks not sent: no buffer was free, there were no keys, or the WAN port was full.
        nack_unsent,
        /// Source packets that the peer asked for, and that were kept no longer.
        nack_too_old,
        /// Rejected: nacks of another epoch than ours, and runs of packets that were never sent.
        nack_refused,
        /// Source packets that the peer asked for, and that found no room in the share of retransmissions.
        retransmit_shed,
        /// Dropped: the WAN's rate was used up, and the queue before it full.
        overload_dropped,
        /// Frames that wait for the WAN's rate now; at the end, those that the gateway left behind.
        overload_waiting,
        /// Repair packets that storage processes are not told of: too many were on their way out.
        repair_untold,
        /// Tracked flows that had to leave for others.
        flows_evicted,
    }
}

counters! {
    /// What `recover` counts.
    RecoverCounters {
        /// Packets from the WAN.
        wan_in,
        /// Their bytes.
        wan_in_bytes,
        /// Frames out on the LAN: as they came, rebuilt, or bypassed.
        delivered,
        /// Their bytes.
        delivered_bytes,
        /// Of those, frames that were rebuilt.
        recovered,
        /// Of those, frames that came unprotected.
        bypassed,
        /// Control packets that were verified, and frames for the gateway itself, handed up.
        control_heard,
        /// The same, but dropped: control did not keep up.
        control_unheard,
        /// With keys: handshake packets that were handed up, whoever sent them.
        handshakes_heard,
        /// The same, but dropped: more came than control looks at.
        handshakes_unheard,
        /// Frames sent on the LAN for control.
        control_sent,
        /// Frames not sent for control: no buffer was free, or the LAN port was full.
        control_unsent,
        /// Repair packets that were taken.
        repair_received,
        /// Of those, repairs whose members had all arrived.
        repair_redundant,
        /// Of those, repairs that came too late: a member had left the window.
        repair_too_old,
        /// Of those, repairs that missed several packets and made way for newer ones, or found no
        /// room to wait.
        repair_evicted,
        /// SYNs that were made to ask for no larger segments than are protected.
        mss_clamped,
        /// Answers of our own to packets from the LAN that are too big, sent or dropped as any frame.
        answers,
        /// Repair packets of which a part was lost.
        repair_incomplete,
        /// Frames not rebuilt, since hardly any arrive under the names that repairs give them: the
        /// circuit changes them.
        estranged,
        /// Source packets that had been delivered before.
        duplicates_suppressed,
        /// Source packets that the peer was asked for: no repair could bring them any more.
        asked,
        /// Of those, packets asked for a second time.
        asked_again,
        /// Source packets that came after they had been asked for.
        answered,
        /// Source packets that did not come though they were asked for: left to the endpoints' TCP.
        given_up,
        /// Nacks not sent: the room that sends them was behind.
        nack_unsent,
        /// Nacks of the peer that were handed to the room they are for.
        nack_heard,
        /// Rejected: nacks that came before, are malformed, or for a channel that is none of ours; or with
        /// retransmission off. Or that room was behind.
        nack_refused,
        /// Frames held behind a hole now.
        held,
        /// Holes that were skipped: the time that frames may be held was over, or there was no room.
        hole_skipped,
        /// Rejected: shorter than its headers, outer or ours.
        truncated,
        /// Rejected: another wire version.
        bad_version,
        /// Rejected: an unknown kind of packet, or reserved bits that are set.
        bad_kind,
        /// Rejected: not protected in the configured way.
        bad_integrity,
        /// Rejected: it names more bytes than there are, or too few for a frame.
        bad_length,
        /// Rejected: a sequence number beyond the limit.
        bad_sequence,
        /// Rejected: a group that contradicts itself.
        bad_members,
        /// Rejected: the check does not confirm it.
        bad_check,
        /// Rejected: no key opens it.
        bad_tag,
        /// Rejected: of an epoch that there are no keys for.
        no_keys,
        /// Rejected: a keyed repair or control packet that had come before.
        replayed,
        /// Rejected: a rebuilt frame of an impossible length, or that its check does not confirm.
        bad_rebuilt,
        /// Rejected: of another channel, or our own come back.
        unknown_channel,
        /// Rejected: of an epoch that has ended.
        stale_epoch,
        /// Held back: the first packet of a new epoch or of a jump, until another confirms it.
        unconfirmed,
        /// Rejected: behind the window, so that nobody knows whether it was delivered.
        too_old,
        /// Rejected: not the peer's, by EtherType, addresses or ports; or a frame for bridges only.
        foreign,
        /// Dropped: in several buffers.
        not_contiguous,
        /// Dropped: the LAN port was full.
        lan_full,
        /// Not rebuilt: no buffer was free.
        no_mbuf,
    }
}

counters! {
    /// What `dispatch` counts.
    DispatchCounters {
        /// Packets from the port.
        received,
        /// Turns in which nothing was received, since a worker had no room for more.
        held_back,
        /// Dropped: for a worker that takes nothing, while another does.
        worker_stalled,
        /// Dropped: the gateway stopped before a worker had taken it.
        left_at_stop,
    }
}

counters! {
    /// What the bridge between several LAN ports counts.
    BridgeCounters {
        /// Frames from LAN ports.
        lan_in,
        /// Frames from the WAN, or from ourselves.
        wan_in,
        /// Copies of frames handed on to go over the WAN.
        to_wan,
        /// Copies of frames sent on LAN ports.
        to_lan,
        /// Frames that went everywhere but back: for many, or for an address that is not known.
        flooded,
        /// Addresses that were learnt at another place than before.
        moved,
        /// Known addresses that had to leave for others.
        evicted,
        /// Dropped: for an address at the port that it came from, which has it already.
        filtered,
        /// Dropped: shorter than an Ethernet header, or in several buffers.
        malformed,
        /// Dropped: a frame for bridges only.
        link_local_dropped,
        /// Dropped copies: a LAN port took no more.
        lan_full,
        /// Dropped copies: those that protect were behind.
        wan_full,
        /// Copies not made: no buffer was free.
        no_mbuf,
        /// Dropped: the gateway stopped before it was protected.
        left_at_stop,
    }
}

impl ProtectCounters {
    /// The reasons for which a frame from the LAN was dropped, and how many were.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        const REASONS: [&str; 12] = [
            "link_local_dropped",
            "peer_down",
            "runt",
            "too_large",
            "too_big",
            "no_headroom",
            "numbers_used_up",
            "no_keys",
            "seal_failed",
            "no_next_hop",
            "own_ethertype",
            "overload_dropped",
        ];
        self.each().filter(|(name, _)| REASONS.contains(name))
    }

    /// What `source-first` shed of each layer, in the order of the code.
    pub fn shed_by_layer(&self) -> [&Counter; 8] {
        [
            &self.shed_layer_1,
            &self.shed_layer_2,
            &self.shed_layer_3,
            &self.shed_layer_4,
            &self.shed_layer_5,
            &self.shed_layer_6,
            &self.shed_layer_7,
            &self.shed_layer_8,
        ]
    }
}

impl RecoverCounters {
    /// The reasons for which a packet from the WAN was rejected, and how many were.
    pub fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        const REASONS: [&str; 18] = [
            "truncated",
            "bad_version",
            "bad_kind",
            "bad_integrity",
            "bad_length",
            "bad_sequence",
            "bad_members",
            "bad_check",
            "bad_tag",
            "no_keys",
            "replayed",
            "bad_rebuilt",
            "unknown_channel",
            "stale_epoch",
            "unconfirmed",
            "too_old",
            "foreign",
            "nack_refused",
        ];
        self.each().filter(|(name, _)| REASONS.contains(name))
    }
}
