//! What a gateway owes its LAN: every frame that came is delivered once, or there is a reason.

use std::collections::VecDeque;

use maelstrom::gateway::Blueprint;
use maelstrom::wire::Report;

use super::{Fate, Ledger, Sender};
use crate::frames::{self, LanFrame};
use crate::ports::Tag;

/// How far behind the newest packet what comes is judged to be lost at the soonest.
const LATE: u64 = 512 - 64;

/// A life of a gateway that recovers.
pub struct Receiver {
    pub life: u16,
    window: u64,
    /// Which life of the sender it delivers frames of, and under which session.
    belief: Option<(u16, u16)>,
    /// Its head is at least this, and at most that.
    head: u64,
    head_most: u64,
    /// What repairs that came before any source packet may have made its head.
    ahead: Option<((u16, u16), u64)>,
    /// How many packets came of a life before the present one, whose epoch is later since a clock was set back.
    misleading: u64,
    /// Whether packets below this are still welcome, nobody knows.
    floor: u64,
    /// What it says it delivers, and what is yet to come out.
    pub owed: VecDeque<(u64, bool)>,
    handed: u64,
    sources: u64,
    rebuilt: u64,
    bypassed: u64,
    controls: u64,
    repairs: u64,
    /// What was damaged or forged.
    harmed: u64,
    /// How many were delivered so far behind the newest that they may have been judged before, and under
    /// how many epochs or sessions anything was.
    behind: u64,
    beliefs: u64,
    /// The sessions that it ever had keys of, the newest last.
    sessions: Vec<u16>,
    pub hampered: bool,
}

impl Receiver {
    pub fn new(blueprint: &Blueprint, life: u16) -> Receiver {
        Receiver {
            life,
            window: blueprint.recover(0).decoder.window.next_power_of_two() as u64,
            belief: None,
            head: 0,
            head_most: 0,
            ahead: None,
            misleading: 0,
            floor: 0,
            owed: VecDeque::new(),
            handed: 0,
            sources: 0,
            rebuilt: 0,
            bypassed: 0,
            controls: 0,
            repairs: 0,
            harmed: 0,
            behind: 0,
            beliefs: 0,
            sessions: blueprint.keys.map_or(vec![0], |_| Vec::new()),
            hampered: false,
        }
    }

    /// The room was handed these and says that it delivers those. `present` is the sender's life, and `set_back` says
    /// that its clock ever was.
    pub fn turn(
        &mut self,
        ledger: &mut Ledger,
        handed: &[(Tag, bool)],
        observed: &[(u64, bool)],
        present: u16,
        set_back: bool,
    ) {
        self.handed += handed.len() as u64;
        let mut said =
            observed.iter().filter(|(_, rebuilt)| !rebuilt).map(|(seq, _)| *seq).peekable();
        for &(tag, intact) in handed {
            let before = intact && tag.life().is_some_and(|life| life < present);
            self.misleading += u64::from(set_back && before);
            match tag {
                Tag::Source { n, seq, life, session } if intact => {
                    let life = (life, session);
                    // (A stranger's, too, may have the number of one that is delivered.)
                    let known = self.sessions.contains(&session);
                    if known && said.next_if_eq(&seq).is_some() {
                        self.sources += 1;
                        self.delivered(seq, life);
                    } else if life.0 == present && self.must_deliver(seq, life) {
                        let mut said = self.owed.iter().chain(observed);
                        let before = ledger.at(n).delivered_by == self.life
                            || said.any(|&(other, _)| other == seq);
                        assert!(before, "packet {seq} of life {life:?} was not delivered at once");
                    }
                    self.heard(seq, life);
                }
                Tag::Repair { last, life, session } if intact => {
                    self.repairs += 1;
                    self.heard(last, (life, session));
                }
                Tag::Control { .. } | Tag::Router if intact => self.controls += 1,
                Tag::Bypass { .. } => {}
                _ => self.harmed += 1,
            }
        }
        if let Some(seq) = said.next() {
            panic!("packet {seq} was delivered out of order, or without having come");
        }
        self.rebuilt += observed.iter().filter(|(_, rebuilt)| *rebuilt).count() as u64;
        self.owed.extend(observed);
    }

    /// It has these keys too from now on.
    pub fn agreed(&mut self, session: u16) {
        self.sessions.push(session);
    }

    /// Whether no state that the room may be in has a reason to refuse this packet.
    fn must_deliver(&self, seq: u64, life: (u16, u16)) -> bool {
        // What came under earlier keys is of no use from some moment on.
        let known = self.sessions.last() == Some(&life.1);
        let known = known && self.belief == Some(life) && !self.hampered;
        let within = seq >= self.floor && seq + self.window > self.head_most;
        // Two that agree are believed.
        known && within && seq < self.head + self.window / 2 && self.misleading < 2
    }

    fn delivered(&mut self, seq: u64, life: (u16, u16)) {
        if self.belief != Some(life) {
            self.beliefs += 1;
            let ahead = self.ahead.take().filter(|(of, _)| *of == life);
            let head_most = ahead.map_or(seq, |(_, head)| head.max(seq));
            (self.belief, self.head, self.head_most, self.floor) =
                (Some(life), seq, head_most, seq);
        }
        if seq >= self.head + self.window / 2 {
            self.floor = seq;
        }
        self.head = self.head.max(seq + 1);
    }

