//! `maelstrom lab`: gateway west, the WAN and gateway east in one process, in virtual time.
//!
//! ```text
//!  in.pcap ─▶ pcap port ─▶ [west] ─▶ ring ports ─▶ [wan] ─▶ ring ports ─▶ [east] ─▶ pcap port ─▶ out.pcap
//! ```
//!
//! The rooms are those of `maelstrom run`, the ports real DPDK ports. Time goes from event to event:
//! an arrival, a deadline of an encoder, a packet leaving the WAN. So a second of a busy link takes
//! as long as its packets take to process, a second of a quiet one nothing, and the same seed gives
//! the same frames, in the same order, at the same times.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use tempfile::TempDir;
use thiserror::Error;

use super::arrivals::{Pace, Paced, schedule};
use super::capture::{self, Capture, CaptureError, CaptureWriter};
use super::compare::compare;
use super::link::{LinkConfig, LinkConfigError};
use super::loss::LossModel;
use super::measure::{Deliveries, Measurements, Times};
use super::report::{Report, WanReport};
use super::told::Reader;
use super::wan::{Direction, Wan};
use crate::control::counters::Counter;
use crate::dpdk::{
    Burst, Device, Eal, EalConfig, EalError, Mempool, PoolError, Port, PortConfig, PortError,
    RxQueue, TxQueue, joined,
};
use crate::gateway::blueprint::{MAX_PORT_MTU, mib};
use crate::gateway::{Blueprint, BlueprintError, Protect, Recover, Room, Side, Transmit};

/// What a run needs.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What west's LAN brings.
    pub input: PathBuf,
    /// Where east's LAN is written.
    pub output: PathBuf,
    /// Where the packets that west sends into the WAN are written.
    pub wan_pcap: Option<PathBuf>,
    /// West; east is its mirror. Its `lan_frame` is set to the capture's longest frame.
    pub west: Blueprint,
    /// The most memory that a gateway may take, in bytes.
    pub memory_limit: u64,
    /// How fast frames arrive.
    pub pace: Pace,
    /// The way from west to east. The way back is the same without loss or other impairments:
    /// nothing but silence goes there.
    pub link: LinkConfig,
    /// Epochs are times in `run`, and parameters here.
    pub epoch: u32,
    /// Where storage processes may watch, for the length of the run.
    pub netsync: Option<PathBuf>,
}

