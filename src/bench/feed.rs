//! What puts a round's packets into the ring, untimed.

use super::frames::{Size, fill, set_flow, set_segment};
use super::rows::Case;
use crate::dpdk::mbuf::{self, BURST, Burst};
use crate::dpdk::{Mempool, TxQueue};

/// Packets that hold frames, each always in the same place, and where they go.
pub(super) struct Feed {
    size: Size,
    pool: Mempool,
    ring: TxQueue,
    flows: Option<Flows>,
}

/// Flows that frames belong to in turn.
struct Flows {
    count: u32,
    next: u32,
    /// How far each has come, if they are streams.
    streams: Vec<u32>,
}

impl Feed {
    /// Writes a frame into every mbuf of `pool`, where it stays: headers go in front of it.
    pub(super) fn new(case: &Case, pool: Mempool, ring: TxQueue) -> Feed {
        let longest = usize::from(case.size.longest());
        let mut mbufs = Vec::with_capacity(pool.count() as usize);
        while let Some(mut mbuf) = pool.alloc() {
            if let Some(frame) = mbuf.append(longest) {
                fill(frame, mbufs.len());
            }
            mbufs.push(mbuf);
        }
        drop(mbufs);
        let flows = case.flows.map(|count| {
            let streams = if case.streams { vec![0; count as usize] } else { Vec::new() };
            Flows { count, next: 0, streams }
        });
        Feed { size: case.size, pool, ring, flows }
    }

    /// Puts `round` packets into the ring; returns their frames' bytes.
    pub(super) fn supply(&mut self, round: usize) -> u64 {
        let mut bytes = 0;
        let mut burst = Burst::new();
        for first in (0..round).step_by(BURST) {
            if !self.pool.alloc_bulk(&mut burst, BURST) {
                unreachable!("the pool holds a round and all that is kept");
            }
            for (n, mbuf) in (first..).zip(&mut burst) {
                // The frame is there already.
                let Some(frame) = mbuf.append(usize::from(self.size.of(n))) else { continue };
                bytes += frame.len() as u64;
                if let Some(flows) = &mut self.flows {
                    match flows.streams.get_mut(flows.next as usize) {
                        Some(seq) => {
                            *seq = seq.wrapping_add(set_segment(frame, flows.next, *seq));
                        }
                        None => set_flow(frame, flows.next),
                    }
                    flows.next = if flows.next + 1 < flows.count { flows.next + 1 } else { 0 };
                }
            }
            self.ring.burst(&mut burst);
            mbuf::free(&mut burst);
        }
        bytes
    }
}
