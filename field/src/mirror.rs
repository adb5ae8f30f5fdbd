//! How long a commit of the mirrored log store takes, and how many there are, by policy: against the WAN's delay, with
//! one client and many, on an idle link and beside other traffic.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::interrupt;
use crate::net::{Hosts, Net};
use crate::pair::{Gateways, Loss, Pair, Wan};
use crate::store::{By, Load, Programs, Promises, Seen, Store, wait_for_netsync};
use crate::table::{Table, load_average};
use crate::throughput::Settings;
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
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// One way, in ms.
    pub delay_ms: u64,
    /// What the WAN loses.
    pub loss: Loss,
    /// Whether there is other traffic.
    pub busy: bool,
}

impl Scene {
    fn name(&self) -> String {
        let (rate, burst) = match self.loss {
            Loss::Iid(rate) => (rate, 1.0),
            Loss::Bursts(rate, mean) => (rate, mean),
        };
        let traffic = if self.busy { "busy" } else { "idle" };
        format!("{traffic}\t{rate}\t{burst}\t{}", self.delay_ms)
    }
}

/// All of them, those of the promise first.
fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    let lone = Loss::Iid(0.0001);
    for (busy, loss) in [(true, lone), (false, lone), (true, Loss::Bursts(0.0001, 10.0))] {
        scenes.extend([1, 10, 25, 50, 100].map(|delay_ms| Scene { delay_ms, loss, busy }));
    }
    scenes.push(Scene { delay_ms: 50, loss: Loss::Bursts(0.0001, 10.0), busy: false });
    scenes
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
    fn new(scene: &Scene, settings: &Settings) -> Result<Stage> {
        let programs = Programs::beside(&settings.binary)?;
        let delay = Duration::from_millis(scene.delay_ms);
        let (rate_mbps, host_mtu) = (settings.rate_mbps, settings.host_mtu);
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
        let pair = Pair::start(&net, &settings.binary, &wan, Some(&promises.of(gateways)))?;
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

/// The rows of a scene: clients, policy and name.
fn rows(scene: &Scene) -> Vec<(u32, &'static str, String)> {
    let row = |clients, policy| (clients, policy, format!("{}\t{clients}\t{policy}", scene.name()));
    [1, 64].iter().flat_map(|&clients| POLICIES.map(|policy| row(clients, policy))).collect()
}

/// Measures what the table does not have yet, of rows whose name contains one of `only`, if there is any there: such as
/// `busy-0.0001-1-100-64-remote`, traffic, loss, mean burst, delay, clients and policy.
///
/// # Errors
/// What could not be had; or as [`interrupt::check`].
pub fn fill(table: &Path, only: &[String], settings: &Settings) -> Result<()> {
    let names: Vec<String> = scenes().iter().flat_map(rows).map(|(_, _, name)| name).collect();
    let unknown =
        |part: &&String| !names.iter().any(|name| name.replace('\t', "-").contains(*part));
    if let Some(part) = only.iter().find(unknown) {
        return Err(Error::new(format!(
            "--only {part}: no row's name contains it; expected part of such as busy-0.0001-1-100-64-remote"
        )));
    }
    Programs::beside(&settings.binary)?;
    let mut table = Table::open(table, COLUMNS)?;
    for scene in scenes() {
        let mut stage = None;
        for (clients, policy, name) in rows(&scene) {
            let plain = name.replace('\t', "-");
            let is_meant = only.is_empty() || only.iter().any(|part| plain.contains(part));
            if table.has(&name) || !is_meant {
                continue;
            }
            if stage.is_none() {
                stage = Some(Stage::new(&scene, settings)?);
                interrupt::sleep(SETTLED)?;
            }
            let Some(stage) = &stage else { continue };
            // An idle link is measured by the store alone, so the store has to run for as long.
            let warm_up = if scene.busy { 2.0 } else { SETTLED.as_secs_f64() };
            let seconds = f64::from(settings.seconds);
            let load = Load { clients, rate: None, size: SIZE, seconds, warm_up };
            let before = load_average();
            let (seen, by) = stage.measure(policy, &load)?;
            let row = format!("{name}\t{}", line(&load, &seen, &by, before));
            println!("{row}");
            table.add(&row)?;
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
pub fn quick(settings: &Settings) -> Result<Map<String, Value>> {
    let mut by_delay = Map::new();
    for delay_ms in [1, 100] {
        let scene = Scene { delay_ms, loss: Loss::Iid(0.0), busy: true };
        let stage = Stage::new(&scene, settings)?;
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
        let names: Vec<String> = scenes().iter().flat_map(rows).map(|(_, _, name)| name).collect();
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
