//! Ten million packets through the real encoder and decoder.

use arrayvec::ArrayVec;
use maelstrom::fec::decoder::{Admission, RepairFate, RepairIn};
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{
    CheckKey, Code, Codes, Decoder, DecoderConfig, Encoder, EncoderConfig, Rebuilt, SHORT, Timing,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::counting::{Counts, counted};

const MAX_FRAME: usize = 64;
const PACKETS: u64 = 10_000_000;
const WARM_UP: u64 = 500_000;
/// How many packets reordering holds back at most.
const LATE: usize = 16;

type Frame = ArrayVec<u8, MAX_FRAME>;

/// A source packet: number, check, frame.
type Source = (u64, u64, Frame);

struct Pair {
    encoder: Encoder,
    /// The code that is not in force, unless its last repairs are still to come.
    other: Option<Box<Codes>>,
    decoder: Decoder<Frame>,
    key: CheckKey,
    random: Xoshiro256PlusPlus,
    now: u64,
    /// Packets that the burst at hand still loses.
    burst: u64,
    late: ArrayVec<Source, LATE>,
    admitted: ArrayVec<Source, 64>,
    repairs: ArrayVec<RepairIn<Frame>, 256>,
    seen: Seen,
}

/// What must have happened, lest the test prove nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    delivered: u64,
    rebuilt: u64,
    waited: u64,
    lost: u64,
    flushed: u64,
    switches: u64,
    changes: u64,
    duplicates: u64,
    jumps: u64,
}

