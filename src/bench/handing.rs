//! The `dispatch` room, handing bursts to coding cores that are not there: their queues are emptied
//! between rounds. So it is what the dispatching core has to do for a packet; what it costs to get
//! the queues' lines from another core's cache and back comes to it.

use super::stage::StageError;
use crate::dpdk::mbuf::{self, Burst};
use crate::dpdk::{Eal, Mempool, RxQueue, TxQueue, joined};
use crate::gateway::{Dispatch, Spread};

/// Coding cores that packets are handed to.
pub const CODING: u16 = 4;

/// The room, and the far ends of its queues.
pub struct Handing {
    /// The room.
    pub room: Dispatch<RxQueue, TxQueue>,
    far: Vec<RxQueue>,
}

impl Handing {
    /// From `from`, which brings rounds of up to `round` packets, each to the coding core of its flow.
    /// `worker` is part of the queues' names.
    pub fn new(
        eal: &Eal,
        worker: usize,
        from: RxQueue,
        round: usize,
        pool: &Mempool,
    ) -> Result<Handing, StageError> {
        // All packets may be of one flow.
        let (near, far) = joined(eal, &format!("coding{worker}"), round as u32, pool, CODING)?;
        let targets = (0..CODING).map(|n| near.tx_queue(n)).collect::<Result<_, _>>()?;
        let far = (0..CODING).map(|n| far.rx_queue(n)).collect::<Result<_, _>>()?;
        Ok(Handing { room: Dispatch::new(Spread::Flows, from, targets), far })
    }

    /// Frees what was handed over.
    pub fn empty(&mut self) {
        let mut burst = Burst::new();
        for queue in &mut self.far {
            while queue.burst(&mut burst) > 0 {
                mbuf::free(&mut burst);
            }
        }
    }
}
