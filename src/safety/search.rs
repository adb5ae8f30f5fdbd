//! The worst phase: where a packet meets its code.
//!
//! A phase says, for each layer, in which bin the packet falls and which of its group it is, and
//! how it lies in a burst of its gateway. A code has r·lcm(i) of them, too many to try: 10^10 for
//! four layers. What matters of a phase is which members of different groups, and which repairs,
//! are close to each other on the wire, and that changes smoothly with the packet's place in its
//! groups, but for repairs that leave together. So phases are tried at random: a third any, a third
//! with places in the same proportion in all layers, a third with repairs that leave together; then,
//! level by level, those near the worst so far. Clocks are turned one by one, as if each layer's were
//! free: a superset of the phases that coprime layers meet.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::chain::{Joint, Spot, TARGET};
use super::link::Loss;
use super::model::by_level;
use super::schedule::{Phase, Schedule};
use crate::fec::Code;
use crate::fec::code::MAX_LAYERS;
use crate::fec::encoder::BATCH;

/// Steps of a walk over spots and sets that a search may take, some 5 ns each.
const STEPS: usize = 6_000_000;
/// Layouts that it tries, whatever they take, and at most.
const LAYOUTS: (usize, usize) = (400, 8000);

/// A packet and its groups.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    phase: Phase,
    /// Behind which packet everything is closed that is open or held back, if any.
    cut: Option<i64>,
}

pub(super) struct Search {
    schedule: Schedule,
    joint: Joint,
    random: Xoshiro256PlusPlus,
    spots: Vec<Spot>,
    /// The largest probability for each level, and the shape that has it.
    worst: [f64; MAX_LAYERS],
    shapes: [Option<Shape>; MAX_LAYERS],
    budget: usize,
}

impl Search {
    pub(super) fn new(code: &Code, loss: &Loss) -> Search {
        let schedule = Schedule::new(code);
        let spots = code.layers().iter().map(|layer| usize::from(layer.group)).sum::<usize>();
        let budget = STEPS / (spots << schedule.clocks.len());
        Search {
            schedule,
            joint: Joint::new(loss),
            random: Xoshiro256PlusPlus::seed_from_u64(1),
            spots: Vec::new(),
            worst: [0.0; MAX_LAYERS],
            shapes: [const { None }; MAX_LAYERS],
            budget: budget.clamp(LAYOUTS.0, LAYOUTS.1),
        }
    }

    /// The largest probability that was met, for each level that the code has.
    pub(super) fn worst(&self) -> [f64; MAX_LAYERS] {
        self.worst
    }

    /// Tries so many times as many layouts.
    #[cfg(test)]
    pub(super) fn effort(&mut self, times: usize) {
        self.budget *= times;
    }

    /// Tries layouts in which every repair leaves at its time.
    pub(super) fn dense(&mut self) {
        self.search(self.budget, |_| None);
    }

    /// Tries layouts whose groups are cut short together, soon behind the packet or late.
    pub(super) fn cut_short(&mut self) {
        let longest = self.schedule.clocks.iter().map(|c| c.period() + c.guard).max().unwrap_or(1);
        let powers = 64 - longest.leading_zeros();
        self.search(self.budget / 2, |search| {
            let power = search.below(i64::from(powers) + 1);
            Some(search.below(1 << power))
        });
    }

    fn search(&mut self, tries: usize, mut cut: impl FnMut(&mut Search) -> Option<i64>) {
        for n in 0..tries / 4 {
            let phase = match n % 3 {
                0 => self.any_phase(),
                1 => self.proportional_phase(),
                _ => self.aligned_phase(),
            };
            let cut = cut(self);
            self.try_shape(Shape { phase, cut });
        }
        for n in 0..tries - tries / 4 {
            let Some(shape) = self.shapes[n % self.layers()].clone() else { continue };
            let near = self.near(shape);
            self.try_shape(near);
        }
    }

    /// Any phase.
    fn any_phase(&mut self) -> Phase {
        let burst = [1, BATCH as i64][self.below(2) as usize];
        let mut phase = Phase { times: [0; MAX_LAYERS], burst, in_burst: self.below(burst) };
        for layer in 0..self.layers() {
            let period = self.schedule.clocks[layer].period();
            phase.times[layer] = self.below(period);
        }
        phase
    }

