//! A seed, from its first event to its last.

use std::fmt;

use maelstrom::dpdk::Mempool;
use maelstrom::gateway::{Oversize, Room};

use crate::common::Random;
use crate::end::{End, Rooms};
use crate::frames::Class;
use crate::ledger::{Fate, Ledger};
use crate::ports::{Packet, Tag};
use crate::scenario::{Odd, Pattern, Scenario};
use crate::watch::Storage;
use crate::way::Way;

/// Packets that a port holds; what comes beyond is lost there.
const PORT: usize = 4096;
/// How long until a port that took too little is asked again.
const RETRY: u64 = 50_000;
/// Turns at one time: more are not needed to empty full ports.
const TURNS: usize = 2 * PORT;
/// How often watermarks are read, in events.
const READ: u64 = 64;
/// How often memory is looked at, in events.
const LOOK: u64 = 512;

/// What a run, or many, came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub frames: u64,
    pub spans: f64,
    delivered: u64,
    rebuilt: u64,
    lost: u64,
    dropped: u64,
    kills: u64,
    packets: [u64; 6],
    held: u32,
    /// Watermarks that were news.
    news: u64,
}

impl Summary {
    pub fn add(&mut self, other: &Summary) {
        self.frames += other.frames;
        self.delivered += other.delivered;
        self.rebuilt += other.rebuilt;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.kills += other.kills;
        self.packets.iter_mut().zip(other.packets).for_each(|(sum, n)| *sum += n);
        self.held = self.held.max(other.held);
        self.news += other.news;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            frames, delivered, rebuilt, lost, dropped, kills, packets, held, news, ..
        } = self;
        let [entered, gone, late, twice, damaged, forged] = packets;
        writeln!(
            f,
            "{frames} frames: {delivered} delivered, {rebuilt} of them rebuilt, {lost} lost, \
             {dropped} dropped by gateways; {kills} kills; {news} watermarks read"
        )?;
        write!(
            f,
            "{entered} packets on the WAN: {gone} lost, {late} late, {twice} twice, {damaged} damaged, \
             {forged} forged; at most {held} mbufs in a gateway"
        )
    }
}

/// What one LAN brings.
struct Traffic {
    pattern: Pattern,
    next: u64,
    /// Frames of the train that are still to come.
    train: u64,
    random: Random,
}

impl Traffic {
    fn change(&mut self, now: u64, pattern: Pattern) {
        (self.pattern, self.train) = (pattern, 0);
        self.next = now;
        self.advance();
    }

    fn advance(&mut self) {
        let random = &mut self.random;
        self.next += match self.pattern {
            Pattern::Steady { gap } => gap,
            Pattern::Random { gap } => {
                let u = (random.below(1 << 24) + 1) as f64 / f64::from(1 << 24);
                (-u.ln() * gap as f64) as u64
            }
            Pattern::Trains { gap, .. } if self.train > 0 => {
                self.train -= 1;
                gap
            }
            Pattern::Trains { most, pause, .. } => {
                self.train = random.below(most);
                pause / 2 + random.below(pause)
            }
        };
    }
}

struct Run {
    scenario: Scenario,
    ends: [End; 2],
    ways: [Way; 2],
    ledgers: [Ledger; 2],
    traffic: [Traffic; 2],
    now: u64,
    trace: bool,
    kills: u64,
    /// How often the gateways have agreed on keys.
    sessions: u32,
    strangers: bool,
    storage: Option<Storage>,
}

/// Runs a seed; panics when something is not as it must be.
pub fn run(seed: u64, pools: &[Mempool; 2], trace: bool) -> Summary {
    let scenario = Scenario::new(seed);
    if trace {
        let Scenario { blueprints, epochs, first, delay, nap, promised, .. } = &scenario;
        let codes = blueprints.each_ref().map(|blueprint| blueprint.code.to_string());
        eprintln!(
            "seed {seed}: codes {codes:?}, epochs {epochs:?} from {first:?}, delay {delay}, nap {nap}, promised {promised}"
        );
        eprintln!("{:?}", blueprints[0]);
    }
    for blueprint in &scenario.blueprints {
        blueprint.check(1 << 30).expect("a good blueprint");
    }
    let mut run = Run::new(scenario, pools, trace);
    run.go();
    run.finish()
}

