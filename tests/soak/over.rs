//! What must be true once a gateway is over, and once all of it is.

use crate::frames::Class;
use crate::ledger::Fate;
use crate::run::Run;
use crate::scenario::Kill;
use crate::summary::Summary;

/// How long a worker that stops waits between two turns, and how many it takes.
const NAP: u64 = 50_000;
const FINAL_TURNS: u32 = 1000;
/// How old what the peer was told last may be: it is told each second, and asked for now and then.
const REPORTED: u64 = 1_150_000_000;

impl Run {
    /// All was well for long enough that an end has told the other one what came, and that is true.
    pub fn has_reported(&mut self, e: usize) {
        let [Some(there), Some(here)] = [&self.ends[1 - e].rooms, &self.ends[e].rooms] else {
            return;
        };
        let report = here.recover.report(self.now);
        let compared = here.receiver.is_true(&report, &there.sender, &self.ledgers[1 - e]);
        self.reports += u64::from(compared);
        // Who set its clock back was not listened to for a second.
        let unheard = self.ways.iter().any(|way| way.set_back);
        if there.sender.numbered().0 > 0 || report.epoch != there.sender.epoch || unheard {
            return;
        }
        let account = there.steward.supervisor().accounts().ours().next();
        // With new keys what was reported before is forgotten, and the last report may have been lost with a fault.
        let since = self.sessions.agreed_at.max(self.calm);
        let soon = self.now - since <= REPORTED + self.scenario.delay;
        let Some(last) = account.map(|account| account.to).or_else(|| {
            assert!(soon, "{e} has not reported since {since} ns");
            None
        }) else {
            return;
        };
        let age = self.now.saturating_sub(last.at_ns);
        assert_eq!(last.epoch, there.sender.epoch, "what {e} reports");
        assert!(age <= REPORTED + self.scenario.delay, "{e} has not reported for {age} ns");
        assert!(last.before.next <= report.before.next, "{e} reports what did not come");
        assert!(last.after.missing <= report.after.missing, "{e} reports what is not missing");
    }

    /// A gateway that ends takes a turn, if it is time.
    pub fn end(&mut self, e: usize) {
        let now = self.now;
        let due = self.ends[e].ending.as_mut().filter(|ending| ending.at <= now);
        let Some((turns, kill)) = due.map(|ending| {
            (ending.at, ending.turns) = (now + NAP, ending.turns + 1);
            (ending.turns, ending.kill)
        }) else {
            return;
        };
        let done = self.finish_turn(e);
        if done {
            // Nothing is owed any more, and so nothing more is sent.
            let sent = self.ways[e].counts.entered;
            let still = self.finish_turn(e);
            assert!(
                still && self.ways[e].counts.entered == sent,
                "{e} has sent what it did not owe"
            );
        }
        if done || turns == FINAL_TURNS {
            self.stops[0] += 1;
            self.stops[1] += u64::from(done);
            self.kill(e, kill, done);
        }
    }

    /// Sends what a gateway owes. Says whether that was all.
    pub fn finish_turn(&mut self, e: usize) -> bool {
        let done = self.ends[e].finish(self.now);
        self.collect(e);
        self.gather(e);
        done
    }

    /// A gateway's life is over: in peace, or it dies with all that it holds.
    pub fn kill(&mut self, e: usize, kill: Kill, peace: bool) {
        if self.trace {
            eprintln!("{}: {e} dies{}", self.now, if peace { " in peace" } else { "" });
        }
        self.kills += 1;
        let Run { ends, ledgers, .. } = self;
        let mut ports = ends[e].ports.lock();
        for frame in ports.lan_in.drain(..) {
            ledgers[e].at(frame.n).fate = Fate::Died;
        }
        ports.wan_in.clear();
        drop(ports);
        let end = &mut ends[e];
        end.stop(&mut ledgers[e], peace, self.sessions.mixed);
        end.back = Some(self.now + kill.down);
        end.epoch = end.epoch.wrapping_add(kill.step);
        end.key = [u8::from(kill.stranger); 32];
        self.ways[e].set_back |= kill.step > 1 << 31;
    }

    /// All is over: what must be true of every frame.
    pub fn finish(mut self) -> Summary {
        let mut summary = Summary::default();
        for (e, end) in self.ends.iter_mut().enumerate() {
            assert!(end.ports.lock().lan_in.is_empty(), "frames are left at a LAN port");
            end.change([false; 2], None);
            end.stop(&mut self.ledgers[e], true, self.sessions.mixed);
            summary.changes += end.changes;
            summary.held = summary.held.max(end.held);
            summary.news += end.news;
        }
        for (d, ledger) in self.ledgers.iter().enumerate() {
            let well = ledger.well.unwrap_or(usize::MAX);
            for (n, record) in ledger.records.iter().enumerate() {
                let crosses = matches!(record.frame.class, Class::Protect | Class::Bypass);
                let delivered = record.delivered_by > 0;
                assert!(!matches!(record.fate, Fate::Waits | Fate::Taken), "{d}: {record:?}");
                assert!(!crosses || n < well || delivered, "{d}: never came: {record:?}");
                let rebuilt = record.rebuilt && !self.scenario.promised;
                assert!(n < well || !rebuilt, "{d}: rebuilt without need: {record:?}");
                summary.delivered += u64::from(delivered);
                summary.rebuilt += u64::from(record.rebuilt);
                summary.lost += u64::from(record.fate == Fate::Sent && !delivered);
                summary.dropped += u64::from(record.fate == Fate::Dropped);
            }
            summary.frames += ledger.records.len() as u64;
            let counts = self.ways[d].counts;
            let counts = [
                counts.entered,
                counts.lost,
                counts.late,
                counts.twice,
                counts.damaged,
                counts.forged,
            ];
            summary.packets.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        }
        let span = self.scenario.span() as f64;
        summary.spans = summary.frames as f64 / 2.0 / span;
        (summary.kills, summary.stops) = (self.kills, self.stops);
        summary.sessions = self.sessions.count();
        summary.reports = self.reports;
        summary
    }
}
