//! What packets that are no hello say of who sends them.

use super::event::Event;

/// So many are no accident.
const SEVERAL: u64 = 3;
/// How long hellos may be missing beside other packets, in nanoseconds.
const PATIENCE: u64 = 3_000_000_000;

/// What rooms have counted in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Verified packets of the peer's present epoch.
    pub accepted: u64,
    /// Packets of another wire version.
    pub other_version: u64,
    /// Packets of channels that are not the peer's.
    pub other_channel: u64,
    /// Handshakes, where there is no key.
    pub handshakes: u64,
    /// Packets without a tag, where there is one.
    pub untagged: u64,
}

/// Says each thing once, until the peer is up again.
#[derive(Debug, Default)]
pub struct Strangers {
    before: Traffic,
    said: [bool; 5],
    silent_since: Option<u64>,
}

impl Strangers {
    /// Whether packets were accepted since it last looked.
    pub fn look(&mut self, now: u64, traffic: Traffic, up: bool, events: &mut Vec<Event>) -> bool {
        let accepted = traffic.accepted != self.before.accepted;
        self.before.accepted = traffic.accepted;
        if up {
            *self = Strangers { before: traffic, ..Strangers::default() };
            return accepted;
        }
        let since = *self.silent_since.get_or_insert(now);
        let found = [
            traffic.other_version >= self.before.other_version + SEVERAL,
            traffic.other_channel >= self.before.other_channel + SEVERAL,
            accepted,
            traffic.handshakes >= self.before.handshakes + SEVERAL,
            traffic.untagged >= self.before.untagged + SEVERAL,
        ];
        let events_of = [
            Event::OtherVersion,
            Event::OwnSide,
            Event::NoHello,
            Event::KeysThere,
            Event::NoKeysThere,
        ];
        if now >= since + PATIENCE {
            for ((found, said), event) in found.into_iter().zip(&mut self.said).zip(events_of) {
                if found && !*said {
                    *said = true;
                    events.push(event);
                }
            }
        }
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_said_once_while_no_hello_comes() {
        let (mut strangers, mut events) = (Strangers::default(), Vec::new());
        for n in 0..100 {
            let traffic = Traffic { accepted: n, other_version: n, ..Traffic::default() };
            strangers.look(n * PATIENCE / 10, traffic, false, &mut events);
        }
        assert_eq!(events, [Event::OtherVersion, Event::NoHello]);
        let traffic =
            Traffic { accepted: 200, other_version: 200, other_channel: 2, ..Traffic::default() };
        assert!(strangers.look(100 * PATIENCE, traffic, true, &mut events));
        assert!(!strangers.look(101 * PATIENCE, traffic, false, &mut events));
        strangers.look(103 * PATIENCE, traffic, false, &mut events);
        assert_eq!(events.len(), 2);
        let traffic = Traffic { other_channel: 5, ..traffic };
        strangers.look(104 * PATIENCE, traffic, false, &mut events);
        assert_eq!(events[2..], [Event::OwnSide]);
    }
}
