//! Reading a worker's notices.

use std::fmt;
use std::sync::Arc;

use super::Subscriber;
use super::attachment::Attachment;
use crate::notice::WORDS;
use crate::ring::{Read, RingReader};
use crate::{Notice, now_ns};

/// Looks that find nothing, between two looks at the gateway's heartbeat.
const IDLE_LOOKS: u32 = 64;

/// One reader of a worker's ring. It disturbs nobody, however slow.
pub struct Notices {
    subscriber: Subscriber,
    attachment: Arc<Attachment>,
    worker: usize,
    ring: RingReader,
    idle: u32,
}

/// What a look brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next notice.
    Notice(Notice),
    /// So many notices, exactly, were overwritten before they were read. Loss is no error: watermarks say
    /// all that the notices said.
    Missed(u64),
    /// Another gateway has taken the place of the one before: its notices follow, from its first.
    Restarted {
        /// Its epoch.
        epoch: u64,
    },
}

impl Notices {
    pub(super) fn new(
        subscriber: Subscriber,
        attachment: Arc<Attachment>,
        worker: usize,
    ) -> Notices {
        let geometry = attachment.header().geometry;
        let ring = RingReader::new(Arc::clone(attachment.memory()), &geometry, worker);
        Notices { subscriber, attachment, worker, ring, idle: 0 }
    }

    /// The next one, if there is one. Never waits.
    pub fn poll(&mut self) -> Option<Event> {
        loop {
            match self.ring.read::<WORDS>() {
                Read::Words(words) => match Notice::from_words(words) {
                    Some(notice) => return Some(Event::Notice(notice)),
                    // Of a kind that this version has no name for.
                    None => continue,
                },
                Read::Missed(missed) => return Some(Event::Missed(missed)),
                Read::Empty => {}
            }
            self.idle = self.idle.wrapping_add(1);
            if !self.idle.is_multiple_of(IDLE_LOOKS) || self.attachment.lives(now_ns()) {
                return None;
            }
            return self.follow();
        }
    }

    /// Whether the gateway whose notices these are lives.
    pub fn alive(&self) -> bool {
        self.attachment.lives(now_ns())
    }

    #[cold]
    fn follow(&mut self) -> Option<Event> {
        let attachment = self.subscriber.attachment().ok()?;
        let header = attachment.header();
        if header.epoch == self.attachment.header().epoch {
            // The same gateway, which had only been late.
            self.attachment = attachment;
            return None;
        }
        if self.worker >= header.geometry.workers {
            return None;
        }
        let epoch = header.epoch;
        // None of what it has said was there to be read before.
        let memory = Arc::clone(attachment.memory());
        self.ring = RingReader::from_first(memory, &header.geometry, self.worker);
        self.attachment = attachment;
        Some(Event::Restarted { epoch })
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("worker", &self.worker).finish_non_exhaustive()
    }
}
