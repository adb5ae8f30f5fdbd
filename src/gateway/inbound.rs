//! Which packets of the peer's channel belong to its present life, and where its numbers stand.
//!
//! A packet whose check is right is believed in most things, but two beliefs would be costly if they
//! were wrong: that the peer has begun a new epoch, and that its numbers have jumped far ahead. Both
//! need a second packet that agrees (RFC 3550, appendix A.1, does likewise); the first is lost, and
//! usually rebuilt. An older epoch than the present one is refused, unless the present one has been
//! silent for a second: a peer whose clock was set back must not be shut out for good. An epoch that has
//! ended never comes again, so a packet of one is late, or a copy, however long ago that was.

use arrayvec::ArrayVec;

use crate::wire::shim::is_later;

/// How long an epoch must be silent before an older one may follow it.
const SILENCE: u64 = 1_000_000_000;
/// How many epochs that have ended are remembered.
const ENDED: usize = 8;
/// How close in numbers two packets must be to confirm each other.
const CLOSE: u64 = 1024;

/// What to make of a packet, by its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Of the present epoch.
    Present,
    /// A new epoch begins: forget the old one, then treat the packet as of the present one.
    Begins,
    /// A new epoch may have begun: wait for another packet.
    Unconfirmed,
    /// Of an epoch that has ended.
    Stale,
}

/// A packet that a second one may confirm.
#[derive(Clone, Copy, Debug)]
struct Claim {
    epoch: u32,
    seq: u64,
    repair: bool,
}

impl Claim {
    /// Whether another packet, not this one come twice, says the same.
    fn agrees(&self, other: Claim) -> bool {
        self.epoch == other.epoch
            && (self.seq, self.repair) != (other.seq, other.repair)
            && self.seq.abs_diff(other.seq) < CLOSE
    }
}

/// What is known of the peer's channel.
#[derive(Debug, Default)]
pub struct Inbound {
    epoch: Option<u32>,
    heard: u64,
    epoch_claim: Option<Claim>,
    jump_claim: Option<Claim>,
    /// The epoch that the peer has named last: it has not ended, whatever late packets say.
    named: Option<u32>,
    /// Those that have ended, the latest last.
    ended: ArrayVec<u32, ENDED>,
}

impl Inbound {
    /// The present epoch.
    pub fn epoch(&self) -> Option<u32> {
        self.epoch
    }

    /// Judges a packet whose check is right. `seq` is its sequence number, or a repair's base.
    #[inline]
    pub fn judge(&mut self, now: u64, epoch: u32, seq: u64, repair: bool) -> Verdict {
        match self.epoch {
            Some(present) if present == epoch => {
                self.heard = now;
                return Verdict::Present;
            }
            Some(present) if !is_later(epoch, present) && now - self.heard.min(now) < SILENCE => {
                return Verdict::Stale;
            }
            _ if self.ended.contains(&epoch) => return Verdict::Stale,
            _ => {}
        }
        let claim = Claim { epoch, seq, repair };
        let confirmed = self.named == Some(epoch)
            || self.epoch_claim.is_some_and(|earlier| earlier.agrees(claim));
        // With nothing to lose, the first packet is believed.
        if self.epoch.is_some() && !confirmed {
            self.epoch_claim = Some(claim);
            return Verdict::Unconfirmed;
        }
        self.begin(now, epoch);
        Verdict::Begins
    }

    /// The peer has said itself that it is in this epoch: one that is later than the present one needs
    /// no second packet, nor does one that follows silence.
    pub fn announce(&mut self, epoch: u32) {
        let before = self.named.replace(epoch);
        self.ended.retain(|ended| *ended != epoch);
        self.end(before.filter(|before| self.epoch != Some(*before)));
    }

    /// An epoch begins, of which nobody can be wrong.
    pub fn begin(&mut self, now: u64, epoch: u32) {
        let before = self.epoch.replace(epoch);
        (self.heard, self.epoch_claim, self.jump_claim) = (now, None, None);
        self.end(before.filter(|before| *before != epoch));
    }

    /// This epoch has ended, unless the peer says otherwise.
    fn end(&mut self, epoch: Option<u32>) {
        let Some(epoch) = epoch.filter(|&epoch| self.named != Some(epoch)) else { return };
        self.ended.retain(|ended| *ended != epoch);
        if self.ended.is_full() {
            self.ended.remove(0);
        }
        self.ended.push(epoch);
    }

