//! Has hosts send what can be protected: their SYNs are clamped, and what is too big is answered.
//!
//! * **Does:** change the MSS of a SYN in either direction, so that one gateway suffices; make answers in
//!   `protect`, at a bounded rate, and pass them to `recover`, which owns the way out to the LAN.
//! * **Fed by:** `protect` and `recover`, with frames.
//! * **Feeds:** the same, with frames, and `recover` with answers.
//! * **Runs on:** the workers of these rooms; a mailbox of [`super::post`] is between them.
//! * **Must not:** cost other frames more than a look at a flag, or let a host make us send without end.

use super::io::{Outbox, Transmit};
use super::post::{self, Receiver, Sender};
use crate::control::counters::{Counter, RecoverCounters};
use crate::dpdk::Mempool;
use crate::dpdk::mbuf::Mbuf;
use crate::wire::icmp::{Answer, TooBig};
use crate::wire::mss;

/// Answers that a mailbox holds: what is allowed at once, and what a worker that rests must catch up on.
const SLOTS: usize = 64;
/// Answers that are sent in a turn, at most.
const AT_A_TIME: usize = 8;
/// An answer's share of the time, in nanoseconds: 1,000 a second, and 50 at once, as Linux has it
/// (`icmp_msgs_per_sec`, `icmp_msgs_burst`; RFC 4443, section 2.4 f, asks for a token bucket).
const INTERVAL: u64 = 1_000_000;
const AT_ONCE: u64 = 50;

/// A mailbox from a room that protects to one that recovers, all of it allocated at once.
pub fn mailbox() -> (Sender<Answer>, Receiver<Answer>) {
    post::mailbox(SLOTS)
}

/// Makes answers for one `protect`.
pub struct Teller {
    mailbox: Sender<Answer>,
    /// Until when the answers so far have used up the time, had they been sent at the rate.
    spent: u64,
}

impl Teller {
    /// One that puts answers into `mailbox`.
    pub fn new(mailbox: Sender<Answer>) -> Teller {
        Teller { mailbox, spent: 0 }
    }

    /// Answers `frame`, of which `too_big` was parsed. False if that would be one too many.
    #[cold]
    #[inline(never)]
    pub fn tell(&mut self, now: u64, too_big: TooBig, frame: &[u8]) -> bool {
        let spent = self.spent.max(now.saturating_sub(AT_ONCE * INTERVAL)) + INTERVAL;
        if spent > now {
            return false;
        }
        // Also when the mailbox is full: an answer that nobody takes has cost its time.
        self.spent = spent;
        too_big.answer(frame).is_some_and(|answer| self.mailbox.send(answer))
    }
}

/// Makes a SYN ask for no larger segments than frames of `max_frame` bytes carry, and counts it. What
/// somebody keeps is copied for that; with no buffer for it, it goes as it is.
#[inline]
pub fn clamp(mbuf: Mbuf, max_frame: usize, pool: &Mempool, clamped: &Counter) -> Mbuf {
    match mss::may_be_syn(mbuf.data()) {
        false => mbuf,
        true => clamp_syn(mbuf, max_frame, pool, clamped),
    }
}

#[cold]
#[inline(never)]
fn clamp_syn(mut mbuf: Mbuf, max_frame: usize, pool: &Mempool, clamped: &Counter) -> Mbuf {
    if !mss::asks_too_much(mbuf.data(), max_frame) {
        return mbuf;
    }
    if !mbuf.is_writable() {
        let Some(copy) = pool.copy_of(mbuf.data()) else { return mbuf };
        mbuf = copy;
    }
    let changed = mbuf.data_mut().is_some_and(|frame| mss::clamp(frame, max_frame));
    clamped.add(u64::from(changed));
    mbuf
}

/// Sends answers through the LAN port, when nothing else waits to be sent.
#[inline]
pub(super) fn send_answers<L: Transmit>(
    now: u64,
    answers: &[Receiver<Answer>],
    lan: &mut Outbox<L>,
    pool: &Mempool,
    counters: &RecoverCounters,
) {
    for mailbox in answers {
        while lan.len() < AT_A_TIME
            && let Some(answer) = mailbox.receive()
        {
            counters.answers.add(1);
            match pool.copy_of(&answer) {
                Some(mbuf) => _ = lan.push(now, mbuf),
                None => counters.no_mbuf.add(1),
            }
        }
    }
    lan.send(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpdk::{mempool, test_eal};

    /// UDP over IPv4 that must not be fragmented.
    fn big() -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0x05, 0xDC, 0, 0, 0x40, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame.resize(1514, 0);
        frame
    }

    #[test]
    fn answers_are_bounded_in_rate_and_number() {
        let (sender, mailbox) = mailbox();
        let mut teller = Teller::new(sender);
        let frame = big();
        let too_big = TooBig::parse(&frame, 1458).unwrap();
        let mut tell = |now: u64, times: usize| {
            (0..times).filter(|_| teller.tell(now, too_big, &frame)).count()
        };
        let second = 1_000_000_000;
        assert_eq!(tell(second, 500), AT_ONCE as usize);
        assert_eq!(tell(second + 3 * INTERVAL, 500), 3);
        assert_eq!(tell(second + 100 * INTERVAL, 500), SLOTS - 53, "the mailbox is full");
        while mailbox.receive().is_some() {}
        assert_eq!(tell(second + 101 * INTERVAL, 500), 1);
        // A second's worth, asked for all the time.
        let from = 10 * second;
        let told: usize = (0..second / 10_000)
            .map(|n| {
                let told = tell(from + n * 10_000, 1);
                while mailbox.receive().is_some() {}
                told
            })
            .sum();
        assert!((1000..=1050).contains(&told), "{told}");
    }

    #[test]
    fn a_syn_that_is_kept_is_clamped_in_a_copy() {
        let pool = Mempool::new(test_eal(), "fit", 63, mempool::DEFAULT_DATA_ROOM).unwrap();
        let mut syn = big();
        syn[23] = 6;
        syn[46..48].copy_from_slice(&[0x60, 2]);
        syn[54..58].copy_from_slice(&[2, 4, 0x05, 0xB4]);
        let counter = Counter::default();
        let mbuf = pool.copy_of(&syn).unwrap();
        let kept = mbuf.keep();
        let clamped = clamp(mbuf, 1458, &pool, &counter);
        assert_eq!((kept.data(), counter.get()), (&syn[..], 1));
        assert_eq!(clamped.data()[56..58], 1404u16.to_be_bytes());
        assert_eq!(clamped.data().len(), syn.len());
        drop(kept);
        let again = clamp(clamped, 1458, &pool, &counter);
        assert_eq!((again.data()[56..58].to_vec(), counter.get()), (vec![0x05, 0x7C], 1));
    }
}
