//! `maelstrom wan`: an emulated WAN between two ports, in real time.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::Outcome;
use super::link::LinkArguments;
use super::service::{Service, Station, open_port, print_counters, print_port, quietly};
use crate::config::last_cpu;
use crate::dpdk::{Device, Eal, EalConfig, Mempool, mempool};
use crate::gateway::Idle;
use crate::gateway::blueprint::{MAX_PORT_MTU, mib};
use crate::lab::wan::{Direction, Wan};

#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct WanArguments {
    /// The port towards the western gateway: a PCI address, or a DPDK virtual device
    #[arg(long, value_parser = Device::parse)]
    west: Device,
    /// The port towards the eastern gateway
    #[arg(long, value_parser = Device::parse)]
    east: Device,
    #[command(flatten)]
    link: LinkArguments,
    /// Packet memory from hugepages
    #[arg(long)]
    hugepages: bool,
    /// The CPU to run on; without it, wherever the system likes
    #[arg(long)]
    core: Option<usize>,
    /// Poll without rest when there is nothing to do
    #[arg(long)]
    spin: bool,
}

/// What frames are taken to be long, on average, when memory is taken for them.
const TYPICAL_FRAME: usize = 256;
/// Mbufs of the two ports' rings and in passing; frames in flight are copies outside them.
const MBUFS: u32 = 16 * 1024 - 1;

impl WanArguments {
    fn check(&self) -> Result<(), String> {
        let (mtu, name) = (self.link.wan_mtu, self.west.name());
        if mtu > MAX_PORT_MTU {
            return Err(format!("--wan-mtu {mtu}: expected at most {MAX_PORT_MTU}, as ports have"));
        }
        if self.east.name() == name {
            return Err(format!("--east {name}: is the western port; expected another"));
        }
        match self.core.and_then(|core| Some((core, last_cpu().filter(|&last| core > last)?))) {
            Some((core, last)) => Err(format!("--core {core}: expected 0 to {last}")),
            None => Ok(()),
        }
    }
}

pub(super) fn run(arguments: &WanArguments) -> Outcome {
    let (eastward, westward) = (arguments.link.config(0), arguments.link.config(1));
    eastward.check()?;
    arguments.check()?;
    let room = mempool::data_room_for(arguments.link.wan_mtu);
    let memory = mempool::estimated_bytes(MBUFS, room, arguments.hugepages);
    let service = Service::prepare()?;
    let eal_config = EalConfig {
        hugepages: arguments.hugepages,
        memory_mib: mib(memory) as u32 + 64,
        devices: vec![arguments.west.clone(), arguments.east.clone()],
        lcores: None,
    };
    let eal = quietly(|| Eal::init(&eal_config))?;
    let pool = Mempool::new(&eal, "packets", MBUFS, room)?;
    let west = open_port(&eal, &arguments.west, arguments.link.wan_mtu, [1, 1], &pool)?;
    let east = open_port(&eal, &arguments.east, arguments.link.wan_mtu, [1, 1], &pool)?;
    // What the WAN holds when it is full; unknown when its rate is.
    let in_flight = eastward.rate_bps.map(|rate| {
        let bytes = u128::from(rate) * u128::from(eastward.delay_ns) / 8_000_000_000;
        (bytes as usize).min(eastward.buffer)
    });
    let mut wan = Wan::new(
        (west.rx_queue(0)?, west.tx_queue(0)?),
        (east.rx_queue(0)?, east.tx_queue(0)?),
        eastward,
        westward,
        pool,
        (),
    );
    if let Some(bytes) = in_flight {
        wan.reserve(bytes / TYPICAL_FRAME, bytes);
    }
    let idle = if arguments.spin { Idle::Spin } else { Idle::Rest };
    let station = Station { core: arguments.core, rooms: vec![&mut wan] };
    service.serve(&eal, &[&west, &east], idle, vec![station], Instant::now(), &mut ())?;
    for (heading, direction) in
        [("eastward", Direction::Eastward), ("westward", Direction::Westward)]
    {
        print_counters(heading, wan.counters(direction).each())?;
    }
    print_port(&west)?;
    print_port(&east)?;
    Ok(ExitCode::SUCCESS)
}
