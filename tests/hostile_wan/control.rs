//! Control packets and orders through the rooms, in virtual time: two gateways whose controls are stepped
//! as `maelstrom run` steps them.

use maelstrom::gateway::{Blueprint, LinkSettings, Oversize, Room, Side, Steward};
use maelstrom::link::{Mode, PeerDown, Wishes};
use maelstrom::wire::control::{Sender, Type, emit};

use crate::harness::{EAST, EPOCH, Far, Near, SHIM, WEST, blueprint, frames};

const MS: u64 = 1_000_000;

/// A whole gateway.
pub struct Gateway {
    pub near: Near,
    pub far: Far,
    pub steward: Steward,
}

impl Gateway {
    fn new(side: Side, epoch: u32, peer_down: PeerDown) -> Gateway {
        let blueprint = Blueprint { oversize: Oversize::Bypass, ..blueprint(side) };
        Gateway::of(&blueprint, epoch, peer_down)
    }

    pub fn of(blueprint: &Blueprint, epoch: u32, peer_down: PeerDown) -> Gateway {
        let (mut near, mut far) = (Near::of(blueprint, epoch), Far::of(blueprint));
        let settings = LinkSettings { hello: 100 * MS, peer_down };
        let mut steward = blueprint.steward(&settings, epoch, [2; 6], [0xFF; 6]);
        steward.take_on_protect(&mut near.room);
        steward.take_on_recover(&mut far.room);
        Gateway { near, far, steward }
    }

    pub fn is_up(&self) -> bool {
        self.steward.supervisor().peer().is_up()
    }
}

/// Both, a millisecond from each other; what is `cut` hears and says nothing.
struct Pair {
    gateways: [Gateway; 2],
    cut: bool,
    now: u64,
}

impl Pair {
    fn new(peer_down: PeerDown) -> Pair {
        let gateways = [Side::West, Side::East].map(|side| Gateway::new(side, EPOCH, peer_down));
        Pair { gateways, cut: false, now: 0 }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += MS;
            for Gateway { near, far, steward } in &mut self.gateways {
                if self.now.is_multiple_of(10 * MS) {
                    steward.step(self.now);
                    steward.direct();
                }
                // All that waits, and an empty turn.
                while near.room.poll(self.now) > 0 {}
                while far.room.poll(self.now) > 0 {}
            }
            let sent = [0, 1].map(|n| self.gateways[n].near.wan.take_sent());
            for (n, packets) in sent.into_iter().enumerate() {
                if !self.cut {
                    self.gateways[1 - n].far.wan.bring(packets);
                }
            }
        }
    }

    fn wish(&mut self, wishes: Wishes) {
        self.gateways[0].steward.wish(wishes);
        self.run(20);
    }

    /// West's LAN brings these; what comes out in the east.
    fn cross(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.gateways[0].near.lan.bring(frames.iter().cloned());
        self.run(60);
        self.gateways[1].far.lan.take_sent()
    }
}

#[test]
fn what_becomes_of_frames_follows_orders_and_loses_none() {
    let mut pair = Pair::new(PeerDown::Protect);
    pair.run(400);
    assert!(pair.gateways.iter().all(Gateway::is_up));
    let all = frames(1, 400);
    let west = |pair: &Pair, name: &str| pair.gateways[0].near.count(name);
    assert_eq!(pair.cross(&all[..100]), all[..100]);
    assert_eq!((west(&pair, "source_sent"), west(&pair, "bypassed")), (100, 0));

    pair.wish(Wishes { bypass: true, drain: false });
    assert!(pair.gateways[0].steward.is_bypassed());
    assert_eq!(pair.cross(&all[100..200]), all[100..200]);
    assert_eq!((west(&pair, "source_sent"), west(&pair, "bypassed")), (100, 100));
    assert_eq!(pair.gateways[1].far.count("bypassed"), 100);

    // It goes before bypass, and nothing is taken in.
    pair.wish(Wishes { bypass: true, drain: true });
    assert!(pair.gateways[0].steward.is_drained() && !pair.gateways[0].steward.is_bypassed());
    assert_eq!(pair.cross(&all[200..300]), [[0u8; 0]; 0]);
    assert!(!pair.gateways[0].near.lan.is_drained());
    assert!(pair.gateways.iter().all(Gateway::is_up));

    pair.wish(Wishes::default());
    pair.run(60);
    assert_eq!(pair.gateways[1].far.lan.take_sent(), all[200..300]);
    assert_eq!(pair.cross(&all[300..]), all[300..]);
    assert_eq!((west(&pair, "source_sent"), west(&pair, "bypassed")), (300, 100));
    assert_eq!(west(&pair, "lan_in"), 400);
    assert_eq!(pair.gateways[1].far.refusals(), []);
}

