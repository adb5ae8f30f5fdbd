//! What a run, or many, came to.

use std::fmt;

/// What a run, or many, came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub frames: u64,
    pub spans: f64,
    pub delivered: u64,
    pub rebuilt: u64,
    pub lost: u64,
    pub dropped: u64,
    pub kills: u64,
    /// Orderly ends, and how many of those had sent all they owed.
    pub stops: [u64; 2],
    /// Sessions that were agreed upon, codes that were changed, reports that were compared.
    pub sessions: u64,
    pub changes: u64,
    pub reports: u64,
    pub packets: [u64; 6],
    pub held: u32,
    /// Watermarks that were news.
    pub news: u64,
}

impl Summary {
    pub fn add(&mut self, other: &Summary) {
        self.frames += other.frames;
        self.delivered += other.delivered;
        self.rebuilt += other.rebuilt;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.kills += other.kills;
        self.stops.iter_mut().zip(other.stops).for_each(|(sum, n)| *sum += n);
        self.sessions += other.sessions;
        self.changes += other.changes;
        self.reports += other.reports;
        self.packets.iter_mut().zip(other.packets).for_each(|(sum, n)| *sum += n);
        self.held = self.held.max(other.held);
        self.news += other.news;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { frames, delivered, rebuilt, lost, dropped, kills, .. } = self;
        let Summary { stops: [stops, done], sessions, changes, reports, held, news, .. } = self;
        let [entered, gone, late, twice, damaged, forged] = self.packets;
        writeln!(
            f,
            "{frames} frames: {delivered} delivered, {rebuilt} of them rebuilt, {lost} lost, \
             {dropped} dropped by gateways"
        )?;
        writeln!(
            f,
            "{kills} ends of gateways, {stops} of them orderly, {done} with nothing left to send; \
             {sessions} sessions; {changes} changes of code; {reports} reports compared; \
             {news} watermarks read"
        )?;
        write!(
            f,
            "{entered} packets on the WAN: {gone} lost, {late} late, {twice} twice, {damaged} damaged, \
             {forged} forged; at most {held} mbufs in a gateway"
        )
    }
}
