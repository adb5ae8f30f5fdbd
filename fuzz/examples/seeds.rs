//! Writes the hand-made part of the corpus: what is valid, and what lies just beside it.
//! `cargo run -p maelstrom-fuzz --example seeds`

use std::fs;
use std::path::Path;

use maelstrom::fec::named::NameKey;
use maelstrom::fec::named::image::write_image;
use maelstrom::fec::{Members, Repair, Run, seq};
use maelstrom::wire::Report;
use maelstrom::wire::named::{Cut, Part, emit_message, message_len, part_key};
use maelstrom::wire::repair::{self, repair_key};
use maelstrom::wire::shim::{Integrity, Kind, Shim, source_key};

fn main() -> std::io::Result<()> {
    for (name, input) in packets() {
        write("wire", &name, &input)?;
    }
    for (name, input) in named() {
        write("named", name, &input)?;
    }
    for (name, input) in reports() {
        write("report", name, &input)?;
    }
    for (name, input) in segments() {
        write("segment", &name, &input)?;
    }
    for (name, input) in captures() {
        write("capture", &name, &input)?;
    }
    let texts: [(&str, &[&str]); 4] = [
        (
            "code",
            &[
                "20:97,101,103+g1",
                "8x1/64x101/64x103+g0.5",
                "1024:16384+g16",
                "8:1,2,3,4,5,6,7,8",
                "1:1+g0.0004",
            ],
        ),
        (
            "loss",
            &[
                "none",
                "iid:0.01",
                "ge:0.5,1",
                "ge:0.01,20",
                "burst:0,18446744073709551615",
                "drop:x\n1\n# two\n3 # three\n3\n",
                "iid:1e-300",
            ],
        ),
        (
            "units",
            &[
                "10Gbps",
                "1.5 Mbps",
                "unlimited",
                "50ms",
                "0.000000001s",
                "1.5GiB",
                "18446744073709551615ns",
                "0.0009765625KiB",
                "18446744073.709551615s",
            ],
        ),
        (
            "device",
            &[
                "0000:03:00.0",
                "net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap",
                "net_af_packet0,iface=eth0",
                "net_memif0,role=server,id=0,socket=/a,socket-abstract=no",
            ],
        ),
    ];
    for (target, texts) in texts {
        for (n, text) in texts.iter().enumerate() {
            write(target, &format!("text-{n}"), text.as_bytes())?;
        }
    }
    for side in ["west", "east"] {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../config/gateway-{side}.toml"));
        let text = fs::read_to_string(path)?;
        // Without its comments, where most mutations would land.
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
        let bare: String = lines.flat_map(|line| [line.trim_start_matches('#'), "\n"]).collect();
        write("config", &format!("{side}-all"), bare.as_bytes())?;
        let plain = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let plain: String = plain.flat_map(|line| [line, "\n"]).collect();
        write("config", side, plain.as_bytes())?;
        for (name, line) in [
            ("sparse", "sparse = \"64:997+g16\""),
            ("idle", "latency = \"18446744073s\"\nidle = \"18446744073s\""),
            ("age", "max_age = [\"18446744073s\", \"1ns\", \"1ns\"]"),
        ] {
            let edge = plain.replace("[code]\n", &format!("[code]\n{line}\n"));
            write("config", &format!("{side}-{name}"), edge.as_bytes())?;
        }
    }
    for n in 0..16u8 {
        let steps: Vec<u8> =
            (0..400u16).map(|k| ((u32::from(k) * (2 * u32::from(n) + 1) * 7) >> 2) as u8).collect();
        let begin = [n, 255 * (n & 1), n, n >> 2, 40 + n];
        write("stream", &format!("steps-{n}"), &[&begin[..], &steps].concat())?;
        write("hostile", &format!("steps-{n}"), &[&[n, n << 4], &steps[..]].concat())?;
    }
    Ok(())
}

fn write(target: &str, name: &str, input: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), input)
}

/// The first byte is 1 where checks are compared, 3 where they are made right.
fn packets() -> Vec<(String, Vec<u8>)> {
    let outer = [&[0xFF; 6][..], &[2; 6], &[0x88, 0xB5]].concat();
    let mut all = Vec::new();
    for (n, seq) in [0, 1023, seq::LIMIT - 1, seq::LIMIT].into_iter().enumerate() {
        let frame = [n as u8; 60];
        let check = source_key(0, 9).check(seq, &frame);
        let (kind, integrity) = (Kind::Source, Integrity::Check);
        let shim = Shim { kind, integrity, channel: 0, length: 60, epoch: 9, seq, check };
        all.push((format!("source-{n}"), [&[1], &outer[..], &shim.emit(), &frame].concat()));
    }
    let groups: [&[(u64, u16)]; 5] = [
        &[(1000, 20)],
        &[(5, 3), (6, 4), (70_000, 1)],
        &[(0, 4096)],
        &[(seq::LIMIT - 98, 2)],
        &[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (1 << 31, 1)],
    ];
    for (n, runs) in groups.into_iter().enumerate() {
        let runs = runs.iter().map(|&(base, count)| Run { base, count });
        let members = Members::from_runs(97, runs).expect("a group");
        let (lengths, checks) = (60, 0x0123_4567_89AB_CDEF);
        let bytes = &[7; 60];
        let repair = Repair {
            members: &members,
            layer: 2,
            code_id: 1,
            flushed: n == 1,
            lengths,
            checks,
            bytes,
        };
        for mode in [0, 1, 3] {
            let mut packet = vec![0; repair::packet_len(&repair)];
            let key = (mode > 0).then(|| repair_key(0, 9));
            repair::emit(&repair, 0, 9, key, &mut packet);
            all.push((format!("repair-{n}-{mode}"), [&[mode], &outer[..], &packet].concat()));
        }
    }
    all
}

