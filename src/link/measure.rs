//! What a channel lost, before and after repair: counted where its packets come in.
//!
//! The decoder keeps a bit for each packet of its window: delivered or not, and another: rebuilt. They
//! are read when they can't change much any more, 64 at a time, so that a packet costs nothing but
//! its share of that: 512 packets behind the newest for what the link lost, half a window behind for
//! what repairs have left of it. Packets are judged in intervals of their numbers, so that both ends'
//! counts line up: the sender has numbered every one.

use crate::fec::Decoder;
use crate::fec::decoder::Confirm;
use crate::wire::report::{After, Before, Report, delay_bucket, power_bucket};

/// How far behind the newest packet the link is judged: reordering is rarely worse. Less, a quarter of
/// the window, where that is small.
const LATE: u64 = 512;

/// Where the bits of packets are: the decoder, or a test.
pub trait Fates {
    /// The number behind the newest packet.
    fn head(&self) -> u64;
    /// The lowest number of which anything is known.
    fn tail(&self) -> u64;
    /// How many packets the window holds.
    fn window(&self) -> u64;
    /// One bit for each of 64 packets from number `64 * word` on: delivered, and of those rebuilt.
    fn fates(&self, word: u64) -> (u64, u64);
    /// The newest packet is in another word: as [`Decoder::clear_ahead`].
    fn clear_ahead(&mut self);
}

impl<P: AsRef<[u8]>, C: Confirm> Fates for Decoder<P, C> {
    fn head(&self) -> u64 {
        Decoder::head(self)
    }

    fn tail(&self) -> u64 {
        Decoder::tail(self)
    }

    fn window(&self) -> u64 {
        Decoder::window(self)
    }

    fn fates(&self, word: u64) -> (u64, u64) {
        Decoder::fates(self, word)
    }

    fn clear_ahead(&mut self) {
        Decoder::clear_ahead(self);
    }
}

/// See the module's head.
pub struct Measure {
    totals: Report,
    /// The words that are judged next, before and after repair, and the one that the head was in.
    before: u64,
    after: u64,
    newest: u64,
    /// Whether a first packet has come.
    started: bool,
    /// What the run at hand is made of, and how long it is.
    losing: bool,
    run: u64,
    /// When the head came to each word.
    times: Box<[u64]>,
}

impl Measure {
    /// Of a channel whose decoder has a window of so many packets.
    pub fn new(window: u64) -> Measure {
        Measure {
            totals: Report::default(),
            before: 0,
            after: 0,
            newest: 0,
            started: false,
            losing: false,
            run: 0,
            times: vec![0; (window / 64).max(1) as usize].into(),
        }
    }

    /// All that was counted in this epoch, but for what only the decoder and the room know.
    pub fn totals(&self) -> &Report {
        &self.totals
    }

    /// Begins anew, with another epoch.
    pub fn restart(&mut self, channel: u8, epoch: u32) {
        self.totals = Report { channel, epoch, ..Report::default() };
        self.started = false;
        (self.losing, self.run) = (false, 0);
    }

    /// To be called after every burst: does nothing until the newest packet is in another word.
    #[inline]
    pub fn follow(&mut self, now: u64, decoder: &mut impl Fates) {
        if decoder.head() / 64 != self.newest || !self.started {
            self.judge(now, decoder);
        }
    }

    /// A packet was rebuilt by a repair of `layer`.
    #[inline]
    pub fn rebuilt(&mut self, now: u64, seq: u64, layer: u8) {
        let layer = usize::from(layer).min(self.totals.recovered.len() - 1);
        let recovered = &mut self.totals.recovered[layer];
        *recovered = recovered.wrapping_add(1);
        let word = (seq / 64).min(self.newest);
        let came = self.times[word as usize & (self.times.len() - 1)];
        let delay = &mut self.totals.delays[delay_bucket(now.saturating_sub(came))];
        *delay = delay.wrapping_add(1);
    }

