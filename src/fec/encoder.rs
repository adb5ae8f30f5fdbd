//! From source packets to repair packets.
//!
//! [`Encoder::push`] numbers a packet and adds it to a group of each layer, [`Encoder::poll`] lets
//! time do its part, and [`Encoder::take_repair`] hands out the repairs that are due. All of them
//! are to be taken after at most [`BATCH`] packets. Otherwise they may leave no memory to open a
//! group: the packet that would have opened it goes without that layer's repair, and is counted as
//! shed.

use super::accumulator::{Accumulators, Places};
use super::code::{Code, MAX_LAYERS};
use super::codes::Codes;
use super::group::Members;
use super::layer::{Batch, LayerState, ReadyQueue};
use super::seq;
use super::timing::{Budget, RateMeter, Timing};
use super::xor::Engine;

/// How many packets may be pushed between two times that repairs are taken.
pub const BATCH: u64 = 32;

/// What an encoder is made of.
#[derive(Clone, Debug)]
pub struct EncoderConfig {
    /// The code for dense traffic.
    pub code: Code,
    /// The code for sparse traffic; `None` keeps `code` always.
    pub sparse: Option<Code>,
    /// Ages, idle times, latency budget, cap.
    pub timing: Timing,
    /// The longest frame that will be pushed, in bytes.
    pub max_frame: usize,
    /// How many bytes a repair packet has for the summed bytes and for runs beyond the first
    /// ([`super::Run::WIRE_LEN`] each); at least `max_frame`.
    pub repair_room: usize,
    /// What XORs.
    pub engine: Engine,
}

impl EncoderConfig {
    /// How many bytes [`Encoder::new`] allocates for sums, nearly all of its memory.
    pub fn memory_bytes(&self) -> usize {
        let codes = [Some(&self.code), self.sparse.as_ref()];
        let sums = codes.into_iter().flatten().map(CodeSet::sums).sum();
        Accumulators::memory_bytes(sums, self.max_frame)
    }
}

/// A repair packet's content.
#[derive(Debug)]
pub struct Repair<'a> {
    /// The source packets that it stands for.
    pub members: &'a Members,
    /// Number of its layer in the code, from 0.
    pub layer: u8,
    /// Which code of this channel it belongs to: [`super::SPARSE_ID`] for sparse traffic, and above
    /// that bit how often the code was changed.
    pub code_id: u8,
    /// It left before its time, as its group or its guard was cut short by an idle time, an age or
    /// a final flush: no burst guarantee.
    pub flushed: bool,
    /// XOR of the members' lengths in bytes.
    pub lengths: u16,
    /// XOR of the members' checks.
    pub checks: u64,
    /// XOR of the members' bytes, each padded with zeros to the longest.
    pub bytes: &'a [u8],
}

/// Builds the repair packets of one channel.
pub struct Encoder {
    next: u64,
    last_push: u64,
    /// The code in force, for dense and for sparse traffic.
    codes: Box<Codes>,
    /// The one before it, until its last repair was taken.
    retiring: Option<Box<Codes>>,
    /// How often the code was changed, modulo 128.
    generation: u8,
    /// The set of the code in force in which new groups are opened.
    current: usize,
    /// Whether groups may still be open in another one.
    others_busy: bool,
    /// A shorter idle time, until everything is closed.
    hurry: Option<u64>,
    rate: RateMeter,
    /// Whether sources wait for the link.
    waiting: bool,
    /// The most packets a second that the link had room for with the code for sparse traffic, if that was too few.
    sparse_room: f64,
    budget: Budget,
    max_frame: usize,
    repair_room: usize,
    shed: u64,
}

/// One code at work. When another takes over, its open groups are filled to their end and no new
/// ones are opened, so that no packet is without its repairs.
pub(super) struct CodeSet {
    pub(super) id: u8,
    span: u64,
    overhead: f64,
    pub(super) layers: Vec<LayerState>,
    sums: Accumulators,
    ready: ReadyQueue,
    /// Where the bytes of the batch at hand go, for each layer.
    places: Box<[Places]>,
    /// Whether the first of those was handed out.
    lent: bool,
    /// What that one stands for.
    members: Members,
}

impl CodeSet {
    pub(super) fn new(code: &Code, max_frame: usize, engine: Engine) -> CodeSet {
        let layers = (0..).zip(code.layers());
        let sums = CodeSet::sums(code);
        let bins = code.layers().iter().map(|layer| usize::from(layer.interleave)).sum();
        CodeSet {
            id: 0,
            span: code.span(),
            overhead: code.overhead(),
            layers: layers.map(|(n, &l)| LayerState::new(l, n, code.guard(l))).collect(),
            sums: Accumulators::new(sums, max_frame, engine),
            ready: ReadyQueue::new(sums, bins),
            places: vec![[0; BATCH as usize]; code.layers().len()].into(),
            lent: false,
            members: Members::one(),
        }
    }

