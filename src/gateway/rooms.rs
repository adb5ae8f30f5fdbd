//! The rooms of every encapsulation alike: what a gateway is put together from, and what control wants
//! of them.

use std::sync::Arc;

use super::fit::Teller;
use super::flows::{Acks, Publisher};
use super::io::{Receive, Transmit};
use super::nack::asking::Asking;
use super::nack::resender::Resender;
use super::post::{CodeNews, Heard, Obeyed, ProtectOrder, Receiver, RecoverOrder, Sender};
use super::protect::{Crossing, ProtectBy};
use super::recover::Observer;
use super::worker::Room;
use super::{Blueprint, Protect, Recover, transparent};
use crate::control::counters::{ProtectCounters, RecoverCounters};
use crate::dpdk::Mempool;
use crate::wire::Report;
use crate::wire::icmp::Answer;
use crate::wire::seal::{Opening, Sealing};

/// LAN → WAN. All of it is to be called before the first turn.
pub trait ProtectRoom: Room {
    /// Obeys these orders, from now on, and says how far, and what becomes of a change of the code.
    fn obey(&mut self, orders: Receiver<ProtectOrder>, obeyed: Obeyed, news: Sender<CodeNews>);
    /// Gives keys back through this when others have come.
    fn give_back_keys(&mut self, spent: Sender<Sealing>);
    /// The channel that it sends on.
    fn channel(&self) -> u8;
    /// Has packets sent again, from now on.
    fn resend_with(&mut self, resender: Resender);
    /// Has packets that are too big answered, from now on.
    fn answer(&mut self, teller: Teller);
    /// Has storage processes told of what leaves, from now on.
    fn tell(&mut self, publisher: Publisher);
    /// Its counters, to be read from anywhere.
    fn counters(&self) -> Arc<ProtectCounters>;
}

/// WAN → LAN. All of it is to be called before the first turn.
pub trait RecoverRoom: Room {
    /// Obeys these orders and hands up what is for control, as room number `number`.
    fn obey(
        &mut self,
        number: u8,
        orders: Receiver<RecoverOrder>,
        heard: Sender<Heard>,
        reports: Sender<Report>,
    );
    /// Gives keys back through this when nothing can open with them any more.
    fn give_back_keys(&mut self, spent: Sender<Opening>);
    /// The channel of the peer, and the longest frame that comes through it.
    fn keyed_channel(&self) -> (u8, usize);
    /// Packets in its window.
    fn window(&self) -> u64;
    /// Has it ask for what no repair brings back, from now on.
    fn ask_with(&mut self, asking: Asking);
    /// Has it send what is put into these mailboxes, from now on.
    fn answer_from(&mut self, mailboxes: Vec<Receiver<Answer>>);
    /// Has acknowledgements read in what is delivered, from now on.
    fn read_acks(&mut self, acks: Acks);
    /// Its counters, to be read from anywhere.
    fn counters(&self) -> Arc<RecoverCounters>;
    /// Whether a frame that it delivers as protected was verified to be the peer's.
    fn verifies(&self) -> bool;
}

/// `protect` of worker number `worker`; packets of our own go from and to these `stations`.
pub fn protect_room<L: Receive + 'static, W: Transmit + 'static>(
    blueprint: &Blueprint,
    worker: u8,
    epoch: u32,
    [source, destination]: [[u8; 6]; 2],
    (lan, wan): (L, W),
    pool: Mempool,
) -> Box<dyn ProtectRoom> {
    if blueprint.encapsulation.is_transparent() {
        let config = blueprint.protect_transparent(worker, epoch, source, destination);
        return Box::new(transparent::Protect::new(config, lan, wan, pool));
    }
    let config = blueprint.protect(worker, epoch, source, destination);
    Box::new(Protect::new(config, lan, wan, pool))
}

/// `recover` for the peer's worker number `worker`.
pub fn recover_room<W: Receive + 'static, L: Transmit + 'static>(
    blueprint: &Blueprint,
    worker: u8,
    (wan, lan): (W, L),
    pool: Mempool,
) -> Box<dyn RecoverRoom> {
    if blueprint.encapsulation.is_transparent() {
        let config = blueprint.recover_transparent(worker);
        return Box::new(transparent::Recover::new(config, wan, lan, pool));
    }
    Box::new(Recover::new(blueprint.recover(worker), wan, lan, pool, ()))
}

/// A room's own methods of these names.
macro_rules! recover_room {
    ($room:ident, $verifies:literal) => {
        fn obey(
            &mut self,
            number: u8,
            orders: Receiver<RecoverOrder>,
            heard: Sender<Heard>,
            reports: Sender<Report>,
        ) {
            $room::obey(self, number, orders, heard, reports);
        }

        fn give_back_keys(&mut self, spent: Sender<Opening>) {
            $room::give_back_keys(self, spent);
        }

        fn keyed_channel(&self) -> (u8, usize) {
            $room::keyed_channel(self)
        }

        fn window(&self) -> u64 {
            $room::window(self)
        }

        fn ask_with(&mut self, asking: Asking) {
            $room::ask_with(self, asking);
        }

        fn answer_from(&mut self, mailboxes: Vec<Receiver<Answer>>) {
            $room::answer_from(self, mailboxes);
        }

        fn read_acks(&mut self, acks: Acks) {
            $room::read_acks(self, acks);
        }

        fn counters(&self) -> Arc<RecoverCounters> {
            $room::counters(self)
        }

        fn verifies(&self) -> bool {
            $verifies
        }
    };
}

use transparent::Recover as TransparentRecover;

impl<C: Crossing, L: Receive, W: Transmit> ProtectRoom for ProtectBy<C, L, W> {
    fn obey(&mut self, orders: Receiver<ProtectOrder>, obeyed: Obeyed, news: Sender<CodeNews>) {
        ProtectBy::obey(self, orders, obeyed, news);
    }

    fn give_back_keys(&mut self, spent: Sender<Sealing>) {
        ProtectBy::give_back_keys(self, spent);
    }

    fn channel(&self) -> u8 {
        ProtectBy::channel(self)
    }

    fn resend_with(&mut self, resender: Resender) {
        ProtectBy::resend_with(self, resender);
    }

    fn answer(&mut self, teller: Teller) {
        ProtectBy::answer(self, teller);
    }

    fn tell(&mut self, publisher: Publisher) {
        ProtectBy::tell(self, publisher);
    }

    fn counters(&self) -> Arc<ProtectCounters> {
        ProtectBy::counters(self)
    }
}

impl<W: Receive, L: Transmit, O: Observer> RecoverRoom for Recover<W, L, O> {
    recover_room!(Recover, true);
}

impl<W: Receive, L: Transmit> RecoverRoom for TransparentRecover<W, L> {
    // Whatever comes through the circuit is delivered, also past a peer that is dead.
    recover_room!(TransparentRecover, false);
}
