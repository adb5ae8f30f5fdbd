//! The thread that tells clients: it looks at the oldest record that is not safe yet, again and again, and answers
//! when it is.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netsync::{Flow, Reached, State, Subscriber, Target, Wait, WaitError};

use crate::link::Durable;
use crate::policy::{Policy, Unprotected};
use crate::protocol::Stream;
use crate::{Error, Result};

/// The way back to a client; broken ones are forgotten.
pub type Client = Arc<Mutex<Stream>>;

/// A record that is in the local file, durable as wished, and written to the mirror's connection.
pub struct Written {
    /// Its number.
    pub number: u64,
    /// The offset behind its last byte in that connection.
    pub end: u64,
    /// Who is to be told.
    pub client: Client,
}

/// By what records were told, for whoever wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// By a level, from 1 on: so many repairs for each of its bytes had left.
    pub by_level: [u64; 8],
    /// By the far kernel's acknowledgement, which came first.
    pub by_ack: u64,
    /// As `local` and `semi` have it.
    pub at_once: u64,
    /// By the mirror's own answer: always for `remote`, else since the gateway said no more, or nothing yet.
    pub by_mirror: u64,
    /// How often the gateway said no more.
    pub blind: u64,
}

/// How it is done.
pub struct Committer {
    /// When a record is safe.
    pub policy: Policy,
    /// What is done while the gateway says no more.
    pub unprotected: Unprotected,
    /// The pause between two looks; none takes a core.
    pub pause: Duration,
    /// For policies that need it.
    pub flow: Option<Flow>,
    /// The gateway, to be asked for its state.
    pub gateway: Option<Subscriber>,
    /// What the mirror says.
    pub durable: Durable,
    /// See there.
    pub counts: Counts,
    /// Set when it is to end.
    pub stop: Arc<AtomicBool>,
}

/// How the oldest record stands.
enum Verdict {
    /// By this, if netsync says so.
    Safe(Option<Reached>),
    NotYet,
    /// The gateway says no more, for this reason.
    Blind(WaitError),
}

impl Committer {
    /// Tells clients until it is to end, or nobody is left who writes records; says by what it told them.
    ///
    /// # Errors
    /// The mirror is gone and somebody waits for it.
    pub fn run(mut self, written: &Receiver<Written>) -> Result<Counts> {
        let mut pending = VecDeque::new();
        // The wait for the oldest, and why it can't be answered by the gateway.
        let mut wait: Option<Wait> = None;
        let mut said = None;
        let mut blind_since = None;
        while !self.stop.load(Ordering::Relaxed) {
            if pending.is_empty() {
                match written.recv_timeout(Duration::from_millis(50)) {
                    Ok(record) => pending.push_back(record),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            pending.extend(written.try_iter());
            let Some(oldest) = pending.front() else { continue };
            let verdict = match blind_since {
                Some(since) if self.stays_blind(since) => Verdict::NotYet,
                _ => self.judge(oldest, &mut wait),
            };
            if let Verdict::Blind(reason) = &verdict {
                if said.as_ref() != Some(reason) {
                    eprintln!("primary: the gateway says no more, so the mirror must: {reason}");
                    said = Some(reason.clone());
                }
                self.counts.blind += u64::from(blind_since.is_none());
                blind_since = Some(Instant::now());
                wait = None;
            }
            let safe = matches!(verdict, Verdict::Safe(_));
            if safe && blind_since.take().is_some() {
                eprintln!("primary: the gateway speaks again");
                said = None;
            }
            // Whatever the policy is, what the mirror's disk has is safe.
            if safe || self.mirror_has(oldest.number)? {
                let counts = &mut self.counts;
                *match verdict {
                    Verdict::Safe(None) => &mut counts.at_once,
                    Verdict::Safe(Some(Reached::Level(level))) => &mut counts.by_level[level - 1],
                    Verdict::Safe(Some(_)) => &mut counts.by_ack,
                    _ => &mut counts.by_mirror,
                } += 1;
                tell(oldest);
                pending.pop_front();
                wait = None;
            } else if self.pause.is_zero() {
                std::hint::spin_loop();
            } else {
                std::thread::sleep(self.pause);
            }
        }
        Ok(self.counts)
    }

    /// Where the gateway said no more, it is asked again: at once, or when it protects again.
    fn stays_blind(&self, since: Instant) -> bool {
        match self.unprotected {
            Unprotected::Wait => since.elapsed() < Duration::from_millis(1),
            Unprotected::Remote => {
                since.elapsed() < Duration::from_millis(100)
                    || !self.gateway.as_ref().is_some_and(|gateway| {
                        gateway.state().is_ok_and(|state: State| state.protects())
                    })
            }
        }
    }

    fn mirror_has(&self, number: u64) -> Result<bool> {
        match (self.policy, self.durable.has(number)) {
            (_, Ok(has)) => Ok(has),
            // Nobody waits for it.
            (Policy::Local, Err(_)) => Ok(false),
            (_, Err(error)) => Err(Error::new(error)),
        }
    }

    fn judge(&mut self, record: &Written, wait: &mut Option<Wait>) -> Verdict {
        let target = match self.policy {
            Policy::Local => return Verdict::Safe(None),
            Policy::Remote => return Verdict::NotYet,
            Policy::Semi => None,
            Policy::NetworkSync(target) => Some(Target::Probability(target)),
        };
        let Some(flow) = &mut self.flow else { return Verdict::Blind(WaitError::NotTracked) };
        let Some(target) = target else {
            return match flow.sent() {
                Ok(sent) if sent >= record.end => Verdict::Safe(None),
                Ok(_) => Verdict::NotYet,
                Err(reason) => Verdict::Blind(reason),
            };
        };
        let asked = wait.get_or_insert_with(|| Wait::new(record.end, target));
        match flow.poll(asked) {
            None => Verdict::NotYet,
            Some(Ok(outcome)) => Verdict::Safe(Some(outcome.reached)),
            // Begun again, by the code or the entry that is there now.
            Some(Err(WaitError::CodeSwitched | WaitError::Renewed | WaitError::Evicted)) => {
                *wait = None;
                Verdict::NotYet
            }
            Some(Err(reason)) => Verdict::Blind(reason),
        }
    }
}

fn tell(record: &Written) {
    let mut client = record.client.lock().unwrap_or_else(PoisonError::into_inner);
    // A client that has left does not need to know.
    let _ = client.write_all(&record.number.to_le_bytes());
}