/// Why a run could not be made. One line each.
#[derive(Debug, Error)]
pub enum LabError {
    /// A capture is bad, or can't be written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The gateways can't be built.
    #[error(transparent)]
    Blueprint(#[from] BlueprintError),
    /// The WAN can't be emulated.
    #[error(transparent)]
    Link(#[from] LinkConfigError),
    /// DPDK's environment.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// Packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// What storage processes are told.
    #[error("{0}")]
    Netsync(String),
    /// Where the output should go.
    #[error("{path}: can't write there: {error}; expected a directory that you may write to")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// DPDK's device arguments are separated by commas.
    #[error("{0}: DPDK can't open a path with a comma; expected one without, such as a link to it")]
    Comma(PathBuf),
    /// The frames that came out could not all be written.
    #[error("{0}: could not be written whole; expected room for it there, see `df {0}`")]
    Unwritten(PathBuf),
    /// Told to stop.
    #[error("stopped by a signal; no file was written")]
    Stopped,
    /// Input and output are one file.
    #[error("{0}: named as input and as output; expected two different files")]
    Same(PathBuf),
}

/// A transmit queue that remembers when each frame went out.
struct Stamped<T> {
    inner: T,
    stamps: Vec<u64>,
}

impl<T: Transmit> Transmit for Stamped<T> {
    fn transmit(&mut self, now: u64, burst: &mut Burst) {
        let before = burst.len();
        self.inner.transmit(now, burst);
        self.stamps.extend(std::iter::repeat_n(now, before - burst.len()));
    }
}

/// How many packets each ring between two ports holds: more than anything sends at once.
const RING_DEPTH: u32 = 8192;
/// What EAL and its ports take beside the packets, in MiB.
const EAL_MEMORY: u64 = 64;
/// The addresses of the gateways' WAN ports: locally administered, and the same in every run.
const WEST_MAC: [u8; 6] = [0x02, 0x4D, 0x53, 0x00, 0x00, 0x01];
const EAST_MAC: [u8; 6] = [0x02, 0x4D, 0x53, 0x00, 0x00, 0x02];

/// Makes the run; `progress` gets the number of frames that have arrived. The output file appears
/// whole or not at all. When `stop` becomes true, the run ends with [`LabError::Stopped`].
///
/// # Errors
/// If anything given is bad; what is wrong with it is found before EAL is started.
pub fn simulate(
    experiment: &Experiment,
    progress: &ProgressBar,
    stop: &AtomicBool,
) -> Result<Report, LabError> {
    let capture = Capture::check(&experiment.input)?;
    let west = Blueprint {
        lan_frame: (capture.max_len as usize).min(usize::from(MAX_PORT_MTU)),
        ..experiment.west.clone()
    };
    west.check(experiment.memory_limit)?;
    experiment.link.check()?;
    let files = Files::prepare(experiment)?;
    west.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    if capture.max_len > u32::from(MAX_PORT_MTU) {
        log::warn!(
            "{}: has frames of up to {} bytes; no port carries more than {MAX_PORT_MTU}, so that \
             longer ones will be treated as too large to protect",
            experiment.input.display(),
            capture.max_len
        );
    }
    if capture.cut > 0 {
        log::warn!(
            "{}: {} frames were cut by their recorder; they are sent as they are in the file",
            experiment.input.display(),
            capture.cut
        );
    }
    progress.set_length(capture.frames.len() as u64);
    let mut bench = Bench::build(experiment, &west, &capture, &files)?;
    bench.run(progress, stop)?;
    let report = bench.finish(experiment, &west, &capture, &files)?;
    progress.finish_and_clear();
    Ok(report)
}

/// Where files are until the run has succeeded: a folder of its own beside the output.
struct Files {
    folder: TempDir,
    input: String,
    output: String,
}

impl Files {
    fn prepare(experiment: &Experiment) -> Result<Files, LabError> {
        let Experiment { input, output, .. } = experiment;
        let parent = match output.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let directory = |error| LabError::Directory { path: parent.to_owned(), error };
        let parent = parent.canonicalize().map_err(directory)?;
        let input = input.canonicalize().map_err(directory)?;
        if output.canonicalize().is_ok_and(|output| output == input) {
            return Err(LabError::Same(input));
        }
        let folder = tempfile::Builder::new().prefix(".maelstrom-lab-").tempdir_in(&parent);
        let folder = folder.map_err(directory)?;
        // The input's own path may hold what DPDK can't read, but a link to it need not.
        let link = folder.path().join("in.pcap");
        std::os::unix::fs::symlink(&input, &link).map_err(directory)?;
        let text = |path: PathBuf| match path.to_str() {
            Some(text) if !text.contains(',') => Ok(text.to_owned()),
            _ => Err(LabError::Comma(path)),
        };
        let output = text(folder.path().join("out.pcap"))?;
        Ok(Files { input: text(link)?, output, folder })
    }
}

/// Everything on the bench: two gateways and the WAN between them.
struct Bench {
    west_protect: Protect<Paced<RxQueue>, TxQueue>,
    west_recover: Recover<RxQueue, TxQueue, ()>,
    wan: Wan<RxQueue, TxQueue, Measurements>,
    east_recover: Recover<RxQueue, Stamped<TxQueue>, Deliveries>,
    east_protect: Protect<RxQueue, TxQueue>,
    /// Who reads what storage processes are told.
    reader: Option<Reader>,
    now: u64,
    _ports: Vec<Port>,
}

impl Bench {
    fn build(
        experiment: &Experiment,
        west: &Blueprint,
        capture: &Capture,
        files: &Files,
    ) -> Result<Bench, LabError> {
        let east = Blueprint { side: Side::East, ..west.clone() };
        // One gateway's packets: only the eastern one's window is ever filled.
        let memory_mib = (mib(west.memory().mbufs) + EAL_MEMORY) as u32;
        let eal = Eal::init(&EalConfig { hugepages: false, memory_mib, ..EalConfig::default() })?;
        let pool = Mempool::new(&eal, "packets", west.mbufs(), west.data_room())?;
        let pcap =
            |device: String| Port::open(&eal, &Device::Vdev(device), &PortConfig::default(), &pool);
        let west_lan = pcap(format!("net_pcap0,rx_pcap={}", files.input))?;
        let east_lan = pcap(format!("net_pcap1,tx_pcap={}", files.output))?;
        let (west_wan, wan_west) = joined(&eal, "west", RING_DEPTH, &pool, 1)?;
        let (east_wan, wan_east) = joined(&eal, "east", RING_DEPTH, &pool, 1)?;

        let arrivals = Paced::new(west_lan.rx_queue(0)?, schedule(capture, experiment.pace));
        let mut west_protect = Protect::new(
            west.protect(0, experiment.epoch, WEST_MAC, EAST_MAC),
            arrivals,
            west_wan.tx_queue(0)?,
            pool.clone(),
        );
        let mut east_protect = Protect::new(
            east.protect(0, experiment.epoch, EAST_MAC, WEST_MAC),
            east_lan.rx_queue(0)?,
            east_wan.tx_queue(0)?,
            pool.clone(),
        );
        let mut west_recover = Recover::new(
            west.recover(0),
            west_wan.rx_queue(0)?,
            west_lan.tx_queue(0)?,
            pool.clone(),
            (),
        );
        let stamped = Stamped { inner: east_lan.tx_queue(0)?, stamps: Vec::new() };
        let mut east_recover = Recover::new(
            east.recover(0),
            east_wan.rx_queue(0)?,
            stamped,
            pool.clone(),
            Deliveries::default(),
        );

        west.retransmit([&mut west_protect], [&mut west_recover]);
        east.retransmit([&mut east_protect], [&mut east_recover]);

        let mut reader = None;
        if let Some(socket) = &experiment.netsync {
            let (started, publisher, arrivals) =
                Reader::start(socket, west, &experiment.link.loss)?;
            west_protect.tell(publisher);
            west_protect.lan_mut().watched = Some(arrivals);
            reader = Some(started);
        }
        let epoch_ns = capture.frames.first().map_or(0, |frame| frame.time_ns);
        let wan_pcap = experiment.wan_pcap.as_deref().map(CaptureWriter::create).transpose()?;
        let measurements = Measurements::new(wan_pcap, epoch_ns);
        let back = LinkConfig {
            loss: LossModel::None,
            reorder: None,
            duplicate: 0.0,
            corrupt: 0.0,
            direction: 1,
            ..experiment.link.clone()
        };
        let wan = Wan::new(
            (wan_west.rx_queue(0)?, wan_west.tx_queue(0)?),
            (wan_east.rx_queue(0)?, wan_east.tx_queue(0)?),
            experiment.link.clone(),
            back,
            pool,
            measurements,
        );
        let _ports = vec![west_lan, east_lan, west_wan, wan_west, east_wan, wan_east];
        let now = 0;
        Ok(Bench {
            west_protect,
            west_recover,
            wan,
            east_recover,
            east_protect,
            reader,
            now,
            _ports,
        })
    }

    /// From event to event until nothing is left to happen.
    fn run(&mut self, progress: &ProgressBar, stop: &AtomicBool) -> Result<(), LabError> {
        let total = self.west_protect.lan().remaining() as u64;
        let mut shown = 0;
        loop {
            // Relaxed: it says nothing about other memory.
            if stop.load(Ordering::Relaxed) {
                return Err(LabError::Stopped);
            }
            while self.poll() > 0 {}
            let arrived = total - self.west_protect.lan().remaining() as u64;
            if arrived - shown >= 4096 {
                shown = arrived;
                progress.set_position(arrived);
            }
            match self.next_event() {
                Some(next) => self.now = next.max(self.now + 1),
                None => return Ok(()),
            }
        }
    }

    fn poll(&mut self) -> usize {
        let now = self.now;
        let work = self.west_protect.poll(now)
            + self.wan.poll(now)
            + self.east_recover.poll(now)
            + self.east_protect.poll(now)
            + self.west_recover.poll(now);
        let measurements = self.wan.witness_mut();
        for (now, seq, rebuilt) in self.east_recover.observer_mut().drain() {
            measurements.delivered(now, seq, rebuilt);
        }
        if let Some(reader) = &mut self.reader
            && let Some(arrivals) = &mut self.west_protect.lan_mut().watched
        {
            reader.look(now, arrivals);
        }
        work
    }

    fn next_event(&self) -> Option<u64> {
        let events = [
            self.west_protect.lan().next_arrival(),
            self.west_protect.next_deadline(),
            self.wan.next_deadline(),
            self.east_protect.next_deadline(),
            self.east_recover.next_deadline(),
            self.west_recover.next_deadline(),
        ];
        events.into_iter().flatten().min()
    }

    /// Closes the ports, gives the files their final form and name, and sums up.
    fn finish(
        mut self,
        experiment: &Experiment,
        west: &Blueprint,
        capture: &Capture,
        files: &Files,
    ) -> Result<Report, LabError> {
        let virtual_ns = self.now;
        let eastward = self.wan.counters(Direction::Eastward);
        let measurements = std::mem::take(self.wan.witness_mut());
        let stamps = std::mem::take(&mut self.east_recover.lan_mut().stamps);
        let told_to_level_ns = self.reader.as_ref().map(Reader::percentiles);
        let (protect, recover) = (self.west_protect.counters(), self.east_recover.counters());
        // The pcap PMD writes what it has buffered when its port closes.
        drop(self);

        let written = files.folder.path().join("out.pcap");
        let start = measurements.epoch_ns;
        let stamps: Vec<u64> = stamps.into_iter().map(|now| start + now).collect();
        // The PMD says nothing when the disk is full, but what it wrote is not whole then.
        capture::restamp(&written, &experiment.output, &stamps).map_err(|error| match error {
            CaptureError::Truncated { .. } | CaptureError::StampCount { .. } => {
                LabError::Unwritten(experiment.output.clone())
            }
            error => error.into(),
        })?;
        if let Some(error) = measurements.capture_error {
            return Err(error.into());
        }
        if let Some(wan_pcap) = measurements.capture {
            wan_pcap.finish()?;
        }
        let comparison = compare(&experiment.input, &experiment.output)?;
        let levels = west.code.layers().len();
        debug_assert_eq!(capture.frames.len() as u64, protect.lan_in.get());
        Ok(Report {
            code: west.code.to_string(),
            sparse_code: west.sparse.as_ref().map(ToString::to_string),
            wan: WanReport {
                rate_bps: experiment.link.rate_bps,
                delay_ns: experiment.link.delay_ns,
                mtu: experiment.link.mtu,
                loss: experiment.link.loss.to_string(),
                seed: experiment.link.seed,
                eastward,
            },
            overhead: measurements.repair_sent as f64 / measurements.source_sent.max(1) as f64,
            virtual_ns,
            lan_in: protect.lan_in.get(),
            bypassed: protect.bypassed.get(),
            dropped: protect.dropped().collect(),
            source_sent: measurements.source_sent,
            repair_sent: measurements.repair_sent,
            repair_flushed: protect.repair_flushed.get(),
            repair_shed: protect.repair_shed.get(),
            repair_shed_by_layer: {
                let layers = protect.shed_by_layer().into_iter().take(levels);
                layers.map(Counter::get).collect()
            },
            source_lost: measurements.source_lost,
            repair_lost: measurements.repair_lost,
            delivered: recover.delivered.get(),
            recovered: recover.recovered.get(),
            unrecovered: measurements.source_sent - measurements.source_delivered,
            duplicates_suppressed: recover.duplicates_suppressed.get(),
            rejected: recover.rejected().collect(),
            mismatched: comparison.foreign,
            recovery_delay_ns: measurements.recovery_delay.percentiles(),
            repair_departure_ns: measurements.repair_departure.percentiles(),
            time_to_level_ns: measurements.level[..levels].iter().map(Times::percentiles).collect(),
            told_to_level_ns,
            comparison,
        })
    }
}