#[test]
fn a_drained_gateway_owes_no_repair() {
    let mut pair = Pair::new(PeerDown::Protect);
    pair.run(400);
    let all = frames(2, 3);
    // Too few to fill a group, and before any idle time is over.
    pair.gateways[0].near.lan.bring(all.iter().cloned());
    pair.gateways[0].near.room.poll(pair.now + 1);
    assert_eq!(pair.gateways[0].near.count("repair_sent"), 0);
    pair.gateways[0].steward.wish(Wishes { bypass: false, drain: true });
    pair.gateways[0].steward.direct();
    pair.gateways[0].near.room.poll(pair.now + 2);
    assert!(pair.gateways[0].steward.is_drained());
    assert!(pair.gateways[0].near.count("repair_sent") > 0);
    assert_eq!(pair.gateways[0].near.room.next_deadline(), None);
}

#[test]
fn a_peer_that_is_down_is_treated_as_configured() {
    let all = frames(3, 50);
    for (policy, mode, counter) in [
        (PeerDown::Protect, Mode::Protect, "source_sent"),
        (PeerDown::Bypass, Mode::Bypass, "bypassed"),
        (PeerDown::Drop, Mode::Drop, "peer_down"),
    ] {
        let mut pair = Pair::new(policy);
        pair.run(400);
        pair.cut = true;
        pair.run(400);
        assert!(!pair.gateways[0].is_up());
        assert_eq!(pair.gateways[0].steward.mode(), mode);
        pair.cross(&all);
        assert_eq!(pair.gateways[0].near.count(counter), 50, "{counter}");
        pair.cut = false;
        pair.run(400);
        assert!(pair.gateways[0].is_up());
        let sent = pair.gateways[0].near.count("source_sent");
        assert_eq!(pair.cross(&all), all);
        assert_eq!(pair.gateways[0].near.count("source_sent"), sent + 50);
    }
}

#[test]
fn a_new_epoch_that_a_hello_names_costs_no_packet() {
    let mut pair = Pair::new(PeerDown::Protect);
    pair.run(400);
    let all = frames(4, 20);
    pair.cross(&all);
    pair.gateways[0] = Gateway::new(Side::West, EPOCH + 9, PeerDown::Protect);
    pair.run(400);
    assert_eq!(pair.gateways[1].steward.supervisor().peer_epoch(), Some(EPOCH + 9));
    assert_eq!(pair.cross(&all), all);
    assert_eq!(pair.gateways[1].far.count("unconfirmed"), 0);
    assert_eq!(pair.gateways[1].far.refusals(), []);
}

#[test]
fn bad_control_packets_are_counted_and_change_nothing() {
    let mut pair = Pair::new(PeerDown::Protect);
    pair.run(400);
    let control = |channel, epoch, seq, body: &[u8]| {
        let packet = emit(Sender { channel, epoch }, seq, Type::Hello, body).unwrap();
        let mut bytes = [&[0xFF; 6][..], &[2; 6], &[0x88, 0xB5]].concat();
        bytes.extend(packet.bytes());
        bytes
    };
    let good = control(EAST, EPOCH, 50, &[0; 58]);
    let with = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    let before = pair.gateways[0].steward.supervisor().tally();
    let far = &mut pair.gateways[0].far;
    while far.room.poll(pair.now) > 0 {}
    let came = far.count("control_heard");
    let packets = [
        with(good.len() - 1, 9),
        with(SHIM + 3, 1),
        with(SHIM + 3, 200),
        with(SHIM, good[SHIM] & 0xFC),
        with(SHIM + 1, WEST),
        with(SHIM + 7, 1),
        good[..SHIM + 20].to_vec(),
    ];
    far.wan.bring(packets);
    far.room.poll(pair.now + 1);
    for (name, count) in [
        ("bad_check", 2),
        ("bad_length", 2),
        ("bad_integrity", 1),
        ("unknown_channel", 1),
        ("truncated", 1),
        ("control_heard", came),
    ] {
        assert_eq!(far.count(name), count, "{name}");
    }
    // Those of an ended epoch and those that come twice get no further than the supervisor.
    far.wan.bring([control(EAST, EPOCH - 1, 99, &[0; 58]), good.clone(), good.clone()]);
    far.room.poll(pair.now + 2);
    pair.gateways[0].steward.step(pair.now + 3);
    let tally = pair.gateways[0].steward.supervisor().tally();
    assert_eq!((tally.stale, tally.replayed), (before.stale + 1, before.replayed + 1));
    pair.run(100);
    assert!(pair.gateways[0].is_up());
    // More than control looks at are dropped, and counted.
    let Gateway { far, steward, .. } = &mut pair.gateways[0];
    while far.room.poll(pair.now + 4) > 0 {}
    steward.step(pair.now + 4);
    far.wan.bring((100..300).map(|seq| control(EAST, EPOCH, seq, &[0; 58])));
    while far.room.poll(pair.now + 5) > 0 {}
    assert_eq!(far.count("control_unheard"), 200 - 64);
    assert_eq!(far.lan.take_sent(), [[0u8; 0]; 0]);
}
