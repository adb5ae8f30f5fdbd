//! Which entry of the gateway's table is a flow's own.
//!
//! A flow is *bound* to the entry in which it was found. When the entry becomes another's, or the
//! gateway another, it is looked for again. Ends alone don't make an entry its own: another connection
//! may have had the same ends before, or have them now.

use std::os::fd::AsFd;

use super::WaitError;
use super::anchor::Anchor;
use super::attachment::{Attachment, Found};
use super::flow::{Bound, Flow};
use crate::kernel::Tcp;

impl Flow {
    pub(super) fn bind(&mut self, now: u64) -> Result<(), WaitError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        if self.bound.as_ref().is_some_and(|bound| bound.attachment.lives(now)) {
            return Ok(());
        }
        self.bound = None;
        let attachment = self.subscriber.attachment()?;
        // A table of a gateway that has just died may still tell of an earlier connection.
        if !attachment.is_connected() {
            return Err(WaitError::Dead);
        }
        let found = attachment.find(&self.key).ok_or(WaitError::NotTracked)?;
        let epoch = attachment.header().epoch;
        self.admit(epoch, &found)?;
        if self.last != Some((epoch, found)) {
            self.binding += 1;
        }
        self.last = Some((epoch, found));
        let anchor = self.first_anchor(&attachment, &found);
        self.bound = Some(Bound { attachment, found, anchor });
        Ok(())
    }

    /// Whether an entry with its key is its own. The first one is: a connection's entry is there
    /// before its SYN leaves. One of a later SYN can't be. One that was picked up in mid-stream is, if
    /// the kernel still has the connection: no other can have its ends then.
    fn admit(&mut self, epoch: u64, found: &Found) -> Result<(), WaitError> {
        if let Some(socket) = &self.socket
            && !Tcp::of(socket.file.as_fd()).is_ok_and(|tcp| !tcp.closed)
        {
            return Err(WaitError::Reset);
        }
        match self.last {
            None => return Ok(()),
            Some(last) if last == (epoch, *found) => return Ok(()),
            Some(_) if self.socket.is_some() && found.identity.unanchored => return Ok(()),
            Some(_) => {}
        }
        self.ended = Some(WaitError::Reused);
        Err(WaitError::Reused)
    }

    fn first_anchor(&mut self, attachment: &Attachment, found: &Found) -> Anchor {
        let identity = &found.identity;
        if !identity.unanchored {
            self.first_seq = Some(identity.base_seq);
            return Anchor::fixed(0);
        }
        let known = self.first_seq.zip(self.socket.as_ref());
        let anchor = known.and_then(|(first, socket)| {
            let ours = Tcp::of(socket.file.as_fd()).ok()?.sent();
            let theirs = attachment.entry(found).sample(identity.generation)?.sent;
            Anchor::by_sequence(first, identity.base_seq, ours, theirs)
        });
        anchor.unwrap_or_default()
    }

    /// Its entry is another's: whose?
    #[cold]
    pub(super) fn lost(&mut self) -> WaitError {
        let Some(bound) = self.bound.take() else { return WaitError::NotTracked };
        let reason = match bound.attachment.entry(&bound.found).identity() {
            Some(identity) if identity.key != self.key => WaitError::Evicted,
            Some(identity) if !identity.unanchored => WaitError::Reused,
            _ => WaitError::Renewed,
        };
        // Without a socket, nothing tells whether a later entry is the same connection's.
        if reason == WaitError::Reused || self.socket.is_none() {
            self.ended = Some(reason.clone());
        }
        reason
    }
}
