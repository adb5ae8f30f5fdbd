//! Control's desk: hands the supervisor what rooms heard, and the rooms what the supervisor wants.
//!
//! * **Does:** empties the mailboxes from the rooms, steps the [`Supervisor`] and, where the gateway has
//!   an address of its own on the WAN, the [`Neighbour`]; puts the outer header on
//!   what it sends, posts orders.
//! * **Fed by:** rooms that recover; whoever steps it, with the rooms' time.
//! * **Feeds:** the rooms.
//! * **Runs on:** control's thread every 10 ms, or the laboratory's in virtual time.
//! * **Must not:** wait for a room: what a full mailbox does not take is counted and gone.

use std::sync::Arc;

use super::io::{Receive, Transmit};
use super::post::{self, DEPTH, Heard, Obeyed, ProtectOrder, RecoverOrder, mailbox};
use super::protect::Protect;
use super::recover::{Observer, Recover};
use crate::control::counters::RecoverCounters;
use crate::link::{Mode, Neighbour, PeerDown, Supervisor, Traffic, What, Wishes};
use crate::wire::Outer;

/// The traffic class of control packets where frames' classes are copied: CS6, network control
/// (RFC 4594, section 3.2).
pub(super) const CONTROL_DSCP: u8 = 48;

/// See the module's head.
pub struct Steward {
    supervisor: Supervisor,
    outer: Outer,
    neighbour: Option<Neighbour>,
    /// The next hop's Ethernet address, as the rooms were told.
    hop: Option<[u8; 6]>,
    protect: Vec<Protecting>,
    recover: Vec<Recovering>,
    policy: PeerDown,
    wishes: Wishes,
    /// The peer's epoch, as the rooms were told.
    announced: Option<u32>,
    /// The round trip, as the rooms were told, in nanoseconds.
    round_trip: u64,
    unposted: u64,
}

/// A room that protects.
struct Protecting {
    orders: post::Sender<ProtectOrder>,
    /// What it was last told.
    mode: Mode,
    obeyed: Obeyed,
}

/// A room that recovers.
struct Recovering {
    orders: post::Sender<RecoverOrder>,
    heard: post::Receiver<Heard>,
    counters: Arc<RecoverCounters>,
}

impl Steward {
    /// Without rooms yet. `outer` goes in front of what the supervisor sends; `neighbour` says to whom,
    /// if that is not known.
    pub fn new(
        supervisor: Supervisor,
        outer: Outer,
        neighbour: Option<Neighbour>,
        policy: PeerDown,
    ) -> Steward {
        Steward {
            supervisor,
            outer,
            neighbour,
            hop: None,
            protect: Vec::new(),
            recover: Vec::new(),
            policy,
            wishes: Wishes::default(),
            announced: None,
            round_trip: 0,
            unposted: 0,
        }
    }

    /// Takes on a room that protects; the first one sends for control.
    pub fn take_on_protect<L: Receive, W: Transmit>(&mut self, room: &mut Protect<L, W>) {
        let (sender, orders) = mailbox(DEPTH);
        let obeyed = Obeyed::default();
        room.obey(orders, obeyed.clone());
        self.protect.push(Protecting { orders: sender, mode: Mode::Protect, obeyed });
    }

    /// Takes on a room that recovers.
    pub fn take_on_recover<W: Receive, L: Transmit, O: Observer>(
        &mut self,
        room: &mut Recover<W, L, O>,
    ) {
        let (sender, orders) = mailbox(DEPTH);
        let (heard, receiver) = mailbox(DEPTH);
        room.obey(self.recover.len() as u8, orders, heard);
        let counters = room.counters();
        self.recover.push(Recovering { orders: sender, heard: receiver, counters });
    }

    /// Hears, decides and says what there is to say at `now`, in the rooms' time. [`Steward::direct`]
    /// follows, once readers know of [`Steward::is_bypassed`] and of the peer.
    pub fn step(&mut self, now: u64) {
        let traffic = self.traffic();
        let Steward { supervisor, outer, neighbour, protect, recover, unposted, .. } = self;
        supervisor.observe(now, traffic);
        let mut post = |frame: Option<post::Parcel>| {
            let order = frame.map(ProtectOrder::Send);
            let first = order.zip(protect.first());
            *unposted += u64::from(!first.is_some_and(|(order, room)| room.orders.send(order)));
        };
        for room in recover {
            // No more than it holds: a flood fills it as fast as it is emptied.
            for heard in std::iter::from_fn(|| room.heard.receive()).take(DEPTH) {
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
        self.time();
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
            let told = |room: &&Protecting| room.orders.send(ProtectOrder::NextHop(mac));
            if self.protect.iter().filter(told).count() == self.protect.len() {
                self.hop = Some(mac);
            }
        }
    }

    fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for Recovering { counters, .. } in &self.recover {
            let protected = counters.delivered.get().wrapping_sub(counters.bypassed.get());
            traffic.accepted = traffic
                .accepted
                .wrapping_add(protected)
                .wrapping_add(counters.repair_received.get());
            traffic.other_version += counters.bad_version.get();
            traffic.other_channel += counters.unknown_channel.get();
        }
        traffic
    }

    /// What shall become of frames from the LAN.
    pub fn mode(&self) -> Mode {
        Mode::of(self.wishes, self.supervisor.peer().is_up(), self.policy)
    }

    /// Whether frames cross unprotected, or soon will.
    pub fn is_bypassed(&self) -> bool {
        let bypasses =
            |room: &Protecting| room.mode == Mode::Bypass || room.obeyed.is(Mode::Bypass);
        self.mode() == Mode::Bypass || self.protect.iter().any(bypasses)
    }

    /// Whether nothing is taken in any more, and all that was taken in has left the rooms.
    pub fn is_drained(&self) -> bool {
        self.mode() == Mode::Drain && self.protect.iter().all(|room| room.obeyed.is_drained())
    }

    /// Tells the rooms what shall become of frames; a room whose mailbox is full hears it next time.
    pub fn direct(&mut self) {
        let mode = self.mode();
        for room in self.protect.iter_mut().filter(|room| room.mode != mode) {
            if room.orders.send(ProtectOrder::Mode(mode)) {
                room.mode = mode;
            }
        }
    }

    /// What the operator has asked for.
    pub fn wishes(&self) -> Wishes {
        self.wishes
    }

    /// The operator asks for this.
    pub fn wish(&mut self, wishes: Wishes) {
        self.wishes = wishes;
    }

    /// What happens while the peer is down.
    pub fn set_policy(&mut self, policy: PeerDown) {
        self.policy = policy;
    }

    /// Tells the rooms of a new epoch of the peer, again if a mailbox was full.
    fn announce(&mut self) {
        let Some(epoch) = self.supervisor.peer_epoch().filter(|_| self.is_behind()) else { return };
        // All of them: one whose mailbox is full does not keep it from the others.
        let told = |room: &&Recovering| room.orders.send(RecoverOrder::Epoch(epoch));
        if self.recover.iter().filter(told).count() == self.recover.len() {
            self.announced = Some(epoch);
        }
    }

    /// Tells the rooms how long an answer may take, when that is worth telling.
    fn time(&mut self) {
        let Some(trip) = self.supervisor.peer().round_trip() else { return };
        let trip = trip.mean + 4 * trip.variation;
        if trip.abs_diff(self.round_trip) > self.round_trip / 8 {
            let told = |room: &&Recovering| room.orders.send(RecoverOrder::RoundTrip(trip));
            if self.recover.iter().filter(told).count() == self.recover.len() {
                self.round_trip = trip;
            }
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
