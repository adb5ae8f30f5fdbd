//! The books of both directions: what this end has counted of the peer's channels, to be reported, and
//! what the peer has reported of ours.
//!
//! Reports are totals, so the books keep some of them, a second or more apart, and whoever asks takes
//! the difference of two. Both ends count by the sender's numbers: what a report judges, up to its
//! `next`, are the packets that the sender numbered so.

use std::collections::VecDeque;

use super::report::{Interval, Reporter};
use crate::wire::{Bad, Report};

/// Remembered reports are at least so far apart, in nanoseconds of the reporting end's clock.
const APART: u64 = 1_000_000_000;
/// So many are remembered of each channel: a minute.
const REMEMBERED: usize = 60;
/// Adaptation hears of news no more often than this, in nanoseconds.
const SOONEST: u64 = 100_000_000;
/// A channel with less than this share of the busiest one's packets says little of how fast one fills.
const BUSY: u64 = 10;

/// What was reported of one channel.
#[derive(Debug, Default)]
struct Page {
    /// Older ones, and the newest.
    kept: VecDeque<Report>,
    newest: Option<Report>,
    /// When the far end is told; of the peer's channels only.
    reporter: Reporter,
    is_due: bool,
    /// Packets that this end has numbered; of our channels only.
    numbered: u64,
}

impl Page {
    /// Takes a report in, unless it was overtaken by a newer one.
    fn note(&mut self, report: Report) -> bool {
        let of = |report: &Report| (report.channel, report.epoch);
        match &self.newest {
            Some(newest) if of(newest) == of(&report) => {
                if Interval::new(newest, &report).is_none() {
                    return false;
                }
            }
            _ => self.kept.clear(),
        }
        if self.kept.back().is_none_or(|last| report.at_ns >= last.at_ns.saturating_add(APART)) {
            if self.kept.len() == REMEMBERED {
                self.kept.pop_front();
            }
            self.kept.push_back(report.clone());
        }
        self.newest = Some(report);
        true
    }
}

/// What is known of one channel: two reports of it, whose difference is what happened of late.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// Packets that the sending end has numbered by now, as far as this end knows.
    pub numbered: Option<u64>,
    /// The oldest that is remembered, up to a minute.
    pub from: Report,
    /// The newest.
    pub to: Report,
}

/// All of our channels' reports in one, for adaptation.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Sums. Its epoch is the peer's: when it begins anew, so do its counts.
    pub report: Report,
    /// How many channels share the packets.
    pub channels: usize,
}

/// See the module's head.
#[derive(Debug)]
pub struct Accounts {
    /// Our first channel, and our epoch.
    first: u8,
    epoch: u32,
    ours: Vec<Page>,
    theirs: Vec<Page>,
    /// Whether there is news for a summary, and when the last one was taken.
    news: bool,
    summed_at: Option<u64>,
}

impl Accounts {
    /// Of a gateway that sends on channels from `first` up.
    pub fn new(first: u8, epoch: u32) -> Accounts {
        Accounts { first, epoch, ours: vec![], theirs: vec![], news: false, summed_at: None }
    }

    /// So many packets were numbered on our channel number `nth` by now.
    pub fn numbered(&mut self, nth: usize, packets: u64) {
        if self.ours.len() <= nth {
            self.ours.resize_with(nth + 1, Page::default);
        }
        self.ours[nth].numbered = packets;
    }

    /// The room that recovers the peer's channel number `nth` has counted this by `now`.
    pub fn counted(&mut self, now: u64, nth: usize, totals: Report) {
        if self.theirs.len() <= nth {
            self.theirs.resize_with(nth + 1, Page::default);
        }
        let page = &mut self.theirs[nth];
        page.is_due |= page.reporter.due(now, &totals);
        page.note(totals);
    }

    /// A report that is to be sent.
    pub fn take_due(&mut self) -> Option<&Report> {
        let page = self.theirs.iter_mut().find(|page| page.is_due)?;
        page.is_due = false;
        page.newest.as_ref()
    }

    /// The peer reports this. It can only speak of packets that there were.
    ///
    /// # Errors
    /// If it is no report, or of no channel of ours, or of packets that were never sent.
    pub fn hear(&mut self, fields: &[u8]) -> Result<(), Bad> {
        let report = Report::parse(fields)?;
        let nth = usize::from(report.channel.wrapping_sub(self.first));
        let page = self.ours.get_mut(nth).filter(|_| report.epoch == self.epoch);
        let page = page.ok_or(Bad::Kind)?;
        // The last word of a jump is judged whole.
        if report.before.next > page.numbered + 64 {
            return Err(Bad::Sequence);
        }
        self.news |= page.note(report);
        Ok(())
    }

    /// The peer has begun anew, and counts from 0.
    pub fn restarted(&mut self) {
        for page in &mut self.ours {
            *page = Page { numbered: page.numbered, ..Page::default() };
        }
        self.theirs.clear();
        self.news = false;
    }

