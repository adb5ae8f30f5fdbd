//! What the long-running subcommands share: workers on cores, from start to signal to end.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use crossbeam::channel::{self, Receiver, Sender};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::print;
use crate::dpdk::{Device, Eal, Mempool, Port, PortConfig, PortError};
use crate::gateway::worker::Order;
use crate::gateway::{Idle, Room, Worker};

/// How often the main thread looks for signals and for workers that ended by themselves, and says that
/// it lives.
const LOOK: Duration = Duration::from_millis(10);
/// How often it looks at the ports' links.
const LINK_LOOK: Duration = Duration::from_millis(200);

/// What the main thread does for somebody else, each time that it looks.
pub(super) trait Watch {
    /// Every [`LOOK`].
    fn look(&mut self);

    /// Every [`LINK_LOOK`], with the ports.
    fn look_at_ports(&mut self, ports: &[&Port]);

    /// The workers are about to be told to stop.
    fn stopping(&mut self);
}

/// Nobody.
impl Watch for () {
    fn look(&mut self) {}

    fn look_at_ports(&mut self, _ports: &[&Port]) {}

    fn stopping(&mut self) {}
}

/// The rooms of one worker.
pub(super) struct Station<'a> {
    /// The CPU that it is pinned to.
    pub(super) core: Option<usize>,
    /// What it polls, in this order.
    pub(super) rooms: Vec<&'a mut dyn Room>,
}

/// A process that has taken charge of its signals: SIGINT and SIGTERM stop it cleanly from here on.
pub(super) struct Service {
    signals: Signals,
}

impl Service {
    /// To be called before anything is opened that wants closing.
    pub(super) fn prepare() -> Result<Service, Box<dyn Error>> {
        Ok(Service { signals: Signals::new([SIGINT, SIGTERM])? })
    }

    /// Runs the workers, whose time began at `start`, until a signal comes. When this returns, they have flushed and ended.
    pub(super) fn serve(
        mut self,
        eal: &Eal,
        ports: &[&Port],
        idle: Idle,
        stations: Vec<Station<'_>>,
        start: Instant,
        watch: &mut dyn Watch,
    ) -> Result<(), Box<dyn Error>> {
        let (ready_in, ready) = channel::bounded(stations.len());
        let owing = Arc::new(AtomicUsize::new(stations.len()));
        thread::scope(|scope| {
            let mut orders = Vec::new();
            let mut threads = Vec::new();
            for (n, Station { core, rooms }) in stations.into_iter().enumerate() {
                let (order_in, order) = channel::bounded(1);
                orders.push(order_in);
                let (ready_in, owing) = (ready_in.clone(), owing.clone());
                let worker = Worker { rooms, orders: order, idle, start, owing };
                let work = move || work(eal, core, worker, &ready_in);
                let thread = thread::Builder::new().name(format!("worker{n}"));
                threads.push(thread.spawn_scoped(scope, work)?);
            }
            drop(ready_in);
            let outcome = all_ready(&ready, threads.len()).and_then(|()| {
                log::info!("running; SIGINT or SIGTERM ends it");
                self.wait(ports, &threads, watch)
            });
            watch.stopping();
            stop(&orders);
            for thread in threads {
                if thread.join().is_err() {
                    return Err("a worker panicked; please report what it printed".into());
                }
            }
            outcome
        })
    }

    /// Until a signal comes. Says meanwhile when a link goes up or down.
    fn wait(
        &mut self,
        ports: &[&Port],
        threads: &[ScopedJoinHandle<'_, ()>],
        watch: &mut dyn Watch,
    ) -> Result<(), Box<dyn Error>> {
        let mut links: Vec<(&Port, bool)> = ports.iter().map(|&port| (port, false)).collect();
        let mut looked = None::<Instant>;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= LINK_LOOK) {
                looked = Some(Instant::now());
                links.iter_mut().for_each(look_at_link);
                watch.look_at_ports(ports);
            }
            watch.look();
            if let Some(signal) = self.signals.pending().next() {
                log::info!("stopping on {}", if signal == SIGINT { "SIGINT" } else { "SIGTERM" });
                return Ok(());
            }
            if threads.iter().any(|thread| thread.is_finished()) {
                return Err("a worker ended by itself".into());
            }
            thread::sleep(LOOK);
        }
    }
}

