//! One gateway, in one life after the other.

use maelstrom::dpdk::{Mbuf, Mempool};
use maelstrom::fec::{Code, Codes};
use maelstrom::gateway::settings::LinkSettings;
use maelstrom::gateway::{Blueprint, Protect, Recover, Room, Steward};
use maelstrom::link::PeerDown;
use maelstrom::wire::seal::{Mode, Opening, Sealing, SessionKey};

use crate::ledger::{Ledger, Receiver, Sender};
use crate::ports::{Ear, LAN, Lan, Ports, Shared, WAN, Wan};
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
    pub sender: Sender,
    pub receiver: Receiver,
    /// Who reads what storage processes are told, if there are any.
    pub watch: Option<Watch>,
}

/// See the module's head.
pub struct End {
    pub blueprint: Blueprint,
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
}

impl End {
    pub fn new(blueprint: &Blueprint, salt: u64, direction: usize, pool: &Mempool) -> End {
        End {
            blueprint: blueprint.clone(),
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
        steward.take_on_protect(&mut protect);
        steward.take_on_recover(&mut recover);
        let drops = link.peer_down == PeerDown::Drop;
        let sender = Sender::new(&self.blueprint, self.life, epoch, first, drops);
        let receiver = Receiver::new(&self.blueprint, self.life);
        self.rooms = Some(Rooms { protect, recover, steward, sender, receiver, watch });
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
    pub fn switch(&mut self, code: &Code) {
        let Some(Rooms { protect, sender, .. }) = &mut self.rooms else { return };
        drop(protect.take_retired_code());
        let codes = Codes::new(&self.blueprint.encoder_for(code));
        if let Ok(seq) = protect.switch_code(Box::new(codes)) {
            sender.switch(seq, code.layers().len());
        }
    }

    /// Seals what it sends with these keys, and opens what it gets, of this epoch of the peer, with those.
    pub fn rekey(&mut self, mode: Mode, [ours, theirs]: [[u8; 32]; 2], epoch: u32) {
        let Some(Rooms { protect, recover, receiver, .. }) = &mut self.rooms else { return };
        let side = self.blueprint.side;
        let key = SessionKey::new(ours);
        protect.set_keys(Sealing::new(&key, mode, side.channel(0)));
        let (key, channel) = (SessionKey::new(theirs), side.other().channel(0));
        let longest = self.blueprint.longest_packet();
        recover.set_keys(epoch, Opening::new(&key, mode, channel, epoch, longest));
        receiver.rekeyed();
    }

    /// Whether it says that the peer is there and hears it.
    pub fn is_up(&self) -> bool {
        self.rooms.as_ref().is_some_and(|rooms| rooms.steward.supervisor().peer().is_up())
    }

    /// Lets control look, if it is time. Says whether it did.
    pub fn control(&mut self, now: u64) -> bool {
        if let Some(rooms) = &mut self.rooms
            && (now >= self.control || rooms.steward.next_deadline().is_some_and(|at| at <= now))
        {
            rooms.steward.step(now);
            rooms.steward.direct();
            rooms.steward.supervisor_mut().take_events();
            drop(rooms.protect.take_retired_code());
            self.control = now + CONTROL;
            return true;
        }
        false
    }

    /// When the gateway has something to do by itself.
    pub fn next(&self) -> Option<u64> {
        let rooms = self.rooms.as_ref()?;
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
    pub fn stop(&mut self, out: &mut Ledger, peace: bool) {
        let Some(mut rooms) = self.rooms.take() else { return };
        let (protect, recover) = (rooms.protect.counters(), rooms.recover.counters());
        let counters: Vec<(&str, u64)> = protect.each().collect();
        let overload = self.blueprint.limit.map(|limit| limit.overload);
        rooms.sender.close(out, |name| value(&counters, name), overload, peace);
        let counters: Vec<(&str, u64)> = recover.each().collect();
        rooms.receiver.close(|name| value(&counters, name), peace);
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

fn value(counters: &[(&str, u64)], name: &str) -> u64 {
    let found = counters.iter().find(|(other, _)| *other == name);
    found.unwrap_or_else(|| panic!("no counter {name}")).1
}
