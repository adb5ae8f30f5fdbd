//! The encoder in time: arrivals, deadlines, and how long each packet waits for its repairs.

use maelstrom::fec::{Code, Timing};

use crate::channel::{Packet, Random, Repair, Sender};

pub const US: u64 = 1000;
pub const MS: u64 = 1000 * US;

/// When the encoder is polled.
#[derive(Clone, Copy, Debug)]
pub enum Polling {
    /// When it asks to be, and at no other time.
    AtDeadlines,
    /// Then and this often, in nanoseconds.
    Also(u64),
    /// This often only, as a worker that never sleeps does.
    Every(u64),
}

/// What was sent, and when.
pub struct Timeline {
    pub pushed: Vec<u64>,
    pub repairs: Vec<(u64, Repair)>,
    pub shed: u64,
}

/// Sends packets at the times of `arrivals`, which ascend, and goes on until nothing is due.
pub fn run(
    code: &Code,
    sparse: Option<&Code>,
    timing: &Timing,
    arrivals: &[u64],
    polling: Polling,
) -> Timeline {
    let mut sender = Sender::with(code, sparse.cloned(), timing.clone());
    let mut timeline = Timeline { pushed: arrivals.to_vec(), repairs: Vec::new(), shed: 0 };
    let mut wire = Vec::new();
    let mut now = 0;
    let end = arrivals.last().map_or(0, |last| last + 1000 * MS);
    for &arrival in arrivals.iter().chain([&end]) {
        while let Some(at) = next_poll(&sender, now, polling).filter(|&at| at <= arrival) {
            now = at;
            sender.encoder.poll(now);
            sender.take(&mut wire);
            timeline.record(now, &mut wire);
            let next = sender.encoder.next_deadline();
            assert!(next.is_none_or(|next| next > now), "polled at {now}, next at {next:?}");
        }
        now = arrival;
        if arrival < end {
            sender.push(now, &mut wire);
            sender.take(&mut wire);
            timeline.record(now, &mut wire);
        }
    }
    timeline.shed = sender.encoder.shed();
    timeline
}

fn next_poll(sender: &Sender, now: u64, polling: Polling) -> Option<u64> {
    // A packet may have brought about that something is due at once.
    let deadline = || sender.encoder.next_deadline().map(|at| at.max(now));
    let tick = |every: u64| Some((now / every + 1) * every);
    match polling {
        Polling::AtDeadlines => deadline(),
        Polling::Also(every) => deadline().into_iter().chain(tick(every)).min(),
        Polling::Every(every) => tick(every),
    }
}

impl Timeline {
    fn record(&mut self, now: u64, wire: &mut Vec<Packet>) {
        self.repairs.extend(wire.drain(..).filter_map(|packet| match packet {
            Packet::Source { .. } => None,
            Packet::Repair(repair) => Some((now, repair)),
        }));
    }

    /// For each packet the time from its sending to its first repair of `layer`. It has one, or one
    /// of each code while these change: a code that is left fills up the groups that it has open.
    pub fn waits_of(&self, layer: u8) -> Vec<u64> {
        let mut waits = vec![[None; 2]; self.pushed.len()];
        for (at, repair) in self.repairs.iter().filter(|(_, repair)| repair.layer == layer) {
            for seq in repair.content.members.iter() {
                let wait = &mut waits[seq as usize][usize::from(repair.code_id)];
                assert_eq!(*wait, None, "packet {seq} is in layer {layer} twice");
                *wait = Some(at - self.pushed[seq as usize]);
            }
        }
        let first = |waits: [Option<u64>; 2]| waits.into_iter().flatten().min();
        waits.into_iter().map(|waits| first(waits).expect("a packet without its repair")).collect()
    }
}

/// Arrival times in trains: gaps of `gap` on average within a train of `train` packets on average,
/// `pause` on average between trains; exponential all of them.
pub fn trains(random: &mut Random, packets: u64, gap: f64, train: f64, pause: f64) -> Vec<u64> {
    let mut now = 5.0 * MS as f64;
    (0..packets)
        .map(|_| {
            let mean = if random.hit(1.0 / train) { pause } else { gap };
            now += -mean * (1.0 - random.uniform()).ln();
            now as u64
        })
        .collect()
}