    #[inline(never)]
    fn judge(&mut self, now: u64, decoder: &mut impl Fates) {
        decoder.clear_ahead();
        let head = decoder.head();
        if !self.started {
            if head == 0 {
                return;
            }
            self.started = true;
            // The word in which it began may have packets that were none of ours.
            let first = decoder.tail().div_ceil(64);
            (self.before, self.after, self.newest) = (first, first, head / 64);
            self.note(now, head / 64);
            self.totals.before.next = 64 * first;
            self.totals.after.next = 64 * first;
        }
        let window = decoder.window();
        for word in (self.newest + 1).max((head / 64).saturating_sub(window / 64))..=head / 64 {
            self.note(now, word);
        }
        self.newest = head / 64;
        if decoder.tail() > 64 * self.after {
            self.skip(head);
        }
        while 64 * (self.before + 1) + LATE.min(window / 4) <= head {
            let (delivered, rebuilt) = decoder.fates(self.before);
            self.before += 1;
            self.judge_link(!(delivered & !rebuilt));
        }
        while 64 * (self.after + 1) + window / 2 <= head {
            let missing = (!decoder.fates(self.after).0).count_ones();
            self.after += 1;
            let After { next, judged, missing: all } = &mut self.totals.after;
            (*next, *judged, *all) = (64 * self.after, *judged + 64, *all + u64::from(missing));
        }
    }

    fn note(&mut self, now: u64, word: u64) {
        self.times[word as usize & (self.times.len() - 1)] = now;
    }

    /// The numbers have jumped: what was not judged never will be.
    fn skip(&mut self, head: u64) {
        let to = head.div_ceil(64);
        let Before { next, skipped, .. } = &mut self.totals.before;
        *skipped += (64 * to).saturating_sub(*next);
        *next = 64 * to;
        self.totals.after.next = 64 * to;
        (self.before, self.after) = (to, to);
        (self.losing, self.run) = (false, 0);
    }

