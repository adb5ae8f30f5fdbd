//! Ports that `run` and `wan` can't have.

use std::fs;

use crate::{folder, refused, words};

/// A port, and what must be said of it.
const MISSING: [(&str, &[&str]); 8] = [
    ("net_af_packet0,iface=nosuch0", &["net_af_packet0", "iface=nosuch0", "no such network"]),
    ("net_frob0", &["net_frob0", "no such driver; expected one of net_af_packet"]),
    ("0000:ff:1f.7", &["0000:ff:1f.7", "no such PCI device"]),
    ("net_pcap0,rx_pcap=nosuch.pcap", &["rx_pcap=nosuch.pcap", "No such file"]),
    ("net_pcap0,rx_pcap=text", &["rx_pcap=text", "unknown file format"]),
    ("net_vhost0,iface=/nosuch/socket", &["iface=/nosuch/socket", "No such file"]),
    ("net_memif0,role=boss,socket-abstract=no", &["net_memif0,role=boss", "Unknown role"]),
    ("net_null0,nosuch=1", &["net_null0,nosuch=1", "could not be probed"]),
];

fn configuration(lan: &str, hugepages: bool) -> String {
    format!(
        "[gateway]\nside = \"west\"\nkeys = \"none\"\nhugepages = {hugepages}\n[lan]\nport = \"{lan}\"\n[wan]\n\
         port = \"net_null9\"\nmtu = 1900\n[code]\nlayers = \"8:5,7\"\n[[worker]]\n\
         rooms = [\"protect\", \"recover\"]\n"
    )
}

#[test]
fn a_port_that_does_not_exist_is_named() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("text"), "no capture").unwrap();
    for (port, expected) in MISSING {
        fs::write(path.join("gateway.toml"), configuration(port, false)).unwrap();
        refused(path, &["run", "--config", "gateway.toml"], expected);
        refused(path, &["wan", "--west", port, "--east", "net_null9"], expected);
        refused(path, &["wan", "--west", "net_null9", "--east", port], expected);
    }
}

#[test]
fn what_is_wrong_for_a_wan_is_named() {
    let folder = folder();
    for (flags, expected) in [
        ("--east net_null0", &["--east net_null0", "expected another"][..]),
        ("--east null", &["no such driver"]),
        ("--east net_null1 --core 99999", &["--core 99999", "expected 0 to"]),
        ("--east net_null1 --wan-mtu 60", &["--wan-mtu 60", "expected 68 to"]),
        ("--east net_null1 --wan-mtu 65535", &["--wan-mtu 65535", "expected at most 16000"]),
        ("--east net_null1 --duplicate 2", &["--duplicate 2", "expected 0 to 1"]),
        ("--east net_null1 --loss drop:nosuch", &["--loss", "nosuch"]),
    ] {
        let line = format!("wan --west net_null0 {flags}");
        refused(folder.path(), &words(&line), expected);
    }
}

#[test]
fn hugepages_that_nobody_reserved_are_asked_for() {
    let reserved = fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap_or_default();
    if reserved.trim() != "0" {
        eprintln!("skipped: this machine has hugepages");
        return;
    }
    let folder = folder();
    let path = folder.path();
    let expected = ["0 MiB of hugepages are free", "run: echo", "hugepages = false"];
    fs::write(path.join("gateway.toml"), configuration("net_null0", true)).unwrap();
    refused(path, &["run", "--config", "gateway.toml"], &expected);
    let wan = "wan --west net_null0 --east net_null1 --hugepages";
    refused(path, &words(wan), &expected);
}
