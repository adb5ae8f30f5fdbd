//! Which keys the gateways have agreed upon, so that it can be said of each packet under which.

use maelstrom::link::Keys;
use maelstrom::wire::seal::SessionKey;

use crate::ledger::{Receiver, Sender};

/// The sessions' keys of both directions, numbered from 1.
#[derive(Default)]
pub struct Sessions {
    keys: [Vec<SessionKey>; 2],
    /// What each end has now: what it seals with, and what it opens.
    present: [[u16; 2]; 2],
    /// Whether the sender of each direction ever changed keys: a group that was begun under other keys is
    /// none under these.
    pub mixed: [bool; 2],
    /// When anybody agreed upon new keys last.
    pub agreed_at: u64,
}

impl Sessions {
    fn number(&mut self, direction: usize, key: &SessionKey) -> u16 {
        let keys = &mut self.keys[direction];
        let at = keys.iter().rposition(|other| other == key).unwrap_or_else(|| {
            keys.push(key.clone());
            keys.len() - 1
        });
        at as u16 + 1
    }

    /// Tells the ledgers of an end what it has agreed upon, if that is news.
    pub fn follow(
        &mut self,
        now: u64,
        e: usize,
        keys: &Keys,
        sender: &mut Sender,
        receiver: &mut Receiver,
    ) {
        if let Some(agreed) = keys.receive() {
            let number = self.number(1 - e, &agreed.session.receive);
            if self.present[e][1] != number {
                self.present[e][1] = number;
                self.agreed_at = now;
                receiver.agreed(number);
            }
        }
        if let Some(agreed) = keys.send() {
            let key = &agreed.session.send;
            let number = self.number(e, key);
            if self.present[e][0] != number {
                self.present[e][0] = number;
                self.agreed_at = now;
                self.mixed[e] |= sender.agreed(number, key);
            }
        }
    }

    /// How many sessions there were.
    pub fn count(&self) -> u64 {
        self.keys[0].len() as u64
    }
}
