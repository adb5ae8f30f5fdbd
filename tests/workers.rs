//! Gateways whose rooms are split over several workers, as they are run, in real time: everything
//! arrives, and frames of a flow that were not lost keep their order, in every arrangement.
//!
//! Needs neither root nor hugepages: the LAN ports are captures.
#![cfg(feature = "dpdk")]

#[path = "common/mod.rs"]
mod common;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

use common::{Ended, Process, Random, read_capture, wait_for_delivery, wait_until, write_capture};

/// Frames each way.
const FRAMES: usize = 20_000;
/// Flows each way.
const FLOWS: u64 = 50;

/// How a gateway's rooms are split, and what its LAN port is.
struct Arrangement {
    /// The rooms of each worker.
    workers: &'static [&'static [&'static str]],
    /// Captures to play, one for each receive queue of the LAN port: more than one is RSS.
    plays: usize,
    /// Captures to write, one for each transmit queue.
    writes: usize,
    /// More lines for `[wan]`.
    wan: &'static str,
}

const ONE: Arrangement =
    Arrangement { workers: &[&["protect", "recover"]], plays: 1, writes: 1, wan: "" };
const ONE_EACH: Arrangement = Arrangement { workers: &[&["protect"], &["recover"]], ..ONE };
/// Two channels leave, and one worker takes both in at the other end, if that is [`ONE`].
const TWO_OUT: Arrangement =
    Arrangement { workers: &[&["protect"], &["recover"], &["protect"]], ..ONE };
/// A LAN port with one queue each way, and a WAN port too: workers receive and send for others.
const TWO_EACH: Arrangement =
    Arrangement { workers: &[&["protect"], &["protect"], &["recover"], &["recover"]], ..ONE };
/// The LAN port has a queue for each worker; both channels come and go through one WAN queue.
const TWO_OF_BOTH: Arrangement = Arrangement {
    workers: &[&["protect", "recover"], &["recover", "protect"]],
    plays: 2,
    writes: 2,
    ..TWO_EACH
};
/// The same, and a queue for each channel on the WAN too, where the other end must have as many.
const QUEUES: Arrangement = Arrangement { wan: "queues = 2\n", ..TWO_OF_BOTH };
/// One worker receives and sends for two that code; three channels leave.
const SERVED: Arrangement = Arrangement {
    workers: &[&["wan", "lan"], &["protect", "recover"], &["protect", "recover"], &["protect"]],
    ..TWO_EACH
};

/// Frame `n` of a flow: UDP, over IPv4 or IPv6, some with a VLAN tag; no two frames are equal.
fn frame(random: &mut Random, flow: u64, n: u64) -> Vec<u8> {
    let len = 90 + random.below(1000) as usize;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if flow.is_multiple_of(5) {
        frame.extend([0x81, 0x00, 0x00, 0x07]);
    }
    let (port, to) = ((1000 + flow as u16).to_be_bytes(), [0, 80]);
    if flow.is_multiple_of(3) {
        frame.extend([0x86, 0xDD, 0x60, 0, 0, 0, 0, 0, 17, 64]);
        frame.extend([0xFD; 32]);
    } else {
        frame.extend([0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    }
    frame.extend(port);
    frame.extend(to);
    let start = frame.len();
    frame.resize(len, 0);
    random.fill(&mut frame[start..]);
    frame[len - 16..len - 8].copy_from_slice(&flow.to_be_bytes());
    frame[len - 8..].copy_from_slice(&n.to_be_bytes());
    frame
}

/// The flow of a frame, and its number in that.
fn identity(frame: &[u8]) -> (u64, u64) {
    let number = |at: usize| u64::from_be_bytes(frame[at..at + 8].try_into().unwrap());
    (number(frame.len() - 16), number(frame.len() - 8))
}

/// Writes what one LAN brings: `side-in0.pcap` and so on, a flow always in the same one.
fn write_traffic(folder: &Path, seed: u64, side: &str, plays: usize) -> HashSet<Vec<u8>> {
    let mut random = Random(seed);
    let mut next = [0; FLOWS as usize];
    let mut queues = vec![Vec::new(); plays];
    for _ in 0..FRAMES {
        let flow = random.below(FLOWS);
        let n = &mut next[flow as usize];
        queues[flow as usize % plays].push(frame(&mut random, flow, *n));
        *n += 1;
    }
    for (n, frames) in queues.iter().enumerate() {
        write_capture(&folder.join(format!("{side}-in{n}.pcap")), frames);
    }
    queues.into_iter().flatten().collect()
}

/// A capture that a gateway finds at its start, and can play from when it is released on.
struct Held {
    /// A pipe in the capture's place, with the head of it.
    pipe: File,
    frames: Vec<u8>,
}

impl Held {
    fn new(capture: &Path) -> Held {
        let mut head = fs::read(capture).unwrap();
        let frames = head.split_off(24);
        fs::remove_file(capture).unwrap();
        assert!(Command::new("mkfifo").arg(capture).status().unwrap().success());
        // Also to read: then nobody waits for another to open it.
        let mut pipe = File::options().read(true).write(true).open(capture).unwrap();
        pipe.write_all(&head).unwrap();
        Held { pipe, frames }
    }

    fn release(mut self) {
        thread::spawn(move || self.pipe.write_all(&self.frames).unwrap());
    }
}

/// The names of a side's files of one kind, one for each queue.
fn files(kind: &str, side: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{side}-{kind}{n}.pcap")).collect()
}

fn configuration(side: &str, wan: &str, arrangement: &Arrangement, peer: &Arrangement) -> String {
    let plays =
        files("in", side, arrangement.plays).into_iter().map(|file| format!("rx_pcap={file}"));
    let writes = files("out", side, arrangement.writes);
    let writes = writes.into_iter().map(|file| format!("tx_pcap={file}"));
    let lan = plays.chain(writes).collect::<Vec<_>>().join(",");
    let channels = peer.workers.iter().filter(|rooms| rooms.contains(&"protect")).count();
    let workers =
        arrangement.workers.iter().map(|rooms| format!("[[worker]]\nrooms = {rooms:?}\n"));
    let more = arrangement.wan;
    format!(
        "[gateway]\nside = \"{side}\"\nkeys = \"none\"\nhugepages = false\nidle = \"rest\"\n\
         [lan]\nport = \"net_pcap0,{lan}\"\n\
         [wan]\nport = \"{wan}\"\nmtu = 1900\npeer_channels = {channels}\n{more}\
         [code]\nlayers = \"20:97,101,103+g1\"\n\
         [control]\nsocket = \"{side}.ctl\"\n{}",
        workers.collect::<String>()
    )
}

/// The memif of a gateway's end, or of the WAN's, which is the client: clients don't try again.
fn memif(folder: &Path, n: usize, role: &str, side: &str) -> String {
    let socket = folder.join(format!("{side}.sock"));
    let socket = socket.display();
    format!("net_memif{n},role={role},id=0,socket={socket},socket-abstract=no")
}

fn gateway(
    folder: &Path,
    side: &str,
    wan: &str,
    arrangement: &Arrangement,
    peer: &Arrangement,
) -> Process {
    let file = format!("{side}.toml");
    fs::write(folder.join(&file), configuration(side, wan, arrangement, peer)).unwrap();
    let mut process = Process::start(folder, side, &["run", "--config", &file]);
    process.wait_for("running; SIGINT or SIGTERM ends it");
    process
}

/// The value of a counter that was printed under the first heading that begins so; 0 if it counted
/// nothing.
fn counter(ended: &Ended, heading: &str, name: &str) -> u64 {
    let mut lines = ended.stdout.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    let mut room = lines.by_ref().take_while(|line| line.starts_with("  "));
    let value = room.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Two gateways, and a WAN with these flags between them, or one cable without. Returns how many
/// frames were rebuilt.
fn crosses(west: &Arrangement, east: &Arrangement, flags: Option<&[&str]>) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let sides = [("west", west, east), ("east", east, west)];
    let sent =
        [(1, "west", west), (2, "east", east)].map(|(s, n, a)| write_traffic(path, s, n, a.plays));
    // They are played once there is a way for them: a worker that can send nothing for long is given up.
    let captures = sides.map(|(side, arrangement, _)| {
        files("in", side, arrangement.plays).into_iter().map(|file| Held::new(&path.join(file)))
    });
    let captures: Vec<Held> = captures.into_iter().flatten().collect();
    let mut gateways = sides.map(|(side, arrangement, peer)| {
        let memif = match (flags, side) {
            (None, "east") => memif(path, 0, "client", "west"),
            _ => memif(path, 0, "server", side),
        };
        gateway(path, side, &memif, arrangement, peer)
    });
    let wan = flags.map(|flags| {
        let [west, east] =
            [(0, "west"), (1, "east")].map(|(n, side)| memif(path, n, "client", side));
        let arguments = ["wan", "--west", &west, "--east", &east, "--wan-mtu", "1900"];
        let mut wan = Process::start(path, "wan", &[&arguments, flags].concat());
        wan.wait_for("running; SIGINT or SIGTERM ends it");
        wan
    });
    captures.into_iter().for_each(Held::release);
    let [west, east] = &mut gateways;
    wait_for_delivery(path, &mut [("west", west), ("east", east)], FRAMES as u64);
    gateways.iter().for_each(|gateway| gateway.signal("TERM"));
    let gateways = gateways.map(Process::end);
    let wan = wan.map(|wan| {
        wan.signal("TERM");
        wan.end()
    });
    for ended in gateways.iter().chain(&wan) {
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("error"), "{ended:?}");
        // Without a WAN that takes it, the last hello of whoever stops last goes nowhere.
        assert!(flags.is_none() || !ended.stderr.contains("are lost"), "{ended:?}");
    }

    let mut rebuilt = 0;
    for (n, (side, arrangement, peer)) in sides.into_iter().enumerate() {
        let (ended, sender) = (&gateways[n], &gateways[1 - n]);
        let outputs = files("out", side, arrangement.writes);
        let outputs: Vec<Vec<Vec<u8>>> = outputs
            .iter()
            .map(|file| read_capture(&path.join(file)).into_iter().map(|f| f.1).collect())
            .collect();
        let out: HashSet<&Vec<u8>> = outputs.iter().flatten().collect();
        let count: usize = outputs.iter().map(Vec::len).sum();
        let expected = &sent[1 - n];
        assert!(out.iter().all(|frame| expected.contains(*frame)), "something else came {ended:?}");
        assert_eq!((out.len(), count), (FRAMES, FRAMES), "to {side}: {ended:?} {sender:?} {wan:?}");
        let recovered = counter(ended, "recover (", "recovered");
        let late = out_of_order(&outputs);
        assert!(late <= recovered, "{late} changed places, {recovered} recovered: {ended:?}");
        is_counted(ended, arrangement, peer);
        rebuilt += recovered;
    }
    rebuilt
}

/// How many frames came behind a later one of their flow. A flow is in one file.
fn out_of_order(outputs: &[Vec<Vec<u8>>]) -> u64 {
    let mut late = 0;
    let mut last = HashMap::new();
    for (file, frames) in outputs.iter().enumerate() {
        for (flow, n) in frames.iter().map(|frame| identity(frame)) {
            let (home, highest) = last.entry(flow).or_insert((file, n));
            assert_eq!(*home, file, "flow {flow} came out of several queues");
            late += u64::from(n < *highest);
            *highest = n.max(*highest);
        }
    }
    late
}

/// Every channel had its share, the sum is that of the shares, and nothing was dropped on the way.
fn is_counted(ended: &Ended, arrangement: &Arrangement, peer: &Arrangement) {
    let frames = FRAMES as u64;
    for (kind, of, name) in
        [("protect", arrangement, "source_sent"), ("recover", peer, "delivered")]
    {
        assert_eq!(counter(ended, &format!("{kind} ("), name), frames, "{ended:?}");
        let channels = of.workers.iter().filter(|rooms| rooms.contains(&"protect")).count();
        if channels > 1 {
            let share = |n| counter(ended, &format!("{kind}, channel {n},"), name);
            let shares: Vec<u64> = (0..channels).map(share).collect();
            assert!(shares.iter().all(|&share| share > frames / 10), "{shares:?} {ended:?}");
            assert_eq!(shares.iter().sum::<u64>(), frames, "{ended:?}");
        }
    }
    for refused in ["unknown_channel", "worker_stalled", "lan_full", "missed"] {
        assert!(!ended.stdout.contains(refused), "{refused}: {ended:?}");
    }
    // What comes from the WAN while it stops, a hello, may be left.
    assert_eq!(counter(ended, "lan, worker", "left_at_stop"), 0, "{ended:?}");
}

const LOSSLESS: [&str; 2] = ["--delay", "1ms"];
const LOSSY: [&str; 6] = ["--delay", "5ms", "--loss", "iid:0.01", "--seed", "3"];

#[test]
fn nothing_is_reordered_or_missing_on_a_good_wan() {
    for (west, east) in [(&ONE, &TWO_OUT), (&TWO_OF_BOTH, &SERVED)] {
        assert_eq!(crosses(west, east, Some(&LOSSLESS)), 0);
    }
}

#[test]
fn ports_with_a_queue_for_each_worker_need_nobody_to_send_for_others() {
    assert_eq!(crosses(&QUEUES, &QUEUES, None), 0);
}

#[test]
fn lost_frames_are_rebuilt_and_others_keep_their_order() {
    for (west, east) in [(&ONE_EACH, &ONE), (&TWO_EACH, &TWO_EACH)] {
        // 400 of 40,000 are lost, give or take ten standard deviations.
        assert!((200..600).contains(&crosses(west, east, Some(&LOSSY))));
    }
}

/// What one worker still hands over when the gateway stops, another sends.
#[test]
fn workers_that_stop_in_the_middle_of_traffic_leave_nothing_unsent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_traffic(path, 5, "west", 1);
    let configured = configuration("west", "net_pcap1,tx_pcap=wan.pcap", &SERVED, &TWO_EACH);
    let configured = configured.replace("in0.pcap", "in0.pcap,infinite_rx=1");
    fs::write(path.join("west.toml"), configured).unwrap();
    for _ in 0..3 {
        let mut gateway = Process::start(path, "west", &["run", "--config", "west.toml"]);
        gateway.wait_for("running; SIGINT or SIGTERM ends it");
        wait_until("traffic", || size(&path.join("wan.pcap")) > 1 << 20);
        assert!(gateway.is_running());
        gateway.signal("TERM");
        let ended = gateway.end();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("are lost"), "{ended:?}");
        let wire = read_capture(&path.join("wan.pcap")).len() as u64;
        let sent = counter(&ended, "protect (", "source_sent");
        let others = ["repair_sent", "control_sent"].map(|name| counter(&ended, "protect (", name));
        assert_eq!(wire, sent + others[0] + others[1], "{ended:?}");
        let left = counter(&ended, "lan, worker", "left_at_stop");
        assert_eq!(counter(&ended, "lan, worker", "received"), sent + left, "{ended:?}");
    }
}
