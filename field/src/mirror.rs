//! How long a commit of the mirrored log store takes, and how many there are, by policy: against the WAN's delay, with
//! one client and many, on an idle link and beside other traffic.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::interrupt;
use crate::net::{Hosts, Net};
use crate::pair::{Gateways, Loss, Pair, Wan};
use crate::say::say;
use crate::setup::Setup;
use crate::store::{By, Load, Programs, Promises, Seen, Store, wait_for_netsync};
use crate::table::{Table, load_average};
use crate::traffic::Traffic;

/// Every packet three times, 19 and 28 packets apart. What levels are worth rests on what was measured, and so few
/// losses as 0.01 % makes in half a minute do not exclude bursts of two or three: repairs have to be far apart, and at
/// 10,000 packets a second larger groups as far apart take longer than this promise allows.
const CODE: &str = "1:19,28+g1";
/// Beside other traffic nothing is to be cut short by a pause that is none of the link's: the bounds of repairs that
/// were are weaker, and hold for all that is in flight.
const PATIENT: &str = "idle = \"20ms\"\nmax_age = [\"50ms\", \"50ms\"]";
/// What an operator knows of the link.
const LINK: &str = "iid:0.0001";
/// Packets a second of other hosts.
const BESIDE: u32 = 10_000;
/// The policies that are measured. Those that wait for less come later: nothing but the machine limits a closed loop of
/// `local`, and what it leaves in queues and estimates would count for others.
const POLICIES: [&str; 4] = ["remote", "network-sync:1e-6", "semi", "local"];
/// Bytes of a record: one packet.
const SIZE: u32 = 1024;
/// How long a link is measured before anything is asked of it: estimates rest on half a minute.
const SETTLED: Duration = Duration::from_secs(32);

const COLUMNS: &str = "traffic\tloss\tmean_burst\tdelay_ms\tclients\tpolicy\tcode\tsize\tseconds\ttold\tper_second\t\
                       median_us\tp99_us\tby_level\tby_ack\tby_mirror\tblind\tload";

/// One link, on which all policies are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scene {
    /// One way, in ms.
    pub delay_ms: u64,
    /// What the WAN loses.
    pub loss: Loss,
    /// Whether there is other traffic.
    pub busy: bool,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    scene: Scene,
    clients: u32,
    policy: &'static str,
}

impl Row {
    /// Its first columns: traffic, loss, mean burst, delay, clients and policy.
    fn columns(&self) -> String {
        let Row { scene: Scene { delay_ms, loss, busy }, clients, policy } = self;
        let (rate, burst) = (loss.rate(), loss.mean_burst());
        let traffic = if *busy { "busy" } else { "idle" };
        format!("{traffic}\t{rate}\t{burst}\t{delay_ms}\t{clients}\t{policy}")
    }

    /// The same with - between them, such as `busy-0.0001-1-100-64-remote`.
    pub fn name(&self) -> String {
        self.columns().replace('\t', "-")
    }
}

/// All rows, scene by scene, those of the promise first.
pub fn all() -> Vec<Row> {
    let mut scenes = Vec::new();
    let lone = Loss::Iid(0.0001);
    for (busy, loss) in [(true, lone), (false, lone), (true, Loss::Bursts(0.0001, 10.0))] {
        scenes.extend([1, 10, 25, 50, 100].map(|delay_ms| Scene { delay_ms, loss, busy }));
    }
    scenes.push(Scene { delay_ms: 50, loss: Loss::Bursts(0.0001, 10.0), busy: false });
    let each = [1, 64].map(|clients| POLICIES.map(|policy| (clients, policy)));
    let rows = |scene| {
        each.into_iter().flatten().map(move |(clients, policy)| Row { scene, clients, policy })
    };
    scenes.into_iter().flat_map(rows).collect()
}

/// The processes of a scene.
struct Stage {
    net: Net,
    _pair: Pair,
    _traffic: Option<Traffic>,
    programs: Programs,
    /// How many stores there were: each has files of its own, and nothing to catch up with.
    stores: Cell<u16>,
}

impl Stage {
    fn new(scene: &Scene, setup: &Setup) -> Result<Stage> {
        let programs = Programs::beside(&setup.binary)?;
        let delay = Duration::from_millis(scene.delay_ms);
        let (rate_mbps, host_mtu) = (setup.rate_mbps, setup.host_mtu);
        let wan = Wan { rate_mbps, delay, loss: scene.loss, seed: 1, host_mtu };
        let gateways = Gateways {
            code: CODE.to_owned(),
            latency: Duration::from_millis(50),
            coding: if scene.busy { PATIENT.to_owned() } else { String::new() },
            resequence: Duration::ZERO,
            more: Default::default(),
        };
        let promises = Promises {
            link: LINK.to_owned(),
            exit: Duration::from_micros(200),
            idle: (!scene.busy).then(|| Duration::from_micros(100)),
        };
        let in_flight = wan.in_flight() + wan.queue();
        let hosts = Hosts { mtu: host_mtu, in_flight, congestion: "cubic".to_owned() };
        let net = Net::new(&hosts)?;
        let pair = Pair::start(&net, &setup.binary, &wan, Some(&promises.of(gateways)))?;
        wait_for_netsync(&net)?;
        let traffic = scene.busy.then(|| Traffic::start(&net, BESIDE)).transpose()?;
        Ok(Stage { net, _pair: pair, _traffic: traffic, programs, stores: Cell::default() })
    }

