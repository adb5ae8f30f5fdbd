//! A sender that adapts its code, over a link that changes: what adaptation is judged by.
//!
//! * **What this room does:** lets the real encoder, decoder, measurement, reports and [`Adapter`]
//!   work in virtual time, without ports, and notes what came of it.
//! * **Who feeds it:** `tests/adapt.rs`, and `examples/adapt.rs`, which writes what is drawn.
//! * **Whom it feeds:** the same.
//! * **Which thread runs it:** the caller's.
//! * **What it must not do:** depend on anything but its [`Trial`].

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use super::loss::{LossModel, LossProcess};
use crate::fec::decoder::{Admission, RepairIn};
use crate::fec::encoder::BATCH;
use crate::fec::xor::Engine;
use crate::fec::{
    CheckKey, Code, Codes, Decoder, DecoderConfig, Encoder, EncoderConfig, Rebuilt, Timing,
};
use crate::link::adapt::{Adapter, Answer, Policy};
use crate::link::measure::Measure;
use crate::link::report::Reporter;
use crate::safety::choice::{Choice, Limits, choose};
use crate::safety::link::Loss;
use crate::safety::plan::Goal;
use crate::wire::Report;

/// Small frames keep millions of packets fast.
const FRAME: usize = 8;
/// How often control looks.
const TICK: u64 = 10_000_000;
/// Rows are so far apart.
const ROW: u64 = 250_000_000;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// How the link loses wire packets, and for how many seconds.
    pub phases: Vec<(LossModel, u64)>,
    /// Source packets a second, evenly spaced.
    pub packets_per_second: u64,
    /// What is wanted.
    pub policy: Policy,
    /// The code at the beginning, and to the end if it does not adapt.
    pub code: Code,
    /// Whether it does.
    pub adapts: bool,
    /// How long a report takes back, in nanoseconds.
    pub report_delay: u64,
    /// How long the planner is taken to need.
    pub planning: u64,
    /// Decides what is lost.
    pub seed: u64,
}

/// What happened in a quarter of a second.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// When it began, in seconds.
    pub at: f64,
    /// Source packets sent.
    pub sources: u64,
    /// Repair packets sent.
    pub repairs: u64,
    /// Wire packets lost.
    pub lost: u64,
    /// Of its source packets, how many never came.
    pub missing: u64,
    /// The code in force at its end.
    pub code: String,
}

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// In the order of time.
    pub rows: Vec<Row>,
    /// What was written of changes, and when, in seconds.
    pub log: Vec<(f64, String)>,
    /// The totals of the last report.
    pub report: Report,
}

impl Course {
    /// Source packets, repairs and missing packets between two times, in seconds.
    pub fn between(&self, from: f64, to: f64) -> [u64; 3] {
        let rows = self.rows.iter().filter(|row| row.at >= from && row.at < to);
        rows.fold([0; 3], |[sources, repairs, missing], row| {
            [sources + row.sources, repairs + row.repairs, missing + row.missing]
        })
    }
}

impl Trial {
    /// 30 seconds each of no loss, 1 % in bursts of 10, 5 % one by one, and 0.1 %, at 50,000 packets a
    /// second; at most 1 packet in 100,000 may be missing.
    ///
    /// # Panics
    /// Never: what is parsed is written here.
    pub fn standard(seed: u64) -> Trial {
        let code = |text: &str| text.parse::<Code>().expect("a code");
        let phase = |text: &str| (text.parse().expect("a loss model"), 30);
        Trial {
            phases: ["none", "ge:0.01,10", "iid:0.05", "iid:0.001"].map(phase).into(),
            packets_per_second: 50_000,
            policy: Policy {
                residual: 1e-5,
                latency_ns: 50_000_000,
                overhead_limit: 0.5,
                floor: code("64:11,13+g1"),
                largest: code("24:307,311,313,317,331,337+g1"),
                quiet_ns: 3_000_000_000,
                gain: 0.1,
            },
            code: code("64:11,13+g1"),
            adapts: true,
            report_delay: 50_000_000,
            planning: 300_000_000,
            seed,
        }
    }

