//! Where a flow's own bytes lie in a gateway's offsets, when the gateway has not seen its SYN.
//!
//! Such a gateway counts from an arbitrary byte: its offset is ours plus an unknown *shift*. No
//! message is needed to learn it. Let A be what the gateway knows to be acknowledged, in its offsets, and
//! U what our kernel knows, in ours. Every acknowledgement passes the gateway on its way to our kernel,
//! and the gateway publishes it before it sends it on. So U + shift ≤ A at any instant, and if U is
//! read first, then A, A − U is never below the shift. A shift that is too large makes
//! us wait for more than we need, never for less. The least A − U seen is therefore always sound, and
//! exact as soon as no acknowledgement was on its way in between.
//!
//! What must be ruled out is an acknowledgement that our kernel got without this gateway: from the
//! one before it, or while it was bypassed. So only such U count as have grown since the gateway was
//! seen with this flow, and since what passed before has had time to arrive ([`SETTLE_NS`]), with no
//! change of its state in between.
//!
//! Bytes before the gateway's first were protected by nobody it knows of. A is known only from the
//! first acknowledgement on that covers all of those: until then there is no anchor either.
//!
//! When the TCP sequence number of our first byte is known, from a gateway that had seen the SYN or
//! an anchor that was exact, the shift is known from its 32 bits, and needs no waiting.
//!
//! All this rests on gateways: after a time in which packets of a flow passed it unseen, it opens the
//! flow anew, as unanchored.

/// From a gateway's transmit to this host's TCP, at the very most.
const SETTLE_NS: u64 = 10_000_000;
/// After so many samples the least will do.
const ENOUGH: u32 = 1000;

/// One look at both. `ours` was read first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) now_ns: u64,
    /// U: acknowledged, to our kernel.
    pub(super) ours: u64,
    /// A: acknowledged, to the gateway.
    pub(super) theirs: Option<u64>,
    /// Our kernel had nothing left that was not acknowledged, before and after A was read.
    pub(super) idle: bool,
    /// The gateway passes all frames through its rooms.
    pub(super) protects: bool,
    /// Of the gateway's state.
    pub(super) transitions: u64,
}

/// What is known of the shift so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Anchor {
    since: Option<(u64, u64)>,
    settled: Option<u64>,
    shift: Option<i64>,
    samples: u32,
    exact: bool,
}

impl Anchor {
    /// Of a gateway that has seen the SYN.
    pub(super) fn fixed(shift: i64) -> Anchor {
        Anchor { shift: Some(shift), exact: true, ..Anchor::default() }
    }

    /// What is to be added to our offsets; it may still shrink.
    pub(super) fn shift(&self) -> Option<i64> {
        self.shift
    }

    /// Whether further looks are of use.
    pub(super) fn is_final(&self) -> bool {
        self.exact || self.samples >= ENOUGH
    }

    /// Whether the shift is no estimate.
    pub(super) fn is_exact(&self) -> bool {
        self.exact
    }

    pub(super) fn look(&mut self, look: &Look) {
        let unchanged = self.since.is_some_and(|(_, transitions)| transitions == look.transitions);
        if !look.protects || !unchanged {
            self.since = look.protects.then_some((look.now_ns, look.transitions));
            self.settled = None;
            return;
        }
        let Some((since, _)) = self.since else { return };
        if look.now_ns.saturating_sub(since) < SETTLE_NS {
            return;
        }
        let settled = *self.settled.get_or_insert(look.ours);
        let (true, Some(theirs)) = (look.ours > settled, look.theirs) else { return };
        let shift = theirs.wrapping_sub(look.ours) as i64;
        self.shift = Some(self.shift.map_or(shift, |least| least.min(shift)));
        self.samples += 1;
        // Nothing of ours is left to be acknowledged: A can't be ahead of U.
        self.exact = look.idle;
    }