    /// A packet of the present epoch lies far ahead. Where to go on, if an earlier one agrees.
    pub fn judge_jump(&mut self, seq: u64, repair: bool) -> Option<u64> {
        let claim = Claim { epoch: self.epoch?, seq, repair };
        let earlier = self.jump_claim.replace(claim).filter(|earlier| earlier.agrees(claim))?;
        self.jump_claim = None;
        Some(earlier.seq.min(seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_first_packet_ever_is_believed() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.judge(0, 7, 500_000, false), Verdict::Begins);
        assert_eq!(inbound.judge(0, 7, 500_001, false), Verdict::Present);
    }

    #[test]
    fn a_new_epoch_needs_two_packets() {
        let mut inbound = Inbound::default();
        inbound.judge(0, 7, 0, false);
        assert_eq!(inbound.judge(0, 8, 0, false), Verdict::Unconfirmed);
        // The same packet again confirms nothing, nor does one from far away.
        assert_eq!(inbound.judge(0, 8, 0, false), Verdict::Unconfirmed);
        assert_eq!(inbound.judge(0, 8, 5000, false), Verdict::Unconfirmed);
        assert_eq!(inbound.judge(0, 7, 1, false), Verdict::Present);
        assert_eq!(inbound.judge(0, 8, 0, false), Verdict::Unconfirmed);
        assert_eq!(inbound.judge(0, 8, 0, true), Verdict::Begins);
        assert_eq!(inbound.judge(0, 7, 2, false), Verdict::Stale);
    }

    #[test]
    fn an_epoch_that_the_peer_has_named_begins_at_once() {
        let mut inbound = Inbound::default();
        inbound.judge(0, 7, 0, false);
        inbound.announce(8);
        assert_eq!(inbound.judge(0, 9, 0, false), Verdict::Unconfirmed);
        assert_eq!(inbound.judge(0, 8, 0, false), Verdict::Begins);
        // An older one does after silence.
        inbound.announce(6);
        assert_eq!(inbound.judge(0, 6, 0, false), Verdict::Stale);
        assert_eq!(inbound.judge(2 * SECOND, 6, 0, false), Verdict::Begins);
    }

    #[test]
    fn an_older_epoch_may_follow_silence_only() {
        let mut inbound = Inbound::default();
        inbound.judge(0, 7, 0, false);
        for seq in 0..10 {
            assert_eq!(inbound.judge(SECOND / 2, 6, seq, false), Verdict::Stale);
        }
        assert_eq!(inbound.judge(2 * SECOND, 6, 0, false), Verdict::Unconfirmed);
        assert_eq!(inbound.judge(2 * SECOND, 6, 1, false), Verdict::Begins);
    }

    #[test]
    fn an_epoch_that_has_ended_does_not_come_again() {
        let mut inbound = Inbound::default();
        inbound.judge(0, 100, 0, false);
        for epoch in 101..=100 + ENDED as u32 {
            inbound.announce(epoch);
            assert_eq!(inbound.judge(0, epoch, 0, false), Verdict::Begins);
            for (seq, before) in (0..).zip(100..epoch) {
                assert_eq!(inbound.judge(2 * SECOND, before, seq, false), Verdict::Stale);
            }
        }
        // A clock that was set back is none of those.
        assert_eq!(inbound.judge(2 * SECOND, 50, 0, false), Verdict::Unconfirmed);
        assert_eq!(inbound.judge(2 * SECOND, 50, 1, false), Verdict::Begins);
    }

    /// A clock was set back, and late packets of the life before have the later epoch.
    #[test]
    fn what_the_peer_has_named_last_has_not_ended() {
        let mut inbound = Inbound::default();
        inbound.judge(0, 7, 0, false);
        inbound.announce(7);
        inbound.judge(0, 9, 500, false);
        assert_eq!(inbound.judge(0, 9, 501, false), Verdict::Begins);
        assert_eq!(inbound.judge(0, 7, 1, false), Verdict::Stale);
        assert_eq!(inbound.judge(2 * SECOND, 7, 2, false), Verdict::Begins);
        assert_eq!(inbound.judge(2 * SECOND, 9, 502, false), Verdict::Stale);
        // It names another: only now the one before has ended, and what it names again has not.
        inbound.announce(10);
        assert_eq!(inbound.judge(2 * SECOND, 10, 0, false), Verdict::Begins);
        for seq in 0..4 {
            assert_eq!(inbound.judge(4 * SECOND, 7, seq, false), Verdict::Stale);
        }
        inbound.announce(7);
        assert_eq!(inbound.judge(6 * SECOND, 7, 5, false), Verdict::Begins);
    }

    #[test]
    fn epochs_wrap_around() {
        let mut inbound = Inbound::default();
        inbound.judge(0, u32::MAX, 0, false);
        inbound.judge(0, 1, 0, false);
        assert_eq!(inbound.judge(0, 1, 1, false), Verdict::Begins);
    }

    #[test]
    fn a_jump_needs_two_packets() {
        let mut inbound = Inbound::default();
        inbound.judge(0, 7, 0, false);
        assert_eq!(inbound.judge_jump(1 << 40, false), None);
        assert_eq!(inbound.judge_jump(1 << 40, false), None);
        assert_eq!(inbound.judge_jump(1 << 50, false), None);
        assert_eq!(inbound.judge_jump((1 << 50) + 3, false), Some(1 << 50));
    }
}