    /// The best fixed code for a phase: what the planner finds for the link as it is.
    pub fn best(&self, loss: Loss) -> Choice {
        let Policy { residual, latency_ns, overhead_limit, ref floor, ref largest, .. } =
            self.policy;
        let packets_per_second = self.packets_per_second as f64;
        let goal = Goal { loss, packets_per_second, residual, latency_ns, update: 1 };
        choose(&goal, floor, Limits::new(overhead_limit, largest).dense(&goal))
    }

    /// One phase of it alone, with a fixed code.
    pub fn fixed(&self, phase: usize, code: Code) -> Trial {
        Trial { phases: vec![self.phases[phase].clone()], code, adapts: false, ..self.clone() }
    }
}

struct Run<'a> {
    trial: &'a Trial,
    encoder: Encoder,
    decoder: Decoder<ArrayVec<u8, FRAME>>,
    measure: Measure,
    loss: LossProcess,
    key: CheckKey,
    now: u64,
    /// Which source packets came.
    here: Vec<bool>,
    rows: Vec<Row>,
}

/// Runs a trial.
pub fn run(trial: &Trial) -> Course {
    let mut run = Run::new(trial);
    let mut adapter = Adapter::new(trial.policy.clone(), trial.code.clone());
    let (mut reporter, mut log) = (Reporter::default(), Vec::new());
    let mut reports: VecDeque<(u64, Report)> = VecDeque::new();
    let mut answer: Option<(u64, Answer)> = None;
    let mut next: Option<Box<Codes>> = None;
    let mut start = 0;
    for (number, (model, seconds)) in (0..).zip(&trial.phases) {
        run.loss = LossProcess::new(model, trial.seed, number);
        let end = start + seconds * 1_000_000_000;
        while run.now < end {
            run.send(TICK.min(end - run.now));
            let now = run.now;
            let totals = run.measure.totals();
            if reporter.due(now, totals) {
                let report = Report { at_ns: now, ..totals.clone() };
                // As it comes over the wire.
                reports
                    .extend(Report::parse(&report.emit()).map(|r| (now + trial.report_delay, r)));
            }
            if !trial.adapts {
                continue;
            }
            while reports.front().is_some_and(|(at, _)| *at <= now)
                && let Some((_, report)) = reports.pop_front()
            {
                adapter.observe(now, &report);
            }
            if answer.is_none() && next.is_none() {
                let asked = adapter.question(now);
                answer = asked.map(|question| (now + trial.planning, question.answer()));
            }
            if let Some((_, answer)) = answer.take_if(|(at, _)| *at <= now)
                && let Some(change) = adapter.answered(now, answer)
            {
                log.push((now as f64 / 1e9, change.to_string()));
                next = Some(Box::new(Codes::new(&run.config(&change.code))));
            }
            drop(run.encoder.take_retired());
            if let Some(codes) = next.take() {
                match run.encoder.switch(codes) {
                    Ok(()) => adapter.switched(run.encoder.next_seq()),
                    Err(codes) => next = Some(codes),
                }
            }
            if let Some(row) = run.rows.last_mut() {
                row.code = adapter.code().to_string();
            }
        }
        start = end;
    }
    Course { report: run.measure.totals().clone(), rows: run.finish(), log }
}

