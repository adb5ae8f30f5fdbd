//! The rooms' keys: control makes them, lends them to rooms, and drops them when it has them back.
//!
//! They hold memory, which a room neither allocates nor frees. A room holds two sets at most, and what
//! comes back waits in a mailbox; as no more are lent than that holds, there is always room in it.

use super::{Protecting, Recovering};
use crate::gateway::post::{self, ProtectOrder, RecoverOrder, mailbox};
use crate::link::Supervisor;
use crate::link::keys::Agreed;
use crate::wire::seal::{Opening, Sealing};

/// Sets that are with a room or on their way, at most.
const LENT: usize = 4;

/// What is lent to a room.
pub(super) struct Loan<T> {
    /// The number of the newest.
    number: u32,
    lent: usize,
    returned: post::Receiver<T>,
}

impl<T> Loan<T> {
    /// Nothing yet; and where the room puts what it gives back.
    pub(super) fn new() -> (post::Sender<T>, Loan<T>) {
        let (spent, returned) = mailbox(LENT);
        (spent, Loan { number: 0, lent: 0, returned })
    }

    /// Lends keys of this number, unless the room has them, or holds too many, or `send` fails.
    fn lend(&mut self, number: u32, send: impl FnOnce() -> bool) {
        while self.returned.receive().is_some() {
            self.lent = self.lent.saturating_sub(1);
        }
        if self.number != number && self.lent < LENT && send() {
            (self.number, self.lent) = (number, self.lent + 1);
        }
    }
}

/// Gives each room the keys of its channel that it has not yet; one that could not take them gets them next
/// time.
pub(super) fn hand_out(
    supervisor: &Supervisor,
    protect: &mut [Protecting],
    recover: &mut [Recovering],
) {
    let Some(keys) = supervisor.keys() else { return };
    let mode = keys.mode();
    if let Some(Agreed { number, session }) = keys.receive() {
        let (number, epoch) = (*number, session.peer_epoch);
        for Recovering { orders, channel: (channel, max_frame), keys, .. } in recover {
            keys.lend(number, || {
                let opening = Opening::new(&session.receive, mode, *channel, epoch, *max_frame);
                orders.send(RecoverOrder::Keys { epoch, number, opening })
            });
        }
    }
    if let Some(Agreed { number, session }) = keys.send() {
        for Protecting { orders, channel, keys, .. } in protect {
            keys.lend(*number, || {
                orders.send(ProtectOrder::Keys(Sealing::new(&session.send, mode, *channel)))
            });
        }
    }
}