    /// The shift of a gateway whose offset 0 is the byte with sequence number `base`, when ours is
    /// `first`, given what both have sent so far: that tells it roughly, and 32 bits exactly. None
    /// when the two are further apart than a TCP window.
    pub(super) fn by_sequence(
        first: u32,
        base: u32,
        ours_sent: u64,
        theirs_sent: u64,
    ) -> Option<Anchor> {
        let rough = theirs_sent.wrapping_sub(ours_sent) as i64;
        let correction = first.wrapping_sub(base).wrapping_sub(rough as u32) as i32;
        (correction.unsigned_abs() <= 1 << 30)
            .then(|| Anchor::fixed(rough.wrapping_add(correction.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn look(now_ms: u64, ours: u64, theirs: u64) -> Look {
        Look {
            now_ns: now_ms * 1_000_000,
            ours,
            theirs: Some(theirs),
            idle: false,
            protects: true,
            transitions: 0,
        }
    }

    #[test]
    fn the_least_difference_counts_once_the_past_has_settled() {
        let mut anchor = Anchor::default();
        anchor.look(&look(0, 1000, 100));
        anchor.look(&look(5, 1100, 0));
        anchor.look(&look(11, 1200, 0));
        // Ours did not grow since.
        anchor.look(&look(12, 1200, 0));
        assert_eq!(anchor.shift(), None);
        anchor.look(&look(13, 1300, 450));
        assert_eq!(anchor.shift(), Some(-850));
        anchor.look(&look(14, 1400, 500));
        anchor.look(&look(15, 1500, 620));
        assert_eq!(anchor.shift(), Some(-900));
        assert!(!anchor.is_exact());
        anchor.look(&Look { idle: true, ..look(16, 1520, 620) });
        assert!(anchor.is_exact());
    }

    #[test]
    fn a_gateway_that_was_bypassed_begins_anew() {
        let mut anchor = Anchor::default();
        anchor.look(&look(0, 0, 0));
        anchor.look(&look(10, 10, 10));
        anchor.look(&Look { protects: false, transitions: 1, ..look(11, 20, 10) });
        anchor.look(&Look { transitions: 2, ..look(12, 30, 10) });
        anchor.look(&Look { transitions: 2, ..look(13, 40, 10) });
        assert_eq!(anchor.shift(), None);
        anchor.look(&Look { transitions: 2, ..look(22, 50, 10) });
        anchor.look(&Look { transitions: 2, ..look(23, 60, 60) });
        assert_eq!(anchor.shift(), Some(0));
    }

    #[test]
    fn nothing_is_known_before_the_gateway_s_first_acknowledgement() {
        let mut anchor = Anchor::default();
        anchor.look(&look(0, 0, 0));
        anchor.look(&look(10, 10, 0));
        anchor.look(&Look { theirs: None, ..look(11, 20, 0) });
        assert_eq!(anchor.shift(), None);
    }

    proptest! {
        /// A connection of any shift: acknowledgements reach the gateway, then our kernel; some went
        /// by an earlier gateway; looks fall anywhere in between. The shift is never too small, and
        /// exact after an idle look.
        #[test]
        fn the_shift_is_never_too_small(
            shift in -1_000_000..1_000_000i64,
            missed in 0..5000u64,
            steps in proptest::collection::vec((0..3000u64, 0..3000u64, 0..4u64), 0..200),
        ) {
            let start = 2_000_000;
            // Everything up to `start + missed` was acknowledged past an earlier gateway.
            let (mut acked, mut kernel) = (start + missed, start);
            let mut known = start;
            let mut anchor = Anchor::default();
            let mut now = 0;
            for (ack, arrives, pause) in steps {
                let ours = kernel;
                if ack > 0 {
                    acked += ack;
                    known = acked;
                }
                let theirs = known.checked_add_signed(shift);
                // What passed before is on its way for less than it takes to settle.
                let quick = if now >= 9 { start + missed } else { 0 };
                kernel = (kernel + arrives).max(quick).min(acked);
                let idle = ours == acked;
                anchor.look(&Look { theirs, idle, ..look(now, ours, 0) });
                if let Some(found) = anchor.shift() {
                    prop_assert!(found >= shift);
                    prop_assert!(!anchor.is_exact() || found == shift);
                }
                now += pause;
            }
        }

        #[test]
        fn a_sequence_number_tells_the_shift_exactly(
            first: u32,
            picked_up_at in 0..1u64 << 40,
            further in 0..1u64 << 33,
            lag in 0..1u64 << 30,
        ) {
            let base = first.wrapping_add(picked_up_at as u32);
            let anchor = Anchor::by_sequence(first, base, picked_up_at + further + lag, further);
            prop_assert_eq!(anchor.and_then(|it| it.shift()), Some(-(picked_up_at as i64)));
        }
    }
}
