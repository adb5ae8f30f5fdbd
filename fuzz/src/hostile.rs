//! The decoder against packets that nobody sent in this order, or at all: any numbers, jumps,
//! new epochs, repairs that lie under a right check of their own.

use std::collections::BTreeSet;
use std::rc::Rc;

use maelstrom::fec::decoder::{Admission, RepairFate, RepairIn};
use maelstrom::fec::group::MAX_RUNS;
use maelstrom::fec::xor::Engine;
use maelstrom::fec::{CheckKey, Decoder, DecoderConfig, Members, Run, seq};

use crate::channel::{Frame, MAX_FRAME, frame_of};
use crate::input::Input;

/// A packet's bytes, and a token by which those that are held are counted.
struct Held(Frame, #[allow(dead_code, reason = "it is counted")] Rc<()>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

struct Far {
    decoder: Decoder<Held>,
    most_held: usize,
    token: Rc<()>,
    epoch: u32,
    /// In this epoch.
    delivered: BTreeSet<u64>,
    admitted: Vec<(u64, u64, Held)>,
    repairs: Vec<RepairIn<Held>>,
    /// Every repair is what it says it is: none may be refused.
    honest: bool,
    /// Near where the numbers are at the moment.
    here: u64,
    window: u64,
}

/// The input is a list of events.
pub fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let window = input.pick(&[64, 64, 128, 1024]);
    let mut far = Far::new(window, input.hit(96));
    for _ in 0..2000 {
        if input.is_empty() {
            break;
        }
        far.event(&mut input);
    }
    far.settle(&mut input);
    far.works();
}

fn key(epoch: u32) -> CheckKey {
    CheckKey::new(0, 3, epoch)
}

impl Far {
    fn new(window: usize, honest: bool) -> Far {
        let check = Some(key(0));
        let config =
            DecoderConfig { window, max_frame: MAX_FRAME, check, engine: Engine::detect() };
        Far {
            decoder: Decoder::new(&config),
            most_held: config.packets_held(),
            token: Rc::new(()),
            epoch: 0,
            delivered: BTreeSet::new(),
            admitted: Vec::new(),
            repairs: Vec::new(),
            honest,
            here: 0,
            window: window as u64,
        }
    }

    fn held(&self, frame: Frame) -> Held {
        Held(frame, Rc::clone(&self.token))
    }

    fn event(&mut self, input: &mut Input<'_>) {
        match input.below(18) {
            0..=4 => {
                let seq = self.number(input);
                self.source(seq);
            }
            5 => {
                for _ in 0..input.u8() {
                    self.source(self.here);
                    self.here = (self.here + 1).min(seq::LIMIT - 1);
                }
            }
            6..=11 => self.repair(input),
            12 => self.settle(input),
            13 => self.here = self.anywhere(input),
            14 => {
                let to = self.anywhere(input);
                self.jump(input, to);
            }
            15 => self.restart(input),
            _ => self.flood(input),
        }
        if self.admitted.len() + self.repairs.len() >= 32 {
            self.settle(input);
        }
    }

    /// Where bounds are: 0, the window's edges, the end of the numbers; or anywhere.
    fn anywhere(&self, input: &mut Input<'_>) -> u64 {
        let head = self.decoder.head();
        let near = match input.below(8) {
            0 => 0,
            1 => 1024,
            2 => head.saturating_sub(self.window),
            3 => head,
            4 => head + self.window / 2,
            5 => head + self.window,
            6 => seq::LIMIT - 1,
            _ => input.u64(),
        };
        near.saturating_add(u64::from(input.below(4))).saturating_sub(2).min(seq::LIMIT - 1)
    }

    fn number(&self, input: &mut Input<'_>) -> u64 {
        let spread = input.pick(&[4, 16, 32, 128]);
        let near = (self.here + u64::from(input.u8()) % (2 * spread)).saturating_sub(spread);
        near.min(seq::LIMIT - 1)
    }

    fn source(&mut self, seq: u64) {
        let head = self.decoder.head();
        let admission = self.decoder.admit(seq);
        match admission {
            Admission::New => {
                assert!(self.delivered.insert(seq), "{seq} was delivered before");
                let frame = frame_of(seq);
                let check = key(self.epoch).check(seq, &frame);
                let held = self.held(frame);
                self.admitted.push((seq, check, held));
            }
            Admission::Duplicate => assert!(self.delivered.contains(&seq), "{seq} never came"),
            Admission::TooOld => assert!(seq < head),
            Admission::Jump => assert!(seq >= head + self.window / 2),
        }
    }

