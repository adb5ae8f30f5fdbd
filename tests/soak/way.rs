//! One way of the WAN: what it does to packets, all of it known.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use maelstrom::lab::loss::{LossModel, LossProcess};

use crate::common::Random;
use crate::ports::{Packet, Tag};

/// What the WAN does, for a while. Chances are of 10,000.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    pub loss: LossModel,
    /// Of every so many packets, so many in a row are lost.
    pub bursts: Option<(u64, u64)>,
    /// Nothing arrives.
    pub cut: bool,
    /// How often a packet lets up to so many others go first.
    pub late: u64,
    pub distance: u64,
    pub twice: u64,
    pub damaged: u64,
    /// How often somebody adds a packet of their own.
    pub forged: u64,
}

/// The longest that a late packet lets others go first, in nanoseconds.
const PATIENCE: u64 = 10_000_000;
/// How many packets an eavesdropper remembers.
const HEARD: usize = 64;

/// For how long the present epoch may be silent while those that have ended are replayed.
const LULL: u64 = 800_000_000;

/// Arrives at a time, after those that were sent before.
struct Flight {
    at: u64,
    order: u64,
    packet: Packet,
}

impl PartialEq for Flight {
    fn eq(&self, other: &Flight) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Flight {}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Flight) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flight {
    fn cmp(&self, other: &Flight) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// See the module's head.
pub struct Way {
    weather: Weather,
    loss: LossProcess,
    delay: u64,
    /// How much packets have in front of their shim.
    outer: usize,
    /// Whether outer headers may be damaged too: only where nothing unprotected is delivered.
    headers_too: bool,
    random: Random,
    flying: BinaryHeap<Reverse<Flight>>,
    /// Packets that wait until so many have entered, or until a time.
    held: Vec<(u64, u64, Packet)>,
    entered: u64,
    order: u64,
    heard: Vec<Packet>,
    /// The sender's present life, and when something of it was last on its way to arrive.
    life: u16,
    spoken: u64,
    /// The sender's clock was set back between two of its lives.
    pub set_back: bool,
    /// Packets have keyed tags: whoever has not the key may replay and forge whatever they like.
    pub keyed: bool,
    pub counts: Counts,
}

/// What the WAN has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub entered: u64,
    pub lost: u64,
    pub late: u64,
    pub twice: u64,
    pub damaged: u64,
    pub forged: u64,
}

impl Way {
    pub fn new(seed: u64, delay: u64, outer: usize, headers_too: bool) -> Way {
        Way {
            weather: Weather::default(),
            loss: LossProcess::new(&LossModel::None, seed, 0),
            delay,
            outer,
            headers_too,
            random: Random(seed),
            flying: BinaryHeap::new(),
            held: Vec::new(),
            entered: 0,
            order: 0,
            heard: Vec::new(),
            life: 0,
            spoken: 0,
            set_back: false,
            keyed: false,
            counts: Counts::default(),
        }
    }

    pub fn change(&mut self, weather: &Weather) {
        self.weather = weather.clone();
        self.loss = LossProcess::new(&weather.loss, self.random.next(), 0);
        self.entered = 0;
        // Those that wait for others may wait no longer.
        self.held.iter_mut().for_each(|held| held.0 = 0);
    }

    /// A packet enters; buffers that are no longer needed go to `spare`. Returns whether it was lost.
    pub fn enter(&mut self, now: u64, packet: Packet, spare: &mut Vec<Vec<u8>>) -> bool {
        let Way { weather, random, .. } = self;
        let nth = self.entered;
        self.entered += 1;
        self.counts.entered += 1;
        let in_burst = |(every, length)| nth % every >= every - length;
        let lost = self.loss.lost() | weather.bursts.is_some_and(in_burst) | weather.cut;
        let plain = matches!(packet.tag, Tag::Bypass { .. });
        let mut dice = |chance: u64| chance > 0 && random.below(10_000) < chance;
        let [late, twice, damaged, forged] =
            [weather.late, weather.twice, weather.damaged, weather.forged].map(&mut dice);
        if weather.forged > 0 && !plain && nth.is_multiple_of(7) {
            self.listen(&packet);
        }
        if forged {
            self.forge(now);
        }
        if let Some(life) = packet.tag.life() {
            self.life = life;
            self.spoken = if lost { self.spoken } else { now };
        }
        if lost {
            self.counts.lost += 1;
            spare.push(packet.bytes);
        } else if plain {
            self.fly(now + self.delay, packet);
        } else {
            if twice {
                self.counts.twice += 1;
                let later = self.random.below(3_000_000);
                self.fly(now + self.delay + later, packet.clone());
            }
            let packet = if damaged { self.damage(packet) } else { packet };
            if late {
                self.counts.late += 1;
                let until = self.entered + 1 + self.random.below(self.weather.distance.max(1));
                self.held.push((until, now + PATIENCE, packet));
            } else {
                self.fly(now + self.delay, packet);
            }
        }
        self.let_go(now);
        lost
    }

