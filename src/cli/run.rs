//! `maelstrom run`: one gateway.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::Outcome;
use super::service::{Service, Station, open_port, print_counters, print_port, quietly};
use crate::config::{Config, RoomName};
use crate::dpdk::{Eal, EalConfig, Mempool};
use crate::gateway::blueprint::mib;
use crate::gateway::{Blueprint, Protect, Recover, Room};

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
    let blueprint = config.blueprint();
    let service = Service::prepare()?;
    blueprint.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    let eal_config = EalConfig {
        hugepages: config.gateway.hugepages,
        memory_mib: (mib(blueprint.memory().mbufs) + EAL_MEMORY) as u32,
        devices: vec![config.lan.port.clone(), config.wan.port.clone()],
        lcores: None,
    };
    let eal = quietly(|| Eal::init(&eal_config))?;
    describe(&config, &blueprint, &eal);
    let pool = Mempool::new(&eal, "packets", blueprint.mbufs(), blueprint.data_room())?;
    let lan = open_port(&eal, &config.lan.port, blueprint.lan_port_mtu(), &pool)?;
    let wan = open_port(&eal, &config.wan.port, blueprint.wan_port_mtu(), &pool)?;

    let peer = config.wan.peer_mac.0;
    let mut protect = Protect::new(
        blueprint.protect(0, epoch(), wan.mac(), peer),
        lan.rx_queue(0)?,
        wan.tx_queue(0)?,
        pool.clone(),
    );
    let mut recover =
        Recover::new(blueprint.recover(0), wan.rx_queue(0)?, lan.tx_queue(0)?, pool, ());
    let (protected, recovered) = (protect.counters(), recover.counters());
    let mut rooms = [
        (RoomName::Protect, Some(&mut protect as &mut dyn Room)),
        (RoomName::Recover, Some(&mut recover)),
    ];
    let stations = config.workers.iter().map(|worker| Station {
        core: worker.core,
        // The configuration gives each room to one worker.
        rooms: rooms
            .iter_mut()
            .filter(|(name, _)| worker.rooms.contains(name))
            .filter_map(|(_, room)| room.take())
            .collect(),
    });
    let stations = stations.collect();
    service.serve(&eal, &[&lan, &wan], config.gateway.idle, stations)?;

    print_counters("protect (LAN to WAN)", protected.each())?;
    print_counters("recover (WAN to LAN)", recovered.each())?;
    print_port(&lan)?;
    print_port(&wan)?;
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
    log::info!(
        "LAN frames of up to {} bytes are protected; memory in MiB: {}",
        blueprint.max_protected(),
        blueprint.memory(),
    );
}

/// Quarters of a second since 1970, modulo 2^32: later in each life than in the one before, unless
/// two begin within a quarter of a second.
fn epoch() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_millis() / 250) as u32
}