impl Run {
    fn new(scenario: Scenario, pools: &[Mempool; 2], trace: bool) -> Run {
        let seed = scenario.seed;
        let headers_too = scenario.blueprints[0].oversize == Oversize::Drop;
        let ends = [0, 1].map(|e| {
            let mut end = End::new(&scenario.blueprints[e], seed, e, &pools[e]);
            // Whatever an earlier run left behind is its failure, not this one's.
            assert_eq!(pools[e].available(), pools[e].count(), "the pool is whole");
            end.watched = scenario.watched && e == 0;
            end.start(&scenario.link, scenario.epochs[e], scenario.first[e]);
            end.epoch = scenario.epochs[e];
            end
        });
        let keyed = scenario.blueprints[0].keys.is_some();
        let way = |d: u64| Way::new(seed.wrapping_mul(3) ^ d << 40, scenario.delay, headers_too);
        let traffic = |d: u64| Traffic {
            pattern: Pattern::Steady { gap: 1 },
            next: 0,
            train: 0,
            random: Random(!seed ^ d << 32),
        };
        let mut ways = [way(0), way(1)];
        ways.iter_mut().for_each(|way| way.keyed = keyed);
        Run {
            ends,
            ways,
            ledgers: Default::default(),
            traffic: [traffic(0), traffic(1)],
            storage: scenario.watched.then(|| Storage::new(seed)),
            scenario,
            now: 0,
            trace,
            kills: 0,
            sessions: 0,
            strangers: false,
        }
    }

    /// The gateways agree on new keys, or believe so.
    fn rekey(&mut self, fitting: bool) {
        let Some(mode) = self.scenario.blueprints[0].keys else { return };
        self.sessions += 1;
        let epochs = self.ends.each_ref().map(|end| end.epoch);
        for e in 0..2 {
            let key = |sender: usize, fits: bool| {
                let mut key = [sender as u8 | u8::from(!fits) << 4; 32];
                key[..8].copy_from_slice(&self.scenario.seed.to_le_bytes());
                key[8..16].copy_from_slice(&u64::from(self.sessions).to_le_bytes());
                key
            };
            let keys = [key(e, true), key(1 - e, fitting)];
            self.ends[e].rekey(mode, keys, epochs[1 - e]);
        }
    }

    fn go(&mut self) {
        let stretches = std::mem::take(&mut self.scenario.stretches);
        let mut events = 0u64;
        let mut until = 0;
        for (nth, stretch) in stretches.iter().enumerate() {
            until += stretch.length;
            if self.trace {
                eprintln!("{}: stretch {nth} until {until}: {stretch:?}", self.now);
            }
            if nth == self.scenario.well {
                self.scenario.well = usize::MAX;
                self.ledgers.iter_mut().for_each(Ledger::all_is_well);
                // (Hellos are not sealed yet.)
                if !self.scenario.promised && self.scenario.blueprints[0].keys.is_none() {
                    for (e, end) in self.ends.iter().enumerate() {
                        assert!(end.is_up(), "{e} has not heard of its peer for a second");
                    }
                }
            }
            for e in 0..2 {
                if let Some(kill) = stretch.kills[e] {
                    self.kills += 1;
                    self.kill(e);
                    let end = &mut self.ends[e];
                    end.back = Some(self.now + kill.down);
                    end.epoch = end.epoch.wrapping_add(kill.step);
                    self.ways[e].set_back |= kill.step > 1 << 31;
                }
                if let Some(code) = &stretch.codes[e] {
                    self.ends[e].switch(code);
                }
                self.ends[e].change(stretch.slow[e], stretch.left[e]);
                self.ways[e].change(&stretch.weather[e]);
                self.traffic[e].change(self.now, stretch.traffic[e]);
            }
            if nth == 0 || stretch.strangers != self.strangers {
                self.strangers = stretch.strangers;
                self.rekey(!stretch.strangers);
            }
            loop {
                self.event();
                events += 1;
                if events.is_multiple_of(LOOK) {
                    self.ends.iter_mut().for_each(End::memory_is_bounded);
                }
                if events.is_multiple_of(READ)
                    && let Some(Rooms { watch: Some(watch), sender, .. }) = &mut self.ends[0].rooms
                {
                    watch.is_sound(self.now, sender.hampered);
                }
                let arrivals = self.traffic.iter().map(|traffic| traffic.next).min();
                let next = self.next().into_iter().chain(arrivals).min().unwrap_or(until);
                self.now = next.max(self.now + 1 + self.scenario.nap);
                if self.now >= until {
                    self.now = until;
                    break;
                }
            }
        }
        // Nothing more comes; what is on its way arrives, and the rest is flushed.
        self.traffic.iter_mut().for_each(|traffic| traffic.next = u64::MAX);
        let end = self.now + 20_000_000_000;
        while let Some(next) = self.next().filter(|_| self.is_busy()) {
            assert!(self.now < end, "it never ends");
            self.now = next.max(self.now + 1);
            self.event();
        }
        for _ in 0..100_000 {
            let done = self.ends.each_mut().map(|end| end.finish(self.now)) == [true; 2];
            self.collect(0);
            self.collect(1);
            if done {
                break;
            }
            self.now += RETRY;
        }
        while let Some(next) = self.ways.iter().filter_map(Way::next).min() {
            self.now = next.max(self.now + 1);
            self.event();
        }
        self.event();
    }

