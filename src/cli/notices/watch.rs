//! Looks at a gateway, again and again, and says what is new. It outlives the gateway, as every
//! reader does.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use netsync::{Event, FlowEvent, FlowKey, FlowStatus, Notice, Notices, Subscriber, now_ns};

use super::line::{Line, watermarks};
use super::output::Output;

/// Between two looks that found nothing.
const NAP: Duration = Duration::from_millis(1);
/// How often state and code are looked at, beside what notices say of them.
const LOOK: Duration = Duration::from_millis(20);
/// How often flows are looked at.
const FLOWS: Duration = Duration::from_secs(1);
/// Notices that are read of one worker before the next one's turn.
const BATCH: usize = 256;

/// What is shown.
pub(super) struct Show {
    pub(super) state: bool,
    pub(super) flows: bool,
    pub(super) notices: bool,
}

/// When it ends.
pub(super) struct Limits {
    /// After one look.
    pub(super) once: bool,
    /// After so many notices, or lines if no notices are shown.
    pub(super) count: u64,
    pub(super) until: Option<Instant>,
}

pub(super) struct Watch {
    subscriber: Subscriber,
    output: Output,
    show: Show,
    limits: Limits,
    /// Lines that count.
    counted: u64,
    /// One for each worker, if notices are shown.
    readers: Vec<Notices>,
    /// By worker and slot: generation and name of the flow there, since notices say only those.
    names: HashMap<(usize, u32), (u64, FlowKey)>,
    /// The gateway's epoch; none before the first look.
    epoch: Option<u64>,
    alive: bool,
    transitions: u64,
    code: u64,
    levels: usize,
    /// What was last shown of flows.
    shown: HashMap<(usize, u32), FlowStatus>,
}

impl Watch {
    pub(super) fn new(subscriber: Subscriber, output: Output, show: Show, limits: Limits) -> Watch {
        Watch {
            subscriber,
            output,
            show,
            limits,
            counted: 0,
            readers: Vec::new(),
            names: HashMap::new(),
            epoch: None,
            alive: true,
            transitions: 0,
            code: 0,
            levels: 0,
            shown: HashMap::new(),
        }
    }

    /// Until it is enough.
    pub(super) fn run(&mut self) -> Result<(), String> {
        self.look()?;
        self.look_at_flows()?;
        let (mut looked, mut flows_looked) = (Instant::now(), Instant::now());
        while !self.limits.once && !self.is_over() {
            let busy = self.read()?;
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look()?;
                self.output.look()?;
            }
            if flows_looked.elapsed() >= FLOWS {
                flows_looked = Instant::now();
                self.look_at_flows()?;
            }
            if !busy {
                self.output.flush()?;
                thread::sleep(NAP);
            }
        }
        self.output.flush()
    }

    fn is_over(&self) -> bool {
        self.output.is_over()
            || self.counted >= self.limits.count
            || self.limits.until.is_some_and(|until| Instant::now() >= until)
    }

    fn say(&mut self, line: &Line<'_>) -> Result<(), String> {
        let counts = !self.show.notices || line.is_notice();
        if self.counted < self.limits.count {
            self.counted += u64::from(counts);
            self.output.line(line)?;
        }
        Ok(())
    }

    /// Who the gateway is, in which state, with which code: what has changed of it.
    fn look(&mut self) -> Result<(), String> {
        let Ok(status) = self.subscriber.status() else {
            if std::mem::take(&mut self.alive) {
                self.say(&Line::Dead { now_ns: now_ns() })?;
            }
            return Ok(());
        };
        let new = self.epoch != Some(status.epoch);
        let revived = !std::mem::replace(&mut self.alive, true);
        if new {
            // Readers first: what comes while the rest is printed is not missed.
            self.open(status.workers);
            if self.epoch.replace(status.epoch).is_some() {
                self.say(&Line::restarted(status.epoch))?;
            }
            self.code = u64::MAX;
            self.names.clear();
            self.shown.clear();
        }
        if new || revived || self.transitions != status.transitions {
            self.transitions = status.transitions;
            if self.show.state {
                self.say(&Line::gateway(&status))?;
            }
        }
        if let Ok(code) = self.subscriber.code()
            && code.generation != self.code
        {
            (self.code, self.levels) = (code.generation, code.levels);
            if self.show.state {
                self.say(&Line::code(&code))?;
            }
        }
        if new && self.show.notices {
            self.learn_names();
        }
        Ok(())
    }

    /// One reader for each worker. Those that there are follow a restarted gateway by themselves.
    fn open(&mut self, workers: usize) {
        if !self.show.notices {
            return;
        }
        self.readers.truncate(workers);
        while self.readers.len() < workers
            && let Ok(Some(reader)) = self.subscriber.notices(self.readers.len())
        {
            self.readers.push(reader);
        }
    }

    fn learn_names(&mut self) {
        for flow in self.subscriber.flows().into_iter().flatten() {
            self.names.insert((flow.worker, flow.slot), (flow.generation, flow.key));
        }
    }

    fn look_at_flows(&mut self) -> Result<(), String> {
        if !self.show.flows {
            return Ok(());
        }
        let Ok(flows) = self.subscriber.flows() else { return Ok(()) };
        for flow in flows {
            let place = (flow.worker, flow.slot);
            if self.shown.get(&place).is_none_or(|shown| !watermarks(shown).eq(&watermarks(&flow)))
            {
                self.say(&Line::flow(&flow, self.levels))?;
                self.shown.insert(place, flow);
            }
        }
        Ok(())
    }

    /// The workers' notices, in turn. False when there was none.
    fn read(&mut self) -> Result<bool, String> {
        let mut busy = false;
        for worker in 0..self.readers.len() {
            for _ in 0..BATCH {
                let Some(event) = self.readers.get_mut(worker).and_then(Notices::poll) else {
                    break;
                };
                busy = true;
                self.tell(worker, event)?;
                if self.is_over() {
                    return Ok(true);
                }
            }
        }
        Ok(busy)
    }

    fn tell(&mut self, worker: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Missed(notices) => self.say(&Line::Missed { worker, notices }),
            // Said once for the gateway, before its first notice.
            Event::Restarted { .. } => self.look(),
            Event::Notice(Notice::Flow { slot, generation, event }) => {
                let key = self.name(worker, slot, generation, event);
                self.say(&Line::flow_event(worker, slot, generation, event, key))
            }
            Event::Notice(notice) => match Line::notice(worker, notice) {
                Some(line) => self.say(&line),
                None => Ok(()),
            },
        }
    }

    /// Which flow a notice is of. None when it was gone before anyone asked.
    fn name(
        &mut self,
        worker: usize,
        slot: u32,
        generation: u64,
        event: FlowEvent,
    ) -> Option<FlowKey> {
        let known = |names: &HashMap<_, (u64, FlowKey)>| {
            names.get(&(worker, slot)).filter(|(of, _)| *of == generation).map(|&(_, key)| key)
        };
        if matches!(event, FlowEvent::Opened | FlowEvent::Unanchored) {
            let there = self.subscriber.flow_at(worker, slot).ok().flatten();
            let key = there.filter(|flow| flow.generation == generation)?.key;
            self.names.insert((worker, slot), (generation, key));
        }
        known(&self.names)
    }
}