    /// Our channels' reports in one, when there is news; `epoch` is the peer's.
    pub fn take_summary(&mut self, now: u64, epoch: u32) -> Option<Summary> {
        let soon = self.summed_at.is_some_and(|at| now < at + SOONEST);
        if !self.news || soon {
            return None;
        }
        (self.news, self.summed_at) = (false, Some(now));
        let mut report = Report { channel: self.first, epoch, ..Report::default() };
        let all = || self.ours.iter().filter_map(|page| page.newest.as_ref());
        for Report { before, after, .. } in all() {
            let (b, a) = (&mut report.before, &mut report.after);
            (b.next, b.judged) = (b.next + before.next, b.judged + before.judged);
            (b.lost, b.bursts) = (b.lost + before.lost, b.bursts + before.bursts);
            b.skipped += before.skipped;
            (a.next, a.judged) = (a.next + after.next, a.judged + after.judged);
            a.missing += after.missing;
        }
        let busiest = all().map(|report| report.before.judged).max().unwrap_or(0);
        let busy = |report: &&Report| report.before.judged * BUSY >= busiest;
        Some(Summary { report, channels: all().filter(busy).count().max(1) })
    }

    /// What the peer says of our channels.
    pub fn ours(&self) -> impl Iterator<Item = Account> {
        self.ours.iter().filter_map(|page| account(page, Some(page.numbered)))
    }

    /// What this end has counted of the peer's.
    pub fn theirs(&self) -> impl Iterator<Item = Account> {
        self.theirs.iter().filter_map(|page| account(page, None))
    }
}

fn account(page: &Page, numbered: Option<u64>) -> Option<Account> {
    let to = page.newest.clone()?;
    Some(Account { numbered, from: page.kept.front().unwrap_or(&to).clone(), to })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn report(channel: u8, seconds: u64, judged: u64, lost: u64) -> Report {
        let mut report = Report { channel, epoch: 7, at_ns: seconds * SECOND, ..Report::default() };
        (report.before.next, report.before.judged) = (judged, judged);
        (report.before.lost, report.before.bursts) = (lost, lost);
        (report.after.next, report.after.judged) = (judged / 2, judged / 2);
        report
    }

    #[test]
    fn reports_of_what_was_never_sent_are_refused() {
        let mut accounts = Accounts::new(128, 7);
        assert_eq!(accounts.hear(&report(128, 1, 640, 1).emit()), Err(Bad::Kind));
        accounts.numbered(1, 640);
        assert_eq!(accounts.hear(&report(128, 1, 640, 1).emit()), Err(Bad::Sequence));
        assert_eq!(accounts.hear(&report(129, 1, 640, 1).emit()), Ok(()));
        assert_eq!(accounts.hear(&report(130, 1, 640, 1).emit()), Err(Bad::Kind));
        assert_eq!(accounts.hear(&report(127, 1, 640, 1).emit()), Err(Bad::Kind));
        let other = Report { epoch: 8, ..report(129, 1, 640, 1) };
        assert_eq!(accounts.hear(&other.emit()), Err(Bad::Kind));
        assert_eq!(accounts.hear(&[1, 2]), Err(Bad::Truncated));
        let all: Vec<Account> = accounts.ours().collect();
        assert_eq!((all.len(), all[0].numbered, all[0].to.before.lost), (1, Some(640), 1));
    }

    #[test]
    fn channels_are_summed_and_idle_ones_do_not_count_as_sharing() {
        let mut accounts = Accounts::new(0, 7);
        (0..3).for_each(|nth| accounts.numbered(nth, 10_000));
        for (channel, judged, lost) in [(0, 6400, 20), (1, 5120, 10), (2, 64, 0)] {
            accounts.hear(&report(channel, 1, judged, lost).emit()).unwrap();
        }
        let Summary { report: sum, channels } = accounts.take_summary(0, 3).unwrap();
        assert_eq!((sum.epoch, channels), (3, 2));
        assert_eq!((sum.before.judged, sum.before.lost, sum.after.judged), (11_584, 30, 5792));
        assert!(accounts.take_summary(SECOND, 3).is_none(), "no news");
        accounts.hear(&report(0, 2, 7040, 21).emit()).unwrap();
        assert!(accounts.take_summary(SOONEST - 1, 3).is_none(), "not so soon");
        assert!(accounts.take_summary(SOONEST, 3).is_some());
        // What was overtaken is no news.
        accounts.hear(&report(0, 1, 6400, 20).emit()).unwrap();
        assert!(accounts.take_summary(SECOND, 3).is_none());
        accounts.restarted();
        assert_eq!(accounts.ours().count(), 0);
        assert_eq!(accounts.hear(&report(0, 1, 64, 0).emit()), Ok(()));
    }

    #[test]
    fn a_minute_is_remembered_and_totals_are_due_once_a_second() {
        let mut accounts = Accounts::new(0, 7);
        let mut due = 0;
        for tick in 0..=1000 {
            let now = tick * SECOND / 10;
            let totals = Report { at_ns: now, ..report(128, 0, 64 * tick, 0) };
            accounts.counted(now, 0, totals);
            due += u64::from(accounts.take_due().is_some());
        }
        assert_eq!(due, 101);
        let account = accounts.theirs().next().unwrap();
        assert_eq!((account.from.at_ns, account.to.at_ns), (41 * SECOND, 100 * SECOND));
    }
}