    /// A repair whose content is that of some frames, named rightly or not, whole or not.
    fn repair(&mut self, input: &mut Input<'_>) {
        let base = if input.hit(32) { self.anywhere(input) } else { self.number(input) };
        let count = match input.hit(16) {
            true => input.u16(),
            false => 1 + u16::from(input.below(10)) / 2,
        };
        let Some(members) = self.members(input, base, count) else { return };
        let lie = if !self.honest && input.hit(128) { 1 + input.below(7) } else { 0 };
        let content = match lie {
            1 => self.members(input, base, count.max(2) - 1),
            2 => self.members(input, base + 1, count),
            _ => None,
        };
        let epoch = if lie == 3 { self.epoch ^ 1 } else { self.epoch };
        let (mut lengths, mut checks, mut payload) =
            self.sum(content.as_ref().unwrap_or(&members), epoch);
        match lie {
            4 => lengths = input.u16(),
            5 => checks ^= 1 << input.below(64),
            6 => payload.truncate(usize::from(input.below(16))),
            7 => payload.iter_mut().for_each(|byte| *byte ^= input.u8()),
            _ => {}
        }
        let payload = self.held(payload);
        self.repairs.push(RepairIn { members, lengths, checks, payload, layer: 0 });
    }

    /// More repairs than can wait, of the packets before the head.
    fn flood(&mut self, input: &mut Input<'_>) {
        let base = self.decoder.head().saturating_sub(u64::from(input.below(64)));
        let (count, stride) = (2 + u16::from(input.below(8)), 1 + u16::from(input.below(8)));
        for n in 0..u64::from(input.below(80)) {
            let Ok(members) = Members::single(base + n % 8, stride, count) else { return };
            let (lengths, checks, payload) = self.sum(&members, self.epoch);
            let payload = self.held(payload);
            self.repairs.push(RepairIn { members, lengths, checks, payload, layer: 0 });
        }
    }

    /// What a repair of these has in it.
    fn sum(&self, members: &Members, epoch: u32) -> (u16, u64, Frame) {
        let (mut lengths, mut checks, mut payload) = (0, 0, Frame::new());
        for seq in members.iter() {
            let frame = frame_of(seq);
            lengths ^= frame.len() as u16;
            checks ^= key(epoch).check(seq, &frame);
            while payload.len() < frame.len() {
                payload.push(0);
            }
            payload.iter_mut().zip(&frame).for_each(|(sum, byte)| *sum ^= byte);
        }
        (lengths, checks, payload)
    }

    fn members(&self, input: &mut Input<'_>, base: u64, count: u16) -> Option<Members> {
        let stride = input.pick(&[1, 2, 3, 5, 7, 16, 31, 63, 64, 65, 500, u16::MAX]);
        let more = if input.hit(64) { input.below(MAX_RUNS as u8 + 1) } else { 0 };
        let mut runs =
            [Run { base, count }].into_iter().collect::<arrayvec::ArrayVec<_, MAX_RUNS>>();
        for _ in 0..more {
            let base = runs[runs.len() - 1].base + u64::from(input.u8());
            // One too many has no room; the parser refuses such a packet.
            runs.try_push(Run { base, count: 1 + u16::from(input.below(10)) }).ok()?;
        }
        Members::from_runs(stride, runs).ok()
    }

    /// Lets the decoder have the burst, as `gateway::recover` does.
    fn settle(&mut self, input: &mut Input<'_>) {
        let Far { decoder, token, delivered, admitted, repairs, .. } = self;
        let mut hold = |rebuilt: maelstrom::fec::Rebuilt<'_>| {
            assert_eq!(rebuilt.frame, &*frame_of(rebuilt.seq), "{} is wrong", rebuilt.seq);
            if input.hit(16) {
                return None;
            }
            assert!(delivered.insert(rebuilt.seq), "{} was delivered before", rebuilt.seq);
            Some(Held(rebuilt.frame.iter().copied().collect(), Rc::clone(token)))
        };
        for (seq, check, frame) in admitted.drain(..) {
            decoder.keep(seq, check, frame, &mut hold);
        }
        for repair in repairs.drain(..) {
            let (head, last) = (decoder.head(), repair.members.last());
            if decoder.repair(repair, &mut hold) == RepairFate::Jump {
                assert!(last >= head + self.window / 2);
            }
        }
        assert!(!self.honest || decoder.refused() == 0, "an honest repair was refused");
        assert!(Rc::strong_count(token) - 1 <= self.most_held, "more is held than was said");
    }

    fn jump(&mut self, input: &mut Input<'_>, to: u64) {
        self.settle(input);
        let head = self.decoder.head();
        self.decoder.jump_to(to);
        assert_eq!(self.decoder.head(), to.max(head), "the window went back");
    }

    fn restart(&mut self, input: &mut Input<'_>) {
        self.settle(input);
        self.epoch += 1;
        self.decoder.restart(Some(key(self.epoch)));
        self.delivered.clear();
    }

    /// Whatever came before, good traffic is taken and repaired, in a new epoch and behind a jump.
    fn works(&mut self) {
        self.restart(&mut Input(&[]));
        for start in [5, 5000, seq::LIMIT - 8] {
            if start > 5 {
                self.jump(&mut Input(&[]), start);
            }
            (start..start + 4).filter(|seq| seq % 4 != 2).for_each(|seq| self.source(seq));
            let members = Members::single(start, 1, 4).expect("a group");
            let (lengths, checks, payload) = self.sum(&members, self.epoch);
            let payload = self.held(payload);
            self.repairs.push(RepairIn { members, lengths, checks, payload, layer: 0 });
            self.settle(&mut Input(&[]));
            assert!((start..start + 4).all(|seq| self.delivered.contains(&seq)));
        }
    }
}
