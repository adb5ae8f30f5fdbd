//! `maelstrom run`: one gateway.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ::netsync::now_ns;
use clap::Args;

use super::Outcome;
use super::aside::{Aside, free_core};
use super::crew::Crew;
use super::ledger::Ledger;
use super::netsync::Netsync;
use super::service::{Service, quietly};
use super::watch::Control;
use crate::config::Config;
use crate::config::changes::keys;
use crate::control::server::Server;
use crate::dpdk::{Eal, EalConfig};
use crate::gateway::blueprint::mib;
use crate::gateway::{Blueprint, Coding, Limit};
use crate::units::{show_rate, show_time};

#[derive(Args)]
pub(super) struct RunArguments {
    /// The configuration; config/gateway-west.toml explains every key
    #[arg(long)]
    config: PathBuf,
}

/// What EAL and its ports take beside the packets, in MiB.
const EAL_MEMORY: u64 = 64;

pub(super) fn run(arguments: &RunArguments) -> Outcome {
    let config = Config::load(&arguments.config)?;
    let split = config.split()?;
    let blueprint = config.blueprint(&split);
    let key = config.gateway.load_key()?;
    let service = Service::prepare()?;
    blueprint.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    let eal_config = EalConfig {
        hugepages: config.gateway.hugepages,
        memory_mib: (mib(blueprint.memory().mbufs) + EAL_MEMORY) as u32,
        devices: config.lan.ports().chain([&config.wan.port]).cloned().collect(),
        lcores: None,
    };
    let eal = quietly(|| Eal::init(&eal_config))?;
    describe(&config, &blueprint, &eal);
    let epoch = epoch();
    let mut crew = Crew::new(&eal, &config, &split, &blueprint, epoch)?;
    let mut steward =
        blueprint.steward(&config.link.settings(), epoch, crew.wan_mac(), config.wan.peer_mac());
    if key.is_none() {
        log::warn!(
            "gateway.keys = \"none\": whoever can send on the WAN can send into the LAN; `maelstrom key` \
             makes a key"
        );
    }
    if let Some(key) = key
        && let Some(handshake) = blueprint.handshake(&key, epoch, entropy()?)
    {
        steward.supervisor_mut().use_keys(handshake);
    }
    crew.obey(&mut steward);
    let start = Instant::now();
    let netsync = match &config.netsync {
        Some(section) => Some(crew.tell(section, &blueprint, now_ns())?),
        None => None,
    };
    let server = match &config.control {
        Some(section) => {
            log::info!("control on {}", section.socket.display());
            Some(Server::open(&section.server())?)
        }
        None => None,
    };
    let ledger = Ledger::new(crew.counted());
    let (ports, stations) = crew.stations(&config);
    let promised = netsync.as_ref().map(Netsync::promised);
    let cores: Vec<Option<usize>> = config.workers.iter().map(|worker| worker.core).collect();
    let core = free_core(&cores);
    let mut control = Control {
        steward,
        coding: Coding::new(blueprint.clone(), config.code.policy(), promised),
        planner: Aside::new("planner", core),
        builder: Aside::new("builder", core),
        netsync,
        ledger,
        server,
        blueprint,
        epoch,
        start,
        file: arguments.config.clone(),
        keys: keys(&config.text),
        drain_ns: 0,
        drained_since: None,
    };
    service.serve(&eal, &ports, config.gateway.idle, stations, start, &mut control)?;
    crew.print()?;
    Ok(ExitCode::SUCCESS)
}

fn describe(config: &Config, blueprint: &Blueprint, eal: &Eal) {
    log::info!(
        "{}, hugepages {}, gateway {:?}",
        eal.version(),
        if config.gateway.hugepages { "on" } else { "off" },
        config.gateway.side,
    );
    log::info!(
        "code {}: {:.2} % overhead, span {} packets; sparse traffic: {}",
        blueprint.code,
        100.0 * blueprint.code.overhead(),
        blueprint.code.span(),
        blueprint.sparse.as_ref().map_or("the same".to_owned(), ToString::to_string),
    );
    if let Some(Limit { rate, overload, queue }) = blueprint.limit {
        log::info!(
            "WAN rate {}, overload {overload:?}: each of {} channels has its share, and a queue of {} KiB",
            show_rate(Some(rate)),
            blueprint.channels_out,
            queue >> 10,
        );
    }
    if let Some((plan, after)) = blueprint.retransmission.zip(blueprint.given_up_after()) {
        log::info!(
            "packets that no repair brings back are asked for twice, and given up after {} at most; \
             each of {} channels keeps {} MiB to send again",
            show_time(after),
            blueprint.channels_out,
            mib(plan.buffer as u64),
        );
    }
    if blueprint.resequence > 0 {
        let (time, packets) = (show_time(blueprint.resequence), blueprint.held_packets());
        log::info!(
            "frames wait behind a hole for up to {time}, on each channel up to {packets} of them"
        );
    }
    log::info!(
        "LAN frames of up to {} bytes are protected, IP packets of up to {}; memory in MiB: {}",
        blueprint.max_protected(),
        blueprint.max_ip(),
        blueprint.memory(),
    );
}

/// Bytes that nobody can guess.
fn entropy() -> Result<[u8; 32], &'static str> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
    Ok(bytes)
}

/// Quarters of a second since 1970, modulo 2^32: later in each life than in the one before, unless
/// two begin within a quarter of a second.
fn epoch() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_millis() / 250) as u32
}
