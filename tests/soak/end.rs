//! One gateway, in one life after the other.

use maelstrom::dpdk::{Mbuf, Mempool};
use maelstrom::fec::{Code, Codes};
use maelstrom::gateway::settings::LinkSettings;
use maelstrom::gateway::{Blueprint, Protect, Recover, Room, Steward};
use maelstrom::link::{PeerDown, Wishes};
use maelstrom::wire::encap::Pattern;

use crate::auto::{Auto, Plan};
use crate::common::Random;
use crate::keys::Sessions;
use crate::ledger::{Ledger, Receiver, Sender};
use crate::ports::{Ear, LAN, Lan, Ports, Shared, WAN, Wan};
use crate::scenario::Kill;
use crate::watch::Watch;

/// How often control looks.
const CONTROL: u64 = 10_000_000;
/// What a gateway holds at most beside its window and its queues: the repairs that it makes, what is on
/// its way out of each room, and a burst that the LAN port keeps from being settled.
const IN_HAND: u32 = 5 * 32;

/// The rooms of a life.
pub struct Rooms {
    pub protect: Protect<Lan, Wan>,
    pub recover: Recover<Wan, Lan, Ear>,
    pub steward: Steward,
    pub auto: Option<Auto>,
    pub sender: Sender,
    pub receiver: Receiver,
    /// Who reads what storage processes are told, if there are any.
    pub watch: Option<Watch>,
}

/// A gateway on its way to an orderly end.
pub struct Ending {
    /// When it tries next to send what is owed, and how often it has.
    pub at: u64,
    pub turns: u32,
    pub kill: Kill,
}

/// See the module's head.
pub struct End {
    pub blueprint: Blueprint,
    /// What its packets have in front of their shim.
    pattern: Pattern,
    /// Who chooses its codes, if anyone does.
    pub plan: Option<Plan>,
    /// Whether it may ever be told to let frames cross unprotected.
    pub may_bypass: bool,
    /// The key that it is started with.
    pub key: [u8; 32],
    pub ending: Option<Ending>,
    salt: u64,
    pub ports: Shared,
    pool: Mempool,
    pub rooms: Option<Rooms>,
    life: u16,
    pub epoch: u32,
    /// When it is back.
    pub back: Option<u64>,
    /// Mbufs that somebody else has.
    taken: Vec<Mbuf>,
    control: u64,
    /// The most mbufs that it held.
    pub held: u32,
    /// Whether there are storage processes, and how many watermarks were news to them.
    pub watched: bool,
    pub news: u64,
    /// How often its code was changed by control.
    pub changes: u64,
}

impl End {
    pub fn new(blueprints: &[Blueprint; 2], salt: u64, direction: usize, pool: &Mempool) -> End {
        End {
            blueprint: blueprints[direction].clone(),
            pattern: Pattern::new(&blueprints[1 - direction].encapsulation),
            plan: None,
            may_bypass: false,
            key: [0; 32],
            ending: None,
            salt: salt << 1 | direction as u64,
            ports: Shared::new(Ports::new(salt, direction, pool.clone())),
            pool: pool.clone(),
            rooms: None,
            life: 0,
            epoch: 0,
            back: None,
            taken: Vec::new(),
            control: 0,
            held: 0,
            watched: false,
            news: 0,
            changes: 0,
        }
    }

    /// A life begins.
    pub fn start(&mut self, link: &LinkSettings, epoch: u32, first: u64) {
        self.life += 1;
        self.epoch = epoch;
        let (near, far) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let ports = &self.ports;
        let (lan, wan) = (|| Lan(ports.clone()), || Wan(ports.clone()));
        let config = self.blueprint.protect(0, epoch, near, far);
        let mut protect = Protect::new(config, lan(), wan(), self.pool.clone());
        if first > 0 {
            protect.begin_at(first);
        }
        let ear = Ear(ports.clone());
        let config = self.blueprint.recover(0);
        let mut recover = Recover::new(config, wan(), lan(), self.pool.clone(), ear);
        let watch = self.watched.then(|| Watch::start(&self.blueprint, &mut protect, &mut recover));
        let mut steward = self.blueprint.steward(link, epoch, near, far);
        let mut entropy = [0; 32];
        Random(self.salt ^ u64::from(self.life) << 48).fill(&mut entropy);
        if let Some(handshake) = self.blueprint.handshake(&self.key, epoch, entropy) {
            steward.supervisor_mut().use_keys(handshake);
        }
        steward.take_on_protect(&mut protect);
        steward.take_on_recover(&mut recover);
        let drops = link.peer_down == PeerDown::Drop;
        let routed = self.blueprint.encapsulation.tunnel().is_some();
        let may = [drops || routed && self.may_bypass, self.may_bypass];
        let pattern = self.pattern.clone();
        let sender = Sender::new(&self.blueprint, pattern, self.life, epoch, first, may);
        let receiver = Receiver::new(&self.blueprint, self.life);
        let auto = self.plan.as_ref().map(|plan| Auto::new(&self.blueprint, plan));
        self.rooms = Some(Rooms { protect, recover, steward, auto, sender, receiver, watch });
        self.hamper();
    }

