//! Repairs that are summed up when they are due, from packets that are kept until then.

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use maelstrom::dpdk::{BURST, Kept, Mbuf, kept};
use maelstrom::fec::xor::{Engine, fetch};
use maelstrom::fec::{Code, SHORT};

use super::Emit;

const LINE: usize = 64;

/// Members that are summed in one pass, while the next ones are fetched. Half or twice as many make
/// little difference; to fetch none costs twice as much at 1500 bytes and r = 8. The copies of short
/// frames are near enough.
const PASS: usize = 8;

/// The bins of one layer, as the encoder's: see `fec::layer`.
struct Layer {
    stride: u64,
    group: u16,
    guard: u64,
    cursor: usize,
    /// Packets of each bin up to and including the one that closes its group.
    left: Box<[u16]>,
    /// First members of the open groups.
    base: Box<[u64]>,
    /// Filled groups: when they are due, their first and last member.
    held: VecDeque<(u64, u64, u64)>,
}

impl Layer {
    /// Enters packet `seq` into its bin.
    fn enter(&mut self, seq: u64) {
        let bin = self.cursor;
        self.cursor = if bin + 1 == self.left.len() { 0 } else { bin + 1 };
        self.left[bin] -= 1;
        if self.left[bin] == 0 {
            self.held.push_back((seq + self.guard, self.base[bin], seq));
            self.left[bin] = self.group;
            self.base[bin] = seq + self.stride;
        }
    }
}

/// Packets of one channel, and what becomes due of them.
pub(super) struct AtClose {
    layers: Vec<Layer>,
    /// The first of this burst.
    first: u64,
    next: u64,
    checks: Box<[u64]>,
    /// The packets, by their numbers; each stays until another takes its place.
    kept: Box<[Option<Kept>]>,
    /// Short ones are copied, to whole lines each from `aligned` on: they lie closer together.
    copies: Box<[u8]>,
    aligned: usize,
    step: usize,
    /// What lost its place in this burst.
    departed: ArrayVec<Kept, BURST>,
    mask: u64,
    size: usize,
    engine: Engine,
}

impl AtClose {
    pub(super) fn new(code: &Code, size: usize) -> AtClose {
        let layer = |layer: &maelstrom::fec::Layer| {
            let (r, i) = (u64::from(layer.group), u64::from(layer.interleave));
            Layer {
                stride: i,
                group: layer.group,
                guard: code.guard(*layer),
                cursor: 0,
                left: (0..i).map(|bin| (r - (bin * r / i) % r) as u16).collect(),
                base: (0..i).collect(),
                held: VecDeque::with_capacity(1024),
            }
        };
        let window = (code.span() as usize + BURST + 1).next_power_of_two();
        let (kept, copied) = if size > SHORT { (window, 0) } else { (0, window) };
        let step = size.next_multiple_of(LINE);
        let copies: Box<[u8]> = vec![0; copied * step + LINE].into();
        AtClose {
            layers: code.layers().iter().map(layer).collect(),
            first: 0,
            next: 0,
            checks: vec![0; window].into(),
            kept: (0..kept).map(|_| None).collect(),
            aligned: copies.as_ptr().align_offset(LINE),
            copies,
            step,
            departed: ArrayVec::new(),
            mask: window as u64 - 1,
            size,
            engine: Engine::detect(),
        }
    }

    /// How many mbufs it holds on to.
    pub(super) fn keeps(&self) -> usize {
        self.kept.len()
    }

    /// Keeps a packet of a burst.
    #[inline]
    pub(super) fn remember(&mut self, check: u64, mbuf: &Mbuf) {
        let at = (self.next & self.mask) as usize;
        self.next += 1;
        self.checks[at] = check;
        match self.kept.get_mut(at) {
            Some(place) => self.departed.extend(place.replace(mbuf.keep())),
            None => {
                let at = self.aligned + at * self.step;
                self.copies[at..at + self.size].copy_from_slice(mbuf.data());
            }
        }
    }

    /// Emits the repairs that a burst makes due, after it was sent.
    pub(super) fn encode(&mut self, emit: &mut Emit<'_>) {
        kept::release(self.departed.drain(..));
        let first = std::mem::replace(&mut self.first, self.next);
        for seq in first..self.next {
            for n in 0..self.layers.len() {
                self.layers[n].enter(seq);
            }
            for n in 0..self.layers.len() {
                while let Some(&(due, base, last)) = self.layers[n].held.front()
                    && due <= seq
                {
                    self.layers[n].held.pop_front();
                    let stride = self.layers[n].stride;
                    emit(base, &mut |into| self.sum(base, last, stride, into));
                }
            }
        }
    }

    fn frame(&self, seq: u64) -> &[u8] {
        let at = (seq & self.mask) as usize;
        match self.kept.get(at) {
            Some(kept) => kept.as_ref().map_or(&[], |kept| kept.data()),
            None => &self.copies[self.aligned + at * self.step..][..self.size],
        }
    }

    /// Sums the members up into `into`.
    fn sum(&self, base: u64, last: u64, stride: u64, into: &mut [u8]) {
        let mut members = (base..=last).step_by(stride as usize);
        let mut pass = || -> ArrayVec<&[u8], PASS> {
            let pass: ArrayVec<_, PASS> =
                members.by_ref().take(PASS).map(|seq| self.frame(seq)).collect();
            if !self.kept.is_empty() {
                pass.iter().for_each(|frame| fetch(frame));
            }
            pass
        };
        let mut from = pass();
        let mut next = pass();
        self.engine.gather(into, &mut from);
        while !next.is_empty() {
            from = std::mem::replace(&mut next, pass());
            self.engine.gather_onto(into, &mut from);
        }
        let mut check = 0;
        for seq in (base..=last).step_by(stride as usize) {
            check ^= self.checks[(seq & self.mask) as usize];
        }
        std::hint::black_box(check);
    }
}