    fn fly(&mut self, at: u64, packet: Packet) {
        self.order += 1;
        self.flying.push(Reverse(Flight { at, order: self.order, packet }));
    }

    /// What has waited for long enough goes.
    fn let_go(&mut self, now: u64) {
        let mut n = 0;
        while n < self.held.len() {
            let (until, limit, _) = self.held[n];
            if until <= self.entered || limit <= now {
                let (_, _, packet) = self.held.swap_remove(n);
                self.fly(now + self.delay, packet);
            } else {
                n += 1;
            }
        }
    }

    /// The next packet that has arrived.
    pub fn leave(&mut self, now: u64) -> Option<Packet> {
        if !self.held.is_empty() {
            self.let_go(now);
        }
        let due = self.flying.peek().is_some_and(|Reverse(flight)| flight.at <= now);
        due.then(|| self.flying.pop().map(|Reverse(flight)| flight.packet)).flatten()
    }

    /// When something arrives next, if no more is sent.
    pub fn next(&self) -> Option<u64> {
        let held = self.held.iter().map(|held| held.1);
        let flying = self.flying.peek().map(|Reverse(flight)| flight.at);
        held.chain(flying).min()
    }

    /// Bits change, the end is missing, or there is something behind it, which does no harm.
    fn damage(&mut self, mut packet: Packet) -> Packet {
        self.counts.damaged += 1;
        packet.intact &= self.mutate(&mut packet.bytes);
        packet
    }

    /// The eavesdropper remembers some.
    fn listen(&mut self, packet: &Packet) {
        if self.heard.len() < HEARD {
            self.heard.push(packet.clone());
        } else if self.random.below(8) == 0 {
            let at = self.random.below(HEARD as u64) as usize;
            self.heard[at] = packet.clone();
        }
    }

    /// Somebody who knows neither keys nor checks adds a packet: noise, something like one that was
    /// heard, or just that.
    fn forge(&mut self, now: u64) {
        self.counts.forged += 1;
        let forged = |bytes| Packet { bytes, tag: Tag::Forged, intact: false };
        let count = self.heard.len() as u64;
        let at = now + self.delay + self.random.below(1_000_000);
        let heard = (count > 0).then(|| self.heard[self.random.below(count) as usize].clone());
        let packet = match (self.random.below(4), heard) {
            (1, Some(mut heard)) => {
                let same = self.mutate(&mut heard.bytes);
                Packet { intact: heard.intact && same, ..heard }
            }
            (2, Some(mut heard)) => {
                // Another channel, epoch or number.
                let field = [1, 4, 8][self.random.below(3) as usize];
                let by = 1 + self.random.below(255) as u8;
                let nth = self.random.below(if field == 1 { 1 } else { 4 }) as usize;
                heard.bytes[self.outer + field + nth] ^= by;
                forged(heard.bytes)
            }
            (3, Some(heard)) => heard,
            _ => {
                let mut bytes = vec![0; 14 + self.random.below(200) as usize];
                self.random.fill(&mut bytes);
                bytes[12..14].copy_from_slice(&[0x88, 0xB5]);
                if bytes.len() > 14 && self.random.below(2) == 0 {
                    bytes[14] = 0x11 | (self.random.below(3) as u8) << 2;
                }
                forged(bytes)
            }
        };
        // An epoch that has ended is believed again after a second without the present one. Without keys
        // nobody can tell a replay from a gateway whose clock was set back.
        // The same is true of a later epoch than the present one.
        let ended = packet.tag.life().is_some_and(|life| life != self.life);
        if !ended || self.keyed || (!self.set_back && now < self.spoken + LULL) {
            self.fly(at, packet);
        }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) -> bool {
        mutate(&mut self.random, bytes, self.outer, self.headers_too)
    }

    /// Nothing that was heard is known any more, and nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.flying.is_empty() && self.held.is_empty()
    }
}

/// Damages a packet that has so much in front of its shim; says whether that does no harm.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, outer: usize, headers_too: bool) -> bool {
    match random.below(8) {
        0 => {
            let keep = if headers_too { 0 } else { outer };
            bytes.truncate(keep + random.below((bytes.len() - keep) as u64) as usize);
            false
        }
        1 => {
            let more = 1 + random.below(32) as usize;
            bytes.extend((0..more).map(|n| n as u8 ^ 0xA5));
            true
        }
        2 if headers_too => {
            let bit = random.below(8 * 14) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            // Addresses say nothing to the far gateway.
            bit / 8 < 12
        }
        _ => {
            let bits = 8 * (bytes.len() - outer);
            let first = random.below(bits as u64) as usize;
            // Never one bit twice, which would be none.
            let step = 1 + random.below(bits as u64 / 8) as usize;
            for n in 0..1 + random.below(4) as usize {
                let bit = (first + n * step) % bits;
                bytes[outer + bit / 8] ^= 1 << (bit % 8);
            }
            false
        }
    }
}
