//! A random stream over a random channel, small enough to be shrunk.

use maelstrom::fec::Code;
use proptest::prelude::*;

use crate::channel::{Packet, Random, Sender, code};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub code: Code,
    pub packets: u64,
    /// Packets between two times that repairs are taken.
    pub take_every: u64,
    pub flush: f64,
    pub loss: f64,
    pub duplicate: f64,
    /// How many packets another one may overtake.
    pub displace: u64,
    /// The largest burst that the decoder gets.
    pub burst: u64,
    pub seed: u64,
}

/// A code of 1 to 4 layers of group size 1 to 20 and interleave 1 to 30, with any guard.
pub fn any_code() -> impl Strategy<Value = Code> {
    let layers = prop::collection::vec((1u16..=20, 1u16..=30), 1..=4);
    (layers, 0u32..=3000).prop_map(|(layers, guard)| {
        let layers: Vec<String> = layers.iter().map(|(r, i)| format!("{r}x{i}")).collect();
        code(&format!("{}+g{}", layers.join("/"), f64::from(guard) / 1000.0))
    })
}

pub fn any_scenario() -> impl Strategy<Value = Scenario> {
    let loss = prop_oneof![0.0..0.1, 0.0..0.4, 0.3..1.0];
    let sending = (any_code(), 1u64..1000, 1u64..=32, prop_oneof![Just(0.0), 0.0..0.05]);
    let duplicate = prop_oneof![Just(0.0), 0.0..0.3];
    let displace = prop_oneof![Just(0u64), 0u64..50];
    (sending, loss, duplicate, displace, 1u64..=64, any::<u64>()).prop_map(
        |((code, packets, take_every, flush), loss, duplicate, displace, burst, seed)| Scenario {
            code,
            packets,
            take_every,
            flush,
            loss,
            duplicate,
            displace,
            burst,
            seed,
        },
    )
}

impl Scenario {
    /// Everything that is sent, in order.
    pub fn sent(&self) -> Vec<Packet> {
        let mut random = Random::new(self.seed);
        let mut sender = Sender::new(&self.code);
        let mut wire = Vec::new();
        for n in 1..=self.packets {
            sender.push(0, &mut wire);
            if n % self.take_every == 0 {
                sender.take(&mut wire);
            }
            if random.hit(self.flush) {
                sender.flush(&mut wire);
            }
        }
        sender.flush(&mut wire);
        assert_eq!(sender.encoder.shed(), 0);
        wire
    }

    /// What comes of `sent`, in the order and the bursts of its coming.
    pub fn received(&self, sent: &[Packet]) -> Vec<Vec<Packet>> {
        let mut random = Random::new(!self.seed);
        let mut arriving: Vec<(u64, Packet)> = Vec::new();
        for (at, packet) in (0..).zip(sent) {
            if random.hit(self.loss) {
                continue;
            }
            arriving.push((at + random.below(self.displace + 1), packet.clone()));
            if random.hit(self.duplicate) {
                arriving.push((at + random.below(self.displace + 1), packet.clone()));
            }
        }
        arriving.sort_by_key(|&(at, _)| at);
        let mut arriving = arriving.into_iter().map(|(_, packet)| packet).peekable();
        let mut bursts = Vec::new();
        while arriving.peek().is_some() {
            let length = 1 + random.below(self.burst) as usize;
            bursts.push(arriving.by_ref().take(length).collect());
        }
        bursts
    }
}
