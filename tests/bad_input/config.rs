//! Configuration files of `run`.

use std::fs;

use crate::{folder, refused};

const GOOD: &str = r#"[gateway]
side = "west"
hugepages = false
idle = "rest"
[lan]
port = "net_null0"
[wan]
port = "net_null1"
mtu = 1900
[code]
layers = "20:97,101,103+g1"
[[worker]]
rooms = ["protect", "recover"]
"#;

#[test]
fn each_bad_key_is_named_with_what_was_got_and_what_is_expected() {
    let folder = folder();
    let path = folder.path();
    for (from, to, expected) in [
        ("side = \"west\"", "sdie = \"west\"", &["gateway.toml:2", "unknown field `sdie`"][..]),
        ("side = \"west\"", "", &["gateway.toml", "missing field `side`"]),
        ("side = \"west\"", "side = \"north\"", &["gateway.toml:2", "north", "west"]),
        ("[wan]", "[wna]", &["gateway.toml:7", "unknown field `wna`", "`wan`"]),
        ("hugepages = false", "hugepages = 1", &["gateway.toml:3", "expected a boolean"]),
        ("hugepages = false", "hugepages = fals", &["gateway.toml:3"]),
        ("mtu = 1900", "mtu = 100", &["wan.mtu", "got 100, expected 256 to 9600"]),
        ("mtu = 1900", "mtu = 1e9", &["gateway.toml:9", "mtu = 1e9"]),
        ("layers = \"20:97", "layers = \"20:x", &["gateway.toml:11", "the interleave is \"x\""]),
        ("\"20:97,101,103+g1\"", "\"1024:16381\"", &["code.layers", "limit of 2048 MiB"]),
        ("[code]", "[code]\nidle = \"0ms\"", &["code.idle", "got 0, expected a time"]),
        ("[code]", "[code]\nwindow = 100", &["code.layers", "expected at least 2060"]),
        ("[code]", "[code]\nmax_age = [\"1ms\"]", &["code.max_age", "got 1 times for 3 layers"]),
        ("\"protect\", ", "", &["worker", "expected the rooms", "each at least once"]),
        ("\"recover\"]", "\"recover\", \"recover\"]", &["worker", "the first worker", "twice"]),
        (
            "[[worker]]",
            "[[worker]]\nrooms = [\"recover\"]\n[[worker]]",
            &["worker", "wan.peer_channels"],
        ),
        ("mtu = 1900", "mtu = 1900\npeer_channels = 0", &["wan.peer_channels", "expected 1 to 16"]),
        ("mtu = 1900", "mtu = 1900\nqueues = 99", &["wan.queues", "expected 1 to 16"]),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"gre\"",
            &["gateway.toml:10", "gre", "transparent"],
        ),
        ("mtu = 1900", "mtu = 1900\nrouted = true", &["wan.routed", "got true", "expected false"]),
        (
            "mtu = 1900",
            "mtu = 1900\nencapsulation = \"transparent\"\npeer_channels = 2",
            &["worker", "the peer has 2", "expected one worker"],
        ),
        (
            "[code]",
            "encapsulation = \"transparent\"\n[code]\nintegrity = \"off\"",
            &["code.integrity", "got \"off\"", "expected \"check\""],
        ),
        ("rooms =", "core = 99999\nrooms =", &["worker", "core 99999 does not exist"]),
        ("net_null1", "net_null0", &["wan.port", "got net_null0", "expected another"]),
        ("net_null1", "null 1", &["gateway.toml:8", "null 1", "expected a PCI address"]),
        ("[gateway]", "[gateway", &["gateway.toml:1"]),
        (
            "[code]",
            "[netsync]\nsocket = \"s\"\nlink = \"burst:1,2\"\n[code]",
            &["burst:1,2", "iid:"],
        ),
        (
            "[code]",
            "[netsync]\nsocket = \"s\"\nflows = 3\n[code]",
            &["netsync.flows", "power of two"],
        ),
        ("[code]", "[netsync]\nsocket = \"\"\n[code]", &["netsync.socket", "expected a path"]),
        ("[code]", "[netsync]\nsocket = \"s\"\nmode = \"9\"\n[code]", &["mode", "octal"]),
        (
            "[code]",
            "[netsync]\nsocket = \"s\"\n[[netsync.track]]\nprefix = \"10.0.0.1/8\"\n[code]",
            &["10.0.0.1/8", "bits beyond"],
        ),
        ("[[worker]]", "[netsync]\n[[worker]]", &["missing field `socket`"]),
        (
            "[[worker]]",
            "[netsync]\nsocket = \"s\"\nflows = 3\n[[worker]]",
            &["netsync.flows", "got 3, expected a power of two"],
        ),
        (
            "[[worker]]",
            "[netsync]\nsocket = \"s\"\n[[netsync.track]]\nprefix = \"10.0.0.0/99\"\n[[worker]]",
            &["10.0.0.0/99", "no length from 0 to 32"],
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        fs::write(path.join("gateway.toml"), GOOD.replacen(from, to, 1)).unwrap();
        refused(path, &["run", "--config", "gateway.toml"], expected);
    }
}

#[test]
fn channels_that_need_too_much_memory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = GOOD
        .replacen("mtu = 1900", "mtu = 1900\npeer_channels = 16\nqueues = 1", 1)
        .replacen("[code]", "[code]\nwindow = 16384", 1);
    fs::write(path.join("gateway.toml"), text).unwrap();
    refused(path, &["run", "--config", "gateway.toml"], &["fewer channels"]);
}

#[test]
fn a_file_that_is_no_configuration_is_named() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("empty.toml"), "").unwrap();
    refused(path, &["run", "--config", "empty.toml"], &["empty.toml", "missing field"]);
    let expected = "expected a readable configuration file";
    refused(path, &["run", "--config", "nosuch.toml"], &["nosuch.toml", expected]);
    refused(path, &["run", "--config", "in.pcap"], &["in.pcap", expected]);
    refused(path, &["run", "--config", "."], &[".: ", expected]);
}
