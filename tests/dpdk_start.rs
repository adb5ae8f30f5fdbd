//! Starting DPDK, well and badly. DPDK starts once in a process, so each case is a process of
//! its own: this binary runs itself again, with the case's name in the environment.
//!
//! Needs neither root nor hugepages.
#![cfg(feature = "dpdk")]

use maelstrom::dpdk::{
    BURST, Burst, Device, Eal, EalConfig, EalError, Mempool, Port, PortConfig, mempool,
};
use std::{env, error::Error, fs, path::PathBuf, process::Command};

const CASE: &str = "MAELSTROM_DPDK_CASE";

type Outcome = Result<(), Box<dyn Error>>;

/// Name, what is done, and what must be found in its output, after "ok" or "error: ".
type Case = (&'static str, fn() -> Outcome, &'static [&'static str]);

const CASES: [Case; 19] = [
    ("good", good, &["ok\n", "Debug eal: EAL: Detected CPU lcores"]),
    ("vhost", vhost, &["ok\n"]),
    (
        "no vhost",
        || init("net_virtio_user0,path=nosuch.sock"),
        &[
            "error: device net_virtio_user0,path=nosuch.sock could not be probed: ",
            "check its arguments",
        ],
    ),
    ("again", again, &["ok\n"]),
    ("outlived", outlived, &["ok\n", "Warn eal: 1 mbufs of mempool \"late\""]),
    ("affinity", affinity, &["ok\n"]),
    (
        "missing interface",
        || init("net_af_packet0,iface=nosuch0"),
        &["error: device", "iface=nosuch0: there is no such network interface; run: ip link show"],
    ),
    (
        "no interface",
        || init("net_af_xdp0"),
        &["error: device net_af_xdp0: the driver needs iface="],
    ),
    (
        "missing capture",
        || init("net_pcap0,rx_pcap=nosuch.pcap"),
        &["error: device", "rx_pcap=nosuch.pcap: No such file"],
    ),
    (
        "missing folder",
        || init("net_pcap0,rx_pcap=Cargo.toml,tx_pcap=nosuch/out.pcap"),
        &["error: device", "tx_pcap=nosuch/out.pcap: No such file"],
    ),
    (
        "no capture",
        || init("net_pcap0,rx_pcap=Cargo.toml"),
        &[
            "error: device net_pcap0,rx_pcap=Cargo.toml could not be probed: ",
            "unknown file format; check its arguments",
        ],
    ),
    (
        "unknown driver",
        || init("net_nosuch0"),
        &["error: device net_nosuch0: no such driver; expected one of net_af_packet"],
    ),
    (
        "unknown argument",
        || init("net_null0,nosuch=1"),
        &["error: device net_null0,nosuch=1 could not be probed"],
    ),
    (
        "missing device",
        || init("0000:ff:1f.7"),
        &["error: device 0000:ff:1f.7: there is no such PCI device; run: lspci"],
    ),
    ("no name", || init("net null0"), &["error: device \"net null0\": expected a PCI address"]),
    (
        "no hugepages",
        no_hugepages,
        &["error: ", "MiB of hugepages are free, 1073741824 MiB are wanted; run: echo "],
    ),
    ("little memory", little_memory, &["error: memory_mib = 8: at least 16 MiB"]),
    ("bad lcores", bad_lcores, &["error: EAL did not start: EAL: invalid parameter for --lcores"]),
    ("late PCI", late_pci, &["error: device 0000:ff:1f.7 is not known to EAL"]),
];

#[test]
fn every_case() {
    let mut failures = Vec::new();
    for (name, _, expected) in CASES {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "one_case", "--ignored", "--nocapture", "--test-threads=1"])
            .env(CASE, name)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let missing: Vec<_> = expected.iter().filter(|text| !stdout.contains(**text)).collect();
        let usage = stdout.contains("Usage:");
        if usage || !missing.is_empty() || !stderr.is_empty() || !output.status.success() {
            let status = output.status;
            failures.push(format!("{name}: {status}: {missing:?} not in\n{stdout}\n{stderr}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
#[ignore = "run by every_case, in a process of its own"]
fn one_case() {
    let name = env::var(CASE).expect("run by every_case");
    let (_, run, _) = CASES.iter().find(|(case, ..)| *case == name).expect("a case's name");
    log::set_logger(&ToStdout).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    // Begins a line: the test harness has begun one already.
    println!();
    match run() {
        Ok(()) => println!("ok"),
        Err(error) => println!("error: {error}"),
    }
}

/// Whatever goes to stderr has not gone through the log.
struct ToStdout;

impl log::Log for ToStdout {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        println!("{:?} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

fn small() -> EalConfig {
    EalConfig { hugepages: false, memory_mib: 64, ..EalConfig::default() }
}

fn init(device: &str) -> Outcome {
    let devices = vec![Device::parse(device)?];
    Eal::init(&EalConfig { devices, ..small() })?;
    Ok(())
}

/// A capture of `count` frames, of 60 bytes plus their number.
fn capture(name: &str, count: u32) -> PathBuf {
    let path = env::temp_dir().join(format!("maelstrom-{}-{name}.pcap", std::process::id()));
    // Magic, version 2.4, zone, accuracy, longest frame, Ethernet.
    let head: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1];
    let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
    for number in 0..count {
        let len = 60 + number;
        bytes.extend([0, 0, len, len].iter().flat_map(|word: &u32| word.to_ne_bytes()));
        bytes.extend((0..len).map(|at| (at + number) as u8));
    }
    fs::write(&path, bytes).unwrap();
    path
}

/// Frames from one file to another, through a port opened at start, then everything is freed.
fn good() -> Outcome {
    let (input, output) = (capture("in", 20), capture("out", 0));
    let text = format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), output.display());
    let device = Device::parse(&text)?;
    let eal = Eal::init(&EalConfig { devices: vec![device.clone()], ..small() })?;
    assert!(eal.version().starts_with("DPDK "), "{}", eal.version());
    let pool = Mempool::new(&eal, "good", 1023, mempool::DEFAULT_DATA_ROOM)?;
    let config = PortConfig { rx_queues: 3, tx_queues: 9, ..PortConfig::default() };
    let port = Port::open(&eal, &device, &config, &pool)?;
    assert_eq!((port.rx_queues(), port.tx_queues()), (1, 1), "one file, one queue");
    let (mut receive, mut transmit) = (port.rx_queue(0)?, port.tx_queue(0)?);
    let mut burst = Burst::new();
    assert_eq!(receive.burst(&mut burst), 20);
    for (mbuf, number) in burst.iter().zip(0u32..) {
        let expected: Vec<u8> = (0..60 + number).map(|at| (at + number) as u8).collect();
        assert_eq!(mbuf.data(), expected);
    }
    assert_eq!(transmit.burst(&mut burst), 20);
    assert_eq!((port.stats().ipackets, port.stats().opackets), (20, 20));
    drop((eal, pool, port, receive, transmit));
    // The far end of the pcap is written when the port is closed, which is now.
    assert_eq!(fs::metadata(&output)?.len(), fs::metadata(&input)?.len());
    fs::remove_file(input)?;
    fs::remove_file(output)?;
    Ok(())
}

/// Two devices of which one makes the socket that the other needs.
fn vhost() -> Outcome {
    let socket = env::temp_dir().join(format!("maelstrom-{}.sock", std::process::id()));
    let socket = socket.display();
    let server = Device::parse(&format!("net_vhost0,iface={socket},queues=1"))?;
    let client = Device::parse(&format!("net_virtio_user0,path={socket}"))?;
    let devices = vec![server.clone(), client.clone()];
    let eal = Eal::init(&EalConfig { devices, ..small() })?;
    let pool = Mempool::new(&eal, "vhost", 4095, mempool::DEFAULT_DATA_ROOM)?;
    let config = PortConfig { rx_descriptors: 256, tx_descriptors: 256, ..PortConfig::default() };
    let ports = [&server, &client].map(|device| Port::open(&eal, device, &config, &pool));
    let [server, client] = ports;
    let (server, client) = (server?, client?);
    let (mut transmit, mut receive) = (client.tx_queue(0)?, server.rx_queue(0)?);
    let mut got = Burst::new();
    // The two shake hands in threads of their own: up to two minutes, on a busy machine.
    for _ in 0..12_000 {
        let mut burst: Burst = pool.copy_of(&[9; 64]).into_iter().collect();
        transmit.burst(&mut burst);
        if receive.burst(&mut got) > 0 {
            assert_eq!(got[0].data(), [9; 64]);
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err("nothing came through".into())
}

/// Mistakes that are found beforehand may be mended in the same process; a second EAL is refused.
fn again() -> Outcome {
    assert!(init("net_pcap0,rx_pcap=nosuch.pcap").is_err());
    let eal = Eal::init(&small())?;
    assert!(matches!(Eal::init(&small()), Err(EalError::AlreadyInitialised)));
    drop(eal);
    assert!(matches!(Eal::init(&small()), Err(EalError::AlreadyInitialised)));
    Ok(())
}

/// A packet that outlives pool and EAL is still there.
fn outlived() -> Outcome {
    let eal = Eal::init(&small())?;
    let pool = Mempool::new(&eal, "late", 63, mempool::DEFAULT_DATA_ROOM)?;
    let mbuf = pool.copy_of(&[7; BURST]).ok_or("a packet")?;
    drop((pool, eal));
    assert_eq!(mbuf.keep().data(), [7; BURST]);
    drop(mbuf);
    Ok(())
}

/// The caller's CPUs stay as they were.
fn affinity() -> Outcome {
    let allowed = || -> std::io::Result<Vec<String>> {
        let status = fs::read_to_string("/proc/thread-self/status")?;
        Ok(status.lines().filter(|line| line.starts_with("Cpus")).map(str::to_owned).collect())
    };
    let before = allowed()?;
    let lcores = Some("0@0".to_owned());
    let _eal = Eal::init(&EalConfig { lcores, ..small() })?;
    assert_eq!(allowed()?, before);
    Ok(())
}

fn no_hugepages() -> Outcome {
    Eal::init(&EalConfig { hugepages: true, memory_mib: 1 << 30, ..small() })?;
    Ok(())
}

fn little_memory() -> Outcome {
    Eal::init(&EalConfig { memory_mib: 8, ..small() })?;
    Ok(())
}

fn bad_lcores() -> Outcome {
    Eal::init(&EalConfig { lcores: Some("nonsense".into()), ..small() })?;
    Ok(())
}

fn late_pci() -> Outcome {
    let eal = Eal::init(&small())?;
    let pool = Mempool::new(&eal, "late", 63, mempool::DEFAULT_DATA_ROOM)?;
    Port::open(&eal, &Device::parse("0000:ff:1f.7")?, &PortConfig::default(), &pool)?;
    Ok(())
}
