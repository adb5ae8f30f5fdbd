//! Control's desk: hands the supervisor what rooms heard, and the rooms what the supervisor wants.
//!
//! * **Does:** empties the mailboxes from the rooms, steps the [`Supervisor`] and, where the gateway has
//!   an address of its own on the WAN, the [`Neighbour`]; puts the outer header on
//!   what it sends, posts orders.
//! * **Fed by:** rooms that recover; whoever steps it, with the rooms' time.
//! * **Feeds:** the rooms.
//! * **Runs on:** control's thread every 10 ms, or the laboratory's in virtual time.
//! * **Must not:** wait for a room: what a full mailbox does not take is counted and gone.

mod loan;

use std::sync::Arc;

use super::post::{self, CodeNews, DEPTH, Heard, Obeyed, ProtectOrder, RecoverOrder, mailbox};
use super::rooms::{ProtectRoom, RecoverRoom};
use crate::control::counters::{ProtectCounters, RecoverCounters};
use crate::fec::Codes;
use crate::link::{Mode, Neighbour, PeerDown, Supervisor, Traffic, What, Wishes};
use crate::wire::seal::{Opening, Sealing};
use crate::wire::{Outer, Report};
use loan::Loan;

/// The traffic class of control packets where frames' classes are copied: CS6, network control
/// (RFC 4594, section 3.2).
pub(super) const CONTROL_DSCP: u8 = 48;
/// How often rooms are asked what the link has done, in nanoseconds: twice for each report that is urgent.
const ASK: u64 = 50_000_000;
/// Letters of a change of the code: what it has begun with, and the old one.
const NEWS: usize = 4;

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
    /// When rooms are next asked what the link has done.
    ask_at: u64,
}

/// A room that protects.
struct Protecting {
    orders: post::Sender<ProtectOrder>,
    /// What it was last told.
    mode: Mode,
    obeyed: Obeyed,
    news: post::Receiver<CodeNews>,
    counters: Arc<ProtectCounters>,
    channel: u8,
    keys: Loan<Sealing>,
}

/// A room that recovers.
struct Recovering {
    orders: post::Sender<RecoverOrder>,
    heard: post::Receiver<Heard>,
    reports: post::Receiver<Report>,
    counters: Arc<RecoverCounters>,
    /// Whether its frames are signs of life.
    verifies: bool,
    channel: (u8, usize),
    keys: Loan<Opening>,
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
            ask_at: 0,
        }
    }

    /// Takes on a room that protects; the first one sends for control.
    pub fn take_on_protect(&mut self, room: &mut (impl ProtectRoom + ?Sized)) {
        let (sender, orders) = mailbox(DEPTH);
        let obeyed = Obeyed::default();
        let (told, news) = mailbox(NEWS);
        room.obey(orders, obeyed.clone(), told);
        let (spent, keys) = Loan::new();
        room.give_back_keys(spent);
        let (mode, counters, channel) = (Mode::Protect, room.counters(), room.channel());
        let orders = sender;
        self.protect.push(Protecting { orders, mode, obeyed, news, counters, channel, keys });
    }

    /// Takes on a room that recovers.
    pub fn take_on_recover(&mut self, room: &mut (impl RecoverRoom + ?Sized)) {
        let (sender, orders) = mailbox(DEPTH);
        let (heard, receiver) = mailbox(DEPTH);
        let (reported, reports) = mailbox(1);
        room.obey(self.recover.len() as u8, orders, heard, reported);
        let (spent, keys) = Loan::new();
        room.give_back_keys(spent);
        let (counters, verifies, channel) =
            (room.counters(), room.verifies(), room.keyed_channel());
        let (orders, heard) = (sender, receiver);
        let room = Recovering { orders, heard, reports, counters, verifies, channel, keys };
        self.recover.push(room);
    }

    /// Hears, decides and says what there is to say at `now`, in the rooms' time. [`Steward::direct`]
    /// follows, once readers know of [`Steward::is_bypassed`] and of the peer.
    pub fn step(&mut self, now: u64) {
        let traffic = self.traffic();
        self.count(now);
        let Steward { supervisor, outer, neighbour, protect, recover, unposted, .. } = self;
        supervisor.observe(now, traffic);
        let first = protect.first().map(|room| room.orders.clone());
        let mut post = |frame: Option<post::Parcel>| {
            let order = frame.map(ProtectOrder::Send).zip(first.as_ref());
            *unposted += u64::from(!order.is_some_and(|(order, room)| room.send(order)));
        };
        for room in &mut *recover {
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
        // Before the peer hears that it may use them.
        loan::hand_out(supervisor, protect, recover);
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

    /// Hands the supervisor what rooms have counted, and asks them again.
    fn count(&mut self, now: u64) {
        let accounts = self.supervisor.accounts_mut();
        for (n, room) in self.protect.iter().enumerate() {
            accounts.numbered(n, room.counters.source_sent.get());
        }
        let ask = now >= self.ask_at;
        if ask {
            self.ask_at = now + ASK;
        }
        for (n, room) in self.recover.iter().enumerate() {
            while let Some(report) = room.reports.receive() {
                accounts.counted(now, n, report);
            }
            // One that has no room for it is asked next time.
            let _ = ask && room.orders.send(RecoverOrder::Report);
        }
    }

    /// How many rooms protect.
    pub fn protecting(&self) -> usize {
        self.protect.len()
    }

    /// Gives a room that protects another code; gives it back when the room's mailbox is full.
    ///
    /// # Errors
    /// With the code, to be tried again.
    pub fn post_code(&mut self, room: usize, codes: Box<Codes>) -> Result<(), Box<Codes>> {
        match self.protect.get(room).filter(|room| room.orders.has_room()) {
            Some(room) => {
                room.orders.send(ProtectOrder::Code(codes));
                Ok(())
            }
            None => Err(codes),
        }
    }

    /// What rooms say of a change of the code.
    pub fn take_code_news(&mut self) -> Option<CodeNews> {
        self.protect.iter().find_map(|room| room.news.receive())
    }

    fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for Recovering { counters, verifies, .. } in &self.recover {
            let protected = match verifies {
                true => counters.delivered.get().wrapping_sub(counters.bypassed.get()),
                false => 0,
            };
            // With keys, only what can't be a replay is a sign of life.
            let more = match self.supervisor.keys() {
                None => counters.repair_received.get(),
                Some(_) => counters.recovered.get().wrapping_neg(),
            };
            traffic.accepted = traffic.accepted.wrapping_add(protected).wrapping_add(more);
            if self.supervisor.keys().is_some() {
                traffic.untagged += counters.bad_integrity.get();
            }
            traffic.other_version += counters.bad_version.get();
            traffic.other_channel += counters.unknown_channel.get();
        }
        traffic
    }

    /// What shall become of frames from the LAN.
    pub fn mode(&self) -> Mode {
        match Mode::of(self.wishes, self.supervisor.peer().is_up(), self.policy) {
            // Whoever asks for it.
            Mode::Bypass if self.supervisor.keys().is_some() => Mode::Protect,
            mode => mode,
        }
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
        [self.supervisor.next_deadline(), neighbour, Some(self.ask_at)].into_iter().flatten().min()
    }
}
