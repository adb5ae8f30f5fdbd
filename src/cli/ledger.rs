//! What a running gateway has counted: since its start or since an operator reset it, and how fast.
//!
//! A counter has one writer, its room, so that nobody else may set it to 0: what it was at a reset is kept
//! here and subtracted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::control::counters::{DispatchCounters, ProtectCounters, RecoverCounters};
use crate::dpdk::Port;

/// How long rates are averaged over, in nanoseconds.
const PERIOD: u64 = 1_000_000_000;
/// What rates are given of: their names, and the counters of packets and bytes.
const RATES: [(&str, &str, &str, &str); 5] = [
    ("lan_in", "protect", "lan_in", "lan_in_bytes"),
    ("sources", "protect", "source_sent", "source_sent_bytes"),
    ("repairs", "protect", "repair_sent", "repair_sent_bytes"),
    ("wan_in", "recover", "wan_in", "wan_in_bytes"),
    ("delivered", "recover", "delivered", "delivered_bytes"),
];

/// By who counts, then by name; in the order of declaration within.
type Counts = BTreeMap<String, Vec<(&'static str, u64)>>;

/// Whose counters are read.
#[derive(Default)]
pub(super) struct Rooms {
    pub(super) protect: Vec<Arc<ProtectCounters>>,
    pub(super) recover: Vec<Arc<RecoverCounters>>,
    /// By the port that they serve.
    pub(super) dispatch: Vec<(&'static str, Arc<DispatchCounters>)>,
}

/// See the module's head.
#[derive(Default)]
pub(super) struct Ledger {
    rooms: Rooms,
    ports: Counts,
    base: Counts,
    /// When rates were last taken, of what, and what they are.
    taken: Option<(u64, Counts)>,
    rates: Map<String, Value>,
}

impl Ledger {
    pub(super) fn new(rooms: Rooms) -> Ledger {
        Ledger { rooms, ..Ledger::default() }
    }

    /// What ports have counted by now.
    pub(super) fn look_at_ports(&mut self, ports: &[&Port]) {
        // The WAN port is the last; those before it are the LAN's.
        for (n, port) in ports.iter().enumerate() {
            let stats = port.stats();
            let counts = vec![
                ("received", stats.ipackets),
                ("sent", stats.opackets),
                ("missed_ring_full", stats.imissed),
                ("missed_no_mbuf", stats.rx_nombuf),
                ("receive_errors", stats.ierrors),
                ("send_errors", stats.oerrors),
            ];
            let name = match n {
                n if n + 1 == ports.len() => "port wan".to_owned(),
                0 => "port lan".to_owned(),
                n => format!("port lan {}", n + 1),
            };
            self.ports.insert(name, counts);
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = self.ports.clone();
        let mut add = |who: String, counted: &mut dyn Iterator<Item = (&'static str, u64)>| {
            let sums = counts.entry(who).or_default();
            for (n, (name, count)) in counted.enumerate() {
                match sums.get_mut(n) {
                    Some((_, sum)) => *sum += count,
                    None => sums.push((name, count)),
                }
            }
        };
        self.rooms.protect.iter().for_each(|room| add("protect".to_owned(), &mut room.each()));
        self.rooms.recover.iter().for_each(|room| add("recover".to_owned(), &mut room.each()));
        for (port, room) in &self.rooms.dispatch {
            add(format!("dispatch {port}"), &mut room.each());
        }
        counts
    }

    /// Counts from 0 from now on.
    pub(super) fn reset(&mut self) {
        self.base = self.counts();
    }

    /// Takes rates when it is time to.
    pub(super) fn look(&mut self, now: u64) {
        let due = self.taken.as_ref().is_none_or(|(at, _)| now >= at + PERIOD);
        if !due {
            return;
        }
        let counts = self.counts();
        if let Some((at, before)) = &self.taken {
            let seconds = now.saturating_sub(*at) as f64 / 1e9;
            let per_second = |who: &str, name: &str| {
                let grown = count(&counts, who, name).wrapping_sub(count(before, who, name));
                grown as f64 / seconds
            };
            let rate = |&(name, who, packets, bytes): &(&str, &str, &str, &str)| {
                let rate = json!({
                    "packets_per_s": per_second(who, packets).round(),
                    "bits_per_s": (8.0 * per_second(who, bytes)).round(),
                });
                (name.to_owned(), rate)
            };
            self.rates = RATES.iter().map(rate).collect();
        }
        self.taken = Some((now, counts));
    }

    /// Packets and bits a second.
    pub(super) fn rates(&self) -> &Map<String, Value> {
        &self.rates
    }

    /// What was counted since the last reset.
    pub(super) fn report(&self) -> Value {
        let since = |who: &String, (name, value): (&'static str, u64)| {
            (name.to_owned(), json!(value.wrapping_sub(count(&self.base, who, name))))
        };
        let report = self.counts().into_iter().map(|(who, counts)| {
            let counts: Map<String, Value> =
                counts.into_iter().map(|counted| since(&who, counted)).collect();
            (who, Value::Object(counts))
        });
        Value::Object(report.collect())
    }
}

fn count(counts: &Counts, who: &str, name: &str) -> u64 {
    let counted = counts.get(who).into_iter().flatten().find(|(known, _)| *known == name);
    counted.map_or(0, |(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_on_from_a_reset_and_rates_do_not_care() {
        let rooms: [Arc<ProtectCounters>; 2] = Default::default();
        let all = Rooms { protect: rooms.to_vec(), ..Rooms::default() };
        let mut ledger = Ledger::new(all);
        ledger.look(0);
        rooms[0].lan_in.add(5);
        rooms[1].lan_in.add(6);
        assert_eq!(ledger.report()["protect"]["lan_in"], 11);
        ledger.reset();
        assert_eq!(ledger.report()["protect"]["lan_in"], 0);
        rooms[1].lan_in.add(9);
        assert_eq!(ledger.report()["protect"]["lan_in"], 9);
        ledger.look(PERIOD / 2);
        assert!(ledger.rates().is_empty());
        ledger.look(2 * PERIOD);
        assert_eq!(ledger.rates()["lan_in"]["packets_per_s"], 10.0);
    }
}