    /// One that gives the packet the same place in all of its groups, in proportion.
    fn proportional_phase(&mut self) -> Phase {
        let mut phase = self.any_phase();
        let place = self.below(1 << 20);
        for layer in 0..self.layers() {
            let i = self.schedule.clocks[layer].i;
            let bin = self.below(i);
            let clock = &self.schedule.clocks[layer];
            phase.times[layer] = clock.time_of(bin, (place * clock.r) >> 20);
        }
        phase
    }

    /// One whose repairs leave together, as nearly as they can: those of one burst.
    fn aligned_phase(&mut self) -> Phase {
        let mut phase = self.any_phase();
        let clocks = self.schedule.clocks.clone();
        let longest = clocks.iter().map(|clock| clock.period() + clock.guard).max().unwrap_or(1);
        let power = self.below(i64::from(64 - longest.leading_zeros()));
        let about = (1 << power) + self.below(1 << power);
        let mut latest = 0;
        for (time, clock) in phase.times.iter_mut().zip(&clocks) {
            let more = ((about - clock.guard + clock.i / 2) / clock.i).clamp(0, clock.r - 1);
            // The last of the neighbours that close in one round: none of theirs come between.
            let bin = (clock.bin_of(self.below(clock.r) + 1) - 1).max(0);
            *time = clock.time_of(bin, clock.r - 1 - more);
            latest = latest.max(more * clock.i + clock.guard);
        }
        phase.in_burst = (phase.burst - 1 - latest).rem_euclid(phase.burst);
        phase
    }

    /// A little away: in one layer's clock or all, in the place in the burst, or in the cut.
    fn near(&mut self, mut shape: Shape) -> Shape {
        let layers = self.layers() as i64;
        let layer = self.below(layers) as usize;
        let i = self.schedule.clocks[layer].i;
        let reach = 1 << self.below(6);
        let move_by = self.below(2 * reach + 1) - reach;
        match self.below(6) {
            0 => shape.phase.in_burst = self.below(shape.phase.burst),
            1 => shape.phase.times.iter_mut().for_each(|time| *time += move_by),
            2 => shape.cut = shape.cut.map(|cut| (cut + move_by).max(0)),
            3 => shape.phase.times[layer] += move_by * i,
            _ => shape.phase.times[layer] += move_by,
        }
        shape
    }

    fn try_shape(&mut self, shape: Shape) {
        let mut spots = std::mem::take(&mut self.spots);
        self.lay_out(&shape, &mut spots);
        let layers = self.layers();
        let levels = by_level(&mut self.joint, &mut spots, layers);
        self.spots = spots;
        for (level, probability) in levels.into_iter().enumerate() {
            if probability > self.worst[level] {
                self.worst[level] = probability;
                self.shapes[level] = Some(shape.clone());
            }
        }
    }

    /// Tries a layout from elsewhere.
    pub(super) fn try_layout(&mut self, spots: &mut [Spot]) {
        let layers = self.layers();
        let levels = by_level(&mut self.joint, spots, layers);
        for (worst, level) in self.worst.iter_mut().zip(levels) {
            *worst = worst.max(level);
        }
    }

    /// Where the packet, its groups' other members and its repairs are on the wire.
    fn lay_out(&self, Shape { phase, cut }: &Shape, spots: &mut Vec<Spot>) {
        let schedule = &self.schedule;
        spots.clear();
        spots.push(Spot { at: phase.source(schedule, 0), mask: TARGET });
        let end = cut.unwrap_or(i64::MAX);
        // Behind everything that has left by the cut.
        let mut flushed = cut.map(|cut| phase.source(schedule, cut + phase.burst));
        for (layer, clock) in schedule.clocks.iter().enumerate() {
            let mask = 1 << layer;
            let (first, last) = phase.group(schedule, layer);
            let members = (first..=last.min(end)).step_by(clock.i as usize);
            let others = members.filter(|&member| member != 0);
            spots.extend(others.map(|m| Spot { at: phase.source(schedule, m), mask }));
            let at = match &mut flushed {
                Some(next) if phase.due(schedule, layer) > end => {
                    *next += 1;
                    *next
                }
                _ => phase.repair(schedule, layer, phase.due(schedule, layer)),
            };
            spots.push(Spot { at, mask });
        }
    }

    fn layers(&self) -> usize {
        self.schedule.clocks.len()
    }

    fn below(&mut self, n: i64) -> i64 {
        ((u128::from(self.random.next_u64()) * n as u128) >> 64) as i64
    }
}
