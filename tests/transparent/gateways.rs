//! Two whole gateways in virtual time: rooms whose ports are lists, and controls that are stepped as
//! `maelstrom run` steps them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use maelstrom::dpdk::mbuf::Burst;
use maelstrom::gateway::fit::{self, Teller};
use maelstrom::gateway::transparent::{Protect, Recover};
use maelstrom::gateway::{Blueprint, LinkSettings, Receive, Room, Side, Steward, Transmit};
use maelstrom::link::PeerDown;

use crate::wan::pool;

pub const MS: u64 = 1_000_000;
pub const EPOCH: u32 = 1000;

/// A port made of two lists.
#[derive(Clone, Default)]
pub struct Port {
    waiting: Arc<Mutex<VecDeque<Vec<u8>>>>,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Port {
    pub fn bring(&self, packets: impl IntoIterator<Item = Vec<u8>>) {
        self.waiting.lock().unwrap().extend(packets);
    }

    pub fn take_sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

impl Receive for Port {
    fn receive(&mut self, _now: u64, burst: &mut Burst) {
        let mut waiting = self.waiting.lock().unwrap();
        while !burst.is_full()
            && let Some(bytes) = waiting.pop_front()
        {
            burst.push(pool().copy_of(&bytes).expect("a leak: the pool is empty"));
        }
    }
}

impl Transmit for Port {
    fn transmit(&mut self, _now: u64, burst: &mut Burst) {
        self.sent.lock().unwrap().extend(burst.drain(..).map(|mbuf| mbuf.data().to_vec()));
    }
}

/// A whole gateway.
pub struct Gateway {
    pub protect: Protect<Port, Port>,
    pub recover: Recover<Port, Port>,
    pub steward: Steward,
    /// What comes in from the LAN, goes out to the WAN; comes in from the WAN, goes out to the LAN.
    pub ports: [Port; 4],
}

impl Gateway {
    pub fn new(blueprint: &Blueprint, side: Side, epoch: u32, peer_down: PeerDown) -> Gateway {
        let blueprint = Blueprint { side, ..blueprint.clone() };
        let ports: [Port; 4] = Default::default();
        let [from_lan, to_wan, from_wan, to_lan] = ports.clone();
        let near = blueprint.protect_transparent(0, epoch, [2; 6], [0xFF; 6]);
        let mut protect = Protect::new(near, from_lan, to_wan, pool());
        let mut recover = Recover::new(blueprint.recover_transparent(0), from_wan, to_lan, pool());
        let (sender, receiver) = fit::mailbox();
        protect.answer(Teller::new(sender));
        recover.answer_from(vec![receiver]);
        let settings = LinkSettings { hello: 100 * MS, peer_down };
        let mut steward = blueprint.steward(&settings, epoch, [2; 6], [0xFF; 6]);
        steward.take_on_protect(&mut protect);
        steward.take_on_recover(&mut recover);
        Gateway { protect, recover, steward, ports }
    }

    pub fn is_up(&self) -> bool {
        self.steward.supervisor().peer().is_up()
    }

    pub fn near(&self, name: &str) -> u64 {
        value(self.protect.counters().each(), name)
    }

    pub fn far(&self, name: &str) -> u64 {
        value(self.recover.counters().each(), name)
    }
}

fn value<'a>(mut counters: impl Iterator<Item = (&'a str, u64)>, name: &str) -> u64 {
    counters.find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no counter {name}")).1
}

/// Both, a millisecond from each other.
pub struct Gateways {
    pub of: [Gateway; 2],
    pub now: u64,
    /// Whether the WAN carries a packet.
    pub carries: fn(&[u8]) -> bool,
    blueprint: Blueprint,
}

impl Gateways {
    pub fn new(blueprint: &Blueprint, peer_down: PeerDown) -> Gateways {
        let of =
            [Side::West, Side::East].map(|side| Gateway::new(blueprint, side, EPOCH, peer_down));
        Gateways { of, now: 0, carries: |_| true, blueprint: blueprint.clone() }
    }

    /// Another life of the western one.
    pub fn restart(&mut self, epoch: u32) {
        self.of[0] = Gateway::new(&self.blueprint, Side::West, epoch, PeerDown::Protect);
    }

    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += MS;
            for Gateway { protect, recover, steward, .. } in &mut self.of {
                if self.now.is_multiple_of(10 * MS) {
                    steward.step(self.now);
                    steward.direct();
                }
                // All that waits, and an empty turn.
                while protect.poll(self.now) > 0 {}
                while recover.poll(self.now) > 0 {}
            }
            let sent = [0, 1].map(|n| self.of[n].ports[1].take_sent());
            for (n, packets) in sent.into_iter().enumerate() {
                let carried = packets.into_iter().filter(|packet| (self.carries)(packet));
                self.of[1 - n].ports[2].bring(carried);
            }
        }
    }

    /// West's LAN brings these; what comes out in the east.
    pub fn cross(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.of[0].ports[0].bring(frames.iter().cloned());
        self.run(60);
        self.of[1].ports[3].take_sent()
    }
}
