//! What a site's death takes: records flow, the west dies, and the mirrors' logs are compared with what clients were
//! told.
//!
//! One death serves all policies: a store for each runs beside the others, on a connection of its own, with clients that
//! send at a rate, and 10,000 packets a second of other traffic. The order of a death, in which nothing pretends to be
//! quicker than it is:
//!
//! 1. The western gateway is killed. That cuts the entry into the WAN: what it had not handed to the WAN's process is
//!    gone, what that process has goes on to the east.
//! 2. The primaries are killed, some hundred microseconds later. In between they may tell clients what the shared memory
//!    said when the gateway died, and `local` commits go on: that is to the disadvantage of `local` alone.
//! 3. What is in flight arrives, the eastern gateway makes of it what it can, and the mirrors what they can.
//! 4. The mirrors are ended, and their logs read. A record that clients were told of is missing if the mirror does not have
//!    it whole, with all before it.
//!
//! The kernel of the western host lives on, but has no way out any more. The WAN loses from the beginning of a run to its
//! end, half a second at least before the death, since its process takes a loss model at its start only.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::interrupt;
use crate::net::{Hosts, Net};
use crate::pair::{Gateways, Loss, Pair, Wan};
use crate::say::say;
use crate::setup::Setup;
use crate::store::{Load, POLICIES, Programs, Promises, Store, wait_for_netsync};
use crate::table::{Table, load_average};
use crate::traffic::Traffic;

/// As in the experiment in virtual time: docs/evaluation/disaster_virtual.tsv.
const CODE: &str = "4:79,83,89,97,101,103+g1";
/// Nothing is cut short by a pause: what was is worth less.
const PATIENT: &str =
    "idle = \"20ms\"\nmax_age = [\"100ms\", \"100ms\", \"100ms\", \"100ms\", \"100ms\", \"100ms\"]";
const DELAY: Duration = Duration::from_millis(50);
/// Records a second of each store, by how many clients, and their size.
const RATE: f64 = 50.0;
const CLIENTS: u32 = 2;
const SIZE: u32 = 4096;
/// Packets a second of other hosts.
const BESIDE: u32 = 10_000;
/// The mirrors have all that comes once none of their logs has grown for so long; what they are given to come to that.
const QUIET: Duration = Duration::from_secs(1);
const SETTLED: Duration = Duration::from_secs(20);
/// How long records flow before the death, at least; up to a fifth of a second more, differently for each run.
const FLOW: Duration = Duration::from_millis(1500);
const COLUMNS: &str =
    "loss\tmean_burst\trun\tpolicy\tdelay_ms\tcode\ttold\tmissing\tmedian_us\tload";

/// What the WAN loses in each cell.
fn losses() -> Vec<Loss> {
    let rates = [0.001, 0.005, 0.01];
    let mut losses = vec![Loss::Iid(0.0)];
    losses.extend(rates.map(Loss::Iid));
    losses.extend(rates.map(|rate| Loss::Bursts(rate, 10.0)));
    losses
}

/// One policy's part of a death.
#[derive(Clone, Debug)]
struct Fate {
    policy: &'static str,
    told: u64,
    missing: u64,
    median_us: f64,
}

