//! What is printed: one line of text, or one JSON object, for each thing that has happened.
//!
//! The names of variants and fields are the JSON's, and documented in docs/NETSYNC.md.

use std::time::{SystemTime, UNIX_EPOCH};

use netsync::{Code, FlowEvent, FlowKey, FlowStatus, Notice, Status, now_ns};
use serde::Serialize;

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Line<'a> {
    Gateway {
        epoch: String,
        pid: u64,
        workers: usize,
        state: String,
        protects: bool,
        transitions: u64,
        since_ns: u64,
        heartbeat_ns: u64,
        heartbeat_timeout_ns: u64,
        now_ns: u64,
        unix_ns: u64,
    },
    Code {
        generation: u64,
        code: &'a str,
        levels: usize,
        bounds: Classes<&'a [f64]>,
    },
    Flow {
        worker: usize,
        slot: u32,
        generation: u64,
        local: String,
        remote: String,
        status: &'static str,
        anchored: bool,
        sent: u64,
        in_flight: u64,
        levels: &'a [u64],
        acked: Option<u64>,
        class_to: Classes<u64>,
        opened_ns: u64,
        now_ns: u64,
    },
    Repair {
        worker: usize,
        code_id: u8,
        layer: u8,
        flushed: bool,
        base: u64,
        stride: u32,
        count: u32,
        runs: u32,
        made_ns: u64,
        left_ns: u64,
    },
    State {
        worker: usize,
        from: String,
        to: String,
        at_ns: u64,
    },
    CodeSwitch {
        worker: usize,
        generation: u64,
    },
    FlowEvent {
        worker: usize,
        slot: u32,
        generation: u64,
        event: &'static str,
        local: Option<String>,
        remote: Option<String>,
    },
    Missed {
        worker: usize,
        notices: u64,
    },
    Restarted {
        epoch: String,
    },
    Dead {
        now_ns: u64,
    },
}

/// In the order of [`netsync::Class`].
#[derive(Serialize)]
pub(super) struct Classes<T> {
    dense: T,
    sparse: T,
    dense_flushed: T,
    sparse_flushed: T,
}

impl<T: Copy> Classes<T> {
    pub(super) fn each(&self) -> [T; 4] {
        [self.dense, self.sparse, self.dense_flushed, self.sparse_flushed]
    }
}

impl<T> From<[T; 4]> for Classes<T> {
    fn from([dense, sparse, dense_flushed, sparse_flushed]: [T; 4]) -> Classes<T> {
        Classes { dense, sparse, dense_flushed, sparse_flushed }
    }
}

/// As 64 bits at random: a number in JSON holds but 53 for many who read it.
fn hex(epoch: u64) -> String {
    format!("{epoch:016x}")
}

/// All of a flow that moves.
pub(super) fn watermarks(flow: &FlowStatus) -> impl Eq + use<'_> {
    (flow.generation, flow.ended, flow.reset, flow.sent, flow.in_flight, flow.acked, &flow.levels)
}

impl<'a> Line<'a> {
    pub(super) fn gateway(status: &Status) -> Line<'a> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Line::Gateway {
            epoch: hex(status.epoch),
            pid: status.pid,
            workers: status.workers,
            state: status.state.to_string(),
            protects: status.state.protects(),
            transitions: status.transitions,
            since_ns: status.since_ns,
            heartbeat_ns: status.heartbeat_ns,
            heartbeat_timeout_ns: status.heartbeat_timeout_ns,
            now_ns: now_ns(),
            unix_ns: since_1970.as_nanos() as u64,
        }
    }

    pub(super) fn restarted(epoch: u64) -> Line<'a> {
        Line::Restarted { epoch: hex(epoch) }
    }

    pub(super) fn code(code: &'a Code) -> Line<'a> {
        let bounds = code.bounds.each_ref().map(|bounds| &bounds[..code.levels]).into();
        Line::Code { generation: code.generation, code: &code.text, levels: code.levels, bounds }
    }

    pub(super) fn flow(flow: &'a FlowStatus, levels: usize) -> Line<'a> {
        Line::Flow {
            worker: flow.worker,
            slot: flow.slot,
            generation: flow.generation,
            local: flow.key.local().to_string(),
            remote: flow.key.remote().to_string(),
            status: match (flow.reset, flow.ended) {
                (true, _) => "reset",
                (_, true) => "closed",
                _ => "open",
            },
            anchored: !flow.unanchored,
            sent: flow.sent,
            in_flight: flow.in_flight,
            levels: &flow.levels[..levels.min(flow.levels.len())],
            acked: flow.acked,
            class_to: flow.class_to.into(),
            opened_ns: flow.opened_ns,
            now_ns: now_ns(),
        }
    }

    pub(super) fn flow_event(
        worker: usize,
        slot: u32,
        generation: u64,
        event: FlowEvent,
        key: Option<FlowKey>,
    ) -> Line<'a> {
        let event = match event {
            FlowEvent::Opened => "opened",
            FlowEvent::Closed => "closed",
            FlowEvent::Reset => "reset",
            FlowEvent::Evicted => "evicted",
            FlowEvent::Unanchored => "unanchored",
        };
        let [local, remote] = [FlowKey::local, FlowKey::remote]
            .map(|end| key.as_ref().map(|key| end(key).to_string()));
        Line::FlowEvent { worker, slot, generation, event, local, remote }
    }

    /// Any notice but of flows, which have names.
    pub(super) fn notice(worker: usize, notice: Notice) -> Option<Line<'a>> {
        Some(match notice {
            Notice::Repair {
                code_id,
                layer,
                flushed,
                base,
                stride,
                count,
                runs,
                made_ns,
                left_ns,
            } => Line::Repair {
                worker,
                code_id,
                layer,
                flushed,
                base,
                stride,
                count,
                runs,
                made_ns,
                left_ns,
            },
            Notice::State { old, new, at_ns } => {
                Line::State { worker, from: old.to_string(), to: new.to_string(), at_ns }
            }
            Notice::Code { generation } => Line::CodeSwitch { worker, generation },
            Notice::Flow { .. } => return None,
        })
    }

    /// Whether it was in a ring.
    pub(super) fn is_notice(&self) -> bool {
        use Line::*;
        matches!(self, Repair { .. } | State { .. } | CodeSwitch { .. } | FlowEvent { .. })
    }
}