    /// How many sums a code needs: when repairs have just been taken, one for each bin and for each
    /// repair that is held back; until they are taken again, one more for each packet, since it may
    /// open a group; and the one that was handed out last.
    pub(super) fn sums(code: &Code) -> usize {
        let of_layer = |&l| {
            let held = LayerState::held_limit(l, code.guard(l));
            usize::from(l.interleave) + held + BATCH as usize
        };
        1 + code.layers().iter().map(of_layer).sum::<usize>()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.layers.iter().all(LayerState::is_idle)
    }

    /// Adds packets to groups of each layer. Returns how often there was no memory for one.
    #[inline]
    fn enter(&mut self, batch: Batch<'_>, may_open: bool) -> u64 {
        let CodeSet { layers, places, sums, ready, .. } = self;
        let mut shed = 0;
        let count = batch.frames.len();
        for (layer, places) in layers.iter_mut().zip(places.iter_mut()) {
            shed += layer.enter(batch, may_open, sums, &mut places[..count], ready);
        }
        sums.add(batch.frames, places);
        shed
    }

    /// Gives back what was handed out; says whether there is a repair to take.
    #[inline]
    pub(super) fn is_due(&mut self) -> bool {
        if std::mem::take(&mut self.lent)
            && let Some(sum) = self.ready.pop()
        {
            self.sums.release(sum);
        }
        !self.ready.is_empty()
    }

    #[inline]
    fn take(&mut self) -> Option<Repair<'_>> {
        let ready = self.ready.front(&mut self.members)?;
        self.lent = true;
        let sum = &ready.group.sum;
        Some(Repair {
            members: &self.members,
            layer: ready.layer,
            code_id: self.id,
            flushed: ready.flushed,
            lengths: sum.lengths as u16,
            checks: sum.checks,
            bytes: self.sums.bytes(sum),
        })
    }
}

impl Encoder {
    /// An encoder at sequence number 0. All memory is allocated here.
    pub fn new(config: &EncoderConfig) -> Encoder {
        let codes = Box::new(Codes::new(config));
        let mut encoder = Encoder {
            next: 0,
            last_push: 0,
            budget: Budget::new(config.timing.flush_cap, codes.bins()),
            codes,
            retiring: None,
            generation: 0,
            current: 0,
            others_busy: false,
            hurry: None,
            rate: RateMeter::default(),
            waiting: false,
            sparse_room: f64::INFINITY,
            max_frame: config.max_frame,
            repair_room: config.repair_room,
            shed: 0,
        };
        encoder.choose_ages();
        encoder.begin(0);
        encoder
    }

    /// Begins at another number than 0: to be called before the first packet.
    pub fn begin_at(&mut self, seq: u64) {
        self.next = seq.min(seq::LIMIT);
        self.begin(self.current);
    }

    /// The sequence number that the next packet will get; [`seq::LIMIT`] when they are used up.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// How often a packet went without a layer's repair, because repairs were not taken in time.
    pub fn shed(&self) -> u64 {
        self.shed
    }

    /// Whether the short code is in use.
    pub fn is_sparse(&self) -> bool {
        self.current != 0
    }

    /// Changes the code between two packets: from now on groups are opened in `codes`, and those of
    /// the code so far are filled to their end, or closed by age or a pause, as ever, so that every
    /// packet has the repairs of the code that was in force when it was pushed. Allocates nothing.
    ///
    /// # Errors
    /// Gives `codes` back, and changes nothing, while repairs of an earlier change are still to come
    /// ([`Encoder::take_retired`]), or if they were made for shorter frames.
    pub fn switch(&mut self, mut codes: Box<Codes>) -> Result<(), Box<Codes>> {
        if !self.may_switch(&codes) {
            return Err(codes);
        }
        self.generation = (self.generation + 1) % 128;
        codes.number(self.generation);
        self.current = self.current.min(codes.sets.len() - 1);
        let old = std::mem::replace(&mut self.codes, codes);
        let bins = old.bins() + self.codes.bins();
        self.budget.change(self.codes.timing.flush_cap, bins);
        self.retiring = Some(old);
        self.choose_ages();
        self.begin(self.current);
        self.sparse_room = f64::INFINITY;
        self.choose_code();
        Ok(())
    }

    /// The code before the last change, once its last repair was taken: for whoever made it to drop,
    /// or to use again.
    pub fn take_retired(&mut self) -> Option<Box<Codes>> {
        let out = self.retiring.as_mut().is_some_and(|codes| codes.is_out());
        self.retiring.take_if(|_| out)
    }

