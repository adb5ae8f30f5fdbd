//! Packets are sent again where the peer asks for them, and asked for where a room that recovers wants
//! them.

use super::exit::Exit;
use super::stamping::Stamping;
use crate::dpdk::mbuf::BURST;
use crate::gateway::io::Transmit;
use crate::gateway::nack::Letter;
use crate::gateway::post;
use crate::gateway::steward::CONTROL_DSCP;
use crate::wire::control::{self, Sender, Type};
use crate::wire::nack::{NUMBERS, Nack};

impl Stamping {
    #[inline]
    pub(super) fn take_letters<W: Transmit>(&mut self, now: u64, exit: &mut Exit<W>) {
        for _ in 0..post::ORDERS {
            let letter = self.resender.as_ref().and_then(|resender| resender.letters.receive());
            match letter {
                None => return,
                Some(Letter::Ask(nack)) => self.send_nack(now, exit, &nack),
                Some(Letter::Asked(nack)) => {
                    if let Some(resender) = &mut self.resender {
                        resender.take(now, &nack, self.config.epoch, &exit.counters);
                    }
                }
            }
        }
    }

    #[inline(never)]
    fn send_nack<W: Transmit>(&mut self, now: u64, exit: &mut Exit<W>, nack: &Nack) {
        let Some(resender) = &mut self.resender else { return };
        let sender = Sender { channel: self.config.channel, epoch: self.config.epoch };
        // No number comes twice, sent or not.
        let seq = NUMBERS + resender.number;
        resender.number += 1;
        let fields = nack.emit();
        let packet = match (&self.config.keys, &self.sealing) {
            (None, _) => control::emit(sender, seq, Type::Nack, &fields),
            (Some(_), None) => None,
            (Some(_), Some(sealing)) => {
                control::emit_sealed(sender, seq, Type::Nack, &fields, &sealing.control)
            }
        };
        let packet = packet.filter(|_| self.config.has_hop);
        let outer = &self.config.outer;
        let mbuf = packet.and_then(|packet| {
            let mut mbuf = self.pool.alloc()?;
            let bytes = mbuf.append(outer.len() + packet.len())?;
            outer.write(bytes, packet.len(), CONTROL_DSCP);
            packet.write(&mut bytes[outer.len()..]);
            outer.seal(Some(bytes));
            Some(mbuf)
        });
        let sent = mbuf.is_some_and(|mbuf| {
            if let Some(shaper) = &mut exit.shaper {
                shaper.advance(now);
                shaper.spend(mbuf.len());
            }
            exit.wan.push(now, mbuf)
        });
        exit.counters.nack_sent.add(u64::from(sent));
        exit.counters.nack_unsent.add(u64::from(!sent));
    }

    #[inline(never)]
    pub(super) fn answer_peer<W: Transmit>(&mut self, now: u64, exit: &mut Exit<W>) {
        let Stamping { resender, pool, config, .. } = self;
        let Exit { wan, shaper, counters, .. } = exit;
        let Some(resender) = resender else { return };
        if let Some(shaper) = shaper {
            shaper.advance(now);
        }
        for _ in 0..BURST {
            let open = shaper.as_ref().is_none_or(|shaper| shaper.is_open());
            if !open || !wan.has_room(now) {
                return;
            }
            let Some(packet) = resender.next(now, counters) else { return };
            let Some(mut mbuf) = pool.copy_of(packet) else {
                counters.repair_no_mbuf.add(1);
                return;
            };
            // The next hop may have changed since.
            if let Some(ether) = mbuf.data_mut() {
                config.outer.redirect(ether);
            }
            if let Some(shaper) = shaper {
                shaper.spend(mbuf.len());
            }
            counters.retransmitted.add(1);
            counters.retransmitted_bytes.add(mbuf.len() as u64);
            // There is room.
            wan.push(now, mbuf);
        }
    }
}
