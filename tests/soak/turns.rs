//! What the rooms do in an event, and what is seen of it from outside.

use maelstrom::gateway::{Oversize, Room};
use maelstrom::wire::parcel::Parcel;

use crate::end::Rooms;
use crate::frames::Class;
use crate::ledger::Fate;
use crate::ports::{Packet, Tag};
use crate::run::Run;
use crate::scenario::Odd;

/// Packets that a port holds; what comes beyond is lost there.
const PORT: usize = 4096;
/// Turns at one time: more are not needed to empty full ports.
const TURNS: usize = 2 * PORT;

impl Run {
    /// What the LANs bring.
    pub fn arrive(&mut self) {
        for d in 0..2 {
            while self.traffic[d].next <= self.now {
                let traffic = &mut self.traffic[d];
                let at = traffic.next;
                let (odd, len) = self.scenario.sizes.draw(&mut traffic.random);
                traffic.advance();
                let blueprint = &self.ends[d].blueprint;
                let routed = blueprint.encapsulation.tunnel().is_some();
                let fits = len <= u64::from(blueprint.wan_mtu) + 14 && !routed;
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
    pub fn protect(&mut self, e: usize, poked: bool) {
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
    pub fn collect(&mut self, e: usize) {
        let Run { ends, ways, ledgers, scenario, now, trace, routers, .. } = self;
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
            if tag == Tag::Router {
                let answer = |frame: Parcel| {
                    let mut bytes = vec![0; frame.len()];
                    frame.write(&mut bytes);
                    ports.wan_in.push_back(Packet { bytes, tag, intact: true });
                };
                if let Some(router) = &mut routers[e] {
                    router.handle(*now, &bytes, &mut { answer });
                }
                continue;
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
    pub fn recover(&mut self, e: usize, poked: bool) {
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
        for _ in 0..TURNS {
            let Some(Rooms { recover, receiver, .. }) = &mut self.ends[e].rooms else { return };
            let nothing = self.ends[e].ports.lock().wan_in.is_empty() && receiver.owed.is_empty();
            let idle = nothing && !receiver.hampered && !poked;
            if idle || self.ends[e].ending.is_some() {
                return;
            }
            let count = recover.poll(self.now);
            self.gather(e);
            if count == 0 {
                return;
            }
        }
        panic!("a room finds something to do for ever");
    }

    /// Looks at what has left a gateway towards its LAN.
    pub fn gather(&mut self, e: usize) {
        let from = 1 - e;
        let present = self.ends[from].rooms.as_ref().map_or(0, |rooms| rooms.sender.life);
        let set_back = self.ways[from].set_back;
        let Run { ends, ledgers, scenario, now, trace, storage, .. } = self;
        let Some(Rooms { receiver, watch, .. }) = &mut ends[e].rooms else { return };
        let ports = &mut *ends[e].ports.lock();
        if *trace {
            for (tag, intact) in &ports.wan_handed {
                eprintln!("{now}: {e} gets {tag:?}{}", if *intact { "" } else { ", damaged" });
            }
            for (seq, rebuilt) in &ports.observed {
                eprintln!("{now}: {e} delivers {seq}{}", if *rebuilt { ", rebuilt" } else { "" });
            }
        }
        let ledger = &mut ledgers[from];
        receiver.turn(ledger, &ports.wan_handed, &ports.observed, present, set_back);
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
    }
}