    /// Whether [`Encoder::switch`] would take these.
    pub fn may_switch(&self, codes: &Codes) -> bool {
        self.retiring.is_none() && codes.max_frame >= self.max_frame
    }

    /// Whether repairs of the code before the last change are still to come, or
    /// [`Encoder::take_retired`] was not called since.
    pub fn is_changing(&self) -> bool {
        self.retiring.is_some()
    }

    /// All sets, those of the code in force first.
    fn sets(&self) -> impl Iterator<Item = (&CodeSet, &Timing)> {
        let all = [Some(&self.codes), self.retiring.as_ref()].into_iter().flatten();
        all.flat_map(|codes| codes.sets.iter().map(|set| (set, &codes.timing)))
    }

    /// Adds a frame that has just been sent, and returns its number; `check` is what its source
    /// packet carried. `None` if the frame is too long or the numbers are used up: it is not
    /// protected.
    pub fn push(&mut self, now: u64, check: u64, frame: &[u8]) -> Option<u64> {
        let seq = self.next;
        (self.push_batch(now, &[frame], &[check]) == 1).then_some(seq)
    }

    /// Adds frames as [`Encoder::push`] does, up to the first that can't be protected, and at most
    /// [`BATCH`]; returns how many.
    #[inline]
    pub fn push_batch(&mut self, now: u64, frames: &[&[u8]], checks: &[u64]) -> usize {
        let left = usize::try_from(seq::LIMIT - self.next).unwrap_or(usize::MAX);
        let most = frames.len().min(checks.len()).min(BATCH as usize).min(left);
        let fits = |frame: &&[u8]| frame.len() <= self.max_frame;
        let count = frames[..most].iter().take_while(|frame| fits(frame)).count();
        if count == 0 {
            return 0;
        }
        if self.rate.count(now, count as u64, self.waiting) {
            self.choose_ages();
            self.choose_code();
        }
        let (frames, checks) = (&frames[..count], &checks[..count]);
        let batch = Batch { first: self.next, now, frames, checks };
        self.next += count as u64;
        self.last_push = now;
        self.budget.earn(count);
        self.shed += self.codes.sets[self.current].enter(batch, true);
        if self.others_busy {
            let Encoder { codes, retiring, current, .. } = self;
            let retiring = retiring.iter_mut().flat_map(|codes| &mut codes.sets);
            let others = codes.sets.iter_mut().enumerate().filter(|(n, _)| n != current);
            for set in others.map(|(_, set)| set).chain(retiring) {
                if !set.is_idle() {
                    self.shed += set.enter(batch, false);
                }
            }
        }
        count
    }

    /// Does what is due at `now`: closes groups that are too old, or all when the traffic has
    /// paused. How often it is called, beyond [`Encoder::next_deadline`], makes no difference.
    pub fn poll(&mut self, now: u64) {
        let quiet = now.saturating_sub(self.last_push);
        let Encoder { codes, retiring, budget, hurry, repair_room, .. } = self;
        for codes in [Some(codes), retiring.as_mut()].into_iter().flatten() {
            let Codes { sets, timing, .. } = &mut **codes;
            for set in sets.iter_mut().filter(|set| !set.is_idle()) {
                for (n, layer) in set.layers.iter_mut().enumerate() {
                    if quiet >= idle(timing, *hurry, 0) {
                        layer.release_held(None, &mut set.ready);
                    }
                    let tokens = budget.available();
                    if layer.is_open() && tokens > 0 && quiet >= idle(timing, *hurry, n) {
                        let room = *repair_room;
                        budget.spend(layer.flush(tokens, room, &mut set.sums, &mut set.ready));
                    }
                    let tokens = budget.available();
                    let age = layer.age;
                    if !layer.is_idle() && tokens > 0 && layer.oldest().saturating_add(age) <= now {
                        budget.spend(layer.close_aged(now - age, tokens, &mut set.ready));
                    }
                }
            }
        }
        if self.others_busy {
            let busy =
                self.sets().enumerate().any(|(n, (set, _))| n != self.current && !set.is_idle());
            self.others_busy = busy;
        }
        if self.hurry.is_some() && self.sets().all(|(set, _)| set.is_idle()) {
            self.hurry = None;
        }
    }

    /// When [`Encoder::poll`] next has something to do if no packet comes, later than the time of
    /// the last poll.
    pub fn next_deadline(&self) -> Option<u64> {
        let funded = self.budget.available() > 0;
        let mut next = None;
        let mut at = |time: u64| next = Some(next.map_or(time, |next: u64| next.min(time)));
        for (set, timing) in self.sets() {
            for (n, layer) in set.layers.iter().enumerate() {
                if layer.is_holding() {
                    at(self.last_push.saturating_add(idle(timing, self.hurry, 0)));
                }
                if layer.is_open() && funded {
                    at(self.last_push.saturating_add(idle(timing, self.hurry, n)));
                }
                if !layer.is_idle() && funded {
                    at(layer.oldest().saturating_add(layer.age));
                }
            }
        }
        next
    }

