//! Control's desk: hands the supervisor what rooms heard, and the rooms what the supervisor wants.
//!
//! * **Does:** empties the mailboxes from the rooms, steps the [`Supervisor`], puts the outer header on
//!   what it sends, posts orders.
//! * **Fed by:** rooms that recover; whoever steps it, with the rooms' time.
//! * **Feeds:** the rooms.
//! * **Runs on:** control's thread every 10 ms, or the laboratory's in virtual time.
//! * **Must not:** wait for a room: what a full mailbox does not take is counted and gone.

use zerocopy::IntoBytes;

use super::io::{Receive, Transmit};
use super::post::{self, DEPTH, Heard, ProtectOrder, RecoverOrder, mailbox};
use super::protect::Protect;
use super::recover::{Observer, Recover};
use super::settings::Outer;
use crate::link::Supervisor;

/// See the module's head.
pub struct Steward {
    supervisor: Supervisor,
    outer: Outer,
    protect: Vec<post::Sender<ProtectOrder>>,
    recover: Vec<post::Sender<RecoverOrder>>,
    heard: Vec<post::Receiver<Heard>>,
    /// The peer's epoch, as the rooms were told.
    announced: Option<u32>,
    unposted: u64,
}

impl Steward {
    /// Without rooms yet. `outer` goes in front of what the supervisor sends.
    pub fn new(supervisor: Supervisor, outer: Outer) -> Steward {
        Steward {
            supervisor,
            outer,
            protect: Vec::new(),
            recover: Vec::new(),
            heard: Vec::new(),
            announced: None,
            unposted: 0,
        }
    }

    /// Takes on a room that protects; the first one sends for control.
    pub fn take_on_protect<L: Receive, W: Transmit>(&mut self, room: &mut Protect<L, W>) {
        let (sender, orders) = mailbox(DEPTH);
        room.obey(orders);
        self.protect.push(sender);
    }

    /// Takes on a room that recovers.
    pub fn take_on_recover<W: Receive, L: Transmit, O: Observer>(
        &mut self,
        room: &mut Recover<W, L, O>,
    ) {
        let (sender, orders) = mailbox(DEPTH);
        let (heard, receiver) = mailbox(DEPTH);
        room.obey(self.recover.len() as u8, orders, heard);
        self.recover.push(sender);
        self.heard.push(receiver);
    }

    /// Does what there is to do at `now`, in the rooms' time.
    pub fn step(&mut self, now: u64) {
        let Steward { supervisor, outer, protect, unposted, heard, .. } = self;
        for mailbox in heard {
            while let Some(heard) = mailbox.receive() {
                supervisor.handle(now, &heard);
            }
        }
        let post = |parcel: post::Parcel| {
            let whole = parcel.behind(outer.ether.as_bytes()).map(ProtectOrder::Send);
            whole.zip(protect.first()).is_some_and(|(order, room)| room.send(order))
        };
        supervisor.poll(now, &mut |parcel| *unposted += u64::from(!post(parcel)));
        self.announce();
    }

    /// Tells the rooms of a new epoch of the peer, again if a mailbox was full.
    fn announce(&mut self) {
        let Some(epoch) = self.supervisor.peer_epoch().filter(|_| self.is_behind()) else { return };
        let told = self.recover.iter().map(|room| room.send(RecoverOrder::Epoch(epoch)));
        if told.fold(true, |all, told| all && told) {
            self.announced = Some(epoch);
        }
    }

    fn is_behind(&self) -> bool {
        self.announced != self.supervisor.peer_epoch()
    }

    /// What is known of the link.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The same, to be asked for something.
    pub fn supervisor_mut(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }

    /// Packets that no room had room for.
    pub fn unposted(&self) -> u64 {
        self.unposted
    }

    /// When [`Steward::step`] next has something to do if nothing is heard.
    pub fn next_deadline(&self) -> Option<u64> {
        self.supervisor.next_deadline()
    }
}
