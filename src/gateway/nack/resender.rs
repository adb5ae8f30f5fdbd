//! `protect`'s part: sends nacks for the rooms that recover, and again what the peer's ask for.
//!
//! What is sent again is the packet that was sent before, byte for byte: same number, same tag, and the
//! nonce that goes with both. It never takes more than a share of what the room sends, counted in bytes,
//! so that nobody's questions make us a flood; what was not spent may be spent later, as far as it is a
//! share of what the buffer holds. Questions that could not be answered in time are dropped: whoever asked
//! asks again, or has given up.

use std::collections::VecDeque;

use super::{Letter, Retransmission};
use crate::control::counters::ProtectCounters;
use crate::gateway::post::Receiver;
use crate::link::store::Store;
use crate::wire::nack::{Missing, Nack};

/// Retransmissions are at most one part in so many of the source packets' bytes.
pub const SHARE: u64 = 10;
/// The least that may be sent again at once, in bytes: some packets, even on a link that just woke up.
const LEAST: u64 = 64 << 10;
/// How many runs wait at most.
const RUNS: usize = 1024;

/// See the module's head.
pub struct Resender {
    pub(in crate::gateway) letters: Receiver<Letter>,
    store: Store,
    wanted: VecDeque<(Missing, u64)>,
    credit: u64,
    most: u64,
    patience: u64,
    /// The next nack's number, among those that this room sends.
    pub(in crate::gateway) number: u64,
}

impl Resender {
    /// Takes letters out of this mailbox. All memory is allocated here.
    pub fn new(plan: &Retransmission, letters: Receiver<Letter>) -> Resender {
        Resender {
            letters,
            store: Store::new(plan.buffer),
            wanted: VecDeque::with_capacity(RUNS),
            credit: LEAST,
            most: LEAST.max(plan.buffer as u64 / SHARE),
            patience: super::answer_within(plan.round_trip),
            number: 0,
        }
    }

    /// Source packet `seq` is about to be sent.
    #[inline]
    pub fn keep(&mut self, seq: u64, packet: &[u8]) {
        self.store.push(seq, packet);
        self.credit = self.most.min(self.credit + packet.len() as u64 / SHARE);
    }

    /// What was sent can't be opened any more: it won't be sent again.
    pub fn forget(&mut self) {
        self.store.clear();
        self.wanted.clear();
    }

    /// The peer asks for these, which it says are of `epoch`.
    pub fn take(&mut self, now: u64, nack: &Nack, epoch: u32, counters: &ProtectCounters) {
        if nack.epoch != epoch {
            return counters.nack_refused.add(1);
        }
        for run in &nack.runs {
            if run.end() > self.store.next() {
                // It was never sent.
                counters.nack_refused.add(1);
                continue;
            }
            let first = run.first.max(self.store.oldest());
            let old = first.min(run.end()) - run.first;
            counters.nack_too_old.add(old);
            let count = u64::from(run.count) - old;
            if count == 0 {
                continue;
            }
            if self.wanted.len() == RUNS {
                counters.retransmit_shed.add(count);
                continue;
            }
            self.wanted.push_back((Missing { first, count: count as u16 }, now));
        }
    }

