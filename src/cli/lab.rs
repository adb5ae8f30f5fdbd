//! `maelstrom lab`: see [`crate::lab::simulate`].

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::link::LinkArguments;
use super::{Outcome, print};
use crate::config::{QUEUES, RATES, Reliability, Sparse};
use crate::fec::{Code, Timing};
use crate::gateway::{Blueprint, Limit, LinkLocal, Overload, Oversize, Retransmission, Side};
use crate::lab::arrivals::Pace;
use crate::lab::loss::LossModel;
use crate::lab::report::Report;
use crate::lab::simulate::{Experiment, simulate};
use crate::units::{parse_rate, parse_size, parse_time, show_rate, show_time};
use crate::wire::shim::Integrity;

#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct LabArguments {
    /// What west's LAN brings: a classic pcap of Ethernet frames
    #[arg(long)]
    input: PathBuf,
    /// Where the frames on east's LAN are written
    #[arg(long)]
    output: PathBuf,
    /// Where the packets that west sends into the WAN are written
    #[arg(long)]
    wan_pcap: Option<PathBuf>,
    /// The code, e.g. 64:97,101,103,107+g1 or 8x1/64x101/64x103+g1
    #[arg(long, default_value = "20:97,101,103+g1")]
    code: Code,
    /// The code for sparse traffic: auto, off, or a code
    #[arg(long, default_value = "auto")]
    sparse: Sparse,
    /// Latency budget below whose packet rate the sparse code takes over
    #[arg(long, default_value = "50ms", value_parser = parse_time)]
    latency: u64,
    /// Time without a packet after which what is not yet covered is closed
    #[arg(long, default_value = "1ms", value_parser = parse_time)]
    idle: u64,
    /// Frames arrive back to back at this rate [default: 10Gbps]
    #[arg(long, value_parser = lan_rate, group = "pace")]
    rate: Option<u64>,
    /// Frames arrive evenly, so many a second
    #[arg(long, value_parser = pps, group = "pace")]
    pps: Option<f64>,
    /// Frames arrive as the capture's timestamps say
    #[arg(long, group = "pace")]
    pcap_times: bool,
    /// Frames too large to protect: bypass or drop
    #[arg(long, value_enum, default_value_t = Oversize::Bypass)]
    oversize: Oversize,
    /// Frames for bridges only (pause, LACP, LLDP, ...): drop or pass
    #[arg(long, value_enum, default_value_t = LinkLocal::Drop)]
    link_local: LinkLocal,
    /// What confirms packets; off is for measurements
    #[arg(long, value_enum, default_value_t = Integrity::Check)]
    integrity: Integrity,
    /// The gateways keep to --wan-rate, as with wan.rate: reserve or source-first [default: they don't
    /// know it, and the WAN's queue drops what is too much]
    #[arg(long, value_enum)]
    overload: Option<Overload>,
    /// How much waits in a gateway that keeps to --wan-rate: wan.queue
    #[arg(long, default_value = "2MiB", value_parser = gateway_queue, requires = "overload")]
    gateway_queue: usize,
    /// What brings lost packets back: fec, or fec+nack, which has them sent again where repairs can't
    #[arg(long, value_enum, default_value_t = Reliability::Fec)]
    reliability: Reliability,
    /// How many bytes are kept to be sent again: link.retransmit
    #[arg(long, default_value = "64MiB", value_parser = parse_size)]
    retransmit: u64,
    /// How long frames are held behind a hole: lan.resequence
    #[arg(long, default_value = "0ms", value_parser = parse_time)]
    resequence: u64,
    /// The most memory that a gateway may take
    #[arg(long, default_value = "2GiB", value_parser = parse_size)]
    memory_limit: u64,
    #[command(flatten)]
    link: LinkArguments,
    /// A Unix socket for storage processes: all TCP flows are tracked, and a reader of our own reports
    /// when it was told of each level
    #[arg(long, value_name = "SOCKET")]
    netsync: Option<PathBuf>,
    /// Where the report is written, as JSON
    #[arg(long)]
    report: Option<PathBuf>,
}