    /// Something of the sender has come that the room may have believed, or not.
    fn heard(&mut self, last: u64, life: (u16, u16)) {
        if self.belief.is_none() {
            // With nothing to lose it believes a repair, too.
            self.ahead = Some((life, last + 1)).max(self.ahead.filter(|(of, _)| *of == life));
        }
        if self.belief == Some(life) {
            if last >= self.head + self.window / 2 {
                self.floor = self.floor.max(last + 1);
            }
            self.head_most = self.head_most.max(last + 1);
        }
    }

    /// Compares what it says of the link with what became of the packets of `sender`. Says whether it could
    /// be compared.
    pub fn is_true(&self, report: &Report, sender: &Sender, ledger: &Ledger) -> bool {
        let (first, next) = sender.numbered();
        if report.epoch != sender.epoch || self.hampered || sender.hampered || first > 0 {
            return false;
        }
        let (before, after) = (&report.before, &report.after);
        assert!(before.next <= next + 64 && after.next <= before.next + 64, "{report:?} of {next}");
        assert!(before.bursts <= before.lost && before.lost <= before.judged, "{report:?}");
        assert!(after.missing <= after.judged && after.missing <= before.lost, "{report:?}");
        if self.beliefs > 1 || before.skipped > 0 || before.next > next {
            return false;
        }
        let fates = |from: u64, to: u64| {
            (from..to).map(|seq| {
                let record = &ledger.records[sender.frame(seq).expect("a packet") as usize];
                (record.delivered_by == self.life, record.rebuilt)
            })
        };
        let of = fates(before.next - before.judged, before.next);
        let lost = of.filter(|&(came, rebuilt)| !came || rebuilt).count() as u64;
        let of = fates(after.next - after.judged, after.next);
        let missing = of.filter(|&(came, _)| !came).count() as u64;
        let recovered = report.recovered.iter().map(|&n| u64::from(n)).sum::<u64>();
        let ours = fates(0, next).filter(|&(came, rebuilt)| came && rebuilt).count() as u64;
        // (It may have rebuilt some under keys of before.)
        let ours = if self.sessions.len() > 1 { 0 } else { ours };
        for (what, said, truth, more) in [
            ("lost", before.lost, lost, self.behind),
            ("missing", after.missing, missing, self.behind),
            ("recovered", recovered, ours, self.rebuilt - ours),
        ] {
            let right = (truth..=truth + more).contains(&said);
            assert!(right, "reported {said} {what}, truth {truth} and up to {more}: {report:?}");
        }
        true
    }

    /// A frame has come out on the LAN. Says which.
    pub fn came_out(&mut self, ledger: &mut Ledger, salt: u64, d: usize, bytes: &[u8]) -> LanFrame {
        let n = frames::number(bytes).filter(|&n| (n as usize) < ledger.records.len());
        let Some(n) = n else { panic!("{} bytes came out that nobody sent", bytes.len()) };
        let life = self.life;
        let record = ledger.at(n);
        assert!(frames::is(salt, d, &record.frame, bytes), "{record:?} came out changed");
        assert_eq!(record.fate, Fate::Sent, "{record:?} came out");
        assert!(record.delivered_by != life, "{record:?} came out twice");
        record.delivered_by = life;
        if record.bare {
            self.bypassed += 1;
            return record.frame;
        }
        let (seq, rebuilt) = self.owed.pop_front().expect("nobody said so");
        assert_eq!(seq, record.seq, "the frame of another number came out");
        record.rebuilt = rebuilt;
        self.behind += u64::from(seq + LATE.min(self.window / 4) < self.head_most);
        record.frame
    }

    /// The life is over; compares what it counted with what was seen. `mixed` says that groups may have been
    /// of two keys.
    pub fn close(&self, count: impl Fn(&str) -> u64, all: bool, mixed: bool) {
        let n = &count;
        assert_eq!(n("wan_in"), self.handed, "wan_in");
        let delivered = n("delivered");
        assert_eq!(delivered, self.sources + self.rebuilt + n("bypassed"), "delivered");
        assert_eq!(n("recovered"), self.rebuilt, "recovered");
        if all {
            assert_eq!(n("bypassed"), self.bypassed, "bypassed");
            assert!(self.owed.is_empty(), "{} frames never came out", self.owed.len());
        }
        const REASONS: [&str; 26] = [
            "duplicates_suppressed",
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
            "unknown_channel",
            "stale_epoch",
            "unconfirmed",
            "too_old",
            "foreign",
            "not_contiguous",
            "replayed",
            "handshakes_heard",
            "handshakes_unheard",
            "nack_heard",
            "nack_refused",
            "control_heard",
            "control_unheard",
            "repair_received",
            "bypassed",
        ];
        let sum = self.sources + REASONS.iter().map(|name| n(name)).sum::<u64>();
        // A repair that names a jump is received and unconfirmed; a frame that finds the LAN port full
        // may be a source or rebuilt.
        let most = n("unconfirmed").min(n("repair_received"));
        let (low, high) = (self.handed.saturating_sub(n("lan_full")), self.handed + most);
        assert!((low..=high).contains(&sum), "{sum} counted of {low} to {high}");
        assert!(n("lan_full") == 0 || self.hampered, "the LAN port was never full");
        assert!(n("no_mbuf") == 0 || self.hampered, "there were mbufs");
        // Of what went wrong on the way nothing was believed, and nothing else is in the way.
        // (A repair that is not needed is not looked at, damaged or not.)
        assert!(n("repair_received") <= self.repairs + self.harmed, "repairs that nobody sent");
        assert!(n("bad_rebuilt") == 0 || mixed, "a good repair rebuilt a bad frame");
        // (Padding may be damaged.)
        assert!(
            n("control_heard") <= self.controls + self.harmed,
            "control packets that nobody sent"
        );
    }
}
