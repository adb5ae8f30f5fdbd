//! Network-sync in the laboratory: gateway west publishes as in `maelstrom run`, on a real socket, and
//! a reader that came in through it says when it saw each packet's bytes at each level.
//!
//! The reader looks whenever something has happened, in virtual time: what it sees is what a reader that
//! polls would see, without the time that polling takes (`maelstrom bench --notices` has that).

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use netsync::{
    Control, FlowKey, FlowStatus, Segment as Shared, SegmentConfig, Server, ServerConfig,
    Subscriber, now_ns,
};

use super::loss::LossModel;
use super::measure::{Percentiles, Times};
use super::simulate::LabError;
use crate::fec::code::MAX_LAYERS;
use crate::gateway::Blueprint;
use crate::gateway::flows::{Exit, Filter, Publisher, PublisherConfig, Rule, Told, bounds};
use crate::wire::tcp::{Flag, Segment};

/// Flows that are tracked at once.
const FLOWS: usize = 256;
/// Who may read.
const MODE: u32 = 0o600;

/// A TCP frame from the LAN.
pub struct Arrival {
    at: u64,
    key: FlowKey,
    segment: Segment,
}

/// Notes TCP frames as they arrive.
pub struct Arrivals {
    filter: Filter,
    list: Vec<Arrival>,
}

impl Arrivals {
    /// A frame has arrived.
    pub(super) fn note(&mut self, at: u64, frame: &[u8]) {
        let Some(segment) = Segment::parse(frame) else { return };
        if let Some(key) = self.filter.outbound(&segment) {
            self.list.push(Arrival { at, key, segment });
        }
    }
}

/// A flow, and when its bytes arrived: up to which offset, when.
struct Followed {
    key: FlowKey,
    base_seq: u32,
    end: u64,
    waiting: [VecDeque<(u64, u64)>; MAX_LAYERS],
}

/// The gateway's side of it, and the reader.
pub(super) struct Reader {
    control: Control,
    _server: Server,
    subscriber: Subscriber,
    followed: Vec<Followed>,
    levels: Vec<Times>,
}

impl Reader {
    /// Opens the socket and connects to it. Returns what west's protecting room publishes through, and
    /// what notes the frames that it gets.
    pub(super) fn start(
        socket: &Path,
        west: &Blueprint,
        loss: &LossModel,
    ) -> Result<(Reader, Publisher, Arrivals), LabError> {
        let mut config = SegmentConfig::new(1, 1);
        config.geometry.flows = FLOWS;
        let Shared { file, mut control, mut workers, .. } =
            Shared::create(&config).map_err(told)?;
        let levels = west.code.layers().len();
        let news = Arc::new(Told::default());
        let worth =
            bounds(&west.code, west.sparse.as_ref(), west.timing.flush_cap, loss.in_general());
        news.code(control.publish_code(&west.code.to_string(), levels, &worth));
        control.heartbeat(now_ns());
        let server = ServerConfig { path: socket.to_owned(), mode: MODE, group: None };
        let server = Server::start(&server, file).map_err(told)?;
        let subscriber = Subscriber::connect(socket).map_err(told)?;
        // All of them.
        let filter = Filter::new(&[Rule::default()]);
        let publisher = PublisherConfig {
            filter: filter.clone(),
            flows: FLOWS,
            levels,
            span: west.span(),
            exit: Exit::default(),
            idle: None,
            clock: 0,
            told: news,
        };
        let Some(writer) = workers.pop() else { unreachable!("one worker was asked for") };
        let reader = Reader {
            control,
            _server: server,
            subscriber,
            followed: Vec::new(),
            levels: (0..levels).map(|_| Times::default()).collect(),
        };
        Ok((reader, Publisher::new(publisher, writer), Arrivals { filter, list: Vec::new() }))
    }

    /// Takes in what has arrived, and looks at every flow.
    pub(super) fn look(&mut self, now: u64, arrivals: &mut Arrivals) {
        self.control.heartbeat(now_ns());
        for arrival in arrivals.list.drain(..) {
            self.arrived(&arrival);
        }
        let Ok(flows) = self.subscriber.flows() else { return };
        for status in flows {
            self.see(now, &status);
        }
    }

    fn arrived(&mut self, arrival: &Arrival) {
        let Arrival { at, key, segment } = arrival;
        let syn = segment.has(Flag::Syn);
        let known = self.followed.iter_mut().rev().find(|flow| flow.key == *key);
        let flow = match known {
            // The same ends again are another flow.
            Some(flow) if !syn || flow.base_seq == segment.data_seq() => flow,
            _ => {
                let base_seq = segment.data_seq();
                let waiting = std::array::from_fn(|_| VecDeque::new());
                self.followed.push(Followed { key: *key, base_seq, end: 0, waiting });
                let Some(flow) = self.followed.last_mut() else { return };
                flow
            }
        };
        let start = segment.data_seq().wrapping_sub(flow.base_seq).wrapping_sub(flow.end as u32);
        let end = flow.end as i64 + i64::from(start as i32) + i64::from(segment.len);
        // Bytes that come again are not waited for.
        if end > flow.end as i64 && segment.len > 0 {
            flow.end = end as u64;
            flow.waiting.iter_mut().for_each(|level| level.push_back((flow.end, *at)));
        }
    }

    fn see(&mut self, now: u64, status: &FlowStatus) {
        let known = self.followed.iter_mut().rev().find(|flow| flow.key == status.key);
        let Some(flow) = known else { return };
        for ((waiting, times), &level) in
            flow.waiting.iter_mut().zip(&mut self.levels).zip(&status.levels)
        {
            while let Some(&(end, at)) = waiting.front().filter(|&&(end, _)| end <= level) {
                debug_assert!(end <= flow.end);
                times.record(now - at);
                waiting.pop_front();
            }
        }
    }

    /// From a packet's arrival until the reader saw it at level 1, 2 and so on.
    pub(super) fn percentiles(&self) -> Vec<Percentiles> {
        self.levels.iter().map(Times::percentiles).collect()
    }
}

fn told(error: impl std::error::Error) -> LabError {
    LabError::Netsync(error.to_string())
}
