//! How large a packet the WAN lets through: large hellos now and then, and a search when they are lost.
//!
//! The ordinary hellos are small, so that a peer is up whatever the MTU. Beside them goes, every
//! `PERIOD`, one that is as large as our largest packet. If `ATTEMPTS` of these in a row are not
//! heard while small ones are, the largest size that is heard is searched for by halving.

/// How often the largest size is tried, in nanoseconds.
const PERIOD: u64 = 10_000_000_000;
/// How many of a size must be lost until it is taken for too large: on a link that loses one packet in
/// ten, one in 10,000 sizes is misjudged.
const ATTEMPTS: u32 = 4;
/// The search ends when the answer is known so well, in bytes.
const CLOSE: u16 = 8;
/// What everything carries: the least that IPv4 demands of a link (RFC 791) and more than a hello.
const SURE: u16 = 128;

/// What is known of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Nothing yet.
    Unknown,
    /// Our largest packets come through.
    Whole,
    /// No more than so many bytes behind the Ethernet header do, give or take a few.
    UpTo(u16),
}

/// A large hello that is on its way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    size: u16,
    until: u64,
    attempt: u32,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The largest size that we want, behind the Ethernet header.
    want: u16,
    path: Path,
    /// When the next one leaves.
    next: u64,
    sent: Option<Sent>,
    /// While it searches: heard, and lost.
    search: Option<(u16, u16)>,
}

impl Probe {
    /// For packets of up to `want` bytes behind the Ethernet header.
    pub fn new(want: u16) -> Probe {
        Probe { want, path: Path::Unknown, next: 0, sent: None, search: None }
    }

    /// The peer is another one, or was away: everything may be different.
    pub fn restart(&mut self, now: u64) {
        // The path as it was known stays, so that it is not said twice.
        (self.sent, self.search, self.next) = (None, None, now);
    }

    /// What is known.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The size of the large hello that is to be sent now, if any. `patience` is how long it may take
    /// until an answer is here. [`Probe::sent`] follows.
    pub fn due(&mut self, now: u64) -> Option<u16> {
        if let Some(sent) = self.sent {
            if now < sent.until {
                return None;
            }
            if sent.attempt < ATTEMPTS {
                return Some(sent.size);
            }
            self.sent = None;
            self.too_large(now, sent.size);
        }
        if self.want <= SURE || now < self.next {
            return None;
        }
        Some(self.search.map_or(self.want, |(heard, lost)| heard + (lost - heard) / 2))
    }

    /// A large hello was sent under this number.
    pub fn sent(&mut self, now: u64, number: u64, size: u16, patience: u64) {
        let again = self.sent.filter(|before| before.size == size);
        let attempt = again.map_or(1, |before| before.attempt + 1);
        self.sent = Some(Sent { number, size, until: now + patience, attempt });
    }

    /// The peer says that it heard one of this number and size.
    pub fn heard(&mut self, now: u64, number: u64, size: u16) {
        let Some(sent) = self.sent.filter(|sent| number == sent.number && size >= sent.size) else {
            return;
        };
        self.sent = None;
        match &mut self.search {
            _ if sent.size == self.want => {
                (self.path, self.search, self.next) = (Path::Whole, None, now + PERIOD);
            }
            Some((heard, _)) => {
                *heard = sent.size;
                self.narrow(now);
            }
            None => {}
        }
    }

    fn too_large(&mut self, now: u64, size: u16) {
        match &mut self.search {
            Some((_, lost)) => *lost = size,
            None => self.search = Some((SURE, size)),
        }
        self.narrow(now);
    }

    fn narrow(&mut self, now: u64) {
        self.next = now;
        if let Some((heard, lost)) = self.search
            && lost - heard <= CLOSE
        {
            (self.path, self.search, self.next) = (Path::UpTo(heard), None, now + PERIOD);
        }
    }

    /// When [`Probe::due`] next has something to do.
    pub fn next_deadline(&self) -> u64 {
        if self.want <= SURE {
            return u64::MAX;
        }
        self.sent.map_or(self.next, |sent| sent.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 100_000_000;

    /// Plays `steps` against a path of this MTU that loses some; the number of the hello is the step.
    fn play(probe: &mut Probe, from: u64, steps: u64, mtu: u16, lost: impl Fn(u64) -> bool) {
        for step in from..from + steps {
            let now = step * STEP;
            if let Some(size) = probe.due(now) {
                probe.sent(now, step, size, STEP);
                if size <= mtu && !lost(step) {
                    probe.heard(now + STEP / 2, step, size);
                }
            }
        }
    }

    #[test]
    fn finds_the_largest_size_and_notices_when_it_changes() {
        for mtu in [300, 1500, 1900, 8999] {
            let mut probe = Probe::new(9000);
            play(&mut probe, 0, 100, mtu, |_| false);
            let Path::UpTo(found) = probe.path() else { panic!("{probe:?}") };
            assert!((mtu - CLOSE..=mtu).contains(&found), "{found} of {mtu}");
            play(&mut probe, 100, 300, 9000, |_| false);
            assert_eq!(probe.path(), Path::Whole);
            play(&mut probe, 400, 300, mtu, |_| false);
            assert_eq!(probe.path(), Path::UpTo(found));
        }
    }

    #[test]
    fn losses_alone_are_no_small_mtu() {
        let mut probe = Probe::new(9000);
        play(&mut probe, 0, 10_000, 9000, |step| step % 4 != 0);
        assert_eq!(probe.path(), Path::Whole);
    }

    #[test]
    fn answers_to_something_else_are_none() {
        let mut probe = Probe::new(9000);
        assert_eq!(probe.due(0), Some(9000));
        probe.sent(0, 5, 9000, STEP);
        probe.heard(1, 4, 9000);
        probe.heard(1, 5, 1500);
        assert_eq!((probe.path(), probe.due(1)), (Path::Unknown, None));
        probe.heard(1, 5, 9000);
        assert_eq!(probe.path(), Path::Whole);
    }
}