    /// Somebody waits for the repairs of what was pushed last: the idle time of the first layer is
    /// at most `idle` until everything is closed, that of the second at most twice as long, and so
    /// on.
    pub fn hurry(&mut self, idle: u64) {
        self.hurry = Some(self.hurry.map_or(idle, |hurry| hurry.min(idle)));
    }

    /// Whether, from the packets pushed last until the next ones, others wait because repairs take their part of the
    /// link. Where that is most of the time, traffic isn't kept sparse by the repairs that sparse traffic has.
    #[inline]
    pub fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    /// Closes everything, whatever it costs: this channel is about to end.
    pub fn flush(&mut self) {
        let room = self.repair_room;
        let all = [Some(&mut self.codes), self.retiring.as_mut()].into_iter().flatten();
        for set in all.flat_map(|codes| &mut codes.sets) {
            for layer in &mut set.layers {
                layer.release_held(None, &mut set.ready);
                layer.flush(usize::MAX, room, &mut set.sums, &mut set.ready);
            }
        }
    }

    /// Whether [`Encoder::take_repair`] has one.
    pub fn is_due(&self) -> bool {
        self.sets().any(|(set, _)| set.ready.len() > usize::from(set.lent))
    }

    /// The next repair that is due. To be called until there is none.
    #[inline]
    pub fn take_repair(&mut self) -> Option<Repair<'_>> {
        let retiring = self.retiring.iter_mut().flat_map(|codes| &mut codes.sets);
        let mut sets = self.codes.sets.iter_mut().chain(retiring);
        sets.find_map(|set| set.is_due().then_some(set))?.take()
    }

    /// Ages depend on the rate.
    fn choose_ages(&mut self) {
        for codes in [Some(&mut self.codes), self.retiring.as_mut()].into_iter().flatten() {
            let Codes { sets, timing, .. } = &mut **codes;
            for (n, layer) in sets.iter_mut().flat_map(|set| set.layers.iter_mut().enumerate()) {
                layer.age = age(timing, &self.rate, layer, n);
            }
        }
    }

    fn choose_code(&mut self) {
        let Some(rate) = self.rate.per_second() else { return };
        let [dense, sparse] = &self.codes.sets[..] else { return };
        // The rate at which the code for dense traffic just meets the latency budget; a quarter of
        // it on either side keeps a steady rate from changing codes to and fro.
        let needed = dense.span as f64 * 1e9 / self.codes.timing.latency as f64;
        // Sources that wait would be so many with the code for dense traffic.
        let dense_rate = rate * (1.0 + sparse.overhead) / (1.0 + dense.overhead);
        let crowded = self.rate.waited_mostly() && dense_rate >= needed;
        if !self.rate.waited_mostly() {
            // Packets may have become smaller since: within 7 s and more it is twice as much.
            self.sparse_room *= 1.001;
        }
        let wanted = match self.current {
            // Not where the other code's repairs would not fit beside them.
            0 => usize::from(rate < self.sparse_room.min(needed) * 0.8),
            _ => usize::from(rate < needed * 1.25 && !crowded),
        };
        if wanted != self.current {
            self.sparse_room = if crowded { rate } else { f64::INFINITY };
            self.begin(wanted);
        }
    }

    /// Opens new groups in set `set` from now on.
    fn begin(&mut self, set: usize) {
        self.current = set;
        self.others_busy = true;
        let set = &mut self.codes.sets[set];
        if set.is_idle() {
            set.layers.iter_mut().for_each(|layer| layer.begin(self.next));
        }
    }
}

/// How long the traffic must pause before layer number `n` is closed.
fn idle(timing: &Timing, hurry: Option<u64>, n: usize) -> u64 {
    let configured = timing.idle[n.min(MAX_LAYERS - 1)];
    hurry.map_or(configured, |hurry| configured.min(hurry.saturating_mul(n as u64 + 1)))
}

/// How long a group of layer number `n` may stay open.
fn age(timing: &Timing, rate: &RateMeter, layer: &LayerState, n: usize) -> u64 {
    timing.age[n.min(MAX_LAYERS - 1)].unwrap_or_else(|| match rate.per_second() {
        Some(rate) => ((1.5e9 * layer.span() as f64 / rate) as u64).min(timing.latency).max(1),
        None => timing.latency,
    })
}

#[cfg(test)]
mod tests;
