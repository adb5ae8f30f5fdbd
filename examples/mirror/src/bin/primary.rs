//! The primary: see the library's head.
//!
//! Threads: one for each client reads requests; one appends, writes to the mirror and syncs what has gathered
//! meanwhile; one tells clients (`commit`); one reads the mirror's answers (`link`). Told to end by a signal, it
//! prints by what it told them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use clap::Parser;
use mirror_store::commit::{Client, Committer, Counts, Written};
use mirror_store::link::Link;
use mirror_store::policy::{Policy, Unprotected};
use mirror_store::protocol::{Address, Listener, asked};
use mirror_store::store::{Durability, Store};
use mirror_store::{Context, Error, Result, record, trouble};
use netsync::Subscriber;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Takes records, keeps them here and at a mirror, and says when they are safe
#[derive(Parser)]
struct Arguments {
    /// Where clients connect: unix:PATH or HOST:PORT
    #[arg(long)]
    listen: Address,
    /// The mirror, HOST:PORT; the connection goes through the gateway
    #[arg(long)]
    mirror: String,
    /// This site's log
    #[arg(long)]
    file: PathBuf,
    /// When a record is safe: local, semi, network-sync:P or remote
    #[arg(long)]
    policy: Policy,
    /// The gateway's socket, for semi and network-sync
    #[arg(long)]
    netsync: Option<PathBuf>,
    /// While the gateway says no more: remote waits for the mirror's answer, wait asks on
    #[arg(long, default_value = "remote")]
    unprotected: Unprotected,
    /// When this site's log has a record: kernel (survives this process) or sync (survives a power cut; records that
    /// come meanwhile are synced together)
    #[arg(long, default_value = "sync")]
    durable: Durability,
    /// The pause between two looks at the shared memory, in microseconds; 0 spins
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pause: u64,
    /// What the kernel may hold for the mirror, in KiB
    #[arg(long, default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    buffer: u32,
}

/// What a client wants kept.
struct Request {
    payload: Vec<u8>,
    client: Client,
}

/// So many requests may wait before clients do.
const WAITING: usize = 4096;
/// What is written at once, in bytes, at most.
const AT_ONCE: usize = 1 << 20;

fn main() -> ExitCode {
    trouble::end(serve(&Arguments::parse()))
}

fn serve(arguments: &Arguments) -> Result<()> {
    let (policy, path) = (arguments.policy, &arguments.file);
    if policy.needs_gateway() && arguments.netsync.is_none() {
        return Err(Error::new(format!("--policy {policy}: expected --netsync as well")));
    }
    let (mut store, torn) = Store::open(path, arguments.durable)?;
    if torn > 0 {
        eprintln!("primary: {}: cut off a torn tail of {torn} bytes", path.display());
    }
    // Before the connection is made: a gateway that is not there is said at once.
    let gateway = arguments.netsync.as_ref().map(Subscriber::connect).transpose();
    let gateway = gateway.map_err(Error::new)?;
    let buffer = arguments.buffer as usize * 1024;
    let (link, durable) = Link::connect(&arguments.mirror, &mut store, buffer)?;
    let flow = gateway.as_ref().map(|gateway| gateway.flow(link.socket())).transpose();
    let listener = Listener::bind(&arguments.listen)?;
    let stop = Arc::new(AtomicBool::new(false));
    let committer = Committer {
        policy,
        unprotected: arguments.unprotected,
        pause: Duration::from_micros(arguments.pause),
        flow: flow.context(&arguments.mirror)?,
        gateway,
        durable,
        counts: Counts::default(),
        stop: Arc::clone(&stop),
    };
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("signals")?;
    }
    let (ask, requests) = sync_channel(WAITING);
    let (write, written) = channel();
    thread::spawn(move || accept(&listener, &ask));
    let writer = thread::spawn(move || keep(store, link, &requests, &write));
    eprintln!("primary: running, policy {policy}");
    let counts = committer.run(&written)?;
    println!(
        "{}",
        json!({
            "by_level": counts.by_level,
            "by_ack": counts.by_ack,
            "at_once": counts.at_once,
            "by_mirror": counts.by_mirror,
            "blind": counts.blind,
        })
    );
    if stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    writer.join().map_err(|_| Error::new("the thread that writes has panicked"))?
}

/// A thread for each client.
fn accept(listener: &Listener, ask: &SyncSender<Request>) {
    while let Ok(stream) = listener.accept() {
        let Ok(answers) = stream.again() else { continue };
        let (ask, client, mut stream) = (ask.clone(), Arc::new(Mutex::new(answers)), stream);
        thread::spawn(move || {
            loop {
                match asked(&mut stream) {
                    Ok(Some(payload)) => {
                        let client = Arc::clone(&client);
                        if ask.send(Request { payload, client }).is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => return eprintln!("primary: a client: {error}"),
                }
            }
        });
    }
}

/// Appends what has come, sends it on its way, and has it synced while it flies.
fn keep(
    mut store: Store,
    mut link: Link,
    requests: &Receiver<Request>,
    write: &Sender<Written>,
) -> Result<()> {
    let mut records = Vec::new();
    let mut batch = Vec::new();
    while let Ok(first) = requests.recv() {
        let (mut number, mut next) = (store.last, Some(first));
        while let Some(Request { payload, client }) = next {
            number += 1;
            record::write(&mut records, number, &payload);
            batch.push(Written { number, end: link.written + records.len() as u64, client });
            next = if records.len() < AT_ONCE { requests.try_recv().ok() } else { None };
        }
        store.append(&records, number).context("this log")?;
        link.write(&records).context("the mirror")?;
        store.settle().context("this log")?;
        for record in batch.drain(..) {
            if write.send(record).is_err() {
                return Ok(());
            }
        }
        records.clear();
    }
    Ok(())
}