    /// 64 packets in a row: those that did not come have a bit.
    #[inline]
    fn judge_link(&mut self, lost: u64) {
        let totals = &mut self.totals.before;
        totals.next = 64 * self.before;
        totals.judged += 64;
        if lost == 0 && !self.losing {
            self.run += 64;
            return;
        }
        totals.lost += u64::from(lost.count_ones());
        let (mut bits, mut left) = (lost, 64);
        loop {
            let same = if self.losing { bits.trailing_ones() } else { bits.trailing_zeros() };
            let same = same.min(left);
            self.run += u64::from(same);
            left -= same;
            if left == 0 {
                break;
            }
            bits >>= same;
            let table = if self.losing { &mut totals.runs } else { &mut totals.gaps };
            if self.run > 0 {
                let count = &mut table[power_bucket(self.run)];
                *count = count.wrapping_add(1);
            }
            self.losing = !self.losing;
            totals.bursts += u64::from(self.losing);
            self.run = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A window that remembers everything.
    struct All {
        delivered: Vec<bool>,
        rebuilt: Vec<bool>,
        head: u64,
        begin: u64,
    }

    const WINDOW: u64 = 1024;

    impl Fates for All {
        fn head(&self) -> u64 {
            self.head
        }

        fn tail(&self) -> u64 {
            self.begin.max(self.head.saturating_sub(WINDOW))
        }

        fn window(&self) -> u64 {
            WINDOW
        }

        fn fates(&self, word: u64) -> (u64, u64) {
            assert!(64 * word + WINDOW >= self.head && 64 * (word + 1) <= self.head);
            let bits = |list: &[bool]| {
                let list = &list[64 * word as usize..][..64];
                list.iter().rev().fold(0, |bits, &bit| bits << 1 | u64::from(bit))
            };
            (bits(&self.delivered), bits(&self.rebuilt))
        }

        fn clear_ahead(&mut self) {}
    }

    /// Runs of the same fate, by buckets, all but the last.
    fn runs(fates: &[bool], of: bool) -> [u32; 16] {
        let mut table = [0; 16];
        let mut runs: Vec<&[bool]> = fates.chunk_by(|a, b| a == b).collect();
        runs.pop();
        for run in runs.into_iter().filter(|run| run[0] == of) {
            table[power_bucket(run.len() as u64)] += 1;
        }
        table
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Against counting all packets one by one.
        #[test]
        fn counts_what_there_is(
            runs_of in prop::collection::vec((1usize..200, 0usize..40, 0usize..40), 1..100),
            steps in prop::collection::vec(1u64..100, 1..50),
        ) {
            let (mut delivered, mut rebuilt) = (Vec::new(), Vec::new());
            for (arrived, back, gone) in runs_of {
                delivered.extend(vec![true; arrived + back]);
                delivered.extend(vec![false; gone]);
                rebuilt.extend(vec![false; arrived]);
                rebuilt.extend(vec![true; back]);
                rebuilt.extend(vec![false; gone]);
            }
            let end = delivered.len() as u64;
            let mut all = All { delivered, rebuilt, head: 0, begin: 0 };
            let mut measure = Measure::new(WINDOW);
            let mut steps = steps.into_iter().cycle();
            while all.head < end {
                all.head = (all.head + steps.next().unwrap_or(1)).min(end);
                measure.follow(all.head, &mut all);
            }
            let Before { next, judged, lost, bursts, skipped, runs: found, gaps } = measure.totals().before;
            prop_assert_eq!(next, end.saturating_sub(256) / 64 * 64);
            prop_assert_eq!((judged, skipped), (next, 0));
            let came = |n: u64| all.delivered[n as usize] && !all.rebuilt[n as usize];
            let came: Vec<bool> = (0..next).map(came).collect();
            prop_assert_eq!(lost, came.iter().filter(|&&came| !came).count() as u64);
            prop_assert_eq!(found, runs(&came, false));
            prop_assert_eq!(gaps, runs(&came, true));
            let begun = came.chunk_by(|a, b| a == b).filter(|run| !run[0]).count();
            prop_assert_eq!(bursts, begun as u64);
            let After { next, judged, missing } = measure.totals().after;
            prop_assert_eq!((next, judged), (end.saturating_sub(512) / 64 * 64, next));
            let left = all.delivered[..next as usize].iter().filter(|&&here| !here).count();
            prop_assert_eq!(missing, left as u64);
            let report = Report::parse(&measure.totals().emit());
            prop_assert_eq!(report.as_ref(), Ok(measure.totals()));
        }
    }

    #[test]
    fn a_jump_is_an_outage_and_a_late_beginning_none() {
        let mut all = All {
            delivered: vec![true; 20_000],
            rebuilt: vec![false; 20_000],
            head: 5010,
            begin: 5000,
        };
        let mut measure = Measure::new(WINDOW);
        measure.follow(0, &mut all);
        all.head = 6000;
        measure.follow(0, &mut all);
        let before = measure.totals().before;
        assert_eq!((before.next, before.judged, before.lost), (5696, 640, 0));
        all.head = 15_000;
        measure.follow(0, &mut all);
        let before = measure.totals().before;
        assert_eq!((before.next, before.skipped), (15_040, 15_040 - 5696));
        all.head = 16_000;
        measure.follow(0, &mut all);
        assert_eq!(measure.totals().before.lost, 0);
        measure.restart(3, 9);
        assert_eq!((measure.totals().channel, measure.totals().before.judged), (3, 0));
    }

    #[test]
    fn a_recovery_takes_as_long_as_since_its_neighbours_came() {
        let mut all =
            All { delivered: vec![true; 9000], rebuilt: vec![false; 9000], head: 0, begin: 0 };
        let mut measure = Measure::new(WINDOW);
        for head in 1..=2000 {
            all.head = head;
            measure.follow(head * 1000, &mut all);
        }
        measure.rebuilt(2_000_000, 1900, 2);
        measure.rebuilt(2_000_000, 1990, 40);
        let totals = measure.totals();
        assert_eq!((totals.recovered[2], totals.recovered[7]), (1, 1));
        // Word 29 came at 1.856 ms, word 31 at 1.984.
        assert_eq!(totals.delays[delay_bucket(144_000)], 1);
        assert_eq!(totals.delays[delay_bucket(16_000)], 1);
    }
}
