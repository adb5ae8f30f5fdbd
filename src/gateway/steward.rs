//! Control's desk: hands the supervisor what rooms heard, and the rooms what the supervisor wants.
//!
//! * **Does:** empties the mailboxes from the rooms, steps the [`Supervisor`] and, where the gateway has
//!   an address of its own on the WAN, the [`Neighbour`]; puts the outer header on
//!   what it sends, posts orders.
//! * **Fed by:** rooms that recover; whoever steps it, with the rooms' time.
//! * **Feeds:** the rooms.
//! * **Runs on:** control's thread every 10 ms, or the laboratory's in virtual time.
//! * **Must not:** wait for a room: what a full mailbox does not take is counted and gone.

use super::io::{Receive, Transmit};
use super::post::{self, DEPTH, Heard, ProtectOrder, RecoverOrder, mailbox};
use super::protect::Protect;
use super::recover::{Observer, Recover};
use crate::link::{Neighbour, Supervisor, What};
use crate::wire::Outer;

/// The traffic class of control packets where frames' classes are copied: CS6, network control
/// (RFC 4594, section 3.2).
const CONTROL_DSCP: u8 = 48;

/// See the module's head.
pub struct Steward {
    supervisor: Supervisor,
    outer: Outer,
    neighbour: Option<Neighbour>,
    /// The next hop's Ethernet address, as the rooms were told.
    hop: Option<[u8; 6]>,
    protect: Vec<post::Sender<ProtectOrder>>,
    recover: Vec<post::Sender<RecoverOrder>>,
    heard: Vec<post::Receiver<Heard>>,
    /// The peer's epoch, as the rooms were told.
    announced: Option<u32>,
    unposted: u64,
}

impl Steward {
    /// Without rooms yet. `outer` goes in front of what the supervisor sends; `neighbour` says to whom,
    /// if that is not known.
    pub fn new(supervisor: Supervisor, outer: Outer, neighbour: Option<Neighbour>) -> Steward {
        Steward {
            supervisor,
            outer,
            neighbour,
            hop: None,
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
        let Steward { supervisor, outer, neighbour, protect, unposted, heard, .. } = self;
        let mut post = |frame: Option<post::Parcel>| {
            let order = frame.map(ProtectOrder::Send);
            let posted = order.zip(protect.first()).is_some_and(|(order, room)| room.send(order));
            *unposted += u64::from(!posted);
        };
        for mailbox in heard {
            while let Some(heard) = mailbox.receive() {
                match (heard.what, &mut *neighbour) {
                    (What::Frame, Some(neighbour)) => {
                        neighbour.handle(now, heard.bytes.bytes(), &mut |frame| post(Some(frame)));
                    }
                    _ => supervisor.handle(now, &heard),
                }
            }
        }
        if let Some(neighbour) = neighbour {
            neighbour.poll(now, &mut |frame| post(Some(frame)));
        }
        let has_hop = neighbour.as_ref().is_none_or(|neighbour| neighbour.hop().is_some());
        supervisor.poll(now, &mut |parcel| {
            // Nobody to send it to is as a link that loses everything.
            if has_hop {
                post(outer.wrap(&parcel, CONTROL_DSCP));
            }
        });
        self.announce();
        self.point();
    }

    /// Tells the rooms where the next hop is, again if a mailbox was full.
    fn point(&mut self) {
        let Some(neighbour) = &mut self.neighbour else { return };
        while let Some(news) = neighbour.take_news() {
            let level = if news.is_bad() { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "wan: {news}");
        }
        if let Some(mac) = neighbour.hop().filter(|mac| self.hop != Some(*mac)) {
            self.outer.set_destination(mac);
            let told = self.protect.iter().map(|room| room.send(ProtectOrder::NextHop(mac)));
            if told.filter(|told| !told).count() == 0 {
                self.hop = Some(mac);
            }
        }
    }

    /// Tells the rooms of a new epoch of the peer, again if a mailbox was full.
    fn announce(&mut self) {
        let Some(epoch) = self.supervisor.peer_epoch().filter(|_| self.is_behind()) else { return };
        let told = self.recover.iter().map(|room| room.send(RecoverOrder::Epoch(epoch)));
        if told.filter(|told| !told).count() == 0 {
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
        let neighbour = self.neighbour.as_ref().and_then(Neighbour::next_deadline);
        [self.supervisor.next_deadline(), neighbour].into_iter().flatten().min()
    }
}