/// A report, one that follows it, and both.
fn reports() -> [(&'static str, Vec<u8>); 3] {
    let old = Report { channel: 1, epoch: 2, at_ns: 1_000_000_000, ..Report::default() };
    let mut new = Report { at_ns: 2_000_000_000, ..old.clone() };
    (new.before.next, new.before.judged) = (1000, 1000);
    (new.before.lost, new.before.bursts) = (10, 5);
    (new.after.next, new.after.judged) = (500, 500);
    let [old, new] = [old, new].map(|report| report.emit().to_vec());
    [("first", old.clone()), ("second", new.clone()), ("both", [old, new].concat())]
}

/// TCP over IPv4, with options and a VLAN tag, and over IPv6 with an extension header.
fn segments() -> Vec<(String, Vec<u8>)> {
    let tcp = |flags: u8, payload: usize| {
        let mut packet =
            vec![0x9C, 0x40, 0x15, 0x38, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0, 0, 9, 0x50, flags];
        packet.resize(20 + payload, 1);
        packet
    };
    let v4 = |options: usize, segment: Vec<u8>| {
        let mut packet = vec![0x45 + (options / 4) as u8, 0];
        packet.extend((20 + options as u16 + segment.len() as u16).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1]);
        packet.resize(20 + options, 1);
        packet.extend(segment);
        [&[2; 12][..], &[0x08, 0x00], &packet].concat()
    };
    let v6 = |segment: Vec<u8>| {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((8 + segment.len() as u16).to_be_bytes());
        packet.extend([60, 64]);
        packet.extend([0xFD; 32]);
        packet.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend(segment);
        [&[2; 12][..], &[0x86, 0xDD], &packet].concat()
    };
    let tagged = |frame: Vec<u8>| [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat();
    vec![
        ("syn".into(), v4(0, tcp(2, 0))),
        ("data".into(), v4(8, tcp(24, 40))),
        ("tagged".into(), tagged(v4(0, tcp(16, 9)))),
        ("six".into(), v6(tcp(17, 20))),
        ("reset".into(), tagged(tagged(v6(tcp(4, 0))))),
    ]
}

/// Both byte orders, both resolutions.
fn captures() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (n, magic) in [0xA1B2_C3D4u32, 0xA1B2_3C4D].into_iter().enumerate() {
        for big in [false, true] {
            let word = |word: u32| if big { word.to_be_bytes() } else { word.to_le_bytes() };
            let half = |half: u16| if big { half.to_be_bytes() } else { half.to_le_bytes() };
            let mut file = word(magic).to_vec();
            file.extend([half(2), half(4)].concat());
            file.extend([0, 0, 262_144, 1].map(word).concat());
            for (second, length) in [(5, 14), (4, 60), (u32::MAX, 20)] {
                file.extend([second, 999_999, length, length + second % 2].map(word).concat());
                file.extend(vec![9; length as usize]);
            }
            all.push((format!("pcap-{n}-{}", if big { "big" } else { "little" }), file));
        }
    }
    all
}

/// Two frames and their repair: one frame, and the repair in one part and in two.
fn named() -> Vec<(&'static str, Vec<u8>)> {
    let frames: [Vec<u8>; 2] = [[3; 30].into(), (0..40).collect()];
    let names = frames.each_ref().map(|frame| NameKey::new(0, 0).name(frame));
    let images = frames.each_ref().map(|frame| {
        let mut image = [0; 44];
        let len = write_image(frame, &mut image).expect("room for an image");
        (image, len as u16)
    });
    let xor: Vec<u8> = images[0].0.iter().zip(images[1].0).map(|(a, b)| a ^ b).collect();
    let repair = Repair {
        members: &Members::single(0, 1, 2).expect("two members"),
        layer: 0,
        code_id: 0,
        flushed: false,
        lengths: images[0].1 ^ images[1].1,
        checks: names[0].check ^ names[1].check,
        bytes: &xor,
    };
    let mut message = vec![0; message_len(&repair)];
    emit_message(&repair, |number| names[number as usize].name, &mut message);
    let packets = |room| {
        let cut = Cut::new(message.len(), room).expect("few parts");
        let packet = |part| {
            let part = Part { serial: 1, part, cut };
            let mut packet = vec![0; part.packet_len()];
            part.emit(0, 0, 2, part_key(0, 0), &message, &mut packet);
            [&[packet.len() as u8][..], &packet].concat()
        };
        (0..cut.parts).flat_map(packet).collect::<Vec<u8>>()
    };
    let frame = [&[0x80 | frames[1].len() as u8][..], &frames[1]].concat();
    let bare = [&[message.len() as u8][..], &message].concat();
    vec![
        ("message", [&frame[..], &bare].concat()),
        ("parts", [&frame[..], &packets(100)].concat()),
        ("parts-first", [&packets(80)[..], &frame].concat()),
        ("frames", [&frame[..], &frame, &bare, &frame].concat()),
    ]
}