fn lan_rate(text: &str) -> Result<u64, String> {
    match parse_rate(text) {
        Ok(Some(rate)) if rate > 0 => Ok(rate),
        Ok(_) => Err("expected a finite rate above 0, e.g. 10Gbps".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn gateway_queue(text: &str) -> Result<usize, String> {
    match parse_size(text).map_err(|error| error.to_string())? {
        size if QUEUES.contains(&size) => Ok(size as usize),
        _ => Err("expected 64KiB to 1GiB".to_owned()),
    }
}

fn pps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(pps) if (0.001..=1e9).contains(&pps) => Ok(pps),
        _ => Err("expected packets per second, 0.001 to 1000000000".to_owned()),
    }
}

impl LabArguments {
    /// Outputs can be files, and no two files are one: the last that is written would replace the
    /// others.
    fn check_files(&self) -> Result<(), String> {
        let drop_list = match &self.link.loss {
            LossModel::Drop { file, .. } => Some(file),
            _ => None,
        };
        let files = [
            ("--input", Some(&self.input)),
            ("--loss drop:", drop_list),
            ("--output", Some(&self.output)),
            ("--wan-pcap", self.wan_pcap.as_ref()),
            ("--report", self.report.as_ref()),
        ];
        let named = files.into_iter().filter_map(|(flag, path)| Some((flag, path?)));
        let mut seen: Vec<(&str, PathBuf)> = Vec::new();
        for (flag, path) in named {
            let real = identity(path);
            if let Some((other, _)) = seen.iter().find(|(_, seen)| *seen == real) {
                let path = path.display();
                return Err(format!("{flag} {path}: is the file of {other} too; expected another"));
            }
            // To rename a file over /dev/null would replace it.
            let output = !matches!(flag, "--input" | "--loss drop:");
            if output && real.exists() && !real.is_file() {
                let problem = "is a directory or a device; expected a regular file";
                return Err(format!("{flag} {}: {problem}", path.display()));
            }
            seen.push((flag, real));
        }
        Ok(())
    }

    fn retransmission(&self) -> Option<Retransmission> {
        let round_trip = (2 * self.link.delay).max(1_000_000);
        let buffer = self.retransmit as usize;
        (self.reliability == Reliability::FecNack).then_some(Retransmission { buffer, round_trip })
    }

    fn experiment(&self) -> Result<Experiment, String> {
        let limit = match (self.overload, self.link.wan_rate.0) {
            (None, _) => None,
            (Some(overload), Some(rate)) if RATES.contains(&rate) => {
                Some(Limit { rate, overload, queue: self.gateway_queue })
            }
            (Some(_), rate) => {
                let (got, expected) = (show_rate(rate), "expected 1Mbps to 1Tbps with --overload");
                return Err(format!("--wan-rate {got}: {expected}"));
            }
        };
        let mut timing = Timing::with_idle(&self.code, self.idle);
        timing.latency = self.latency;
        if self.idle == 0 || self.latency < self.idle {
            return Err(format!(
                "--idle {}: expected more than 0, and no more than the {} of --latency",
                show_time(self.idle),
                show_time(self.latency)
            ));
        }
        Ok(Experiment {
            input: self.input.clone(),
            output: self.output.clone(),
            wan_pcap: self.wan_pcap.clone(),
            netsync: self.netsync.clone(),
            west: Blueprint {
                integrity: self.integrity,
                link_local: self.link_local,
                oversize: self.oversize,
                wan_mtu: self.link.wan_mtu,
                limit,
                retransmission: self.retransmission(),
                resequence: self.resequence,
                sparse: self.sparse.resolve(&self.code),
                timing,
                ..Blueprint::new(Side::West, self.code.clone())
            },
            memory_limit: self.memory_limit,
            pace: match (self.pps, self.pcap_times, self.rate) {
                (Some(pps), _, _) => Pace::PacketsPerSecond(pps),
                (_, true, _) => Pace::Recorded,
                (_, _, rate) => Pace::Rate(rate.unwrap_or(10_000_000_000)),
            },
            link: self.link.config(0),
            epoch: 1,
        })
    }
}

pub(super) fn run(arguments: &LabArguments) -> Outcome {
    let experiment = arguments.experiment()?;
    arguments.check_files()?;
    let progress = match std::io::stderr().is_terminal() {
        true => ProgressBar::no_length().with_style(ProgressStyle::with_template(
            "{bar:40} {human_pos} of {human_len} frames, {eta} left",
        )?),
        false => ProgressBar::hidden(),
    };
    // The report's file is made first: a run of minutes must not end in a full report and no place.
    let report_file = arguments.report.as_deref().map(ReportFile::create).transpose()?;
    // A run that is interrupted takes its temporary files with it.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let report = simulate(&experiment, &progress, &stop)?;
    if let Some(file) = report_file {
        file.write(&report)?;
    }
    print(&report)?;
    Ok(ExitCode::from(u8::from(report.mismatched > 0)))
}

/// What a path that may not exist yet will be, once links are followed.
fn identity(path: &Path) -> PathBuf {
    let in_parent = || {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(parent.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(in_parent).unwrap_or_else(|| path.to_owned())
}

/// A file that appears when it is whole.
struct ReportFile {
    path: PathBuf,
    file: tempfile::NamedTempFile,
}

impl ReportFile {
    fn create(path: &Path) -> Result<ReportFile, String> {
        // A link means what it points to.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let path = real.as_path();
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        // What the umask leaves of it: a report is no secret.
        let mode = std::fs::Permissions::from_mode(0o666);
        let file = tempfile::Builder::new()
            .permissions(mode)
            .tempfile_in(parent.unwrap_or(Path::new(".")))
            .map_err(|error| format!("--report {}: can't write there: {error}; expected a directory that you may write to", path.display()))?;
        Ok(ReportFile { path: path.to_owned(), file })
    }

    fn write(self, report: &Report) -> Result<(), String> {
        let ReportFile { path, mut file } = self;
        let failed = |error: std::io::Error| format!("--report {}: {error}", path.display());
        serde_json::to_writer_pretty(&mut file, report).map_err(|e| failed(e.into()))?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}
