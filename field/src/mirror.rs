//! How long a commit of the mirrored log store takes, and how many there are, by policy: against the WAN's delay, with
//! one client and many, on an idle link and beside other traffic.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::interrupt;
use crate::net::{Hosts, Net};
use crate::pair::{Gateways, Loss, Pair, Wan};
use crate::store::{By, Load, Programs, Promises, Seen, Store, wait_for_netsync};
use crate::table::{Table, load_average};
use crate::throughput::Settings;
use crate::traffic::Traffic;

/// Three layers, so that a level is worth something even while few losses were seen and bursts can't be excluded;
/// interleaves as short as that allows, since the traffic is 10,000 packets a second.
const CODE: &str = "4:11,13,17+g1";
/// What an operator knows of the link.
const LINK: &str = "iid:0.0001";
/// Packets a second of other hosts.
const BESIDE: u32 = 10_000;
/// The policies that are measured.
const POLICIES: [&str; 4] = ["local", "semi", "network-sync:1e-6", "remote"];
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
            resequence: Duration::ZERO,
            more: Default::default(),
        };
        let promises = Promises { link: LINK.to_owned(), exit: Duration::from_micros(200) };
        let in_flight = wan.in_flight() + wan.queue();
        let hosts = Hosts { mtu: host_mtu, in_flight, congestion: "cubic".to_owned() };
        let net = Net::new(&hosts)?;
        let pair = Pair::start(&net, &settings.binary, &wan, Some(&promises.of(gateways)))?;
        wait_for_netsync(&net)?;
        let traffic = scene.busy.then(|| Traffic::start(&net, BESIDE)).transpose()?;
        Ok(Stage { net, _pair: pair, _traffic: traffic, programs })
    }

    fn measure(&self, policy: &str, load: &Load) -> Result<(Seen, By)> {
        // One after the other: each has the first port for itself.
        Store::start(&self.net, &self.programs, 0, policy)?.measure(&self.net, &self.programs, load)
    }
}

/// Measures what the table does not have yet.
///
/// # Errors
/// What could not be had; or as [`interrupt::check`].
pub fn fill(table: &Path, settings: &Settings) -> Result<()> {
    let mut table = Table::open(table, COLUMNS)?;
    for scene in scenes() {
        let mut stage = None;
        for clients in [1, 64] {
            for policy in POLICIES {
                let name = format!("{}\t{clients}\t{policy}", scene.name());
                if table.has(&name) {
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
                let load = Load { clients, rate: None, size: 4096, seconds, warm_up };
                let before = load_average();
                let (seen, by) = stage.measure(policy, &load)?;
                let row = format!("{name}\t{}", line(&load, &seen, &by, before));
                println!("{row}");
                table.add(&row)?;
            }
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
            let load = Load { clients: 1, rate: None, size: 4096, seconds: 1.5, warm_up: 0.5 };
            let (seen, _) = stage.measure(policy, &load)?;
            by_policy.insert(policy.to_owned(), json!(seen.median_us.round()));
        }
        by_delay.insert(format!("{delay_ms}ms"), Value::Object(by_policy));
    }
    Ok(Map::from_iter([("commit_us".to_owned(), Value::Object(by_delay))]))
}