impl Pair {
    fn new() -> Pair {
        let code: Code = "8:21,23,25+g1".parse().expect("a code");
        let engine = Engine::detect();
        let key = CheckKey::new(0, 1, 2);
        let window = DecoderConfig::window_for(code.span());
        let check = Some(key);
        let config = EncoderConfig {
            sparse: Some(code.short()),
            timing: Timing { latency: 500_000, ..Timing::with_idle(&code, 100_000) },
            max_frame: MAX_FRAME,
            repair_room: MAX_FRAME,
            engine,
            code,
        };
        let code: Code = "12:13,17+g1".parse().expect("a code");
        let other = EncoderConfig { sparse: Some(code.short()), code, ..config.clone() };
        Pair {
            other: Some(Box::new(Codes::new(&other))),
            decoder: Decoder::new(&DecoderConfig { window, max_frame: MAX_FRAME, check, engine }),
            encoder: Encoder::new(&config),
            key,
            random: Xoshiro256PlusPlus::seed_from_u64(5),
            now: 0,
            burst: 0,
            late: ArrayVec::new(),
            admitted: ArrayVec::new(),
            repairs: ArrayVec::new(),
            seen: Seen::default(),
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.next_u64().is_multiple_of(one_in)
    }

    /// Single losses and bursts, more of them in some stretches.
    fn is_lost(&mut self) -> bool {
        let heavy = self.encoder.next_seq() >> 16 & 3 == 3;
        if self.burst == 0 && self.chance(if heavy { 40 } else { 500 }) {
            self.burst = 1 + self.random.next_u64() % 40;
        }
        let lost = self.burst > 0 || self.chance(if heavy { 10 } else { 100 });
        self.burst = self.burst.saturating_sub(1);
        self.seen.lost += u64::from(lost);
        lost
    }

    /// Sends a burst of up to 32 packets, 200 ns or 20 µs apart, perhaps behind a pause.
    fn send(&mut self) {
        let dense = self.encoder.next_seq() >> 17 & 1 == 0;
        let was_sparse = self.encoder.is_sparse();
        for _ in 0..1 + self.random.next_u64() % 32 {
            self.now += if dense { 200 } else { 20_000 };
            let mut frame = Frame::new();
            for _ in 0..1 + self.random.next_u64() % (MAX_FRAME as u64 / 8) {
                frame.extend(self.random.next_u64().to_le_bytes());
            }
            let seq = self.encoder.next_seq();
            let check = self.key.check(seq, &frame);
            assert_eq!(self.encoder.push(self.now, check, &frame), Some(seq));
            if self.is_lost() {
                continue;
            }
            // One in eight is overtaken by others; one in a hundred comes twice.
            if self.chance(8)
                && let Err(full) = self.late.try_push((seq, check, frame.clone()))
            {
                self.arrive(full.element());
                continue;
            }
            if self.chance(100) {
                self.arrive((seq, check, frame.clone()));
            }
            self.arrive((seq, check, frame));
        }
        if self.chance(4) {
            let mut late = std::mem::take(&mut self.late);
            late.drain(..).rev().for_each(|packet| self.arrive(packet));
        }
        if self.chance(200) {
            self.now += 1_000_000;
        }
        self.encoder.poll(self.now);
        if self.chance(1000) {
            self.encoder.flush();
        }
        if self.chance(100)
            && let Some(other) = self.other.take()
        {
            assert!(self.encoder.switch(other).is_ok());
            self.seen.changes += 1;
        }
        self.other = self.other.take().or_else(|| self.encoder.take_retired());
        self.seen.switches += u64::from(self.encoder.is_sparse() != was_sparse);
        self.take_repairs();
        self.settle();
    }

    fn take_repairs(&mut self) {
        while let Some(repair) = self.encoder.take_repair() {
            self.seen.flushed += u64::from(repair.flushed);
            let mut payload = Frame::new();
            payload.try_extend_from_slice(repair.bytes).expect("frames' XOR is no longer");
            let (lengths, checks) = (repair.lengths, repair.checks);
            let layer = repair.layer;
            let repair =
                RepairIn { members: repair.members.clone(), lengths, checks, payload, layer };
            if self.is_lost() {
                continue;
            }
            if self.repairs.is_full() {
                self.settle();
            }
            self.repairs.push(repair);
        }
    }

    fn arrive(&mut self, (seq, check, frame): Source) {
        match self.decoder.admit(seq) {
            Admission::New => {
                self.seen.delivered += 1;
                self.admitted.push((seq, check, frame));
                if self.admitted.is_full() {
                    self.settle();
                }
            }
            Admission::Duplicate => self.seen.duplicates += 1,
            Admission::TooOld => {}
            Admission::Jump => {
                self.settle();
                self.seen.jumps += 1;
                self.decoder.jump_to(seq);
            }
        }
    }

    fn settle(&mut self) {
        let Pair { decoder, admitted, repairs, seen, .. } = self;
        let mut rebuilt = 0;
        let mut hold = |frame: Rebuilt<'_>| {
            rebuilt += 1;
            Frame::try_from(frame.frame).ok()
        };
        for (seq, check, frame) in admitted.drain(..) {
            if seq % 2 == 0 && frame.len() <= SHORT {
                decoder.keep_copy(seq, check, &frame, &mut hold);
            } else {
                decoder.keep(seq, check, frame, &mut hold);
            }
        }
        for repair in repairs.drain(..) {
            seen.waited += u64::from(decoder.repair(repair, &mut hold) == RepairFate::Waiting);
        }
        seen.rebuilt += rebuilt;
    }

    fn until(&mut self, packets: u64) {
        while self.encoder.next_seq() < packets {
            self.send();
        }
    }
}

#[test]
fn ten_million_packets_allocate_nothing() {
    let mut pair = Pair::new();
    pair.until(WARM_UP);
    let before = pair.seen;
    let counts = counted(|| pair.until(WARM_UP + PACKETS));
    assert_eq!(counts, Counts::default());
    // Now and then a stream jumps, and a peer begins anew.
    let counts = counted(|| {
        pair.decoder.jump_to(WARM_UP + 2 * PACKETS);
        pair.decoder.restart(None);
    });
    assert_eq!(counts, Counts::default());
    let seen = pair.seen;
    assert_eq!(pair.encoder.shed(), 0);
    for (what, before, now) in [
        ("rebuilt", before.rebuilt, seen.rebuilt),
        ("waited", before.waited, seen.waited),
        ("lost", before.lost, seen.lost),
        ("flushed", before.flushed, seen.flushed),
        ("duplicates", before.duplicates, seen.duplicates),
    ] {
        assert!(now > before + 10_000, "{what}: {before}, then {now}");
    }
    assert!(seen.switches > 20 && seen.changes > 1000 && seen.delivered > PACKETS / 2, "{seen:?}");
}
