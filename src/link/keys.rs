//! Which keys control packets are sealed with, and which ones the rooms need.
//!
//! * **Does:** steps the [`Handshake`], numbers what it agrees upon, seals what control says.
//! * **Fed by:** the [`super::Supervisor`], with handshake packets, which anybody may have sent.
//! * **Feeds:** the rooms, through whoever looks at [`Keys::receive`] and [`Keys::send`].
//! * **Runs on:** control's thread.
//! * **Must not:** take a handshake packet's word for anything but the handshake itself.

use super::event::Event;
use super::handshake::{Handshake, Message, Outcome, Session};
use crate::wire::control;
use crate::wire::parcel::Parcel;
use crate::wire::seal::{Mode, Purpose, Sealer};

/// So many messages that prove nothing, and none that does, are no accident.
const SEVERAL: u32 = 4;
/// For how long, in nanoseconds.
const PATIENCE: u64 = 3_000_000_000;

/// A session that both ends have agreed upon, with a number: that of a later one is larger.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// From 1.
    pub number: u32,
    /// Its keys.
    pub session: Session,
}

/// See the module's head.
pub struct Keys {
    handshake: Handshake,
    /// Under which the peer may send, and which is never an earlier one than before.
    receive: Option<Agreed>,
    /// Under which we send.
    send: Option<(Agreed, Sealer)>,
    /// Messages that proved nothing since one did, and since when.
    strange: u32,
    strange_since: u64,
    /// What was said since the peer was last up.
    said_key: bool,
    said_mode: bool,
}

impl Keys {
    /// Nothing is agreed upon yet.
    pub fn new(handshake: Handshake) -> Keys {
        Keys {
            handshake,
            receive: None,
            send: None,
            strange: 0,
            strange_since: 0,
            said_key: false,
            said_mode: false,
        }
    }

    /// What keys do.
    pub fn mode(&self) -> Mode {
        self.handshake.mode()
    }

    /// What the peer's packets open with from now on. Where rooms have older ones, these go on until
    /// the first packet opens with the new.
    pub fn receive(&self) -> Option<&Agreed> {
        self.receive.as_ref()
    }

    /// What our packets are sealed with.
    pub fn send(&self) -> Option<&Agreed> {
        self.send.as_ref().map(|(agreed, _)| agreed)
    }

    /// A message has come, of whomever. Whether we send under new keys from now on; `None` if it proved
    /// nothing. `up` says that the peer is there.
    pub(super) fn hear(
        &mut self,
        now: u64,
        sender: control::Sender,
        message: &[u8],
        up: bool,
        events: &mut Vec<Event>,
    ) -> Option<bool> {
        if up {
            (self.said_key, self.said_mode) = (false, false);
        }
        let outcome = self.handshake.handle(now, message);
        match outcome {
            Outcome::Ignored => {
                self.wonder(now, up, events);
                return None;
            }
            Outcome::OtherMode(there) if !up && !self.said_mode => {
                self.said_mode = true;
                events.push(Event::OtherMode { here: self.mode(), there });
            }
            Outcome::OtherMode(_) | Outcome::Taken => {}
            Outcome::Expected => self.expect(self.handshake.expected().cloned()),
            Outcome::Established => {
                self.expect(self.handshake.session().cloned());
                self.send = self.receive.clone().map(|agreed| {
                    let (key, mode) = (&agreed.session.send, self.mode());
                    let sealer = Sealer::new(key, Purpose::Control, mode, sender.channel);
                    events.push(Event::Keys { mode, epoch: agreed.session.peer_epoch });
                    (agreed, sealer)
                });
            }
        }
        self.strange = 0;
        Some(outcome == Outcome::Established)
    }

    /// The peer may send under these keys, unless that is known.
    fn expect(&mut self, session: Option<Session>) {
        let before = self.receive.as_ref();
        if let Some(session) = session
            && before.is_none_or(|agreed| agreed.session != session)
        {
            let number = before.map_or(0, |agreed| agreed.number) + 1;
            self.receive = Some(Agreed { number, session });
        }
    }

    /// A message has proved nothing.
    fn wonder(&mut self, now: u64, up: bool, events: &mut Vec<Event>) {
        if self.strange == 0 {
            self.strange_since = now;
        }
        self.strange = self.strange.saturating_add(1);
        let long = now.saturating_sub(self.strange_since) >= PATIENCE;
        if long && self.strange >= SEVERAL && !up && !self.said_key {
            self.said_key = true;
            events.push(Event::OtherKey);
        }
    }

    /// The next message that is to be sent by `now`.
    pub(super) fn poll(&mut self, now: u64) -> Option<Message> {
        self.handshake.poll(now)
    }

    /// When [`Keys::poll`] next has something to do if nothing comes.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.handshake.next_deadline()
    }

    /// A control packet under the present keys; `None` if there are none, or the fields are too long.
    pub(super) fn seal(
        &self,
        sender: control::Sender,
        number: u64,
        kind: control::Type,
        fields: &[u8],
    ) -> Option<Parcel> {
        let (_, sealer) = self.send.as_ref()?;
        control::emit_sealed(sender, number, kind, fields, sealer)
    }
}