    /// Which ports are slow from now on, and how many mbufs are left.
    pub fn change(&mut self, slow: [bool; 2], left: Option<u32>) {
        self.ports.lock().slow = slow;
        self.taken.clear();
        if let Some(left) = left {
            while self.pool.available() > left
                && let Some(mbuf) = self.pool.alloc()
            {
                self.taken.push(mbuf);
            }
        }
        self.hamper();
    }

    /// What a room was kept from doing once may show for the rest of its life.
    fn hamper(&mut self) {
        let slow = self.ports.lock().slow;
        let few = !self.taken.is_empty();
        if let Some(rooms) = &mut self.rooms {
            rooms.sender.hampered |= slow[WAN] || few;
            rooms.receiver.hampered |= slow[LAN] || few;
        }
    }

    /// Whether a port keeps something back that it may take if it is asked again.
    pub fn is_held_back(&self) -> bool {
        let slow = self.ports.lock().slow;
        let few = !self.taken.is_empty();
        slow[0] || slow[1] || few
    }

    /// Another code takes over, if the last change is through.
    pub fn switch(&mut self, now: u64, code: &Code) {
        let Some(Rooms { protect, sender, steward, auto, .. }) = &mut self.rooms else { return };
        if let Some(auto) = auto {
            return auto.order(now, code, steward);
        }
        drop(protect.take_retired_code());
        let codes = Codes::new(&self.blueprint.encoder_for(code));
        if protect.switch_code(Box::new(codes)).is_ok() {
            sender.switch(code.layers().len());
        }
    }

    /// An operator asks for this.
    pub fn wish(&mut self, wishes: Wishes) {
        if let Some(Rooms { steward, .. }) = &mut self.rooms {
            steward.wish(wishes);
        }
    }

    /// Whether it says that the peer is there and hears it.
    pub fn is_up(&self) -> bool {
        self.rooms.as_ref().is_some_and(|rooms| rooms.steward.supervisor().peer().is_up())
    }

    /// Lets control look, if it is time. Says whether it did.
    pub fn control(&mut self, now: u64, ledger: &mut Ledger, sessions: &mut Sessions) -> bool {
        let Some(rooms) = &mut self.rooms else { return false };
        if now < self.control && rooms.steward.next_deadline().is_none_or(|at| at > now) {
            return false;
        }
        let Rooms { protect, steward, auto, sender, receiver, .. } = rooms;
        steward.step(now);
        steward.supervisor_mut().take_events();
        if let Some(keys) = steward.supervisor().keys() {
            let direction = (self.salt & 1) as usize;
            sessions.follow(now, direction, keys, sender, receiver);
        }
        steward.direct();
        sender.bare = steward.is_bypassed();
        let counters = protect.counters();
        sender.has_drained(ledger, |name| value(counters.each(), name), steward.is_drained());
        match auto {
            Some(auto) => auto.step(now, steward, sender),
            None => drop(protect.take_retired_code()),
        }
        self.control = now + CONTROL;
        true
    }

    /// When the gateway has something to do by itself.
    pub fn next(&self) -> Option<u64> {
        let rooms = self.rooms.as_ref()?;
        if let Some(ending) = &self.ending {
            return Some(ending.at);
        }
        let due =
            [rooms.protect.next_deadline(), rooms.steward.next_deadline(), Some(self.control)];
        due.into_iter().flatten().min()
    }

    /// What it holds now is within its bound, and all of it is in the pool when there are no rooms.
    pub fn memory_is_bounded(&mut self) {
        let out = self.pool.count() - self.pool.available() - self.taken.len() as u32;
        let waiting = self.blueprint.limit.map_or(0, |limit| limit.packets());
        let bound = match self.rooms {
            Some(_) => self.blueprint.kept() + waiting + IN_HAND,
            None => 0,
        };
        self.held = self.held.max(out);
        assert!(out <= bound, "{out} mbufs are out, {bound} at most may be");
        assert!(bound <= self.blueprint.mbufs(), "more than the blueprint says");
    }

    /// A life is over: in peace, when whatever was owed has left, or not.
    pub fn stop(&mut self, out: &mut Ledger, peace: bool, mixed: [bool; 2]) {
        self.ending = None;
        let Some(mut rooms) = self.rooms.take() else { return };
        let (protect, recover) = (rooms.protect.counters(), rooms.recover.counters());
        let overload = self.blueprint.limit.map(|limit| limit.overload);
        rooms.sender.close(out, |name| value(protect.each(), name), overload, peace);
        let mixed = mixed[1 - (self.salt & 1) as usize];
        rooms.receiver.close(|name| value(recover.each(), name), peace, mixed);
        self.changes += rooms.auto.as_ref().map_or(0, Auto::changes);
        self.news += rooms.watch.take().map_or(0, |watch| watch.news);
        drop(rooms);
        self.memory_is_bounded();
    }

    /// Sends what is owed. Says whether that was all.
    pub fn finish(&mut self, now: u64) -> bool {
        self.rooms.as_mut().is_none_or(|rooms| {
            let out = rooms.protect.finish(now);
            rooms.recover.finish(now) && out
        })
    }
}

fn value<'a>(mut counters: impl Iterator<Item = (&'a str, u64)>, name: &str) -> u64 {
    let found = counters.find(|(other, _)| *other == name);
    found.unwrap_or_else(|| panic!("no counter {name}")).1
}