impl Run<'_> {
    fn new(trial: &Trial) -> Run<'_> {
        let key = CheckKey::new(0, 0, 1);
        let window = DecoderConfig::window_for(trial.policy.largest.span().max(trial.code.span()));
        let decoder = Decoder::new(&DecoderConfig {
            window,
            max_frame: FRAME,
            check: Some(key),
            engine: Engine::detect(),
        });
        let mut run = Run {
            trial,
            encoder: Encoder::new(&Run::config_of(trial, &trial.code)),
            measure: Measure::new(decoder.window()),
            decoder,
            loss: LossProcess::new(&LossModel::None, 0, 0),
            key,
            now: 0,
            here: Vec::new(),
            rows: Vec::new(),
        };
        run.measure.restart(0, 1);
        run
    }

    fn config(&self, code: &Code) -> EncoderConfig {
        Run::config_of(self.trial, code)
    }

    fn config_of(trial: &Trial, code: &Code) -> EncoderConfig {
        EncoderConfig {
            code: code.clone(),
            sparse: Some(code.short()),
            timing: Timing { latency: trial.policy.latency_ns, ..Timing::new(code) },
            max_frame: FRAME,
            repair_room: FRAME + 66,
            engine: Engine::detect(),
        }
    }

    fn row(&mut self) -> &mut Row {
        let number = (self.now / ROW) as usize;
        if self.rows.len() <= number {
            let code = self.rows.last().map_or(self.trial.code.to_string(), |row| row.code.clone());
            let row =
                |n| Row { at: (n as u64 * ROW) as f64 / 1e9, code: code.clone(), ..Row::default() };
            self.rows.extend((self.rows.len()..=number).map(row));
        }
        &mut self.rows[number]
    }

    /// Sends for so long, in bursts of eight.
    fn send(&mut self, time: u64) {
        let gap = 1_000_000_000 / self.trial.packets_per_second;
        let end = self.now + time;
        while self.now < end {
            let count = 8.min((end - self.now).div_ceil(gap)).min(BATCH);
            let now = self.now;
            let mut came = ArrayVec::<u64, { BATCH as usize }>::new();
            for _ in 0..count {
                let seq = self.encoder.next_seq();
                let frame = seq.to_be_bytes();
                self.encoder.push(now, self.key.check(seq, &frame), &frame);
                let lost = self.loss.lost();
                self.here.push(!lost);
                if !lost {
                    came.push(seq);
                }
                let row = self.row();
                (row.sources, row.lost) = (row.sources + 1, row.lost + u64::from(lost));
            }
            self.arrive(&came);
            self.encoder.poll(now);
            self.repair();
            self.now = (now + count * gap).min(end);
        }
    }

    fn arrive(&mut self, came: &[u64]) {
        for &seq in came {
            assert_eq!(self.decoder.admit(seq), Admission::New);
        }
        let Run { decoder, measure, here, key, now, .. } = self;
        let mut deliver = |rebuilt: Rebuilt<'_>| {
            here[rebuilt.seq as usize] = true;
            measure.rebuilt(*now, rebuilt.seq, rebuilt.layer);
            ArrayVec::try_from(rebuilt.frame).ok()
        };
        for &seq in came {
            let frame = seq.to_be_bytes();
            decoder.keep_copy(seq, key.check(seq, &frame), &frame, &mut deliver);
        }
        measure.follow(*now, decoder);
        decoder.take_departed().for_each(drop);
    }

    fn repair(&mut self) {
        loop {
            let Some(repair) = self.encoder.take_repair() else { return };
            let lost = self.loss.lost();
            if !lost && let Ok(payload) = ArrayVec::try_from(repair.bytes) {
                let (members, layer) = (repair.members.clone(), repair.layer);
                let (lengths, checks) = (repair.lengths, repair.checks);
                let repair = RepairIn { members, lengths, checks, payload, layer };
                let Run { decoder, measure, here, now, .. } = self;
                decoder.repair(repair, |rebuilt| {
                    here[rebuilt.seq as usize] = true;
                    measure.rebuilt(*now, rebuilt.seq, rebuilt.layer);
                    ArrayVec::try_from(rebuilt.frame).ok()
                });
            }
            let row = self.row();
            (row.repairs, row.lost) = (row.repairs + 1, row.lost + u64::from(lost));
        }
    }

    /// Once everything is through: what never came, in the row of its sending.
    fn finish(mut self) -> Vec<Row> {
        self.encoder.flush();
        self.repair();
        // What that costs belongs to no time.
        self.rows.retain(|row| row.sources > 0);
        let mut seqs = self.here.iter();
        for row in &mut self.rows {
            let sent = seqs.by_ref().take(row.sources as usize);
            row.missing = sent.filter(|&&here| !here).count() as u64;
        }
        self.rows
    }
}
