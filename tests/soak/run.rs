//! A seed, from its first event to its last.

use maelstrom::dpdk::Mempool;
use maelstrom::gateway::{Blueprint, Oversize};
use maelstrom::link::{Neighbour, NeighbourConfig};
use maelstrom::wire::encap::Pattern as Header;

use crate::common::Random;
use crate::end::{End, Ending, Rooms};
use crate::keys::Sessions;
use crate::ledger::Ledger;
use crate::scenario::{Pattern, Scenario};
use crate::summary::Summary;
use crate::traffic::Traffic;
use crate::watch::Storage;
use crate::way::Way;

/// How long until a port that took too little is asked again.
const RETRY: u64 = 50_000;
/// How long gateways may believe to be up that have become strangers, and how long it takes one to die.
const ESTRANGED: u64 = 600_000_000;
/// How often watermarks are read, in events.
const READ: u64 = 64;
/// How often memory is looked at, in events.
const LOOK: u64 = 512;

/// See the module's head.
pub struct Run {
    pub scenario: Scenario,
    pub ends: [End; 2],
    pub ways: [Way; 2],
    pub ledgers: [Ledger; 2],
    pub traffic: [Traffic; 2],
    pub now: u64,
    /// When the last fault was over.
    pub calm: u64,
    pub trace: bool,
    pub kills: u64,
    /// How many gateways were stopped in an orderly way, and how many of those sent all they owed.
    pub stops: [u64; 2],
    pub sessions: Sessions,
    /// How many reports could be compared with the truth.
    pub reports: u64,
    /// The next hop of each gateway, where the WAN is routed.
    pub routers: [Option<Neighbour>; 2],
    pub storage: Option<Storage>,
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

/// A gateway's next hop: what the gateway's own side of that is, from the other end of the wire.
fn router(blueprint: &Blueprint) -> Option<Neighbour> {
    let (tunnel, ours) = blueprint.encapsulation.tunnel().zip(blueprint.next_hop)?;
    let vlan = blueprint.encapsulation.vlan;
    let (hop, peer) = (tunnel.ours, tunnel.peer);
    Some(Neighbour::new(NeighbourConfig { mac: [2, 0, 0, 0, 1, 0], vlan, ours, hop, peer }))
}

impl Run {
    fn new(scenario: Scenario, pools: &[Mempool; 2], trace: bool) -> Run {
        let seed = scenario.seed;
        let headers_too = scenario.blueprints[0].oversize == Oversize::Drop;
        let ends = [0, 1].map(|e| {
            let mut end = End::new(&scenario.blueprints, seed, e, &pools[e]);
            // Whatever an earlier run left behind is its failure, not this one's.
            assert_eq!(pools[e].available(), pools[e].count(), "the pool is whole");
            end.watched = scenario.watched && e == 0;
            end.plan = scenario.plans[e].clone();
            end.may_bypass = scenario.may_bypass;
            end.start(&scenario.link, scenario.epochs[e], scenario.first[e]);
            end.epoch = scenario.epochs[e];
            end
        });
        let keyed = scenario.blueprints[0].keys.is_some();
        let outer = Header::new(&scenario.blueprints[0].encapsulation).len();
        let seed_of = |d: u64| seed.wrapping_mul(3) ^ d << 40;
        let way = |d: u64| Way::new(seed_of(d), scenario.delay, outer, headers_too);
        let traffic = |d: u64| Traffic {
            pattern: Pattern::Steady { gap: 1 },
            next: 0,
            train: 0,
            random: Random(!seed ^ d << 32),
        };
        let mut ways = [way(0), way(1)];
        ways.iter_mut().for_each(|way| way.keyed = keyed);
        let routers = scenario.blueprints.each_ref().map(router);
        Run {
            routers,
            ends,
            ways,
            ledgers: Default::default(),
            traffic: [traffic(0), traffic(1)],
            storage: scenario.watched.then(|| Storage::new(seed)),
            scenario,
            now: 0,
            trace,
            kills: 0,
            stops: [0; 2],
            calm: 0,
            reports: 0,
            sessions: Sessions::default(),
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
            if nth + 1 == self.scenario.well {
                self.calm = self.now;
            }
            if nth == self.scenario.well {
                self.scenario.well = usize::MAX;
                self.ledgers.iter_mut().for_each(Ledger::all_is_well);
                if !self.scenario.promised {
                    for (e, end) in self.ends.iter().enumerate() {
                        assert!(end.is_up(), "{e} has not heard of its peer for a second");
                    }
                }
            }
            for e in 0..2 {
                match stretch.kills[e] {
                    Some(kill) if kill.peace && self.ends[e].rooms.is_some() => {
                        let ending = Ending { at: self.now, turns: 0, kill };
                        self.ends[e].ending = Some(ending);
                    }
                    Some(kill) => self.kill(e, kill, false),
                    None => {}
                }
                if let Some(code) = &stretch.codes[e] {
                    self.ends[e].switch(self.now, code);
                }
                self.ends[e].wish(stretch.wishes[e]);
                self.ends[e].change(stretch.slow[e], stretch.left[e]);
                self.ways[e].change(&stretch.weather[e]);
                self.traffic[e].change(self.now, stretch.traffic[e]);
            }
            let begun = self.now;
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
            if self.ends[0].key != self.ends[1].key && self.now > begun + ESTRANGED {
                let up = self.ends.iter().any(End::is_up);
                assert!(!up, "gateways whose keys differ believe each other");
            }
        }
        if !self.scenario.promised {
            [0, 1].into_iter().for_each(|e| self.has_reported(e));
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
            let done = [0, 1].map(|e| self.finish_turn(e));
            if done == [true; 2] {
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
            }
            if self.ends[e].ending.is_some() {
                self.end(e);
                return false;
            }
            let Run { ends, ledgers, sessions, now, .. } = self;
            let poked = ends[e].control(*now, &mut ledgers[e], sessions);
            self.protect(e, poked);
            poked
        });
        for (e, poked) in poked.into_iter().enumerate() {
            self.recover(e, poked);
        }
    }
}