fn look_at_link((port, was_up): &mut (&Port, bool)) {
    let up = port.link_up();
    if up != *was_up {
        log::info!("port {}: link {}", port.name(), if up { "up" } else { "down" });
        *was_up = up;
    }
}

/// One worker's thread: pinned, registered with DPDK, then at work.
fn work(eal: &Eal, core: Option<usize>, worker: Worker<'_>, ready: &Sender<Result<(), String>>) {
    if let Some(core) = core
        && !core_affinity::set_for_current(CoreId { id: core })
    {
        let problem = format!(
            "core {core} can't be used; expected one that this process may run on (taskset -p $$)"
        );
        let _ = ready.send(Err(problem));
        worker.owing.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let registered = eal.register_thread();
    // The main thread waits for this, so it is there to receive it.
    let _ = ready.send(registered.as_ref().map(|_| ()).map_err(ToString::to_string));
    match registered {
        Ok(_registered) => worker.run(),
        Err(_) => _ = worker.owing.fetch_sub(1, Ordering::AcqRel),
    }
}

fn all_ready(ready: &Receiver<Result<(), String>>, workers: usize) -> Result<(), Box<dyn Error>> {
    for _ in 0..workers {
        ready.recv()??;
    }
    Ok(())
}

fn stop(orders: &[Sender<Order>]) {
    for order in orders {
        // A worker that has ended needs no order.
        let _ = order.send(Order::Stop);
    }
}

/// Opens a port for frames of up to `mtu`, with as many queues each way, to receive and to send, or
/// as many of these as the driver has.
pub(super) fn open_port(
    eal: &Eal,
    device: &Device,
    mtu: u16,
    [rx_queues, tx_queues]: [u16; 2],
    pool: &Mempool,
) -> Result<Port, PortError> {
    let config = PortConfig { mtu: Some(mtu), rx_queues, tx_queues, ..PortConfig::default() };
    let port = quietly(|| Port::open(eal, device, &config, pool))?;
    log::info!(
        "port {}: address {}, MTU {}",
        port.name(),
        port.mac().map(|byte| format!("{byte:02x}")).join(":"),
        port.mtu(),
    );
    Ok(port)
}

/// Runs what sets DPDK up. What drivers say meanwhile is kept out of the log unless RUST_LOG is set:
/// the error that comes back quotes the line that matters, and an operator should see just that.
pub(super) fn quietly<R>(set_up: impl FnOnce() -> R) -> R {
    if std::env::var_os("RUST_LOG").is_some() {
        return set_up();
    }
    let level = log::max_level();
    log::set_max_level(log::LevelFilter::Off);
    let result = set_up();
    log::set_max_level(level);
    result
}

/// Prints counters under a heading, those that count something.
pub(super) fn print_counters<'a>(
    heading: &str,
    counters: impl Iterator<Item = (&'a str, u64)>,
) -> Result<(), String> {
    print(heading)?;
    for (name, count) in counters.filter(|&(_, count)| count > 0) {
        print(format_args!("  {name:<22} {count}"))?;
    }
    Ok(())
}

/// Prints what a port's driver counted.
pub(super) fn print_port(port: &Port) -> Result<(), String> {
    let stats = port.stats();
    let counters = [
        ("received", stats.ipackets),
        ("sent", stats.opackets),
        ("missed_ring_full", stats.imissed),
        ("missed_no_mbuf", stats.rx_nombuf),
        ("receive_errors", stats.ierrors),
        ("send_errors", stats.oerrors),
    ];
    print_counters(&format!("port {}", port.name()), counters.into_iter())
}