/// Lets records flow, and the west die.
fn die(loss: Loss, run: u32, setup: &Setup) -> Result<Vec<Fate>> {
    let programs = Programs::beside(&setup.binary)?;
    let (rate_mbps, host_mtu) = (setup.rate_mbps, setup.host_mtu);
    let wan = Wan { rate_mbps, delay: DELAY, loss, seed: u64::from(run), host_mtu };
    let supposed = if loss.rate() == 0.0 { Loss::Iid(0.0001) } else { loss };
    let gateways = Gateways {
        code: CODE.to_owned(),
        latency: Duration::from_millis(100),
        coding: PATIENT.to_owned(),
        resequence: Duration::ZERO,
        more: Default::default(),
    };
    let promises =
        Promises { link: supposed.argument(), exit: Duration::from_micros(500), idle: None };
    let in_flight = wan.in_flight() + wan.queue();
    let hosts = Hosts { mtu: host_mtu, in_flight, congestion: "cubic".to_owned() };
    let net = Net::new(&hosts)?;
    let mut pair = Pair::start(&net, &setup.binary, &wan, Some(&promises.of(gateways)))?;
    wait_for_netsync(&net)?;
    let _traffic = Traffic::start(&net, BESIDE)?;
    let stores: Result<Vec<Store>> = (0u16..)
        .zip(POLICIES)
        .map(|(which, policy)| Store::start(&net, &programs, which, policy))
        .collect();
    let mut stores = stores?;
    let load =
        Load { clients: CLIENTS, rate: Some(RATE), size: SIZE, seconds: 600.0, warm_up: 0.0 };
    let clients: Result<Vec<_>> =
        stores.iter().map(|store| store.load(&net, &programs, &load)).collect();
    let mut clients = clients?;
    interrupt::sleep(FLOW + Duration::from_millis(u64::from(run * 37 % 200)))?;

    let Some([west, _]) = &mut pair.gateways else { return Err(Error::new("no gateways")) };
    // All of them at once, before any is waited for.
    west.signal(Signal::KILL);
    stores.iter().for_each(|store| store.primary.signal(Signal::KILL));
    west.kill();
    stores.iter_mut().for_each(|store| store.primary.kill());
    // What is in flight arrives, and is written, however slow the disk.
    interrupt::sleep(DELAY + Duration::from_millis(300))?;
    settle(&net, &stores)?;
    let mut fates = Vec::new();
    for ((store, clients), policy) in stores.iter_mut().zip(&mut clients).zip(POLICIES) {
        clients.wait(Duration::from_secs(20))?;
        store.mirror.stop();
        let (missing, told) = store.missing(&net)?;
        let median_us = crate::store::seen(clients)?.median_us;
        fates.push(Fate { policy, told, missing, median_us });
    }
    Ok(fates)
}

/// Waits until the mirrors write nothing more.
fn settle(net: &Net, stores: &[Store]) -> Result<()> {
    let sizes = || stores.iter().map(|store| store.mirrored(net)).collect::<Vec<u64>>();
    let (mut before, mut since) = (sizes(), Instant::now());
    interrupt::wait(SETTLED, || {
        let now = sizes();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        Ok(since.elapsed() >= QUIET)
    })?;
    Ok(())
}

/// Adds the deaths that the table does not have yet: a row for each policy.
///
/// # Errors
/// What could not be had; or as [`interrupt::check`].
pub fn fill(table: &Path, runs: u32, setup: &Setup) -> Result<()> {
    let mut table = Table::open(table, COLUMNS)?;
    for loss in losses() {
        for run in 1..=runs {
            let name = format!("{}\t{}\t{run}", loss.rate(), loss.mean_burst());
            if table.has(&name) {
                continue;
            }
            let before = load_average();
            let fates = die(loss, run, setup)?;
            let said: Vec<String> = fates
                .iter()
                .map(|it| format!("{} {}/{}", it.policy, it.missing, it.told))
                .collect();
            say(format_args!(
                "{}: run {run}: missing of told: {}",
                loss.argument(),
                said.join(", ")
            ));
            let delay = DELAY.as_millis();
            let row = |Fate { policy, told, missing, median_us }| {
                format!(
                    "{name}\t{policy}\t{delay}\t{CODE}\t{told}\t{missing}\t{median_us:.0}\t{before:.1}"
                )
            };
            // A death that has one row counts as done, so it gets all at once.
            table.add(&fates.into_iter().map(row).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(())
}

/// One death at 0.1 % of loss: how many records are missing that clients were told of, by policy.
///
/// # Errors
/// As [`fill`].
pub fn quick(setup: &Setup) -> Result<Map<String, Value>> {
    let fates = die(Loss::Iid(0.001), 1, setup)?;
    let told: u64 = fates.iter().map(|it| it.told).min().unwrap_or(0);
    let missing: Map<String, Value> =
        fates.into_iter().map(|it| (it.policy.to_owned(), json!(it.missing))).collect();
    Ok(Map::from_iter([
        ("missing_acked".to_owned(), Value::Object(missing)),
        ("told_least".to_owned(), json!(told)),
    ]))
}