    /// Whether anything is still to happen but what control does for ever.
    fn is_busy(&self) -> bool {
        let on_the_way = self.ways.iter().any(|way| !way.is_empty());
        on_the_way
            || self.ends.iter().any(|end| {
                let ports = end.ports.lock();
                let waits = !ports.lan_in.is_empty() || !ports.wan_in.is_empty();
                waits || end.rooms.as_ref().is_some_and(|r| r.protect.next_deadline().is_some())
            })
    }

    /// When something happens next but for what the LANs bring.
    fn next(&self) -> Option<u64> {
        let ends = self.ends.iter().filter_map(|end| match end.is_held_back() {
            true => Some(self.now + RETRY),
            false if end.rooms.is_none() => end.back,
            false => end.next(),
        });
        ends.chain(self.ways.iter().filter_map(Way::next)).min()
    }

    /// What happens now.
    fn event(&mut self) {
        self.arrive();
        let poked = [0, 1].map(|e| {
            if self.ends[e].back.is_some_and(|at| at <= self.now) {
                self.ends[e].back = None;
                let epoch = self.ends[e].epoch;
                self.ends[e].start(&self.scenario.link, epoch, 0);
                self.rekey(!self.strangers);
            }
            let poked = self.ends[e].control(self.now);
            self.protect(e, poked);
            poked
        });
        for (e, poked) in poked.into_iter().enumerate() {
            self.recover(e, poked);
        }
    }

    /// What the LANs bring.
    fn arrive(&mut self) {
        for d in 0..2 {
            while self.traffic[d].next <= self.now {
                let traffic = &mut self.traffic[d];
                let at = traffic.next;
                let (odd, len) = self.scenario.sizes.draw(&mut traffic.random);
                traffic.advance();
                let blueprint = &self.ends[d].blueprint;
                let fits = len <= u64::from(blueprint.wan_mtu) + 14;
                let class = match odd {
                    Odd::None => Class::Protect,
                    Odd::Runt => Class::Runt,
                    Odd::LinkLocal => Class::LinkLocal,
                    Odd::TooLong if blueprint.oversize == Oversize::Bypass && fits => Class::Bypass,
                    Odd::TooLong => Class::TooLarge,
                };
                let tcp = self.storage.as_mut().filter(|_| class == Class::Protect);
                let tcp = tcp.and_then(|storage| match d {
                    0 => storage.segment(len),
                    _ => storage.acknowledgement(len),
                });
                let frame = self.ledgers[d].enter(at, len as u16, class, tcp);
                let mut ports = self.ends[d].ports.lock();
                if self.ends[d].rooms.is_none() || ports.lan_in.len() >= PORT {
                    self.ledgers[d].at(frame.n).fate = Fate::Missed;
                } else {
                    ports.lan_in.push_back(frame);
                }
            }
        }
    }

    /// A gateway's way out has its turns.
    fn protect(&mut self, e: usize, poked: bool) {
        for turn in 0..TURNS {
            let Some(rooms) = &mut self.ends[e].rooms else { return };
            let Rooms { protect, sender, .. } = rooms;
            let idle = self.ends[e].ports.lock().lan_in.is_empty() && sender.pending.is_empty();
            let due = protect.next_deadline().is_some_and(|at| at <= self.now);
            // Once begun, it goes on until it has found nothing, as a worker does.
            if turn == 0 && idle && !due && !sender.hampered && !poked {
                return;
            }
            let count = protect.poll(self.now);
            self.collect(e);
            if count == 0 {
                return;
            }
        }
        panic!("a room finds something to do for ever");
    }

