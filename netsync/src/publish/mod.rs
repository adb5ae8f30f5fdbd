//! The gateway's side: what it writes, and which of its threads may.
//!
//! * **Does:** makes a segment, and writes it.
//! * **Fed by:** the gateway's rooms and its control thread.
//! * **Feeds:** readers that it does not know and never waits for.
//! * **Runs on:** [`Control`], each [`WorkerWriter`] and each [`AckWriter`] on one thread at a time;
//!   they are handed out once, and can't be copied.
//! * **Must not:** allocate, lock, make a syscall or panic, once the segment is made.

mod ack;
mod control;
mod worker;

pub use ack::{AckWriter, Acknowledged, Place};
pub use control::{Control, InFlight};
pub use worker::{Closed, Opened, Slot, WorkerWriter};

#[cfg(not(feature = "loom"))]
pub use create::{CreateError, Segment, SegmentConfig};

#[cfg(not(feature = "loom"))]
mod create {
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::rand::{GetRandomFlags, getrandom};
    use thiserror::Error;

    use super::{AckWriter, Control, WorkerWriter};
    use crate::layout::{Geometry, Header, LayoutError};
    use crate::memory::Memory;

    /// How large a segment is, and how patient its readers.
    #[derive(Clone, Debug)]
    pub struct SegmentConfig {
        /// How many of what; [`Geometry::check`] says what it may be.
        pub geometry: Geometry,
        /// A heartbeat older than this is a dead gateway's.
        pub heartbeat_timeout: Duration,
    }

    impl SegmentConfig {
        /// Rings of 65536 notices, 4096 flows a worker, a heartbeat timeout of 100 ms.
        pub fn new(workers: usize, ack_writers: usize) -> SegmentConfig {
            SegmentConfig {
                geometry: Geometry { workers, ack_writers, ring: 1 << 16, flows: 1 << 12 },
                heartbeat_timeout: Duration::from_millis(100),
            }
        }
    }

    /// Why there is no segment.
    #[derive(Debug, Error)]
    pub enum CreateError {
        /// Its configuration is beyond a limit.
        #[error(transparent)]
        Layout(#[from] LayoutError),
        /// The kernel refused.
        #[error("can't make a segment of {bytes} bytes: {source}")]
        Memory {
            /// How many it was to have.
            bytes: usize,
            /// Why not.
            source: Errno,
        },
    }

    /// A new segment, and who may write what of it.
    #[derive(Debug)]
    pub struct Segment {
        /// The sealed file, for a [`crate::Server`] to hand out.
        pub file: OwnedFd,
        /// For the control thread.
        pub control: Control,
        /// One for each worker that protects, in order.
        pub workers: Vec<WorkerWriter>,
        /// One for each room that reads acknowledgements.
        pub acks: Vec<AckWriter>,
    }

    impl Segment {
        /// Makes one of a new epoch, with a heartbeat of now, no code and no flows.
        pub fn create(config: &SegmentConfig) -> Result<Segment, CreateError> {
            let geometry = config.geometry;
            geometry.check()?;
            let bytes = geometry.lines() * crate::layout::LINE;
            let failed = |source| CreateError::Memory { bytes, source };
            let (memory, file) = Memory::create(geometry.lines()).map_err(failed)?;
            let mut random = [[0; 8]; 2];
            getrandom(random.as_flattened_mut(), GetRandomFlags::empty()).map_err(failed)?;
            let [epoch, hash_seed] = random.map(u64::from_ne_bytes);
            let header = Header {
                geometry,
                epoch: epoch.max(1),
                pid: u64::from(std::process::id()),
                hash_seed,
                heartbeat_timeout_ns: config.heartbeat_timeout.as_nanos() as u64,
            };
            let constants = memory.lines()[..2].iter().flat_map(|line| &line.0);
            constants.zip(header.emit()).for_each(|(word, value)| word.put(value));
            let memory = Arc::new(memory);
            let mut control = Control::new(Arc::clone(&memory), &header);
            control.heartbeat(crate::now_ns());
            let worker = |i| WorkerWriter::new(Arc::clone(&memory), &header, i);
            let ack = |i| AckWriter::new(Arc::clone(&memory), &header, i);
            Ok(Segment {
                file,
                control,
                workers: (0..geometry.workers).map(worker).collect(),
                acks: (0..geometry.ack_writers).map(ack).collect(),
            })
        }
    }
}