    fn measure(&self, policy: &str, load: &Load) -> Result<(Seen, By)> {
        let which = self.stores.replace(self.stores.get() + 1);
        let store = Store::start(&self.net, &self.programs, which, policy)?;
        store.measure(&self.net, &self.programs, load)
    }
}

/// Measures those of `rows` that the table does not have yet, each for so many seconds. Those of a scene that follow
/// each other share its processes.
///
/// # Errors
/// What could not be had; or as [`interrupt::check`].
pub fn fill(table: &Path, rows: &[Row], setup: &Setup, seconds: u32) -> Result<()> {
    Programs::beside(&setup.binary)?;
    let mut table = Table::open(table, COLUMNS)?;
    for rows in rows.chunk_by(|row, next| row.scene == next.scene) {
        let missing: Vec<&Row> = rows.iter().filter(|row| !table.has(&row.columns())).collect();
        let Some(Row { scene, .. }) = missing.first() else { continue };
        let stage = Stage::new(scene, setup)?;
        interrupt::sleep(SETTLED)?;
        // An idle link is measured by the store alone, so the store has to run for as long.
        let warm_up = if scene.busy { 2.0 } else { SETTLED.as_secs_f64() };
        for row in missing {
            let (clients, seconds) = (row.clients, seconds.into());
            let load = Load { clients, rate: None, size: SIZE, seconds, warm_up };
            let before = load_average();
            let (seen, by) = stage.measure(row.policy, &load)?;
            let line = format!("{}\t{}", row.columns(), line(&load, &seen, &by, before));
            say(&line);
            table.add(&line)?;
        }
    }
    Ok(())
}

fn line(load: &Load, seen: &Seen, by: &By, average: f64) -> String {
    let levels: Vec<String> = by.by_level.iter().map(u64::to_string).collect();
    format!(
        "{CODE}\t{}\t{}\t{}\t{:.1}\t{:.0}\t{:.0}\t{}\t{}\t{}\t{}\t{average:.1}",
        load.size,
        load.seconds,
        seen.told,
        seen.per_second,
        seen.median_us,
        seen.p99_us,
        levels.join(","),
        by.by_ack,
        by.by_mirror,
        by.blind,
    )
}

/// The median commit by policy at 1 ms and at 100 ms, with one client, beside other traffic, over a WAN that loses
/// nothing: a few losses in as many seconds would say that bursts can't be excluded.
///
/// # Errors
/// As [`fill`].
pub fn quick(setup: &Setup) -> Result<Map<String, Value>> {
    let mut by_delay = Map::new();
    for delay_ms in [1, 100] {
        let scene = Scene { delay_ms, loss: Loss::Iid(0.0), busy: true };
        let stage = Stage::new(&scene, setup)?;
        interrupt::sleep(Duration::from_secs(3))?;
        let mut by_policy = Map::new();
        for policy in POLICIES {
            let load = Load { clients: 1, rate: None, size: SIZE, seconds: 1.5, warm_up: 0.5 };
            let (seen, _) = stage.measure(policy, &load)?;
            by_policy.insert(policy.to_owned(), json!(seen.median_us.round()));
        }
        by_delay.insert(format!("{delay_ms}ms"), Value::Object(by_policy));
    }
    Ok(Map::from_iter([("commit_us".to_owned(), Value::Object(by_delay))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_all_columns_and_names_of_their_own() {
        let names: Vec<String> = all().iter().map(Row::columns).collect();
        let distinct: std::collections::HashSet<&String> = names.iter().collect();
        assert_eq!((names.len(), distinct.len()), (128, 128));
        let load = Load { clients: 1, rate: None, size: SIZE, seconds: 2.0, warm_up: 1.0 };
        let seen = Seen { told: 5, per_second: 2.5, median_us: 3.0, p99_us: 4.0 };
        let by = By { by_level: vec![1, 2], by_ack: 3, ..By::default() };
        let row = format!("{}\t{}", names[0], line(&load, &seen, &by, 0.5));
        assert_eq!(row.split('\t').count(), COLUMNS.split('\t').count(), "{row}");
        assert!(row.ends_with("1024\t2\t5\t2.5\t3\t4\t1,2\t3\t0\t0\t0.5"), "{row}");
    }
}