    /// Looks at what has left a gateway towards the WAN, and sends it on.
    fn collect(&mut self, e: usize) {
        let Run { ends, ways, ledgers, scenario, now, trace, .. } = self;
        let Some(Rooms { sender, watch, .. }) = &mut ends[e].rooms else { return };
        let ports = &mut *ends[e].ports.lock();
        let ledger = &mut ledgers[e];
        for frame in ports.lan_handed.drain(..) {
            sender.take(ledger, frame);
        }
        for bytes in ports.wan_out.drain(..) {
            let tag = sender.send(*now, ledger, scenario.seed, e, &bytes);
            if let Some(watch) = watch {
                let frame = match tag {
                    Tag::Source { n, .. } => Some(ledger.at(n).frame),
                    _ => None,
                };
                if !matches!(tag, Tag::Bypass { .. }) {
                    watch.sent(*now, &bytes, frame.as_ref());
                }
            }
            let packet = Packet { bytes, tag, intact: true };
            let lost = ways[e].enter(*now, packet, &mut ports.spare);
            if *trace {
                eprintln!("{now}: {e} sends {tag:?}{}", if lost { ", lost" } else { "" });
            }
        }
        sender.turn_is_over(ledger);
    }

    /// A gateway's way in gets what has arrived, and has its turns.
    fn recover(&mut self, e: usize, poked: bool) {
        let from = 1 - e;
        let mut ports = self.ends[e].ports.lock();
        while let Some(packet) = self.ways[from].leave(self.now) {
            if self.ends[e].rooms.is_some() && ports.wan_in.len() < PORT {
                ports.wan_in.push_back(packet);
            } else {
                ports.spare.push(packet.bytes);
            }
        }
        drop(ports);
        let present = self.ends[from].rooms.as_ref().map_or(0, |rooms| rooms.sender.life);
        for _ in 0..TURNS {
            let Run { ends, ledgers, scenario, now, trace, storage, .. } = self;
            let Some(Rooms { recover, receiver, watch, .. }) = &mut ends[e].rooms else { return };
            let nothing = ends[e].ports.lock().wan_in.is_empty() && receiver.owed.is_empty();
            if nothing && !receiver.hampered && !poked {
                return;
            }
            let count = recover.poll(*now);
            let ports = &mut *ends[e].ports.lock();
            if *trace {
                for (tag, intact) in &ports.wan_handed {
                    eprintln!("{now}: {e} gets {tag:?}{}", if *intact { "" } else { ", damaged" });
                }
                for (seq, rebuilt) in &ports.observed {
                    eprintln!(
                        "{now}: {e} delivers {seq}{}",
                        if *rebuilt { ", rebuilt" } else { "" }
                    );
                }
            }
            let ledger = &mut ledgers[from];
            receiver.turn(ledger, &ports.wan_handed, &ports.observed, present);
            ports.wan_handed.clear();
            ports.observed.clear();
            for bytes in ports.lan_out.drain(..) {
                let frame = receiver.came_out(ledger, scenario.seed, from, &bytes);
                if let Some(storage) = storage {
                    storage.arrived(&frame);
                }
                if let Some(watch) = watch {
                    watch.delivered(&bytes);
                }
                ports.spare.push(bytes);
            }
            assert!(receiver.owed.is_empty() || receiver.hampered, "a frame is late without need");
            if count == 0 {
                return;
            }
        }
        panic!("a room finds something to do for ever");
    }

    /// A gateway dies with all that it holds.
    fn kill(&mut self, e: usize) {
        if self.trace {
            eprintln!("{}: {e} dies", self.now);
        }
        let Run { ends, ledgers, .. } = self;
        let mut ports = ends[e].ports.lock();
        for frame in ports.lan_in.drain(..) {
            ledgers[e].at(frame.n).fate = Fate::Died;
        }
        ports.wan_in.clear();
        drop(ports);
        ends[e].stop(&mut ledgers[e], false);
    }

    /// All is over: what must be true of every frame.
    fn finish(mut self) -> Summary {
        let mut summary = Summary::default();
        for (e, end) in self.ends.iter_mut().enumerate() {
            assert!(end.ports.lock().lan_in.is_empty(), "frames are left at a LAN port");
            end.change([false; 2], None);
            end.stop(&mut self.ledgers[e], true);
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
        summary.kills = self.kills;
        summary
    }
}