    /// Whether something may be there to be sent.
    pub fn is_due(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether that is not for the share to say any more.
    pub fn is_affordable(&self) -> bool {
        let front = self.wanted.front().map(|(run, _)| self.store.get(run.first).map(<[u8]>::len));
        front.is_some_and(|len| len.is_none_or(|len| len as u64 <= self.credit))
    }

    /// The next packet that is to be sent again, as long as the share lasts.
    pub fn next(&mut self, now: u64, counters: &ProtectCounters) -> Option<&[u8]> {
        while let Some((run, at)) = self.wanted.front_mut() {
            if now > at.saturating_add(self.patience) {
                counters.retransmit_shed.add(run.count.into());
                self.wanted.pop_front();
                continue;
            }
            let seq = run.first;
            // Borrowed again below: the borrow checker can't see that it ends where we go on.
            let len = self.store.get(seq).map(|packet| packet.len() as u64);
            if len.is_some_and(|len| len > self.credit) {
                return None;
            }
            (run.first, run.count) = (run.first + 1, run.count - 1);
            if run.count == 0 {
                self.wanted.pop_front();
            }
            match len {
                None => counters.nack_too_old.add(1),
                Some(len) => {
                    self.credit -= len;
                    return self.store.get(seq);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::post::mailbox;

    const EPOCH: u32 = 7;

    fn nack(runs: &[(u64, u16)]) -> Nack {
        let runs = runs.iter().map(|&(first, count)| Missing { first, count }).collect();
        Nack { channel: 0, epoch: EPOCH, runs }
    }

    fn resender(buffer: usize) -> Resender {
        Resender::new(&Retransmission { buffer, round_trip: 10_000_000 }, mailbox(4).1)
    }

    fn count(resender: &mut Resender, now: u64, counters: &ProtectCounters) -> usize {
        std::iter::from_fn(|| resender.next(now, counters).map(<[u8]>::len)).count()
    }

    #[test]
    fn what_is_asked_for_comes_again_within_the_share() {
        let counters = ProtectCounters::default();
        let mut resender = resender(4 << 20);
        for seq in 0..1000 {
            resender.keep(seq, &[seq as u8; 1000]);
        }
        resender.take(0, &nack(&[(3, 1), (10, 2)]), EPOCH, &counters);
        assert!(resender.is_due());
        for seq in [3, 10, 11] {
            assert_eq!(resender.next(0, &counters), Some(&[seq; 1000][..]));
        }
        assert_eq!(resender.next(0, &counters), None);
        assert!(!resender.is_due());
        // 65,536 bytes, and a tenth of a million, are 165 packets, of which 3 were sent.
        resender.take(0, &nack(&[(0, 1000)]), EPOCH, &counters);
        assert_eq!(count(&mut resender, 0, &counters), 162);
        // Each ten that are sent let another one be sent again.
        (1000..1100).for_each(|seq| resender.keep(seq, &[0; 1000]));
        assert_eq!(count(&mut resender, 0, &counters), 10);
        // The rest is not wanted any more.
        (1100..2100).for_each(|seq| resender.keep(seq, &[0; 1000]));
        assert_eq!(count(&mut resender, 1 << 40, &counters), 0);
        assert_eq!(counters.retransmit_shed.get(), 1000 - 172);
        assert_eq!((counters.nack_too_old.get(), counters.nack_refused.get()), (0, 0));
    }

    #[test]
    fn what_is_gone_or_was_never_sent_is_counted() {
        let counters = ProtectCounters::default();
        let mut resender = resender(64 << 10);
        (0..2000).for_each(|seq| resender.keep(seq, &[0; 1000]));
        resender.take(0, &nack(&[(0, 1990), (1990, 10)]), EPOCH, &counters);
        let sent = count(&mut resender, 0, &counters);
        assert_eq!(sent, 65);
        assert_eq!(counters.nack_too_old.get(), 2000 - 65);
        resender.take(0, &nack(&[(1990, 11)]), EPOCH, &counters);
        resender.take(0, &nack(&[(1 << 61, 60_000)]), EPOCH, &counters);
        resender.take(0, &Nack { epoch: EPOCH + 1, ..nack(&[(1990, 1)]) }, EPOCH, &counters);
        assert_eq!((counters.nack_refused.get(), resender.is_due()), (3, false));
        // More than it remembers.
        let many: Vec<(u64, u16)> = (0..100).map(|n| (1990 + n / 50, 1)).collect();
        (0..20).for_each(|_| resender.take(0, &nack(&many), EPOCH, &counters));
        assert_eq!(counters.retransmit_shed.get(), 2000 - RUNS as u64);
        resender.forget();
        resender.take(0, &nack(&[(1990, 10)]), EPOCH, &counters);
        assert_eq!((count(&mut resender, 0, &counters), resender.is_due()), (0, false));
    }
}
