//! The packets that west sends into the WAN, read from the wan-pcap.

use std::fs;

use maelstrom::wire::outer::Ether;
use maelstrom::wire::repair::repair_key;
use maelstrom::wire::{Kind, RepairHeader, Shim};

use crate::bench::{Bench, Run};
use crate::common::{read_capture, traffic};

enum Packet {
    Source { seq: u64, frame: Vec<u8> },
    Repair { members: Vec<u64> },
}

/// In wire order.
fn packets(run: &Run) -> Vec<Packet> {
    let wire = read_capture(&run.wire());
    assert!(wire.is_sorted_by_key(|(time, _)| *time));
    let parse = |packet: &[u8]| {
        let (_, packet) = Ether::parse(packet).unwrap();
        let (shim, rest) = Shim::parse(packet).unwrap();
        match shim.kind {
            Kind::Source => {
                Packet::Source { seq: shim.seq, frame: shim.frame(rest).unwrap().to_vec() }
            }
            Kind::Named => panic!("a circuit with shims"),
            Kind::Repair => {
                let key = repair_key(shim.channel, shim.epoch);
                let (header, _) = RepairHeader::parse(&shim, rest, Some(key)).unwrap();
                Packet::Repair { members: header.members.iter().collect() }
            }
            Kind::Control => panic!("the laboratory has no control"),
        }
    };
    wire.iter().map(|(_, packet)| parse(packet)).collect()
}

#[test]
fn the_wire_carries_every_frame_at_once_and_its_repairs_behind_it() {
    let frames = traffic(15, 20_000, false);
    let bench = Bench::new(&frames);
    // What the WAN does to them is not in it.
    let run = bench.run("run", "--code 20:97,101,103+g1 --loss ge:0.1,10 --reorder 0.01,5");
    let mut covered = vec![0; frames.len()];
    let (mut sources, mut repairs) = (0, 0);
    for packet in packets(&run) {
        match packet {
            Packet::Source { seq, frame } => {
                assert_eq!(seq, sources);
                assert!(frame == frames[seq as usize], "frame {seq} is another");
                sources += 1;
            }
            Packet::Repair { members } => {
                repairs += 1;
                for seq in members {
                    assert!(seq < sources, "a repair went before its member {seq}");
                    covered[seq as usize] += 1;
                }
            }
        }
    }
    assert_eq!((run.count("source_sent"), run.count("repair_sent")), (sources, repairs));
    assert_eq!(sources, 20_000);
    assert!(covered.iter().all(|&times| times >= 3), "a packet lacks a repair of some layer");
    assert!((0.15..0.17).contains(&run.overhead()), "{}", run.overhead());
}

/// All repairs are lost, and a few source packets that nothing can bring back.
#[test]
fn exactly_the_listed_packets_are_lost() {
    let frames = traffic(16, 3000, false);
    let bench = Bench::new(&frames);
    let packets = packets(&bench.run("clean", ""));
    let chosen = [0, 1, 17, 1500, 2998, 2999];
    let mut list = String::from("# every repair, and six sources; in no order\n\n");
    for (index, packet) in packets.iter().enumerate().rev() {
        let lost = match packet {
            Packet::Source { seq, .. } => chosen.contains(seq),
            Packet::Repair { .. } => true,
        };
        list.extend(lost.then(|| format!("{index} # lost\n")));
    }
    fs::write(bench.file("losses.txt"), &list).unwrap();
    let run = bench.run("run", "--loss drop:losses.txt");
    run.adds_up("drop");
    assert_eq!(run.count("source_lost"), 6, "{:#}", run.report);
    assert_eq!(run.count("repair_lost"), run.count("repair_sent"), "{:#}", run.report);
    assert_eq!(run.count("unrecovered"), 6, "{:#}", run.report);
    let left = (0..).zip(&frames).filter(|(n, _)| !chosen.contains(n)).map(|(_, frame)| frame);
    let output = read_capture(&run.output());
    assert!(left.eq(output.iter().map(|(_, frame)| frame)), "other frames are missing");
}
